//! Reads an archive: its index, and any entry by seeking.

use super::index::{IndexEntry, longest};
use super::member::{self, Decoder, HEADER_LEN, Sizes};
use super::packed::PackedEntries;
use super::sound::Gate;
use super::storage::Storage;
use super::tar_header::to_hex;
use crate::error::{Context, Error, Kind, Result};
use crate::keys::Identities;
use crate::source::{EntryName, Input};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What is left to who finds an archive damaged.
const ELSEWHERE: &str = "`backup verify` says what else is damaged; an older backup (`--before WHEN`, or its id) or another copy of \
                         the repository may still have it";

/// An opened archive with its index.
#[derive(Debug)]
pub struct ArchiveReader {
    storage: Storage,
    path: PathBuf,
    /// Bytes of the archive, decrypted where it is encrypted.
    size: u64,
    is_sealed: bool,
    /// What engines stored, and the way to restore.
    entries: Vec<IndexEntry>,
    files: PackedEntries,
    /// The member that small entries were last read from. Hundreds of them share one, and are read one by one.
    shared: Mutex<Option<SharedMember>>,
}

/// A decompressed member.
#[derive(Debug, Clone)]
struct SharedMember {
    offset: u64,
    next: u64,
    data: Arc<Vec<u8>>,
}

/// Entries up to this size are read by way of the shared member.
const SMALL: u64 = 512 << 10;

/// Where an archive's index is, and its SHA-256 in hexadecimal.
#[derive(Debug, Clone, Copy)]
pub struct IndexAt<'a> {
    /// Offset of its first member.
    pub offset: u64,
    /// Stored bytes of its members.
    pub length: u64,
    /// SHA-256 of it as it reads.
    pub sha256: &'a str,
}

impl ArchiveReader {
    /// Opens `path` and reads its index, which must be as the manifest says. `keys` open an encrypted one; none: it
    /// is in clear.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the index is not as recorded, [`Kind::Io`] when the file cannot be read, [`Kind::Key`]
    /// when none of the keys opens it.
    pub fn open(path: &Path, at: IndexAt<'_>, keys: Option<Arc<Identities>>) -> Result<Self> {
        let is_sealed = keys.is_some();
        let (storage, size) = Storage::open(path, keys).context(|| format!("{} cannot be opened", path.display()))?;
        let (path_kept, shared) = (path.to_owned(), Mutex::new(None));
        let mut reader = Self {
            storage,
            path: path_kept,
            size,
            is_sealed,
            entries: Vec::new(),
            files: PackedEntries::default(),
            shared,
        };
        (reader.entries, reader.files) =
            reader.read_index(at).context(|| format!("the index of {} cannot be read", path.display()))?;
        Ok(reader)
    }

