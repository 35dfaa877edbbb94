//! How long the server is waited for. A server that stops, or a network that swallows its answers, ends a read or a
//! write with an error, never with silence.

use crate::config::{Timeouts, show_duration};
use bson::doc;
use mongodb::Database;
use mongodb::error::{Error, Result};
use std::fmt;
use std::future::IntoFuture;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// What the driver's errors hold when we gave up, not the driver.
#[derive(Debug)]
pub struct Stalled {
    source: String,
    limit: Limit,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    Connect(Duration),
    Idle(Duration),
    Total(Duration),
}

impl Stalled {
    /// In reaching the server, or being let in.
    pub fn connecting(source: &str, limit: Duration) -> Error {
        Error::custom(Self { source: source.to_owned(), limit: Limit::Connect(limit) })
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &self.source;
        match self.limit {
            Limit::Connect(limit) | Limit::Idle(limit) => {
                let setting = if matches!(self.limit, Limit::Connect(_)) { "connect" } else { "idle" };
                write!(f, "source '{source}' gave no answer for {} (timeouts.{setting})", show_duration(limit))
            }
            Limit::Total(limit) => {
                write!(f, "source '{source}' took more than {} in all (timeouts.total)", show_duration(limit))
            }
        }
    }
}

/// How long one source is waited for.
#[derive(Debug)]
pub struct Patience {
    source: String,
    timeouts: Timeouts,
    began: Instant,
    /// It gave no answer the last time. Until it gives one again it is waited for as long as a new connection is, so
    /// that a dead server is not waited for once a collection.
    stalled: AtomicBool,
}

impl Patience {
    pub fn new(source: &str, timeouts: Timeouts) -> Self {
        Self { source: source.to_owned(), timeouts, began: Instant::now(), stalled: AtomicBool::new(false) }
    }

    /// Whether it gave no answer the last time.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// It gave none, and was not waited for any longer.
    pub fn give_up(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    /// An answer that a healthy server gives soon: a batch, a write, anything about one collection.
    pub async fn answer<T>(&self, asked: impl IntoFuture<Output = Result<T>>) -> Result<T> {
        let (wait, limit) = self.limit();
        match timeout(wait, asked.into_future()).await {
            Ok(answer) => {
                self.stalled.store(false, Ordering::Relaxed);
                answer
            }
            Err(_) => Err(self.stop(limit)),
        }
    }

    /// An answer that takes a healthy server as long as it takes, to build an index or look at every document: it is
    /// waited for as long as the server still answers to its name.
    pub async fn outcome<T>(&self, database: &Database, asked: impl IntoFuture<Output = Result<T>>) -> Result<T> {
        let mut asked = pin!(asked.into_future());
        loop {
            let (wait, limit) = self.limit();
            match timeout(wait, asked.as_mut()).await {
                Ok(answer) => return answer,
                Err(_) if matches!(limit, Limit::Total(_)) => return Err(self.stop(limit)),
                Err(_) => {
                    self.give_up();
                    self.answer(database.run_command(doc! {"ping": 1})).await?;
                }
            }
        }
    }

    /// How long to wait now, and the limit that decides it.
    fn limit(&self) -> (Duration, Limit) {
        let Timeouts { connect, idle, total } = self.timeouts;
        let silence = if self.is_stalled() { idle.min(connect.unwrap_or(Timeouts::CONNECT)) } else { idle };
        let left = total.map(|total| (total.saturating_sub(self.began.elapsed()), Limit::Total(total)));
        match left {
            Some((left, total)) if left < silence => (left, total),
            _ => (silence, Limit::Idle(silence)),
        }
    }

    fn stop(&self, limit: Limit) -> Error {
        self.give_up();
        Error::custom(Stalled { source: self.source.clone(), limit })
    }
}
