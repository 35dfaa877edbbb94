//! A tenant's stored rows as another's: the column that names the owner is rewritten in a database that was taken out of
//! the archive for it.

use super::schema::{self, distrust, quote};
use super::scratch;
use super::way::Way;
use crate::error::{Error, Kind, Result};
use crate::modules::{Hop, Ownership};
use crate::source::{Renaming, StoredCollection};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Result as SqlResult};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The column of a stored table that holds the tenant's id; none where its rows name a parent by another key. `place` is
/// the schema of the stored database that a table is in.
///
/// # Errors
/// When SQLite fails.
pub fn column(
    stored_db: &Connection,
    place: &dyn Fn(&str) -> String,
    renaming: &Renaming,
    name: &str,
) -> Result<Option<String>> {
    let failed = |e: rusqlite::Error| Error::new(Kind::Damaged, format!("cannot look at the stored {name}")).cause(e);
    let below_key = |hop: &Hop, field: &str| {
        let key = schema::primary_key(stored_db, &place(&hop.parent), &hop.parent).map_err(failed)?;
        if key.is_empty() {
            let what = format!(
                "whether the rows of {name} name the tenant cannot be told: they are owned by way of {}, of which this backup holds no key",
                hop.parent
            );
            return Err(Error::new(Kind::Refused, what).hint("choose a backup that holds both"));
        }
        let is_key = matches!(key.as_slice(), [key] if key.eq_ignore_ascii_case(field));
        Ok(is_key.then(String::new))
    };
    let Some(column) = renaming.field(&below_key)? else { return Ok(None) };
    let columns = schema::columns(stored_db, "main", name).map_err(failed)?;
    // Where all is the tenant's, a table need not name him.
    let is_there = columns.iter().any(|known| known.name.eq_ignore_ascii_case(&column));
    Ok((is_there || !renaming.is_whole).then_some(column))
}

/// Rewrites `column` in the one table of the database at `path`.
///
/// # Errors
/// [`Kind::Refused`] when not every row names the other tenant afterwards, where every row has to.
pub fn rewrite(path: &Path, stored: &StoredCollection, renaming: &Renaming, column: &str, sealed: bool) -> Result<()> {
    let failed = |e: rusqlite::Error| {
        let what = format!("the owner of the stored rows of {} cannot be rewritten", stored.name);
        Error::new(Kind::Refused, what).cause(e)
    };
    let connection = Connection::open(path).map_err(failed)?;
    let quiet = |connection: &Connection| -> SqlResult<()> {
        distrust(connection)?;
        scratch::confine(connection, sealed)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.execute_batch("PRAGMA foreign_keys = OFF")
    };
    quiet(&connection).map_err(failed)?;
    let way = |ownership: &Ownership| {
        let own = Ownership { field: column.to_owned(), via: Vec::new(), ..ownership.clone() };
        Way::look(&connection, &|_| "main".to_owned(), &stored.name, &own)
    };
    let (old, new) = (way(&renaming.old)?, way(&renaming.new)?);
    let table = quote(&stored.name);
    let sql =
        format!("UPDATE main.{table} AS c SET {} = {} WHERE {}", quote(column), new.literal(), old.condition("c"));
    let renamed = connection.execute(&sql, []).map_err(failed)?;
    let count = |which: &str| -> SqlResult<i64> {
        connection.query_row(&format!("SELECT count(*) FROM main.{table} AS c WHERE {which}"), [], |row| row.get(0))
    };
    // Into a database of its own nobody else's rows are.
    if !renaming.is_whole {
        renumber(&connection, stored, &renaming.new.tenant).map_err(failed)?;
    }
    let all =
        if renaming.is_whole { i64::try_from(renamed).unwrap_or(i64::MAX) } else { count("1").map_err(failed)? };
    let named = count(&new.condition("c")).map_err(failed)?;
    // Where all is his, rows may have named the other tenant before.
    if named == all || (renaming.is_whole && named > all) {
        return Ok(());
    }
    let what = format!("{all} stored rows of {} were to name the other tenant, and {named} would", stored.name);
    Err(Error::new(Kind::Refused, what)
        .hint(format!("look at the type of the column {column}: the other id may not fit it")))
}

/// Gives rows other row ids where nobody sees them, for those that they have may be in use beside: numbers that follow from
/// tenant and row id, so that a rerun gives the same, and too far off to meet others.
fn renumber(connection: &Connection, stored: &StoredCollection, tenant: &str) -> SqlResult<()> {
    // Below what JavaScript takes for a whole number: the next row's id follows on the highest.
    const FAR: i64 = 1 << 51;
    let is_virtual = schema::kind_of(connection, "main", &stored.name)?.as_deref() == Some("virtual");
    if is_virtual || !schema::copied_columns(connection, "main", &stored.name, false)?.starts_with("rowid") {
        return Ok(());
    }
    let table = quote(&stored.name);
    let mut all = connection.prepare(&format!("SELECT rowid FROM main.{table}"))?;
    let all = all.query_map([], |row| row.get::<_, i64>(0))?.collect::<SqlResult<Vec<_>>>()?;
    connection.execute_batch("BEGIN")?;
    let mut update = connection.prepare(&format!("UPDATE main.{table} SET rowid = ?1 WHERE rowid = ?2"))?;
    for row in all {
        let hash = Sha256::new().chain_update(row.to_le_bytes()).chain_update(tenant).finalize();
        let number = hash.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
        update.execute([FAR | (number & (FAR - 1)), row])?;
    }
    connection.execute_batch("COMMIT")
}
