//! Bytes on their way: blocks of records, bodies of known length, their digests, the pool of compress workers, the throttle, the cancel flag. Knows bytes only.

mod block;
mod body;
mod cancel;
mod compress;
mod crew;
mod digest;
mod idle;
mod room;
mod throttle;

pub use block::{BLOCK_SIZE, BlockBuilder, RecordBlock};
pub use body::{Body, BodyEnd, Content, Piece};
pub use cancel::Cancel;
pub use compress::{Codec, CompressedBlock, Pending, Pool};
pub use crew::{in_parallel, processors};
pub use digest::RecordDigest;
pub use idle::{Idle, Nobody};
pub use room::{ROOM, Seat};
pub use throttle::{Passed, Throttle};
