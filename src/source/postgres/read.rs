//! Reading tables.

use super::Postgres;
use crate::config::{Consistency, Relationship};
use crate::error::{Error, Kind, Result};
use crate::source::{Level, Orphans, View, Wanted};

fn not_yet(postgres: &Postgres) -> Error {
    Error::new(Kind::Internal, format!("source '{}': tables of PostgreSQL cannot be read yet", postgres.name))
}

/// Opens a view of `collections`.
pub fn open_view<'a>(
    postgres: &'a Postgres,
    _collections: &[Wanted],
    _consistency: Consistency,
    _at_most: Level,
) -> Result<Box<dyn View + 'a>> {
    Err(not_yet(postgres))
}

/// How many rows are covered.
pub fn count(postgres: &Postgres, _wanted: &Wanted) -> Result<Option<u64>> {
    Err(not_yet(postgres))
}

/// Children whose foreign key names no parent.
pub fn orphans(postgres: &Postgres, _relationship: &Relationship) -> Result<Orphans> {
    Err(not_yet(postgres))
}
