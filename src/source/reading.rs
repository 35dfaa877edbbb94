//! What a backup asks of an engine: what is there, and a view of it to read from.

use super::NamedTenant;
use super::health;
use super::io::Output;
use crate::config;
use crate::error::Result;
use crate::modules::Records;
use crate::pipeline::{Idle, RecordDigest};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

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

    /// Children, of those that `children` covers, whose foreign key names no parent: how many, and up to five of the keys.
    ///
    /// # Errors
    /// When the server fails.
    fn orphans(&self, relationship: &config::Relationship, children: &Records) -> Result<Orphans>;

    /// The tenants that a collection's records are, as far as the configuration asks for them: no more of a record is
    /// read than its named fields.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] when there is no such collection, anything else when reading fails.
    fn tenants(&self, discovery: &config::Discovery) -> Result<Vec<NamedTenant>>;

    /// Looks at what a backup needs of the server, and of this machine for it: privileges, programs, indexes, clocks, and how
    /// long a snapshot lasts. Changes nothing, and reads no more than a record of a collection.
    ///
    /// # Errors
    /// When the server fails; what is not as it should be is a finding.
    fn diagnose(&self, needs: &health::Needs<'_>) -> Result<Vec<health::Finding>>;
}

/// A view of a source, open for reading. `read` may be called from several threads at once.
pub trait View: Send + Sync {
    /// At which level and moment this view reads.
    fn consistency(&self) -> ConsistencyStamp;

    /// How `wanted` splits into pieces that can be read independently: one per collection for most engines, one
    /// for all where the engine stores a component as one file.
    fn units(&self, wanted: &[Wanted]) -> Vec<Vec<Wanted>> {
        wanted.iter().map(|w| vec![w.clone()]).collect()
    }

    /// Stores what belongs to all of `whole` together: the definitions of a schema, where an engine keeps them apart
    /// from the rows. Called once an archive, when its units are read; `whole` are those that were read to their end.
    /// Returns what the operator should know.
    ///
    /// # Errors
    /// When it cannot be had: then nothing of the archive can be restored.
    fn describe(&self, _whole: &[Wanted], _output: &dyn Output) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Reads ahead what will be asked for soon: of many small shares one question takes less than one each. It may as well
    /// do nothing; what fails is found again by [`View::read`].
    fn read_ahead(&self, _wanted: &[Wanted]) {}

    /// Reads the collections of one unit into `output`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Missing`] when a collection is not there or vanished while it was read,
    /// [`crate::error::Kind::SnapshotLost`] when the view can no longer be served, anything else when reading fails.
    fn read(&self, unit: &[Wanted], output: &dyn Output) -> Result<Vec<ReadCollection>>;

    /// As [`View::read`]. What is large may be read with the help of `idle` readers, where the engine can.
    ///
    /// # Errors
    /// As [`View::read`].
    fn read_helped(&self, unit: &[Wanted], output: &dyn Output, _idle: &dyn Idle) -> Result<Vec<ReadCollection>> {
        self.read(unit, output)
    }

    /// Calls `each` with every text that `field` holds in the records of `wanted`, in lists too. Dots lead into
    /// sub-documents, lists and JSON. No more of a record is asked for than that and whose it is.
    ///
    /// # Errors
    /// As [`View::read`]; [`crate::error::Kind::Config`] where a table has no such column; and what `each` returns.
    fn texts(&self, wanted: &Wanted, field: &str, each: &mut EachText<'_>) -> Result<()>;

    /// How well the records of a collection that belongs to tenants say whose they are; none where they are not asked
    /// for by owner.
    ///
    /// # Errors
    /// As [`View::read`].
    fn coverage(&self, wanted: &Wanted) -> Result<Option<Coverage>>;
}

/// Takes a text; none stands for a value that is there, and is no text.
pub type EachText<'a> = dyn FnMut(Option<&[u8]>) -> Result<()> + 'a;

/// How well records say whose they are.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// Records that name no owner at all, which are in no tenant's backup.
    pub without_owner: u64,
    /// What makes the index by which a tenant's records are found, where there is none.
    pub index: Option<String>,
    /// Both in words.
    pub remarks: Vec<String>,
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
    /// What else is there under a name, and is no collection: why, and what to do.
    pub parts: BTreeMap<String, String>,
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
