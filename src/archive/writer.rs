//! Writes an archive: entries in, compressed members out, in order, hashed as they go.
//!
//! ```text
//!  reader threads ─► StreamWriter ─► Pool (compress) ─┐ whole parts
//!  small entries, files ─► tail ─► Pool (compress) ───┴► queue of pending members ─► output thread ─► file, SHA-256
//! ```
//!
//! The raw tar stream is cut into members. Small entries share a member; a part of a large collection begins a member
//! of its own, so its blocks can be compressed while it still grows. A tar header needs the size first, so a part is
//! held, compressed, until it is whole: at most [`super::unit::PART_SIZE`] per reader, which bounds memory.

use super::index::{IndexEntry, longest};
use super::output::{Message, OutputThread, Written};
use super::packed::PackedEntries;
use super::proof::{Stored, Sum};
use super::tar_header::{data_header, padding, to_hex};
use super::unit::UnitOutput;
use crate::error::{Error, Kind, Result};
use crate::keys::Recipients;
use crate::pipeline::{BLOCK_SIZE, Body, BodyEnd, Cancel, Pending, Piece, Pool, Throttle};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Path of the archive's last entry.
pub const INDEX_PATH: &str = ".index.jsonl";

/// Path of the archive's first entry.
pub const RESTORE_PATH: &str = "RESTORE.txt";

/// A body, or a piece of one, from this length on begins a member of its own.
const LONG: usize = BLOCK_SIZE / 2;

/// An archive that is being written. Dropping it without [`ArchiveWriter::finish`] leaves a file without an end,
/// which no manifest names.
#[derive(Debug)]
pub struct ArchiveWriter<'p> {
    pub(super) pool: &'p Pool,
    pub(super) cancel: Cancel,
    pub(super) mtime: i64,
    pub(super) is_sealed: bool,
    throttle: Option<Arc<Throttle>>,
    state: Mutex<Assembler>,
    output: OutputThread,
}

/// What an archive is begun with.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    /// Time of the entries that engines store: seconds since 1970.
    pub mtime: i64,
    /// The text of `RESTORE.txt`.
    pub restore_text: &'a str,
    /// To whom it is encrypted; nobody: it is in clear.
    pub recipients: &'a Recipients,
    /// What holds the run to so many bytes of data a second.
    pub throttle: Option<&'a Arc<Throttle>>,
}

/// A finished archive.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The file.
    pub stored: Stored,
    /// Its sum, as it was written.
    pub written: Sum,
    /// That of what was read again by now.
    pub reread: Sum,
    /// Offset of the first member that holds index data and nothing else, in the decrypted archive.
    pub index_offset: u64,
    /// Stored bytes of those members.
    pub index_length: u64,
    /// SHA-256 of the index as it reads, hexadecimal.
    pub index_sha256: String,
}

/// Puts the raw tar stream in order.
#[derive(Debug)]
pub(super) struct Assembler {
    /// Raw bytes that are in no member yet.
    tail: Vec<u8>,
    /// Members sent so far.
    members: u64,
    pub index: PackedEntries,
}

/// Where data begins: a member's number and the raw bytes to skip in it. The number becomes an offset at the end,
/// when every member's size is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub member: u64,
    pub skip: u64,
}

impl<'p> ArchiveWriter<'p> {
    /// Begins an archive in `file`, which is at `path`, with `RESTORE.txt`.
    ///
    /// # Errors
    /// When the output thread cannot be started.
    pub fn begin(file: File, path: &Path, pool: &'p Pool, cancel: Cancel, beginning: Beginning<'_>) -> Result<Self> {
        let Beginning { mtime, restore_text, recipients, throttle } = beginning;
        let state = Assembler { tail: Vec::new(), members: 0, index: PackedEntries::default() };
        let output = OutputThread::start(file, path, recipients, &cancel)?;
        let is_sealed = !recipients.is_empty();
        let throttle = throttle.cloned();
        let writer = Self { pool, cancel, mtime, is_sealed, throttle, state: Mutex::new(state), output };
        let place = writer.append_small(RESTORE_PATH, restore_text.as_bytes())?;
        let entry = IndexEntry::new(RESTORE_PATH, place.member, place.skip, restore_text.as_bytes());
        writer.lock().index.add(&entry)?;
        Ok(writer)
    }

