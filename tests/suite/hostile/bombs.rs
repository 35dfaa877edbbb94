//! Small files that read as large ones, and files that never end: refused in bounded memory and time.

use super::forge::{Entry, Forge, extension, finish, header, member, members};
use super::surroundings::{DATABASE, FILES, clinic, harmless};
use crate::support::app::App;
use std::process::Command;

/// More than the program may have.
const MANY: usize = 300;

/// A mebibyte of one byte as a member, many times over: some 300 KiB that read as 300 MiB.
fn bomb(byte: u8) -> Vec<u8> {
    member(&[byte; 1 << 20], None).repeat(MANY)
}

#[test]
fn an_index_that_compresses_to_nothing_is_refused_before_it_is_read() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let good = forge.open(FILES).encode();
    let begins = good.bytes.len() - good.index.1 - members(&[0; 1024]).len();
    // One line without end.
    let mut forged = finish(good.bytes[..begins].to_vec(), Vec::new());
    forged.bytes.truncate(forged.index.0);
    forged.bytes.extend(bomb(b' '));
    forged.index.1 = forged.bytes.len() - forged.index.0;
    forged.text = vec![b' '; MANY << 20];
    forge.put_stored(FILES, &forged);
    for way in [&["verify", "latest"][..], &["restore", "latest", "--to-directory", "out"]] {
        let run = harmless(&app, "an index", way, &[4]);
        assert!(format!("{}{}", run.stdout, run.stderr).contains("longer than one of its stored size"), "{run:?}");
    }
}

#[test]
fn an_index_that_lies_elsewhere_or_says_too_much_is_refused() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let good = forge.manifest.clone();
    for (offset, length) in [
        (0, u64::MAX),
        (u64::MAX, u64::MAX),
        (u64::MAX, 1),
        (0, 4 << 30),
        (1, 100),
        (0, 0),
        (0, 33),
        (i64::MAX as u64, 0),
    ] {
        forge.manifest = good.clone();
        let index = &mut forge.component(FILES)["index"];
        (index["offset"], index["length"]) = (offset.into(), length.into());
        forge.save();
        for way in [&["verify", "latest"][..], &["restore", "latest", "--to-directory", "out"]] {
            harmless(&app, &format!("{offset} {length}"), way, &[4]);
        }
    }
}

#[test]
fn a_member_that_claims_too_much_or_holds_more_than_it_claims_is_damage() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let raw = [header("void", b'0', "", 1 << 20), vec![7; 1 << 20]].concat();
    let good = forge.open(FILES).encode();
    for claim in [u32::MAX, (2 << 20) + 1, raw.len() as u32 - 1, raw.len() as u32 + 1, 0] {
        let mut forged = finish(Vec::new(), Vec::new());
        forged.bytes = [member(&raw, Some(claim)), good.bytes.clone()].concat();
        forged.text.clone_from(&good.text);
        forged.index = (forged.bytes.len() - good.bytes.len() + good.index.0, good.index.1);
        forge.put_stored(FILES, &forged);
        harmless(&app, &claim.to_string(), &["verify", "latest"], &[4]);
    }
}

#[test]
fn an_extension_header_of_any_length_is_not_held_in_memory() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let good = forge.open(FILES);
    for kind in *b"xLK" {
        let mut forged = good.clone();
        // The header, and what it says it is followed by.
        let before = extension(kind, &vec![b'a'; MANY << 20]);
        forged.entries.push(Entry { before, line: None, ..Entry::file("uploads/x", b"") });
        forge.put(FILES, &forged);
        let run = harmless(&app, "an extension", &["verify", "latest"], &[4]);
        assert!(run.stdout.contains("too long to be one"), "{}", run.stdout);
    }
}

