//! Databases.

use super::Sealing;
use crate::config::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// A configured database.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is and how to reach it.
    pub engine: Engine,
    /// Back up every collection of it, as one component of its own outside the modules.
    pub whole_database: bool,
    /// How that component is encrypted.
    pub sealing: Sealing,
    /// How long it is waited for.
    pub timeouts: Timeouts,
    /// A restore that writes to it must be allowed to by name.
    pub protected: bool,
    /// Each tenant has one of its own: `{tenant}` stands in its name.
    pub per_tenant: bool,
}

/// How long a source is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Reaching it and being let in. None: what its URI says, else ten seconds.
    pub connect: Option<Duration>,
    /// The longest silence while it has work of ours.
    pub idle: Duration,
    /// All the time that a run may take to read one collection of it.
    pub collection: Option<Duration>,
    /// All the time that a run may take to read it.
    pub total: Option<Duration>,
}

impl Timeouts {
    /// How long a source is waited for that nobody said anything about.
    pub const CONNECT: Duration = Duration::from_secs(10);
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: None, idle: Duration::from_secs(600), collection: None, total: None }
    }
}

/// The engine of a source, with what it needs.
#[derive(Debug, Clone)]
pub enum Engine {
    /// MongoDB, 4.4 to 8.
    MongoDb {
        /// Connection URI, `mongodb://` or `mongodb+srv://`.
        uri: Secret,
        /// Name of the database.
        database: String,
        /// Whether one snapshot of all collections is wanted.
        consistency: Consistency,
        /// Which members of a replica set documents are read from; none: what the URI says, else the primary.
        read_preference: Option<ReadPreference>,
    },
    /// PostgreSQL, 12 to 18.
    Postgres(Postgres),
    /// SQLite 3.
    Sqlite {
        /// Absolute path of the database file.
        path: PathBuf,
    },
}

impl Engine {
    /// The engine's name in config, manifest and output.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::MongoDb { .. } => "mongodb",
            Engine::Postgres(_) => "postgres",
            Engine::Sqlite { .. } => "sqlite",
        }
    }

    /// Whether one snapshot of all collections is wanted. SQLite always has one.
    pub fn consistency(&self) -> Consistency {
        match self {
            Engine::MongoDb { consistency, .. } | Engine::Postgres(Postgres { consistency, .. }) => *consistency,
            Engine::Sqlite { .. } => Consistency::Preferred,
        }
    }
}

/// One schema of a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Connection URI, `postgres://` or `postgresql://`, or a string of `key=value`; it names the database too.
    pub uri: Secret,
    /// Name of the schema.
    pub schema: String,
    /// Whether definitions are stored too.
    pub ddl: Ddl,
    /// Whether one snapshot of all tables is wanted.
    pub consistency: Consistency,
    /// File of passwords (`~/.pgpass`), for a `uri` without one; it need not exist.
    pub passfile: Option<PathBuf>,
    /// What relative paths in `uri` are relative to.
    pub folder: PathBuf,
}

/// What is stored of the definitions of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ddl {
    /// All of them, by `pg_dump`, but not who may do what.
    #[default]
    Dump,
    /// With the privileges that were granted on them, to roles that must be there when they are restored.
    WithGrants,
    /// None: data alone, which needs tables to be restored into.
    None,
}

impl Ddl {
    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dump => "dump",
            Self::WithGrants => "withGrants",
            Self::None => "none",
        }
    }
}

/// Which members of a replica set documents are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPreference {
    /// The primary alone.
    Primary,
    /// The primary, or a secondary while there is none.
    PrimaryPreferred,
    /// A secondary alone.
    Secondary,
    /// A secondary, or the primary while there is none.
    SecondaryPreferred,
    /// Whichever answers first.
    Nearest,
}

impl ReadPreference {
    /// The word of the configuration, and of MongoDB.
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::PrimaryPreferred => "primaryPreferred",
            Self::Secondary => "secondary",
            Self::SecondaryPreferred => "secondaryPreferred",
            Self::Nearest => "nearest",
        }
    }
}

/// Whether all collections of a source must be read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// One snapshot where the server can, else collection by collection; the manifest states which.
    #[default]
    Preferred,
    /// One snapshot, or the component fails.
    Required,
}
