//! Where a restore stages: a schema of its own, in which tables are loaded before anyone sees them. Its comment, written
//! in the same transaction, says what else was made and how far it came; so a dead run's traces are found and removed by
//! whoever comes next, and whether its last transaction was committed is never in doubt.

use super::worker::Worker;
use crate::error::{Error, Kind, Result};
use crate::source::postgres::session::quote;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Begins the name of every such schema.
const PREFIX: &str = "backup-restore.";

/// An object by the oid of its catalog and its own.
type Object = (u32, u32);

/// How far a restore came.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
enum State {
    /// Tables are loaded; these objects were made outside of the schema.
    Staged { made: Vec<Object> },
    /// All is in place.
    InPlace,
}

/// Name of the schema.
pub fn schema(token: &str) -> String {
    format!("{PREFIX}{token}")
}

/// Creates it, in the transaction of the worker.
pub fn create(worker: &Worker<'_>, schema: &str) -> Result<()> {
    worker.run(&format!("CREATE SCHEMA {}", quote(schema)), "create the schema", schema)
}

/// Notes what was made outside of it since `before`.
pub fn note_made(worker: &Worker<'_>, schema: &str, before: &BTreeSet<Object>) -> Result<()> {
    let made = objects(worker)?.into_iter().filter(|object| !before.contains(object)).collect();
    note(worker, schema, &State::Staged { made })
}

/// Notes that all is in place, in the transaction that puts it there.
pub fn note_in_place(worker: &Worker<'_>, schema: &str) -> Result<()> {
    note(worker, schema, &State::InPlace)
}

fn note(worker: &Worker<'_>, schema: &str, state: &State) -> Result<()> {
    let state = serde_json::to_string(state)
        .map_err(|e| Error::new(Kind::Internal, "what was made cannot be noted").cause(e))?;
    let sql = format!("COMMENT ON SCHEMA {} IS '{}'", quote(schema), state.replace('\'', "''"));
    worker.run(&sql, "describe the schema", schema)
}

/// Whether the restore that staged there has put all in place.
pub fn is_in_place(worker: &Worker<'_>, schema: &str) -> Result<bool> {
    Ok(matches!(state(worker, schema)?, Some(State::InPlace)))
}

/// What is noted there; none where there is no such schema, or it is not ours.
fn state(worker: &Worker<'_>, schema: &str) -> Result<Option<State>> {
    let sql = "SELECT pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace
        WHERE nspname = $1::text::name";
    let rows = worker.rows(sql, &[&schema], "look at the schema", schema)?;
    let comment: Option<String> = rows.first().and_then(|row| row.get(0));
    Ok(comment.and_then(|comment| serde_json::from_str(&comment).ok()))
}

/// Objects that pg_dump's scripts make before rows are loaded, as this transaction sees them. What is part of another, and
/// goes with it, is left out.
pub fn objects(worker: &Worker<'_>) -> Result<BTreeSet<Object>> {
    let catalogs = [
        ("pg_namespace", "nspname NOT LIKE 'pg\\_%' AND nspname NOT LIKE 'backup-restore.%'"),
        ("pg_type", "true"),
        ("pg_proc", "true"),
        ("pg_class", "relkind IN ('r', 'p', 'v', 'm', 'S', 'f')"),
        ("pg_operator", "true"),
        ("pg_opfamily", "true"),
        ("pg_opclass", "true"),
        ("pg_cast", "true"),
        ("pg_collation", "true"),
        ("pg_conversion", "true"),
        ("pg_ts_config", "true"),
        ("pg_ts_dict", "true"),
        ("pg_ts_parser", "true"),
        ("pg_ts_template", "true"),
    ];
    let each = catalogs.map(|(catalog, which)| {
        format!(
            "SELECT 'pg_catalog.{catalog}'::regclass::oid AS class, oid FROM pg_catalog.{catalog} WHERE oid >= 16384 AND {which}"
        )
    });
    let sql = format!(
        "SELECT o.class, o.oid FROM ({}) o WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
         WHERE d.classid = o.class AND d.objid = o.oid AND d.refobjid <> o.oid AND d.deptype IN ('i', 'a', 'P', 'S', 'e')
         AND (d.deptype <> 'a' OR d.refclassid = 'pg_catalog.pg_class'::regclass))",
        each.join(" UNION ALL ")
    );
    let rows = worker.rows(&sql, &[], "list the objects of", "the database")?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Removes the schema with all that is in it, and what was made outside of it for it. CASCADE is not used: what somebody
/// else has come to need stays.
pub fn sweep(worker: &Worker<'_>, schema: &str) -> Result<bool> {
    let Some(state) = state(worker, schema)? else { return Ok(false) };
    worker.run("BEGIN", "remove what was staged in", schema)?;
    let swept = remove(worker, schema, &state);
    match swept {
        Ok(()) => worker.commit().map(|()| true),
        Err(error) => {
            worker.attempt("ROLLBACK")?.ok();
            Err(error)
        }
    }
}

fn remove(worker: &Worker<'_>, schema: &str, state: &State) -> Result<()> {
    let sql = "SELECT 'pg_catalog.pg_class'::regclass::oid, oid FROM pg_catalog.pg_class c
        WHERE relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1::text::name)
        AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.refobjid <> c.oid AND d.deptype IN ('a', 'i', 'P', 'S'))";
    let staged = worker.rows(sql, &[&schema], "list the tables of", schema)?;
    let mut left: Vec<Object> = staged.iter().map(|row| (row.get(0), row.get(1))).collect();
    if let State::Staged { made } = state {
        // Nothing but what was left by a restore that came to nothing: of one that is in place they are in use.
        left.extend(made.iter().filter(|object| !left.contains(object)).copied().collect::<Vec<_>>());
    }
    // What needs another is dropped before it, in however many rounds that takes.
    let mut refusal = None;
    loop {
        let before = left.len();
        let mut kept = Vec::new();
        for (class, oid) in left.iter().rev().copied() {
            match drop_object(worker, class, oid)? {
                None => {}
                Some(why) => {
                    refusal = Some(why);
                    kept.insert(0, (class, oid));
                }
            }
        }
        left = kept;
        if left.is_empty() {
            break;
        }
        if left.len() == before {
            let error = Error::new(Kind::Source, format!("what was staged in {schema} cannot be removed"));
            return Err(refusal.into_iter().fold(error, Error::cause));
        }
    }
    worker.run(&format!("DROP SCHEMA {}", quote(schema)), "remove the schema", schema)
}

/// Drops one; why not, where something else needs it.
fn drop_object(worker: &Worker<'_>, class: u32, oid: u32) -> Result<Option<String>> {
    let sql =
        "SELECT type, identity FROM pg_catalog.pg_identify_object($1::oid, $2::oid, 0) WHERE identity IS NOT NULL";
    let found = worker.rows(sql, &[&class, &oid], "look at", "what was made")?;
    let Some(row) = found.first() else { return Ok(None) };
    let (kind, identity): (String, String) = (row.get(0), row.get(1));
    worker.run("SAVEPOINT removed", "remove", &identity)?;
    match worker.attempt(&format!("DROP {} {identity}", kind.to_uppercase()))? {
        Ok(()) => worker.run("RELEASE removed", "remove", &identity).map(|()| None),
        Err(failure) => {
            let why = crate::source::postgres::errors::writing(&failure, &format!("drop {kind}"), &identity);
            worker.run("ROLLBACK TO removed; RELEASE removed", "remove", &identity)?;
            Ok(Some(why.to_string()))
        }
    }
}
