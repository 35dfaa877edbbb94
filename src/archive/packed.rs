//! Index lines of files, held compressed: an archive has half a million of them, and whoever restores one file or reads the
//! stream from front to back looks at few of them at a time.

use super::index::IndexEntry;
use crate::error::{Error, Kind, Result};
use std::sync::{Arc, Mutex, PoisonError};
use zstd::bulk::{compress, decompress};

/// Lines that are compressed together. What is fewer is held as it reads.
const LINES: usize = 512;

/// The entries of the files of an archive, in its order.
#[derive(Debug, Default)]
pub struct FileEntries {
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

impl FileEntries {
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
        let Some(pack) = self.packs.get(number) else { return self.last.get(at % LINES) };
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
        let mut entries = FileEntries::default();
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
}
