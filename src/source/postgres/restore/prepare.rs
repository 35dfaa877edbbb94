//! Makes what has to be there before rows are loaded, in one transaction.

use super::definitions::Numbered;
use super::worker::Worker;
use super::{Prepared, is_view, relation, staging, stored_schema};
use crate::error::{Error, Kind, Result};
use crate::source::Restoring;
use crate::source::postgres::inventory::{self, Relation};
use crate::source::postgres::schema::{Definition, Extension, Schema, Section};
use crate::source::postgres::session::quote;
use crate::source::postgres::{Postgres, toc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

/// See [`crate::source::Target::prepare`].
pub fn prepare(target: &Postgres, batch: &[Restoring<'_>], token: &str) -> Result<Vec<String>> {
    let worker = Worker::open(target)?;
    let database = target.server.database.as_str();
    let archives = archives(target, batch)?;
    if target.scratch_of.is_some() {
        // Nobody else has a scratch database, so nobody else can have made them.
        let mut extensions = archives.iter().flat_map(|(schema, _)| &schema.extensions);
        extensions.try_for_each(|extension| make_extension(&worker, extension))?;
    }
    // What is listed before and after must differ by what is made here alone.
    worker.run("BEGIN ISOLATION LEVEL REPEATABLE READ", "restore into", database)?;
    let relations = target.block(inventory::relations(worker.session(), &target.schema))?;
    let there: BTreeMap<&str, &Relation> = relations.iter().map(|r| (r.name.as_str(), r)).collect();
    let before = staging::objects(&worker)?;
    let mut prepared = Prepared { staging: staging::schema(token), ..Prepared::default() };
    staging::create(&worker, &prepared.staging)?;
    make_schema(&worker, &target.schema)?;

    for (schema, of_archive) in archives {
        let new = of_archive.iter().filter(|restoring| !there.contains_key(restoring.stored.name.as_str()));
        let oids = new.map(|r| Ok(relation(&schema, r.stored)?.oid)).collect::<Result<BTreeSet<u32>>>()?;
        let part = schema.part(&oids);
        let numbered = Numbered::new(&part);
        for definition in part.entries.iter().filter(|definition| definition.section == Section::PreData) {
            prepared.made.make(&worker, definition, &numbered)?;
        }
        for restoring in of_archive {
            let name = &restoring.stored.name;
            let is_new = !there.contains_key(name.as_str());
            if is_new {
                move_away(&worker, target, &part, &prepared, name)?;
            } else if !is_view(restoring.kind) {
                stage_beside(&worker, target, &schema, &prepared.staging, restoring)?;
            }
            if !is_view(restoring.kind) {
                prepared.is_new.insert(name.clone(), is_new);
            }
        }
    }
    staging::note_made(&worker, &prepared.staging, &before)?;
    worker.commit()?;
    let warnings = prepared.made.warnings();
    *target.restore.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(prepared));
    Ok(warnings)
}

/// What is restored, by the archive that it is from, with the definitions of that.
pub fn archives<'b, 'a>(
    target: &Postgres,
    batch: &'b [Restoring<'a>],
) -> Result<Vec<(Arc<Schema>, Vec<&'b Restoring<'a>>)>> {
    let mut archives: Vec<(String, Arc<Schema>, Vec<&Restoring<'_>>)> = Vec::new();
    for restoring in batch {
        let identity = restoring.input.identity();
        match archives.iter_mut().find(|(of, ..)| *of == identity) {
            Some((_, _, same)) => same.push(restoring),
            None => {
                let schema = stored_schema(target, restoring.input, &restoring.stored.directory)?;
                archives.push((identity, schema, vec![restoring]));
            }
        }
    }
    Ok(archives.into_iter().map(|(_, schema, of)| (schema, of)).collect())
}

fn make_schema(worker: &Worker<'_>, schema: &str) -> Result<()> {
    let sql = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1::text::name";
    if !worker.rows(sql, &[&schema], "look for the schema", schema)?.is_empty() {
        return Ok(());
    }
    worker.run(&format!("CREATE SCHEMA {}", quote(schema)), "create the schema", schema)
}

fn make_extension(worker: &Worker<'_>, extension: &Extension) -> Result<()> {
    let (name, schema) = (quote(&extension.name), quote(&extension.schema));
    let place = if extension.schema == "pg_catalog" { String::new() } else { format!(" SCHEMA {schema}") };
    if !place.is_empty() {
        make_schema(worker, &extension.schema)?;
    }
    worker.run(&format!("CREATE EXTENSION IF NOT EXISTS {name}{place}"), "make the extension", &extension.name)
}

/// Takes a table that was made just now out of sight, with its partitions.
fn move_away(worker: &Worker<'_>, target: &Postgres, part: &Schema, prepared: &Prepared, name: &str) -> Result<()> {
    let is_it = |r: &&Definition| {
        part.relations.get(name).is_some_and(|relation| r.entry.object() == (toc::PG_CLASS, relation.oid))
    };
    if !part.entries.iter().find(is_it).is_some_and(|definition| prepared.made.has(&definition.entry)) {
        let what = format!("the definition of table {name} is not stored, and the table is not there");
        return Err(Error::new(Kind::Refused, what).hint("make the table first, or restore with --to-directory"));
    }
    let sql = "SELECT c.oid, n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $2::text::name AND (c.oid = $1::text::regclass
        OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1::text::regclass)))";
    let rows = worker.rows(sql, &[&target.place(name), &target.schema], "look at the partitions of", name)?;
    let oids: Vec<u32> = rows.iter().map(|row| row.get(0)).collect();
    move_to(worker, &oids, &prepared.staging)
}

/// Moves relations to a schema. What belongs to a table goes with it.
pub fn move_to(worker: &Worker<'_>, oids: &[u32], schema: &str) -> Result<()> {
    let sql = "SELECT c.oid::regclass::text, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
        WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::oid[])";
    for row in worker.rows(sql, &[&oids], "look at the tables of", schema)? {
        let (place, kind): (String, String) = (row.get(0), row.get(1));
        worker.run(&format!("ALTER {kind} {place} SET SCHEMA {}", quote(schema)), "move", &place)?;
    }
    Ok(())
}

/// Makes a table for the rows of one that is there: of the columns that are stored, without any rule.
fn stage_beside(
    worker: &Worker<'_>,
    target: &Postgres,
    schema: &Schema,
    staging: &str,
    restoring: &Restoring<'_>,
) -> Result<()> {
    let name = &restoring.stored.name;
    let (place, columns) = (target.place(name), relation(schema, restoring.stored)?.list());
    let sql = format!(
        "CREATE UNLOGGED TABLE {}.{} AS SELECT {columns} FROM {place} WITH NO DATA",
        quote(staging),
        quote(name)
    );
    worker.run(&sql, "stage table", name)
}
