//! Writes staged rows into a table that is there, within the transaction that puts everything in place.

use super::collide::Collisions;
use super::unique::{self, Unique};
use super::worker::Worker;
use super::{looked_at, read_back, relation};
use crate::error::{Error, Kind, Result};
use crate::source::postgres::catalog::Column;
use crate::source::postgres::schema::{Schema, StoredRelation};
use crate::source::postgres::session::quote;
use crate::source::postgres::{Postgres, catalog};
use crate::source::{Changes, Existing, Staged};

/// A table and the one beside it that its rows are staged in.
pub struct Tables<'a> {
    worker: &'a Worker<'a>,
    name: &'a str,
    is_partitioned: bool,
    /// The table, and it alone where others inherit from it.
    only: String,
    live: String,
    staging: String,
    relation: &'a StoredRelation,
    key: Vec<String>,
    uniques: Vec<Unique>,
    /// Columns that are stored.
    stored: Vec<String>,
    /// Columns that are not, and hold values of their own.
    others: Vec<Column>,
}

impl<'a> Tables<'a> {
    /// Looks at them.
    pub fn new(
        worker: &'a Worker<'a>,
        target: &Postgres,
        schema: &'a Schema,
        staged: &'a Staged,
        staging: &str,
    ) -> Result<Self> {
        let live = target.place(&staged.name);
        let (oid, is_partitioned) = looked_at(worker, &live)?;
        let relation = relation(schema, &staged.stored)?;
        let stored: Vec<String> = relation.columns.iter().map(|column| column.name.clone()).collect();
        let columns = target.block(catalog::columns(worker.session(), oid))?;
        Ok(Self {
            worker,
            name: &staged.name,
            is_partitioned,
            only: if is_partitioned { live.clone() } else { format!("ONLY {live}") },
            live,
            staging: staging.to_owned(),
            relation,
            key: target.block(catalog::primary_key(worker.session(), oid))?,
            uniques: unique::of(worker, oid, &staged.name)?,
            others: columns.into_iter().filter(|c| !c.generated && !stored.contains(&c.name)).collect(),
            stored,
        })
    }

