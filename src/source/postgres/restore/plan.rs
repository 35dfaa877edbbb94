//! What a restore would change, and what stands in its way: all that can be known before the first write.

use super::collide::Collisions;
use super::prepare::archives;
use super::taken;
use super::tenant;
use super::unique;
use super::worker::Worker;
use super::{is_view, looked_at, relation, stored_schema};
use crate::error::{Context, Error, Kind, Result};
use crate::source::postgres::inventory;
use crate::source::postgres::schema::Schema;
use crate::source::postgres::session::quote;
use crate::source::postgres::way::holds_rows;
use crate::source::postgres::{Postgres, catalog, copy};
use crate::source::{Changes, Existing, Input, Restoring, StoredCollection};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

/// A name of this session alone.
pub const KEYS: &str = "pg_temp.backup_restore_keys";

/// See [`crate::source::Target::compare`]: stored rows and live ones are matched by primary key.
pub fn compare(target: &Postgres, stored: &StoredCollection, input: &dyn Input, existing: Existing) -> Result<Changes> {
    let schema = stored_schema(target, input, &stored.directory)?;
    let relation = relation(&schema, stored)?;
    let worker = Worker::open(target)?;
    let relations = target.block(inventory::relations(worker.session(), &target.schema))?;
    let Some(live) = relations.iter().find(|relation| relation.name == stored.name) else {
        return Ok(Changes::of(existing, stored.records, 0, 0));
    };
    if holds_rows(live.kind) == relation.columns.is_empty() && (holds_rows(live.kind) != (stored.records > 0)) {
        let what = format!("{} is {} there, and something else in the backup", stored.name, live.kind.describe());
        return Err(Error::new(Kind::Refused, what)
            .hint("drop or rename it by hand, or restore into another database with --into"));
    }
    if !holds_rows(live.kind) {
        return Ok(Changes::default());
    }
    if stored.scope.ownership().is_some() {
        return tenant::compare(target, &worker, (&relations, relation), stored, input, existing);
    }
    let place = target.place(&stored.name);
    let (oid, is_partitioned) = looked_at(&worker, &place)?;
    let only = if is_partitioned { place.clone() } else { format!("ONLY {place}") };
    let rows = worker.count(&format!("SELECT count(*) FROM {only}"), &stored.name)?;
    let key = target.block(catalog::primary_key(worker.session(), oid))?;
    let is_stored = |name: &String| relation.columns.iter().any(|stored| stored.name == *name);
    if key.is_empty() || !key.iter().all(is_stored) {
        if existing == Existing::Replace {
            return Ok(Changes::of(existing, stored.records, 0, rows));
        }
        return Err(no_key(&stored.name));
    }
    let uniques = match existing {
        Existing::Add | Existing::Merge => unique::of(&worker, oid, &stored.name)?,
        Existing::Refuse | Existing::Replace => Vec::new(),
    };
    // What has to be known of every stored row: its key, and what must be unique besides.
    let needed = |name: &String| key.contains(name) || uniques.iter().any(|unique| unique.needs().contains(name));
    let at: Vec<usize> = (0..relation.columns.len()).filter(|at| needed(&relation.columns[*at].name)).collect();
    let names: Vec<String> = at.iter().map(|at| relation.columns[*at].name.clone()).collect();
    let columns = names.iter().map(|column| quote(column)).collect::<Vec<_>>().join(", ");
    let sql = format!("CREATE TEMPORARY TABLE backup_restore_keys AS SELECT {columns} FROM {place} WITH NO DATA");
    worker.run(&sql, "compare the keys of", &stored.name)?;
    let mut keys = Keys::of(super::rows(target, stored, input)?, at);
    worker.load(&format!("COPY {KEYS} ({columns}) FROM STDIN"), &mut keys, &stored.name)?;
    Collisions::new(&worker, (&stored.name, &only, KEYS), &key, &uniques, &names).require_free(existing)?;
    let same = key.iter().map(|column| format!("l.{0} = k.{0}", quote(column))).collect::<Vec<_>>().join(" AND ");
    let matched = worker.count(&format!("SELECT count(*) FROM {KEYS} k JOIN {only} l ON {same}"), &stored.name)?;
    Ok(Changes::of(existing, stored.records, matched, rows))
}

