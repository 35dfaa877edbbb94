//! How long a server is waited for. A server that stops, a network that swallows its answers, or a signal ends a read or
//! a write with an error, never with silence. For engines whose driver is asynchronous.

use crate::config::{Timeouts, show_duration};
use crate::error::{Error, Result};
use crate::pipeline::Cancel;
use futures_util::future::{Either, select};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{timeout, timeout_at};

/// How long the server may take, after a signal, for what must be known.
const GRACE: Duration = Duration::from_secs(5);

/// Nobody answered: what an engine's own error type is made from.
#[derive(Debug)]
pub struct Stalled {
    source: String,
    limit: Limit,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    Connect(Duration),
    Idle(Duration),
    Collection(Duration),
    Total(Duration),
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &self.source;
        match self.limit {
            Limit::Connect(limit) | Limit::Idle(limit) => {
                let setting = if matches!(self.limit, Limit::Connect(_)) { "connect" } else { "idle" };
                write!(f, "source '{source}' gave no answer for {} (timeouts.{setting})", show_duration(limit))
            }
            Limit::Collection(limit) => {
                let limit = show_duration(limit);
                write!(f, "source '{source}' took more than {limit} for one collection (timeouts.collection)")
            }
            Limit::Total(limit) => {
                write!(f, "source '{source}' took more than {} in all (timeouts.total)", show_duration(limit))
            }
        }
    }
}

/// Waits `limit` for reaching a server, or for being let in.
pub async fn in_time<T, E: From<Stalled>>(
    source: &str,
    limit: Duration,
    asked: impl IntoFuture<Output = Result<T, E>>,
) -> Result<T, E> {
    let late = |_| Stalled { source: source.to_owned(), limit: Limit::Connect(limit) };
    timeout(limit, asked.into_future()).await.map_err(late)?
}

/// Waits until the cancel flag is set; why.
async fn cancelled(cancel: &Cancel) -> Error {
    loop {
        if let Err(error) = cancel.check() {
            return error;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Races `future` against the cancel flag.
///
/// # Errors
/// Why the run was cancelled, when it was.
pub async fn or_cancelled<T>(cancel: &Cancel, future: impl Future<Output = T>) -> Result<T> {
    match select(pin!(future), pin!(cancelled(cancel))).await {
        Either::Left((done, _)) => Ok(done),
        Either::Right((error, _)) => Err(error),
    }
}

/// How long one source is waited for.
#[derive(Debug)]
pub struct Patience {
    source: String,
    timeouts: Timeouts,
    /// When all that is asked of it must have been answered, and the limit that says so.
    until: Option<(Instant, Limit)>,
    /// It gave no answer the last time. Until it gives one again it is waited for as long as a new connection is, so
    /// that a dead server is not waited for once a collection.
    stalled: Arc<AtomicBool>,
}

impl Patience {
    /// For the source of that name; the limit of the whole read counts from now.
    pub fn new(source: &str, timeouts: Timeouts) -> Self {
        let until = timeouts.total.and_then(|total| Some((Instant::now().checked_add(total)?, Limit::Total(total))));
        Self { source: source.to_owned(), timeouts, until, stalled: Arc::default() }
    }

    /// The same patience, for the reading of one collection, whose limit counts from now.
    #[must_use]
    pub fn for_one_collection(&self) -> Self {
        let limit = self.timeouts.collection;
        let own = limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, Limit::Collection(limit))));
        let until = self.until.into_iter().chain(own).min_by_key(|(until, _)| *until);
        Self { source: self.source.clone(), timeouts: self.timeouts, until, stalled: Arc::clone(&self.stalled) }
    }

    /// Several questions, and whatever is done between them.
    ///
    /// # Errors
    /// [`Stalled`] when they take longer than all may take; else what they say.
    pub async fn within<T, E: From<Stalled>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let Some((until, limit)) = self.until else { return work.await };
        timeout_at(until.into(), work).await.unwrap_or_else(|_| Err(self.stop(limit).into()))
    }

    /// An answer that a healthy server gives soon: a batch, a write, anything about one collection.
    ///
    /// # Errors
    /// [`Stalled`] when it does not; else what was asked says.
    pub async fn answer<T, E: From<Stalled>>(&self, asked: impl IntoFuture<Output = Result<T, E>>) -> Result<T, E> {
        let (wait, limit) = self.limit();
        // An answer that is there already would be taken for ever, of a server that is faster than we are.
        if wait.is_zero() {
            return Err(self.stop(limit).into());
        }
        match timeout(wait, asked.into_future()).await {
            Ok(answer) => {
                self.stalled.store(false, Ordering::Relaxed);
                answer
            }
            Err(_) => Err(self.stop(limit).into()),
        }
    }

    /// An answer that takes a healthy server as long as it takes, to build an index or look at every record: it is
    /// waited for as long as the server still answers a `ping`.
    ///
    /// # Errors
    /// As [`Patience::answer`]; of the ping too.
    pub async fn outcome<T, P, E: From<Stalled>>(
        &self,
        asked: impl IntoFuture<Output = Result<T, E>>,
        ping: impl AsyncFn() -> Result<P, E>,
    ) -> Result<T, E> {
        let mut asked = pin!(asked.into_future());
        loop {
            let (wait, limit) = self.limit();
            match timeout(wait, asked.as_mut()).await {
                Ok(answer) => return answer,
                Err(_) if matches!(limit, Limit::Collection(_) | Limit::Total(_)) => {
                    return Err(self.stop(limit).into());
                }
                Err(_) => {
                    self.give_up();
                    self.answer(ping()).await?;
                }
            }
        }
    }

    /// Runs a short future to its end, also after a signal: whether something was made, renamed or dropped must be
    /// known, and what was staged must not stay. A server that does not answer is not waited for long: then the error
    /// is that of the signal, and what was asked may have been done or not.
    ///
    /// # Errors
    /// As the future, or why the run was cancelled.
    pub async fn to_the_end<T>(&self, cancel: &Cancel, future: impl Future<Output = Result<T>>) -> Result<T> {
        let given_up = async {
            let error = cancelled(cancel).await;
            if !self.stalled.load(Ordering::Relaxed) {
                tokio::time::sleep(GRACE).await;
            }
            self.give_up();
            error
        };
        match select(pin!(future), pin!(given_up)).await {
            Either::Left((done, _)) => done,
            Either::Right((error, _)) => Err(error),
        }
    }

    /// It gave no answer, and was not waited for any longer.
    fn give_up(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    /// How long to wait now, and the limit that decides it.
    fn limit(&self) -> (Duration, Limit) {
        let Timeouts { connect, idle, .. } = self.timeouts;
        let stalled = self.stalled.load(Ordering::Relaxed);
        let silence = if stalled { idle.min(connect.unwrap_or(Timeouts::CONNECT)) } else { idle };
        match self.until.map(|(until, limit)| (until.saturating_duration_since(Instant::now()), limit)) {
            Some((left, limit)) if left < silence => (left, limit),
            _ => (silence, Limit::Idle(silence)),
        }
    }

    fn stop(&self, limit: Limit) -> Stalled {
        // A server that is slow with one collection may still speak of the others.
        if !matches!(limit, Limit::Collection(_)) {
            self.give_up();
        }
        Stalled { source: self.source.clone(), limit }
    }
}
