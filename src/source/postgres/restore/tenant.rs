//! Restores one tenant's rows into tables that hold everybody's. What is not exactly the tenant's is never written; where a
//! stored row would come into the place of such a one, nothing is.
//!
//! ```text
//! clear   conflicts, then deletes     children before parents: those say whose they are
//! write   inserts and updates         in any order: foreign keys wait
//! prove   counts and digests          when all is in place
//! ```

use super::collide::Collisions;
use super::plan::{KEYS, Keys, no_key};
use super::unique::{self, Unique};
use super::worker::Worker;
use super::write::Tables;
use super::{Prepared, looked_at, relation, stored_schema};
use crate::error::{Context, Error, Kind, Result};
use crate::source::postgres::inventory::{self, Relation};
use crate::source::postgres::schema::StoredRelation;
use crate::source::postgres::session::quote;
use crate::source::postgres::way::Way;
use crate::source::postgres::{Postgres, catalog};
use crate::source::{Changes, Existing, Input, Staged, StoredCollection};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A table that is there, and which of its rows are the tenant's.
struct Share<'a> {
    worker: &'a Worker<'a>,
    name: &'a str,
    /// It alone, where others inherit from it.
    only: String,
    uniques: Vec<Unique>,
    way: Way,
}

impl<'a> Share<'a> {
    fn of(
        target: &Postgres,
        worker: &'a Worker<'a>,
        relations: &[Relation],
        stored: &'a StoredCollection,
    ) -> Result<Self> {
        let all = || Error::new(Kind::Internal, format!("{} is restored for everybody", stored.name));
        let ownership = stored.scope.ownership().ok_or_else(all)?;
        let find = |name: &str| relations.iter().find(|relation| relation.name == name);
        let way = target.block(Way::look(worker.session(), &target.schema, find, &stored.name, ownership))?;
        let place = target.place(&stored.name);
        let (oid, is_partitioned) = looked_at(worker, &place)?;
        let only = if is_partitioned { place } else { format!("ONLY {place}") };
        Ok(Self { worker, name: &stored.name, only, uniques: unique::of(worker, oid, &stored.name)?, way })
    }

    /// Refuses rows (in the table `staged`, of the columns `stored`) that have a unique key of a row that is not the tenant's.
    /// What no stored column says, the server sets.
    fn require_no_conflict(&self, staged: &str, stored: &[String]) -> Result<()> {
        let mut found = Vec::new();
        for unique in self.uniques.iter().filter(|unique| unique.is_of(stored)) {
            let taken = unique.taken(staged, &self.only, &self.way.condition("t"));
            let rows = self.worker.rows(&taken, &[], "compare the keys of", self.name)?;
            let Some(row) = rows.first() else { continue };
            let (count, samples): (i64, Vec<String>) = (row.get(0), row.get(1));
            if count > 0 {
                let (name, columns, keys) = (self.name, unique.columns(), samples.join(", "));
                found.push(format!("table {name}: {count} stored rows have a key ({columns}) that is there of rows which are not the tenant's: {keys}"));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Refused, format!("rows of others are in the place of stored rows of {}", self.name))
            .details(found)
            .hint("nothing of others is ever overwritten: look at these rows, or restore into another database with --into"))
    }

    /// The primary key, where `stored` columns say what it is.
    fn primary(&self, stored: &[String]) -> Option<&Unique> {
        self.uniques.iter().find(|unique| unique.is_primary && unique.is_of(stored))
    }

    fn count(&self, which: &str) -> Result<u64> {
        let condition = self.way.condition("l");
        self.worker.count(&format!("SELECT count(*) FROM {which} WHERE {condition}"), self.name)
    }
}

