//! Whose a row is: the way from a table to the one whose rows name their owner, as SQL, and the owner's name as text.

use super::catalog::{self, Column};
use super::copy;
use super::inventory::{Relation, RelationKind};
use super::session::{Session, quote};
use crate::config::IdType;
use crate::error::{Error, Kind, Result};
use crate::modules::Ownership;

/// Who is asked for, and how a value is held against it: by the type of the id, else byte for byte.
#[derive(Debug, Clone)]
pub struct Owner {
    /// As it is configured.
    given: String,
    /// As a value of its type is written.
    tenant: String,
    id_type: IdType,
    /// `char(n)`: the server fills it up with spaces.
    padded: bool,
}

impl Owner {
    /// Of a column of this type.
    ///
    /// # Errors
    /// [`Kind::Config`] when the id is not of its own type.
    pub fn new(ownership: &Ownership, type_name: &str) -> Result<Self> {
        let tenant = match ownership.id_type {
            IdType::Int => {
                let wrong = |_| {
                    let what = format!("tenant id '{}' is no whole number (tenancy.idType)", ownership.tenant);
                    Error::new(Kind::Config, what)
                };
                ownership.tenant.parse::<i128>().map_err(wrong)?.to_string()
            }
            IdType::Uuid => ownership.tenant.to_ascii_lowercase(),
            IdType::String | IdType::ObjectId => ownership.tenant.clone(),
        };
        let given = ownership.tenant.clone();
        Ok(Self { given, tenant, id_type: ownership.id_type, padded: is_padded(type_name) })
    }

    /// The id as a value of its type is written.
    pub fn written(&self) -> &str {
        &self.tenant
    }

    /// Whether a value, as COPY writes it and unescaped, names the tenant.
    pub fn is(&self, value: Option<&[u8]>) -> bool {
        let Some(text) = value.and_then(|value| std::str::from_utf8(value).ok()) else { return false };
        match self.id_type {
            IdType::Int => text.parse::<i128>().is_ok_and(|number| number.to_string() == self.tenant),
            IdType::Uuid => text.eq_ignore_ascii_case(&self.tenant),
            IdType::String | IdType::ObjectId if self.padded => text.trim_end_matches(' ') == self.tenant,
            IdType::String | IdType::ObjectId => text == self.tenant,
        }
    }

    /// That `column` is the tenant's id, as the server compares.
    fn loosely(&self, column: &str) -> String {
        format!("{column} = {}", literal(&self.given))
    }

