//! What `sqlite_master` says of a database, and SQL text made safe.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Result};

/// An object of the schema.
#[derive(Debug, Clone)]
pub struct Object {
    /// `table`, `index`, `view` or `trigger`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The table it belongs to.
    pub table: String,
    /// The statement that made it; none for indexes that a constraint implies.
    pub sql: Option<String>,
}

/// A column that holds data of its own.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
}

/// A name in an SQL statement.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in an SQL statement.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Prepares a connection for a schema that somebody else wrote (sqlite.org/security.html): nothing it names runs with
/// more rights than it needs, and sizes in damaged pages are checked before they are used.
pub fn distrust(connection: &Connection) -> Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0")
}

/// Every object of the schema `database` (`main`, or an attached one), tables first, triggers last.
pub fn objects(connection: &Connection, database: &str) -> Result<Vec<Object>> {
    let sql = format!(
        "SELECT type, name, tbl_name, sql FROM {database}.sqlite_master ORDER BY
         CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        Ok(Object { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    })?;
    rows.collect()
}

/// Kind of every table: `table`, `virtual`, `shadow` or `view`.
pub fn table_kinds(connection: &Connection, database: &str) -> Result<Vec<(String, String)>> {
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_list WHERE schema = ?1")?;
    let rows = statement.query_map([database], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// The columns of a table that hold data: not generated ones, not hidden ones of virtual tables.
pub fn columns(connection: &Connection, database: &str, table: &str) -> Result<Vec<Column>> {
    let mut statement =
        connection.prepare("SELECT name FROM pragma_table_xinfo(?1, ?2) WHERE hidden = 0 ORDER BY cid")?;
    let rows = statement.query_map([table, database], |row| Ok(Column { name: row.get(0)? }))?;
    rows.collect()
}

/// Whether rows have a `rowid` that is no column: neither WITHOUT ROWID nor an INTEGER PRIMARY KEY, which is its alias.
pub fn has_hidden_rowid(connection: &Connection, database: &str, table: &str) -> Result<bool> {
    let sql = "SELECT wr FROM pragma_table_list(?1) WHERE schema = ?2";
    let without: Option<bool> = connection.query_row(sql, [table, database], |row| row.get(0)).optional()?;
    if without != Some(false) {
        return Ok(false);
    }
    let mut statement =
        connection.prepare("SELECT upper(type) FROM pragma_table_xinfo(?1, ?2) WHERE pk > 0 ORDER BY pk")?;
    let keys: Vec<String> = statement.query_map([table, database], |row| row.get(0))?.collect::<Result<_>>()?;
    let names = columns(connection, database, table)?;
    let hidden_name_taken = names.iter().any(|column| column.name.eq_ignore_ascii_case("rowid"));
    Ok(keys != ["INTEGER"] && !hidden_name_taken)
}

/// The columns to copy, as SQL: the hidden row id first, where there is one, because other tables may point at it.
pub fn copied(connection: &Connection, database: &str, table: &str, is_virtual: bool) -> Result<Vec<String>> {
    let mut names: Vec<_> = columns(connection, database, table)?.iter().map(|column| quote(&column.name)).collect();
    if is_virtual || has_hidden_rowid(connection, database, table)? {
        names.insert(0, "rowid".into());
    }
    Ok(names)
}

/// As [`copied`], in one text.
pub fn copied_columns(connection: &Connection, database: &str, table: &str, is_virtual: bool) -> Result<String> {
    Ok(copied(connection, database, table, is_virtual)?.join(", "))
}

/// What a table is: `table`, `virtual`, `shadow` or `view`; none where there is no such.
pub fn kind_of(connection: &Connection, database: &str, name: &str) -> Result<Option<String>> {
    Ok(table_kinds(connection, database)?.into_iter().find(|(n, _)| n == name).map(|(_, kind)| kind))
}

/// The columns of every unique index of all rows, as they are quoted; not of expressions.
pub fn unique_columns(connection: &Connection, database: &str, table: &str) -> Result<Vec<Vec<String>>> {
    let sql = "SELECT name FROM pragma_index_list(?1, ?2) WHERE \"unique\" AND NOT partial";
    let mut statement = connection.prepare(sql)?;
    let indexes: Vec<String> = statement.query_map([table, database], |row| row.get(0))?.collect::<Result<_>>()?;
    let mut found = Vec::new();
    for index in indexes {
        let mut statement = connection.prepare("SELECT name FROM pragma_index_info(?1, ?2) ORDER BY seqno")?;
        let columns: Vec<Option<String>> =
            statement.query_map([index.as_str(), database], |row| row.get(0))?.collect::<Result<_>>()?;
        found.extend(columns.into_iter().map(|column| column.map(|name| quote(&name))).collect::<Option<Vec<_>>>());
    }
    Ok(found)
}

/// Names of the columns of the primary key.
pub fn primary_key(connection: &Connection, database: &str, table: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1, ?2) WHERE pk > 0 ORDER BY pk")?;
    statement.query_map([table, database], |row| row.get(0))?.collect()
}

/// Whether some index begins with a column.
pub fn is_indexed(connection: &Connection, table: &str, column: &str) -> Result<bool> {
    let sql = "SELECT count(*) FROM pragma_index_list(?1) AS l, pragma_index_info(l.name) AS i
               WHERE i.seqno = 0 AND i.name = ?2 COLLATE NOCASE";
    let found: i64 = connection.query_row(sql, [table, column], |row| row.get(0))?;
    let key = primary_key(connection, "main", table)?;
    Ok(found > 0 || key.first().is_some_and(|first| first.eq_ignore_ascii_case(column)))
}
