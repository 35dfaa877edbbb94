//! SQLite: a component is one fresh database file that holds just the selected tables and rows.
//!
//! The file is built row by row out of one read transaction that all components share, so modules agree with each
//! other while the application writes. The backup API would copy free pages too, and with them what was deleted, or another
//! tenant's. It is the one thing that is staged on disk: 0600, and gone with the run.

mod digest;
mod discover;
mod health;
mod inventory;
mod merge;
mod others;
mod read;
mod rename;
mod restore;
mod schema;
mod scope;
mod scratch;
mod share;
mod texts;
mod way;

use super::{
    Changes, Existing, Input, Inventory, Level, NamedTenant, Orphans, Server, Source, Staged, StoredCollection,
    Switched, Target, View, Wanted,
};
use crate::config::{self, Timeouts};
use crate::error::{Error, Kind, Result};
use crate::modules::Records;
use crate::pipeline::Cancel;
use crate::source::health::{Finding, Needs};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::NamedTempFile;

pub use digest::digest_database;
pub use scope::{scope_totals, stored_texts};

/// What was taken out of archives: of this one (its identity), this database, and of that the tenant's share of this table.
type Taken = (String, String, Option<String>);

/// A SQLite database file.
#[derive(Debug)]
pub struct Sqlite {
    name: String,
    path: PathBuf,
    cancel: Cancel,
    /// How long to wait for another connection's lock.
    busy: Duration,
    /// Of a restore: the stored databases, each taken out of its archive once, and one tenant's shares of their tables.
    stored: Mutex<HashMap<Taken, NamedTempFile>>,
}

impl Sqlite {
    /// Opens the database at `path` and makes sure that it is one.
    ///
    /// # Errors
    /// [`Kind::Connect`] when it is not there or no database.
    pub fn open(name: &str, path: &Path, timeouts: Timeouts, cancel: Cancel) -> Result<Self> {
        let source = Self::new(name, path, timeouts, cancel);
        if !path.exists() {
            return Err(Error::new(
                Kind::Connect,
                format!("SQLite source '{name}': there is no file {}", path.display()),
            )
            .hint("check the source's `path`; relative ones are relative to the configuration file"));
        }
        let connection = source.reader()?;
        connection
            .query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))
            .map_err(|e| source.failed("read", &e))?;
        Ok(source)
    }

    /// Opens the place a restore goes to: a file that need not exist.
    ///
    /// # Errors
    /// As [`Sqlite::open`], for a file that exists.
    pub fn open_target(name: &str, path: &Path, timeouts: Timeouts, cancel: Cancel) -> Result<Self> {
        if path.exists() {
            Self::open(name, path, timeouts, cancel)
        } else {
            Ok(Self::new(name, path, timeouts, cancel))
        }
    }

    fn new(name: &str, path: &Path, timeouts: Timeouts, cancel: Cancel) -> Self {
        let busy = timeouts.connect.unwrap_or(Timeouts::CONNECT);
        Self { name: name.to_owned(), path: path.to_owned(), cancel, busy, stored: Mutex::default() }
    }

    /// The file's name without its extension: what the database is called inside an archive.
    fn stem(&self) -> String {
        self.path.file_stem().map_or_else(|| self.name.clone(), |stem| stem.to_string_lossy().into_owned())
    }

    /// A connection that cannot write.
    fn reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        self.prepare(Connection::open_with_flags(&self.path, flags).map_err(|e| self.failed("open", &e))?)
    }

    /// Sets what every connection needs: patience with locks, and an end when the run is cancelled.
    fn prepare(&self, mut connection: Connection) -> Result<Connection> {
        connection.busy_timeout(self.busy).map_err(|e| self.failed("open", &e))?;
        let cancel = self.cancel.clone();
        connection.progress_handler(10_000, Some(move || cancel.is_set())).map_err(|e| self.failed("open", &e))?;
        Ok(connection)
    }

    fn failed(&self, doing: &str, error: &rusqlite::Error) -> Error {
        if let Err(cancelled) = self.cancel.check() {
            return cancelled;
        }
        let made = |kind| Error::new(kind, format!("cannot {doing} {}", self.path.display())).cause(error);
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => made(Kind::Connect)
                .hint("the file is no SQLite database, or it is encrypted: check the source's `path`"),
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => made(Kind::Connect)
                .hint("check that the file and its folder can be read by the user who runs the backup"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let busy = config::show_duration(self.busy);
                made(Kind::Source).hint(format!("another program has held a lock on it for {busy} (timeouts.connect)"))
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                made(Kind::Source).hint("the live database is damaged: run `PRAGMA integrity_check` in sqlite3")
            }
            Some(ErrorCode::DiskFull) => made(Kind::DiskFull).hint("the folder for temporary files ($TMPDIR) is full"),
            _ => made(Kind::Source),
        }
    }
}

