//! PostgreSQL, 12 to 18: one schema of one database. Rows pass as the bytes of COPY; only the catalog is ever decoded.
//!
//! The driver is asynchronous. Its runtime lives in here; every method blocks, and gives up when the run is cancelled.

pub mod catalog;
mod connect;
mod conninfo;
mod copy;
mod count;
mod define;
mod discover;
pub mod dump;
mod errors;
mod health;
mod inventory;
mod needs;
mod passfile;
mod pieces;
mod read;
mod reader;
mod rename;
mod restore;
pub mod schema;
mod scope;
mod session;
mod stored_texts;
mod tap;
mod target;
mod texts;
mod tls;
pub mod toc;
mod tools;
mod uri;
mod view;
mod way;

pub use copy::digest_rows;
pub use inventory::{Relation, RelationKind};
pub use restore::scratch::open_scratch;
pub use restore::scripts;
pub use scope::{scope_totals, scoped};
pub use session::Session;
pub use stored_texts::stored_texts;

use super::{EntryName, Inventory, Level, NamedTenant, Orphans, Server, Source, View, Wanted};
use crate::config::{self, Timeouts};
use crate::error::{Error, Kind, Result};
use crate::modules::Records;
use crate::pipeline::Cancel;
use crate::source::health::{Finding, Needs};
use crate::source::waiting::{Patience, in_time, or_cancelled};
use connect::{Purpose, Settings};
use errors::Failure;
use schema::Schema;
use session::quote;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Runtime;

/// A connected PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    name: String,
    runtime: Runtime,
    settings: Settings,
    server: Server,
    schema: String,
    /// Whether definitions are stored too.
    ddl: config::Ddl,
    cancel: Cancel,
    /// What is done now is done after a signal too.
    to_the_end: AtomicBool,
    patience: Arc<Patience>,
    /// Of a restore.
    restore: restore::State,
    /// Of a scratch database: where it was made from.
    scratch_of: Option<Box<Self>>,
}

impl Postgres {
    /// Connects, to read, and makes sure that the server answers, lets us in and has the schema.
    ///
    /// # Errors
    /// [`Kind::Connect`] when it does not, [`Kind::Config`] when the URI cannot be used.
    pub fn open(name: &str, source: &config::Postgres, timeouts: Timeouts, cancel: Cancel) -> Result<Self> {
        let postgres = Self::connect(
            name,
            Settings::of(name, source, Purpose::Read, timeouts.connect)?,
            source,
            timeouts,
            cancel,
        )?;
        postgres.require_schema()?;
        Ok(postgres)
    }

    /// Connects, to restore. The schema need not be there.
    ///
    /// # Errors
    /// As [`Postgres::open`].
    pub fn open_target(name: &str, source: &config::Postgres, timeouts: Timeouts, cancel: Cancel) -> Result<Self> {
        Self::connect(name, Settings::of(name, source, Purpose::Write, timeouts.connect)?, source, timeouts, cancel)
    }

    /// Connects to another database of the same server, to restore.
    fn at_database(
        &self,
        source: &config::Postgres,
        database: &str,
        timeouts: Timeouts,
        cancel: Cancel,
    ) -> Result<Self> {
        let mut settings = Settings::of(&self.name, source, Purpose::Write, timeouts.connect)?;
        settings.name_database(database);
        Self::connect(&self.name, settings, source, timeouts, cancel)
    }

