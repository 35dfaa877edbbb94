//! A view of a schema: all that is read of it locked first, then one snapshot that every session shares.

use super::Postgres;
use super::catalog;
use super::define::without_snapshot;
use super::dump::Dumps;
use super::errors::{self, Failure};
use super::inventory::{self, Relation};
use super::reader::Reader;
use super::schema::{self, Schema};
use super::session::Session;
use super::way::{Way, holds_rows};
use crate::config::{Consistency, Ddl};
use crate::error::{Error, Kind, Result};
use crate::pipeline::{Idle, Nobody};
use crate::source::{ConsistencyStamp, Coverage, EachText, EntryName, Level, Output, ReadCollection, View, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Once, PoisonError};

/// A transaction that sees one moment and changes nothing.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A view of a schema. The keeper's transaction holds locks and snapshot until the view is closed.
pub struct PgView<'a> {
    pub(super) source: &'a Postgres,
    /// What it has locked stays locked.
    pub(super) keeper: Session,
    pub(super) snapshot: Option<String>,
    /// Where definitions are stored.
    pub(super) dumps: Option<Dumps>,
    dumps_begun: Once,
    stamp: ConsistencyStamp,
    pub(super) relations: BTreeMap<String, Relation>,
    /// Names of all that is read in this view.
    pub(super) wanted: BTreeSet<String>,
    /// Tables that could not be locked, and why.
    locked_out: BTreeMap<String, Error>,
    /// Sessions at rest.
    readers: Mutex<Vec<Reader>>,
    /// Definitions by the relations that they are of: many tenants' archives hold the same.
    pub(super) schemas: Mutex<BTreeMap<BTreeSet<u32>, Arc<Schema>>>,
    /// Of tables, what is the same for every tenant, by the question.
    pub(super) coverages: Mutex<BTreeMap<String, Coverage>>,
}

/// Opens a view of `wanted`.
pub fn open_view<'a>(
    source: &'a Postgres,
    wanted: &[Wanted],
    consistency: Consistency,
    at_most: Level,
) -> Result<Box<dyn View + 'a>> {
    let keeper = source.session()?;
    let relations = source.block(inventory::relations(&keeper, &source.schema))?;
    // The parents that say who owns rows too: one that is truncated would leave its children to nobody.
    let asked = |w: &Wanted| w.records.ownership().map(|o| o.via.clone()).unwrap_or_default();
    let parents: BTreeSet<String> = wanted.iter().flat_map(asked).map(|hop| hop.parent).collect();
    let is_read = |r: &Relation| parents.contains(&r.name) || wanted.iter().any(|w| w.name == r.name);
    let tables: Vec<_> = relations.iter().filter(|relation| is_read(relation)).collect();
    tables.iter().try_for_each(|relation| relation.check())?;
    let user = source.block(catalog::current_user(&keeper))?;
    inventory::readable(&source.schema, &user, tables.iter().copied())?;

    // The locks come before the snapshot: a table that is truncated or dropped in between would read as empty.
    source.block(async { keeper.run(BEGIN).await.map_err(|e| source.failed(&e)) })?;
    let mut locked_out = BTreeMap::new();
    for relation in tables.iter().filter(|relation| holds_rows(relation.kind)) {
        if let Err(error) = source.block(lock(&keeper, source, relation)) {
            locked_out.insert(relation.name.clone(), error);
        }
    }
    let stamp = ConsistencyStamp { level: Level::Collection, at: chrono::Utc::now(), reason: None };
    let relations = relations.into_iter().map(|relation| (relation.name.clone(), relation)).collect();
    let (readers, wanted) = (Mutex::default(), wanted.iter().map(|wanted| wanted.name.clone()).collect());
    let (schemas, coverages) = (Mutex::default(), Mutex::default());
    let mut view = PgView {
        source,
        keeper,
        snapshot: None,
        dumps: None,
        dumps_begun: Once::new(),
        stamp,
        relations,
        wanted,
        locked_out,
        readers,
        schemas,
        coverages,
    };
    // Else all rows would be read, and nothing of them be restorable.
    let is_needed = source.ddl() != Ddl::None;
    if at_most == Level::Collection {
        if is_needed {
            return Err(without_snapshot().cause("its snapshot was lost"));
        }
        view.stamp.reason = Some("its snapshot was lost".into());
        return Ok(Box::new(view));
    }
    match source.block(export(&view.keeper)) {
        Ok(snapshot) => {
            // Needed only when the rows are read, but it is better to know now that there is no pg_dump.
            view.dumps = is_needed.then(|| source.dumps(&view.keeper, &snapshot)).transpose()?;
            view.snapshot = Some(snapshot);
            view.stamp.level = Level::Snapshot;
        }
        Err(error) if consistency == Consistency::Required => {
            return Err(error.context(format!("source '{}' cannot give one snapshot of all tables", source.name)));
        }
        Err(error) if is_needed => return Err(without_snapshot().cause(error)),
        Err(error) => view.stamp.reason = Some(error.to_string()),
    }
    Ok(Box::new(view))
}

