//! Restores tables. What is new is made from its stored definitions and moved out of sight until it is loaded; what is
//! there keeps its definition, and gets the stored rows from a table beside it. One transaction then puts everything in
//! place: whoever looks sees all of it, or nothing.
//!
//! ```text
//! prepare ─► definitions, staging schema, ledger                                                one transaction
//! stage   ─► COPY into staging tables, read back; keys, indexes and statistics of new tables    several at once
//! switch  ─► rows, tables, foreign keys, sequences                                              one transaction
//! ```

mod aside;
mod build;
mod collide;
mod definitions;
mod differences;
mod plan;
mod prepare;
pub mod scratch;
mod staging;
mod statement;
mod switch;
mod taken;
mod tenant;
mod unique;
mod worker;
mod write;

pub use differences::differences;
pub use plan::{compare, examine};
pub use prepare::prepare;
pub use switch::{resume, switch};

use super::schema::{self, Schema, StoredRelation};
use super::session::quote;
use super::{Postgres, rows_of, scope};
use crate::error::{Context, Error, Kind, Result};
use crate::source::{Document, EntryName, Existing, Input, ItemKind, Staged, StoredCollection};
use definitions::Made;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use worker::Worker;

/// Definitions are text; more is no schema of anybody's.
const LARGEST_SCHEMA: u64 = 256 << 20;

/// What a restore knows while it lasts.
#[derive(Debug, Default)]
pub struct State {
    /// Stored definitions, by the archive that they are from.
    schemas: Mutex<HashMap<String, Arc<Schema>>>,
    /// What [`prepare`] made.
    prepared: Mutex<Option<Arc<Prepared>>>,
    /// Sessions that may be at work still when the run is over: the server is told to end them.
    pub backends: Mutex<Vec<i32>>,
    /// Definitions that are in place, to be compared with those that are stored.
    live: Mutex<Option<Arc<Schema>>>,
    /// What [`examine`] told of indexes that will be left out: it is not told again.
    told: Mutex<Vec<String>>,
    /// What was built of staged tables.
    ahead: Mutex<build::Ahead>,
}

/// What was made before the first row is loaded.
#[derive(Debug, Default)]
struct Prepared {
    /// The schema that tables are loaded in.
    staging: String,
    /// Definitions that were made, and not there before.
    made: Made,
    /// Whether tables are new, by name.
    is_new: BTreeMap<String, bool>,
}

impl State {
    fn ahead(&self) -> MutexGuard<'_, build::Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Vec<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepared(&self) -> Result<Arc<Prepared>> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        prepared.ok_or_else(|| Error::new(Kind::Internal, "the restore was not prepared"))
    }
}

/// The definitions in the archive that a collection is from, as far as they can be made in the target's schema.
fn stored_schema(target: &Postgres, input: &dyn Input, directory: &str) -> Result<Arc<Schema>> {
    let key = input.identity();
    if let Some(schema) = target.restore.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(Arc::clone(schema));
    }
    let schema = read_schema(input, directory)?;
    let schema = Arc::new(if schema.name == target.schema { schema } else { schema.elsewhere(&target.schema) });
    target.restore.schemas.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&schema));
    Ok(schema)
}

/// Reads the definitions of an archive.
pub fn read_schema(input: &dyn Input, directory: &str) -> Result<Schema> {
    let mut text = Vec::new();
    let body = input.open(&EntryName::new(directory, schema::STEM, ".json"))?;
    let unreadable = || format!("the definitions of {directory} cannot be read");
    body.take(LARGEST_SCHEMA).read_to_end(&mut text).map_err(|e| Error::unreadable(e, unreadable()))?;
    serde_json::from_slice(&text).map_err(|e| Error::new(Kind::Damaged, unreadable()).cause(e))
}

/// The stored rows that are in the scope of a restore.
fn rows<'a>(target: &Postgres, stored: &StoredCollection, input: &'a dyn Input) -> Result<Box<dyn Read + Send + 'a>> {
    scope::open(stored, input, &|input| stored_schema(target, input, &stored.directory))
}

/// What is stored of one relation.
fn relation<'s>(schema: &'s Schema, stored: &StoredCollection) -> Result<&'s StoredRelation> {
    relation_of(schema, &stored.name)
}

/// What is stored of one relation, by its name.
pub fn relation_of<'s>(schema: &'s Schema, name: &str) -> Result<&'s StoredRelation> {
    let none = || Error::new(Kind::Damaged, format!("the archive does not say what {name} is"));
    schema.relations.get(name).ok_or_else(none)
}

