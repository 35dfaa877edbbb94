//! Restores a table out of a stored database file: checked beside the target, then put in place by one transaction.

use super::merge::Tables;
use super::schema::{self, distrust, literal, quote};
use super::scope::{Together, extracted, not_held, open_stored};
use super::share::{Share, is_restored, prove_filled};
use super::{Sqlite, digest};
use crate::error::{Context, Error, Kind, Result, counted};
use crate::source::{Changes, Existing, Input, Staged, StoredCollection, Switched};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

/// See [`crate::source::Target::compare`].
pub fn compare(target: &Sqlite, stored: &StoredCollection, input: &dyn Input, existing: Existing) -> Result<Changes> {
    let connection = attached(target, &extracted(target, stored, input)?, &stored.name, Access::Read)?;
    let failed = |e: rusqlite::Error| target.failed(&format!("compare table {} in", stored.name), &e);
    let kind = |database| schema::kind_of(&connection, database, &stored.name).map_err(failed);
    let (Some(live), Some(kept)) = (kind("main")?, kind("b")?) else {
        return Ok(Changes::of(existing, stored.records, 0, 0));
    };
    if (live == "view") != (kept == "view") {
        let (name, what) = (&stored.name, format!("a {live} there and a {kept} in the backup"));
        return Err(Error::new(Kind::Refused, format!("{name} is {what}"))
            .hint("drop or rename it by hand, or restore into another file with --into"));
    }
    if kept == "view" {
        return Ok(Changes::default());
    }
    if stored.scope.ownership().is_some() {
        return Share::new(&connection, stored)?.changes(existing);
    }
    match Tables::new(&connection, &stored.name) {
        Ok(tables) => tables.changes(existing).map_err(failed),
        // Of other columns: all of it goes, and what is stored comes.
        Err(_) if existing == Existing::Replace => {
            let sql = format!("SELECT count(*) FROM main.{}", quote(&stored.name));
            let live: i64 = connection.query_row(&sql, [], |row| row.get(0)).map_err(failed)?;
            Ok(Changes::of(existing, stored.records, 0, u64::try_from(live).unwrap_or(0)))
        }
        Err(error) => Err(error),
    }
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    /// Changes nothing, not even what another program has left in a write-ahead log.
    Read,
    Write,
}

/// The target, with the stored database attached as `b`.
fn attached(target: &Sqlite, stored: &Path, name: &str, access: Access) -> Result<Connection> {
    let failed = |e: rusqlite::Error| target.failed(&format!("restore table {name} into"), &e);
    let fresh = !target.path.exists();
    let connection = match access {
        Access::Read => target.reader()?,
        Access::Write => target.prepare(Connection::open(&target.path).map_err(failed)?)?,
    };
    distrust(&connection).map_err(failed)?;
    if fresh {
        // Before anything is attached: both must have one encoding.
        take_over_encoding(&connection, stored).map_err(failed)?;
    }
    let attach = format!("PRAGMA foreign_keys = OFF; ATTACH {} AS b", literal(&stored.display().to_string()));
    connection.execute_batch(&attach).map_err(failed)?;
    Ok(connection)
}

/// See [`crate::source::Target::stage`].
pub fn stage(target: &Sqlite, stored: &StoredCollection, input: &dyn Input, existing: Existing) -> Result<Staged> {
    let path = extracted(target, stored, input)?;
    let connection = open_stored(&path)?;
    let damaged = |e: rusqlite::Error| Error::new(Kind::Damaged, "the stored database cannot be read").cause(e);
    let kinds = schema::table_kinds(&connection, "main").map_err(damaged)?;
    let kind = kinds.iter().find(|(name, _)| *name == stored.name).map(|(_, kind)| kind.as_str());
    match kind {
        None => {
            return Err(not_held(stored));
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
        existing,
        staging_name: None,
        identity: None,
        records: stored.records,
        stored: stored.clone(),
        metadata: Vec::new(),
        warnings: Vec::new(),
    })
}

