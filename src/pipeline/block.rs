//! Blocks of whole records, the unit that moves through the pipeline.

use super::RecordDigest;

/// The size blocks aim at, in bytes: large enough that cutting costs no compression, small enough to bound memory.
pub const BLOCK_SIZE: usize = 1 << 20;

/// A run of whole records with their count and digest.
#[derive(Debug, Clone, Default)]
pub struct RecordBlock {
    /// The records, one after the other.
    pub bytes: Vec<u8>,
    /// How many.
    pub records: u64,
    /// Their digest.
    pub digest: RecordDigest,
}

/// Gathers records into blocks of about [`BLOCK_SIZE`]. A larger record makes a larger block.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    block: RecordBlock,
}

impl BlockBuilder {
    /// Adds a record; returns a block when adding would overfill the present one.
    pub fn push(&mut self, record: &[u8]) -> Option<RecordBlock> {
        let full = !self.block.bytes.is_empty() && self.block.bytes.len() + record.len() > BLOCK_SIZE;
        let ready = full.then(|| std::mem::take(&mut self.block));
        if self.block.bytes.is_empty() {
            self.block.bytes.reserve_exact(BLOCK_SIZE.max(record.len()));
        }
        self.block.bytes.extend_from_slice(record);
        self.block.records += 1;
        self.block.digest.add(record);
        ready
    }

    /// The last block, where one has begun.
    pub fn finish(self) -> Option<RecordBlock> {
        (self.block.records > 0).then_some(self.block)
    }
}
