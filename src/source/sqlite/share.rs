//! Restores one tenant's rows into a table that holds everybody's. What is not exactly the tenant's is never written; where
//! a stored row would come into the place of such a one, nothing is.

use super::digest;
use super::merge::Tables;
use super::schema::{self, quote};
use super::way::Way;
use crate::error::{Error, Kind, Result};
use crate::source::{Changes, Existing, StoredCollection};
use rusqlite::Connection;

/// A table of both databases, and which rows of the live one are the tenant's.
pub struct Share<'a> {
    connection: &'a Connection,
    stored: &'a StoredCollection,
    tables: Tables<'a>,
    way: Way,
}

/// The way that live rows lead to their owner; none where a parent is not there.
fn live_way(connection: &Connection, stored: &StoredCollection) -> Result<Option<Way>> {
    let Some(ownership) = stored.scope.ownership() else { return Ok(None) };
    match Way::look(connection, &|_| "main".to_owned(), &stored.name, ownership) {
        Err(error) if error.kind == Kind::Missing => Ok(None),
        found => found.map(Some),
    }
}

impl<'a> Share<'a> {
    /// Looks at it.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the two do not fit, or rows do not lead to their owner.
    pub fn new(connection: &'a Connection, stored: &'a StoredCollection) -> Result<Self> {
        let unknown = || {
            Error::new(
                Kind::Refused,
                format!("whose the rows of {} are cannot be known: a parent is not there", stored.name),
            )
            .hint("restore into another file with --into")
        };
        let way = live_way(connection, stored)?.ok_or_else(unknown)?;
        let tables = Tables::new(connection, &stored.name)
            .map_err(|error| error.hint("restore into another file with --into"))?
            .within(way.condition("m"));
        Ok(Self { connection, stored, tables, way })
    }

    /// What restoring would change, once it is certain that nothing of others is in the way.
    ///
    /// # Errors
    /// [`Kind::Refused`] when something is.
    pub fn changes(&self, existing: Existing) -> Result<Changes> {
        self.require_no_conflict()?;
        self.tables.changes(existing).map_err(|e| self.failed(e))
    }

    /// Makes room: deletes what is to be replaced, or overwritten.
    ///
    /// # Errors
    /// As [`Share::changes`].
    pub fn clear(&self, existing: Existing) -> Result<Changes> {
        let changes = self.changes(existing)?;
        self.tables.clear(existing).map_err(|e| self.failed(e))?;
        Ok(changes)
    }

    /// Writes the stored rows.
    ///
    /// # Errors
    /// When SQLite refuses one.
    pub fn write(&self, existing: Existing) -> Result<()> {
        self.tables.insert(existing).map_err(|e| self.failed(e))
    }

    /// Makes sure, when everything is in place, that the tenant has what was stored.
    ///
    /// # Errors
    /// [`Kind::Source`] when not.
    pub fn prove(&self, existing: Existing) -> Result<()> {
        if existing == Existing::Replace {
            return prove(self.connection, self.stored, &self.way);
        }
        match self.tables.is_in_place(existing).map_err(|e| self.failed(e))? {
            true => Ok(()),
            false => Err(not_the_tenants(self.stored)),
        }
    }

    fn require_no_conflict(&self) -> Result<()> {
        let own = self.way.condition("m");
        let mut found = Vec::new();
        for (columns, same) in self.tables.unique_keys().map_err(|e| self.failed(e))? {
            let table = quote(&self.stored.name);
            let from = format!("FROM b.{table} AS s JOIN main.{table} AS m ON {same} WHERE ({own}) IS NOT TRUE");
            let asked = || -> rusqlite::Result<(i64, Vec<String>)> {
                let count = self.connection.query_row(&format!("SELECT count(*) {from}"), [], |row| row.get(0))?;
                let shown: Vec<_> =
                    columns.iter().map(|column| format!("coalesce(CAST(s.{column} AS TEXT), 'NULL')")).collect();
                let sql = format!("SELECT {} {from} LIMIT 5", shown.join(" || ', ' || "));
                let mut statement = self.connection.prepare(&sql)?;
                let keys = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
                Ok((count, keys))
            };
            let (count, keys) = asked().map_err(|e| self.failed(e))?;
            if count > 0 {
                let (name, columns, keys) = (&self.stored.name, columns.join(", "), keys.join("; "));
                found.push(format!("table {name}: {count} stored rows have a key ({columns}) that is there of rows which are not the tenant's: {keys}"));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            format!("rows of others are in the place of stored rows of {}", self.stored.name),
        )
        .details(found)
        .hint("nothing of others is ever overwritten: look at these rows, or restore into another file with --into"))
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        Error::new(Kind::Source, format!("cannot restore table {}", self.stored.name)).cause(error)
    }
}

/// Makes sure that the live rows which are the tenant's are those that are stored. Where a parent is not there, they are
/// nobody's yet, and it is left at that.
///
/// # Errors
/// [`Kind::Source`] when they are not.
pub fn prove_filled(connection: &Connection, stored: &StoredCollection) -> Result<()> {
    live_way(connection, stored)?.map_or(Ok(()), |way| prove(connection, stored, &way))
}

fn prove(connection: &Connection, stored: &StoredCollection, way: &Way) -> Result<()> {
    match same(connection, stored, way)? {
        true => Ok(()),
        false => Err(not_the_tenants(stored)),
    }
}

/// Whether the tenant has exactly what is stored.
///
/// # Errors
/// When SQLite fails.
pub fn is_restored(connection: &Connection, stored: &StoredCollection) -> Result<bool> {
    live_way(connection, stored)?.map_or(Ok(false), |way| same(connection, stored, &way))
}

fn same(connection: &Connection, stored: &StoredCollection, way: &Way) -> Result<bool> {
    let counted = || {
        let is_virtual = schema::kind_of(connection, "main", &stored.name)?.as_deref() == Some("virtual");
        digest::rows(connection, "main", &stored.name, is_virtual, &format!(" WHERE {}", way.condition("c")))
    };
    let failed = |e| Error::new(Kind::Source, format!("cannot read table {}", stored.name)).cause(e);
    let found = counted().map_err(failed)?;
    Ok(found.records == stored.records && found.digest == stored.digest)
}

fn not_the_tenants(stored: &StoredCollection) -> Error {
    let what = format!("{}: not all rows would be the tenant's as they are stored", stored.name);
    Error::new(Kind::Source, what).hint(
        "rows whose parents are not restored with them belong to whoever has the parent there: restore the parents too",
    )
}
