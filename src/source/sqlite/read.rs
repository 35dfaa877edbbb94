//! Builds the database file of a component out of the source, and stores it.

use super::schema::{self, Object, literal, quote};
use super::way::Way;
use super::{Sqlite, digest, scratch, texts};
use crate::error::{Error, Kind, Result};
use crate::source::{
    ConsistencyStamp, Coverage, EachText, EntryName, ItemKind, Level, Output, ReadCollection, StreamTotals, View,
    Wanted,
};
use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A view of a database file: one read transaction, in which every unit is read.
pub struct SqliteView<'a> {
    source: &'a Sqlite,
    snapshot: Mutex<Connection>,
    stamp: ConsistencyStamp,
    known: Known,
}

/// Of tables, what is the same for every tenant, by the question.
type Known = Mutex<BTreeMap<String, Coverage>>;

impl<'a> SqliteView<'a> {
    pub fn open(source: &'a Sqlite) -> Result<Self> {
        let snapshot = source.reader()?;
        // The first SELECT fixes the moment. Without a write-ahead log it also keeps writers out until the view is
        // closed: what other modules hold would not agree otherwise.
        let begun = snapshot
            .execute_batch("BEGIN")
            .and_then(|()| snapshot.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())));
        begun.map_err(|e| source.failed("read", &e))?;
        let stamp = ConsistencyStamp { level: Level::Snapshot, at: chrono::Utc::now(), reason: None };
        Ok(Self { source, snapshot: Mutex::new(snapshot), stamp, known: Known::default() })
    }
}

impl View for SqliteView<'_> {
    fn consistency(&self) -> ConsistencyStamp {
        self.stamp.clone()
    }

    fn units(&self, wanted: &[Wanted]) -> Vec<Vec<Wanted>> {
        vec![wanted.to_vec()]
    }

    fn read(&self, unit: &[Wanted], output: &dyn Output) -> Result<Vec<ReadCollection>> {
        let sealed = output.is_sealed();
        let file = scratch::file(sealed)?;
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let builder = Builder::new(self.source, &snapshot, file.path(), sealed)?.with_coverage(&self.known);
        let done = builder.build(unit)?;
        drop(snapshot);
        let failed = |e: &std::io::Error| Error::io("read", file.path(), e);
        let mut body = File::open(file.path()).map_err(|e| failed(&e))?;
        let size = body.metadata().map_err(|e| failed(&e))?.len();
        let stem = self.source.stem();
        output.sized(&EntryName::new(&stem, &stem, ".db"), size, &mut body)?;
        Ok(done)
    }

    fn texts(&self, wanted: &Wanted, field: &str, each: &mut EachText<'_>) -> Result<()> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        texts::read(self.source, &snapshot, wanted, field, each)
    }

    fn coverage(&self, wanted: &Wanted) -> Result<Option<Coverage>> {
        let Some(ownership) = wanted.records.ownership() else { return Ok(None) };
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let way = Way::look(&snapshot, &|_| String::from("main"), &wanted.name, ownership)?;
        way.coverage(&snapshot).map(Some).map_err(|e| self.source.failed(&format!("look at {} in", wanted.name), &e))
    }
}

/// A database in the making, and where its tables come from: the source as it was at the view's moment, or what is stored.
pub struct Builder<'a> {
    source: &'a Sqlite,
    snapshot: &'a Connection,
    connection: Connection,
    /// The schema of the snapshot that a table's parent is in.
    place: &'a dyn Fn(&str) -> String,
    /// Where it is remembered how well rows say whose they are; none where nobody asks.
    known: Option<&'a Known>,
}

impl<'a> Builder<'a> {
    /// Builds in `file`, and where that is `sealed`, nothing beside it.
    pub fn new(source: &'a Sqlite, snapshot: &'a Connection, file: &Path, sealed: bool) -> Result<Self> {
        let encoding: String =
            snapshot.query_row("PRAGMA encoding", [], |row| row.get(0)).map_err(|e| source.failed("read", &e))?;
        let connection = Connection::open(file).map_err(|e| source.failed("copy", &e))?;
        let connection = source.prepare(connection)?;
        let setup = format!(
            "PRAGMA encoding = {}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;
             PRAGMA trusted_schema = OFF;",
            literal(&encoding)
        );
        connection.execute_batch(&setup).map_err(|e| source.failed("copy", &e))?;
        scratch::confine(&connection, sealed).map_err(|e| source.failed("copy", &e))?;
        Ok(Self { source, snapshot, connection, place: &|_| String::from("main"), known: None })
    }

