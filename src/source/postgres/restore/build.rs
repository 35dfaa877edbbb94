//! Builds keys and indexes of a new table while it is staged. Nobody sees it yet, so several tables' are built at once,
//! and the transaction that puts everything in place has little left to do.

use super::Prepared;
use super::definitions::Numbered;
use super::worker::Worker;
use crate::error::Result;
use crate::source::postgres::errors;
use crate::source::postgres::schema::{Definition, Schema, Section, leading_name};
use crate::source::postgres::session::quote;
use crate::source::postgres::toc::{PG_CLASS, TocEntry};
use std::collections::BTreeSet;

/// What was built ahead of the transaction that puts everything in place.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Keys and indexes.
    pub entries: Vec<TocEntry>,
    /// Tables that the server has statistics of.
    pub analysed: BTreeSet<String>,
}

/// Builds what can be built ahead of the staged table `name`, and has the server look at the rows when all its indexes
/// are there: statistics move with a table.
///
/// # Errors
/// When the server refuses.
pub fn ahead(worker: &Worker<'_>, prepared: &Prepared, schema: &Schema, (name, place): (&str, &str)) -> Result<()> {
    let Some(relation) = schema.relations.get(name) else { return Ok(()) };
    let numbered = Numbered::new(schema);
    let tables = numbered.with_partitions(relation.oid);
    let is_of_it = |entry: &TocEntry| {
        entry.part.is_some_and(|part| part.of.0 == PG_CLASS && tables.contains(&part.of.1))
            && matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT")
    };
    let late = schema.entries.iter().filter(|definition| definition.section == Section::PostData);
    let (mut built, mut left) = (Vec::new(), false);
    for definition in late.filter(|definition| is_of_it(&definition.entry)) {
        let entry = &definition.entry;
        let statement = Statement::of(definition).filter(|_| prepared.made.is_of_made(entry, &numbered));
        match statement {
            Some(statement) if !is_taken(worker, &schema.name, statement.name)? => {
                let sql = statement.at(&prepared.staging);
                let doing = format!("make {}", entry.kind.to_lowercase());
                let made = worker.attempt(&sql)?;
                made.map_err(|failure| errors::writing(&failure, &doing, entry.name()))?;
                built.push(entry.clone());
            }
            _ => left = true,
        }
    }
    // What an index is about has statistics too. What comes of it is no more than a plan: it is tried again at the end.
    let analysed = !left && worker.attempt(&format!("ANALYZE {place}"))?.is_ok();
    let mut ahead = worker.target.restore.ahead();
    ahead.entries.extend(built);
    ahead.analysed.extend(analysed.then(|| name.to_owned()));
    Ok(())
}

/// Whether the target has a relation of a name that an index would get: it is left to the transaction, which leaves alone
/// what is there.
fn is_taken(worker: &Worker<'_>, schema: &str, name: &str) -> Result<bool> {
    let sql = "SELECT pg_catalog.to_regclass($1::text)::oid";
    let place = format!("{}.{name}", quote(schema));
    let rows = worker.rows(sql, &[&place], "look for", name)?;
    Ok(rows.first().is_some_and(|row| row.get::<_, Option<u32>>(0).is_some()))
}

/// A statement of pg_dump's that makes an index or a key, apart from the schema of its table. Nothing in it names anything
/// but columns and what is PostgreSQL's own: what a function of an application reads is not there yet.
#[derive(Debug, PartialEq, Eq)]
struct Statement<'s> {
    /// What comes before the place of the table.
    head: &'s str,
    /// The table, without its schema.
    table: &'s str,
    /// What comes after it.
    tail: &'s str,
    /// Name of the index.
    name: &'s str,
}

impl<'s> Statement<'s> {
    fn of(definition: &'s Definition) -> Option<Self> {
        let sql = definition.sql.trim_end().strip_suffix(';')?;
        let statement = match definition.entry.kind.as_str() {
            "INDEX" => {
                let rest = sql.strip_prefix("CREATE INDEX ").or_else(|| sql.strip_prefix("CREATE UNIQUE INDEX "))?;
                let name = leading_name(rest)?;
                let place = rest[name.len()..].strip_prefix(" ON ")?;
                Self::around(sql, place.strip_prefix("ONLY ").unwrap_or(place), name)?
            }
            _ => {
                let place = sql.strip_prefix("ALTER TABLE ONLY ")?;
                let tail = place[leading_name(place)?.len()..].trim_start().strip_prefix("ADD CONSTRAINT ")?;
                Self::around(sql, place, leading_name(tail)?)?
            }
        };
        (!statement.tail.contains(['.', ';'])).then_some(statement)
    }

    /// Cuts a statement around the place that the end of it, `from`, begins with.
    fn around(sql: &'s str, from: &'s str, name: &'s str) -> Option<Self> {
        let place = leading_name(from)?;
        let mut quoted = false;
        let dot = place.find(|c: char| {
            quoted ^= c == '"';
            !quoted && c == '.'
        })?;
        Some(Self { head: &sql[..sql.len() - from.len()], table: &place[dot + 1..], tail: &from[place.len()..], name })
    }

    /// The same, about the table of that name in another schema.
    fn at(&self, schema: &str) -> String {
        format!("{}{}.{}{}", self.head, quote(schema), self.table, self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(kind: &str, sql: &str) -> Option<String> {
        let entry = TocEntry {
            id: 1,
            class: PG_CLASS,
            oid: 1,
            kind: kind.into(),
            rest: String::new(),
            needs: Vec::new(),
            part: None,
        };
        let definition = Definition { entry, section: Section::PostData, sql: sql.into() };
        Statement::of(&definition).map(|statement| format!("{} {}", statement.name, statement.at("s")))
    }

    #[test]
    fn a_statement_is_moved_to_the_schema_where_the_table_is_staged() {
        let index = |sql| moved("INDEX", sql);
        let same = index("CREATE INDEX i ON public.t USING btree (a, b DESC) INCLUDE (c) WITH (fillfactor='70');\n");
        let sql = "CREATE INDEX i ON \"s\".t USING btree (a, b DESC) INCLUDE (c) WITH (fillfactor='70')";
        assert_eq!(same.unwrap(), format!("i {sql}"));
        let odd = index("CREATE UNIQUE INDEX \"i on. x\" ON ONLY \"p. q\".\"a \"\".b\" USING gin (\"select\");\n");
        assert_eq!(
            odd.unwrap(),
            "\"i on. x\" CREATE UNIQUE INDEX \"i on. x\" ON ONLY \"s\".\"a \"\".b\" USING gin (\"select\")"
        );
        let key = moved("CONSTRAINT", "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (id);\n");
        assert_eq!(key.unwrap(), "k ALTER TABLE ONLY \"s\".t\n    ADD CONSTRAINT k PRIMARY KEY (id)");
    }

    #[test]
    fn what_names_anything_else_or_says_more_waits_for_all_tables() {
        for sql in [
            "CREATE INDEX i ON public.t USING btree (public.f(a));\n",
            "CREATE INDEX i ON public.t USING gin (a public.gin_trgm_ops);\n",
            "CREATE INDEX i ON public.t USING btree (a);\nALTER TABLE public.t CLUSTER ON i;\n",
            "ALTER TABLE ONLY public.t ALTER COLUMN a SET STATISTICS 9;\n",
        ] {
            assert_eq!(moved("INDEX", sql), None, "{sql}");
            assert_eq!(moved("CONSTRAINT", sql), None, "{sql}");
        }
    }
}
