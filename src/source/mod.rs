//! What an engine must do to be backed up and restored, and the list of engines. Engines know databases and file
//! systems; they never see tar, gzip or the repository. They write to an [`Output`] and read from an [`Input`].

pub mod files;
mod io;
pub mod mongodb;
mod recovery;
pub mod sqlite;

pub use io::{
    EntryName, FileEntry, FileKind, FileOutcome, FileOutput, FileRecord, Input, Output, RecordStream, StreamTotals,
};

pub use recovery::recovery_text;

use crate::config;
use crate::error::Result;
use crate::modules::Records;
use crate::pipeline::{Cancel, RecordDigest};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Opens the source that the configuration names `name`. Connects, and fails fast when it cannot.
///
/// # Errors
/// [`crate::error::Kind::Connect`] when the server or file cannot be reached or refuses us.
pub fn open(name: &str, source: &config::Source, cancel: &Cancel) -> Result<Box<dyn Source>> {
    Ok(match &source.engine {
        config::Engine::MongoDb { uri, database, .. } => {
            Box::new(mongodb::MongoDb::open(name, uri, database, cancel.clone())?)
        }
        config::Engine::Sqlite { path } => Box::new(sqlite::Sqlite::open(name, path, cancel.clone())?),
    })
}

/// Opens the place a source's data is restored to: the configured one, or what `--into SOURCE=URI` says.
///
/// # Errors
/// As [`open`], and [`crate::error::Kind::Config`] when `uri` does not fit the engine.
pub fn open_target(name: &str, source: &config::Source, uri: Option<&str>, cancel: &Cancel) -> Result<Box<dyn Target>> {
    Ok(match &source.engine {
        config::Engine::MongoDb { uri: configured, database, .. } => {
            Box::new(mongodb::MongoDb::open_target(name, configured, database, uri, cancel.clone())?)
        }
        config::Engine::Sqlite { path } => Box::new(sqlite::Sqlite::open_target(name, path, uri, cancel.clone())?),
    })
}

/// The collection an entry belongs to, by its true name; none for entries that hold several.
pub fn collection_of(name: &EntryName) -> Option<&str> {
    match name.suffix.as_str() {
        ".bson" => Some(name.stem.strip_prefix("system.buckets.").unwrap_or(&name.stem)),
        ".metadata.json" => Some(&name.stem),
        _ => None,
    }
}

/// Counts and digests the records of a stored entry by collection, walking their structure; none when it does not hold
/// records as such.
///
/// # Errors
/// [`crate::error::Kind::Damaged`] when a record is malformed.
pub fn digest_records(
    name: &EntryName,
    body: &mut dyn std::io::Read,
) -> Result<Option<BTreeMap<String, StreamTotals>>> {
    match (name.suffix.as_str(), collection_of(name)) {
        (".bson", Some(collection)) => {
            let totals = mongodb::digest_records(body)?;
            Ok(Some(BTreeMap::from([(collection.to_owned(), totals)])))
        }
        (".db", _) => sqlite::digest_database(body).map(Some),
        _ => Ok(None),
    }
}

/// A live database that can be backed up.
pub trait Source: Send + Sync {
    /// What the server says it is.
    fn server(&self) -> Server;

    /// What the database holds now. System collections are left out.
    ///
    /// # Errors
    /// When listing fails. A listing that fails is never an empty one.
    fn inventory(&self) -> Result<Inventory>;

    /// Opens a view to read `collections` from, at one moment for all where `consistency` and the server allow.
    /// `Consistency::Required` fails where the server cannot; `Preferred` falls back and the view says so.
    /// `Level::Collection` as `at_most` asks for plain reads from the start (after a lost snapshot).
    ///
    /// # Errors
    /// When the server fails, or cannot give what is required.
    fn open_view<'a>(
        &'a self,
        collections: &[Wanted],
        consistency: config::Consistency,
        at_most: Level,
    ) -> Result<Box<dyn View + 'a>>;

    /// How many records `wanted` covers now, exactly, for the plan of a tenant run; none when that is not cheap.
    ///
    /// # Errors
    /// When the server fails.
    fn count(&self, wanted: &Wanted) -> Result<Option<u64>>;

    /// Children whose foreign key names no parent: how many, and up to five of the keys.
    ///
    /// # Errors
    /// When the server fails.
    fn orphans(&self, relationship: &config::Relationship) -> Result<Orphans>;
}

/// A view of a source, open for reading. `read` may be called from several threads at once.
pub trait View: Sync {
    /// At which level and moment this view reads.
    fn consistency(&self) -> ConsistencyStamp;

    /// How `wanted` splits into pieces that can be read independently: one per collection for most engines, one
    /// for all where the engine stores a component as one file.
    fn units(&self, wanted: &[Wanted]) -> Vec<Vec<Wanted>> {
        wanted.iter().map(|w| vec![w.clone()]).collect()
    }

