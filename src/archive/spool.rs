//! Index lines on their way to the end of an archive: held in memory, compressed, so that half a million files stay small.

use super::index::IndexEntry;
use crate::error::{Error, Kind, Result};
use zstd::bulk;

/// Lines that are held as they are, in bytes: those of a small archive are never compressed.
const OPEN: usize = 256 << 10;

/// Lists of files compress to a fifth with the least effort.
const LEVEL: i32 = 1;

/// Lines that were added so far. Until the end an entry's `offset` is the number of a member.
#[derive(Debug, Default)]
pub struct IndexSpool {
    packed: Vec<Packed>,
    open: Vec<u8>,
}

/// Compressed lines, and how long they are.
#[derive(Debug)]
struct Packed {
    bytes: Vec<u8>,
    raw: usize,
}

impl IndexSpool {
    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written or compressed.
    pub fn push(&mut self, entry: &IndexEntry) -> Result<()> {
        write_line(&mut self.open, entry)?;
        if self.open.len() >= OPEN {
            let mut bytes = bulk::compress(&self.open, LEVEL).map_err(|e| broken(&e))?;
            bytes.shrink_to_fit();
            self.packed.push(Packed { bytes, raw: self.open.len() });
            self.open.clear();
        }
        Ok(())
    }

    /// Calls `each` with every line, in order, member numbers replaced by `offsets`.
    ///
    /// # Errors
    /// When a line cannot be read again, and what `each` returns.
    pub fn for_each_line(&self, offsets: &[u64], mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut line = Vec::new();
        let mut all = |lines: &[u8]| {
            for written in lines.split_inclusive(|byte| *byte == b'\n') {
                let mut entry: IndexEntry = serde_json::from_slice(written).map_err(|e| broken(&e))?;
                let member = usize::try_from(entry.offset).ok().and_then(|member| offsets.get(member));
                entry.offset = *member.ok_or_else(|| broken(&"a member was never written"))?;
                line.clear();
                write_line(&mut line, &entry)?;
                each(&line)?;
            }
            Ok(())
        };
        for packed in &self.packed {
            all(&bulk::decompress(&packed.bytes, packed.raw).map_err(|e| broken(&e))?)?;
        }
        all(&self.open)
    }
}

fn write_line(out: &mut Vec<u8>, entry: &IndexEntry) -> Result<()> {
    serde_json::to_writer(&mut *out, entry).map_err(|e| broken(&e))?;
    out.push(b'\n');
    Ok(())
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "the index cannot be kept").cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_come_back_in_order_with_offsets_for_members_and_take_little_memory() {
        let mut spool = IndexSpool::default();
        for n in 0..20_000u64 {
            let path = format!("uploads/tenants/of/one/kind/{n}/contract\n{n}.pdf");
            spool.push(&IndexEntry::new(&path, n % 7, n, &n.to_le_bytes())).unwrap();
        }
        let offsets: Vec<u64> = (0..7).map(|member| member * 1000).collect();
        let (mut seen, mut raw) = (0, 0);
        spool
            .for_each_line(&offsets, |line| {
                let entry: IndexEntry = serde_json::from_slice(line).unwrap();
                assert_eq!((entry.skip, entry.offset), (seen, seen % 7 * 1000));
                assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
                (seen, raw) = (seen + 1, raw + line.len());
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, 20_000);
        assert!(spool.packed.len() > 2 && !spool.open.is_empty());
        let held: usize = spool.packed.iter().map(|packed| packed.bytes.capacity()).sum();
        assert!(held < raw / 2, "{held} of {raw}");
    }

    #[test]
    fn a_member_that_was_never_written_is_an_error() {
        let mut spool = IndexSpool::default();
        spool.push(&IndexEntry::new("a", 1, 0, b"")).unwrap();
        assert!(spool.for_each_line(&[0], |_| Ok(())).is_err());
    }
}
