//! Names that keys and indexes of new tables would get, and that another relation has: a table, or an index of one. Without
//! its key a table would let in what it never held, so that is refused; without a plain index it is only slower.

use super::statement::Statement;
use super::worker::Worker;
use crate::error::Result;
use crate::source::postgres::schema::{Definition, Schema, leading_name};
use crate::source::postgres::session::quote;
use std::collections::{BTreeMap, BTreeSet};

/// What the operator can do.
pub const HINT: &str = "rename what has the name there, or restore into another database with --into";

/// A name that a part of a table takes among the relations of its schema.
#[derive(Debug)]
pub struct Claim {
    /// The table, as SQL names it with its schema.
    table: String,
    /// What gets the name, for people.
    what: &'static str,
    /// The name, with its schema.
    place: String,
    /// Whether the table would take other rows without it.
    pub is_rule: bool,
}

impl Claim {
    /// None of what is no such part.
    pub fn of(definition: &Definition) -> Option<Self> {
        if definition.entry.kind == "SEQUENCE" {
            return Self::of_identity(&definition.sql);
        }
        let statement = Statement::of(definition)?;
        let at = |name: &str| format!("{}.{name}", statement.schema);
        let what = match (definition.entry.kind.as_str(), statement.is_rule) {
            ("CONSTRAINT", _) => "key",
            (_, true) => "unique index",
            (_, false) => "index",
        };
        Some(Self { table: at(statement.table), what, place: at(statement.name), is_rule: statement.is_rule })
    }

    /// The sequence of an identity column is made with it; any other stands alone, and may be there.
    fn of_identity(sql: &str) -> Option<Self> {
        let table = leading_name(sql.strip_prefix("ALTER TABLE ")?)?;
        let (_, sequence) = sql.split_once("\n    SEQUENCE NAME ")?;
        let place = leading_name(sequence)?;
        Some(Self { table: table.into(), what: "identity sequence", place: place.into(), is_rule: true })
    }

    /// What is refused when `holder` has the name.
    pub fn refusal(&self, holder: &str, worker: &Worker<'_>) -> String {
        self.said("would lack its", holder, worker)
    }

    /// What is told when `holder` has the name, and the table does without.
    pub fn warning(&self, holder: &str, worker: &Worker<'_>) -> String {
        self.said("lacks", holder, worker)
    }

    fn said(&self, lacks: &str, holder: &str, worker: &Worker<'_>) -> String {
        let (table, name) = (shown(&self.table, worker), shown(&self.place, worker));
        format!("table {table} {lacks} {} {name}: the name is taken by {holder}", self.what)
    }

    /// Who has the name.
    pub fn holder(&self, worker: &Worker<'_>) -> Result<String> {
        let found = look(worker, &[(None, &self.place)])?;
        Ok(found.into_iter().find_map(|(_, holder)| holder).unwrap_or_else(|| "something else".into()))
    }
}

/// What is refused, and what is only told, of the names that new tables of these archives bring.
pub fn examine(worker: &Worker<'_>, parts: &[Schema]) -> Result<(Vec<String>, Vec<String>)> {
    let claims: Vec<Claim> = parts.iter().flat_map(|part| &part.entries).filter_map(Claim::of).collect();
    let asked: Vec<(Option<&str>, &str)> = claims.iter().map(|c| (Some(c.table.as_str()), c.place.as_str())).collect();
    let (mut refused, mut told) = (BTreeSet::new(), BTreeSet::new());
    let mut claimed = BTreeMap::new();
    for (at, holder) in look(worker, &asked)? {
        let claim = &claims[at];
        let first = *claimed.entry(&claim.place).or_insert(&claim.table);
        match holder {
            Some(holder) if claim.is_rule => refused.insert(claim.refusal(&holder, worker)),
            Some(holder) => told.insert(claim.warning(&holder, worker)),
            // An index may have been one table's when one archive was made, and another's later.
            None if *first != claim.table => {
                let other =
                    format!("a part of table {}, which is new too: restore one after the other", shown(first, worker));
                refused.insert(claim.refusal(&other, worker))
            }
            None => false,
        };
    }
    Ok((refused.into_iter().collect(), told.into_iter().collect()))
}

/// A relation without the schema that is restored.
fn shown<'p>(place: &'p str, worker: &Worker<'_>) -> &'p str {
    [worker.target.schema.clone(), quote(&worker.target.schema)]
        .iter()
        .find_map(|schema| place.strip_prefix(schema.as_str())?.strip_prefix('.'))
        .unwrap_or(place)
}

/// Who has these names, by their numbers: of those alone whose tables are not there.
fn look(worker: &Worker<'_>, names: &[(Option<&str>, &str)]) -> Result<Vec<(usize, Option<String>)>> {
    let (tables, places): (Vec<Option<&str>>, Vec<&str>) = names.iter().copied().unzip();
    let sql = "SELECT n.at, CASE c.relkind WHEN 'i' THEN 'an index of ' WHEN 'I' THEN 'an index of ' WHEN 'S' THEN 'sequence '
            WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialised view ' WHEN 'c' THEN 'type ' ELSE 'table ' END,
            coalesce(i.indrelid, c.oid)::regclass::text
        FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) WITH ORDINALITY n(owner, place, at)
        LEFT JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n.place)
        LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
        WHERE pg_catalog.to_regclass(n.owner) IS NULL ORDER BY n.at";
    let rows = worker.rows(sql, &[&tables, &places], "look for the names of", "keys and indexes")?;
    let numbered = |row: &tokio_postgres::Row| {
        let at = usize::try_from(row.get::<_, i64>(0)).unwrap_or(1) - 1;
        let holder =
            row.get::<_, Option<&str>>(2).map(|place| format!("{}{}", row.get::<_, &str>(1), shown(place, worker)));
        (at, holder)
    };
    Ok(rows.iter().map(numbered).collect())
}
