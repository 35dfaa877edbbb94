//! The transaction that puts everything in place.

use super::aside;
use super::definitions::{Made, Numbered};
use super::prepare::{archives, move_to};
use super::tenant::Shares;
use super::worker::Worker;
use super::write::Tables;
use super::{Prepared, relation, staging, stored_schema};
use crate::error::{Context, Result};
use crate::pipeline::in_parallel;
use crate::source::postgres::Postgres;
use crate::source::postgres::errors;
use crate::source::postgres::schema::{Definition, Schema, Section, SequenceValue};
use crate::source::postgres::toc::PG_CLASS;
use crate::source::{Changes, Existing, Input, Restoring, Staged, StoredCollection, Switched};
use std::collections::BTreeSet;

/// Tables that are analysed at once.
const ANALYSED: usize = 2;

/// See [`crate::source::Target::switch`].
pub fn switch(target: &Postgres, batch: &[(&Staged, &dyn Input)]) -> Result<Vec<Switched>> {
    let prepared = target.restore.prepared()?;
    let worker = Worker::open(target)?;
    worker.run("BEGIN", "restore into", &target.server.database)?;
    let mut switched = in_transaction(target, &worker, &prepared, batch)?;
    worker.commit()?;
    analyse(target, batch, &mut switched);
    Ok(switched)
}

/// Tells the server what it now holds, where it was not told before. Plans of queries are worse without; the data is as good.
fn analyse(target: &Postgres, batch: &[(&Staged, &dyn Input)], switched: &mut [Switched]) {
    let analysed = target.restore.ahead().analysed.clone();
    let loaded = |(_, (staged, _)): &(usize, &(&Staged, &dyn Input))| {
        staged.staging_name.is_some() && !analysed.contains(&staged.name)
    };
    let tables: Vec<(usize, &str)> =
        batch.iter().enumerate().filter(loaded).map(|(at, (staged, _))| (at, staged.name.as_str())).collect();
    let lots: Vec<Vec<(usize, &str)>> =
        (0..ANALYSED).map(|lot| tables.iter().skip(lot).step_by(ANALYSED).copied().collect()).collect();
    let left = in_parallel(ANALYSED, &target.cancel, lots, |lot: Vec<(usize, &str)>, _| {
        let mut left = Vec::new();
        let Some(_) = lot.first() else { return Ok(left) };
        let worker = Worker::open(target)?;
        for (at, name) in lot {
            let sql = format!("ANALYZE {}", target.place(name));
            let done = worker.run(&sql, "analyse table", name);
            left.extend(done.err().map(|error| (at, error)));
        }
        Ok(left)
    });
    // All is in place by now: no more than a warning comes of it.
    let left = left.unwrap_or_else(|error| tables.iter().map(|(at, _)| vec![(*at, error.clone())]).collect());
    for (at, error) in left.into_iter().flatten() {
        switched[at].warnings.push(format!("run ANALYZE by hand: {error}"));
    }
}

fn in_transaction(
    target: &Postgres,
    worker: &Worker<'_>,
    prepared: &Prepared,
    batch: &[(&Staged, &dyn Input)],
) -> Result<Vec<Switched>> {
    let is_live = |staged: &Staged| prepared.is_new.get(&staged.name) == Some(&false);
    let live: Vec<String> =
        batch.iter().filter(|(staged, _)| is_live(staged)).map(|(staged, _)| target.place(&staged.name)).collect();
    if !live.is_empty() {
        // Readers go on; writers wait, until all of it is there.
        let sql = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", live.join(", "));
        worker.run(&sql, "lock the tables of", &target.schema)?;
    }
    let mut deletes = batch.iter().any(|(staged, _)| staged.existing == Existing::Replace);
    for (staged, input) in batch.iter().filter(|(staged, _)| is_live(staged)) {
        let Some(place) = &staged.staging_name else { continue };
        let schema = stored_schema(target, *input, &staged.stored.directory)?;
        let tables = Tables::new(worker, target, &schema, staged, place)?;
        tables.collisions().require_free(staged.existing)?;
        deletes |= staged.existing == Existing::Merge && tables.collisions().any_moves()?;
    }
    let aside = aside::set_aside(worker, &live, deletes)?;
    let shares = Shares::clear(target, worker, prepared, batch)?;
    let mut switched = Vec::new();
    for (staged, input) in batch {
        let done = one(target, worker, prepared, &shares, staged, *input);
        switched.push(done.context(|| format!("cannot put {} in place", staged.name))?);
    }
    move_back(target, worker, prepared)?;
    let restoring: Vec<Restoring<'_>> = batch
        .iter()
        .map(|(staged, input)| Restoring {
            stored: &staged.stored,
            kind: None,
            input: *input,
            existing: staged.existing,
        })
        .collect();
    let left_out = complete(target, worker, prepared, &restoring)?;
    aside.put_back(worker)?;
    shares.prove(prepared, batch)?;
    if let Some(first) = switched.first_mut() {
        first.warnings.extend(left_out);
    }
    staging::note_in_place(worker, &prepared.staging)?;
    Ok(switched)
}

