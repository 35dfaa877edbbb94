//! What one unit of work stores: whole documents, files, and streams that are cut into parts while they grow.

use super::escape::{entry_path, part_path};
use super::index::IndexEntry;
use super::tar_header::{data_header, file_header, to_hex};
use super::writer::{ArchiveWriter, Place, split};
use crate::error::{Error, Kind, Result};
use crate::pipeline::{Body, Content, Pending, RecordBlock};
use crate::source::{EntryName, FileEntry, FileKind, FileOutcome, FileOutput, Output, RecordStream, StreamTotals};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::sync::{Mutex, PoisonError};

/// Raw bytes of a part, as near as whole blocks come to it.
pub const PART_SIZE: u64 = 16 << 20;

/// A whole stream no longer than this shares a member with its neighbours.
const SMALL: usize = 64 << 10;

/// The output of one unit of work.
#[derive(Debug)]
pub struct UnitOutput<'w> {
    writer: &'w ArchiveWriter<'w>,
    entries: Mutex<Vec<IndexEntry>>,
}

impl<'w> UnitOutput<'w> {
    pub(super) fn new(writer: &'w ArchiveWriter<'w>) -> Self {
        Self { writer, entries: Mutex::new(Vec::new()) }
    }

    /// Makes what the unit stored part of the archive.
    ///
    /// # Errors
    /// When the index cannot be kept.
    pub fn commit(self) -> Result<()> {
        let entries = self.entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.writer.lock();
        entries.iter().try_for_each(|entry| state.index.add(entry))
    }

    fn push(&self, entries: impl IntoIterator<Item = IndexEntry>) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).extend(entries);
    }
}

impl Output for UnitOutput<'_> {
    fn path(&self, name: &EntryName) -> String {
        entry_path(name)
    }

    fn is_sealed(&self) -> bool {
        self.writer.is_sealed
    }

    fn stream(&self, name: &EntryName) -> Result<Box<dyn RecordStream + '_>> {
        Ok(Box::new(StreamWriter {
            unit: self,
            name: name.clone(),
            held: None,
            part: Part::default(),
            done: Vec::new(),
            totals: StreamTotals::default(),
        }))
    }

    fn document(&self, name: &EntryName, body: &[u8]) -> Result<()> {
        let path = entry_path(name);
        let place = self.writer.append_small(&path, body)?;
        let mut entry = IndexEntry::new(&path, place.member, place.skip, body);
        entry.name = Some(name.clone());
        self.push([entry]);
        Ok(())
    }

    fn sized(&self, name: &EntryName, size: u64, body: &mut dyn Read) -> Result<()> {
        let path = entry_path(name);
        let header = data_header(&path, size, self.writer.mtime)?;
        let (place, end) = self.writer.append_body(&header, size, &mut Content::new(body, size))?;
        if let Some(reason) = end.torn {
            return Err(Error::new(Kind::Source, format!("cannot store {}", name.stem)).cause(reason));
        }
        let mut entry = IndexEntry::new(&path, place.member, place.skip, &[]);
        (entry.name, entry.size, entry.sha256) = (Some(name.clone()), size, to_hex(&end.sha256));
        self.push([entry]);
        Ok(())
    }
}

impl FileOutput for UnitOutput<'_> {
    fn file(&mut self, entry: &FileEntry, body: &mut dyn Body) -> Result<FileOutcome> {
        let size = if entry.record.kind == FileKind::File { entry.size } else { 0 };
        let header = file_header(&entry.path, size, &entry.record)?;
        let (place, end) = self.writer.append_body(&header, size, body)?;
        let mut line = IndexEntry::new("", place.member, place.skip, &[]);
        line.set_path(&entry.path);
        (line.size, line.sha256) = (size, to_hex(&end.sha256));
        let mut record = entry.record.clone();
        record.torn = end.torn.is_some();
        line.file = Some(record);
        // At once, for they may be half a million; there is no archive where files cannot be read to their end.
        self.writer.lock().index.add(&line)?;
        Ok(FileOutcome { torn: end.torn })
    }
}

/// A growing stream, cut into parts.
struct StreamWriter<'u> {
    unit: &'u UnitOutput<'u>,
    name: EntryName,
    /// The newest block, where it is small, not yet compressed: when it stays the only one it shares a member.
    held: Option<RecordBlock>,
    part: Part,
    done: Vec<IndexEntry>,
    totals: StreamTotals,
}

/// The part that is growing.
#[derive(Default)]
struct Part {
    blocks: Vec<Pending>,
    hash: Sha256,
    totals: StreamTotals,
}

impl StreamWriter<'_> {
    fn pack(&mut self, block: RecordBlock) -> Result<()> {
        if self.part.totals.bytes > 0 && self.part.totals.bytes + block.bytes.len() as u64 > PART_SIZE {
            self.end_part()?;
        }
        self.part.hash.update(&block.bytes);
        self.part.totals.add_block(&block);
        for piece in split(block.bytes) {
            self.part.blocks.push(self.unit.writer.pool.submit(piece)?);
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<()> {
        let number = u32::try_from(self.done.len() + 1).unwrap_or(u32::MAX);
        let path = part_path(&self.name, number);
        self.store(&path, Some(number))
    }

    fn store(&mut self, path: &str, part: Option<u32>) -> Result<()> {
        let Part { blocks, hash, totals } = std::mem::take(&mut self.part);
        let place = self.unit.writer.append_packed(path, totals.bytes, blocks)?;
        self.add(path, part, place, totals, to_hex(&hash.finalize()));
        Ok(())
    }

    fn add(&mut self, path: &str, part: Option<u32>, place: Place, totals: StreamTotals, sha256: String) {
        let mut entry = IndexEntry::new(path, place.member, place.skip, &[]);
        entry.name = Some(self.name.clone());
        entry.part = part;
        (entry.size, entry.sha256) = (totals.bytes, sha256);
        (entry.records, entry.record_digest) = (Some(totals.records), Some(totals.digest));
        self.done.push(entry);
    }
}

impl RecordStream for StreamWriter<'_> {
    fn write(&mut self, block: RecordBlock) -> Result<()> {
        self.unit.writer.pass(block.bytes.len())?;
        self.totals.add_block(&block);
        if let Some(earlier) = self.held.take() {
            self.pack(earlier)?;
        }
        if block.bytes.len() > SMALL {
            return self.pack(block);
        }
        self.held = Some(block);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<StreamTotals> {
        let last = self.held.take().unwrap_or_default();
        let only = self.done.is_empty() && self.part.blocks.is_empty();
        let path = entry_path(&self.name);
        if only && last.bytes.len() <= SMALL {
            let place = self.unit.writer.append_small(&path, &last.bytes)?;
            let sha256 = to_hex(&Sha256::digest(&last.bytes));
            let totals = self.totals;
            self.add(&path, None, place, totals, sha256);
        } else {
            self.pack(last)?;
            if self.done.is_empty() { self.store(&path, None)? } else { self.end_part()? }
        }
        let parts = u32::try_from(self.done.len()).unwrap_or(u32::MAX);
        if let Some(last) = self.done.last_mut()
            && last.part.is_some()
        {
            last.parts = Some(parts);
        }
        self.unit.push(std::mem::take(&mut self.done));
        Ok(self.totals)
    }
}