    /// Also says how well the rows of the snapshot say whose they are.
    #[must_use]
    fn with_coverage(self, known: &'a Known) -> Self {
        Self { known: Some(known), ..self }
    }

    /// Finds parents elsewhere than beside their children.
    #[must_use]
    pub fn with_places(self, place: &'a dyn Fn(&str) -> String) -> Self {
        Self { place, ..self }
    }

    /// Copies tables, with what belongs to them.
    ///
    /// # Errors
    /// [`Kind::Missing`] when one is not there, and when one cannot be copied.
    pub fn build(self, unit: &[Wanted]) -> Result<Vec<ReadCollection>> {
        let failed = |e: rusqlite::Error| self.source.failed("copy", &e);
        self.connection.execute_batch("BEGIN").map_err(failed)?;
        let objects = schema::objects(self.snapshot, "main").map_err(failed)?;
        let kinds = schema::table_kinds(self.snapshot, "main").map_err(failed)?;
        let is_virtual = |name: &str| kinds.iter().any(|(n, kind)| n == name && kind == "virtual");
        let mut done = Vec::new();
        for wanted in unit {
            done.push(self.copy(wanted, &objects, is_virtual(&wanted.name))?);
        }
        for wanted in unit {
            self.finish_table(wanted, unit, &objects, &mut done)?;
        }
        self.copy_pragmas(&objects, unit)?;
        self.connection.execute_batch("COMMIT").map_err(failed)?;
        // What is counted and digested is what will be stored.
        for (wanted, read) in unit.iter().zip(&mut done).filter(|(wanted, _)| wanted.kind != ItemKind::View) {
            let totals =
                digest::table(&self.connection, "main", &wanted.name, is_virtual(&wanted.name)).map_err(failed)?;
            (read.records, read.bytes, read.digest) = (totals.records, totals.bytes, totals.digest);
        }
        self.connection.close().map_err(|(_, e)| failed(e))?;
        Ok(done)
    }

    /// Makes a table and copies its rows. Indexes come after the rows, triggers last.
    fn copy(&self, wanted: &Wanted, objects: &[Object], is_virtual: bool) -> Result<ReadCollection> {
        let totals = StreamTotals::default();
        let mut done = ReadCollection {
            name: wanted.name.clone(),
            records: 0,
            bytes: 0,
            digest: totals.digest,
            without_owner: 0,
            warnings: Vec::new(),
        };
        let missing = || Error::new(Kind::Missing, format!("table {} does not exist any more", wanted.name));
        let made = objects.iter().find(|o| o.name == wanted.name && matches!(o.kind.as_str(), "table" | "view"));
        let sql = made.and_then(|object| object.sql.as_deref()).ok_or_else(missing)?;
        if wanted.kind == ItemKind::View {
            return Ok(done);
        }
        let failed = |e: rusqlite::Error| self.source.failed(&format!("copy table {} of", wanted.name), &e);
        if is_virtual && !known_virtual(sql) {
            let what = format!("table {} is of a virtual kind that is not supported: {}", wanted.name, first_line(sql));
            return Err(Error::new(Kind::Source, what).hint("FTS3, FTS4, FTS5 and R-Tree tables are supported"));
        }
        self.make(sql).map_err(failed)?;
        let Some(ownership) = wanted.records.ownership() else {
            self.copy_rows(&wanted.name, is_virtual, None)?;
            return Ok(done);
        };
        let way = Way::look(self.snapshot, self.place, &wanted.name, ownership)?;
        self.copy_rows(&wanted.name, is_virtual, Some(&way))?;
        let Some(known) = self.known else { return Ok(done) };
        let question = way.without_owner();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let coverage = match known.get(&question) {
            Some(coverage) => coverage.clone(),
            None => way.coverage(self.snapshot).map_err(failed)?,
        };
        (done.without_owner, done.warnings) = (coverage.without_owner, coverage.remarks.clone());
        known.insert(question, coverage);
        Ok(done)
    }

    /// One statement: some versions of SQLite read the first of a stored text and pass over what follows.
    fn make(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.execute(sql, []).map(drop)
    }

