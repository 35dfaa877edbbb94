//! Tenants that are rows of a table.

use super::Sqlite;
use super::schema::{self, quote};
use crate::config::{Discovery, IdType};
use crate::error::{Error, Kind, Result};
use crate::source::discover::{NamedTenant, named, paths, reached};
use rusqlite::types::ValueRef;
use serde_json::Value;

/// The tenants that the rows are. Of each, no more than the named columns is read.
pub fn tenants(source: &Sqlite, discovery: &Discovery) -> Result<Vec<NamedTenant>> {
    let table = &discovery.collection;
    let failed = |e: rusqlite::Error| source.failed(&format!("read the tenants in {table} of"), &e);
    let connection = source.reader()?;
    let known = schema::columns(&connection, "main", table).map_err(failed)?;
    let missing = |what: String| {
        Err(Error::new(Kind::NotFound, what)
            .hint("check `tenancy.discover`: source, collection and the names of its columns"))
    };
    if known.is_empty() {
        return missing(format!("there is no table {table} in {} to find tenants in", source.path.display()));
    }
    let paths = paths(discovery);
    for path in &paths {
        // A column that is not there would be read as a text of its name.
        if !known.iter().any(|column| column.name.eq_ignore_ascii_case(path[0])) {
            return missing(format!("table {table} has no column `{}`", path[0]));
        }
    }
    let columns: Vec<_> = paths.iter().map(|path| quote(path[0])).collect();
    let sql = format!("SELECT {} FROM {}", columns.join(", "), quote(table));
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let values: rusqlite::Result<Vec<Value>> =
            paths.iter().enumerate().map(|(at, path)| Ok(reached(value(row.get_ref(at)?), path))).collect();
        found.extend(named(&values.map_err(failed)?, IdType::String, discovery));
    }
    Ok(found)
}

fn value(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
        // No text: what it stands for is not known.
        ValueRef::Blob(_) => Value::Array(Vec::new()),
    }
}