/// See [`crate::source::Target::compare`], of a table that is there.
pub fn compare(
    target: &Postgres,
    worker: &Worker<'_>,
    (relations, relation): (&[Relation], &StoredRelation),
    stored: &StoredCollection,
    input: &dyn Input,
    existing: Existing,
) -> Result<Changes> {
    let share = Share::of(target, worker, relations, stored)?;
    let place = target.place(&stored.name);
    let sql = format!("CREATE TEMPORARY TABLE backup_restore_keys AS SELECT * FROM {place} WITH NO DATA");
    worker.run(&sql, "compare the keys of", &stored.name)?;
    let (oid, _) = looked_at(worker, &place)?;
    let live = target.block(catalog::columns(worker.session(), oid))?;
    let is_there = |name: &str| live.iter().any(|column| column.name == name && !column.generated);
    let both: Vec<usize> = (0..relation.columns.len()).filter(|at| is_there(&relation.columns[*at].name)).collect();
    let names: Vec<String> = both.iter().map(|at| relation.columns[*at].name.clone()).collect();
    let columns: Vec<_> = names.iter().map(|name| quote(name)).collect();
    let mut keys = Keys::of(super::rows(target, stored, input)?, both);
    worker.load(&format!("COPY {KEYS} ({}) FROM STDIN", columns.join(", ")), &mut keys, &stored.name)?;
    share.require_no_conflict(KEYS, &names)?;
    let primary = target.block(catalog::primary_key(worker.session(), oid))?;
    if !primary.is_empty() {
        let place = (stored.name.as_str(), share.only.as_str(), KEYS);
        Collisions::new(worker, place, &primary, &share.uniques, &names).require_free(existing)?;
    }
    let rows = share.count(&format!("{} l", share.only))?;
    let Some(key) = share.primary(&names) else {
        return match existing {
            Existing::Replace => Ok(Changes::of(existing, stored.records, 0, rows)),
            _ => Err(no_key(&stored.name)),
        };
    };
    let matched = share.count(&format!("{KEYS} k JOIN {} l ON {}", share.only, key.same("l", "k")))?;
    Ok(Changes::of(existing, stored.records, matched, rows))
}

/// Whether a staged table goes among rows of others.
pub fn goes_among(prepared: &Prepared, staged: &Staged) -> bool {
    is_share(staged) && staged.existing != Existing::Refuse && prepared.is_new.get(&staged.name) == Some(&false)
}

fn is_share(staged: &Staged) -> bool {
    staged.stored.scope.ownership().is_some() && staged.staging_name.is_some()
}

/// The restore of some tables' shares, in one transaction.
pub struct Shares<'a> {
    target: &'a Postgres,
    worker: &'a Worker<'a>,
    /// What each will have changed.
    changes: BTreeMap<String, Changes>,
}

impl<'a> Shares<'a> {
    /// Keeps the parents as they are that are not written themselves: they say whose rows are.
    ///
    /// # Errors
    /// When the server refuses.
    fn lock_parents(worker: &Worker<'_>, target: &Postgres, batch: &[(&Staged, &dyn Input)]) -> Result<()> {
        let relations = target.block(inventory::relations(worker.session(), &target.schema))?;
        let hops = batch.iter().filter_map(|(staged, _)| staged.stored.scope.ownership()).flat_map(|o| &o.via);
        let parents: BTreeSet<_> = hops.map(|hop| hop.parent.as_str()).collect();
        for parent in relations.iter().filter(|relation| parents.contains(relation.name.as_str())) {
            let sql = format!("LOCK TABLE {} IN SHARE MODE", target.place(&parent.name));
            worker.run(&sql, "lock table", &parent.name)?;
        }
        Ok(())
    }