    /// Rows that are in the place of stored ones.
    pub fn collisions(&self) -> Collisions<'_> {
        let place = (self.name, self.only.as_str(), self.staging.as_str());
        Collisions::new(self.worker, place, &self.key, &self.uniques, &self.stored)
    }

    /// Writes; returns what that changed, and whether all that was to be written is there as it is stored.
    pub fn write(&self, staged: &Staged) -> Result<(Changes, bool)> {
        let stored = staged.stored.records;
        match staged.existing {
            Existing::Refuse => {
                let sql = format!("SELECT count(*) FROM (SELECT FROM {} LIMIT 1) r", self.only);
                if self.worker.count(&sql, self.name)? > 0 {
                    let what = format!("{} holds data: it was filled while the restore was under way", self.name);
                    return Err(Error::new(Kind::Refused, what));
                }
                self.insert("")?;
                self.worker.require_same(&read_back(&self.live, self.relation, self.is_partitioned), &staged.stored)?;
                Ok((Changes::of(Existing::Refuse, stored, 0, 0), true))
            }
            Existing::Replace => {
                let matched = if self.key.is_empty() { 0 } else { self.matched()? };
                let live = self.execute(&format!("DELETE FROM {}", self.only), "delete the rows of table")?;
                self.insert("")?;
                self.worker.require_same(&read_back(&self.live, self.relation, self.is_partitioned), &staged.stored)?;
                Ok((Changes::of(Existing::Replace, stored, matched, live), true))
            }
            Existing::Add => {
                let matched = self.matched()?;
                self.insert(&format!(" WHERE NOT EXISTS (SELECT FROM {} l WHERE {})", self.only, self.same_key()))?;
                Ok((Changes::of(Existing::Add, stored, matched, 0), self.matched()? == stored))
            }
            Existing::Merge => {
                let matched = self.matched()?;
                self.overwrite()?;
                self.insert(&format!(" WHERE NOT EXISTS (SELECT FROM {} l WHERE {})", self.only, self.same_key()))?;
                let same = format!("{} AND {} = {}", self.same_key(), self.row("l"), self.row("s"));
                let sql = format!("SELECT count(*) FROM {} s JOIN {} l ON {same}", self.staging, self.only);
                let same = self.worker.count(&sql, self.name)?;
                Ok((Changes::of(Existing::Merge, stored, matched, 0), same == stored))
            }
        }
    }

    /// Writes the tenant's rows among those of others; what is to be replaced is gone by then.
    pub fn write_among(&self, existing: Existing) -> Result<()> {
        let which = match existing {
            Existing::Refuse | Existing::Replace => String::new(),
            Existing::Add | Existing::Merge => {
                format!(" WHERE NOT EXISTS (SELECT FROM {} l WHERE {})", self.only, self.same_key())
            }
        };
        if existing == Existing::Merge {
            self.overwrite()?;
        }
        self.insert(&which).map(drop)
    }

    /// Staged rows that are there, among those that `condition` (about rows `l`) is true of: as they are stored, or by their
    /// key, where those that were there stay.
    pub fn in_place(&self, existing: Existing, condition: &str) -> Result<u64> {
        let same = match existing {
            Existing::Add => self.same_key(),
            _ => format!("{} AND {} = {}", self.same_key(), self.row("l"), self.row("s")),
        };
        let sql = format!("SELECT count(*) FROM {} s JOIN {} l ON {same} WHERE {condition}", self.staging, self.only);
        self.worker.count(&sql, self.name)
    }

    fn insert(&self, which: &str) -> Result<u64> {
        let (live, staging) = (&self.live, &self.staging);
        if self.relation.columns.is_empty() {
            return self.execute(&format!("INSERT INTO {live} SELECT FROM {staging} s{which}"), "write table");
        }
        let columns = self.relation.list();
        let sql =
            format!("INSERT INTO {live} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {staging} s{which}");
        self.execute(&sql, "write table")
    }

    /// Gives rows that are there their stored values, also where unique ones change places.
    fn overwrite(&self) -> Result<()> {
        let collisions = self.collisions();
        let moved = collisions.make_room(&self.others)?;
        self.update()?;
        if moved { collisions.bring_back(&self.live, &self.stored, &self.others) } else { Ok(()) }
    }

    /// Overwrites the rows that differ from the stored ones of the same key.
    fn update(&self) -> Result<()> {
        let others = self.relation.columns.iter().filter(|column| !self.key.contains(&column.name));
        let set: Vec<_> = others.map(|column| format!("{0} = s.{0}", quote(&column.name))).collect();
        if set.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE {} l SET {} FROM {} s WHERE {} AND {} IS DISTINCT FROM {}",
            self.only,
            set.join(", "),
            self.staging,
            self.same_key(),
            self.row("l"),
            self.row("s")
        );
        self.execute(&sql, "overwrite rows of table").map(drop)
    }

    /// Stored rows whose key is there.
    fn matched(&self) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {} s JOIN {} l ON {}", self.staging, self.only, self.same_key());
        self.worker.count(&sql, self.name)
    }

    /// Of a live row `l` and a staged row `s`.
    fn same_key(&self) -> String {
        let each = self.key.iter().map(|column| format!("l.{0} = s.{0}", quote(column)));
        each.collect::<Vec<_>>().join(" AND ")
    }

    /// A row as text: some types have no equality.
    fn row(&self, alias: &str) -> String {
        let columns = self.relation.columns.iter().map(|column| format!("{alias}.{}", quote(&column.name)));
        format!("ROW({})::text", columns.collect::<Vec<_>>().join(", "))
    }

    fn execute(&self, sql: &str, doing: &str) -> Result<u64> {
        self.worker.execute(sql, doing, self.name)
    }
}