/// The file that `--into NAME=INTO` names: a path, or `sqlite:PATH`.
///
/// # Errors
/// [`Kind::Config`] when it is a URI of something else.
pub fn path_of(name: &str, into: &str) -> Result<PathBuf> {
    if into.contains("://") {
        return Err(Error::new(Kind::Config, format!("--into {name}=…: a SQLite source goes into a file"))
            .hint("write a path, or sqlite:PATH"));
    }
    Ok(PathBuf::from(into.strip_prefix("sqlite:").unwrap_or(into)))
}

impl Source for Sqlite {
    fn server(&self) -> Server {
        Server {
            version: rusqlite::version().to_owned(),
            address: self.path.display().to_string(),
            database: self.stem(),
        }
    }

    fn inventory(&self) -> Result<Inventory> {
        inventory::inventory(self)
    }

    fn open_view<'a>(
        &'a self,
        _collections: &[Wanted],
        _consistency: config::Consistency,
        _at_most: Level,
    ) -> Result<Box<dyn View + 'a>> {
        Ok(Box::new(read::SqliteView::open(self)?))
    }

    fn count(&self, wanted: &Wanted) -> Result<Option<u64>> {
        inventory::count(self, wanted).map(Some)
    }

    fn orphans(&self, relationship: &config::Relationship, children: &Records) -> Result<Orphans> {
        inventory::orphans(self, relationship, children)
    }

    fn diagnose(&self, needs: &Needs<'_>) -> Result<Vec<Finding>> {
        health::diagnose(self, needs)
    }

    fn tenants(&self, discovery: &config::Discovery) -> Result<Vec<NamedTenant>> {
        discover::tenants(self, discovery)
    }
}

impl Target for Sqlite {
    fn server(&self) -> Server {
        Source::server(self)
    }

    fn inventory(&self) -> Result<Inventory> {
        if self.path.exists() { inventory::inventory(self) } else { Ok(Inventory::default()) }
    }

    fn is_at_once(&self) -> bool {
        true
    }

    fn compare(&self, stored: &StoredCollection, input: &dyn Input, existing: Existing) -> Result<Changes> {
        restore::compare(self, stored, input, existing)
    }

    fn stage(&self, stored: &StoredCollection, input: &dyn Input, existing: Existing, _token: &str) -> Result<Staged> {
        restore::stage(self, stored, input, existing)
    }

    fn switch(&self, batch: &[(&Staged, &dyn Input)]) -> Result<Vec<Switched>> {
        restore::switch(self, batch)
    }

    fn resume(&self, stored: &StoredCollection, input: &dyn Input, _: Option<&str>) -> Result<Option<Switched>> {
        restore::resume(self, stored, input)
    }

    fn sweep(&self, _token: &str) -> Result<Vec<String>> {
        // Tables are put in place by a transaction: a dead run leaves nothing in the database.
        Ok(Vec::new())
    }

    fn differences(&self, stored: &StoredCollection, input: &dyn Input) -> Result<Vec<String>> {
        restore::differences(self, stored, input)
    }

    fn drop_scratch(&self) -> Result<()> {
        if !self.stem().starts_with(super::SCRATCH_PREFIX) {
            return Err(Error::new(Kind::Internal, format!("{} is no scratch database", self.path.display())));
        }
        match std::fs::remove_file(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &self.path, &e)),
            _ => Ok(()),
        }
    }

    fn others(&self) -> Result<Vec<String>> {
        others::others(self)
    }
}