    fn read_index(&self, at: IndexAt<'_>) -> Result<(Vec<IndexEntry>, PackedEntries)> {
        let damaged = |what: &str| Error::new(Kind::Damaged, what.to_owned());
        let end = at.offset.checked_add(at.length).filter(|end| *end <= self.size);
        let end = end.ok_or_else(|| damaged("the archive is shorter than its index's place"))?;
        // Before any of it is held: the members say themselves how long they read.
        let mut length = 0;
        let mut members = Members::new(self, at.offset, end);
        while let Some(sizes) = members.hop()? {
            length += sizes.raw as u64;
        }
        if length > longest(at.length) {
            return Err(damaged("the index reads longer than one of its stored size does"));
        }
        let mut gate = Gate::new(at.offset);
        let (mut entries, mut files) = (Vec::new(), PackedEntries::default());
        let mut admit = |line: &[u8]| -> Result<()> {
            let entry: IndexEntry =
                serde_json::from_slice(line).map_err(|e| damaged("an index line is unreadable").cause(e))?;
            gate.admit(&entry)?;
            if entry.file.is_some() {
                return files.push(line);
            }
            entries.push(entry);
            Ok(())
        };
        let mut hash = Sha256::new();
        let mut members = Members::new(self, at.offset, end);
        let (mut block, mut cut) = (Vec::new(), Vec::new());
        while members.next(&mut block)? {
            hash.update(&block);
            let mut rest = block.as_slice();
            while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                cut.extend_from_slice(&rest[..end]);
                admit(&cut)?;
                cut.clear();
                rest = &rest[end + 1..];
            }
            cut.extend_from_slice(rest);
        }
        if !cut.is_empty() || to_hex(&hash.finalize()) != at.sha256 {
            return Err(damaged("the index differs from what was recorded"));
        }
        if let Some(suspect) = gate.close() {
            let lines = entries.iter().cloned().map(Ok).chain(files.iter());
            return Err(suspect.find(lines));
        }
        Ok((entries, files))
    }

    /// Every entry that is no file, in the order of the archive: what engines stored.
    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// Every file, directory and link, in the order of the archive.
    pub fn files(&self) -> &PackedEntries {
        &self.files
    }

    /// The archive's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens one entry. Its SHA-256 is checked at its end; reading to the end fails unless it matches.
    pub fn entry<'a>(&'a self, entry: &'a IndexEntry) -> EntryReader<'a> {
        EntryReader {
            entry,
            members: Members::new(self, entry.offset, self.size),
            block: Arc::default(),
            at: 0,
            skip: entry.skip,
            left: entry.size,
            hash: Some(Sha256::new()),
        }
    }

    /// The entries that hold `name`, parts in order.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when there is none, or a part is lacking.
    pub fn parts(&self, name: &EntryName) -> Result<Vec<&IndexEntry>> {
        let mut parts: Vec<_> = self.entries.iter().filter(|entry| entry.name.as_ref() == Some(name)).collect();
        parts.sort_by_key(|entry| entry.part);
        let whole = match parts.as_slice() {
            [only] => only.part.is_none() || (only.part == Some(1) && only.parts == Some(1)),
            [] => false,
            many => {
                let last = many.last().and_then(|entry| entry.parts).and_then(|n| usize::try_from(n).ok());
                last == Some(many.len()) && many.iter().zip(1u32..).all(|(entry, n)| entry.part == Some(n))
            }
        };
        if whole {
            return Ok(parts);
        }
        let what =
            format!("{} holds no whole entry {}/{}{}", self.path.display(), name.directory, name.stem, name.suffix);
        Err(Error::new(Kind::Damaged, what))
    }
}

impl Input for ArchiveReader {
    fn identity(&self) -> String {
        self.path.display().to_string()
    }

    fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    fn open(&self, name: &EntryName) -> Result<Box<dyn Read + Send + '_>> {
        let mut parts = self.parts(name)?.into_iter();
        let part = parts.next().map(|entry| self.entry(entry));
        Ok(Box::new(Joined { archive: self, part, parts }))
    }

    fn holding(&self, _collection: &str) -> Option<&dyn Input> {
        // Alone, it is all there is.
        Some(self)
    }
}

/// Reads members one after the other, by the size each says of itself.
pub(super) struct Members<'a> {
    archive: &'a ArchiveReader,
    offset: u64,
    end: u64,
    stored: Vec<u8>,
    decoder: Decoder,
}

impl<'a> Members<'a> {
    fn new(archive: &'a ArchiveReader, offset: u64, end: u64) -> Self {
        Self { archive, offset, end, stored: Vec::new(), decoder: Decoder::default() }
    }

    /// All of an archive.
    pub(super) fn all(archive: &'a ArchiveReader) -> Self {
        Self::new(archive, 0, archive.size)
    }

    /// Decompresses the next member into `block`; false at the end.
    pub(super) fn next(&mut self, block: &mut Vec<u8>) -> Result<bool> {
        let at = self.offset;
        let Some((header, sizes)) = self.header()? else { return Ok(false) };
        let mut stored = std::mem::take(&mut self.stored);
        stored.resize(sizes.stored, 0);
        stored[..HEADER_LEN].copy_from_slice(&header);
        let rest = at + HEADER_LEN as u64;
        self.archive.storage.read_exact_at(&mut stored[HEADER_LEN..], rest, &self.archive.path)?;
        let decoded = self.decoder.decode(&stored, block);
        self.stored = stored;
        decoded.map_err(|e| {
            e.context(format!("{} is damaged at byte {at}", self.archive.path.display())).hint(ELSEWHERE)
        })?;
        self.offset += sizes.stored as u64;
        Ok(true)
    }

