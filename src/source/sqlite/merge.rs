//! Stored rows and live ones, matched by primary key, or by row id where a table has none: SQL for what is there, and
//! for writing the others among them. The stored database is attached as `b`.

use super::schema::{self, quote};
use crate::error::{Error, Kind, Result};
use crate::source::{Changes, Existing};
use rusqlite::{Connection, Result as SqlResult};

/// One table, in both databases.
pub struct Tables<'a> {
    connection: &'a Connection,
    name: &'a str,
    columns: String,
    /// `m.key IS s.key AND …`, of a live row `m` and a stored row `s`.
    same_key: String,
    /// The columns of the key, quoted.
    key: Vec<String>,
    /// Which live rows `m` it is about, where not all.
    within: String,
}

impl<'a> Tables<'a> {
    /// Looks at both.
    ///
    /// # Errors
    /// [`Kind::Refused`] when one has other columns or another key than the other.
    pub fn new(connection: &'a Connection, name: &'a str) -> Result<Self> {
        let failed = |e: rusqlite::Error| Error::new(Kind::Source, format!("cannot look at table {name}")).cause(e);
        let shape = |database| shape(connection, database, name).map_err(failed);
        let (live, stored) = (shape("main")?, shape("b")?);
        if live != stored {
            let what = format!("table {name} has other columns or another primary key than in the backup");
            return Err(Error::new(Kind::Refused, what)
                .hint("replace it whole (`--existing replace`), or restore into another file with --into"));
        }
        let (kind, columns, key) = live;
        let key = if key.is_empty() || kind == "virtual" { vec!["rowid".to_owned()] } else { key };
        if key == ["rowid"] && !columns.starts_with("rowid") {
            let what = format!("table {name} has no key by which stored rows could be matched with what is there");
            return Err(Error::new(Kind::Refused, what).hint("replace it whole (`--existing replace`)"));
        }
        let quoted = |column: String| if column == "rowid" { column } else { quote(&column) };
        let key: Vec<_> = key.into_iter().map(quoted).collect();
        let same_key = same(&key, "IS");
        Ok(Self { connection, name, columns, same_key, key, within: "1".into() })
    }

    /// Of the live rows, those alone of which `condition` (about rows `m`) is true.
    #[must_use]
    pub fn within(self, condition: String) -> Self {
        Self { within: condition, ..self }
    }

    /// The columns of every unique key, quoted, and that a live row `m` and a stored row `s` have the same.
    pub fn unique_keys(&self) -> SqlResult<Vec<(Vec<String>, String)>> {
        // A row id that nobody sees is stored with its row too.
        let hidden = self.columns.starts_with("rowid").then(|| vec!["rowid".to_owned()]);
        let more = schema::unique_columns(self.connection, "main", self.name)?.into_iter().chain(hidden);
        let more = more.filter(|columns| *columns != self.key).map(|columns| (columns.clone(), same(&columns, "=")));
        Ok(std::iter::once((self.key.clone(), self.same_key.clone())).chain(more).collect())
    }

    /// What restoring would change.
    pub fn changes(&self, existing: Existing) -> SqlResult<Changes> {
        let table = quote(self.name);
        let stored = self.count(&format!("SELECT count(*) FROM b.{table}"))?;
        let live = self.count(&format!("SELECT count(*) FROM main.{table} AS m WHERE {}", self.within))?;
        let there = self.exists("main", "m");
        let matched = self.count(&format!("SELECT count(*) FROM b.{table} AS s WHERE {there}"))?;
        Ok(Changes::of(existing, stored, matched, live))
    }

