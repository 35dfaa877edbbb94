//! Real artefacts changed at random, given to the code that reads them: whatever comes of it is no panic, no abort, no
//! endless loop, and nothing outside its folder. What fails is named by target, seed and number, and comes again with
//! `BACKUP_FUZZ_SEED=… BACKUP_FUZZ_FROM=… cargo test --test suite -- --ignored --exact hostile::fuzz::minutes::TARGET`.

use super::forge::{Forge, finish, hex, members};
use super::surroundings::{FILES, clinic};
use backup::archive::{ArchiveReader, IndexAt, decode_all};
use backup::source::EntryName;
use backup::source::files::FilesTarget;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Memory of a run over one target, the test program's own and its corpus included.
const MEMORY: usize = 512 << 20;

/// No input takes this long, not even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbers that are borders of something.
const BORDERS: [u64; 12] =
    [0, 1, 4, 5, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 53, i64::MAX as u64, u64::MAX];

/// xorshift64*: the same numbers from the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Changes an input in one to four places. `other` lends pieces.
fn mutate(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = bytes.len().min(at + 1 + random.below(64));
        match random.below(8) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = *random.of(&[0, 1, 0x0a, 0x1b, 0x22, 0x2e, 0x2f, 0x5c, 0x7f, 0x80, 0xff]),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].repeat(1 + random.below(20));
                bytes.splice(at..at, piece);
            }
            4 => {
                let from = random.below(other.len());
                let piece = other[from..other.len().min(from + 64)].to_vec();
                bytes.splice(at..end, piece);
            }
            5 => {
                // A length, little-endian.
                let value = random.of(&BORDERS).wrapping_add(random.next() % 3).wrapping_sub(1).to_le_bytes();
                for (byte, value) in bytes[at..].iter_mut().zip(&value[..4]) {
                    *byte = *value;
                }
            }
            6 => number(&mut bytes, at, random),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// Puts another number in the place of the next one that is written in digits.
fn number(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let Some(begin) = bytes[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) else { return };
    let end = bytes[begin..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |found| begin + found);
    let sign = *random.of(&["", "", "-", "1e", "0."]);
    let text = format!("{sign}{}", random.of(&BORDERS));
    bytes.splice(begin..end, text.into_bytes());
}

/// Reads an input, with a folder to write in.
type Read = Box<dyn Fn(&[u8], &Path)>;

/// One way to read an input, in a folder of its own.
struct Target {
    corpus: Vec<Vec<u8>>,
    read: Read,
}

/// Gives a target changed inputs: as many as the environment says, else for a minute.
fn drive(target: &Target) {
    let variable = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seed = variable("BACKUP_FUZZ_SEED").unwrap_or(0x9e37_79b9_7f4a_7c15);
    let from = variable("BACKUP_FUZZ_FROM").unwrap_or(0);
    let inputs = variable("BACKUP_FUZZ_INPUTS");
    // Where an abort leaves the number it happened at.
    let note = std::env::var("BACKUP_FUZZ_NOTE").map(PathBuf::from).ok();
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    let began = Instant::now();
    let mut at = from;
    while inputs.map_or(began.elapsed() < Duration::from_secs(60), |inputs| at < from + inputs) {
        // Each input has a seed of its own, so that it can be made without those before.
        let mut random = Random(seed ^ (at + 1).wrapping_mul(0xff51_afd7_ed55_8ccd) | 1);
        let (input, other) = (random.of(&target.corpus).clone(), random.of(&target.corpus).clone());
        let input = mutate(&input, &other, &mut random);
        note.iter()
            .for_each(|note| std::fs::write(note, format!("BACKUP_FUZZ_SEED={seed} BACKUP_FUZZ_FROM={at}")).unwrap());
        std::fs::create_dir_all(&inside).unwrap();
        let begun = Instant::now();
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (target.read)(&input, &inside)));
        let which = format!("BACKUP_FUZZ_SEED={seed} BACKUP_FUZZ_FROM={at}: {}", input.escape_ascii());
        assert!(read.is_ok(), "panicked at {which}");
        assert!(begun.elapsed() < PATIENCE, "{:?} at {which}", begun.elapsed());
        let around: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(around, ["inside"], "{which}");
        std::fs::remove_dir_all(&inside).unwrap();
        at += 1;
    }
}

