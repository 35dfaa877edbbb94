//! PostgreSQL as the place that data is restored to.

use super::restore::{self, scratch};
use super::{Postgres, inventory};
use crate::error::{Error, Kind, Result};
use crate::source::{
    Changes, Existing, Input, Inventory, Restoring, Server, Source, Staged, StoredCollection, Switched, Target,
};
use std::sync::PoisonError;

impl Postgres {
    /// Notes a session that may be at work still when the run is over.
    pub fn note_backend(&self, pid: Option<i32>) {
        self.restore.backends.lock().unwrap_or_else(PoisonError::into_inner).extend(pid);
    }

    fn list_others(&self) -> Result<Vec<String>> {
        let session = self.session()?;
        let sql = "SELECT coalesce(usename::text, 'somebody'), coalesce(application_name, ''), count(*)
            FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database()
            AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend' AND application_name <> 'backup'
            GROUP BY 1, 2 ORDER BY 1, 2";
        let rows = self.block(async { session.query(sql, &[]).await.map_err(|e| self.failed(&e)) })?;
        let line = |row: &tokio_postgres::Row| {
            let (user, program, sessions): (String, String, i64) = (row.get(0), row.get(1), row.get(2));
            let program = if program.is_empty() { String::new() } else { format!(" ({program})") };
            let s = if sessions == 1 { "" } else { "s" };
            format!("{user}{program} is connected to database {}, {sessions} session{s}", self.server.database)
        };
        Ok(rows.iter().map(line).collect())
    }
}

impl Target for Postgres {
    fn server(&self) -> Server {
        Source::server(self)
    }

    fn inventory(&self) -> Result<Inventory> {
        let session = self.session()?;
        self.block(inventory::inventory(&session, &self.schema))
    }

    fn is_at_once(&self) -> bool {
        true
    }

    fn examine(&self, batch: &[Restoring<'_>]) -> Result<Vec<String>> {
        restore::examine(self, batch)
    }

    fn compare(&self, stored: &StoredCollection, input: &dyn Input, existing: Existing) -> Result<Changes> {
        restore::compare(self, stored, input, existing)
    }

    fn prepare(&self, batch: &[Restoring<'_>], token: &str) -> Result<Vec<String>> {
        restore::prepare(self, batch, token)
    }

    fn stage(&self, stored: &StoredCollection, input: &dyn Input, existing: Existing, _token: &str) -> Result<Staged> {
        restore::stage(self, stored, input, existing)
    }

    fn switch(&self, batch: &[(&Staged, &dyn Input)]) -> Result<Vec<Switched>> {
        restore::switch(self, batch)
    }

    fn resume(&self, stored: &StoredCollection, _: &dyn Input, identity: Option<&str>) -> Result<Option<Switched>> {
        restore::resume(self, stored, identity)
    }

    fn sweep(&self, token: &str) -> Result<Vec<String>> {
        self.to_the_end(|| restore::sweep(self, token))
    }

    fn differences(&self, stored: &StoredCollection, input: &dyn Input) -> Result<Vec<String>> {
        restore::differences(self, stored, input)
    }

    fn drop_scratch(&self) -> Result<()> {
        let none = || Error::new(Kind::Internal, format!("{} is no scratch database", self.server.database));
        let beside = self.scratch_of.as_deref().ok_or_else(none)?;
        beside.to_the_end(|| scratch::drop_database(beside, &self.server.database))
    }

    fn others(&self) -> Result<Vec<String>> {
        self.list_others()
    }
}
