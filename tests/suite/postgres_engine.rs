//! The PostgreSQL engine against real servers; the oracle is psql.

mod connecting;
mod definitions;
mod dumping;
mod inventory;
mod reading;
mod tenants;
mod unstored;

use crate::support::postgres::Database;
use backup::config::{self, Consistency, Ddl, Secret, Timeouts};
use backup::error::{Error, Result};
use backup::pipeline::Cancel;
use backup::source::postgres::Postgres;
use std::path::Path;

/// The schema `public` of what a URI names, as it would be configured.
fn source(uri: &str) -> config::Postgres {
    config::Postgres {
        uri: Secret::new(uri),
        schema: "public".into(),
        ddl: Ddl::Dump,
        consistency: Consistency::Preferred,
        passfile: None,
        folder: Path::new("/nowhere").into(),
    }
}

fn open(uri: &str) -> Result<Postgres> {
    Postgres::open("payroll", &source(uri), Timeouts::default(), Cancel::default())
}

/// Opens a database that must be there, as its superuser.
#[track_caller]
fn opened(database: &Database) -> Postgres {
    open(&database.uri()).unwrap_or_else(|e| panic!("{e:?}"))
}

/// Everything an error may show.
fn shown(error: &Error) -> String {
    format!("{error:?} {error} {}", error.hint.as_deref().unwrap_or_default())
}
