//! Reads tables: all of them locked first, then one snapshot that every session shares, then COPY as bytes.

use super::Postgres;
use super::catalog::{self, Column};
use super::errors::{self, Failure};
use super::inventory::{self, Relation, RelationKind};
use super::needs;
use super::reader::Reader;
use super::schema::{self, Schema, StoredColumn, StoredRelation};
use super::session::{Session, quote};
use super::tools::Tools;
use super::way::{Way, holds_rows};
use crate::config::{Consistency, Ddl, Relationship};
use crate::error::{Error, Kind, Result};
use crate::modules::Records;
use crate::source::{
    ConsistencyStamp, Coverage, EachText, EntryName, ItemKind, Level, Orphans, Output, ReadCollection, StreamTotals,
    View, Wanted,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A transaction that sees one moment and changes nothing.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A view of a schema. The keeper's transaction holds locks and snapshot until the view is closed.
pub struct PgView<'a> {
    pub(super) source: &'a Postgres,
    /// What it has locked stays locked.
    keeper: Session,
    snapshot: Option<String>,
    stamp: ConsistencyStamp,
    relations: BTreeMap<String, Relation>,
    /// Names of all that is read in this view.
    wanted: BTreeSet<String>,
    /// Tables that could not be locked, and why.
    locked_out: BTreeMap<String, Error>,
    /// Sessions at rest.
    readers: Mutex<Vec<Reader>>,
    /// Definitions by the relations that they are of: many tenants' archives hold the same.
    schemas: Mutex<BTreeMap<BTreeSet<u32>, Arc<Schema>>>,
    /// Of tables, what is the same for every tenant, by the question.
    coverages: Mutex<BTreeMap<String, Coverage>>,
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

    if source.ddl() != Ddl::None {
        // Needed only when the rows are read, but it is better to know now.
        Tools::find(keeper.version / 10_000)?;
    }
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
    let mut view =
        PgView { source, keeper, snapshot: None, stamp, relations, wanted, locked_out, readers, schemas, coverages };
    if at_most == Level::Collection {
        view.stamp.reason = Some("its snapshot was lost".into());
        return Ok(Box::new(view));
    }
    match source.block(export(&view.keeper)) {
        Ok(snapshot) => {
            view.snapshot = Some(snapshot);
            view.stamp.level = Level::Snapshot;
        }
        Err(error) if consistency == Consistency::Required => {
            return Err(error.context(format!("source '{}' cannot give one snapshot of all tables", source.name)));
        }
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
        unit.iter().map(|wanted| self.read_one(wanted, output)).collect()
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
    /// What is stored of these beside their rows, asked for once.
    fn schema(&self, wanted: &[Wanted]) -> Result<Arc<Schema>> {
        let relations: Vec<_> = wanted.iter().filter_map(|wanted| self.relations.get(&wanted.name)).collect();
        let oids: BTreeSet<u32> = relations.iter().map(|relation| relation.oid).collect();
        // Whoever asks for the same meanwhile waits for it: pg_dump takes long.
        let mut known = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = known.get(&oids) {
            return Ok(Arc::clone(schema));
        }
        let schema = Arc::new(self.define(&relations, &oids)?);
        known.insert(oids, Arc::clone(&schema));
        Ok(schema)
    }

    fn define(&self, relations: &[&Relation], oids: &BTreeSet<u32>) -> Result<Schema> {
        let source = self.source;
        let is_whole = self.relations.values().filter(|r| r.is_item()).all(|relation| oids.contains(&relation.oid));
        let mut schema = match source.ddl() {
            Ddl::Dump | Ddl::WithGrants => {
                let none = || {
                    Error::new(Kind::Source, "the definitions cannot be had at one moment with the rows")
                        .hint("read the primary, or store the rows alone with `ddl: none`")
                };
                source.definitions(&self.keeper, self.snapshot.as_deref().ok_or_else(none)?, oids, is_whole)?
            }
            Ddl::None => Schema {
                sequences: source.block(needs::sequences(&self.keeper, &[], oids))?,
                warnings: vec![
                    "no definitions are stored (`ddl: none`): a restore needs the tables to be there".into(),
                ],
                ..Schema::default()
            },
        };
        schema.name.clone_from(&source.schema);
        schema.defined = source.ddl() != Ddl::None;
        for relation in relations {
            let columns = match holds_rows(relation.kind) {
                true => source.block(catalog::columns(&self.keeper, relation.oid))?,
                false => Vec::new(),
            };
            let key = source.block(catalog::primary_key(&self.keeper, relation.oid))?;
            let stored = columns.into_iter().filter(|column| !column.generated);
            let columns = stored.map(|c| StoredColumn { name: c.name, type_name: c.type_name }).collect();
            schema.relations.insert(relation.name.clone(), StoredRelation { oid: relation.oid, columns, key });
        }
        Ok(schema)
    }

    fn read_one(&self, wanted: &Wanted, output: &dyn Output) -> Result<ReadCollection> {
        if wanted.kind == ItemKind::View {
            return Ok(read(wanted));
        }
        self.with_reader(wanted, |reader, relation| self.copy(reader, relation, wanted, output))
    }

    /// Does something with a table at the view's moment, once it is locked.
    fn with_reader<T>(&self, wanted: &Wanted, work: impl FnOnce(&Reader, &Relation) -> Result<T>) -> Result<T> {
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
            self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        }
        done
    }

    /// A session of the view's moment.
    fn reader(&self) -> Result<Reader> {
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

    fn copy(
        &self,
        reader: &Reader,
        relation: &Relation,
        wanted: &Wanted,
        output: &dyn Output,
    ) -> Result<ReadCollection> {
        let source = self.source;
        let columns = source.block(self.checked(&reader.session, relation, wanted))?;
        let way = self.way(reader, wanted)?;
        let mut done = read(wanted);
        if let Some(way) = &way {
            let coverage = self.coverage_of(reader, relation, way)?;
            (done.without_owner, done.warnings) = (coverage.without_owner, coverage.remarks);
        }
        let names: Vec<_> = columns.iter().map(|column| quote(&column.name)).collect();
        let sql = match &way {
            Some(way) => way.copy(&names, false),
            None => statement(source, relation, &names.join(", ")),
        };
        let name = source.rows_of(&wanted.name);
        let mut stream = output.stream(&name)?;
        let keep = |row: &[u8]| way.as_ref().map_or(Ok(row.len()), |way| way.checked(row));
        let told = reader.copy(source, &sql, &source.place(&wanted.name), keep, |block| stream.write(block))?;
        let totals = stream.finish()?;
        if told != totals.records {
            let what = format!("{} rows of table {} arrived, the server says {told}", totals.records, wanted.name);
            return Err(Error::new(Kind::Source, what));
        }
        (done.records, done.bytes, done.digest) = (totals.records, totals.bytes, totals.digest);
        Ok(done)
    }

    /// The way from a table's rows to their owner, where they are asked for by owner.
    pub(super) fn way(&self, reader: &Reader, wanted: &Wanted) -> Result<Option<Way>> {
        let Some(ownership) = wanted.records.ownership() else { return Ok(None) };
        let relation = |name: &str| self.relations.get(name);
        let look = Way::look(&reader.session, &self.source.schema, relation, &wanted.name, ownership);
        self.source.block(look).map(Some)
    }

    /// Rows that lead to no owner, and the index that is missing: the same for every tenant, and so asked for once.
    fn coverage_of(&self, reader: &Reader, relation: &Relation, way: &Way) -> Result<Coverage> {
        let question = way.without_owner();
        if let Some(known) = self.coverages.lock().unwrap_or_else(PoisonError::into_inner).get(&question) {
            return Ok(known.clone());
        }
        let nobodys = self.source.block(number(&reader.session, &question, &relation.name))?;
        let mut coverage = Coverage { without_owner: nobodys, ..Coverage::default() };
        if nobodys > 0 {
            let field = way.first();
            coverage
                .remarks
                .push(format!("{nobodys} rows have no `{field}` that leads to an owner and are in no tenant's backup"));
        }
        coverage.index = self.source.block(way.missing_index(&reader.session, relation.oid))?;
        if let Some(command) = &coverage.index {
            coverage.remarks.push(format!("`{}` has no index, so every row is read: {command}", way.first()));
        }
        self.coverages.lock().unwrap_or_else(PoisonError::into_inner).insert(question, coverage.clone());
        Ok(coverage)
    }

    /// The columns to read, once it is certain that this is the table that was planned, and all of it.
    pub(super) async fn checked(&self, session: &Session, relation: &Relation, wanted: &Wanted) -> Result<Vec<Column>> {
        let name = &wanted.name;
        let failed = |e: Failure| errors::relation(&e, "look at table", name);
        let sql = "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1::text::name AND c.relname = $2::text::name";
        let found = session.query(sql, &[&self.source.schema, name]).await.map_err(failed)?;
        let oid: Option<u32> = found.first().map(|row| row.get(0));
        if oid != Some(relation.oid) || wanted.identity.as_ref().is_some_and(|was| *was != relation.oid.to_string()) {
            let what = format!("table {name} was dropped, or made anew, since the run was planned");
            return Err(Error::new(Kind::Missing, what));
        }
        let place = format!("{}.{name}", self.source.schema);
        let is_child = |r: &&Relation| r.kind == RelationKind::Inherited && r.parents.contains(&place);
        let children: Vec<_> = self.relations.values().filter(is_child).map(|r| r.name.as_str()).collect();
        let missing: Vec<_> = children.into_iter().filter(|child| !self.wanted.contains(*child)).collect();
        if !missing.is_empty() {
            let what = format!("table {name} has rows in tables that inherit from it: {}", missing.join(", "));
            return Err(Error::new(Kind::Source, what).hint("list those too"));
        }
        let columns = catalog::columns(session, relation.oid).await?;
        if let Some(column) = columns.iter().find(|column| column.large_object)
            && self.has_large_objects(session).await?
        {
            let what =
                format!("column {} of table {name} may hold large objects, which are not backed up", column.name);
            return Err(
                Error::new(Kind::Source, what).hint("keep such data in columns of type bytea, or exclude the table")
            );
        }
        Ok(columns.into_iter().filter(|column| !column.generated).collect())
    }

    async fn has_large_objects(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)";
        let found = session.query(sql, &[]).await;
        let found = found.map_err(|e| errors::relation(&e, "look for", "large objects"))?;
        Ok(found.first().is_some_and(|row| row.get(0)))
    }
}