/// What cannot be matched.
pub fn no_key(table: &str) -> Error {
    let what = format!("table {table} has no primary key by which stored rows could be matched with what is there");
    Error::new(Kind::Refused, what).hint("replace it whole (`--existing replace`)")
}

/// Some columns alone of stored rows, as COPY takes them.
pub struct Keys<R> {
    body: BufReader<R>,
    /// Where they are in a row.
    at: Vec<usize>,
    line: Vec<u8>,
    row: Vec<u8>,
    sent: usize,
}

impl<R: Read> Keys<R> {
    /// The columns `at` of the rows of `body`.
    pub fn of(body: R, at: Vec<usize>) -> Self {
        let body = BufReader::with_capacity(1 << 20, body);
        Self { body, at, line: Vec::new(), row: Vec::new(), sent: 0 }
    }
}

impl<R: Read> Read for Keys<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.sent == self.row.len() {
            self.line.clear();
            self.row.clear();
            self.sent = 0;
            if self.body.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(0);
            }
            copy::pick(&self.line, &self.at, &mut self.row);
        }
        let n = out.len().min(self.row.len() - self.sent);
        out[..n].copy_from_slice(&self.row[self.sent..self.sent + n]);
        self.sent += n;
        Ok(n)
    }
}

/// See [`crate::source::Target::examine`].
pub fn examine(target: &Postgres, batch: &[Restoring<'_>]) -> Result<Vec<String>> {
    let worker = Worker::open(target)?;
    let mut refused = Vec::new();
    let relations = target.block(inventory::relations(worker.session(), &target.schema))?;
    let mut new = Vec::new();
    let there: BTreeMap<&str, u32> = relations.iter().map(|r| (r.name.as_str(), r.oid)).collect();
    for (schema, of_archive) in archives(target, batch)? {
        let lacks = |restoring: &&Restoring<'_>| !there.contains_key(restoring.stored.name.as_str());
        if schema.name != target.schema && of_archive.iter().any(&lacks) {
            let what = format!("the backup is of schema {}, the source's is {}", schema.name, target.schema);
            let lacking: Vec<_> = of_archive.iter().copied().filter(lacks).map(|r| r.stored.name.clone()).collect();
            return Err(Error::new(Kind::Refused, what).details(vec![format!("not there: {}", lacking.join(", "))]).hint(
                "definitions are made in their own schema alone: make the tables first, or set `schema` of the source to that of the backup, in a configuration of its own if need be",
            ));
        }
        refused.extend(lacking_extensions(target, &worker, &schema)?);
        let oids = of_archive.iter().filter(|r| lacks(r)).map(|r| Ok(relation(&schema, r.stored)?.oid));
        let oids = oids.collect::<Result<BTreeSet<u32>>>()?;
        new.extend((!oids.is_empty()).then(|| schema.part(&oids)));
        for restoring in of_archive {
            let name = &restoring.stored.name;
            match there.get(name.as_str()) {
                None if !schema.defined => refused.push(format!(
                    "table {name} is not there, and the backup holds its rows alone (`ddl: none`): make it first"
                )),
                None => {}
                Some(oid) if !is_view(restoring.kind) => {
                    refused.extend(unfit(target, &worker, &schema, restoring.stored, *oid)?);
                }
                Some(_) => {}
            }
        }
    }
    let tables: Vec<String> = batch
        .iter()
        .filter(|r| !is_view(r.kind) && there.contains_key(r.stored.name.as_str()))
        .map(|r| target.place(&r.stored.name))
        .collect();
    refused.extend(not_ours(&worker, &tables)?);
    refused.extend(may_not_create(&worker)?);
    let (taken, told) = taken::examine(&worker, &new)?;
    let hint = (!taken.is_empty()).then_some(taken::HINT);
    refused.extend(taken);
    if refused.is_empty() {
        target.restore.told().clone_from(&told);
        return Ok(told);
    }
    let error = Error::new(Kind::Refused, "the target cannot take what is stored, and nothing was changed");
    Err(hint.into_iter().fold(error.details(refused), Error::hint))
}

fn lacking_extensions(target: &Postgres, worker: &Worker<'_>, schema: &Schema) -> Result<Vec<String>> {
    let there: BTreeSet<String> =
        target.block(catalog::extensions(worker.session()))?.into_iter().map(|extension| extension.name).collect();
    let lacking = schema.extensions.iter().filter(|extension| !there.contains(&extension.name));
    let line = |e: &crate::source::postgres::schema::Extension| {
        let (name, schema) = (quote(&e.name), quote(&e.schema));
        format!("extension {} ({}) is not there: CREATE EXTENSION {name} SCHEMA {schema}", e.name, e.version)
    };
    Ok(lacking.map(line).collect())
}

/// Why a table that is there cannot take the stored rows.
fn unfit(
    target: &Postgres,
    worker: &Worker<'_>,
    schema: &Schema,
    stored: &StoredCollection,
    oid: u32,
) -> Result<Vec<String>> {
    let name = &stored.name;
    let live = target.block(catalog::columns(worker.session(), oid)).context(|| format!("cannot look at {name}"))?;
    let kept = &relation(schema, stored)?.columns;
    let mut found = Vec::new();
    for column in kept {
        match live.iter().find(|other| other.name == column.name) {
            None => found.push(format!("table {name} has no column {}, which is stored", column.name)),
            Some(other) if other.generated => {
                found.push(format!("column {} of table {name} is computed there, and stored as a value", column.name));
            }
            Some(_) => {}
        }
    }
    let needs = live.iter().filter(|c| c.not_null && !c.has_default && !c.generated && c.identity.is_none());
    for column in needs.filter(|column| !kept.iter().any(|stored| stored.name == column.name)) {
        found.push(format!("table {name} has a column {} that must have a value, and is not stored", column.name));
    }
    Ok(found)
}

/// Tables whose keys or triggers have to be set aside, and that are somebody else's.
fn not_ours(worker: &Worker<'_>, tables: &[String]) -> Result<Vec<String>> {
    let sql = "WITH own AS (SELECT place::regclass::oid AS oid FROM pg_catalog.unnest($1::text[]) t(place)),
        touched AS (
          SELECT k.conrelid AS oid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f'
          AND (k.conrelid IN (SELECT oid FROM own) OR k.confrelid IN (SELECT oid FROM own))
          UNION SELECT g.tgrelid FROM pg_catalog.pg_trigger g WHERE NOT g.tgisinternal AND g.tgrelid IN (SELECT oid FROM own))
        SELECT c.oid::regclass::text, pg_catalog.pg_get_userbyid(c.relowner)::text FROM pg_catalog.pg_class c
        JOIN touched USING (oid) WHERE NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')";
    let rows = worker.rows(sql, &[&tables], "look at the owners of", "the tables")?;
    let line = |row: &tokio_postgres::Row| {
        let (table, owner): (String, String) = (row.get(0), row.get(1));
        format!(
            "table {table} has foreign keys or triggers to be set aside, and belongs to {owner}: restore as that user"
        )
    };
    Ok(rows.iter().map(line).collect())
}

fn may_not_create(worker: &Worker<'_>) -> Result<Option<String>> {
    let sql = "SELECT current_user::text, pg_catalog.current_database()::text
        WHERE NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')";
    let rows = worker.rows(sql, &[], "look at the privileges of", "the user")?;
    Ok(rows.first().map(|row| {
        let (user, database): (String, String) = (row.get(0), row.get(1));
        format!(
            "a schema to stage in cannot be made: GRANT CREATE ON DATABASE {} TO {}",
            quote(&database),
            quote(&user)
        )
    }))
}
