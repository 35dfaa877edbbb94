//! What a restore asks of an engine: to stage what is stored beside what is there, and to put it in place.

use super::io::Input;
use super::renaming::Renaming;
use super::{Inventory, ItemKind, Server};
use crate::error::Result;
use crate::modules::Records;
use crate::pipeline::RecordDigest;

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
    /// When it is no scratch one (see [`super::scratch`]), or the server fails.
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