/// A savepoint keeps the transaction, and the other locks, where one cannot be had.
async fn lock(keeper: &Session, source: &Postgres, relation: &Relation) -> Result<()> {
    let table = source.place(&relation.name);
    let failed = |e: &Failure| errors::relation(e, "lock", &table);
    keeper.run("SAVEPOINT lock").await.map_err(|e| failed(&e))?;
    match keeper.run(&format!("LOCK TABLE {table} IN ACCESS SHARE MODE")).await {
        Ok(()) => keeper.run("RELEASE lock").await.map_err(|e| failed(&e)),
        Err(failure) => {
            keeper.run("ROLLBACK TO lock; RELEASE lock").await.map_err(|e| failed(&e))?;
            Err(failed(&failure))
        }
    }
}

/// Begins a transaction, and exports its moment.
pub async fn begin_and_export(session: &Session, source: &Postgres) -> Result<String> {
    session.run(BEGIN).await.map_err(|e| source.failed(&e))?;
    export(session).await
}

async fn export(keeper: &Session) -> Result<String> {
    let rows = keeper.query("SELECT pg_catalog.pg_export_snapshot()", &[]).await;
    let rows = rows.map_err(|e| errors::relation(&e, "export", "a snapshot"))?;
    rows.first().map(|row| row.get(0)).ok_or_else(|| Error::new(Kind::Source, "the server exported no snapshot"))
}

impl View for PgView<'_> {
    fn consistency(&self) -> ConsistencyStamp {
        self.stamp.clone()
    }

    fn describe(&self, wanted: &[Wanted], output: &dyn Output) -> Result<Vec<String>> {
        let schema = self.schema(wanted)?;
        let json = serde_json::to_vec(&*schema)
            .map_err(|e| Error::new(Kind::Internal, "the definitions cannot be written").cause(e))?;
        let database = &self.source.server.database;
        for (stem, script) in schema.scripts(&|table| output.path(&self.source.rows_of(table))) {
            output.document(&EntryName::new(database, stem, ".sql"), script.as_bytes())?;
        }
        output.document(&EntryName::new(database, schema::STEM, ".json"), &json)?;
        Ok(schema.warnings.clone())
    }

    fn read(&self, unit: &[Wanted], output: &dyn Output) -> Result<Vec<ReadCollection>> {
        self.read_helped(unit, output, &Nobody)
    }

    fn read_helped(&self, unit: &[Wanted], output: &dyn Output, idle: &dyn Idle) -> Result<Vec<ReadCollection>> {
        // Whoever reads rows asks for their definitions next, and is told then what went wrong with them.
        self.dumps_begun.call_once(|| drop(self.define_ahead()));
        unit.iter().map(|wanted| self.read_one(wanted, output, idle)).collect()
    }

    fn texts(&self, wanted: &Wanted, field: &str, each: &mut EachText<'_>) -> Result<()> {
        self.with_reader(wanted, |reader, relation| self.read_texts(reader, relation, wanted, field, each))
    }

    fn coverage(&self, wanted: &Wanted) -> Result<Option<Coverage>> {
        if wanted.records.ownership().is_none() {
            return Ok(None);
        }
        self.with_reader(wanted, |reader, relation| {
            let Some(way) = self.way(reader, wanted)? else { return Ok(None) };
            self.coverage_of(reader, relation, &way).map(Some)
        })
    }
}

impl PgView<'_> {
    /// Does something with a table at the view's moment, once it is locked.
    pub(super) fn with_reader<T>(
        &self,
        wanted: &Wanted,
        work: impl FnOnce(&Reader, &Relation) -> Result<T>,
    ) -> Result<T> {
        let via = wanted.records.ownership().map(|ownership| ownership.via.as_slice()).unwrap_or_default();
        let mut on_the_way = std::iter::once(&wanted.name).chain(via.iter().map(|hop| &hop.parent));
        if let Some(error) = on_the_way.find_map(|name| self.locked_out.get(name)) {
            return Err(error.clone());
        }
        let missing = || Error::new(Kind::Missing, format!("table {} does not exist any more", wanted.name));
        let relation = self.relations.get(&wanted.name).ok_or_else(missing)?;
        let mut reader = self.reader()?;
        reader.session.patience = Arc::new(self.source.patience.for_one_collection());
        let done = work(&reader, relation);
        // One that failed may be anywhere in its answer, and is not asked again.
        if done.is_ok() {
            self.rest(reader);
        }
        done
    }

    /// Keeps a session for who needs one next.
    pub(super) fn rest(&self, reader: Reader) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    }

    /// A session of the view's moment.
    pub(super) fn reader(&self) -> Result<Reader> {
        if let Some(reader) = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(reader);
        }
        let reader = self.source.reader()?;
        self.source.block(async {
            let failed = |e: Failure| errors::relation(&e, "read at the moment of", "the snapshot");
            reader.session.run(BEGIN).await.map_err(failed)?;
            if let Some(snapshot) = &self.snapshot {
                // As the server gave it: digits and dashes.
                reader.session.run(&format!("SET TRANSACTION SNAPSHOT '{snapshot}'")).await.map_err(failed)?;
            }
            Ok(())
        })?;
        Ok(reader)
    }

    /// The way from a table's rows to their owner, where they are asked for by owner.
    pub(super) fn way(&self, reader: &Reader, wanted: &Wanted) -> Result<Option<Way>> {
        let Some(ownership) = wanted.records.ownership() else { return Ok(None) };
        let relation = |name: &str| self.relations.get(name);
        let look = Way::look(&reader.session, &self.source.schema, relation, &wanted.name, ownership);
        self.source.block(look).map(Some)
    }
}