    /// Copies rows, value by value as they are: all, or those that lead to their owner by a way. Each is checked.
    fn copy_rows(&self, name: &str, is_virtual: bool, way: Option<&Way>) -> Result<()> {
        let failed = |e: rusqlite::Error| self.source.failed(&format!("copy table {name} of"), &e);
        let columns = schema::copied(self.snapshot, "main", name, is_virtual).map_err(failed)?;
        let (table, list, width) = (quote(name), columns.join(", "), columns.len());
        let select = match way {
            None => format!("SELECT {list} FROM main.{table}"),
            Some(way) => way.select(&columns, "main"),
        };
        let mut select = self.snapshot.prepare(&select).map_err(failed)?;
        let places = vec!["?"; width].join(", ");
        let insert = format!("INSERT INTO main.{table} ({list}) VALUES ({places})");
        let mut insert = self.connection.prepare(&insert).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if let Some(way) = way {
                way.check(row, width)?;
            }
            for at in 0..width {
                let value = ToSqlOutput::Borrowed(row.get_ref(at).map_err(failed)?);
                insert.raw_bind_parameter(at + 1, value).map_err(failed)?;
            }
            insert.raw_execute().map_err(failed)?;
        }
        Ok(())
    }

    /// Indexes and triggers of a table; a view's definition.
    fn finish_table(
        &self,
        wanted: &Wanted,
        unit: &[Wanted],
        objects: &[Object],
        done: &mut [ReadCollection],
    ) -> Result<()> {
        let failed = |e: rusqlite::Error| self.source.failed(&format!("copy the schema of {} of", wanted.name), &e);
        let own = objects.iter().filter(|o| o.table == wanted.name && (o.kind != "table"));
        for object in own {
            let Some(sql) = &object.sql else { continue };
            self.make(sql).map_err(failed)?;
            let warning =
                (object.kind == "trigger").then(|| foreign_names(sql, unit, objects)).filter(|n| !n.is_empty());
            if let (Some(names), Some(read)) = (warning, done.iter_mut().find(|read| read.name == wanted.name)) {
                let (trigger, names) = (&object.name, names.join(", "));
                read.warnings.push(format!("trigger {trigger} names {names}, which is not in this archive"));
            }
        }
        Ok(())
    }

    /// What a database says about itself, and the counters of AUTOINCREMENT.
    fn copy_pragmas(&self, objects: &[Object], unit: &[Wanted]) -> Result<()> {
        let failed = |e: rusqlite::Error| self.source.failed("copy", &e);
        for pragma in ["user_version", "application_id"] {
            let value: i64 =
                self.snapshot.query_row(&format!("PRAGMA main.{pragma}"), [], |row| row.get(0)).map_err(failed)?;
            self.connection.execute_batch(&format!("PRAGMA main.{pragma} = {value}")).map_err(failed)?;
        }
        let sql = "SELECT count(*) FROM main.sqlite_master WHERE name = 'sqlite_sequence'";
        let made: i64 = self.connection.query_row(sql, [], |row| row.get(0)).map_err(failed)?;
        if !objects.iter().any(|o| o.name == "sqlite_sequence") || made == 0 {
            return Ok(());
        }
        for wanted in unit {
            let sql = "SELECT seq FROM main.sqlite_sequence WHERE name = ?1";
            let seen = self.snapshot.query_row(sql, [&wanted.name], |row| row.get::<_, Value>(0)).optional();
            let sql = "DELETE FROM main.sqlite_sequence WHERE name = ?1";
            self.connection.execute(sql, [&wanted.name]).map_err(failed)?;
            if let Some(seen) = seen.map_err(failed)? {
                let sql = "INSERT INTO main.sqlite_sequence (name, seq) VALUES (?1, ?2)";
                self.connection.execute(sql, params![wanted.name, seen]).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Tables of the source that a trigger's text names and this archive does not hold.
fn foreign_names<'o>(sql: &str, unit: &[Wanted], objects: &'o [Object]) -> Vec<&'o str> {
    let words: Vec<_> = sql.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let tables = objects.iter().filter(|o| o.kind == "table" && !unit.iter().any(|wanted| wanted.name == o.name));
    tables.map(|o| o.name.as_str()).filter(|name| words.iter().any(|word| word.eq_ignore_ascii_case(name))).collect()
}

fn known_virtual(sql: &str) -> bool {
    let lower = sql.to_lowercase();
    let module = lower.split(" using ").nth(1).unwrap_or_default().trim_start();
    ["fts3", "fts4", "fts5", "rtree"].iter().any(|known| module.starts_with(known))
}

fn first_line(sql: &str) -> &str {
    sql.lines().next().unwrap_or_default()
}
