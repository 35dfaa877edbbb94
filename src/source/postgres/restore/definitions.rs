//! Makes stored definitions, one at a time, and leaves alone what is there already.

use super::taken::{self, Claim};
use super::worker::Worker;
use crate::error::{Error, Kind, Result};
use crate::source::postgres::errors;
use crate::source::postgres::schema::{Definition, Schema};
use crate::source::postgres::toc::{self, ObjectId, TocEntry};
use std::collections::{BTreeMap, BTreeSet};

/// SQLSTATEs of what is there already: a relation or type, another object, a function, a schema.
const THERE: [&str; 4] = ["42P07", "42710", "42723", "42P06"];

/// What was made, and what was found there, by kind and name: in archives of several backups the same thing has several
/// numbers.
#[derive(Debug, Default, Clone)]
pub struct Made {
    made: BTreeSet<String>,
    found: BTreeSet<String>,
    left_out: Vec<String>,
    /// Of these, what was made before its turn came.
    ahead: BTreeSet<String>,
}

/// The definitions of one archive by their numbers.
pub struct Numbered<'s> {
    by_object: BTreeMap<ObjectId, &'s TocEntry>,
    by_id: BTreeMap<u32, &'s TocEntry>,
}

impl<'s> Numbered<'s> {
    /// Of these.
    pub fn new(schema: &'s Schema) -> Self {
        let entries = || schema.entries.iter().map(|definition| &definition.entry);
        Self {
            by_object: entries().filter(|entry| entry.class != 0).map(|entry| (entry.object(), entry)).collect(),
            by_id: entries().map(|entry| (entry.id, entry)).collect(),
        }
    }

    /// A relation and its partitions.
    pub fn with_partitions(&self, oid: u32) -> BTreeSet<u32> {
        toc::with_partitions(&self.by_id, &BTreeSet::from([oid]))
    }
}

impl Made {
    /// Makes one, in a transaction of the worker, unless it is there or a part of what was there before.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn make(&mut self, worker: &Worker<'_>, definition: &Definition, of: &Numbered<'_>) -> Result<()> {
        let entry = &definition.entry;
        if !self.is_of_made(entry, of) || self.ahead.contains(&key(entry)) {
            return Ok(());
        }
        let (doing, name) = (format!("make {}", entry.kind.to_lowercase()), entry.name().to_owned());
        worker.run("SAVEPOINT made", &doing, &name)?;
        match worker.attempt(&definition.script())? {
            Ok(()) => {
                worker.run("RELEASE made", &doing, &name)?;
                self.made.insert(key(entry));
            }
            Err(failure) if failure.state().is_some_and(|state| THERE.contains(&state.code())) => {
                worker.run("ROLLBACK TO made; RELEASE made", &doing, &name)?;
                if !self.made.contains(&key(entry)) {
                    self.there(worker, definition)?;
                }
            }
            // Of a role that is not there; the data is as good without.
            Err(failure) if entry.kind == "ACL" => {
                worker.run("ROLLBACK TO made; RELEASE made", &doing, &name)?;
                let why = errors::writing(&failure, "grant", &name).causes.join(": ");
                self.left_out.push(format!("privileges on {name} are left out: {why}"));
            }
            Err(failure) => return Err(errors::writing(&failure, &doing, &name)),
        }
        Ok(())
    }

    /// What is there is used; but of a table that was made just now no part can be: somebody else has its name.
    fn there(&mut self, worker: &Worker<'_>, definition: &Definition) -> Result<()> {
        let entry = &definition.entry;
        if let Some(claim) = Claim::of(definition) {
            let holder = claim.holder(worker)?;
            if claim.is_rule {
                return Err(Error::new(Kind::Refused, claim.refusal(&holder, worker)).hint(taken::HINT));
            }
            self.left_out.push(claim.warning(&holder, worker));
        } else if entry.kind == "STATISTICS" {
            self.left_out.push(format!("statistics {} are left out: the name is taken", entry.name()));
        } else {
            self.found.insert(key(entry));
        }
        Ok(())
    }

    /// Notes that this was made by other means.
    pub fn note(&mut self, entry: &TocEntry) {
        self.made.insert(key(entry));
    }

    /// Notes that this was made, and is not to be made again when its turn comes.
    pub fn note_ahead(&mut self, entry: &TocEntry) {
        self.ahead.insert(key(entry));
        self.note(entry);
    }

    /// Whether this was made, by this restore.
    pub fn has(&self, entry: &TocEntry) -> bool {
        self.made.contains(&key(entry))
    }

    /// What was told already is not told again.
    pub fn told(&mut self) {
        self.found.clear();
        self.left_out.clear();
    }

    /// What the operator should know: what was there already, and what could not be made.
    pub fn warnings(&self) -> Vec<String> {
        let found: Vec<&str> = self.found.iter().map(String::as_str).collect();
        let there = format!("these were there already, and are used as they are: {}", found.join(", "));
        self.left_out.iter().cloned().chain((!found.is_empty()).then_some(there)).collect()
    }

    /// Whether what an entry is a part of was made; true of what is no part.
    pub fn is_of_made(&self, entry: &TocEntry, of: &Numbered<'_>) -> bool {
        let is_made = |entry: &&TocEntry| self.has(entry);
        match (entry.kind.as_str(), entry.part) {
            (
                "CONSTRAINT" | "CHECK CONSTRAINT" | "INDEX" | "DEFAULT" | "TRIGGER" | "RULE" | "POLICY" | "STATISTICS"
                | "FK CONSTRAINT" | "SEQUENCE",
                Some(part),
            ) => of.by_object.get(&part.of).is_none_or(is_made),
            (
                "TABLE ATTACH" | "INDEX ATTACH" | "ROW SECURITY" | "SEQUENCE OWNED BY" | "COMMENT" | "SECURITY LABEL"
                | "ACL",
                _,
            ) => entry.needs.iter().filter_map(|id| of.by_id.get(id)).all(|needed| self.has(needed)),
            _ => true,
        }
    }
}

fn key(entry: &TocEntry) -> String {
    format!("{} {}", entry.kind.to_lowercase(), entry.name())
}
