//! Makes a real backup say something else: as somebody would who has the format's description and no key. Sizes, digests
//! and positions are made to fit, so that nothing but the content gives it away.

use crate::support::app::App;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

/// Raw bytes of a member.
const BLOCK: usize = 1 << 20;

/// A backup under the hammer.
pub struct Forge {
    folder: PathBuf,
    path: PathBuf,
    pub manifest: Value,
}

impl Forge {
    /// The newest backup of an application.
    pub fn of(app: &App) -> Self {
        let id = &app.ids()[0];
        let path = app.path("backups/metadata").join(format!("{id}.json"));
        let manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        Self { folder: app.backup(id), path, manifest }
    }

    /// What the manifest says of an archive.
    pub fn component(&mut self, archive: &str) -> &mut Value {
        let components = self.manifest["components"].as_array_mut().unwrap();
        components.iter_mut().find(|c| c["archive"] == archive).unwrap()
    }

    /// Takes an archive apart.
    pub fn open(&self, archive: &str) -> Archive {
        Archive::read(&std::fs::read(self.folder.join(archive)).unwrap())
    }

    /// Puts an archive in the place of what is there, and makes the manifest fit.
    pub fn put(&mut self, archive: &str, forged: &Archive) {
        self.put_stored(archive, &forged.encode());
    }

    /// The same of one that is put together.
    pub fn put_stored(&mut self, archive: &str, stored: &Stored) {
        std::fs::write(self.folder.join(archive), &stored.bytes).unwrap();
        let component = self.component(archive);
        component["size"] = stored.bytes.len().into();
        component["sha256"] = hex(&Sha256::digest(&stored.bytes)).into();
        component["index"] = json!({
            "offset": stored.index.0, "length": stored.index.1, "sha256": hex(&Sha256::digest(&stored.text)),
        });
        self.save();
    }

    /// Writes the manifest.
    pub fn save(&self) {
        self.save_text(&serde_json::to_vec_pretty(&self.manifest).unwrap());
    }

    /// Writes anything as the manifest.
    pub fn save_text(&self, text: &[u8]) {
        std::fs::write(&self.path, text).unwrap();
    }
}

/// An archive taken apart.
#[derive(Clone)]
pub struct Archive {
    pub entries: Vec<Entry>,
    /// The index as text, in the place of the entries' lines.
    pub index: Option<Vec<u8>>,
}

/// One entry: what tar says of it, and what the index says.
#[derive(Clone)]
pub struct Entry {
    /// The path in the tar header.
    pub path: String,
    /// Type flag of tar.
    pub kind: u8,
    /// Target of a link.
    pub link: String,
    /// Raw tar bytes before its header.
    pub before: Vec<u8>,
    pub body: Vec<u8>,
    /// Its index line, without what follows from its place and body; a field that is there is left as it is.
    pub line: Option<Value>,
}

/// An archive put together: its bytes, where the index is, and what it reads.
pub struct Stored {
    pub bytes: Vec<u8>,
    pub index: (usize, usize),
    pub text: Vec<u8>,
}

impl Entry {
    /// An entry that an engine stores.
    pub fn data(path: &str, line: Value, body: &[u8]) -> Self {
        let (before, link) = (Vec::new(), String::new());
        Self { path: path.into(), kind: b'0', link, before, body: body.into(), line: Some(line) }
    }

    /// A regular file.
    pub fn file(path: &str, body: &[u8]) -> Self {
        Self::data(path, json!({"path": path, "file": record("file")}), body)
    }

    /// A directory.
    pub fn directory(path: &str) -> Self {
        Self { kind: b'5', ..Self::data(path, json!({"path": path, "file": record("directory")}), b"") }
    }

    /// A symbolic link.
    pub fn symlink(path: &str, to: &str) -> Self {
        let mut line = json!({"path": path, "file": record("symlink")});
        line["file"]["link"] = hex(to.as_bytes()).into();
        Self { kind: b'2', link: to.into(), ..Self::data(path, line, b"") }
    }

    /// The same entry with another field in its line: `at` is a JSON pointer.
    pub fn with(mut self, at: &str, value: Value) -> Self {
        let line = self.line.as_mut().unwrap();
        let (parent, key) = at.rsplit_once('/').unwrap();
        line.pointer_mut(parent).unwrap()[key] = value;
        self
    }
}

fn record(kind: &str) -> Value {
    json!({"kind": kind, "mode": 0o644, "uid": 0, "gid": 0, "mtime": [1_700_000_000, 0]})
}