/// Puts one in place: a table that is there gets its rows; a new one has them, and is moved with all that is new.
fn one(
    target: &Postgres,
    worker: &Worker<'_>,
    prepared: &Prepared,
    shares: &Shares<'_>,
    staged: &Staged,
    input: &dyn Input,
) -> Result<Switched> {
    let mut switched = Switched { records: staged.stored.records, changes: None, verified: true, warnings: Vec::new() };
    let Some(place) = &staged.staging_name else {
        switched.changes = Some(Changes::default());
        return Ok(switched);
    };
    if prepared.is_new.get(&staged.name) == Some(&true) {
        return Ok(switched);
    }
    let schema = stored_schema(target, input, &staged.stored.directory)?;
    let tables = Tables::new(worker, target, &schema, staged, place)?;
    if let Some(changes) = shares.changes(staged) {
        // Proven when the parents are in place too; until then its staging table is needed.
        tables.write_among(staged.existing)?;
        switched.changes = Some(changes);
        return Ok(switched);
    }
    let (changes, verified) = tables.write(staged)?;
    switched.changes = Some(changes);
    switched.verified = verified;
    worker.run(&format!("DROP TABLE {place}"), "remove the staging table of", &staged.name)?;
    Ok(switched)
}

/// Moves everything that is new to its schema; not what is staged beside tables that are there.
fn move_back(target: &Postgres, worker: &Worker<'_>, prepared: &Prepared) -> Result<()> {
    let beside: Vec<&str> = prepared.is_new.iter().filter(|(_, new)| !**new).map(|(name, _)| name.as_str()).collect();
    let sql = "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1::text::name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND c.relname::text <> ALL ($2::text[])";
    let staging = &prepared.staging;
    let rows = worker.rows(sql, &[staging, &beside], "list the tables of", staging)?;
    let oids: Vec<u32> = rows.iter().map(|row| row.get(0)).collect();
    move_to(worker, &oids, &target.schema)
}