    /// Makes sure that nothing of others is in the way, and deletes what is to be replaced: children before the parents
    /// that say whose they are.
    ///
    /// # Errors
    /// [`Kind::Refused`] when something of others is.
    pub fn clear(
        target: &'a Postgres,
        worker: &'a Worker<'a>,
        prepared: &Prepared,
        batch: &[(&Staged, &dyn Input)],
    ) -> Result<Self> {
        let mut changes = BTreeMap::new();
        let mut among: Vec<_> = batch.iter().filter(|(staged, _)| goes_among(prepared, staged)).collect();
        let way = |staged: &Staged| staged.stored.scope.ownership().map_or(0, |ownership| ownership.via.len());
        among.sort_by_key(|(staged, _)| Reverse(way(staged)));
        Self::lock_parents(worker, target, batch)?;
        let relations = target.block(inventory::relations(worker.session(), &target.schema))?;
        for (staged, input) in among {
            let Some(place) = &staged.staging_name else { continue };
            let schema = stored_schema(target, *input, &staged.stored.directory)?;
            let columns = &relation(&schema, &staged.stored)?.columns;
            let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
            let share = Share::of(target, worker, &relations, &staged.stored)?;
            share.require_no_conflict(place, &names)?;
            let matched = match share.primary(&names) {
                None => 0,
                Some(key) => share.count(&format!("{place} k JOIN {} l ON {}", share.only, key.same("l", "k")))?,
            };
            let mut gone = 0;
            if staged.existing == Existing::Replace {
                let sql = format!("DELETE FROM {} l WHERE {}", share.only, share.way.condition("l"));
                gone = worker.execute(&sql, "delete the tenant's rows of table", &staged.name)?;
            }
            changes.insert(staged.name.clone(), Changes::of(staged.existing, staged.stored.records, matched, gone));
        }
        Ok(Self { target, worker, changes })
    }

    /// What restoring a table has changed; none where it did not go among rows of others.
    pub fn changes(&self, staged: &Staged) -> Option<Changes> {
        self.changes.get(&staged.name).copied()
    }

    /// Makes sure, when everything is in place, that the tenant has what was stored, by the way that leads to its owner.
    ///
    /// # Errors
    /// [`Kind::Source`] when not.
    pub fn prove(&self, prepared: &Prepared, batch: &[(&Staged, &dyn Input)]) -> Result<()> {
        let relations = self.target.block(inventory::relations(self.worker.session(), &self.target.schema))?;
        let is_there = |name: &str| relations.iter().any(|relation| relation.name == name);
        for (staged, input) in batch.iter().filter(|(staged, _)| is_share(staged)) {
            let via = staged.stored.scope.ownership().map(|ownership| ownership.via.as_slice()).unwrap_or_default();
            // Without the parents it is nobody's yet, and was nobody's before.
            if goes_among(prepared, staged) || via.iter().all(|hop| is_there(&hop.parent)) {
                let proven = self.prove_one(&relations, staged, *input);
                proven.context(|| format!("cannot put {} in place", staged.name))?;
            }
            if let (Some(place), true) = (&staged.staging_name, goes_among(prepared, staged)) {
                self.worker.run(&format!("DROP TABLE {place}"), "remove the staging table of", &staged.name)?;
            }
        }
        Ok(())
    }

    fn prove_one(&self, relations: &[Relation], staged: &Staged, input: &dyn Input) -> Result<()> {
        let (stored, worker) = (&staged.stored, self.worker);
        let schema = stored_schema(self.target, input, &stored.directory)?;
        let share = Share::of(self.target, worker, relations, stored)?;
        let found = match (staged.existing, &staged.staging_name) {
            (Existing::Add | Existing::Merge, Some(place)) => {
                let tables = Tables::new(worker, self.target, &schema, staged, place)?;
                tables.in_place(staged.existing, &share.way.condition("l"))?
            }
            _ => {
                let columns = &relation(&schema, stored)?.columns;
                let names: Vec<_> = columns.iter().map(|column| quote(&column.name)).collect();
                let check = |row: &[u8]| share.way.checked(row);
                let totals = worker.digest_kept(&share.way.copy(&names, true), &stored.name, check)?;
                if totals.records == stored.records && totals.digest != stored.digest {
                    let what = format!("{}: the tenant's rows are others than were stored", stored.name);
                    return Err(Error::new(Kind::Source, what));
                }
                totals.records
            }
        };
        if found == stored.records {
            return Ok(());
        }
        let what =
            format!("{}: {found} rows would be the tenant's as they are stored, of {}", stored.name, stored.records);
        Err(Error::new(Kind::Source, what).hint("rows whose parents are not restored with them belong to whoever has the parent there: restore the parents too"))
    }
}
