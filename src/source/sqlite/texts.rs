//! Texts that a column of the rows holds.

use super::Sqlite;
use super::schema::{self, quote};
use super::way::Way;
use crate::error::{Error, Kind, Result};
use crate::source::texts::{no_column, of_text};
use crate::source::{EachText, Wanted};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// Calls `each` with them. Of a row no more than the column, and what says whose it is, is read.
pub fn read(
    source: &Sqlite,
    snapshot: &Connection,
    wanted: &Wanted,
    field: &str,
    each: &mut EachText<'_>,
) -> Result<()> {
    let failed = |e: rusqlite::Error| source.failed(&format!("read {} in", wanted.name), &e);
    let path: Vec<&str> = field.split('.').collect();
    let known = schema::columns(snapshot, "main", &wanted.name).map_err(failed)?;
    if known.is_empty() {
        return Err(Error::new(Kind::Missing, format!("table {} does not exist any more", wanted.name)));
    }
    // A column that is not there would be read as a text of its name.
    if !known.iter().any(|column| column.name.eq_ignore_ascii_case(path[0])) {
        return Err(no_column(&wanted.name, path[0]));
    }
    let column = quote(path[0]);
    let way = match wanted.records.ownership() {
        None => None,
        Some(ownership) => Some(Way::look(snapshot, &|_| String::from("main"), &wanted.name, ownership)?),
    };
    let sql = match &way {
        None => format!("SELECT {column} FROM main.{}", quote(&wanted.name)),
        Some(way) => way.select(std::slice::from_ref(&column), "main"),
    };
    let mut statement = snapshot.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        if let Some(way) = &way {
            way.check(row, 1)?;
        }
        match row.get_ref(0).map_err(failed)? {
            ValueRef::Null => {}
            ValueRef::Text(text) => of_text(text, &path[1..], each)?,
            _ => each(None)?,
        }
    }
    Ok(())
}