    /// Reads the collections of one unit into `output`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Missing`] when a collection is not there or vanished while it was read,
    /// [`crate::error::Kind::SnapshotLost`] when the view can no longer be served, anything else when reading fails.
    fn read(&self, unit: &[Wanted], output: &dyn Output) -> Result<Vec<ReadCollection>>;
}

/// A collection to be read.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// True name.
    pub name: String,
    /// What kind it was when the plan was made.
    pub kind: ItemKind,
    /// Identity when the plan was made, so that a namesake made since is noticed (a MongoDB collection UUID).
    pub identity: Option<String>,
    /// Which records.
    pub records: Records,
}

/// What was read of one collection.
#[derive(Debug, Clone)]
pub struct ReadCollection {
    /// True name.
    pub name: String,
    /// Records stored.
    pub records: u64,
    /// Bytes of record data stored, before compression.
    pub bytes: u64,
    /// Digest of the stored records, independent of their order.
    pub digest: RecordDigest,
    /// In a tenant run: records that name no owner at all, which are in nobody's backup.
    pub without_owner: u64,
    /// Things the operator should know.
    pub warnings: Vec<String>,
}

/// What a server says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Version as the server gives it.
    pub version: String,
    /// Where it is, without any secret.
    pub address: String,
    /// Name of the database (the first folder inside the archive).
    pub database: String,
}

/// What a database holds.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// By true name.
    pub items: BTreeMap<String, Item>,
}

/// One collection, table or view of a database.
#[derive(Debug, Clone)]
pub struct Item {
    /// What kind of thing.
    pub kind: ItemKind,
    /// Identity that changes when it is dropped and made again.
    pub identity: Option<String>,
    /// Estimated number of records.
    pub records: u64,
    /// Estimated bytes of record data.
    pub bytes: u64,
}

/// Kinds of collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ItemKind {
    /// A collection or table.
    Collection,
    /// A definition without data of its own.
    View,
    /// A MongoDB time-series collection.
    TimeSeries,
}

/// How consistent a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// Every collection was read on its own, each at its own time.
    Collection,
    /// All collections as they were at one moment.
    Snapshot,
}

/// Level and moment of a view.
#[derive(Debug, Clone)]
pub struct ConsistencyStamp {
    /// The level that was really had.
    pub level: Level,
    /// The moment of the snapshot, or of the start of reading.
    pub at: DateTime<Utc>,
    /// Why the level is not `snapshot`.
    pub reason: Option<String>,
}

/// Children without a parent.
#[derive(Debug, Clone, Default)]
pub struct Orphans {
    /// How many.
    pub count: u64,
    /// Up to five of their foreign keys, as text.
    pub samples: Vec<String>,
}

/// A database that can be restored into. All methods may be called from several threads at once, for different
/// collections.
pub trait Target: Send + Sync {
    /// What the server says it is.
    fn server(&self) -> Server;

    /// What is there now.
    ///
    /// # Errors
    /// When listing fails.
    fn inventory(&self) -> Result<Inventory>;

    /// Prepares one collection beside the live one: creates it under a staging name where the engine allows, loads
    /// it, builds its indexes, counts and digests what the server then holds. Changes nothing that existed.
    /// A kind that cannot be staged is only checked here and created by [`Target::switch`].
    ///
    /// # Errors
    /// When the input is damaged or the server refuses a record; nothing of it stays behind.
    fn stage(&self, stored: &StoredCollection, input: &dyn Input) -> Result<Staged>;

    /// Puts a staged collection in place. An existing collection of that name, empty by the caller's guard, is
    /// replaced.
    ///
    /// # Errors
    /// [`crate::error::Kind::TargetChanged`] when it failed after changing something.
    fn switch(&self, staged: &Staged, input: &dyn Input) -> Result<Switched>;

    /// Removes a staged collection.
    ///
    /// # Errors
    /// When the server fails.
    fn discard(&self, staged: &Staged) -> Result<()>;
}

/// A collection inside an archive, as the manifest describes it.
#[derive(Debug, Clone)]
pub struct StoredCollection {
    /// True name.
    pub name: String,
    /// The database it came from: the first folder inside the archive.
    pub directory: String,
    /// Records stored.
    pub records: u64,
    /// Digest of the records.
    pub digest: RecordDigest,
}

/// A collection ready to be put in place.
#[derive(Debug, Clone)]
pub struct Staged {
    /// True name.
    pub name: String,
    /// Name it has until it is put in place; none when it is created only then.
    pub staging_name: Option<String>,
    /// Records the server holds of it.
    pub records: u64,
    /// The collection as it is stored.
    pub stored: StoredCollection,
    /// Metadata the switch still needs (engine's own).
    pub metadata: Vec<u8>,
    /// Things the operator should know.
    pub warnings: Vec<String>,
}

/// A collection in place.
#[derive(Debug, Clone)]
pub struct Switched {
    /// Records it holds.
    pub records: u64,
    /// Their count and digest equal what was stored.
    pub verified: bool,
    /// Things the operator should know (what the server altered on insert, say).
    pub warnings: Vec<String>,
}