    /// That it is exactly that: `=` alone may go by a looser collation.
    fn exactly(&self, column: &str) -> String {
        let text = text(column);
        let text = if self.id_type == IdType::Uuid { format!("pg_catalog.lower({text})") } else { text };
        format!("{} AND {text} = {}", self.loosely(column), literal(&self.tenant))
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether values of a type are filled up with spaces.
pub fn is_padded(type_name: &str) -> bool {
    type_name == "character" || type_name.starts_with("character(")
}

/// A value as text, compared byte for byte.
fn text(column: &str) -> String {
    format!("({column}::text COLLATE \"C\")")
}

/// One parent on the way.
#[derive(Debug)]
struct Parent {
    /// As FROM names it.
    place: String,
    /// Its primary key, quoted.
    key: String,
    /// The column of the row before that names it, quoted.
    foreign: String,
    /// The server compares values of the two types as they are.
    comparable: bool,
}

impl Parent {
    /// That a row of it, `this`, is the one that the row `before` names.
    fn equal(&self, this: &str, before: &str) -> String {
        match self.comparable {
            true => format!("{this}.{} = {before}.{}", self.key, self.foreign),
            false => self.exact(this, before),
        }
    }

    /// That it is that byte for byte.
    fn exact(&self, this: &str, before: &str) -> String {
        format!("{} = {}", text(&format!("{this}.{}", self.key)), text(&format!("{before}.{}", self.foreign)))
    }
}

/// The way from a table's rows to their owner. In its SQL the parents are `p1`, `p2`, …
#[derive(Debug)]
pub struct Way {
    owner: Owner,
    table: String,
    /// As FROM names it.
    place: String,
    parents: Vec<Parent>,
    /// The column of the last of them (else of the table) that names the owner, quoted.
    field: String,
    /// The table's own column by which its rows are found.
    first: String,
}

impl Way {
    /// Looks for it. `relation` finds a table of the schema by name.
    ///
    /// # Errors
    /// [`Kind::Missing`] when a parent is not there, [`Kind::Source`] when the tables do not lead to an owner.
    pub async fn look<'r>(
        session: &Session,
        schema: &str,
        relation: impl Fn(&str) -> Option<&'r Relation>,
        table: &str,
        ownership: &Ownership,
    ) -> Result<Self> {
        let find = |name: &str| {
            let missing = || Error::new(Kind::Missing, format!("table {name}, which says who owns rows, is not there"));
            let found = relation(name).ok_or_else(missing)?;
            if holds_rows(found.kind) {
                return Ok(found);
            }
            let what = format!("{name} is {}, and cannot say who owns rows", found.kind.describe());
            Err(Error::new(Kind::Source, what).hint("name a table in the `tenant` rule"))
        };
        let first = ownership.via.first().map_or(&ownership.field, |hop| &hop.foreign_key).clone();
        let mut here = find(table)?;
        let place = place(schema, here);
        let mut columns = catalog::columns(session, here.oid).await?;
        let mut parents = Vec::new();
        for hop in &ownership.via {
            let parent = find(&hop.parent)?;
            let theirs = catalog::columns(session, parent.oid).await?;
            let key = catalog::primary_key(session, parent.oid).await?;
            let key = column(&theirs, &parent.name, only_key(&parent.name, &key)?)?;
            let foreign = column(&columns, &here.name, &hop.foreign_key)?;
            let comparable = is_comparable(&key.type_name, &foreign.type_name);
            let (key, foreign) = (quote(&key.name), quote(&foreign.name));
            parents.push(Parent { place: self::place(schema, parent), key, foreign, comparable });
            (here, columns) = (parent, theirs);
        }
        let field = column(&columns, &here.name, &ownership.field)?;
        let owner = Owner::new(ownership, &field.type_name)?;
        Ok(Self { owner, table: table.to_owned(), place, parents, field: quote(&field.name), first })
    }

    /// The COPY that gives `columns` (quoted) of the tenant's rows, and behind them what [`Way::checked`] looks at. What is
    /// the tenant's by a loose comparison alone is left out where `exactly`; else it comes, and is found.
    pub fn copy(&self, columns: &[String], exactly: bool) -> String {
        let columns: String = columns.iter().map(|column| format!("c.{column}, ")).collect();
        self.copy_of(&columns, exactly)
    }

    /// As [`Way::copy`], of a column as JSON.
    pub fn copy_json(&self, column: &str) -> String {
        self.copy_of(&format!("pg_catalog.to_jsonb(c.{column})::text, "), false)
    }

    fn copy_of(&self, columns: &str, exactly: bool) -> String {
        let steps = self.steps("c");
        let exact: Vec<_> = steps.iter().map(|(parent, this, before)| parent.exact(this, before)).collect();
        let exact = if exact.is_empty() { "true".into() } else { exact.join(" AND ") };
        let (from, field) = (self.joined("JOIN"), self.field_of("c"));
        let condition = match exactly {
            true => format!("{exact} AND {}", self.owner.exactly(&field)),
            false => self.owner.loosely(&field),
        };
        format!("COPY (SELECT {columns}{exact}, {field} FROM {from} WHERE {condition}) TO STDOUT")
    }

    /// Makes sure that a row of [`Way::copy`] is the tenant's; how many bytes of it are the row alone.
    ///
    /// # Errors
    /// [`Kind::Source`] naming the table, when it is not.
    pub fn checked(&self, row: &[u8]) -> Result<usize> {
        let line = row.strip_suffix(b"\n").unwrap_or(row);
        let cut = |end: usize| memchr::memrchr(b'\t', &line[..end]);
        let (table, tenant) = (&self.table, &self.owner.given);
        let (exact, owner) = cut(line.len()).and_then(|owner| Some((cut(owner)?, owner))).ok_or_else(|| {
            Error::new(Kind::Source, format!("the server gave a row of table {table} without its owner"))
        })?;
        if !self.owner.is(copy::value(&line[owner + 1..], 0).as_deref()) {
            let what = format!("the server gave a row of table {table} that is not {tenant}'s");
            return Err(
                Error::new(Kind::Source, what).hint("look at type and collation of the column that names the owner")
            );
        }
        if &line[exact + 1..owner] != b"t" {
            let what = format!("a row of table {table} names its parent in other letters than the parent's own key");
            return Err(Error::new(Kind::Source, what).hint("look at types and collations of both columns"));
        }
        Ok(exact)
    }

    /// That a row `alias` of the table is exactly the tenant's: never true of anybody else's.
    pub fn condition(&self, alias: &str) -> String {
        let exactly = self.owner.exactly(&self.field_of(alias));
        let mut from = String::new();
        let mut conditions = Vec::new();
        for (parent, this, before) in self.steps(alias) {
            let comma = if from.is_empty() { "" } else { ", " };
            from.push_str(&format!("{comma}{} {this}", parent.place));
            conditions.push(format!("{} AND {} AND ", parent.equal(&this, &before), parent.exact(&this, &before)));
        }
        match conditions.is_empty() {
            true => format!("({exactly})"),
            false => format!("EXISTS (SELECT FROM {from} WHERE {}{exactly})", conditions.concat()),
        }
    }

    /// Counts the tenant's rows, as the server compares.
    pub fn count(&self) -> String {
        format!("SELECT count(*) FROM {} WHERE {}", self.joined("JOIN"), self.owner.loosely(&self.field_of("c")))
    }

    /// Counts the rows that lead to no owner at all.
    pub fn without_owner(&self) -> String {
        format!("SELECT count(*) FROM {} WHERE {} IS NULL", self.joined("LEFT JOIN"), self.field_of("c"))
    }

    /// The column that the way begins with.
    pub fn first(&self) -> &str {
        &self.first
    }

    /// What makes the index without which the tenant's rows cannot be found but by reading all.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn missing_index(&self, session: &Session, oid: u32) -> Result<Option<String>> {
        if catalog::is_indexed(session, oid, &self.first).await? {
            return Ok(None);
        }
        let place = self.place.strip_prefix("ONLY ").unwrap_or(&self.place);
        Ok(Some(format!("CREATE INDEX ON {place} ({})", quote(&self.first))))
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

    fn joined(&self, how: &str) -> String {
        let join = |(parent, this, before): (&Parent, String, String)| {
            format!(" {how} {} {this} ON {}", parent.place, parent.equal(&this, &before))
        };
        format!("{} c{}", self.place, self.steps("c").into_iter().map(join).collect::<String>())
    }
}

/// Whether a relation has rows that are backed up.
pub fn holds_rows(kind: RelationKind) -> bool {
    matches!(kind, RelationKind::Table | RelationKind::Inherited | RelationKind::Partitioned)
}

/// The one column of a parent's primary key.
///
/// # Errors
/// [`Kind::Source`] when it has another number of them.
pub fn only_key<'k>(parent: &str, key: &'k [String]) -> Result<&'k str> {
    let [key] = key else {
        let what = format!("table {parent} says who owns rows, and has no primary key of one column to be named by");
        return Err(Error::new(Kind::Source, what)
            .hint("declare the child shared or excluded, or give it a column of its own that names the owner"));
    };
    Ok(key)
}

fn place(schema: &str, relation: &Relation) -> String {
    // A query of a table that others inherit from would return their rows too.
    let only = if relation.kind == RelationKind::Partitioned { "" } else { "ONLY " };
    format!("{only}{}.{}", quote(schema), quote(&relation.name))
}

/// A column that is stored: what the server computes is not, and could not be looked at in a restore.
fn column<'c>(columns: &'c [Column], table: &str, name: &str) -> Result<&'c Column> {
    columns.iter().find(|column| column.name == name && !column.generated).ok_or_else(|| {
        Error::new(Kind::Source, format!("table {table} has no column {name}, which would say who owns a row"))
            .hint("name its own with `tenant: {field: …}`, or declare it shared or excluded")
    })
}

/// Whether there is an `=` between two types that an index serves.
fn is_comparable(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.split('(').next().unwrap_or_default().to_owned();
    let whole = |name: &str| matches!(name, "smallint" | "integer" | "bigint");
    let (one, other) = (bare(one), bare(other));
    let words = |name: &str| matches!(name, "text" | "character varying");
    one == other || (whole(&one) && whole(&other)) || (words(&one) && words(&other))
}
