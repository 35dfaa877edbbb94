//! Reads all of an archive from front to back, and holds what is in it against its index.

use super::expected::Expected;
use super::index::IndexEntry;
use super::reader::{ArchiveReader, EntryReader, Members, from_io};
use super::sound;
use super::tar_header::{from_hex, pax_records, to_hex};
use super::writer::INDEX_PATH;
use crate::error::{Error, Kind, Result};
use crate::source::FileKind;
use sha2::{Digest, Sha256};
use std::io::Read;
use tar::EntryType;

/// Extended attributes of a file are some kilobytes. An extension header longer than this is no writer's of ours, and
/// is refused before it is read.
const LONGEST_EXTENSION: u64 = 16 << 20;

/// The raw tar stream, from the first member to the last.
struct RawStream<'a> {
    members: Members<'a>,
    block: Vec<u8>,
    at: usize,
}

impl Read for RawStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.block.len() {
            self.at = 0;
            if !self.members.next(&mut self.block).map_err(std::io::Error::other)? {
                self.block.clear();
                return Ok(0);
            }
        }
        let n = buffer.len().min(self.block.len() - self.at);
        buffer[..n].copy_from_slice(&self.block[self.at..][..n]);
        self.at += n;
        Ok(n)
    }
}

/// What a look at one entry found wrong, if anything.
type Finding = Result<Option<String>>;

/// Looks at one indexed entry and its body, and reads as much of it as it likes.
type Look<'a> = &'a mut dyn FnMut(&IndexEntry, &mut dyn Read) -> Finding;

/// Decompresses the whole archive from front to back and holds the tar entries in it against the index: the same
/// paths, kinds and sizes, the same bytes, nothing lacking, nothing that would harm whoever unpacks it with tar. Parts
/// that no index line names are void and passed over.
/// `each` is called with every indexed entry and its body. Where the stream breaks, what lies behind is read by the
/// index instead, so that every damaged entry is named and no other. Tells `damage` what is wrong, one line each: what is
/// known by then stays known when reading fails later.
///
/// # Errors
/// When the file cannot be read or `each` fails with anything but damage.
pub fn decode_all(
    archive: &ArchiveReader,
    damage: &mut Vec<String>,
    mut each: impl FnMut(&IndexEntry, &mut dyn Read) -> Finding,
) -> Result<()> {
    let mut expected = Expected::of(archive)?;
    let mut stream = RawStream { members: Members::all(archive), block: Vec::new(), at: 0 };
    match walk(&mut stream, &mut each, &mut expected, damage) {
        Ok(()) => {
            for lost in expected.unseen() {
                damage.push(format!("{} is lacking", lost?.path.escape_debug()));
            }
        }
        Err(error) if error.kind == Kind::Damaged => {
            damage.push(error.to_string());
            for line in expected.unseen() {
                let line = line?;
                damage.extend(look_at(archive.entry(&line), &line, &mut each)?);
            }
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn walk(
    stream: &mut RawStream<'_>,
    each: Look<'_>,
    expected: &mut Expected<'_>,
    damage: &mut Vec<String>,
) -> Result<()> {
    let mut saw_index = false;
    let mut tar = tar::Archive::new(&mut *stream);
    let mut extended = Extended::default();
    // Raw: the crate would hold an extension of any size in memory.
    for entry in tar.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        if extended.take(&mut entry)? {
            continue;
        }
        let Extended { path, link } = std::mem::take(&mut extended);
        let path = path.unwrap_or_else(|| entry.path_bytes().into_owned()).trim_suffix_slash();
        let shown = String::from_utf8_lossy(&path).escape_debug().to_string();
        if saw_index {
            damage.push(format!("an entry follows the index: {shown}"));
        }
        if path == INDEX_PATH.as_bytes() {
            saw_index = true;
            continue;
        }
        let line = expected.get(&path)?;
        let kind = line.as_ref().and_then(|line| line.file.as_ref()).map_or(FileKind::File, |record| record.kind);
        if entry.header().entry_type() != entry_type(kind) || !sound::stays_inside(&path) {
            damage.push(format!("{shown} is no entry that an archive holds: do not unpack it with tar"));
        }
        let Some(line) = line else {
            // Void: left by a collection that failed. Its bytes were checked by the members' checksums.
            continue;
        };
        let link = link.or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned)).unwrap_or_default();
        let stored = line.file.as_ref().and_then(|record| record.link.as_deref()).unwrap_or_default();
        if kind == FileKind::Symlink && from_hex(stored)? != link {
            damage.push(format!("{shown} points elsewhere than the index says"));
        }
        let mut body = Hashed { inner: &mut entry, hash: Sha256::new(), size: 0 };
        let finding = each(&line, &mut body)?;
        std::io::copy(&mut body, &mut std::io::sink()).map_err(unreadable)?;
        if body.size != line.size || to_hex(&body.hash.finalize()) != line.sha256 {
            damage.push(format!("{shown} differs from what was recorded"));
        }
        damage.extend(finding.map(|finding| format!("{shown}: {finding}")));
        expected.seen(&path);
    }
    if !saw_index {
        damage.push("the index is lacking: the archive is cut".into());
    }
    // What follows the end-of-archive blocks must still be whole members.
    std::io::copy(stream, &mut std::io::sink()).map_err(unreadable)?;
    Ok(())
}

