//! Builds keys and indexes of a new table while it is staged. Nobody sees it yet, so several tables' are built at once,
//! and the transaction that puts everything in place has little left to do.

use super::Prepared;
use super::definitions::Numbered;
use super::statement::Statement;
use super::worker::Worker;
use crate::error::Result;
use crate::source::postgres::errors;
use crate::source::postgres::schema::{Schema, Section};
use crate::source::postgres::session::quote;
use crate::source::postgres::toc::{PG_CLASS, TocEntry};
use std::collections::BTreeSet;

/// What was built ahead of the transaction that puts everything in place.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Keys and indexes.
    pub entries: Vec<TocEntry>,
    /// Tables that the server has statistics of.
    pub analysed: BTreeSet<String>,
}

/// Builds what can be built ahead of the staged table `name`, and has the server look at the rows when all its indexes
/// are there: statistics move with a table.
///
/// # Errors
/// When the server refuses.
pub fn ahead(worker: &Worker<'_>, prepared: &Prepared, schema: &Schema, (name, place): (&str, &str)) -> Result<()> {
    let Some(relation) = schema.relations.get(name) else { return Ok(()) };
    let numbered = Numbered::new(schema);
    let tables = numbered.with_partitions(relation.oid);
    let is_of_it = |entry: &TocEntry| {
        entry.part.is_some_and(|part| part.of.0 == PG_CLASS && tables.contains(&part.of.1))
            && matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT" | "STATISTICS")
    };
    let late = schema.entries.iter().filter(|definition| definition.section == Section::PostData);
    let (mut built, mut left) = (Vec::new(), false);
    for definition in late.filter(|definition| is_of_it(&definition.entry)) {
        let entry = &definition.entry;
        // Statistics of columns together are made by the transaction, and looked at after it, as an index that is left is.
        let statement = Statement::of(definition).filter(|_| prepared.made.is_of_made(entry, &numbered));
        match statement.filter(|statement| statement.moves_with(&schema.name)) {
            Some(statement) if !is_taken(worker, [&schema.name, &prepared.staging], statement.name)? => {
                let sql = statement.at(&prepared.staging);
                let doing = format!("make {}", entry.kind.to_lowercase());
                let made = worker.attempt(&sql)?;
                made.map_err(|failure| errors::writing(&failure, &doing, entry.name()))?;
                built.push(entry.clone());
            }
            _ => left = true,
        }
    }
    // What an index is about has statistics too. What comes of it is no more than a plan: it is tried again at the end.
    let analysed = !left && !has_heirs(worker, place)? && worker.attempt(&format!("ANALYZE {place}"))?.is_ok();
    let mut ahead = worker.target.restore.ahead();
    ahead.entries.extend(built);
    ahead.analysed.extend(analysed.then(|| name.to_owned()));
    Ok(())
}

/// Whether there is a relation of a name that an index would get, in the target or among what is staged: it is left to the
/// transaction, which refuses it or tells.
fn is_taken(worker: &Worker<'_>, schemas: [&str; 2], name: &str) -> Result<bool> {
    let sql = "SELECT FROM pg_catalog.unnest($1::text[]) place WHERE pg_catalog.to_regclass(place) IS NOT NULL";
    let places = schemas.map(|schema| format!("{}.{name}", quote(schema)));
    Ok(!worker.rows(sql, &[&&places[..]], "look for", name)?.is_empty())
}

/// Whether others inherit from a table: the server has statistics of all their rows together, and they may not be loaded.
fn has_heirs(worker: &Worker<'_>, place: &str) -> Result<bool> {
    let sql = "SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhparent
        WHERE c.oid = $1::text::regclass AND c.relkind <> 'p' LIMIT 1";
    Ok(!worker.rows(sql, &[&place], "look at what inherits from", place)?.is_empty())
}
