//! Databases.

use super::RawEncrypt;
use crate::config::either::Either;
use schemars::JsonSchema;
use serde::Deserialize;

/// A database engine.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawEngine {
    Mongodb,
    Postgres,
    Sqlite,
}

/// What is stored of the definitions of tables.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawDdl {
    Dump,
    WithGrants,
    None,
}

/// Whether all collections must be read at one moment.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawConsistency {
    Preferred,
    Required,
}

/// Which members of a replica set are read from.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawReadPreference {
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
    Nearest,
}

section! {
/// A database.
RawSource {
    /// Which engine.
    #[schemars(required)]
    engine: Option<RawEngine>,
    /// MongoDB, PostgreSQL: connection URI; PostgreSQL: with the database's name, or as `host=… dbname=…`.
    uri: Option<Either<String, RawSecret>>,
    /// MongoDB: name of the database.
    database: Option<String>,
    /// PostgreSQL: name of the schema; default `public`.
    schema: Option<String>,
    /// PostgreSQL: `dump` (default) stores definitions by `pg_dump`; `withGrants` also who may do what; `none` stores data alone.
    ddl: Option<RawDdl>,
    /// MongoDB, PostgreSQL: `required` fails where one snapshot of all collections cannot be had.
    consistency: Option<RawConsistency>,
    /// MongoDB: which members of a replica set documents are read from; default: what `uri` says, else `primary`.
    read_preference: Option<RawReadPreference>,
    /// SQLite: the database file.
    path: Option<String>,
    /// Back up every collection, as an archive of its own outside the modules.
    whole_database: Option<bool>,
    /// With `wholeDatabase`: `required` is never written in clear, even if nobody to encrypt it to is configured.
    encrypt: Option<RawEncrypt>,
    /// With `wholeDatabase`: public keys (`age1…`) this is encrypted to, instead of those of `repository.encryption`.
    #[serde(default)]
    recipients: Vec<String>,
    /// How long it is waited for; default: `timeouts` of the file.
    timeouts: Option<RawTimeouts>,
    /// A restore that writes to it wants `--allow-protected NAME`.
    protected: Option<bool>,
}}

section! {
/// How long a database is waited for: `30s`, `10m`, `2h`.
RawTimeouts {
    /// Reaching it and being let in; PostgreSQL, SQLite: another program's lock. Default 10s.
    connect: Option<String>,
    /// MongoDB, PostgreSQL: the longest silence while it has work of ours; default 10m.
    idle: Option<String>,
    /// MongoDB, PostgreSQL: all the time that a run may take to read one collection of it; default: no limit.
    collection: Option<String>,
    /// MongoDB, PostgreSQL: all the time that a run may take to read it; default: no limit.
    total: Option<String>,
}}

section! {
/// A secret that is kept elsewhere: exactly one of `file` and `command`.
RawSecret {
    /// File that holds it.
    file: Option<String>,
    /// Program, with its arguments, that prints it.
    command: Option<Vec<String>>,
    /// How long the program may take; default 30s.
    timeout: Option<String>,
}}