    /// Passes over the next member; none at the end.
    fn hop(&mut self) -> Result<Option<Sizes>> {
        let header = self.header()?;
        Ok(header.map(|(_, sizes)| {
            self.offset += sizes.stored as u64;
            sizes
        }))
    }

    /// The next member's header; none at the end.
    fn header(&self) -> Result<Option<([u8; HEADER_LEN], Sizes)>> {
        let at = self.offset;
        if at == self.end {
            return Ok(None);
        }
        let damaged =
            |e: Error| e.context(format!("{} is damaged at byte {at}", self.archive.path.display())).hint(ELSEWHERE);
        let cut = || damaged(Error::new(Kind::Damaged, "a compressed block is cut"));
        let mut header = [0; HEADER_LEN];
        if self.end.saturating_sub(at) < HEADER_LEN as u64 {
            return Err(cut());
        }
        self.archive.storage.read_exact_at(&mut header, at, &self.archive.path)?;
        let sizes = member::sizes(&header).map_err(damaged)?;
        if self.end - at < sizes.stored as u64 { Err(cut()) } else { Ok(Some((header, sizes))) }
    }
}

/// Reads the data of one entry.
pub struct EntryReader<'a> {
    entry: &'a IndexEntry,
    members: Members<'a>,
    block: Arc<Vec<u8>>,
    at: usize,
    skip: u64,
    left: u64,
    hash: Option<Sha256>,
}

impl std::fmt::Debug for EntryReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EntryReader({})", self.entry.path)
    }
}

impl EntryReader<'_> {
    fn next_block(&mut self) -> Result<bool> {
        if self.entry.size > SMALL {
            return self.members.next(Arc::make_mut(&mut self.block));
        }
        let slot = &self.members.archive.shared;
        let offset = self.members.offset;
        let held = slot.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|held| held.offset == offset);
        let held = match held {
            Some(held) => held,
            None => {
                let mut data = Vec::new();
                if !self.members.next(&mut data)? {
                    return Ok(false);
                }
                let read = SharedMember { offset, next: self.members.offset, data: Arc::new(data) };
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
                read
            }
        };
        self.members.offset = held.next;
        self.block = held.data;
        Ok(true)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let damaged = |what: &str| Error::new(Kind::Damaged, format!("{} {what}", self.entry.path.escape_debug()));
        if self.left == 0 {
            if let Some(hash) = self.hash.take()
                && to_hex(&hash.finalize()) != self.entry.sha256
            {
                return Err(damaged("differs from what was recorded"));
            }
            return Ok(0);
        }
        while self.at == self.block.len() {
            if !self.next_block()? {
                return Err(damaged("is cut: the archive ends within it"));
            }
            let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.block.len());
            self.at = skip;
            self.skip -= skip as u64;
        }
        let here = &self.block[self.at..];
        let n = here.len().min(buffer.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        buffer[..n].copy_from_slice(&here[..n]);
        if let Some(hash) = &mut self.hash {
            hash.update(&here[..n]);
        }
        self.at += n;
        self.left -= n as u64;
        Ok(n)
    }
}

impl Read for EntryReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() { Ok(0) } else { self.fill(buffer).map_err(std::io::Error::other) }
    }
}

/// The parts of an entry as one stream. One is open at a time: each holds a member, and there may be thousands.
struct Joined<'a> {
    archive: &'a ArchiveReader,
    part: Option<EntryReader<'a>>,
    parts: std::vec::IntoIter<&'a IndexEntry>,
}

impl Read for Joined<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while let Some(part) = &mut self.part {
            match part.read(buffer)? {
                0 if !buffer.is_empty() => self.part = self.parts.next().map(|entry| self.archive.entry(entry)),
                n => return Ok(n),
            }
        }
        Ok(0)
    }
}

/// The error inside an `io::Error` that our own readers made, or damage.
pub fn from_io(error: std::io::Error, what: &str) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours.context(what),
        Err(other) => Error::new(Kind::Damaged, what).cause(other),
    }
}
