//! Unique keys of a table that is there: primary key, constraints and indexes, of columns and of expressions.

use super::worker::Worker;
use crate::error::Result;
use crate::source::postgres::session::quote;

/// One of them.
#[derive(Debug)]
pub struct Unique {
    /// It is the primary key.
    pub is_primary: bool,
    /// What it is made of, as SQL about the table's own columns.
    parts: Vec<String>,
    /// Which rows it is about, where not all.
    predicate: Option<String>,
    /// Two NULLs are the same to it.
    nulls_are_equal: bool,
    /// Columns that it is about, in whatever way.
    columns: Vec<String>,
}

/// Those of a table.
///
/// # Errors
/// When the server fails.
pub fn of(worker: &Worker<'_>, table: u32, name: &str) -> Result<Vec<Unique>> {
    let sql = "SELECT i.indisprimary, ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, n, true)
            FROM pg_catalog.generate_series(1, i.indnkeyatts::int4) n ORDER BY n),
          pg_catalog.pg_get_expr(i.indpred, i.indrelid),
          coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false),
          ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum > 0
            AND (a.attnum = ANY (i.indkey) OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = i.indexrelid
              AND d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
              AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum)))
        FROM pg_catalog.pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indislive
        ORDER BY i.indisprimary DESC, i.indexrelid";
    let unique = |row: &tokio_postgres::Row| Unique {
        is_primary: row.get(0),
        parts: row.get(1),
        predicate: row.get(2),
        nulls_are_equal: row.get(3),
        columns: row.get(4),
    };
    Ok(worker.rows(sql, &[&table], "look at the unique keys of", name)?.iter().map(unique).collect())
}

impl Unique {
    /// What it is made of, for people.
    pub fn columns(&self) -> String {
        self.parts.join(", ")
    }

    /// Whether it is about these columns alone.
    pub fn is_of(&self, columns: &[String]) -> bool {
        self.columns.iter().all(|column| columns.contains(column))
    }

    /// The columns that it is about.
    pub fn needs(&self) -> &[String] {
        &self.columns
    }

    /// Of the primary key: that two rows have the same.
    pub fn same(&self, one: &str, other: &str) -> String {
        self.parts.iter().map(|part| format!("{one}.{part} = {other}.{part}")).collect::<Vec<_>>().join(" AND ")
    }

    /// Counts the rows of `staged` whose key is that of a row of `table` for which `own` (about its rows `t`) is not true, and
    /// gives up to five of the keys.
    pub fn taken(&self, staged: &str, table: &str, own: &str) -> String {
        let (named, shown, which, same) = self.compared();
        format!(
            "SELECT count(*), coalesce((pg_catalog.array_agg(shown))[1:5], '{{}}') FROM (SELECT {shown} AS shown
             FROM (SELECT true{named} FROM {staged}{which}) s JOIN (SELECT ({own}) AS own{named} FROM {table} t{which}) l
             ON {same} WHERE l.own IS NOT TRUE) taken"
        )
    }

    /// Rows `s` of `staged` and `l` of `table` that have this key in common, and not the primary one, whose columns are
    /// `p0`, `p1` … of both. What follows begins with AND.
    pub fn pairs(&self, staged: &str, table: &str, primary: &[String]) -> String {
        let (named, shown, which, same) = self.compared();
        let numbered = |at: usize, column: &String| format!(", {} AS p{at}", quote(column));
        let keys: String = primary.iter().enumerate().map(|(at, column)| numbered(at, column)).collect();
        let equal: Vec<_> = (0..primary.len()).map(|at| format!("s.p{at} = l.p{at}")).collect();
        format!(
            "(SELECT s.*, {shown} AS shown FROM (SELECT true{named}{keys} FROM {staged}{which}) s) s
             JOIN (SELECT true{named}{keys} FROM {table}{which}) l ON {same} WHERE NOT ({})",
            equal.join(" AND ")
        )
    }

    /// What it is made of under names (`, … AS k0`), how that is shown of rows `s`, which rows it is about, and when rows `s`
    /// and `l` have the same.
    fn compared(&self) -> (String, String, String, String) {
        let named: String = self.parts.iter().enumerate().map(|(at, part)| format!(", {part} AS k{at}")).collect();
        let which = self.predicate.as_ref().map(|predicate| format!(" WHERE {predicate}")).unwrap_or_default();
        let equal = if self.nulls_are_equal { "IS NOT DISTINCT FROM" } else { "=" };
        let same: Vec<_> = (0..self.parts.len()).map(|at| format!("s.k{at} {equal} l.k{at}")).collect();
        let shown = match self.parts.len() {
            1 => "s.k0::text".to_owned(),
            parts => format!("ROW({})::text", (0..parts).map(|at| format!("s.k{at}")).collect::<Vec<_>>().join(", ")),
        };
        (named, shown, which, same.join(" AND "))
    }
}
