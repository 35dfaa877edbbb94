//! What an index line must be. An archive may come from anywhere: what no writer of ours would say is refused here, before
//! anything believes it. So a path that passes stays in its folder, and no entry lies below a link.

use super::escape::{entry_path, part_path};
use super::index::IndexEntry;
use super::member::{MAX_RAW, MIN_STORED};
use super::tar_header::from_hex;
use super::writer::RESTORE_PATH;
use crate::error::{Error, Kind, Result};
use crate::source::{EntryName, FileKind, FileRecord};
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_128;

/// The most bytes that a member makes of one.
const MOST_INFLATED: u64 = (MAX_RAW / MIN_STORED) as u64;

/// The most raw bytes before data in its first member: headers, with extended attributes.
const MOST_SKIPPED: u64 = 64 << 20;

/// The longest name in a folder (`NAME_MAX`), and the longest text of a link (`PATH_MAX`).
const LONGEST_NAME: usize = 255;
const LONGEST_LINK: usize = 4095;

/// The number that no user and no group has: the kernel reads it as "leave it as it is".
const NOBODY: u32 = u32::MAX;

/// Takes the lines of one index.
#[derive(Debug)]
pub struct Gate {
    /// Where the index begins: data lies before.
    end: u64,
    /// Hashes of paths, the last bit of each saying whether it is a directory. Half a million paths would be too many to
    /// keep.
    seen: Vec<u128>,
    /// Hashes of the folders that entries are in, without that bit.
    folders: HashSet<u128>,
    /// The folder of the entry before.
    last: Vec<u8>,
}

impl Gate {
    /// For an index that begins at `end`.
    pub fn new(end: u64) -> Self {
        Self { end, seen: Vec::new(), folders: HashSet::new(), last: Vec::new() }
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
        let path = without_slash(&path);
        self.seen.push(hash_of(path) | u128::from(is_directory));
        let folder = path.rsplitn(2, |b| *b == b'/').nth(1).unwrap_or_default();
        if folder != self.last {
            self.folders.extend(parents(path).map(hash_of));
            self.last = folder.to_vec();
        }
        Ok(())
    }

    /// Looks at all of them together: what is wrong, if anything.
    pub fn close(mut self) -> Option<Suspect> {
        self.seen.sort_unstable();
        let twice =
            self.seen.windows(2).find(|pair| pair[0] | 1 == pair[1] | 1).map(|pair| Suspect::Twice(pair[0] & !1));
        let is_file = |hash: &&u128| **hash & 1 == 0;
        let below = || self.seen.iter().filter(is_file).find(|hash| self.folders.contains(hash));
        twice.or_else(|| below().map(|hash| Suspect::Below(*hash)))
    }
}

/// A path that is in an index as it must not be, by its hash.
#[derive(Debug, Clone, Copy)]
pub enum Suspect {
    /// It is there twice.
    Twice(u128),
    /// It is no directory, and an entry lies below it.
    Below(u128),
}

impl Suspect {
    /// Finds it among the lines: the error that names it.
    pub fn find(self, mut lines: impl Iterator<Item = Result<IndexEntry>>) -> Error {
        let (what, hash) = match self {
            Self::Twice(hash) => ("is in the index twice", hash),
            Self::Below(hash) => ("lies below something that is no directory", hash),
        };
        let is_it = |line: &IndexEntry| {
            let Ok(path) = line.raw_path() else { return false };
            match self {
                Self::Twice(_) => hash_of(without_slash(&path)) == hash,
                Self::Below(_) => parents(without_slash(&path)).any(|parent| hash_of(parent) == hash),
            }
        };
        match lines.find(|line| line.as_ref().map_or(true, is_it)) {
            Some(Ok(line)) => damaged(&line, what),
            Some(Err(error)) => error,
            None => Error::new(Kind::Damaged, format!("an entry {what}")),
        }
    }
}

/// The hash of a path; its last bit is free.
pub fn hash_of(path: &[u8]) -> u128 {
    xxh3_128(path) & !1
}

/// The folders that a path is in.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at])
}

fn damaged(line: &IndexEntry, what: &str) -> Error {
    Error::new(Kind::Damaged, format!("the entry '{}' {what}", line.path.escape_debug()))
        .hint("the archive was made by something else, or to do harm: do not unpack it by other means either")
}

/// A path as it is compared.
pub fn without_slash(path: &[u8]) -> &[u8] {
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
        && record.uid != NOBODY
        && record.gid != NOBODY
        && record.mtime.1 < 1_000_000_000
        && record.xattrs.iter().all(is_sound_xattr)
}
