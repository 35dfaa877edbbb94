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
use super::spool::IndexSpool;
use super::tar_header::{data_header, padding, to_hex};
use super::unit::UnitOutput;
use crate::error::{Error, Kind, Result};
use crate::keys::Recipients;
use crate::pipeline::{BLOCK_SIZE, Cancel, Pending, Pool, Throttle};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Path of the archive's last entry.
pub const INDEX_PATH: &str = ".index.jsonl";

/// Path of the archive's first entry.
pub const RESTORE_PATH: &str = "RESTORE.txt";

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
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
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
    pub index: IndexSpool,
}

/// Where data begins: a member's number and the raw bytes to skip in it. The number becomes an offset at the end,
/// when every member's size is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub member: u64,
    pub skip: u64,
}

impl<'p> ArchiveWriter<'p> {
    /// Begins an archive in `file` with `RESTORE.txt`.
    ///
    /// # Errors
    /// When the output thread cannot be started.
    pub fn begin(file: File, pool: &'p Pool, cancel: Cancel, beginning: Beginning<'_>) -> Result<Self> {
        let Beginning { mtime, restore_text, recipients, throttle } = beginning;
        let state = Assembler { tail: Vec::new(), members: 0, index: IndexSpool::default() };
        let output = OutputThread::start(file, recipients)?;
        let is_sealed = !recipients.is_empty();
        let throttle = throttle.cloned();
        let writer = Self { pool, cancel, mtime, is_sealed, throttle, state: Mutex::new(state), output };
        let place = writer.append_small(RESTORE_PATH, restore_text.as_bytes())?;
        let entry = IndexEntry::new(RESTORE_PATH, place.member, place.skip, restore_text.as_bytes());
        writer.lock().index.push(&entry)?;
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
        index.for_each_line(&offsets, |line| {
            length += line.len() as u64;
            Ok(())
        })?;
        state.tail.extend_from_slice(&data_header(INDEX_PATH, length, mtime)?);
        state.flush(pool, &output)?;
        let first = state.members;
        let mut hash = Sha256::new();
        index.for_each_line(&offsets, |line| {
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
        let Written { size, sha256, length, offsets } = output.finish()?;
        let offset = |member: u64| usize::try_from(member).ok().and_then(|m| offsets.get(m)).copied().unwrap_or(length);
        let index_length = offset(end) - offset(first);
        // No restore would read it.
        if reads > longest(index_length) {
            return Err(Error::new(Kind::Source, "paths so long and so alike cannot be kept in an index")
                .hint("give each of its directories a module or an extraFiles entry of its own"));
        }
        Ok(Finished { size, sha256, index_offset: offset(first), index_length, index_sha256: to_hex(&hash.finalize()) })
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

    /// Appends `size` bytes of `body`; what `body` lacks is zeros. Holds the archive until it is done, because the
    /// header with the size is already written.
    pub(super) fn append_streamed(
        &self,
        header: &[u8],
        size: u64,
        body: &mut dyn Read,
    ) -> Result<(Place, String, Option<String>)> {
        let mut state = self.lock();
        state.tail.extend_from_slice(header);
        let place = state.place();
        let mut hash = Sha256::new();
        let mut torn = None;
        let mut left = size;
        while left > 0 {
            let begin = state.tail.len();
            let room = BLOCK_SIZE.saturating_sub(begin).max(4096);
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(room);
            self.pass(want)?;
            state.tail.resize(begin + want, 0);
            if torn.is_none() {
                torn = fill(body, &mut state.tail[begin..]).err();
            }
            hash.update(&state.tail[begin..]);
            left -= want as u64;
            state.flush_full(self.pool, &self.output)?;
        }
        state.end_entry(size, self.pool, &self.output)?;
        Ok((place, to_hex(&hash.finalize()), torn))
    }
}

/// Fills `buffer`; on failure the rest stays zero and the reason is told.
fn fill(body: &mut dyn Read, mut buffer: &mut [u8]) -> Result<(), String> {
    while !buffer.is_empty() {
        match body.read(buffer) {
            Ok(0) => return Err("it became shorter while it was read".into()),
            Ok(n) => buffer = &mut buffer[n..],
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(())
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