    /// An output for one unit of work. Its entries enter the index when it is committed, and never otherwise.
    pub fn unit(&self) -> UnitOutput<'_> {
        UnitOutput::new(self)
    }

    /// Ends the archive: index, end-of-archive blocks, fsync.
    ///
    /// # Errors
    /// When writing fails. The file is then worthless.
    pub fn finish(self) -> Result<Finished> {
        let Self { pool, mtime, state, output, .. } = self;
        let mut state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let index = std::mem::take(&mut state.index);
        // The index needs every member's offset, and its header needs its length: flush, ask, then count before writing.
        state.flush(pool, &output)?;
        let offsets = output.offsets()?;
        let mut length = 0u64;
        index.each_line(&offsets, |line| {
            length += line.len() as u64;
            Ok(())
        })?;
        state.tail.extend_from_slice(&data_header(INDEX_PATH, length, mtime)?);
        state.flush(pool, &output)?;
        let first = state.members;
        let mut hash = Sha256::new();
        index.each_line(&offsets, |line| {
            hash.update(line);
            state.tail.extend_from_slice(line);
            if state.tail.len() >= BLOCK_SIZE { state.flush(pool, &output) } else { Ok(()) }
        })?;
        state.flush(pool, &output)?;
        let end = state.members;
        let reads = length;
        // Padding of the index, then the two zero blocks that end a tar archive.
        state.tail.resize(padding(length) + 1024, 0);
        state.flush(pool, &output)?;
        let Written { stored, written, reread, length, offsets } = output.finish()?;
        let offset = |member: u64| usize::try_from(member).ok().and_then(|m| offsets.get(m)).copied().unwrap_or(length);
        let index_length = offset(end) - offset(first);
        // No restore would read it.
        if reads > longest(index_length) {
            return Err(Error::new(Kind::Source, "paths so long and so alike cannot be kept in an index")
                .hint("give each of its directories a module or an extraFiles entry of its own"));
        }
        let (index_offset, index_sha256) = (offset(first), to_hex(&hash.finalize()));
        Ok(Finished { stored, written, reread, index_offset, index_length, index_sha256 })
    }

    /// Lets `bytes` that a source gave pass, when it is their turn and the run goes on.
    pub(super) fn pass(&self, bytes: usize) -> Result<()> {
        match &self.throttle {
            Some(throttle) => throttle.pass(bytes as u64, &self.cancel),
            None => self.cancel.check(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Assembler> {
        // The state is plain bytes; a panic elsewhere has already failed the run.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a whole entry that shares members with its neighbours.
    pub(super) fn append_small(&self, path: &str, body: &[u8]) -> Result<Place> {
        let header = data_header(path, body.len() as u64, self.mtime)?;
        let mut state = self.lock();
        state.tail.extend_from_slice(&header);
        let place = state.place();
        for piece in body.chunks(BLOCK_SIZE) {
            state.tail.extend_from_slice(piece);
            state.flush_full(self.pool, &self.output)?;
        }
        state.end_entry(body.len() as u64, self.pool, &self.output)?;
        Ok(place)
    }

    /// Appends an entry whose blocks are being compressed already; it begins a member of its own.
    pub(super) fn append_packed(&self, path: &str, size: u64, blocks: Vec<Pending>) -> Result<Place> {
        let header = data_header(path, size, self.mtime)?;
        let mut state = self.lock();
        state.tail.extend_from_slice(&header);
        state.flush(self.pool, &self.output)?;
        let place = state.place();
        for block in blocks {
            state.send(block, self.pool, &self.output)?;
        }
        state.end_entry(size, self.pool, &self.output)?;
        Ok(place)
    }

    /// Appends the `size` bytes that `body` gives. Holds the archive until it is done, because the header with the size
    /// is already written.
    pub(super) fn append_body(&self, header: &[u8], size: u64, body: &mut dyn Body) -> Result<(Place, BodyEnd)> {
        let mut state = self.lock();
        state.tail.extend_from_slice(header);
        if size >= LONG as u64 {
            state.flush(self.pool, &self.output)?;
        }
        let place = state.place();
        let mut given = 0;
        loop {
            match body.next()? {
                Piece::Bytes(bytes) => {
                    self.pass(bytes.len())?;
                    given += bytes.len() as u64;
                    state.append(bytes, self.pool, &self.output)?;
                }
                Piece::End(_) if given != size => {
                    return Err(Error::new(Kind::Internal, format!("a body of {size} bytes gave {given}")));
                }
                Piece::End(end) => {
                    state.end_entry(size, self.pool, &self.output)?;
                    return Ok((place, end));
                }
            }
        }
    }
}

impl Assembler {
    fn place(&self) -> Place {
        Place { member: self.members, skip: self.tail.len() as u64 }
    }

    fn send(&mut self, block: Pending, pool: &Pool, output: &OutputThread) -> Result<()> {
        output.send(Message::Member(block, pool.seat()))?;
        self.members += 1;
        Ok(())
    }

    fn flush(&mut self, pool: &Pool, output: &OutputThread) -> Result<()> {
        if self.tail.is_empty() {
            return Ok(());
        }
        // Another full one follows a full one; of a small archive none is.
        let next = if self.tail.len() >= BLOCK_SIZE { BLOCK_SIZE } else { 0 };
        let raw = std::mem::replace(&mut self.tail, Vec::with_capacity(next));
        for piece in split(raw) {
            let pending = pool.submit(piece)?;
            self.send(pending, pool, output)?;
        }
        Ok(())
    }

    /// A long piece is a member of its own, as it is; of a shorter one a copy shares one.
    fn append(&mut self, piece: Vec<u8>, pool: &Pool, output: &OutputThread) -> Result<()> {
        if piece.len() < LONG {
            self.tail.extend_from_slice(&piece);
            return self.flush_full(pool, output);
        }
        self.flush(pool, output)?;
        self.send(pool.submit(piece)?, pool, output)
    }

    fn flush_full(&mut self, pool: &Pool, output: &OutputThread) -> Result<()> {
        if self.tail.len() >= BLOCK_SIZE { self.flush(pool, output) } else { Ok(()) }
    }

    fn end_entry(&mut self, size: u64, pool: &Pool, output: &OutputThread) -> Result<()> {
        self.tail.resize(self.tail.len() + padding(size), 0);
        self.flush_full(pool, output)
    }
}

/// Cuts a block that a large record made too long into pieces that fit a member, one at a time: the block alone is long.
pub(super) fn split(mut raw: Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        if from == 0 && raw.len() <= super::member::MAX_RAW {
            return Some(std::mem::take(&mut raw)).filter(|raw| !raw.is_empty());
        }
        let piece = &raw[from..raw.len().min(from + BLOCK_SIZE)];
        from += piece.len();
        Some(piece.to_vec()).filter(|piece| !piece.is_empty())
    })
}
