//! What the server's catalog says of tables: what reading, restoring and checking them need to know.

use super::errors::{self, Failure};
use super::session::Session;
use crate::error::Result;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A column that is there (dropped ones leave a gap in the catalog alone).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type with its modifiers, as DDL writes it, with its schema where it is none of the server's own.
    pub type_name: String,
    /// The server computes it: COPY neither gives nor takes it.
    pub generated: bool,
    /// `GENERATED … AS IDENTITY`.
    pub identity: Option<Identity>,
    /// May not be NULL.
    pub not_null: bool,
    /// Has a value where none is given.
    pub has_default: bool,
    /// Holds numbers of large objects, whose content is elsewhere (type `oid`, or `lo` of the extension).
    pub large_object: bool,
}

/// Who decides the value of an identity column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The server: an INSERT needs OVERRIDING SYSTEM VALUE.
    Always,
    /// The server, where nobody else does.
    ByDefault,
}

/// A foreign key between tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Name of the constraint.
    pub name: String,
    /// The table that points, `schema.table`.
    pub child: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table that is pointed at, `schema.table`.
    pub parent: String,
    /// The columns of that, in the same order.
    pub parent_columns: Vec<String>,
}

/// A trigger of the application's; those of constraints are the server's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Name.
    pub name: String,
    /// `O` fires in an ordinary session, `R` in a replica's, `A` always, `D` never.
    pub enabled: char,
    /// `CREATE TRIGGER …`.
    pub definition: String,
}

/// Row-level security of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowSecurity {
    /// `ENABLE ROW LEVEL SECURITY`.
    pub enabled: bool,
    /// `FORCE`: its owner is subject to it too.
    pub forced: bool,
    /// Our user is subject to it: reading would fail, because `row_security` is off.
    pub against_us: bool,
}

/// A table by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Identity.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
}

/// An extension that the database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// The schema that its objects are in.
    pub schema: String,
}

/// What the session's user is called.
pub async fn current_user(session: &Session) -> Result<String> {
    let rows = ask(session, "SELECT current_user::text", &[], "the session").await?;
    Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
}

/// Columns in their order.
pub async fn columns(session: &Session, table: u32) -> Result<Vec<Column>> {
    let sql = "
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated::text, a.attidentity::text,
       a.attnotnull, a.atttypid = 'pg_catalog.oid'::regtype OR (t.typname = 'lo' AND t.typbasetype = 'pg_catalog.oid'::regtype),
       a.atthasdef
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    let column = |row: &Row| Column {
        name: row.get(0),
        type_name: row.get(1),
        generated: !row.get::<_, String>(2).is_empty(),
        identity: match row.get::<_, String>(3).as_str() {
            "a" => Some(Identity::Always),
            "d" => Some(Identity::ByDefault),
            _ => None,
        },
        not_null: row.get(4),
        large_object: row.get(5),
        has_default: row.get(6),
    };
    Ok(of_table(session, sql, table, "columns").await?.iter().map(column).collect())
}

/// Columns of the primary key, in its order; empty where there is none.
pub async fn primary_key(session: &Session, table: u32) -> Result<Vec<String>> {
    let sql = "
SELECT a.attname::text FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1 AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place";
    Ok(of_table(session, sql, table, "primary key").await?.iter().map(|row| row.get(0)).collect())
}

/// Whether an index begins with `column`, so that rows of one owner are found without reading all.
pub async fn is_indexed(session: &Session, table: u32, column: &str) -> Result<bool> {
    let sql = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = $1 AND a.attname = $2::text::name AND i.indisvalid AND i.indpred IS NULL)";
    let rows = ask(session, sql, &[&table, &column], "the indexes of a table").await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Foreign keys of the tables of a schema. A partition's copy of its parent's is left out.
