//! What the stream of an archive must hold by its index, until it was seen.

use super::index::IndexEntry;
use super::packed::PackedEntries;
use super::reader::ArchiveReader;
use super::sound::{hash_of, without_slash};
use crate::error::Result;
use std::collections::HashMap;

/// The entries of an index by their paths, without a slash at the end. Of files the hash of the path alone is held.
pub struct Expected<'a> {
    entries: HashMap<Vec<u8>, &'a IndexEntry>,
    files: &'a PackedEntries,
    /// Hash and number of every file, by hash; the index has none twice.
    numbers: Vec<(u128, u32)>,
    seen: Vec<bool>,
}

impl<'a> Expected<'a> {
    /// All of an archive's.
    pub fn of(archive: &'a ArchiveReader) -> Result<Self> {
        let mut entries = HashMap::with_capacity(archive.entries().len());
        for entry in archive.entries() {
            entries.insert(without_slash(&entry.raw_path()?).to_vec(), entry);
        }
        let files = archive.files();
        let mut numbers = Vec::with_capacity(files.len());
        for (number, file) in (0..).zip(files.iter()) {
            numbers.push((hash_of(without_slash(&file?.raw_path()?)), number));
        }
        numbers.sort_unstable();
        let seen = vec![false; files.len()];
        Ok(Self { entries, files, numbers, seen })
    }

    /// The entry of this path, unless it was seen.
    pub fn get(&self, path: &[u8]) -> Result<Option<IndexEntry>> {
        if let Some(entry) = self.entries.get(path) {
            return Ok(Some((*entry).clone()));
        }
        let Some(number) = self.number(path).filter(|number| !self.seen[*number]) else { return Ok(None) };
        let file = self.files.get(number)?;
        Ok((without_slash(&file.raw_path()?) == path).then_some(file))
    }

    /// It was seen, all of it.
    pub fn seen(&mut self, path: &[u8]) {
        if self.entries.remove(path).is_none()
            && let Some(number) = self.number(path)
        {
            self.seen[number] = true;
        }
    }

    /// Those that were not seen. Units are committed as they end, so the index is not in the order of the stream: this is.
    pub fn unseen(self) -> impl Iterator<Item = Result<IndexEntry>> + 'a {
        let mut entries: Vec<_> = self.entries.into_values().cloned().collect();
        entries.sort_by_key(|entry| (entry.offset, entry.skip));
        let (files, seen) = (self.files, self.seen);
        let files = (0..files.len()).filter(move |number| !seen[*number]).map(move |number| files.get(number));
        entries.into_iter().map(Ok).chain(files)
    }

    fn number(&self, path: &[u8]) -> Option<usize> {
        let hash = hash_of(path);
        let at = self.numbers.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
        usize::try_from(self.numbers[at].1).ok()
    }
}
