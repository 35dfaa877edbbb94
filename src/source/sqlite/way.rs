//! Whose a row is: the way from a table to the one whose rows name their owner, as SQL, and the check of every row that
//! comes by it. `=` may compare by a looser collation or affinity; type and bytes decide.

use super::schema::{self, literal, quote};
use crate::config::IdType;
use crate::error::{Error, Kind, Result, counted};
use crate::modules::Ownership;
use crate::source::Coverage;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row};

/// One parent on the way.
#[derive(Debug)]
struct Parent {
    /// As FROM names it.
    place: String,
    /// Its primary key, quoted.
    key: String,
    /// The column of the row before that names it, quoted.
    foreign: String,
}

/// The way from a table's rows to their owner. In its SQL the parents are `p1`, `p2`, …
#[derive(Debug)]
pub struct Way {
    table: String,
    owner: Value,
    parents: Vec<Parent>,
    /// The column of the last of them (else of the table) that names the owner, quoted.
    field: String,
    /// The table's own column by which its rows are found.
    first: String,
}

impl Way {
    /// Looks for it. `place` is the schema that a table is in: `main`, or an attached one.
    ///
    /// # Errors
    /// [`Kind::Config`] when a table has no column that would lead to an owner, [`Kind::Missing`] when one is not there.
    pub fn look(
        connection: &Connection,
        place: &dyn Fn(&str) -> String,
        table: &str,
        ownership: &Ownership,
    ) -> Result<Self> {
        let failed = |e: rusqlite::Error| Error::new(Kind::Source, format!("cannot look at table {table}")).cause(e);
        let require = |table: &str, column: &str| -> Result<()> {
            let known = schema::columns(connection, &place(table), table).map_err(failed)?;
            if known.is_empty() {
                let what = format!("table {table}, which says who owns rows, is not there");
                return Err(Error::new(Kind::Missing, what));
            }
            match known.iter().any(|known| known.name.eq_ignore_ascii_case(column)) {
                true => Ok(()),
                false => Err(no_owner_column(table, column)),
            }
        };
        let first = ownership.via.first().map_or(&ownership.field, |hop| &hop.foreign_key).clone();
        let mut here = table;
        let mut parents = Vec::new();
        for hop in &ownership.via {
            require(here, &hop.foreign_key)?;
            let key = schema::primary_key(connection, &place(&hop.parent), &hop.parent).map_err(failed)?;
            here = &hop.parent;
            require(here, key.first().map_or(&hop.foreign_key, |key| key))?;
            let [key] = key.as_slice() else {
                let what =
                    format!("table {here} says who owns rows, and has no primary key of one column to be named by");
                return Err(Error::new(Kind::Config, what).hint(
                    "declare the child shared or excluded, or give it a column of its own that names the owner",
                ));
            };
            let place = format!("{}.{}", place(here), quote(here));
            parents.push(Parent { place, key: quote(key), foreign: quote(&hop.foreign_key) });
        }
        require(here, &ownership.field)?;
        let owner = owner(ownership)?;
        Ok(Self { table: table.to_owned(), owner, parents, field: quote(&ownership.field), first })
    }

    /// Selects `columns` of the tenant's rows, and behind them what [`Way::check`] looks at. What is the tenant's by a loose
    /// comparison alone comes too, and is found.
    pub fn select(&self, columns: &[String], database: &str) -> String {
        let columns: String = columns.iter().map(|column| format!("c.{column}, ")).collect();
        let steps = self.steps("c");
        let exact: Vec<_> = steps.iter().map(|(parent, this, before)| exact(parent, this, before)).collect();
        let exact = if exact.is_empty() { "1".into() } else { exact.join(" AND ") };
        let (from, field) = (self.joined(database, "JOIN"), self.field_of("c"));
        format!("SELECT {columns}{exact}, {field} FROM {from} WHERE {}", self.loosely("c"))
    }

    /// Makes sure that a row of [`Way::select`] is the tenant's; `width` columns of it are the row alone.
    ///
    /// # Errors
    /// [`Kind::Source`] naming the table, when it is not.
    pub fn check(&self, row: &Row<'_>, width: usize) -> Result<()> {
        let failed =
            |e: rusqlite::Error| Error::new(Kind::Source, format!("cannot read table {}", self.table)).cause(e);
        let same = match (row.get_ref(width + 1).map_err(failed)?, &self.owner) {
            (ValueRef::Text(text), Value::Text(owner)) => text == owner.as_bytes(),
            (ValueRef::Integer(number), Value::Integer(owner)) => number == *owner,
            _ => false,
        };
        let wrong = |what: String, hint: &str| Err(Error::new(Kind::Source, what).hint(hint.to_owned()));
        if !same {
            let what = format!("a row of {} matches the tenant's id but is not exactly it", self.table);
            return wrong(what, &format!("look at the collation and the types of the column {}", self.field));
        }
        if row.get_ref(width).map_err(failed)? != ValueRef::Integer(1) {
            let what = format!("a row of {} names its parent in other letters than the parent's own key", self.table);
            return wrong(what, "look at the collations and the types of both columns");
        }
        Ok(())
    }