/// See [`crate::source::Target::switch`]: one transaction for all.
pub fn switch(target: &Sqlite, batch: &[(&Staged, &dyn Input)]) -> Result<Vec<Switched>> {
    let names: Vec<_> = batch.iter().map(|(staged, _)| staged.name.as_str()).collect();
    let names = names.join(", ");
    let stored = Together::of(target, batch)?;
    if let Some(parent) = target.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, &e))?;
    }
    let failed = |e: rusqlite::Error| target.failed(&format!("restore table {names} into"), &e);
    let connection = attached(target, &stored.path, &names, Access::Write)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    // A dropped connection rolls back: until COMMIT nothing has changed.
    let staged: Vec<&Staged> = batch.iter().map(|(staged, _)| *staged).collect();
    let switched = in_transaction(&connection, &staged).context(|| format!("table {names} was not changed"))?;
    connection.execute_batch("COMMIT").map_err(failed)?;
    Ok(switched)
}

fn in_transaction(connection: &Connection, batch: &[&Staged]) -> Result<Vec<Switched>> {
    let mut shares = BTreeMap::new();
    for staged in batch.iter().filter(|staged| staged.stored.scope.ownership().is_some()) {
        let kind = schema::kind_of(connection, "main", &staged.name);
        let kind = kind.map_err(|e| Error::new(Kind::Source, "cannot look at the tables").cause(e))?;
        if staged.existing != Existing::Refuse && matches!(kind.as_deref(), Some("table" | "virtual")) {
            shares.insert(staged.name.as_str(), (*staged, Share::new(connection, &staged.stored)?));
        }
    }
    // Triggers do not run: what they would do was done when the rows were first written.
    let silent = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false);
    silent.map_err(|e| Error::new(Kind::Source, "cannot keep triggers from running").cause(e))?;
    // Children before the parents that say whose they are.
    let mut order: Vec<_> = shares.values().collect();
    order.sort_by_key(|(staged, _)| Reverse(staged.stored.scope.ownership().map_or(0, |owner| owner.via.len())));
    let mut changes = BTreeMap::new();
    for (staged, share) in order {
        changes.insert(staged.name.as_str(), share.clear(staged.existing)?);
    }
    let mut switched = Vec::new();
    for staged in batch {
        switched.push(match (shares.get(staged.name.as_str()), changes.get(staged.name.as_str())) {
            (Some((_, share)), Some(changes)) => {
                share.write(staged.existing)?;
                let warnings = silenced(connection, &staged.name)?;
                Switched { changes: Some(*changes), ..self::switched(staged, warnings) }
            }
            _ => one(connection, staged)?,
        });
    }
    for (staged, done) in batch.iter().zip(&mut switched) {
        match shares.get(staged.name.as_str()) {
            Some((_, share)) => share.prove(staged.existing)?,
            None => prove_filled(connection, &staged.stored)?,
        }
        let failed = |e| Error::new(Kind::Source, format!("cannot look at table {}", staged.name)).cause(e);
        done.warnings.extend(dangling(connection, &staged.name).map_err(failed)?);
    }
    Ok(switched)
}

/// Puts one in place that is not one tenant's share among others.
fn one(connection: &Connection, staged: &Staged) -> Result<Switched> {
    let failed = |e| Error::new(Kind::Source, format!("cannot look at table {}", staged.name)).cause(e);
    let there = schema::kind_of(connection, "main", &staged.name).map_err(failed)?;
    match (staged.existing, there.as_deref()) {
        (Existing::Add | Existing::Merge, Some("table" | "virtual")) => write_among(connection, staged),
        (Existing::Add, Some("view")) => Ok(switched(staged, Vec::new())),
        (_, there) => fill(connection, staged, there).map(|()| switched(staged, Vec::new())),
    }
}

fn switched(staged: &Staged, warnings: Vec<String>) -> Switched {
    Switched { records: staged.stored.records, changes: None, verified: true, warnings }
}

/// Writes rows among those that stay.
fn write_among(connection: &Connection, staged: &Staged) -> Result<Switched> {
    let name = staged.name.as_str();
    let failed = |e: rusqlite::Error| Error::new(Kind::Source, format!("cannot restore table {name}")).cause(e);
    let (changes, verified) = Tables::new(connection, name)?.write(staged.existing).map_err(failed)?;
    let warnings = silenced(connection, name)?;
    Ok(Switched { records: staged.stored.records, changes: Some(changes), verified, warnings })
}

/// Says which triggers of a table did not run.
fn silenced(connection: &Connection, name: &str) -> Result<Vec<String>> {
    let failed = |e: rusqlite::Error| Error::new(Kind::Source, format!("cannot look at table {name}")).cause(e);
    let objects = schema::objects(connection, "main").map_err(failed)?;
    let triggers: Vec<_> =
        objects.iter().filter(|o| o.kind == "trigger" && o.table == name).map(|o| &*o.name).collect();
    let told = format!("its triggers did not run: {}", triggers.join(", "));
    Ok((!triggers.is_empty()).then_some(told).into_iter().collect())
}