fn config() -> Target {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = walkdir::WalkDir::new(examples).into_iter().map(|e| e.unwrap().into_path());
    let yaml = files.filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let corpus: Vec<_> = yaml.map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!corpus.is_empty());
    let read = |input: &[u8], folder: &Path| {
        // A secret's command would be run.
        if input.windows(7).any(|word| word == b"command") {
            return;
        }
        let path = folder.join("backup.yaml");
        std::fs::write(&path, input).unwrap();
        let environment = backup::config::Environment::fixed(folder, []);
        if let Ok(config) = backup::config::load(&path, &environment) {
            let _ = backup::config::show_yaml(&config);
        }
    };
    Target { corpus, read: Box::new(read) }
}

fn manifest() -> Target {
    let app = clinic();
    let forge = Forge::of(&app);
    let corpus =
        vec![serde_json::to_vec_pretty(&forge.manifest).unwrap(), serde_json::to_vec(&forge.manifest).unwrap()];
    let read = |input: &[u8], _: &Path| {
        if let Ok(manifest) = serde_json::from_slice::<backup::manifest::Manifest>(input) {
            let _ = manifest.contradiction();
            let _ = manifest.module_states();
        }
        let _ = serde_json::from_slice::<backup::repository::Summary>(input);
    };
    Target { corpus, read: Box::new(read) }
}

/// Opens an archive, decodes it, and restores the files in it.
fn read_archive(bytes: &[u8], at: IndexAt<'_>, folder: &Path) {
    let path = folder.join("archive.tar.gz");
    std::fs::write(&path, bytes).unwrap();
    let Ok(reader) = ArchiveReader::open(&path, at, None) else { return };
    let _ = decode_all(&reader, &mut Vec::new(), |entry, body| {
        let name = entry.name.clone().unwrap_or_else(|| EntryName::new("a", "a", ".bson"));
        let _ = backup::source::digest_records(&name, body, false);
        Ok(None)
    });
    let mut target = FilesTarget::open(&folder.join("root")).unwrap();
    for entry in reader.files().iter().map(Result::unwrap) {
        let Some(record) = &entry.file else { continue };
        let path = entry.raw_path().unwrap();
        let _ = target.there(&path);
        let _ = target.write(&path, entry.size, record, &mut reader.entry(&entry));
    }
    let _ = target.finish();
}

fn index() -> Target {
    let app = clinic();
    let mut forged = Forge::of(&app).open(FILES);
    let extra = super::forge::Entry::symlink("uploads/letters/link", "a.txt");
    forged.entries.push(extra);
    let good = forged.encode();
    let begins = good.index.0;
    let corpus = vec![good.text.clone()];
    let read = move |input: &[u8], folder: &Path| {
        let stored = finish(good.bytes[..begins].to_vec(), input.to_vec());
        let sha256 = hex(&Sha256::digest(input));
        let at = IndexAt { offset: stored.index.0 as u64, length: stored.index.1 as u64, sha256: &sha256 };
        read_archive(&stored.bytes, at, folder);
    };
    Target { corpus, read: Box::new(read) }
}

fn archive() -> Target {
    let app = clinic();
    let good = Forge::of(&app).open(FILES).encode();
    let mut raw = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(good.bytes.as_slice()), &mut raw).unwrap();
    let bytes = good.bytes.clone();
    let sha256 = hex(&Sha256::digest(&good.text));
    let read = move |input: &[u8], folder: &Path| {
        // As it is, and as the content of sound members, with the index where it was.
        let at = |offset: usize| IndexAt { offset: offset as u64, length: good.index.1 as u64, sha256: &sha256 };
        read_archive(input, at(good.index.0), folder);
        let members = members(input);
        read_archive(&[members.as_slice(), &good.bytes[good.index.0..]].concat(), at(members.len()), folder);
    };
    Target { corpus: vec![bytes, raw], read: Box::new(read) }
}

