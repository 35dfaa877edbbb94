//! `hold` and `release`: keep a backup from pruning, and let it go again.

use crate::config::Config;
use crate::error::Result;
use crate::event::Events;
use crate::names::BackupId;
use crate::repository::{Held, Repository, Wait};
use chrono::{DateTime, Utc};

/// Everything that holding needs from outside.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The backup.
    pub id: BackupId,
    /// Hold it, or release it.
    pub hold: bool,
    /// Who asks: `user@host`.
    pub by: String,
    /// How long to wait for the repository's lock.
    pub wait: Wait,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// Where events go.
    pub events: Events,
}

/// How it is now.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The backup.
    pub id: BackupId,
    /// It is held.
    pub held: bool,
    /// It was not so before.
    pub changed: bool,
    /// Since when it is held.
    pub at: Option<DateTime<Utc>>,
    /// Who holds it.
    pub by: Option<String>,
}

/// Holds or releases a backup. What is so already stays as it is.
///
/// # Errors
/// When there is no such backup, or a prune is at work.
pub fn run(options: &Options<'_>) -> Result<Report> {
    let config = options.config;
    let repository = Repository::open(&config.repository)?;
    let word = if options.hold { "hold" } else { "release" };
    // Shared with everyone but those who remove: a prune has either not begun, or is over.
    let _lock = repository.lock_shared(word, options.wait.clone())?;
    let catalog = repository.catalog()?;
    let before = catalog.find(&options.id)?.held.clone();
    let changed = before.is_some() != options.hold;
    let held = match (options.hold, before) {
        (true, Some(before)) => Some(before),
        (true, None) => Some(Held { at: (options.now)(), by: options.by.clone() }),
        (false, _) => None,
    };
    if changed {
        repository.record_held(&options.id, held.as_ref())?;
        repository.audit(&options.events, word, options.id.as_str(), "done");
    }
    let (at, by) = held.map(|held| (held.at, held.by)).unzip();
    Ok(Report { id: options.id.clone(), held: options.hold, changed, at, by })
}