/// Nothing read yet.
fn read(wanted: &Wanted) -> ReadCollection {
    let StreamTotals { records, bytes, digest } = StreamTotals::default();
    ReadCollection { name: wanted.name.clone(), records, bytes, digest, without_owner: 0, warnings: Vec::new() }
}

/// The COPY that reads a whole table.
fn statement(source: &Postgres, relation: &Relation, names: &str) -> String {
    let table = source.place(&relation.name);
    match relation.kind {
        RelationKind::Partitioned => format!("COPY (SELECT {names} FROM {table}) TO STDOUT"),
        // A table may have no columns, and rows all the same.
        _ if names.is_empty() => format!("COPY {table} TO STDOUT"),
        _ => format!("COPY {table} ({names}) TO STDOUT"),
    }
}

async fn number(session: &Session, sql: &str, table: &str) -> Result<u64> {
    let rows = session.query(sql, &[]).await.map_err(|e| errors::relation(&e, "count the rows of", table))?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
}

/// How many rows are covered.
pub fn count(source: &Postgres, wanted: &Wanted) -> Result<Option<u64>> {
    let session = source.session()?;
    source.block(async {
        let relations = inventory::relations(&session, &source.schema).await?;
        let relation = |name: &str| relations.iter().find(|relation| relation.name == name);
        let Some(ownership) = wanted.records.ownership() else {
            let Some(found) = relation(&wanted.name).filter(|found| holds_rows(found.kind)) else { return Ok(None) };
            // Rows of tables that inherit from it are theirs.
            let only = if found.kind == RelationKind::Partitioned { "" } else { "ONLY " };
            let place = source.place(&wanted.name);
            return number(&session, &format!("SELECT count(*) FROM {only}{place}"), &place).await.map(Some);
        };
        let way = Way::look(&session, &source.schema, relation, &wanted.name, ownership).await?;
        number(&session, &way.count(), &source.place(&wanted.name)).await.map(Some)
    })
}