pub async fn foreign_keys(session: &Session, schema: &str) -> Result<Vec<ForeignKey>> {
    let sql = "
SELECT c.conname::text, cn.nspname || '.' || t.relname, pn.nspname || '.' || p.relname,
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(c.conkey) WITH ORDINALITY AS k(n, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY k.place),
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(c.confkey) WITH ORDINALITY AS k(n, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY k.place)
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class t ON t.oid = c.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = t.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = c.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0 AND cn.nspname = $1::text::name ORDER BY t.relname, c.conname";
    let key = |row: &Row| ForeignKey {
        name: row.get(0),
        child: row.get(1),
        parent: row.get(2),
        columns: row.get(3),
        parent_columns: row.get(4),
    };
    Ok(ask(session, sql, &[&schema], schema).await?.iter().map(key).collect())
}

/// Triggers, by name.
pub async fn triggers(session: &Session, table: u32) -> Result<Vec<Trigger>> {
    let sql = "SELECT tgname::text, tgenabled::text, pg_catalog.pg_get_triggerdef(oid)
FROM pg_catalog.pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal ORDER BY tgname";
    let trigger = |row: &Row| Trigger {
        name: row.get(0),
        enabled: row.get::<_, String>(1).chars().next().unwrap_or('O'),
        definition: row.get(2),
    };
    Ok(of_table(session, sql, table, "triggers").await?.iter().map(trigger).collect())
}

/// Whether row-level security hides rows of a table, and from us.
pub async fn row_security(session: &Session, table: u32) -> Result<RowSecurity> {
    // `row_security` is off in our sessions, so the server's own function says no: asked with the setting on.
    let sql = "
SELECT c.relrowsecurity, c.relforcerowsecurity, c.relrowsecurity
       AND NOT (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
       AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE'))
FROM pg_catalog.pg_class c WHERE c.oid = $1";
    let rows = of_table(session, sql, table, "row-level security").await?;
    let none = RowSecurity { enabled: false, forced: false, against_us: false };
    Ok(rows.first().map_or(none, |row| RowSecurity { enabled: row.get(0), forced: row.get(1), against_us: row.get(2) }))
}

/// The tables that hold the rows of a partitioned one, which may be in other schemas.
pub async fn leaves(session: &Session, table: u32) -> Result<Vec<Table>> {
    let sql = "
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text FROM pg_catalog.pg_partition_tree($1::oid) l
JOIN pg_catalog.pg_class c ON c.oid = l.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE l.isleaf AND c.relkind <> 'p' ORDER BY n.nspname, c.relname";
    Ok(of_table(session, sql, table, "partitions").await?.iter().map(table_of).collect())
}

/// The tables that inherit from one directly; not partitions.
pub async fn children(session: &Session, table: u32) -> Result<Vec<Table>> {
    let sql = "
SELECT c.oid, n.nspname::text, c.relname::text FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = $1 AND NOT c.relispartition ORDER BY n.nspname, c.relname";
    Ok(of_table(session, sql, table, "children").await?.iter().map(table_of).collect())
}

fn table_of(row: &Row) -> Table {
    Table { oid: row.get(0), schema: row.get(1), name: row.get(2) }
}

/// Extensions of the database, but the language that every database has.
pub async fn extensions(session: &Session) -> Result<Vec<Extension>> {
    let sql = "SELECT e.extname::text, e.extversion, n.nspname::text FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY e.extname";
    let extension = |row: &Row| Extension { name: row.get(0), version: row.get(1), schema: row.get(2) };
    Ok(ask(session, sql, &[], "the extensions").await?.iter().map(extension).collect())
}

/// How many large objects the database holds, in all its schemas.
pub async fn large_objects(session: &Session) -> Result<u64> {
    let rows =
        ask(session, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata", &[], "the large objects").await?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
}

async fn of_table(session: &Session, sql: &str, table: u32, what: &str) -> Result<Vec<Row>> {
    ask(session, sql, &[&table], &format!("the {what} of a table")).await
}

async fn ask(session: &Session, sql: &str, parameters: &[&(dyn ToSql + Sync)], what: &str) -> Result<Vec<Row>> {
    let failed = |e: Failure| errors::relation(&e, "ask the catalog for", what);
    session.query(sql, parameters).await.map_err(failed)
}
