//! The repository: the directory that holds backups. Begin, publish, open, remove; the catalog; locks; retention.
//! Knows manifests and files; never sees databases.

mod audit;
mod catalog;
mod durable;
mod facts;
mod input;
mod journal;
mod lock;
mod make;
mod manifests;
mod open;
mod remove;
mod signature;
mod staging;
mod summary;
mod syncs;
#[cfg(test)]
mod tests;

pub mod retention;

pub use catalog::{Catalog, Entry, Interrupted, Unreadable, ids_in};
pub use facts::{FailedRun, Held, Verified, VerifyLevel};
pub use journal::{Journal, Progress, Step, Undertaking, UnfinishedRestore};
pub use lock::{Lock, Meanwhile, Wait};
pub use open::Repository;
pub use staging::Staging;
pub use summary::{Summary, SummaryComponent};

use open::METADATA;