/// See [`crate::source::Target::stage`]: loads a table where nobody sees it, and reads back what the server then holds.
pub fn stage(target: &Postgres, stored: &StoredCollection, input: &dyn Input, existing: Existing) -> Result<Staged> {
    let prepared = target.restore.prepared()?;
    let schema = stored_schema(target, input, &stored.directory)?;
    let relation = relation(&schema, stored)?;
    let staged = Staged {
        name: stored.name.clone(),
        existing,
        staging_name: None,
        identity: Some(prepared.staging.clone()),
        records: stored.records,
        stored: stored.clone(),
        metadata: Vec::new(),
        warnings: Vec::new(),
    };
    if !prepared.is_new.contains_key(&stored.name) {
        // A view: there is nothing to load.
        return Ok(staged);
    }
    let worker = Worker::open(target)?;
    let place = format!("{}.{}", quote(&prepared.staging), quote(&stored.name));
    let mut rows = rows(target, stored, input)?;
    let loaded = worker.load(&format!("COPY {place}{} FROM STDIN", list(relation)), &mut rows, &stored.name);
    let loaded = loaded.context(|| format!("table {} cannot be loaded", stored.name))?;
    if loaded != stored.records {
        let what = format!("the server took {loaded} rows of table {}, {} are stored", stored.name, stored.records);
        return Err(Error::new(Kind::Source, what));
    }
    let (_, is_partitioned) = looked_at(&worker, &place)?;
    worker.require_same(&read_back(&place, relation, is_partitioned), stored)?;
    if prepared.is_new.get(&stored.name) == Some(&true) {
        build::ahead(&worker, &prepared, &schema, (&stored.name, &place))?;
    }
    Ok(Staged { staging_name: Some(place), ..staged })
}

/// Columns in parentheses, as COPY and INSERT take them. A table may have none.
fn list(relation: &StoredRelation) -> String {
    if relation.columns.is_empty() { String::new() } else { format!(" ({})", relation.list()) }
}

/// The COPY that gives the rows of a table as they are stored: of one that others inherit from, its own alone.
fn read_back(place: &str, relation: &StoredRelation, is_partitioned: bool) -> String {
    if is_partitioned {
        // Its rows are in its leaves, which only a query looks into.
        return format!("COPY (SELECT {} FROM {place}) TO STDOUT", relation.list());
    }
    format!("COPY {place}{} TO STDOUT", list(relation))
}

/// Number of a table, and whether it is a partitioned one.
fn looked_at(worker: &Worker<'_>, place: &str) -> Result<(u32, bool)> {
    let sql = "SELECT oid, relkind = 'p' FROM pg_catalog.pg_class WHERE oid = $1::text::regclass";
    let rows = worker.rows(sql, &[&place], "look at table", place)?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))).unwrap_or_default())
}

/// See [`crate::source::Target::sweep`].
pub fn sweep(target: &Postgres, token: &str) -> Result<Vec<String>> {
    let schema = staging::schema(token);
    let ended = std::mem::take(&mut *target.restore.backends.lock().unwrap_or_else(PoisonError::into_inner));
    let worker = Worker::open(target)?;
    // What a signal has interrupted may hold locks until the server notices that nobody listens.
    let sql = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
        WHERE pid = ANY ($1::int4[]) AND application_name = 'backup' AND pid <> pg_catalog.pg_backend_pid()";
    worker.rows(sql, &[&ended], "end the sessions of", "an interrupted restore")?;
    Ok(if staging::sweep(&worker, &schema)? { vec![schema] } else { Vec::new() })
}

/// The scripts of an archive, cut down to some of its relations.
pub fn scripts(
    input: &dyn Input,
    directory: &str,
    wanted: &dyn Fn(&str) -> bool,
    path: &dyn Fn(&EntryName) -> String,
) -> Result<Vec<Document>> {
    let schema = read_schema(input, directory)?;
    let oids = schema.relations.iter().filter(|(name, _)| wanted(name)).map(|(_, relation)| relation.oid).collect();
    let part = schema.part(&oids);
    let rows = |table: &str| path(&rows_of(directory, &part.name, table));
    let scripts = part.scripts(&rows).into_iter();
    let mut documents: Vec<_> =
        scripts.map(|(stem, text)| (EntryName::new(directory, stem, ".sql"), text.into_bytes())).collect();
    let json = serde_json::to_vec(&part)
        .map_err(|e| Error::new(Kind::Internal, "the definitions cannot be written").cause(e))?;
    documents.push((EntryName::new(directory, schema::STEM, ".json"), json));
    Ok(documents)
}

/// Whether something is a view, which has no rows of its own.
fn is_view(kind: Option<ItemKind>) -> bool {
    kind == Some(ItemKind::View)
}
