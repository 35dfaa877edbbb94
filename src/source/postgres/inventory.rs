//! What a schema holds: every relation with its kind, and which of them are collections.

use super::errors::{self, Failure};
use super::session::{Session, quote};
use crate::error::{Error, Kind, Result};
use crate::source::{Inventory, Item, ItemKind};
use tokio_postgres::error::SqlState;

/// Kinds of relations (`pg_class.relkind`). Indexes and TOAST tables are parts of others, and not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// A table with rows of its own.
    Table,
    /// A partitioned table: all rows are in its leaves.
    Partitioned,
    /// A partition, or one of its sub-partitions.
    Partition,
    /// A table that inherits from others, whose rows a query of those returns too.
    Inherited,
    /// A view.
    View,
    /// A materialised view: rows that the server can compute again.
    MaterializedView,
    /// A sequence.
    Sequence,
    /// A table whose rows are on another server.
    Foreign,
    /// A composite type.
    CompositeType,
    /// What a later server has.
    Unknown(char),
}

impl RelationKind {
    /// In words.
    pub fn describe(self) -> String {
        match self {
            Self::Table => "a table".into(),
            Self::Partitioned => "a partitioned table".into(),
            Self::Partition => "a partition".into(),
            Self::Inherited => "an inherited table".into(),
            Self::View => "a view".into(),
            Self::MaterializedView => "a materialised view".into(),
            Self::Sequence => "a sequence".into(),
            Self::Foreign => "a foreign table".into(),
            Self::CompositeType => "a composite type".into(),
            Self::Unknown(kind) => format!("of a kind that this version does not know (relkind '{kind}')"),
        }
    }

    /// What it is to those who know no engine; none where it is no collection but a part of another, or of the schema's
    /// definitions. What is not known is one, so that it can be named where it is refused.
    fn item(self) -> Option<ItemKind> {
        match self {
            Self::Table | Self::Partitioned | Self::Inherited | Self::Unknown(_) => Some(ItemKind::Collection),
            Self::View | Self::MaterializedView => Some(ItemKind::View),
            Self::Foreign | Self::Partition | Self::Sequence | Self::CompositeType => None,
        }
    }
}

/// A relation of the schema.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Name in the schema.
    pub name: String,
    /// Identity that changes when it is dropped and made again.
    pub oid: u32,
    /// What it is.
    pub kind: RelationKind,
    /// The tables that it is a partition of or inherits from, `schema.table`.
    pub parents: Vec<String>,
    /// The extension that it came with, which brings it back.
    pub extension: Option<String>,
    /// Of a sequence: the column that it counts for, `schema.table.column`.
    pub owned_by: Option<String>,
    /// Rows it holds, its partitions' included: an estimate, but 0 only where there are none.
    pub rows: u64,
    /// Bytes of row data, TOAST included: an estimate.
    pub bytes: u64,
    /// Our user may read it.
    pub readable: bool,
}

impl Relation {
    /// Whether it is a collection, and no part of another or of an extension.
    pub fn is_item(&self) -> bool {
        self.extension.is_none() && self.kind.item().is_some()
    }

    /// Makes sure that it can be backed up by its name.
    ///
    /// # Errors
    /// [`Kind::Source`] naming it and its kind, when it cannot.
    pub fn check(&self) -> Result<()> {
        let refused =
            |why: String| Error::new(Kind::Source, format!("{} cannot be backed up as a table", self.name)).cause(why);
        let what = format!("it is {}", self.kind.describe());
        Err(match self.kind {
            RelationKind::Unknown(_) => refused(what).hint("take it out of the configuration, or use a newer `backup`"),
            RelationKind::Partition => {
                let parents = self.parents.join(", ");
                refused(format!("{what} of {parents}")).hint(format!("list {parents}: its partitions come with it"))
            }
            RelationKind::Sequence | RelationKind::CompositeType => {
                refused(what).hint("take it out of the configuration: it comes with the definitions of the schema")
            }
            RelationKind::Foreign => refused(format!("{what}: its rows are on another server"))
                .hint("make that server a source of its own; the definition comes with what needs it"),
            _ => return Ok(()),
        })
    }
}

