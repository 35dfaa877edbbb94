//! What an engine must do to be backed up and restored. Engines know databases and file
//! systems; they never see tar, gzip or the repository. They write to an [`Output`] and read from an [`Input`].

mod discover;
mod engines;
pub mod files;
pub mod health;
mod io;
pub mod mongodb;
pub mod postgres;
mod recovery;
mod renaming;
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

pub use recovery::recovery_text;
pub use renaming::Renaming;

use crate::config;
use crate::error::Result;
use crate::modules::Records;
use crate::pipeline::{Idle, RecordDigest};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What the name of every scratch database begins with (see [`scratch`]). Only such a one is ever dropped.
pub const SCRATCH_PREFIX: &str = "backup-verify-";

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

/// What a restore does with records that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Existing {
    /// There must be none.
    Refuse,
    /// They stay; only records that are not there are added.
    Add,
    /// Those that are stored are overwritten; the rest stay.
    Merge,
    /// Afterwards the target equals what is stored.
    Replace,
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

    /// Counts what restoring would create, overwrite and delete in a collection that is there. Changes nothing.
    ///
    /// # Errors
    /// [`crate::error::Kind::Refused`] when what is there cannot take what is stored (a view where a collection is
    /// stored, other columns), [`crate::error::Kind::Damaged`] when the input is.
    fn compare(&self, stored: &StoredCollection, input: &dyn Input, existing: Existing) -> Result<Changes>;

    /// Whether all collections of a restore are put in place together, or none of them.
    fn is_at_once(&self) -> bool {
        false
    }

    /// Looks for what stands in the way of restoring these: an extension that is missing, a privilege. Changes nothing.
    /// Returns what the operator should know.
    ///
    /// # Errors
    /// [`crate::error::Kind::Refused`] when something does, and as [`Target::compare`].
    fn examine(&self, _batch: &[Restoring<'_>]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Makes what they have in common, before any of them is staged: schemas, types, functions. Returns what the operator
    /// should know. [`Target::sweep`] removes it.
    ///
    /// # Errors
    /// When the server refuses; nothing of it stays behind.
    fn prepare(&self, _batch: &[Restoring<'_>], _token: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Prepares one collection beside the live one: creates it under a staging name where the engine and `existing`
    /// allow, loads it, builds its indexes, counts and digests what the server then holds. Changes nothing that
    /// existed. What cannot be staged is only read through here, and written by [`Target::switch`]. Staging names hold
    /// `token`, so that [`Target::sweep`] finds them.
    ///
    /// # Errors
    /// When the input is damaged or the server refuses a record; nothing of it stays behind.
    fn stage(&self, stored: &StoredCollection, input: &dyn Input, existing: Existing, token: &str) -> Result<Staged>;

    /// Puts staged collections in place: all of a restore where that is done at once, else one. Where nothing may exist,
    /// an empty collection of that name is replaced.
    ///
    /// # Errors
    /// [`crate::error::Kind::TargetChanged`] when it failed after changing something.
    fn switch(&self, batch: &[(&Staged, &dyn Input)]) -> Result<Vec<Switched>>;

    /// After a run that died in [`Target::switch`]: whether the collection was put in place. Completes what comes
    /// after that. None when it was not, or cannot be told: then it is to be staged and switched again.
    ///
    /// # Errors
    /// When the server fails.
    fn resume(&self, stored: &StoredCollection, input: &dyn Input, identity: Option<&str>) -> Result<Option<Switched>>;

    /// Removes whatever a run, perhaps a dead one, left under names with `token`; returns the names.
    ///
    /// # Errors
    /// When the server fails.
    fn sweep(&self, token: &str) -> Result<Vec<String>>;

    /// How the definition of a collection that is in place (options, indexes; columns, triggers) differs from the
    /// stored one, a line each.
    ///
    /// # Errors
    /// When the server fails.
    fn differences(&self, stored: &StoredCollection, input: &dyn Input) -> Result<Vec<String>>;

    /// Drops the whole database.
    ///
    /// # Errors
    /// When it is no scratch one (see [`scratch`]), or the server fails.
    fn drop_scratch(&self) -> Result<()>;

    /// Other programs that may be at work in the database now, each a line for people.
    ///
    /// # Errors
    /// When it cannot be known.
    fn others(&self) -> Result<Vec<String>>;
}

/// A collection that is to be restored.
#[derive(Clone, Copy)]
pub struct Restoring<'a> {
    /// The collection as it is stored.
    pub stored: &'a StoredCollection,
    /// What kind it was.
    pub kind: Option<ItemKind>,
    /// Where it is stored.
    pub input: &'a dyn Input,
    /// What happens to records that are there.
    pub existing: Existing,
}

impl std::fmt::Debug for Restoring<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Restoring({})", self.stored.name)
    }
}

/// What a restore changes in a collection, in records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Changes {
    /// Not there now, and there afterwards.
    pub created: u64,
    /// There now, and as they are stored afterwards.
    pub overwritten: u64,
    /// There now, and gone afterwards.
    pub deleted: u64,
}

impl Changes {
    /// Of `stored` records, `matched` are there already, among `live` records.
    pub fn of(existing: Existing, stored: u64, matched: u64, live: u64) -> Self {
        Self {
            created: stored.saturating_sub(matched),
            overwritten: if matches!(existing, Existing::Merge | Existing::Replace) { matched } else { 0 },
            deleted: if existing == Existing::Replace { live.saturating_sub(matched) } else { 0 },
        }
    }
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
    /// Which records the restore is about, of those that are stored and of those that are there: all, or one tenant's. Count
    /// and digest are of these alone; what is nobody's business of theirs is neither read into the target nor changed in it.
    pub scope: Records,
    /// What is stored is another tenant's, and becomes that of the scope as it is read. Count and digest are of what it has
    /// become.
    pub renaming: Option<Renaming>,
}

impl StoredCollection {
    /// Which of the stored records it is about.
    pub fn stored_scope(&self) -> Records {
        self.renaming.as_ref().map_or_else(|| self.scope.clone(), Renaming::stored)
    }
}

/// A collection ready to be put in place.
#[derive(Debug, Clone)]
pub struct Staged {
    /// True name.
    pub name: String,
    /// What it does with records that are there.
    pub existing: Existing,
    /// Name it has until it is put in place; none when it is written only then.
    pub staging_name: Option<String>,
    /// Identity it keeps when it is put in place (a MongoDB collection UUID).
    pub identity: Option<String>,
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
    /// Records it holds, as far as this restore is concerned.
    pub records: u64,
    /// What was really changed, where writing counted it.
    pub changes: Option<Changes>,
    /// Their count and digest equal what was stored.
    pub verified: bool,
    /// Things the operator should know (what the server altered on insert, say).
    pub warnings: Vec<String>,
}