/// What comes after the rows: sequences, indexes and constraints of what is new, and then, when every table has its own,
/// foreign keys. Returns what was left out.
fn complete(
    target: &Postgres,
    worker: &Worker<'_>,
    prepared: &Prepared,
    batch: &[Restoring<'_>],
) -> Result<Vec<String>> {
    let mut made = prepared.made.clone();
    made.told();
    target.restore.ahead().entries.iter().for_each(|entry| made.note_ahead(entry));
    let mut left_out = Vec::new();
    let (mut parts, mut views) = (Vec::new(), Vec::new());
    for (schema, of_archive) in archives(target, batch)? {
        let oids =
            of_archive.iter().map(|r| Ok(relation(&schema, r.stored)?.oid)).collect::<Result<BTreeSet<u32>>>()?;
        let of_new = |name: &str| prepared.is_new.get(name).copied().unwrap_or(true);
        let whole = schema.part(&oids);
        set_sequences(worker, &schema, &whole, &of_new)?;
        for view in of_archive.iter().filter(|r| r.existing == Existing::Replace) {
            redefine(worker, &whole, view.stored, &made)?;
        }
        views.push((whole, oids));
        let new = of_archive.iter().filter(|r| of_new(&r.stored.name));
        let oids = new.map(|r| Ok(relation(&schema, r.stored)?.oid)).collect::<Result<BTreeSet<u32>>>()?;
        parts.push(schema.part(&oids));
    }
    // A comment may be on a key, and comes after it.
    let is_key = |definition: &&Definition| matches!(definition.entry.kind.as_str(), "FK CONSTRAINT" | "COMMENT");
    for part in &parts {
        let numbered = Numbered::new(part);
        let late = part.entries.iter().filter(|definition| definition.section == Section::PostData);
        for definition in late.filter(|definition| !is_key(definition)) {
            made.make(worker, definition, &numbered)?;
        }
    }
    for part in &parts {
        let numbered = Numbered::new(part);
        let late = part.entries.iter().filter(|definition| definition.section == Section::PostData);
        for definition in late.filter(is_key) {
            made.make(worker, definition, &numbered)?;
        }
        for definition in &part.outside {
            left_out.extend(outside(worker, definition, &mut made)?);
        }
    }
    let told = target.restore.told();
    left_out.extend(made.warnings().into_iter().filter(|line| !told.contains(line)));
    // Of what was made, and of what was asked for: they show rows that were restored just now.
    for (whole, asked) in &views {
        let shown = |d: &&Definition| whole.is_populated(d) && (asked.contains(&d.entry.oid) || made.has(&d.entry));
        for view in whole.entries.iter().filter(shown) {
            if let Some(sql) = view.refresh() {
                worker.run(&sql, "fill the materialised view", view.entry.name())?;
            }
        }
    }
    Ok(left_out)
}

/// Gives a view that was there its stored definition. A materialised one keeps its own.
fn redefine(worker: &Worker<'_>, schema: &Schema, stored: &StoredCollection, made: &Made) -> Result<()> {
    let Some(relation) = schema.relations.get(&stored.name) else { return Ok(()) };
    let is_it = |d: &&Definition| d.entry.object() == (PG_CLASS, relation.oid) && d.entry.kind == "VIEW";
    let Some(view) = schema.entries.iter().find(is_it).filter(|view| !made.has(&view.entry)) else { return Ok(()) };
    let Some(rest) = view.sql.strip_prefix("CREATE VIEW ") else { return Ok(()) };
    worker.run(&format!("CREATE OR REPLACE VIEW {rest}"), "redefine the view", &stored.name)
}

/// A foreign key to a table that is not restored here: made where that is there and has what is named; else left out, and
/// told.
fn outside(worker: &Worker<'_>, definition: &Definition, made: &mut Made) -> Result<Option<String>> {
    let name = definition.entry.name();
    worker.run("SAVEPOINT outside", "make the foreign key", name)?;
    match worker.attempt(&definition.script())? {
        Ok(()) => {
            made.note(&definition.entry);
            worker.run("RELEASE outside", "make the foreign key", name).map(|()| None)
        }
        Err(failure) => {
            let why = errors::writing(&failure, "make it", "").causes.join(": ");
            worker.run("ROLLBACK TO outside; RELEASE outside", "make the foreign key", name)?;
            Ok(Some(format!("the foreign key {name} is left out: it points out of what is restored ({why})")))
        }
    }
}

/// Of what is new, a sequence stands where it stood. Where rows stay, it never goes back: a number would be given twice.
fn set_sequences(worker: &Worker<'_>, schema: &Schema, part: &Schema, is_new: &dyn Fn(&str) -> bool) -> Result<()> {
    let table_of = |sequence: &SequenceValue| {
        let of = sequence.of?;
        schema.relations.iter().find(|(_, relation)| relation.oid == of).map(|(name, _)| name.as_str())
    };
    for sequence in &part.sequences {
        let SequenceValue { name, last, is_called, .. } = sequence;
        let literal = name.replace('\'', "''");
        let there = worker.rows("SELECT pg_catalog.to_regclass($1::text)::oid", &[name], "look for sequence", name)?;
        if there.first().is_none_or(|row| row.get::<_, Option<u32>>(0).is_none()) {
            continue;
        }
        let which = match table_of(sequence).is_some_and(is_new) {
            true => String::new(),
            false => format!(
                " FROM {name} l, pg_catalog.pg_sequence s WHERE s.seqrelid = '{literal}'::regclass AND {is_called}
                  AND (NOT l.is_called OR CASE WHEN s.seqincrement > 0 THEN l.last_value < {last} ELSE l.last_value > {last} END)"
            ),
        };
        let sql = format!("SELECT pg_catalog.setval('{literal}', {last}, {is_called}){which}");
        worker.rows(&sql, &[], "set the sequence", name)?;
    }
    Ok(())
}

/// See [`crate::source::Target::resume`]: the transaction leaves a note that it was committed.
pub fn resume(target: &Postgres, stored: &StoredCollection, identity: Option<&str>) -> Result<Option<Switched>> {
    let Some(staging) = identity else { return Ok(None) };
    let worker = Worker::open(target)?;
    let done = Switched { records: stored.records, changes: None, verified: true, warnings: Vec::new() };
    Ok(staging::is_in_place(&worker, staging)?.then_some(done))
}
