//! A tenant's stored rows as another's: of a COPY line the column that names the owner is replaced, escaped as COPY does
//! it; all else stays byte for byte.

use super::copy;
use super::schema::StoredRelation;
use super::way::{Owner, is_padded};
use crate::error::{Error, Kind, Result};
use crate::source::Renaming;

/// Renames the owner in rows of one table.
pub struct Renamer {
    name: String,
    /// Where the column is.
    at: usize,
    old: Owner,
    new: Owner,
    /// As the server will give it back.
    value: Vec<u8>,
    is_whole: bool,
}

impl Renamer {
    /// `column` of a table; none where it has no such, and need not have: in a schema of the tenant's own.
    ///
    /// # Errors
    /// [`Kind::Refused`] when it lacks the column, [`Kind::Config`] when an id is not of its type.
    pub fn of(renaming: &Renaming, name: &str, relation: &StoredRelation, column: &str) -> Result<Option<Self>> {
        let Some(at) = relation.columns.iter().position(|stored| stored.name == column) else {
            let what = format!("the stored table {name} has no column {column}, which would say who owns a row");
            return if renaming.is_whole { Ok(None) } else { Err(Error::new(Kind::Refused, what)) };
        };
        let type_name = &relation.columns[at].type_name;
        let (old, new) = (Owner::new(&renaming.old, type_name)?, Owner::new(&renaming.new, type_name)?);
        let mut value = new.written().to_owned();
        if is_padded(type_name) {
            let width = type_name.split(['(', ')']).nth(1).and_then(|width| width.parse().ok()).unwrap_or(1);
            value = format!("{value:width$}");
        }
        let value = copy::escaped(value.as_bytes());
        Ok(Some(Self { name: name.to_owned(), at, old, new, value, is_whole: renaming.is_whole }))
    }

    /// Makes a row the other tenant's.
    ///
    /// # Errors
    /// [`Kind::Refused`] when it does not name the tenant: in a schema of his own it may name nobody.
    pub fn rename(&self, row: &mut Vec<u8>) -> Result<()> {
        if !self.old.is(copy::value(row, self.at).as_deref()) {
            return if self.is_whole { Ok(()) } else { Err(self.odd("does not name the stored tenant")) };
        }
        *row = copy::with(row, self.at, &self.value);
        match self.new.is(copy::value(row, self.at).as_deref()) {
            true => Ok(()),
            false => Err(self.odd("would not name the other tenant")),
        }
    }

    fn odd(&self, what: &str) -> Error {
        Error::new(Kind::Refused, format!("a stored row of {} {what}", self.name))
            .hint("look at it with --to-directory, without --as-tenant")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IdType;
    use crate::modules::Ownership;
    use crate::source::postgres::schema::StoredColumn;

    fn renamed(id_type: IdType, type_name: &str, (old, new): (&str, &str), row: &str) -> Result<String> {
        let of = |tenant: &str| Ownership { tenant: tenant.into(), id_type, via: Vec::new(), field: "t".into() };
        let column = |name: &str, type_name: &str| StoredColumn { name: name.into(), type_name: type_name.into() };
        let columns = vec![column("id", "integer"), column("t", type_name), column("v", "text")];
        let relation = StoredRelation { oid: 1, columns, key: vec!["id".into()] };
        let renaming = Renaming { old: of(old), new: of(new), is_whole: false };
        let mut row = row.as_bytes().to_vec();
        Renamer::of(&renaming, "rows", &relation, "t")?.unwrap().rename(&mut row)?;
        Ok(String::from_utf8(row).unwrap())
    }

    #[test]
    fn only_the_owners_column_changes() {
        let acme = ("acme", "birch");
        assert_eq!(renamed(IdType::String, "text", acme, "1\tacme\tacme\\tacme\n").unwrap(), "1\tbirch\tacme\\tacme\n");
        assert_eq!(renamed(IdType::String, "character(8)", acme, "1\tacme    \t\\N\n").unwrap(), "1\tbirch   \t\\N\n");
        assert_eq!(renamed(IdType::Int, "integer", ("7", "08"), "1\t7\t7\n").unwrap(), "1\t8\t7\n");
        assert!(renamed(IdType::String, "text", acme, "1\t\\N\tacme\n").is_err());
        let ids = ("123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174001");
        let row = |id: &str| format!("1\t{id}\t\n");
        assert_eq!(renamed(IdType::Uuid, "uuid", ids, &row(ids.0)).unwrap(), row(&ids.1.to_lowercase()));
    }
}
