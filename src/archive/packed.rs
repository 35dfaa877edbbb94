//! Index lines, held compressed: an archive has half a million files, and whoever writes it, restores one of them or reads
//! the stream from front to back looks at few of its lines at a time.

use super::index::IndexEntry;
use crate::error::{Error, Kind, Result};
use std::sync::{Arc, Mutex, PoisonError};
use zstd::bulk::{compress, decompress};

/// Lines that are compressed together. What is fewer is held as it reads.
const LINES: usize = 512;

/// Entries of an archive, in its order. A small archive's are held as they read.
#[derive(Debug, Default)]
pub struct PackedEntries {
    packs: Vec<Pack>,
    last: Lines,
    /// The pack that was last asked for: whoever asks for one entry asks for its neighbour next.
    held: Mutex<Option<(usize, Arc<Lines>)>>,
}

/// [`LINES`] lines, compressed.
#[derive(Debug)]
struct Pack {
    stored: Vec<u8>,
    ends: Vec<u32>,
}

/// Lines, one after the other, and where each ends.
#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    ends: Vec<u32>,
}

impl Lines {
    fn get(&self, at: usize) -> Result<IndexEntry> {
        let end = |at: usize| self.ends.get(at).and_then(|end| usize::try_from(*end).ok());
        let from = if at == 0 { Some(0) } else { end(at - 1) };
        let line = from.zip(end(at)).and_then(|(from, end)| self.text.get(from..end));
        let line = line.ok_or_else(|| Error::new(Kind::Internal, "there is no such line in the index"))?;
        serde_json::from_slice(line).map_err(|e| broken(&e))
    }
}

impl PackedEntries {
    /// Adds an entry.
    pub(super) fn add(&mut self, entry: &IndexEntry) -> Result<()> {
        self.push(&serde_json::to_vec(entry).map_err(|e| broken(&e))?)
    }

    /// Adds a line that is known to be one.
    pub(super) fn push(&mut self, line: &[u8]) -> Result<()> {
        self.last.text.extend_from_slice(line);
        self.last.ends.push(u32::try_from(self.last.text.len()).map_err(|e| broken(&e))?);
        if self.last.ends.len() == LINES {
            let Lines { text, ends } = std::mem::take(&mut self.last);
            let mut stored = compress(&text, 1).map_err(|e| broken(&e))?;
            // It was made with room for text that does not compress.
            stored.shrink_to_fit();
            self.packs.push(Pack { stored, ends });
        }
        Ok(())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.packs.len() * LINES + self.last.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them, by its number.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, at: usize) -> Result<IndexEntry> {
        let number = at / LINES;
        let Some(pack) = self.packs.get(number) else { return self.last.get(at - self.packs.len() * LINES) };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = match &*held {
            Some((which, lines)) if *which == number => lines.clone(),
            _ => {
                let length = pack.ends.last().copied().unwrap_or_default() as usize;
                let text = decompress(&pack.stored, length).map_err(|e| broken(&e))?;
                let lines = Arc::new(Lines { text, ends: pack.ends.clone() });
                held.insert((number, lines)).1.clone()
            }
        };
        drop(held);
        lines.get(at % LINES)
    }

    /// Calls `each` with the line of every entry, in order. Until an archive ends its entries give the number of a member;
    /// the lines have the member's offset.
    ///
    /// # Errors
    /// When a member is not among `offsets`, and what `each` returns.
    pub(super) fn each_line(&self, offsets: &[u64], mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut line = Vec::new();
        for entry in self.iter() {
            let mut entry = entry?;
            let member = usize::try_from(entry.offset).ok().and_then(|member| offsets.get(member));
            entry.offset = *member.ok_or_else(|| broken(&"a member was never written"))?;
            line.clear();
            serde_json::to_writer(&mut line, &entry).map_err(|e| broken(&e))?;
            line.push(b'\n');
            each(&line)?;
        }
        Ok(())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<IndexEntry>> + '_ {
        (0..self.len()).map(|at| self.get(at))
    }
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "the index cannot be held").cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_by_its_number_in_little_memory() {
        const COUNT: usize = 20 * LINES + 7;
        let mut entries = PackedEntries::default();
        let mut bytes = 0;
        for number in 0..COUNT {
            let entry = IndexEntry::new(&format!("uploads/documents/{number}.pdf"), 7, 9, &number.to_le_bytes());
            let line = serde_json::to_vec(&entry).unwrap();
            bytes += line.len();
            entries.push(&line).unwrap();
        }
        let path = |number: usize| format!("uploads/documents/{number}.pdf");
        for number in [0, LINES - 1, LINES, 3, COUNT - 8, COUNT - 1] {
            assert_eq!(entries.get(number).unwrap().path, path(number));
        }
        assert!(entries.iter().enumerate().all(|(number, entry)| entry.unwrap().path == path(number)));
        assert_eq!(entries.iter().count(), COUNT);
        assert!(entries.get(COUNT).is_err());
        let held: usize = entries.packs.iter().map(|pack| pack.stored.capacity() + 4 * pack.ends.capacity()).sum();
        assert!(held * 2 < bytes, "{held} of {bytes}");
    }

    #[test]
    fn lines_have_offsets_for_members_and_one_that_was_never_written_is_an_error() {
        let mut entries = PackedEntries::default();
        (0..3u64).for_each(|n| entries.add(&IndexEntry::new("a\nb", n % 2, n, b"")).unwrap());
        let mut seen = Vec::new();
        let each = |line: &[u8]| {
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let entry: IndexEntry = serde_json::from_slice(line).unwrap();
            seen.push((entry.offset, entry.skip));
            Ok(())
        };
        entries.each_line(&[0, 700], each).unwrap();
        assert_eq!(seen, [(0, 0), (700, 1), (0, 2)]);
        assert!(entries.each_line(&[0], |_| Ok(())).is_err());
    }
}
