//! A session that changes the target, and one beside it that tells whether the server still speaks to us while a statement
//! takes its time.

use crate::error::{Error, Kind, Result};
use crate::pipeline::RecordBlock;
use crate::source::postgres::copy;
use crate::source::postgres::errors::{self, Failure};
use crate::source::postgres::reader::Reader;
use crate::source::postgres::{Postgres, Session};
use crate::source::{StoredCollection, StreamTotals};
use bytes::Bytes;
use futures_util::SinkExt;
use std::future::IntoFuture;
use std::io::Read;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Bytes of rows that are sent at once.
const PIECE: u64 = 256 << 10;

/// See the file.
pub struct Worker<'a> {
    /// Where it works.
    pub target: &'a Postgres,
    reader: Reader,
    beside: Session,
}

impl<'a> Worker<'a> {
    /// Opens both.
    ///
    /// # Errors
    /// As [`Postgres::session`].
    pub fn open(target: &'a Postgres) -> Result<Self> {
        let worker = Self { target, reader: target.reader()?, beside: target.session()? };
        let pid = worker.rows("SELECT pg_catalog.pg_backend_pid()", &[], "open a session to", "the server")?;
        target.note_backend(pid.first().map(|row| row.get(0)));
        Ok(worker)
    }

    /// The session, for questions to the catalog.
    pub fn session(&self) -> &Session {
        &self.reader.session
    }

    /// Runs statements, however long they take. `doing` and `name` say what for.
    ///
    /// # Errors
    /// When the server refuses, or is gone.
    pub fn run(&self, sql: &str, doing: &str, name: &str) -> Result<()> {
        let asked = async { Ok(self.session().client.batch_execute(sql).await?) };
        self.wait(asked).map_err(|outcome| outcome.explained(doing, name))
    }

    /// As [`Worker::run`]; what the server answers is the caller's to explain. Outside: the run was cancelled.
    pub fn attempt(&self, sql: &str) -> Result<Result<(), Failure>> {
        let asked = async { Ok(self.session().client.batch_execute(sql).await?) };
        match self.wait(asked) {
            Ok(()) => Ok(Ok(())),
            Err(Outcome::Failed(failure)) => Ok(Err(failure)),
            Err(Outcome::Cancelled(error)) => Err(error),
        }
    }

    /// Runs one statement; how many rows it was about.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn execute(&self, sql: &str, doing: &str, name: &str) -> Result<u64> {
        let asked = async { Ok(self.session().client.execute(sql, &[]).await?) };
        self.wait(asked).map_err(|outcome| outcome.explained(doing, name))
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)], doing: &str, name: &str) -> Result<Vec<Row>> {
        let asked = async { Ok(self.session().client.query(sql, parameters).await?) };
        self.wait(asked).map_err(|outcome| outcome.explained(doing, name))
    }

    /// The number that a query returns.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn count(&self, sql: &str, name: &str) -> Result<u64> {
        let rows = self.rows(sql, &[], "count the rows of", name)?;
        Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
    }

    /// Sends the rows of `body` to `COPY … FROM STDIN`; how many the server took.
    ///
    /// # Errors
    /// When `body` is damaged, or as [`Worker::run`].
    pub fn load(&self, sql: &str, body: &mut dyn Read, name: &str) -> Result<u64> {
        let patience = &self.target.patience;
        let explained = |failure: Failure| errors::writing(&failure, "load table", name);
        let begun = async { Ok::<_, Failure>(self.session().client.copy_in::<_, Bytes>(sql).await?) };
        let sink = self.target.block(async { patience.answer(begun).await.map_err(explained) })?;
        let mut sink = Box::pin(sink);
        loop {
            let mut piece = Vec::new();
            body.take(PIECE).read_to_end(&mut piece).map_err(damaged)?;
            if piece.is_empty() {
                break;
            }
            let sent = async { Ok::<_, Failure>(sink.send(Bytes::from(piece)).await?) };
            self.target.block(async { patience.answer(sent).await.map_err(explained) })?;
        }
        let done = async { Ok(sink.as_mut().finish().await?) };
        self.wait(done).map_err(|outcome| outcome.explained("load table", name))
    }

    /// Counts and digests what a COPY … TO STDOUT gives.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn digest(&self, sql: &str, name: &str) -> Result<StreamTotals> {
        self.digest_kept(sql, name, copy::all_of_it)
    }

    /// As [`Worker::digest`], of what `keep` keeps of every row.
    ///
    /// # Errors
    /// As [`Worker::run`], and when `keep` fails.
    pub fn digest_kept(&self, sql: &str, name: &str, keep: impl FnMut(&[u8]) -> Result<usize>) -> Result<StreamTotals> {
        let mut totals = StreamTotals::default();
        let add = |block: RecordBlock| {
            totals.add_block(&block);
            Ok(())
        };
        let told = self.reader.copy(self.target, sql, name, keep, add)?;
        match told == totals.records {
            true => Ok(totals),
            false => Err(Error::new(Kind::Source, format!("not all rows of {name} arrived"))),
        }
    }

    /// Makes sure that the server holds what is stored.
    ///
    /// # Errors
    /// [`Kind::Source`] when it does not.
    pub fn require_same(&self, sql: &str, stored: &StoredCollection) -> Result<()> {
        let found = self.digest(sql, &stored.name)?;
        if found.records == stored.records && found.digest == stored.digest {
            return Ok(());
        }
        let what = format!("{}: the target holds something else than was stored", stored.name);
        let why = format!("{} rows are there, {} are stored", found.records, stored.records);
        Err(Error::new(Kind::Source, what)
            .cause(why)
            .hint("a column of another type than before may round or cut values"))
    }

    /// Ends the transaction; also after a signal, for whether it was must be known.
    ///
    /// # Errors
    /// [`Kind::TargetChanged`] when no answer says that it was not.
    pub fn commit(&self) -> Result<()> {
        let target = self.target;
        let asked = async { Ok::<_, Failure>(self.session().client.batch_execute("COMMIT").await?) };
        let ended = async {
            let done = target.patience.outcome(asked, async || self.beside.query("SELECT", &[]).await).await;
            done.map_err(|failure| {
                let error = errors::writing(&failure, "commit the changes to", &target.server.database);
                if failure.state().is_some() { error } else { error.kind(Kind::TargetChanged) }
            })
        };
        let done = target.runtime.block_on(target.patience.to_the_end(&target.cancel, ended));
        done.map_err(
            |error| if matches!(error.kind, Kind::Signal(_)) { error.kind(Kind::TargetChanged) } else { error },
        )
    }

    fn wait<T>(&self, asked: impl IntoFuture<Output = Result<T, Failure>>) -> Result<T, Outcome> {
        let patience = &self.target.patience;
        let answered = self
            .target
            .block(async { Ok(patience.outcome(asked, async || self.beside.query("SELECT", &[]).await).await) });
        answered.map_err(Outcome::Cancelled)?.map_err(Outcome::Failed)
    }
}

/// How asking ended without an answer.
enum Outcome {
    Failed(Failure),
    Cancelled(Error),
}

impl Outcome {
    fn explained(self, doing: &str, name: &str) -> Error {
        match self {
            Self::Failed(failure) => errors::writing(&failure, doing, name),
            Self::Cancelled(error) => error,
        }
    }
}

fn damaged(error: std::io::Error) -> Error {
    Error::unreadable(error, "stored rows cannot be read")
}
