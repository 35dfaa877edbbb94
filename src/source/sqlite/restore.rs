//! Restores a table out of a stored database file: checked beside the target, then put in place by one transaction.

use super::schema::{self, literal, quote};
use super::{Sqlite, digest};
use crate::error::{Context, Error, Kind, Result};
use crate::source::{EntryName, Input, Staged, StoredCollection, Switched};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use tempfile::NamedTempFile;

/// See [`crate::source::Target::stage`].
pub fn stage(target: &Sqlite, stored: &StoredCollection, input: &dyn Input) -> Result<Staged> {
    let path = extracted(target, stored, input)?;
    let connection = open_stored(&path)?;
    let damaged = |e: rusqlite::Error| Error::new(Kind::Damaged, "the stored database cannot be read").cause(e);
    let kinds = schema::table_kinds(&connection, "main").map_err(damaged)?;
    let kind = kinds.iter().find(|(name, _)| *name == stored.name).map(|(_, kind)| kind.as_str());
    match kind {
        None => {
            return Err(Error::new(Kind::Damaged, format!("the stored database does not hold {}", stored.name)));
        }
        Some("view") => {}
        Some(kind) => {
            let found = digest::table(&connection, "main", &stored.name, kind == "virtual").map_err(damaged)?;
            if found.records != stored.records || found.digest != stored.digest {
                let (name, said) = (&stored.name, stored.records);
                let what =
                    format!("{name}: {} rows are stored, the manifest says {said}, or they differ", found.records);
                return Err(Error::new(Kind::Damaged, what));
            }
        }
    }
    Ok(Staged {
        name: stored.name.clone(),
        staging_name: None,
        records: stored.records,
        stored: stored.clone(),
        metadata: Vec::new(),
        warnings: Vec::new(),
    })
}

/// Takes the stored database out of the archive, once for all its tables.
fn extracted(target: &Sqlite, stored: &StoredCollection, input: &dyn Input) -> Result<PathBuf> {
    let mut slot = target.stored.lock().unwrap_or_else(PoisonError::into_inner);
    let key = format!("{:p} {}", std::ptr::from_ref(input).cast::<()>(), stored.directory);
    if let Some((_, file)) = slot.as_ref().filter(|(held, _)| *held == key) {
        return Ok(file.path().to_owned());
    }
    let failed = |e: &std::io::Error| super::no_temporary_file(e);
    let mut file = NamedTempFile::new().map_err(|e| failed(&e))?;
    let mut body = input.open(&EntryName::new(&stored.directory, &stored.directory, ".db"))?;
    std::io::copy(&mut body, &mut file).map_err(|e| match e.downcast::<Error>() {
        Ok(ours) => ours,
        Err(other) => Error::io("write", file.path(), &other),
    })?;
    digest::check(&open_stored(file.path())?)?;
    let path = file.path().to_owned();
    *slot = Some((key, file));
    Ok(path)
}

fn open_stored(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .map_err(|e| Error::new(Kind::Damaged, "the stored database cannot be opened").cause(e))
}

/// See [`crate::source::Target::switch`].
pub fn switch(target: &Sqlite, staged: &Staged, input: &dyn Input) -> Result<Switched> {
    let stored = extracted(target, &staged.stored, input)?;
    if let Some(parent) = target.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, &e))?;
    }
    let failed = |e: rusqlite::Error| target.failed(&format!("restore table {} into", staged.name), &e);
    let fresh = !target.path.exists();
    let connection = target.prepare(Connection::open(&target.path).map_err(failed)?)?;
    if fresh {
        take_over_encoding(&connection, &stored).map_err(failed)?;
    }
    let attach =
        format!("PRAGMA foreign_keys = OFF; ATTACH {} AS b; BEGIN IMMEDIATE", literal(&stored.display().to_string()));
    connection.execute_batch(&attach).map_err(failed)?;
    // A dropped connection rolls back: until COMMIT nothing has changed.
    let warnings = fill(&connection, staged).context(|| format!("table {} was not changed", staged.name))?;
    connection.execute_batch("COMMIT").map_err(failed)?;
    Ok(Switched { records: staged.stored.records, verified: true, warnings })
}

/// A new file takes encoding and version numbers of the stored one.
fn take_over_encoding(connection: &Connection, stored: &Path) -> rusqlite::Result<()> {
    let from = Connection::open_with_flags(stored, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let encoding: String = from.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    connection.execute_batch(&format!("PRAGMA encoding = {}", literal(&encoding)))?;
    for pragma in ["user_version", "application_id"] {
        let value: i64 = from.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?;
        connection.execute_batch(&format!("PRAGMA {pragma} = {value}"))?;
    }
    Ok(())
}

fn fill(connection: &Connection, staged: &Staged) -> Result<Vec<String>> {
    let failed =
        |e: rusqlite::Error| Error::new(Kind::Source, format!("cannot restore table {}", staged.name)).cause(e);
    let name = staged.name.as_str();
    let table = quote(name);
    let existing = schema::table_kinds(connection, "main").map_err(failed)?.into_iter().find(|(n, _)| n == name);
    if let Some((_, kind)) = existing {
        let count = |sql: String| connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        if kind == "view" || count(format!("SELECT count(*) FROM main.{table}")).map_err(failed)? > 0 {
            return Err(Error::new(
                Kind::Refused,
                format!("{name} holds data: it was filled while the restore was under way"),
            ));
        }
        connection.execute_batch(&format!("DROP TABLE main.{table}")).map_err(failed)?;
    }
    let kinds = schema::table_kinds(connection, "b").map_err(failed)?;
    let is_virtual = kinds.iter().any(|(n, kind)| n == name && kind == "virtual");
    let objects = schema::objects(connection, "b").map_err(failed)?;
    let own = objects.iter().filter(|object| object.table == name);
    for object in own {
        let Some(sql) = &object.sql else { continue };
        connection.execute_batch(sql).map_err(failed)?;
        if object.kind != "table" {
            continue;
        }
        let columns = schema::copied_columns(connection, "b", name, is_virtual).map_err(failed)?;
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM b.{table}");
        connection.execute(&copy, []).map_err(failed)?;
        let found = digest::table(connection, "main", name, is_virtual).map_err(failed)?;
        if found.records != staged.stored.records || found.digest != staged.stored.digest {
            return Err(Error::new(Kind::Source, format!("{name}: the target holds something else than was stored")));
        }
    }
    copy_sequence(connection, name).map_err(failed)?;
    dangling(connection, name).map_err(failed)
}

/// The counter of AUTOINCREMENT.
fn copy_sequence(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    for database in ["main", "b"] {
        let sql = format!("SELECT count(*) FROM {database}.sqlite_master WHERE name = 'sqlite_sequence'");
        if connection.query_row(&sql, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(());
        }
    }
    connection.execute("DELETE FROM main.sqlite_sequence WHERE name = ?1", [name])?;
    let sql = "INSERT INTO main.sqlite_sequence SELECT name, seq FROM b.sqlite_sequence WHERE name = ?1";
    connection.execute(sql, [name]).map(drop)
}

/// Foreign keys of the table that name nothing in the target.
fn dangling(connection: &Connection, name: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT \"parent\", count(*) FROM pragma_foreign_key_check(?1, 'main') GROUP BY \"parent\"";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    rows.map(|row| row.map(|(parent, count)| format!("{count} rows name a row of {parent} that is not in the target")))
        .collect()
}
