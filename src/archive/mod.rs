//! The archive: a `.tar.gz` or `.tar.zst` of independent members, cut into parts, with an index at its end. Knows tar,
//! gzip and zstd; never sees BSON, SQL or a database. ARCHITECTURE.md has the format byte by byte.

mod decode;
mod escape;
mod expected;
mod index;
mod member;
mod output;
mod packed;
mod proof;
mod reader;
mod sound;
mod storage;
mod tar_header;
#[cfg(test)]
mod tests;
mod unit;
mod writer;

pub use decode::decode_all;
pub use escape::entry_path;
pub use index::IndexEntry;
pub use member::{Method, codec};
pub use packed::PackedEntries;
pub use proof::{Stored, Sum, digest_file, prove};
pub use reader::{ArchiveReader, EntryReader, IndexAt, from_io};
pub use unit::{PART_SIZE, UnitOutput};
pub use writer::{ArchiveWriter, Beginning, Finished};
