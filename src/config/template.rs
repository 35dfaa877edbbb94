//! Databases, schemas and files of each tenant's own: `{tenant}` in their names, filled in for one tenant.

use super::model::{Config, Engine, Postgres, Source};
use super::secret::Secret;
use crate::error::{Error, Kind, Result};
use crate::names::TenantId;
use std::path::PathBuf;

/// What stands for the tenant's id.
const TENANT: &str = "{tenant}";

impl Config {
    /// Whether some source is each tenant's own.
    pub fn has_templates(&self) -> bool {
        self.sources.values().any(|source| source.per_tenant)
    }

    /// The configuration as it is for one tenant: `{tenant}` is filled in wherever a source is each tenant's own.
    ///
    /// # Errors
    /// [`Kind::Config`] where the id cannot be part of such a name.
    pub fn for_tenant(&self, tenant: &TenantId) -> Result<Config> {
        let mut config = self.clone();
        for (name, source) in config.sources.iter_mut().filter(|(_, source)| source.per_tenant) {
            source.engine = filled(name, source, tenant.as_str())?;
        }
        Ok(config)
    }
}

fn filled(name: &str, source: &Source, tenant: &str) -> Result<Engine> {
    let refused = |what: &str, made: &str| {
        Err(Error::new(
            Kind::Config,
            format!("tenant '{tenant}' cannot have a {what} of its own: '{made}' is no name for one"),
        )
        .hint(format!(
            "what `{TENANT}` in source '{name}' becomes must be a name of at most 63 bytes that the server allows"
        )))
    };
    Ok(match &source.engine {
        Engine::MongoDb { uri, database, consistency, read_preference } => {
            let database = database.replace(TENANT, tenant);
            if !is_mongodb_name(&database) {
                return refused("database", &database);
            }
            let (uri, consistency, read_preference) = (uri.clone(), *consistency, *read_preference);
            Engine::MongoDb { uri, database, consistency, read_preference }
        }
        Engine::Postgres(postgres) => {
            let schema = postgres.schema.replace(TENANT, tenant);
            if !is_postgres_name(&schema) {
                return refused("schema", &schema);
            }
            let uri = match database_of(postgres.uri.reveal()) {
                Some((before, database, after)) => {
                    let database = database.replace(TENANT, tenant);
                    // The server cuts what is longer, and two tenants might be one.
                    if database.len() > 63 {
                        return refused("database", &database);
                    }
                    Secret::new(format!("{before}{database}{after}"))
                }
                None => postgres.uri.clone(),
            };
            Engine::Postgres(Postgres { uri, schema, ..postgres.clone() })
        }
        Engine::Sqlite { path } => {
            Engine::Sqlite { path: PathBuf::from(path.to_string_lossy().replace(TENANT, tenant)) }
        }
    })
}

/// Whether an engine is each tenant's own.
pub(super) fn is_of(engine: &Engine) -> bool {
    match engine {
        Engine::MongoDb { database, .. } => database.contains(TENANT),
        Engine::Postgres(Postgres { uri, schema, .. }) => {
            schema.contains(TENANT)
                || database_of(uri.reveal()).is_some_and(|(_, database, _)| database.contains(TENANT))
        }
        Engine::Sqlite { path } => path.to_string_lossy().contains(TENANT),
    }
}

/// A connection string around the name of its database. Nothing else in it is looked at: a password may hold anything.
fn database_of(uri: &str) -> Option<(&str, &str, &str)> {
    let start = match uri.split_once("://") {
        Some((scheme, rest)) => scheme.len() + 3 + rest.find(['/', '?']).filter(|at| rest[*at..].starts_with('/'))? + 1,
        None => uri.find("dbname=").filter(|at| *at == 0 || uri[..*at].ends_with(' '))? + "dbname=".len(),
    };
    let (before, rest) = uri.split_at(start);
    let end = rest.find(|c: char| c == '?' || c.is_whitespace()).unwrap_or(rest.len());
    Some((before, &rest[..end], &rest[end..]))
}

/// Whether MongoDB allows it for a database, `{tenant}` being filled in or not.
pub(super) fn is_mongodb_name(name: &str) -> bool {
    name.len() <= 63 && !name.contains(['/', '\\', '.', ' ', '"', '$', '\0'])
}

/// Whether PostgreSQL allows it for a schema.
pub(super) fn is_postgres_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 63 && !name.contains('\0') && !name.starts_with("pg_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_connection_string_is_told_from_its_password() {
        for (uri, expected) in [
            ("postgres://u:{tenant}@h:1/app_{tenant}?sslmode=require", Some("app_{tenant}")),
            ("postgres://h", None),
            ("postgres://h?host=/run", None),
            ("host=h dbname=app_{tenant} password=x", Some("app_{tenant}")),
            ("host=h password=dbname=x", None),
        ] {
            assert_eq!(database_of(uri).map(|(_, database, _)| database), expected, "{uri}");
            if let Some((before, database, after)) = database_of(uri) {
                assert_eq!(format!("{before}{database}{after}"), uri);
            }
        }
    }
}
