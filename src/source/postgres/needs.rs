//! What the server's catalog says of definitions that pg_dump's list does not: whose part each is, and what they need that
//! the dump does not hold.

use super::errors;
use super::schema::{Extension, SequenceValue};
use super::session::{Session, quote};
use super::toc::{ObjectId, Part, TocEntry};
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Relations, and the schemas that they are in.
#[derive(Debug, Default)]
pub struct Scope {
    /// Oids.
    pub relations: BTreeSet<u32>,
    /// Names.
    pub schemas: Vec<String>,
}

/// The relations `wanted` with the partitions of those that have some, which may be in other schemas.
pub async fn scope(session: &Session, wanted: &BTreeSet<u32>) -> Result<Scope> {
    let sql = "
SELECT c.oid, n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1::oid[]) OR c.oid IN (
  SELECT t.relid FROM pg_catalog.pg_class p CROSS JOIN LATERAL pg_catalog.pg_partition_tree(p.oid::regclass) t
  WHERE p.oid = ANY ($1::oid[]) AND p.relkind = 'p')
ORDER BY n.nspname";
    let oids: Vec<u32> = wanted.iter().copied().collect();
    let mut scope = Scope::default();
    for row in ask(session, sql, &[&oids], "the partitions of tables").await? {
        scope.relations.insert(row.get(0));
        scope.schemas.push(row.get(1));
    }
    scope.schemas.dedup();
    Ok(scope)
}

/// What in these schemas is part of a table, a view or a domain, by object.
pub async fn parts(session: &Session, schemas: &[String]) -> Result<BTreeMap<ObjectId, Part>> {
    let sql = "
WITH r AS (SELECT c.oid, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = ANY ($1::text[]))
SELECT 'pg_catalog.pg_constraint'::regclass::oid, k.oid, 'pg_catalog.pg_class'::regclass::oid, k.conrelid,
       nullif(k.confrelid, 0) FROM pg_catalog.pg_constraint k JOIN r ON r.oid = k.conrelid
UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, k.oid, 'pg_catalog.pg_type'::regclass, k.contypid, NULL
FROM pg_catalog.pg_constraint k WHERE k.contypid <> 0
UNION ALL SELECT p.class, p.oid, 'pg_catalog.pg_class'::regclass, p.relation, NULL FROM (
  SELECT 'pg_catalog.pg_class'::regclass AS class, indexrelid AS oid, indrelid AS relation FROM pg_catalog.pg_index
  UNION ALL SELECT 'pg_catalog.pg_attrdef'::regclass, oid, adrelid FROM pg_catalog.pg_attrdef
  UNION ALL SELECT 'pg_catalog.pg_trigger'::regclass, oid, tgrelid FROM pg_catalog.pg_trigger
  UNION ALL SELECT 'pg_catalog.pg_rewrite'::regclass, oid, ev_class FROM pg_catalog.pg_rewrite
  UNION ALL SELECT 'pg_catalog.pg_policy'::regclass, oid, polrelid FROM pg_catalog.pg_policy
  UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::regclass, oid, stxrelid FROM pg_catalog.pg_statistic_ext
  -- Sequences of serial and identity columns.
  UNION ALL SELECT 'pg_catalog.pg_class'::regclass, d.objid, d.refobjid FROM pg_catalog.pg_depend d JOIN r ON r.oid = d.objid
  WHERE r.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
  AND d.refclassid = 'pg_catalog.pg_class'::regclass
) p JOIN r ON r.oid = p.relation";
    let part = |row: &Row| ((row.get(0), row.get(1)), Part { of: (row.get(2), row.get(3)), to: row.get(4) });
    Ok(ask(session, sql, &[&schemas], "the parts of tables").await?.iter().map(part).collect())
}

