//! Changes of one collection: each sent at once, or all in one transaction, where they are few and the server has such.

use super::load::{refused, write};
use super::merge::count_of;
use super::raw::{self, Builder};
use super::{MongoDb, errors};
use crate::error::{Error, Kind, Result};
use bson::doc;
use mongodb::ClientSession;
use mongodb::error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{Acknowledgment, WriteConcern};
use std::time::{Duration, Instant};

/// Documents that a transaction may change.
pub const DOCUMENTS: u64 = 1000;

/// Bytes of documents that it may bring.
pub const BYTES: u64 = 8 << 20;

/// How often a commit is sent whose answer was lost.
const COMMITS: usize = 3;

/// How long another transaction is waited for: one that a dead run has left is aborted by the server after a minute
/// (`transactionLifetimeLimitSeconds`).
const CONFLICT: Duration = Duration::from_secs(100);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// A kind of change: the command, and what it calls its statements.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    command: &'static str,
    key: &'static str,
    doing: &'static str,
}

/// Adds documents.
pub const INSERT: Change = Change { command: "insert", key: "documents", doing: "insert into" };

/// Changes documents.
pub const UPDATE: Change = Change { command: "update", key: "updates", doing: "write to" };

/// Removes documents.
pub const DELETE: Change = Change { command: "delete", key: "deletes", doing: "delete from" };

/// Changes on their way to a collection.
pub struct Writes<'a> {
    server: &'a MongoDb,
    live: &'a str,
    shown: &'a str,
    /// Those of the transaction; none where they are sent at once.
    waiting: Option<Vec<(Change, Builder)>>,
    touched: bool,
}

impl<'a> Writes<'a> {
    pub fn new(server: &'a MongoDb, live: &'a str, shown: &'a str, together: bool) -> Self {
        Self { server, live, shown, waiting: together.then(Vec::new), touched: false }
    }

    /// Whether they wait for [`Writes::commit`].
    pub fn are_together(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether something was changed, or may have been.
    pub fn touched(&self) -> bool {
        self.touched
    }

    /// Sends statements, or puts them to the others; returns how many documents they change.
    ///
    /// # Errors
    /// When the server refuses one.
    pub fn send(&mut self, change: Change, statements: Builder) -> Result<u64> {
        let count = statements.len() as u64;
        if count == 0 {
            return Ok(0);
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.push((change, statements));
            return Ok(count);
        }
        self.touched = true;
        let Change { command, key, doing } = change;
        let reply = write(self.server, doc! {command: self.live}, key, &statements, self.shown, doing)?;
        refused(&reply, self.shown, |_| false)?;
        Ok(count_of(&reply, "n"))
    }

    /// Makes the changes of the transaction.
    ///
    /// # Errors
    /// When one is refused, or finds less than it was told it would: then nothing is changed. Whether something was, where
    /// nobody answers, says [`Writes::touched`].
    pub fn commit(&mut self) -> Result<()> {
        let Some(waiting) = self.waiting.take().filter(|waiting| !waiting.is_empty()) else { return Ok(()) };
        let (server, began) = (self.server, Instant::now());
        loop {
            server.cancel.check()?;
            if server.to_the_end(self.run(&waiting))? {
                return Ok(());
            }
            if began.elapsed() > CONFLICT {
                return Err(Error::new(Kind::Source, format!("{}: other transactions hold its records", self.shown))
                    .hint("stop what else writes there, and run the same restore again"));
            }
            server.block(async {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            })?;
        }
    }

    /// False when another transaction was in the way.
    async fn run(&mut self, waiting: &[(Change, Builder)]) -> Result<bool> {
        let patience = &self.server.patience;
        let failed = |e: &mongodb::error::Error| errors::collection(e, "write a transaction to", self.shown);
        let started = self.server.database.client().start_session();
        let mut session = patience.answer(started).await.map_err(|e| failed(&e))?;
        let lasting = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        let began = session.start_transaction().write_concern(lasting);
        patience.answer(began).await.map_err(|e| failed(&e))?;
        for (change, statements) in waiting {
            match self.run_one(*change, statements, &mut session).await {
                Ok(true) => {}
                stopped => {
                    // What is not aborted the server lets go of by itself.
                    let _ = patience.answer(session.abort_transaction()).await;
                    return stopped;
                }
            }
        }
        self.touched = true;
        let mut outcome = Ok(());
        for _ in 0..COMMITS {
            outcome = patience.answer(session.commit_transaction()).await;
            if !outcome.as_ref().is_err_and(|e| e.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)) {
                break;
            }
        }
        match outcome {
            Ok(()) => Ok(true),
            Err(error) => {
                let is_known =
                    errors::code(&error).is_some() && !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT);
                self.touched = !is_known;
                if is_known && is_conflict(&error) { Ok(false) } else { Err(failed(&error)) }
            }
        }
    }

    /// False when another transaction is in the way.
    async fn run_one(&self, change: Change, statements: &Builder, session: &mut ClientSession) -> Result<bool> {
        let mut head = doc! {change.command: self.live};
        if change.key != DELETE.key {
            head.insert("bypassDocumentValidation", true);
        }
        let mut command = Builder::of(&head)?;
        command.put(change.key, raw::ARRAY, &statements.finish()?);
        let asked = self.server.database.run_raw_command(command.command()?).session(session);
        let reply = match self.server.patience.answer(asked).await {
            Ok(reply) => reply,
            Err(error) if is_conflict(&error) => return Ok(false),
            Err(error) => return Err(errors::collection(&error, change.doing, self.shown)),
        };
        refused(&reply, self.shown, |_| false)?;
        let (changed, asked) = (count_of(&reply, "n"), statements.len() as u64);
        if changed == asked { Ok(true) } else { Err(overtaken(self.shown, asked.saturating_sub(changed))) }
    }
}

/// The server answers that the transaction could succeed if it were tried again.
fn is_conflict(error: &mongodb::error::Error) -> bool {
    errors::code(error).is_some() && error.contains_label(TRANSIENT_TRANSACTION_ERROR)
}

/// Records that were the tenant's a moment ago are so no more.
pub fn overtaken(shown: &str, records: u64) -> Error {
    let what =
        format!("{shown}: {records} records were taken away, or given to somebody else, while they were restored");
    Error::new(Kind::Source, what).hint("stop what else writes there, and run the same restore again")
}
