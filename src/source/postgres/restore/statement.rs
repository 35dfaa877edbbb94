//! Statements of pg_dump's that make an index, or a key with its index.

use crate::source::postgres::schema::{Definition, leading_name};
use crate::source::postgres::session::quote;

/// One of them, apart from the schema of its table.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement<'s> {
    /// What comes before the place of the table.
    head: &'s str,
    /// The schema of the table, and so of the index, as SQL names it.
    pub schema: &'s str,
    /// The table, without its schema.
    pub table: &'s str,
    /// What comes after it.
    tail: &'s str,
    /// Name of the index.
    pub name: &'s str,
    /// Whether the table would take other rows without it.
    pub is_rule: bool,
}

impl<'s> Statement<'s> {
    /// None where a definition makes no index.
    pub fn of(definition: &'s Definition) -> Option<Self> {
        let sql = definition.sql.trim_end().strip_suffix(';')?;
        match definition.entry.kind.as_str() {
            "INDEX" => {
                let rest = sql.strip_prefix("CREATE ")?;
                let (is_rule, rest) = rest.strip_prefix("UNIQUE ").map_or((false, rest), |rest| (true, rest));
                let rest = rest.strip_prefix("INDEX ")?;
                let name = leading_name(rest)?;
                let place = rest[name.len()..].strip_prefix(" ON ")?;
                Self::around(sql, place.strip_prefix("ONLY ").unwrap_or(place), name, is_rule)
            }
            "CONSTRAINT" => {
                let place = sql.strip_prefix("ALTER TABLE ONLY ")?;
                let tail = place[leading_name(place)?.len()..].trim_start().strip_prefix("ADD CONSTRAINT ")?;
                let name = leading_name(tail)?;
                let what = tail[name.len()..].trim_start();
                let has_index = ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|kind| what.starts_with(kind));
                if has_index { Self::around(sql, place, name, true) } else { None }
            }
            _ => None,
        }
    }

    /// Cuts a statement around the place that the end of it, `from`, begins with.
    fn around(sql: &'s str, from: &'s str, name: &'s str, is_rule: bool) -> Option<Self> {
        let place = leading_name(from)?;
        let mut quoted = false;
        let dot = place.find(|c: char| {
            quoted ^= c == '"';
            !quoted && c == '.'
        })?;
        let (head, tail) = (&sql[..sql.len() - from.len()], &from[place.len()..]);
        Some(Self { head, schema: &place[..dot], table: &place[dot + 1..], tail, name, is_rule })
    }

    /// Whether it can be made of a table of `schema` wherever that table is: it names nothing but columns and what is
    /// PostgreSQL's own. What a function of an application reads may not be there yet, and a partition that is in another
    /// schema stays there.
    pub fn moves_with(&self, schema: &str) -> bool {
        (self.schema == schema || self.schema == quote(schema)) && !self.tail.contains(['.', ';'])
    }

    /// The same, about the table of that name in another schema.
    pub fn at(&self, schema: &str) -> String {
        format!("{}{}.{}{}", self.head, quote(schema), self.table, self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::postgres::schema::Section;
    use crate::source::postgres::toc::{PG_CLASS, TocEntry};

    fn moved(kind: &str, schema: &str, sql: &str) -> Option<String> {
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
        let statement = Statement::of(&definition).filter(|statement| statement.moves_with(schema));
        statement.map(|statement| format!("{} {}", statement.name, statement.at("s")))
    }

    #[test]
    fn a_statement_is_moved_to_the_schema_where_the_table_is_staged() {
        let index = |schema, sql| moved("INDEX", schema, sql);
        let same =
            index("public", "CREATE INDEX i ON public.t USING btree (a, b DESC) INCLUDE (c) WITH (fillfactor='70');\n");
        let sql = "CREATE INDEX i ON \"s\".t USING btree (a, b DESC) INCLUDE (c) WITH (fillfactor='70')";
        assert_eq!(same.unwrap(), format!("i {sql}"));
        let odd =
            index("p. q", "CREATE UNIQUE INDEX \"i on. x\" ON ONLY \"p. q\".\"a \"\".b\" USING gin (\"select\");\n");
        assert_eq!(
            odd.unwrap(),
            "\"i on. x\" CREATE UNIQUE INDEX \"i on. x\" ON ONLY \"s\".\"a \"\".b\" USING gin (\"select\")"
        );
        let key = moved("CONSTRAINT", "public", "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (id);\n");
        assert_eq!(key.unwrap(), "k ALTER TABLE ONLY \"s\".t\n    ADD CONSTRAINT k PRIMARY KEY (id)");
    }

    #[test]
    fn what_names_anything_else_or_says_more_waits_for_all_tables() {
        for sql in [
            "CREATE INDEX i ON public.t USING btree (public.f(a));\n",
            "CREATE INDEX i ON public.t USING gin (a public.gin_trgm_ops);\n",
            "CREATE INDEX i ON public.t USING btree (a);\nALTER TABLE public.t CLUSTER ON i;\n",
            "ALTER TABLE ONLY public.t ALTER COLUMN a SET STATISTICS 9;\n",
            "CREATE INDEX i ON parts.t USING btree (a);\n",
            "CREATE INDEX i ON \"PUBLIC\".t USING btree (a);\n",
            "ALTER TABLE ONLY parts.t\n    ADD CONSTRAINT k PRIMARY KEY (id);\n",
        ] {
            assert_eq!(moved("INDEX", "public", sql), None, "{sql}");
            assert_eq!(moved("CONSTRAINT", "public", sql), None, "{sql}");
        }
    }
}