/// Where sequences stand: those among `entries`, and those that number the rows of `tables`. That is in no snapshot: it
/// may be later than the rows, which is safe.
pub async fn sequences(session: &Session, entries: &[TocEntry], tables: &BTreeSet<u32>) -> Result<Vec<SequenceValue>> {
    let oids: Vec<u32> = entries.iter().filter(|entry| entry.kind == "SEQUENCE").map(|entry| entry.oid).collect();
    let tables: Vec<u32> = tables.iter().copied().collect();
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text, d.refobjid FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
WHERE c.relkind = 'S' AND (c.oid = ANY ($1::oid[]) OR d.refobjid = ANY ($2::oid[])) ORDER BY n.nspname, c.relname";
    let mut values = Vec::new();
    for row in ask(session, sql, &[&oids, &tables], "the sequences").await? {
        let name = format!("{}.{}", quote(row.get(1)), quote(row.get(2)));
        let sql = format!("SELECT last_value, is_called FROM {name}");
        let failed = |e| errors::relation(&e, "read the sequence", &name);
        if let Some(value) = session.query(&sql, &[]).await.map_err(failed)?.first() {
            let (last, is_called) = (value.get(0), value.get(1));
            values.push(SequenceValue { oid: row.get(0), name, of: row.get(3), last, is_called });
        }
    }
    Ok(values)
}

/// The materialised views that hold something.
pub async fn populated(session: &Session, entries: &[TocEntry]) -> Result<BTreeSet<u32>> {
    let oids: Vec<u32> = entries.iter().filter(|entry| entry.kind == "MATERIALIZED VIEW").map(|e| e.oid).collect();
    let sql = "SELECT oid FROM pg_catalog.pg_class WHERE oid = ANY ($1::oid[]) AND relispopulated";
    Ok(ask(session, sql, &[&oids], "the materialised views").await?.iter().map(|row| row.get(0)).collect())
}

/// All that these objects need, over any number of steps. Of a relation, its default values, its rules (a view's query)
/// and its checks need what it needs.
const WALK: &str = "
WITH RECURSIVE walk (class, oid) AS (
  SELECT * FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::oid[])) start
  UNION SELECT next.class, next.oid FROM walk CROSS JOIN LATERAL (
    SELECT d.refclassid AS class, d.refobjid AS oid FROM pg_catalog.pg_depend d
    WHERE d.classid = walk.class AND d.objid = walk.oid AND d.deptype <> 'e'
    UNION ALL SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
    WHERE d.refclassid = walk.class AND d.refobjid = walk.oid AND d.deptype IN ('a', 'i')
    AND (d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_attrdef'::regclass)
         OR d.classid = 'pg_catalog.pg_constraint'::regclass
         AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid AND k.contype <> 'f'))
  ) next
), member AS (
  SELECT walk.class, walk.oid, d.refobjid AS extension FROM walk LEFT JOIN pg_catalog.pg_depend d ON d.classid = walk.class
  AND d.objid = walk.oid AND d.deptype = 'e'
)";

/// Extensions that these objects need.
pub async fn extensions(session: &Session, entries: &[TocEntry]) -> Result<Vec<Extension>> {
    let sql = format!(
        "{WALK} SELECT e.extname::text, e.extversion, n.nspname::text FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.oid IN (SELECT extension FROM member) AND e.extname <> 'plpgsql' ORDER BY e.extname"
    );
    let (classes, oids) = objects(entries);
    let extension = |row: &Row| Extension { name: row.get(0), version: row.get(1), schema: row.get(2) };
    let rows = ask(session, &sql, &[&classes, &oids], "the extensions in use").await?;
    Ok(rows.iter().map(extension).collect())
}

/// What these objects need in schemas that are none of `schemas`, as `type attic.mood`.
pub async fn elsewhere(session: &Session, entries: &[TocEntry], schemas: &[String]) -> Result<Vec<String>> {
    let sql = format!(
        "{WALK} SELECT DISTINCT i.type || ' ' || i.identity FROM member
CROSS JOIN LATERAL pg_catalog.pg_identify_object(member.class, member.oid, 0) i
WHERE member.extension IS NULL AND i.schema <> ALL ($3::text[]) AND i.type NOT IN ('composite type', 'index')
AND i.schema NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND i.identity NOT LIKE '%[]' ORDER BY 1"
    );
    let (classes, oids) = objects(entries);
    let rows = ask(session, &sql, &[&classes, &oids, &schemas], "what is needed of other schemas").await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn objects(entries: &[TocEntry]) -> (Vec<u32>, Vec<u32>) {
    entries.iter().map(TocEntry::object).filter(|(class, _)| *class != 0).unzip()
}

async fn ask(session: &Session, sql: &str, parameters: &[&(dyn ToSql + Sync)], what: &str) -> Result<Vec<Row>> {
    session.query(sql, parameters).await.map_err(|e| errors::relation(&e, "ask the catalog for", what))
}