fn bson() -> Target {
    use mongodb::bson::{DateTime, Timestamp, doc, oid::ObjectId, serialize_to_vec};
    let documents = [
        doc! {"_id": ObjectId::from_bytes([7; 12]), "a": [1, 2.5, "x", null, true], "d": DateTime::from_millis(5)},
        doc! {"s": "text", "in": {"in": {"in": [{}, {"a": []}]}}, "n": 5i64, "z": Timestamp { time: 0, increment: 0 }},
    ];
    let corpus: Vec<_> = documents.iter().map(|document| serialize_to_vec(document).unwrap()).collect();
    let both = corpus.concat();
    let read = |input: &[u8], _: &Path| drop(backup::source::mongodb::digest_records(&mut &input[..]));
    Target { corpus: [corpus, vec![both]].concat(), read: Box::new(read) }
}

fn sqlite() -> Target {
    let app = clinic();
    let corpus = vec![std::fs::read(app.path("clinic.db")).unwrap()];
    let name = EntryName::new("clinic", "clinic", ".db");
    let read = move |input: &[u8], _: &Path| drop(backup::source::digest_records(&name, &mut &input[..], false));
    Target { corpus, read: Box::new(read) }
}

fn age() -> Target {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let (public, text) = backup::keys::generate(chrono::DateTime::UNIX_EPOCH);
    let file = folder.path().join("key");
    std::fs::write(&file, text).unwrap();
    let keys = Arc::new(backup::keys::Identities::read(&[file], None).unwrap());
    let mut writer = backup::keys::Recipients::of_keys(vec![public]).encrypt(Vec::new()).unwrap();
    writer.write_all(&vec![7; 100_000]).unwrap();
    let sealed = writer.finish().unwrap();
    let read = move |input: &[u8], _: &Path| drop(keys.open(std::io::Cursor::new(input)));
    Target { corpus: vec![sealed[..300].to_vec(), sealed], read: Box::new(read) }
}

/// A minute each, for `tests/run --full`; and what the test below runs for less.
mod minutes {
    macro_rules! minute {
        ($($name:ident)*) => { $(
            #[test]
            #[ignore]
            fn $name() {
                // The stack that a program begins with; a thread has a quarter of it.
                let thread = std::thread::Builder::new().stack_size(8 << 20);
                thread.spawn(|| super::drive(&super::$name())).unwrap().join().unwrap();
            }
        )* };
    }
    minute!(config manifest index archive bson sqlite age);
}

#[test]
fn inputs_changed_at_random_crash_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // In a process of its own, under a limit: memory that runs out and a stack that does abort it.
    let run = |(target, inputs): (&'static str, &'static str)| {
        let note = folder.path().join(target);
        let mut child = Command::new("prlimit");
        child.arg(format!("--data={MEMORY}")).arg("--").arg(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", &format!("hostile::fuzz::minutes::{target}"), "--test-threads", "1"]);
        let ended = child.env("BACKUP_FUZZ_INPUTS", inputs).env("BACKUP_FUZZ_NOTE", &note).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        let last = std::fs::read_to_string(note).unwrap_or_default();
        assert!(ended.status.success() && said.contains("1 passed"), "{target}, {last}: {}\n{said}", ended.status);
        assert!(last.ends_with(&format!("={}", inputs.parse::<u64>().unwrap() - 1)), "{target}: {last}");
    };
    let targets = [
        ("config", "300"),
        ("manifest", "1000"),
        ("index", "500"),
        ("archive", "500"),
        ("bson", "5000"),
        ("sqlite", "200"),
        ("age", "500"),
    ];
    std::thread::scope(|scope| {
        let threads = targets.map(|target| scope.spawn(move || run(target)));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
