//! Tenants that are rows of a table, and databases and schemas of a tenant's own.

use super::Postgres;
use super::connect::{Purpose, Settings};
use crate::config::{self, Discovery, IdType, Timeouts};
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use crate::source::discover::{NamedTenant, named, paths, reached};
use serde_json::Value;

/// The tenants that the rows are. Of each, no more than the named columns is asked for.
pub fn tenants(source: &Postgres, discovery: &Discovery) -> Result<Vec<NamedTenant>> {
    let (table, schema) = (&discovery.collection, &source.schema);
    let session = source.session()?;
    let sql = "SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1::text::name AND c.relname = $2::text::name AND a.attnum > 0 AND NOT a.attisdropped";
    let asked = source.block(async { session.query(sql, &[schema, table]).await.map_err(|e| source.failed(&e)) })?;
    let known: Vec<String> = asked.iter().map(|row| row.get(0)).collect();
    let missing = |what: String| {
        Err(Error::new(Kind::NotFound, what)
            .hint("check `tenancy.discover`: source, collection and the names of its columns"))
    };
    if known.is_empty() {
        return missing(format!("there is no table {schema}.{table} to find tenants in"));
    }
    let paths = paths(discovery);
    if let Some(path) = paths.iter().find(|path| !known.iter().any(|name| name == path[0])) {
        return missing(format!("table {schema}.{table} has no column `{}`", path[0]));
    }
    // Numbers and texts are told apart by the type of the column, all else by its JSON.
    let columns: Vec<_> = paths.iter().map(|path| format!("to_jsonb({})::text", super::quote(path[0]))).collect();
    let id = super::quote(paths[0][0]);
    let sql = format!("SELECT pg_typeof({id})::text, {} FROM {}", columns.join(", "), source.place(table));
    let rows = source.block(async { session.query(&sql, &[]).await.map_err(|e| source.failed(&e)) })?;
    let mut found = Vec::new();
    for row in rows {
        let cell = |at: usize| -> Value {
            let text: Option<String> = row.get(at + 1);
            text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
        };
        let values: Vec<Value> = paths.iter().enumerate().map(|(at, path)| reached(cell(at), path)).collect();
        let text = if row.get::<_, String>(0) == "uuid" { IdType::Uuid } else { IdType::String };
        found.extend(named(&values, text, discovery));
    }
    Ok(found)
}

impl Postgres {
    /// Whether the database and the schema are there. Asked of the server's database `postgres` where the source's own
    /// is not there to be asked.
    ///
    /// # Errors
    /// [`Kind::Connect`] when the server does not answer.
    pub fn exists(name: &str, source: &config::Postgres, timeouts: Timeouts, cancel: Cancel) -> Result<bool> {
        let settings = Settings::of(name, source, Purpose::Read, timeouts.connect)?;
        let database = settings.database.clone();
        match Self::connect(name, settings, source, timeouts, cancel.clone()) {
            Ok(there) => {
                let sql = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1::text::name";
                let session = there.session()?;
                let asked =
                    there.block(async { session.query(sql, &[&there.schema]).await.map_err(|e| there.failed(&e)) });
                Ok(!asked?.is_empty())
            }
            Err(refused) => {
                let mut settings = Settings::of(name, source, Purpose::Read, timeouts.connect)?;
                settings.name_database("postgres");
                // Whatever is wrong with asking, what is wrong with the database itself is what matters.
                let Ok(beside) = Self::connect(name, settings, source, timeouts, cancel) else { return Err(refused) };
                let sql = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1::text::name";
                let session = beside.session()?;
                let asked =
                    beside.block(async { session.query(sql, &[&database]).await.map_err(|e| beside.failed(&e)) });
                if asked?.is_empty() { Ok(false) } else { Err(refused) }
            }
        }
    }
}