    /// That a row `alias` of the table is exactly the tenant's: never true of anybody else's.
    pub fn condition(&self, alias: &str) -> String {
        let field = self.field_of(alias);
        let owner = self.literal();
        let exactly = format!(
            "{} AND typeof({field}) = typeof({owner}) AND CAST({field} AS BLOB) = CAST({owner} AS BLOB)",
            self.loosely(alias)
        );
        let steps = self.steps(alias);
        if steps.is_empty() {
            return format!("({exactly})");
        }
        let from: Vec<_> = steps.iter().map(|(parent, this, _)| format!("{} AS {this}", parent.place)).collect();
        let joined = steps.iter().map(|(parent, this, before)| {
            format!("{} AND {} AND ", equal(parent, this, before), exact(parent, this, before))
        });
        format!("EXISTS (SELECT 1 FROM {} WHERE {}{exactly})", from.join(", "), joined.collect::<String>())
    }

    /// Counts the tenant's rows, as SQLite compares.
    pub fn count(&self) -> String {
        format!("SELECT count(*) FROM {} WHERE {}", self.joined("main", "JOIN"), self.loosely("c"))
    }

    /// Counts the rows that lead to no owner at all.
    pub fn without_owner(&self) -> String {
        format!("SELECT count(*) FROM {} WHERE {} IS NULL", self.joined("main", "LEFT JOIN"), self.field_of("c"))
    }

    /// Rows that lead to no owner, and the index without which the tenant's cannot be found but by reading all.
    pub fn coverage(&self, connection: &Connection) -> rusqlite::Result<Coverage> {
        let first = &self.first;
        let nobodys: i64 = connection.query_row(&self.without_owner(), [], |row| row.get(0))?;
        let mut coverage = Coverage { without_owner: u64::try_from(nobodys).unwrap_or(0), ..Coverage::default() };
        if nobodys > 0 {
            let [one, several] = [("row has", "is"), ("rows have", "are")]
                .map(|(has, is)| format!("{has} no `{}` that leads to an owner and {is}", first));
            coverage.remarks.push(format!("{} in no tenant's backup", counted(coverage.without_owner, &one, &several)));
        }
        coverage.index = self.missing_index(connection)?;
        if let Some(command) = &coverage.index {
            coverage.remarks.push(format!("`{first}` has no index, so every row is read: {command}"));
        }
        Ok(coverage)
    }

    /// What makes the index without which the tenant's rows cannot be found but by reading all.
    pub fn missing_index(&self, connection: &Connection) -> rusqlite::Result<Option<String>> {
        let (table, first) = (&self.table, &self.first);
        if schema::is_indexed(connection, table, first)? {
            return Ok(None);
        }
        let name = quote(&format!("{table}_{first}"));
        Ok(Some(format!("CREATE INDEX {name} ON {} ({})", quote(table), quote(first))))
    }

    fn loosely(&self, first: &str) -> String {
        format!("{} = {}", self.field_of(first), self.literal())
    }

    /// The tenant's id, as SQL.
    pub fn literal(&self) -> String {
        match &self.owner {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => literal(text),
            // There are no ids of other types.
            _ => "NULL".into(),
        }
    }

    /// Every parent, its alias and that of the row before.
    fn steps(&self, first: &str) -> Vec<(&Parent, String, String)> {
        let alias = |at: usize| if at == 0 { first.to_owned() } else { format!("p{at}") };
        self.parents.iter().enumerate().map(|(at, parent)| (parent, alias(at + 1), alias(at))).collect()
    }

    fn field_of(&self, first: &str) -> String {
        match self.parents.len() {
            0 => format!("{first}.{}", self.field),
            last => format!("p{last}.{}", self.field),
        }
    }

    fn joined(&self, database: &str, how: &str) -> String {
        let join = |(parent, this, before): (&Parent, String, String)| {
            format!(" {how} {} AS {this} ON {}", parent.place, equal(parent, &this, &before))
        };
        format!("{database}.{} AS c{}", quote(&self.table), self.steps("c").into_iter().map(join).collect::<String>())
    }
}

fn equal(parent: &Parent, this: &str, before: &str) -> String {
    format!("{this}.{} = {before}.{}", parent.key, parent.foreign)
}

/// That two keys are the same letters, whatever the collations of their columns, which a CAST alone would keep.
fn exact(parent: &Parent, this: &str, before: &str) -> String {
    let text = |column: String| format!("CAST({column} AS TEXT) COLLATE BINARY");
    format!("{} = {}", text(format!("{this}.{}", parent.key)), text(format!("{before}.{}", parent.foreign)))
}

/// The typed id of a tenant.
fn owner(ownership: &Ownership) -> Result<Value> {
    let tenant = &ownership.tenant;
    let wrong = || Error::new(Kind::Config, format!("tenant id '{tenant}' is no whole number (tenancy.idType)"));
    Ok(match ownership.id_type {
        IdType::Int => Value::Integer(tenant.parse().map_err(|_| wrong())?),
        IdType::String | IdType::ObjectId | IdType::Uuid => Value::Text(tenant.clone()),
    })
}

/// A table without its owner column.
fn no_owner_column(table: &str, field: &str) -> Error {
    Error::new(Kind::Config, format!("table {table} has no column `{field}`, so its rows have no owner"))
        .hint("say who owns them: `{name: TABLE, tenant: {field: COLUMN}}`, `tenant: shared` or `tenant: excluded`")
}
