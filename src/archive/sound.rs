//! What an index line must be. An archive may come from anywhere: what no writer of ours would say is refused here, before
//! anything believes it. So a path that passes stays in its folder, and no entry lies below a link.

use super::escape::{entry_path, part_path};
use super::index::IndexEntry;
use super::member::{MAX_RAW, MIN_STORED};
use super::tar_header::from_hex;
use super::writer::RESTORE_PATH;
use crate::error::{Error, Kind, Result};
use crate::source::{EntryName, FileKind, FileRecord};
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_128;

/// The most bytes that a member makes of one.
const MOST_INFLATED: u64 = (MAX_RAW / MIN_STORED) as u64;

/// The most raw bytes before data in its first member: headers, with extended attributes.
const MOST_SKIPPED: u64 = 64 << 20;

/// The longest name in a folder (`NAME_MAX`), and the longest text of a link (`PATH_MAX`).
const LONGEST_NAME: usize = 255;
const LONGEST_LINK: usize = 4095;

/// Takes the lines of one index.
#[derive(Debug)]
pub struct Gate {
    /// Where the index begins: data lies before.
    end: u64,
    /// By hash of its path, whether an entry is a directory. Half a million paths would be too many to keep.
    seen: HashMap<u128, bool>,
}

impl Gate {
    /// For an index that begins at `end`.
    pub fn new(end: u64) -> Self {
        Self { end, seen: HashMap::new() }
    }

    /// Looks at one line.
    ///
    /// # Errors
    /// [`Kind::Damaged`], naming the entry and what is wrong with it.
    pub fn admit(&mut self, line: &IndexEntry) -> Result<()> {
        let bad = |what: &str| damaged(line, what);
        let path = line.raw_path()?;
        let shown = String::from_utf8_lossy(&path);
        if line.path != shown || (line.path_bytes.is_some() && std::str::from_utf8(&path).is_ok()) {
            return Err(bad("gives its path in two ways that differ"));
        }
        if !stays_inside(&path) {
            return Err(bad("does not stay in its folder"));
        }
        if line.offset >= self.end || line.skip > MOST_SKIPPED || line.size / MOST_INFLATED > self.end {
            return Err(bad("lies where the archive holds no data"));
        }
        let is_digest = line.sha256.len() == 64 && line.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_digest {
            return Err(bad("has no SHA-256"));
        }
        let is_sound = match (&line.name, &line.file) {
            (Some(name), None) => is_sound_name(name) && is_named(line, name),
            (None, Some(record)) => is_sound_record(line, record),
            (None, None) => line.path == RESTORE_PATH,
            (Some(_), Some(_)) => false,
        };
        if !is_sound {
            return Err(bad("is described as no writer of archives does"));
        }
        let is_directory = line.file.as_ref().is_some_and(|record| record.kind == FileKind::Directory);
        if self.seen.insert(xxh3_128(without_slash(&path)), is_directory).is_some() {
            return Err(bad("is in the index twice"));
        }
        Ok(())
    }

    /// Looks at all of them together.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when an entry lies below one that is no directory.
    pub fn close(self, lines: &[IndexEntry]) -> Result<()> {
        for line in lines {
            let path = line.raw_path()?;
            let path = without_slash(&path);
            let mut parents = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at]);
            if parents.any(|parent| self.seen.get(&xxh3_128(parent)) == Some(&false)) {
                return Err(damaged(line, "lies below something that is no directory"));
            }
        }
        Ok(())
    }
}

fn damaged(line: &IndexEntry, what: &str) -> Error {
    Error::new(Kind::Damaged, format!("the entry '{}' {what}", line.path.escape_debug()))
        .hint("the archive was made by something else, or to do harm: do not unpack it by other means either")
}

fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

/// Whether a path stays below wherever it is put, by its text alone.
pub fn stays_inside(path: &[u8]) -> bool {
    let bad = |part: &[u8]| {
        part.is_empty() || part == b"." || part == b".." || part.contains(&0) || part.len() > LONGEST_NAME
    };
    !without_slash(path).split(|b| *b == b'/').any(bad)
}

/// `--to-directory` makes file names of it.
fn is_sound_name(name: &EntryName) -> bool {
    let suffix = name.suffix.strip_prefix('.').unwrap_or_default();
    let is_suffix = !suffix.is_empty() && suffix.bytes().all(|b| b.is_ascii_lowercase() || b == b'.');
    is_suffix && !name.directory.is_empty() && !name.stem.is_empty()
}

/// The path follows from the name.
fn is_named(line: &IndexEntry, name: &EntryName) -> bool {
    match line.part {
        None => line.parts.is_none() && line.path == entry_path(name),
        // One large block is a part of its own, under the name of a whole.
        Some(number) => number > 0 && (line.path == part_path(name, number) || line.path == entry_path(name)),
    }
}

fn is_sound_record(line: &IndexEntry, record: &FileRecord) -> bool {
    let is_sound_link = |link: &String| {
        from_hex(link).is_ok_and(|link| !link.is_empty() && !link.contains(&0) && link.len() <= LONGEST_LINK)
    };
    let of_its_kind = match record.kind {
        FileKind::File => record.link.is_none(),
        FileKind::Directory => record.link.is_none() && line.size == 0,
        FileKind::Symlink => record.link.as_ref().is_some_and(is_sound_link) && line.size == 0,
    };
    let is_sound_xattr = |(name, value): &(String, String)| {
        (1..=LONGEST_NAME).contains(&name.len()) && !name.contains('\0') && from_hex(value).is_ok()
    };
    let is_records = line.part.is_some() || line.parts.is_some() || line.records.is_some();
    of_its_kind
        && !is_records
        && line.record_digest.is_none()
        && record.mode <= 0o7777
        && record.mtime.1 < 1_000_000_000
        && record.xattrs.iter().all(is_sound_xattr)
}
