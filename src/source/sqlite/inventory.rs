//! What a database holds, counts, and foreign keys that name nothing.

use super::{Sqlite, schema};
use crate::config::{IdType, Relationship};
use crate::error::{Error, Kind, Result};
use crate::modules::{Ownership, Records};
use crate::source::{Inventory, Item, ItemKind, Orphans, Wanted};
use rusqlite::Connection;
use rusqlite::types::Value;
use schema::quote;

/// Tables and views; SQLite's own and the shadow tables of virtual tables are left out.
pub fn inventory(source: &Sqlite) -> Result<Inventory> {
    let failed = |e: rusqlite::Error| source.failed("list", &e);
    let connection = source.reader()?;
    let pages: u64 = source.path.metadata().map_or(0, |meta| meta.len());
    let mut inventory = Inventory::default();
    for (name, kind) in schema::table_kinds(&connection, "main").map_err(failed)? {
        let kind = match kind.as_str() {
            _ if name.starts_with("sqlite_") => continue,
            "table" | "virtual" => ItemKind::Collection,
            "view" => ItemKind::View,
            _ => continue,
        };
        let records = match kind {
            ItemKind::View => 0,
            _ => number(&connection, &format!("SELECT count(*) FROM {}", quote(&name))).map_err(failed)?,
        };
        inventory.items.insert(name, Item { kind, identity: None, records, bytes: 0 });
    }
    // SQLite keeps no sizes by table: the file's is shared out by records, for the estimate.
    let all: u64 = inventory.items.values().map(|item| item.records).sum();
    for item in inventory.items.values_mut() {
        item.bytes = pages.saturating_mul(item.records).checked_div(all).unwrap_or(0);
    }
    Ok(inventory)
}

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|n| u64::try_from(n).unwrap_or(0))
}

/// The owner column and the typed id of a tenant's rows; none where all rows are covered.
pub fn owner(records: &Records) -> Result<Option<(String, Value)>> {
    let Some(Ownership { tenant, id_type, via, field }) = records.ownership() else { return Ok(None) };
    crate::source::not_yet(via, "a table")?;
    let value = match id_type {
        IdType::Int => {
            let wrong =
                || Error::new(Kind::Config, format!("tenant id '{tenant}' is no whole number (tenancy.idType)"));
            Value::Integer(tenant.parse().map_err(|_| wrong())?)
        }
        IdType::String | IdType::ObjectId | IdType::Uuid => Value::Text(tenant.clone()),
    };
    Ok(Some((field.clone(), value)))
}

/// How many rows are covered.
pub fn count(source: &Sqlite, wanted: &Wanted) -> Result<u64> {
    let failed = |e: rusqlite::Error| source.failed(&format!("count {} in", wanted.name), &e);
    let connection = source.reader()?;
    let table = quote(&wanted.name);
    match owner(&wanted.records)? {
        _ if wanted.kind == ItemKind::View => Ok(0),
        None => number(&connection, &format!("SELECT count(*) FROM {table}")).map_err(failed),
        Some((field, value)) => {
            let known = schema::columns(&connection, "main", &wanted.name).map_err(failed)?;
            if !known.iter().any(|column| column.name.eq_ignore_ascii_case(&field)) {
                return Err(no_owner_column(&wanted.name, &field));
            }
            let sql = format!("SELECT count(*) FROM {table} WHERE {} = ?1", quote(&field));
            let counted: rusqlite::Result<i64> = connection.query_row(&sql, [value], |row| row.get(0));
            counted.map(|n| u64::try_from(n).unwrap_or(0)).map_err(failed)
        }
    }
}

/// A table without its owner column.
pub fn no_owner_column(table: &str, field: &str) -> Error {
    Error::new(Kind::Config, format!("table {table} has no column `{field}`, so its rows have no owner"))
        .hint("say who owns them: `{name: TABLE, tenant: {field: COLUMN}}`, `tenant: shared` or `tenant: excluded`")
}

/// Children whose foreign key names no parent; a null key is no orphan.
pub fn orphans(source: &Sqlite, relationship: &Relationship) -> Result<Orphans> {
    let failed =
        |e: rusqlite::Error| source.failed(&format!("check the relationships of {} in", relationship.child), &e);
    let connection = source.reader()?;
    let key = schema::primary_key(&connection, "main", &relationship.parent).map_err(failed)?;
    let [key] = key.as_slice() else {
        let what = format!("table {} has no primary key of one column to point at", relationship.parent);
        return Err(Error::new(Kind::Config, what).hint("remove the relationship from the configuration"));
    };
    let (parent, child) = (quote(&relationship.parent), quote(&relationship.child));
    let (key, foreign) = (quote(key), quote(&relationship.foreign_key));
    let lonely = format!(
        "FROM {child} AS c WHERE c.{foreign} IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE p.{key} = c.{foreign})"
    );
    let count = number(&connection, &format!("SELECT count(*) {lonely}")).map_err(failed)?;
    let sql = format!("SELECT DISTINCT CAST(c.{foreign} AS TEXT) {lonely} LIMIT 5");
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let samples = statement.query_map([], |row| row.get(0)).map_err(failed)?.collect::<rusqlite::Result<_>>();
    Ok(Orphans { count, samples: samples.map_err(failed)? })
}