/// See [`crate::source::Target::resume`].
pub fn resume(target: &Sqlite, stored: &StoredCollection, input: &dyn Input) -> Result<Option<Switched>> {
    if !target.path.exists() {
        return Ok(None);
    }
    let connection = attached(target, &extracted(target, stored, input)?, &stored.name, Access::Read)?;
    let failed = |e: rusqlite::Error| target.failed(&format!("compare table {} in", stored.name), &e);
    let same = match schema::kind_of(&connection, "main", &stored.name).map_err(failed)?.as_deref() {
        None => false,
        Some("view") => {
            let sql = |database: &str| {
                let sql = format!("SELECT sql FROM {database}.sqlite_master WHERE name = ?1");
                connection.query_row(&sql, [&stored.name], |row| row.get::<_, String>(0)).optional().map_err(failed)
            };
            sql("main")? == sql("b")?
        }
        Some(_) if stored.scope.ownership().is_some() => is_restored(&connection, stored)?,
        Some(kind) => {
            let live = digest::table(&connection, "main", &stored.name, kind == "virtual").map_err(failed)?;
            live.records == stored.records && live.digest == stored.digest
        }
    };
    Ok(same.then(|| Switched { records: stored.records, changes: None, verified: true, warnings: Vec::new() }))
}

/// See [`crate::source::Target::differences`].
pub fn differences(target: &Sqlite, stored: &StoredCollection, input: &dyn Input) -> Result<Vec<String>> {
    let connection = attached(target, &extracted(target, stored, input)?, &stored.name, Access::Read)?;
    let failed = |e: rusqlite::Error| target.failed(&format!("compare table {} in", stored.name), &e);
    let objects = |database: &str| -> Result<Vec<_>> {
        let objects = schema::objects(&connection, database).map_err(failed)?;
        let own = objects.into_iter().filter(|object| object.table == stored.name);
        Ok(own.map(|object| (object.kind, object.name, object.sql)).collect())
    };
    let (live, kept) = (objects("main")?, objects("b")?);
    let lacking = kept.iter().filter(|object| !live.contains(object)).map(|(kind, name, _)| format!("{kind} {name}"));
    let odd = live.iter().filter(|object| !kept.contains(object)).map(|(kind, name, _)| format!("{kind} {name}"));
    let mut found: Vec<_> = lacking.map(|what| format!("{what} did not come back as it is stored")).collect();
    found.extend(odd.map(|what| format!("{what} is not stored so")));
    Ok(found)
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

/// Makes the table anew, in the place of what is there.
fn fill(connection: &Connection, staged: &Staged, there: Option<&str>) -> Result<()> {
    let failed =
        |e: rusqlite::Error| Error::new(Kind::Source, format!("cannot restore table {}", staged.name)).cause(e);
    let name = staged.name.as_str();
    let table = quote(name);
    if let Some(kind) = there {
        let count = |sql: String| connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        let refuse = staged.existing == Existing::Refuse;
        if refuse && (kind == "view" || count(format!("SELECT count(*) FROM main.{table}")).map_err(failed)? > 0) {
            return Err(Error::new(
                Kind::Refused,
                format!("{name} holds data: it was filled while the restore was under way"),
            ));
        }
        let kind = if kind == "view" { "VIEW" } else { "TABLE" };
        connection.execute_batch(&format!("DROP {kind} main.{table}")).map_err(failed)?;
    }
    let kinds = schema::table_kinds(connection, "b").map_err(failed)?;
    let is_virtual = kinds.iter().any(|(n, kind)| n == name && kind == "virtual");
    let objects = schema::objects(connection, "b").map_err(failed)?;
    let own = objects.iter().filter(|object| object.table == name);
    for object in own {
        let Some(sql) = &object.sql else { continue };
        // One statement: some versions of SQLite read the first of a stored text and pass over what follows.
        connection.execute(sql, []).map_err(failed)?;
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
    copy_sequence(connection, name).map_err(failed)
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
    let told = |(parent, count): (String, i64)| {
        let rows = counted(count.unsigned_abs(), "row names", "rows name");
        format!("{rows} a row of {parent} that is not in the target")
    };
    rows.map(|row| row.map(told)).collect()
}