/// Children whose foreign key names no parent.
pub fn orphans(source: &Postgres, relationship: &Relationship, children: &Records) -> Result<Orphans> {
    let session = source.session()?;
    source.block(async {
        let failed = |e: Failure| errors::relation(&e, "check the keys of", &relationship.child);
        let sql = "SELECT $1::text::regclass::oid";
        let parent = source.place(&relationship.parent);
        let found = session.query(sql, &[&parent]).await.map_err(failed)?;
        let oid: u32 = found.first().map(|row| row.get(0)).unwrap_or_default();
        let key = catalog::primary_key(&session, oid).await?;
        let [key] = key.as_slice() else {
            let what = format!("table {} has no primary key of one column", relationship.parent);
            return Err(Error::new(Kind::Source, what));
        };
        let (child, foreign, key) = (source.place(&relationship.child), quote(&relationship.foreign_key), quote(key));
        let covered = match children.ownership() {
            None => "true".to_owned(),
            Some(ownership) => {
                let relations = inventory::relations(&session, &source.schema).await?;
                let relation = |name: &str| relations.iter().find(|relation| relation.name == name);
                Way::look(&session, &source.schema, relation, &relationship.child, ownership).await?.condition("c")
            }
        };
        let lost = format!(
            "FROM {child} c WHERE c.{foreign} IS NOT NULL AND {covered}
             AND NOT EXISTS (SELECT FROM {parent} p WHERE p.{key}::text = c.{foreign}::text)"
        );
        let count = session.query(&format!("SELECT count(*) {lost}"), &[]).await.map_err(failed)?;
        let samples = session.query(&format!("SELECT DISTINCT c.{foreign}::text {lost} LIMIT 5"), &[]).await;
        Ok(Orphans {
            count: count.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)),
            samples: samples.map_err(failed)?.iter().map(|row| row.get(0)).collect(),
        })
    })
}
