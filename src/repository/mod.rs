//! The repository: the directory that holds backups. Begin, publish, open, remove; the catalog; locks; retention.
//! Knows manifests and files; never sees databases.

mod catalog;
mod facts;
mod lock;
mod staging;
mod storage;

pub mod retention;

pub use catalog::{Catalog, Entry, Interrupted, Unreadable};
pub use facts::{FailedRun, Held, Verified, VerifyLevel};
pub use lock::{Lock, Wait};
pub use staging::{Repository, Staging};
