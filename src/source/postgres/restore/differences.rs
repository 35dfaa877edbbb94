//! Compares definitions that are in place with stored ones, in the words of pg_dump.

use super::{State, stored_schema};
use crate::error::Result;
use crate::source::postgres::Postgres;
use crate::source::postgres::schema::{Definition, Schema};
use crate::source::postgres::toc::{self, ObjectId};
use crate::source::{Input, StoredCollection};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

/// See [`crate::source::Target::differences`].
pub fn differences(target: &Postgres, stored: &StoredCollection, input: &dyn Input) -> Result<Vec<String>> {
    let schema = stored_schema(target, input, &stored.directory)?;
    if !schema.defined {
        return Ok(Vec::new());
    }
    let live = live(target, &target.restore)?;
    let (kept, live) = (of(&schema, &stored.name), of(&live, &stored.name));
    let lacking = kept.iter().filter(|(what, sql)| live.get(*what) != Some(*sql));
    let odd = live.keys().filter(|what| !kept.contains_key(*what));
    let lacking = lacking.map(|(what, _)| format!("{what} did not come back as it is stored"));
    Ok(lacking.chain(odd.map(|what| format!("{what} is not stored so"))).collect())
}

/// All definitions that are in place now, asked for once.
fn live(target: &Postgres, state: &State) -> Result<Arc<Schema>> {
    let mut kept = state.live.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(schema) = &*kept {
        return Ok(Arc::clone(schema));
    }
    let schema = Arc::new(target.all_definitions()?);
    *kept = Some(Arc::clone(&schema));
    Ok(schema)
}

/// The statements that make a relation and what is part of it, by what they make.
fn of<'s>(schema: &'s Schema, name: &str) -> BTreeMap<String, &'s str> {
    let Some(relation) = schema.relations.get(name) else { return BTreeMap::new() };
    let own: ObjectId = (toc::PG_CLASS, relation.oid);
    let all = || schema.entries.iter();
    let mut numbers: BTreeSet<u32> = BTreeSet::new();
    let is_own = |definition: &&Definition| {
        definition.entry.object() == own || definition.entry.part.is_some_and(|part| part.of == own)
    };
    numbers.extend(all().filter(is_own).map(|definition| definition.entry.id));
    let belongs = |definition: &&Definition| {
        let entry = &definition.entry;
        numbers.contains(&entry.id)
            || matches!(entry.kind.as_str(), "COMMENT" | "ROW SECURITY")
                && !entry.needs.is_empty()
                && entry.needs.iter().all(|id| numbers.contains(id))
    };
    let named = |definition: &'s Definition| {
        (format!("{} {}", definition.entry.kind.to_lowercase(), definition.entry.name()), definition.sql.as_str())
    };
    all().filter(belongs).map(named).collect()
}
