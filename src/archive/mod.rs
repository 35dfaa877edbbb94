//! The archive: a `.tar.gz` of independent gzip members, cut into parts, with an index at its end. Knows tar and
//! gzip; never sees BSON, SQL or a database.

mod escape;
mod format;
mod index;
mod reader;
mod tar_header;
mod writer;

pub use escape::{entry_path, part_path};
pub use index::IndexEntry;
pub use reader::{ArchiveReader, decode_all};
pub use writer::{ArchiveWriter, Finished};
