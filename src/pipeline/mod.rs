//! Bytes on their way: blocks of records, their digests, the pool of compress workers, the cancel flag. Knows bytes only.

mod block;
mod cancel;
mod compress;
mod digest;

pub use block::{BLOCK_SIZE, BlockBuilder, RecordBlock};
pub use cancel::Cancel;
pub use compress::{Codec, CompressedBlock, Pending, Pool};
pub use digest::RecordDigest;
