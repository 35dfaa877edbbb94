//! The records of a table as bytes, so that what is stored, what is restored and what was read can be compared.
//!
//! A row is its columns in the order of [`schema::copied_columns`], each as a type tag and its value: `n`; `i` and i64
//! little-endian; `r` and the IEEE 754 bits little-endian; `t` or `b`, u64 little-endian length and the bytes.

use super::{schema, scratch};
use crate::error::{Error, Kind, Result};
use crate::source::StreamTotals;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::io::Read;

/// Counts and digests the rows of a table.
pub fn table(connection: &Connection, database: &str, name: &str, is_virtual: bool) -> rusqlite::Result<StreamTotals> {
    rows(connection, database, name, is_virtual, "")
}

/// Counts and digests the rows `c` of a table that a condition (` WHERE …`) covers.
pub fn rows(
    connection: &Connection,
    database: &str,
    name: &str,
    is_virtual: bool,
    condition: &str,
) -> rusqlite::Result<StreamTotals> {
    let columns = schema::copied_columns(connection, database, name, is_virtual)?;
    let from = format!("{database}.{} AS c{condition}", schema::quote(name));
    let mut statement = connection.prepare(&format!("SELECT {columns} FROM {from}"))?;
    let width = statement.column_count();
    let mut rows = statement.query([])?;
    let mut totals = StreamTotals::default();
    let mut bytes = Vec::new();
    while let Some(row) = rows.next()? {
        bytes.clear();
        for at in 0..width {
            encode(row.get_ref(at)?, &mut bytes);
        }
        totals.add(&bytes);
    }
    Ok(totals)
}

fn encode(value: ValueRef<'_>, out: &mut Vec<u8>) {
    let mut sized = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        ValueRef::Text(text) => sized(b't', text),
        ValueRef::Blob(blob) => sized(b'b', blob),
        ValueRef::Null => out.push(b'n'),
        ValueRef::Integer(number) => {
            out.push(b'i');
            out.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            out.push(b'r');
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
    }
}

/// Opens a stored database, checks its structure, and counts and digests every table of it. A `sealed` one is
/// encrypted where it is stored, and is not put on a disk.
///
/// # Errors
/// [`Kind::Damaged`] when it is no sound database.
pub fn digest_database(body: &mut dyn Read, sealed: bool) -> Result<BTreeMap<String, StreamTotals>> {
    let spool =
        |e: &std::io::Error| Error::io("write a temporary copy of", std::path::Path::new("a stored database"), e);
    let mut file = scratch::file(sealed)?;
    std::io::copy(body, &mut file).map_err(|e| Error::passed_on(e, |other| spool(&other)))?;
    let damaged = |e: rusqlite::Error| Error::new(Kind::Damaged, "a stored database is not sound").cause(e);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file.path(), flags).map_err(damaged)?;
    schema::distrust(&connection).map_err(damaged)?;
    scratch::confine(&connection, sealed).map_err(damaged)?;
    check(&connection)?;
    tables(&connection).map_err(damaged)
}

/// `PRAGMA integrity_check`.
pub fn check(connection: &Connection) -> Result<()> {
    let verdict: rusqlite::Result<String> = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    let bad = |why: String| Error::new(Kind::Damaged, "a stored database is not sound").cause(why);
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(bad(verdict)),
        Err(e) => Err(bad(e.to_string())),
    }
}

fn tables(connection: &Connection) -> rusqlite::Result<BTreeMap<String, StreamTotals>> {
    let mut all = BTreeMap::new();
    for (name, kind) in schema::table_kinds(connection, "main")? {
        if name.starts_with("sqlite_") || !matches!(kind.as_str(), "table" | "virtual") {
            continue;
        }
        let totals = table(connection, "main", &name, kind == "virtual")?;
        all.insert(name, totals);
    }
    Ok(all)
}