    /// Writes the stored rows among the live ones. True when all that was to be written is there as it is stored.
    pub fn write(&self, existing: Existing) -> SqlResult<(Changes, bool)> {
        let changes = self.changes(existing)?;
        let (table, columns) = (quote(self.name), &self.columns);
        let there = self.exists("main", "m");
        let stored = format!("SELECT {columns} FROM b.{table}");
        // Rows that stay although they differ from the stored ones.
        let kept = match existing {
            Existing::Add => self.differing(&format!("{stored} AS s WHERE {there}"))?,
            _ => 0,
        };
        if existing == Existing::Add {
            let absent = format!("{stored} AS s WHERE NOT {there}");
            self.connection.execute(&format!("INSERT INTO main.{table} ({columns}) {absent}"), [])?;
        } else {
            let matched = self.exists("b", "s");
            self.connection.execute(&format!("DELETE FROM main.{table} AS m WHERE {matched}"), [])?;
            self.connection.execute(&format!("INSERT INTO main.{table} ({columns}) {stored}"), [])?;
        }
        Ok((changes, self.differing(&stored)? == kept))
    }

    /// Deletes what is in the way of stored rows: all of it, or what has the key of one.
    pub fn clear(&self, existing: Existing) -> SqlResult<()> {
        let (table, within) = (quote(self.name), &self.within);
        let which = match existing {
            Existing::Refuse | Existing::Add => return Ok(()),
            Existing::Replace => within.clone(),
            Existing::Merge => format!("{} AND {within}", self.exists("b", "s")),
        };
        self.connection.execute(&format!("DELETE FROM main.{table} AS m WHERE {which}"), []).map(drop)
    }

    /// Writes the stored rows whose key is not there. No clause of the table's own (`ON CONFLICT REPLACE`) removes another for
    /// one of them.
    pub fn insert(&self, existing: Existing) -> SqlResult<()> {
        let (table, columns) = (quote(self.name), &self.columns);
        let absent = match existing {
            Existing::Add => format!(" AS s WHERE NOT {}", self.exists("main", "m")),
            _ => String::new(),
        };
        let sql = format!("INSERT OR ABORT INTO main.{table} ({columns}) SELECT {columns} FROM b.{table}{absent}");
        self.connection.execute(&sql, []).map(drop)
    }

    /// Whether every stored row is among the live ones that it is about: as it is stored, or (of those that stay) by its key.
    pub fn is_in_place(&self, existing: Existing) -> SqlResult<bool> {
        let (table, within) = (quote(self.name), &self.within);
        let there = format!("EXISTS (SELECT 1 FROM main.{table} AS m WHERE {} AND {within})", self.same_key);
        let lost = self.count(&format!("SELECT count(*) FROM b.{table} AS s WHERE NOT {there}"))?;
        let stored = format!("SELECT {} FROM b.{table}", self.columns);
        Ok(lost == 0 && (existing == Existing::Add || self.differing(&stored)? == 0))
    }

    /// Stored rows of `select` that are not among the live ones as they are.
    fn differing(&self, select: &str) -> SqlResult<u64> {
        let (columns, table) = (&self.columns, quote(self.name));
        self.count(&format!("SELECT count(*) FROM ({select} EXCEPT SELECT {columns} FROM main.{table})"))
    }

    /// That the other database has a row of the same key.
    fn exists(&self, database: &str, alias: &str) -> String {
        format!("EXISTS (SELECT 1 FROM {database}.{} AS {alias} WHERE {})", quote(self.name), self.same_key)
    }

    fn count(&self, sql: &str) -> SqlResult<u64> {
        let count: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

/// That a live row `m` and a stored row `s` have the same `columns`.
fn same(columns: &[String], equal: &str) -> String {
    columns.iter().map(|column| format!("m.{column} {equal} s.{column}")).collect::<Vec<_>>().join(" AND ")
}

/// Kind, columns and primary key of a table.
fn shape(connection: &Connection, database: &str, name: &str) -> SqlResult<(String, String, Vec<String>)> {
    let kinds = schema::table_kinds(connection, database)?;
    let kind = kinds.into_iter().find(|(n, _)| n == name).map(|(_, kind)| kind).unwrap_or_default();
    let columns = schema::copied_columns(connection, database, name, kind == "virtual")?;
    Ok((kind, columns, schema::primary_key(connection, database, name)?))
}