#[test]
fn what_is_no_file_in_the_place_of_one_keeps_nobody_waiting() {
    let pipe = |app: &App, path: &str| {
        let _ = std::fs::remove_file(app.path(path));
        assert!(Command::new("mkfifo").arg(app.path(path)).status().unwrap().success());
    };
    let app = clinic();
    let id = &app.ids()[0];
    pipe(&app, &format!("backups/daily/{id}/{DATABASE}"));
    harmless_in_time(&app, &["verify", "latest"], 4);
    harmless_in_time(&app, &["restore", "latest", "--to-directory", "out"], 4);
    for kind in ["verified", "held"] {
        pipe(&app, &format!("backups/metadata/facts/{id}.{kind}.json"));
    }
    pipe(&app, "backups/journal/x.jsonl");
    pipe(&app, &format!("backups/metadata/failed/{id}.json"));
    let list = harmless_in_time(&app, &["--json", "list"], 0);
    assert_eq!(list["unreadable"].as_array().unwrap().len(), 4, "{list}");
    pipe(&app, &format!("backups/metadata/{id}.json"));
    harmless_in_time(&app, &["--json", "list"], 0);
    harmless_in_time(&app, &["show", id], 4);
    pipe(&app, "backups/repository.json");
    harmless_in_time(&app, &["list"], 1);
}

/// Pipes cannot be compared: only the code and the time count.
#[track_caller]
fn harmless_in_time(app: &App, args: &[&str], code: i32) -> serde_json::Value {
    let run = super::surroundings::limited(app, args).expect(code);
    serde_json::from_str(&run.stdout).unwrap_or_default()
}

#[test]
fn manifests_facts_and_journals_without_end_are_listed_as_unreadable() {
    let app = clinic();
    let id = app.ids()[0].clone();
    for path in [
        format!("backups/metadata/{id}.json"),
        format!("backups/metadata/failed/{id}.json"),
        "backups/journal/2026-01-01T00-00-00-000Z.jsonl".to_owned(),
        format!("backups/metadata/facts/{id}.held.json"),
    ] {
        let is_manifest = path.ends_with(&format!("metadata/{id}.json"));
        let before = is_manifest.then(|| std::fs::read(app.path(&path)).unwrap());
        let huge = std::fs::File::create(app.path(&path)).unwrap();
        huge.set_len((MANY as u64) << 20).unwrap();
        let list = harmless(&app, &path, &["--json", "list"], &[0]).json();
        assert_eq!(list["unreadable"].as_array().unwrap().len(), 1, "{path}: {list}");
        harmless(&app, &path, &["prune", "--dry-run"], &[5]);
        harmless(&app, &path, &["show", &id], &[if is_manifest { 4 } else { 0 }]);
        std::fs::remove_file(app.path(&path)).unwrap();
        before.into_iter().for_each(|body| app.write(&path, &body));
    }
}

const SEALED: &str = "installation: i\nrepository: {location: ./backups, encryption: {passphrase: correct-horse}}
uploads: [{root: ./uploads}]\nmodules: {core: {required: true, fileUploads: [letters]}}\n";

#[test]
fn an_age_file_that_asks_for_too_much_work_or_has_no_end_of_its_header_is_damage() {
    let app = App::new(SEALED);
    app.write("uploads/letters/a.txt", b"letter");
    std::fs::create_dir(app.path("tmp")).unwrap();
    app.run(&["create"]).expect(0);
    let archive = format!("{FILES}.age");
    let mut forge = Forge::of(&app);
    let good = std::fs::read(app.backup(&app.ids()[0]).join(&archive)).unwrap();
    let at = good.windows(4).position(|w| w == b" 15\n").unwrap();
    let mut greedy = good.clone();
    greedy[at + 1..at + 3].copy_from_slice(b"20");
    let endless = [b"age-encryption.org/v1\n".to_vec(), b"-> x aaaaaaaaaaaaaaaa\n\n".repeat(1 << 20)].concat();
    for (what, bytes) in [("work", greedy), ("header", endless), ("nothing", Vec::new())] {
        let index = forge.component(&archive)["index"].clone();
        let stored = super::forge::Stored { bytes, index: (0, 0), text: Vec::new() };
        forge.put_stored(&archive, &stored);
        forge.component(&archive)["index"] = index;
        forge.save();
        harmless(&app, what, &["verify", "latest"], &[4]);
        harmless(&app, what, &["restore", "latest", "--to-directory", "out"], &[4]);
    }
}