    fn connect(
        name: &str,
        settings: Settings,
        source: &config::Postgres,
        timeouts: Timeouts,
        cancel: Cancel,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|e| Error::new(Kind::Internal, "cannot start the PostgreSQL driver").cause(e))?;
        let patience = Arc::new(Patience::new(name, timeouts));
        let server =
            Server { version: String::new(), address: settings.address.clone(), database: settings.database.clone() };
        let (name, schema, ddl) = (name.to_owned(), source.schema.clone(), source.ddl);
        let (restore, to_the_end) = (restore::State::default(), AtomicBool::new(false));
        let mut postgres = Self {
            name,
            runtime,
            settings,
            server,
            schema,
            ddl,
            cancel,
            to_the_end,
            patience,
            restore,
            scratch_of: None,
        };
        postgres.server.version = postgres.session().and_then(|session| {
            postgres.block(async {
                let asked = session.query("SELECT pg_catalog.current_setting('server_version')", &[]).await;
                let rows = asked.map_err(|e| postgres.failed(&e))?;
                Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
            })
        })?;
        Ok(postgres)
    }

    /// Opens one more connection, with its settings pinned.
    ///
    /// # Errors
    /// [`Kind::Connect`] when the server cannot be reached or refuses, or is too old.
    pub fn session(&self) -> Result<Session> {
        self.block(self.open_session())
    }

    async fn open_session(&self) -> Result<Session> {
        let doing = self.doing();
        let late = |failure: Failure| errors::connect(&failure, &doing, None);
        let opened = async { Ok(Session::open(&self.settings, &self.patience, &doing).await) };
        // A host that says nothing must leave time for the next.
        let limit = self.settings.limit * u32::try_from(self.settings.places().count()).unwrap_or(1);
        in_time(&self.name, limit, opened).await.map_err(late)?
    }

    /// Opens one more connection, to read tables as bytes.
    fn reader(&self) -> Result<reader::Reader> {
        let doing = self.doing();
        let late = |failure: Failure| errors::connect(&failure, &doing, None);
        let limit = self.settings.limit * u32::try_from(self.settings.places().count()).unwrap_or(1);
        self.block(async {
            let opened = async { Ok(reader::Reader::open(&self.settings, &self.patience, &doing).await) };
            in_time(&self.name, limit, opened).await.map_err(late)?
        })
    }

    /// A table as SQL names it.
    fn place(&self, table: &str) -> String {
        format!("{}.{}", quote(&self.schema), quote(table))
    }

    /// The entry that a table's rows are stored in.
    fn rows_of(&self, table: &str) -> EntryName {
        rows_of(&self.server.database, &self.schema, table)
    }

    /// Runs a future of the driver to its end, unless the run is cancelled first.
    fn block<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        if self.to_the_end.load(Ordering::Relaxed) {
            return self.runtime.block_on(self.patience.to_the_end(&self.cancel, future));
        }
        self.runtime.block_on(or_cancelled(&self.cancel, future))?
    }

    /// Does what a signal must not stop, as removing what was staged; a server that does not answer is not waited for long
    /// then. Nothing else may be at work in here meanwhile.
    fn to_the_end<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.to_the_end.store(true, Ordering::Relaxed);
        let done = work();
        self.to_the_end.store(false, Ordering::Relaxed);
        done
    }

    fn doing(&self) -> String {
        format!("cannot use PostgreSQL source '{}' at {}", self.name, self.settings.address)
    }

    fn failed(&self, failure: &Failure) -> Error {
        errors::connect(failure, &self.doing(), None)
    }

    /// Makes sure that the schema is there and may be looked into.
    fn require_schema(&self) -> Result<()> {
        let session = self.session()?;
        let sql = "SELECT pg_catalog.has_schema_privilege(oid, 'USAGE'), current_user::text
            FROM pg_catalog.pg_namespace WHERE nspname = $1::text::name";
        let asked = self.block(async { session.query(sql, &[&self.schema]).await.map_err(|e| self.failed(&e)) })?;
        let (schema, database) = (&self.schema, &self.server.database);
        let wrong = |what: String| Err(Error::new(Kind::Connect, self.doing()).cause(what));
        match asked.first() {
            None => wrong(format!("database {database} has no schema {schema}"))
                .map_err(|e| e.hint("check `schema` of the source, and the database of its `uri`")),
            Some(row) if !row.get::<_, bool>(0) => {
                let user: String = row.get(1);
                wrong(format!("the user {user} may not look into schema {schema}"))
                    .map_err(|e| e.hint(format!("GRANT USAGE ON SCHEMA {} TO {}", quote(schema), quote(&user))))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether definitions are stored too.
    pub fn ddl(&self) -> config::Ddl {
        self.ddl
    }

    /// The definitions of all that is in the schema now.
    fn all_definitions(&self) -> Result<Schema> {
        let session = self.session()?;
        let snapshot = self.block(view::begin_and_export(&session, self))?;
        let relations = self.block(inventory::relations(&session, &self.schema))?;
        let dumps = self.dumps(&session, &snapshot)?;
        let mut schema = self.definitions(&session, &dumps, &relations.iter().map(|r| r.oid).collect(), true)?;
        let stored =
            |r: Relation| (r.name, schema::StoredRelation { oid: r.oid, columns: Vec::new(), key: Vec::new() });
        schema.relations = relations.into_iter().map(stored).collect();
        Ok(schema)
    }

    /// Every relation of the schema.
    ///
    /// # Errors
    /// When listing fails.
    pub fn relations(&self) -> Result<Vec<Relation>> {
        let session = self.session()?;
        self.block(inventory::relations(&session, &self.schema))
    }

    /// Makes sure, before the first byte, that these can be backed up and may be read.
    ///
    /// # Errors
    /// [`Kind::Source`] naming one of a kind that cannot, [`Kind::Connect`] naming all that may not, and the GRANT.
    pub fn require_readable(&self, names: &[&str]) -> Result<()> {
        let session = self.session()?;
        let relations = self.block(inventory::relations(&session, &self.schema))?;
        let wanted: Vec<_> = relations.iter().filter(|relation| names.contains(&relation.name.as_str())).collect();
        wanted.iter().try_for_each(|relation| relation.check())?;
        let user = self.block(catalog::current_user(&session))?;
        inventory::readable(&self.schema, &user, wanted)
    }
}

/// The entry that the rows of a table of `database` are stored in.
fn rows_of(database: &str, schema: &str, table: &str) -> EntryName {
    EntryName::new(&format!("{database}/data"), &format!("{schema}.{table}"), ".copy")
}

/// Whether two sources share a server, database and schema.
pub fn same_place(one: &config::Postgres, other: &config::Postgres) -> bool {
    let settings = |source| Settings::of("", source, Purpose::Read, None);
    let (Ok(settings), Ok(others)) = (settings(one), settings(other)) else { return false };
    one.schema == other.schema
        && settings.database == others.database
        && settings.places().any(|place| others.places().any(|other| place.eq_ignore_ascii_case(other)))
}

impl Source for Postgres {
    fn server(&self) -> Server {
        self.server.clone()
    }

    fn inventory(&self) -> Result<Inventory> {
        let session = self.session()?;
        self.block(inventory::inventory(&session, &self.schema))
    }

    fn open_view<'a>(
        &'a self,
        collections: &[Wanted],
        consistency: config::Consistency,
        at_most: Level,
    ) -> Result<Box<dyn View + 'a>> {
        view::open_view(self, collections, consistency, at_most)
    }

    fn count(&self, wanted: &Wanted) -> Result<Option<u64>> {
        count::count(self, wanted)
    }

    fn orphans(&self, relationship: &config::Relationship, children: &Records) -> Result<Orphans> {
        count::orphans(self, relationship, children)
    }

    fn diagnose(&self, needs: &Needs<'_>) -> Result<Vec<Finding>> {
        health::diagnose(self, needs)
    }

    fn tenants(&self, discovery: &config::Discovery) -> Result<Vec<NamedTenant>> {
        discover::tenants(self, discovery)
    }
}