const RELATIONS: &str = "
SELECT c.oid, c.relname::text AS name, c.relkind::text AS kind, c.relispartition,
       ARRAY(SELECT pn.nspname || '.' || p.relname FROM pg_catalog.pg_inherits i
             JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
             WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parents,
       (SELECT e.extname::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        AND d.refclassid = 'pg_catalog.pg_extension'::regclass LIMIT 1) AS extension,
       (SELECT tn.nspname || '.' || t.relname || '.' || a.attname FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_class t ON t.oid = d.refobjid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
        JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
        WHERE c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
        AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i') LIMIT 1) AS owned_by,
       -- Of a partitioned table, what its leaves hold. Pages are counted in the catalog where it knows them: asking for
       -- the size of a file waits for the lock of a migration.
       s.rows, s.bytes, s.certain,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
FROM pg_catalog.pg_class c
LEFT JOIN LATERAL (
  SELECT sum(greatest(l.reltuples, 0))::float8 AS rows,
         coalesce(sum(CASE WHEN l.relpages > 0
           THEN (l.relpages + coalesce(t.relpages, 0))::int8 * pg_catalog.current_setting('block_size')::int8
           WHEN $2 THEN pg_catalog.pg_relation_size(l.oid) ELSE 8192 END), 0)::int8 AS bytes,
         bool_or(l.reltuples > 0) AS certain
  FROM (SELECT c.oid AS leaf WHERE c.relkind IN ('r', 'm')
        UNION ALL SELECT relid FROM pg_catalog.pg_partition_tree(c.oid) WHERE isleaf AND c.relkind = 'p') leaves
  JOIN pg_catalog.pg_class l ON l.oid = leaves.leaf AND l.relkind IN ('r', 'm')
  LEFT JOIN pg_catalog.pg_class t ON t.oid = l.reltoastrelid
) s ON true
WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1::text::name)
  AND c.relkind NOT IN ('i', 'I', 't')
ORDER BY c.relname";

/// Every relation of the schema.
///
/// # Errors
/// When the server fails. A listing that fails is never an empty one.
pub async fn relations(session: &Session, schema: &str) -> Result<Vec<Relation>> {
    let failed = |e: &Failure| errors::relation(e, "list the tables of schema", schema);
    let mut relations = Vec::new();
    let rows = match session.query(RELATIONS, &[&schema, &true]).await {
        // A migration is at work on one of them: that one's size stays unknown, and its reading will say so.
        Err(failure) if failure.state() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            session.query(RELATIONS, &[&schema, &false]).await
        }
        rows => rows,
    };
    for row in rows.map_err(|e| failed(&e))? {
        let parents: Vec<String> = row.get("parents");
        let letter = row.get::<_, String>("kind").chars().next().unwrap_or(' ');
        let kind = match letter {
            'r' | 'p' if row.get("relispartition") => RelationKind::Partition,
            'r' if !parents.is_empty() => RelationKind::Inherited,
            'r' => RelationKind::Table,
            'p' => RelationKind::Partitioned,
            'v' => RelationKind::View,
            'm' => RelationKind::MaterializedView,
            'S' => RelationKind::Sequence,
            'f' => RelationKind::Foreign,
            'c' => RelationKind::CompositeType,
            other => RelationKind::Unknown(other),
        };
        let bytes = u64::try_from(row.get::<_, Option<i64>>("bytes").unwrap_or(0)).unwrap_or(0);
        let name: String = row.get("name");
        // Statistics that nobody has gathered say 0, or nothing; a restore takes no rows for an empty table.
        let certain = row.get::<_, Option<bool>>("certain").unwrap_or(false) || bytes == 0;
        let rows = match row.get::<_, Option<f64>>("rows").unwrap_or(0.0) as u64 {
            0 if !certain && holds_a_row(session, schema, &name).await.map_err(|e| failed(&e))? => 1,
            rows => rows,
        };
        relations.push(Relation {
            name,
            oid: row.get("oid"),
            kind,
            parents,
            extension: row.get("extension"),
            owned_by: row.get("owned_by"),
            rows,
            bytes,
            readable: row.get("readable"),
        });
    }
    Ok(relations)
}

/// Whether a table holds a row. One that we may not look into, or that a migration has locked, does.
async fn holds_a_row(session: &Session, schema: &str, table: &str) -> Result<bool, Failure> {
    let sql = format!("SELECT EXISTS (SELECT FROM {}.{})", quote(schema), quote(table));
    match session.query(&sql, &[]).await {
        Ok(rows) => Ok(rows.first().is_some_and(|row| row.get(0))),
        Err(failure)
            if matches!(failure.state(), Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::LOCK_NOT_AVAILABLE)) =>
        {
            Ok(true)
        }
        Err(failure) => Err(failure),
    }
}

/// The collections of the schema: what an extension brings back and the parts of others are left out.
///
/// # Errors
/// As [`relations`].
pub async fn inventory(session: &Session, schema: &str) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    for relation in relations(session, schema).await? {
        let Some(kind) = relation.kind.item().filter(|_| relation.extension.is_none()) else {
            if let Err(error) = relation.check() {
                let hint = error.hint.iter().map(|hint| format!(" ({hint})"));
                let why = format!("{}{}", error.causes.join(": "), hint.collect::<String>());
                inventory.parts.insert(relation.name, why);
            }
            continue;
        };
        let (records, bytes) = if kind == ItemKind::View { (0, 0) } else { (relation.rows, relation.bytes) };
        let identity = Some(relation.oid.to_string());
        inventory.items.insert(relation.name, Item { kind, identity, records, bytes });
    }
    Ok(inventory)
}

/// Makes sure that our user may read all of these, before the first byte.
///
/// # Errors
/// [`Kind::Connect`] naming every one that it may not, and the GRANT.
pub fn readable<'a>(schema: &str, user: &str, relations: impl IntoIterator<Item = &'a Relation>) -> Result<()> {
    let names = |relation: &Relation| format!("{}.{}", quote(schema), quote(&relation.name));
    let closed: Vec<_> = relations.into_iter().filter(|relation| !relation.readable).map(names).collect();
    if closed.is_empty() {
        return Ok(());
    }
    let closed = closed.join(", ");
    Err(Error::new(Kind::Connect, format!("the user {user} may not read {closed}"))
        .hint(format!("GRANT SELECT ON {closed} TO {}; or the role pg_read_all_data (14 or newer)", quote(user))))
}
