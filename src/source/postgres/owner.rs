//! Whose rows are read of a table.

use super::catalog::Column;
use super::copy;
use super::errors;
use super::inventory::Relation;
use super::session::{Session, quote};
use crate::config::IdType;
use crate::error::{Error, Kind, Result};
use crate::modules::Records;

/// Whose rows are read, checked again on every row.
pub struct Owner {
    /// The column that says whose.
    pub field: String,
    index: usize,
    /// Whose.
    pub tenant: String,
    id_type: IdType,
}

impl Owner {
    /// As the table's columns have it; none where all rows are read.
    ///
    /// # Errors
    /// [`Kind::Source`] when the table has no such column.
    pub fn of(records: &Records, columns: &[Column], table: &str) -> Result<Option<Self>> {
        let Records::OwnedBy { field, tenant, id_type } = records else { return Ok(None) };
        let index = columns.iter().position(|column| column.name == *field).ok_or_else(|| {
            Error::new(Kind::Source, format!("table {table} has no column {field}, which would say who owns a row"))
                .hint("name its own with `tenant: {field: …}`, or declare it shared or excluded")
        })?;
        Ok(Some(Self { field: field.clone(), index, tenant: tenant.clone(), id_type: *id_type }))
    }

    /// Makes sure that a row is the tenant's.
    ///
    /// # Errors
    /// [`Kind::Source`] when it is not.
    pub fn check(&self, row: &[u8], table: &str) -> Result<()> {
        let value = copy::value(row, self.index);
        let text = value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
        let same = text.is_some_and(|text| match self.id_type {
            IdType::Int => text.parse::<i128>().ok() == self.tenant.parse::<i128>().ok(),
            IdType::Uuid => text.eq_ignore_ascii_case(&self.tenant),
            // char(n) is padded.
            IdType::String | IdType::ObjectId => text.trim_end_matches(' ') == self.tenant,
        });
        if same {
            return Ok(());
        }
        Err(Error::new(Kind::Source, format!("the server gave a row of table {table} that is not {}'s", self.tenant)))
    }

    /// How many rows are nobody's, and what the operator should know.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn look(&self, session: &Session, place: &str, relation: &Relation) -> Result<(u64, Vec<String>)> {
        let (name, field) = (&relation.name, &self.field);
        let failed = |e| errors::relation(&e, "count the rows of", name);
        let column = quote(field);
        let sql = format!("SELECT count(*) FROM {place} WHERE {column} IS NULL");
        let rows = session.query(&sql, &[]).await.map_err(failed)?;
        let nobody = rows.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0));
        let mut warnings = Vec::new();
        if nobody > 0 {
            warnings.push(format!("{nobody} rows have no `{field}` and are in no tenant's backup"));
        }
        let sql = "SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid
            AND a.attnum = i.indkey[0] WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = $2::text::name";
        if session.query(sql, &[&relation.oid, field]).await.map_err(failed)?.is_empty() {
            let command = format!("CREATE INDEX ON {place} ({column})");
            warnings.push(format!("`{field}` has no index, so every row is read: {command}"));
        }
        Ok((nobody, warnings))
    }
}