fn unreadable(error: std::io::Error) -> Error {
    from_io(error, "the tar stream cannot be read")
}

fn entry_type(kind: FileKind) -> EntryType {
    match kind {
        FileKind::File => EntryType::Regular,
        FileKind::Directory => EntryType::Directory,
        FileKind::Symlink => EntryType::Symlink,
    }
}

/// What extension headers say of the entry that follows.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Extended {
    /// Takes an extension header; false where the entry is none.
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<bool> {
        let kind = entry.header().entry_type();
        if !matches!(kind, EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink) {
            return Ok(false);
        }
        let damaged = |what: &str| Error::new(Kind::Damaged, format!("a tar extension header {what}"));
        if entry.size() > LONGEST_EXTENSION {
            return Err(damaged("is too long to be one"));
        }
        let mut body = Vec::new();
        entry.read_to_end(&mut body).map_err(unreadable)?;
        match kind {
            EntryType::XHeader => {
                for (key, value) in pax_records(&body)? {
                    match key {
                        b"path" => self.path = Some(value.to_vec()),
                        b"linkpath" => self.link = Some(value.to_vec()),
                        // Programs disagree on which of two sizes counts, and so on where the next entry begins.
                        b"size" => return Err(damaged("gives a size")),
                        _ => {}
                    }
                }
            }
            EntryType::GNULongName => self.path = Some(body.strip_suffix(b"\0").unwrap_or(&body).to_vec()),
            _ => self.link = Some(body.strip_suffix(b"\0").unwrap_or(&body).to_vec()),
        }
        Ok(true)
    }
}

/// Looks at one entry by its place in the index.
fn look_at(mut body: EntryReader<'_>, line: &IndexEntry, each: Look<'_>) -> Finding {
    let name = line.path.escape_debug();
    let finding = each(line, &mut body)?;
    match std::io::copy(&mut body, &mut std::io::sink()) {
        Ok(_) => Ok(finding.map(|finding| format!("{name}: {finding}"))),
        Err(e) => match from_io(e, "it cannot be read") {
            error if error.kind == Kind::Damaged => Ok(Some(format!("{name}: {error}"))),
            error => Err(error),
        },
    }
}

trait TrimSlash {
    fn trim_suffix_slash(&self) -> Vec<u8>;
}

impl<T: AsRef<[u8]>> TrimSlash for T {
    fn trim_suffix_slash(&self) -> Vec<u8> {
        let bytes = self.as_ref();
        bytes.strip_suffix(b"/").unwrap_or(bytes).to_vec()
    }
}

/// Hashes and counts what is read through it.
struct Hashed<'a> {
    inner: &'a mut dyn Read,
    hash: Sha256,
    size: u64,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.size += n as u64;
        Ok(n)
    }
}
