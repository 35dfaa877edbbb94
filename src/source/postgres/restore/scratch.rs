//! Scratch databases: made beside the source's, and dropped from there.

use super::worker::Worker;
use crate::config::{self, Timeouts};
use crate::error::{Context, Error, Kind, Result};
use crate::pipeline::Cancel;
use crate::source::SCRATCH_PREFIX;
use crate::source::postgres::session::quote;
use crate::source::postgres::{Postgres, errors};
use tokio_postgres::error::SqlState;

/// Opens the database `name`, which is made where `source` says and lacks nothing of what that database is: encoding,
/// locale and extensions. One that an interrupted verification left is dropped first.
///
/// # Errors
/// When the server cannot be reached, or does not let us make it.
pub fn open_scratch(
    of: &str,
    source: &config::Postgres,
    name: &str,
    timeouts: Timeouts,
    cancel: &Cancel,
) -> Result<Postgres> {
    let beside = Postgres::open_target(of, source, timeouts, cancel.clone())?;
    drop_database(&beside, name)?;
    make_database(&beside, name).context(|| format!("cannot make the scratch database {name}"))?;
    let mut scratch = beside.at_database(source, name, timeouts, cancel.clone())?;
    scratch.scratch_of = Some(Box::new(beside));
    Ok(scratch)
}

fn make_database(beside: &Postgres, name: &str) -> Result<()> {
    let worker = Worker::open(beside)?;
    // The columns of the provider have other names in every other version.
    let sql = "SELECT pg_catalog.pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text,
        CASE pg_catalog.to_jsonb(d) ->> 'datlocprovider' WHEN 'i' THEN ' LOCALE_PROVIDER icu ICU_LOCALE '
          WHEN 'b' THEN ' LOCALE_PROVIDER builtin BUILTIN_LOCALE ' END,
        coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale')
        FROM pg_catalog.pg_database d WHERE datname = pg_catalog.current_database()";
    let rows = worker.rows(sql, &[], "look at", "the database")?;
    let row = rows.first().ok_or_else(|| Error::new(Kind::Source, "the server does not know its database"))?;
    let literal = |at: usize| row.get::<_, String>(at).replace('\'', "''");
    let provider = match row.get::<_, Option<String>>(3) {
        Some(provider) => format!("{provider}'{}'", literal(4)),
        None => String::new(),
    };
    let sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING '{}' LC_COLLATE '{}' LC_CTYPE '{}'{provider}",
        quote(name),
        literal(0),
        literal(1),
        literal(2)
    );
    worker.attempt(&sql)?.map_err(|failure| match failure.state() {
        Some(state) if *state == SqlState::INSUFFICIENT_PRIVILEGE => {
            Error::new(Kind::Source, format!("cannot make the database {name}"))
                .cause(failure.text())
                .hint("the user needs CREATEDB; or say another server with --scratch-server SOURCE=URI")
        }
        _ => errors::writing(&failure, "make the database", name),
    })
}

/// Drops a scratch database, if it is there.
pub fn drop_database(beside: &Postgres, name: &str) -> Result<()> {
    if !name.starts_with(SCRATCH_PREFIX) {
        return Err(Error::new(Kind::Internal, format!("{name} is no scratch database")));
    }
    let worker = Worker::open(beside)?;
    let sql =
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = $1::text::name";
    worker.rows(sql, &[&name], "end the sessions of", name)?;
    worker.run(&format!("DROP DATABASE IF EXISTS {}", quote(name)), "drop the database", name)
}