impl Archive {
    fn read(bytes: &[u8]) -> Self {
        let mut raw = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut raw).unwrap();
        let mut found = BTreeMap::new();
        let mut index = Vec::new();
        for entry in tar::Archive::new(raw.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut body = Vec::new();
            entry.read_to_end(&mut body).unwrap();
            if path == ".index.jsonl" {
                index = body;
                continue;
            }
            let link = entry.link_name().unwrap().map(|link| link.to_str().unwrap().to_owned()).unwrap_or_default();
            let (kind, before) = (entry.header().entry_type().as_byte(), Vec::new());
            found.insert(path.trim_end_matches('/').to_owned(), Entry { path, kind, link, before, body, line: None });
        }
        let lines = index.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let entries = lines.map(|line| {
            let mut line: Value = serde_json::from_slice(line).unwrap();
            let mut entry = found.remove(line["path"].as_str().unwrap().trim_end_matches('/')).unwrap();
            ["offset", "skip", "size", "sha256"]
                .iter()
                .for_each(|key| drop(line.as_object_mut().unwrap().remove(*key)));
            entry.line = Some(line);
            entry
        });
        Self { entries: entries.collect(), index: None }
    }

    /// The entry at a path.
    pub fn entry(&mut self, path: &str) -> &mut Entry {
        self.entries.iter_mut().find(|entry| entry.path == path).unwrap()
    }

    /// Puts it together again.
    pub fn encode(&self) -> Stored {
        let (mut bytes, mut text) = (Vec::new(), Vec::new());
        for entry in &self.entries {
            let offset = bytes.len();
            let mut raw = entry.before.clone();
            raw.extend_from_slice(&header(&entry.path, entry.kind, &entry.link, entry.body.len()));
            let skip = raw.len();
            raw.extend_from_slice(&entry.body);
            raw.resize(raw.len().next_multiple_of(512), 0);
            bytes.extend(members(&raw));
            if let Some(line) = &entry.line {
                let mut line = line.clone();
                let facts = [
                    ("offset", offset.into()),
                    ("skip", skip.into()),
                    ("size", entry.body.len().into()),
                    ("sha256", Value::from(hex(&Sha256::digest(&entry.body)))),
                ];
                for (key, value) in facts {
                    line.as_object_mut().unwrap().entry(key).or_insert(value);
                }
                text.extend(serde_json::to_vec(&line).unwrap());
                text.push(b'\n');
            }
        }
        let text = self.index.clone().unwrap_or(text);
        finish(bytes, text)
    }
}

/// Adds index and end.
pub fn finish(mut bytes: Vec<u8>, text: Vec<u8>) -> Stored {
    bytes.extend(members(&header(".index.jsonl", b'0', "", text.len())));
    let offset = bytes.len();
    bytes.extend(members(&text));
    let index = (offset, bytes.len() - offset);
    bytes.extend(members(&vec![0; text.len().next_multiple_of(512) - text.len() + 1024]));
    Stored { bytes, index, text }
}

/// A ustar header.
pub fn header(path: &str, kind: u8, link: &str, size: usize) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::new(kind));
    let old = header.as_old_mut();
    old.name[..path.len()].copy_from_slice(path.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// An extension header and its body.
pub fn extension(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut raw = header("ext", kind, "", body.len());
    raw.extend_from_slice(body);
    raw.resize(raw.len().next_multiple_of(512), 0);
    raw
}

/// A pax record.
pub fn pax(key: &str, value: &str) -> Vec<u8> {
    let length = (1..).find(|n: &usize| n.to_string().len() + key.len() + value.len() + 3 == *n).unwrap();
    format!("{length} {key}={value}\n").into_bytes()
}

/// Bytes as members of a block each.
pub fn members(raw: &[u8]) -> Vec<u8> {
    raw.chunks(BLOCK).flat_map(|block| member(block, None)).collect()
}

/// One gzip member, saying of itself that it holds `claim` bytes.
pub fn member(raw: &[u8], claim: Option<u32>) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).unwrap());
    let mut body = vec![0; compressor.deflate_compress_bound(raw.len())];
    let size = compressor.deflate_compress(raw, &mut body).unwrap();
    let claim = claim.unwrap_or(raw.len() as u32).to_le_bytes();
    let mut crc = libdeflater::Crc::new();
    crc.update(raw);
    let stored = (size as u32 + 32).to_le_bytes();
    let head = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 12, 0, b'B', b'K', 8, 0];
    [&head, stored.as_slice(), &claim, &body[..size], &crc.sum().to_le_bytes(), &claim].concat()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `recordDigest` of some records.
pub fn record_digest(records: &[Vec<u8>]) -> String {
    let sum = records.iter().fold(0u128, |sum, record| sum.wrapping_add(xxhash_rust::xxh3::xxh3_128(record)));
    format!("xxh3-128-sum:{sum:032x}")
}
