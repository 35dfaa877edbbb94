//! What a database holds, counts, and foreign keys that name nothing.

use super::way::Way;
use super::{Sqlite, schema};
use crate::config::Relationship;
use crate::error::{Error, Kind, Result};
use crate::modules::Records;
use crate::source::{Inventory, Item, ItemKind, Orphans, Wanted};
use rusqlite::Connection;
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

/// How many rows are covered.
pub fn count(source: &Sqlite, wanted: &Wanted) -> Result<u64> {
    let failed = |e: rusqlite::Error| source.failed(&format!("count {} in", wanted.name), &e);
    let connection = source.reader()?;
    let table = quote(&wanted.name);
    match wanted.records.ownership() {
        _ if wanted.kind == ItemKind::View => Ok(0),
        None => number(&connection, &format!("SELECT count(*) FROM {table}")).map_err(failed),
        Some(ownership) => {
            let way = Way::look(&connection, &|_| "main".to_owned(), &wanted.name, ownership)?;
            number(&connection, &way.count()).map_err(failed)
        }
    }
}

/// Children whose foreign key names no parent; a null key is no orphan.
pub fn orphans(source: &Sqlite, relationship: &Relationship, children: &Records) -> Result<Orphans> {
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
    let covered = match children.ownership() {
        None => "1".to_owned(),
        Some(ownership) => {
            Way::look(&connection, &|_| "main".to_owned(), &relationship.child, ownership)?.condition("c")
        }
    };
    let lonely = format!(
        "FROM {child} AS c WHERE c.{foreign} IS NOT NULL AND {covered}
         AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE p.{key} = c.{foreign})"
    );
    let count = number(&connection, &format!("SELECT count(*) {lonely}")).map_err(failed)?;
    let sql = format!("SELECT DISTINCT CAST(c.{foreign} AS TEXT) {lonely} LIMIT 5");
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let samples = statement.query_map([], |row| row.get(0)).map_err(failed)?.collect::<rusqlite::Result<_>>();
    Ok(Orphans { count, samples: samples.map_err(failed)? })
}
