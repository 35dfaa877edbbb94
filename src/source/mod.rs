//! What an engine must do to be backed up and restored. Engines know databases and file
//! systems; they never see tar, gzip or the repository. They write to an [`Output`] and read from an [`Input`].

mod discover;
mod engines;
pub mod files;
pub mod health;
mod io;
pub mod mongodb;
pub mod postgres;
mod reading;
mod recovery;
mod renaming;
mod restoring;
pub mod scratch;
pub mod sqlite;
mod texts;
mod waiting;

pub use discover::NamedTenant;
pub use engines::{
    Document, Stream, collection_of, digest_records, documents, open, open_file, open_own, open_target, redirect,
    same_place, scope_totals, scoped, stored_texts,
};
pub use io::{
    EntryName, FileEntry, FileKind, FileOutcome, FileOutput, FileRecord, Input, Output, RecordStream, StreamTotals,
};
pub use reading::{
    ConsistencyStamp, Coverage, EachText, Inventory, Item, ItemKind, Level, Orphans, ReadCollection, Server, Source,
    View, Wanted,
};
pub use recovery::recovery_text;
pub use renaming::Renaming;
pub use restoring::{Changes, Existing, Restoring, Staged, StoredCollection, Switched, Target};

/// What the name of every scratch database begins with (see [`scratch`]). Only such a one is ever dropped.
pub const SCRATCH_PREFIX: &str = "backup-verify-";
