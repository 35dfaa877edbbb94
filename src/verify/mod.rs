//! `verify`: proves that what a manifest names is what is stored.

mod archive;
mod backup;
mod report;
mod restored;

pub use report::{ComponentReport, Report};

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::keys::Identities;
use crate::names::BackupId;
use crate::pipeline::{Cancel, in_parallel, processors};
use crate::repository::{Repository, VerifyLevel, Wait, retention};
use backup::Verifier;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Everything a verification needs from outside.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Which backups.
    pub which: Which<'a>,
    /// How deep; none: decoded, or of archives that no key here opens the stored bytes.
    pub level: Option<VerifyLevel>,
    /// What opens encrypted archives.
    pub identities: Arc<Identities>,
    /// Where files and databases that are files are restored for a look; none: the system's temporary folder.
    pub scratch: Option<&'a Path>,
    /// By source, the server whose scratch database is used instead of the source's own.
    pub servers: BTreeMap<String, String>,
    /// Archives that are read at once; none: as many as there are processors.
    pub jobs: Option<usize>,
    /// How long to wait for the repository's lock.
    pub wait: Wait,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// Where events go.
    pub events: Events,
    /// The cancel flag.
    pub cancel: Cancel,
}

/// Which backups to verify.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// This one.
    One(&'a BackupId),
    /// All of them.
    All,
    /// Every backup whose turn it is: `number` of `of`, from 1. All turns together are all backups, whatever came and
    /// went between them, because a backup's turn depends on its id alone.
    Slice {
        /// Whose turn it is.
        number: u32,
        /// How many turns there are.
        of: u32,
    },
}

impl Which<'_> {
    fn covers(&self, id: &BackupId) -> bool {
        match self {
            Which::One(one) => *one == id,
            Which::All => true,
            Which::Slice { number, of } => turn(id, *of) + 1 == *number,
        }
    }
}

/// A backup's turn among `of`, from 0.
fn turn(id: &BackupId, of: u32) -> u32 {
    let hash = Sha256::digest(id.as_str());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % of.max(1)
}

/// Verifies. Damage is a verdict, not an error, and so is an archive that cannot be read or restored for a look: the
/// others are verified all the same. The verdict is kept as a fact beside the manifest.
///
/// # Errors
/// When a backup does not exist, the repository cannot be read, or a signal ends the run.
pub fn run(options: &Options<'_>) -> Result<Vec<Report>> {
    let config = options.config;
    if let Some(unknown) = options.servers.keys().find(|name| !config.sources.contains_key(*name)) {
        let known: Vec<_> = config.sources.keys().map(String::as_str).collect();
        return Err(Error::new(Kind::NotFound, format!("there is no source '{unknown}' to give a scratch server"))
            .hint(format!("the configuration knows: {}", known.join(", "))));
    }
    let repository = Repository::open(&config.repository)?;
    let _lock = match options.level {
        Some(VerifyLevel::Restored) => repository.lock_scratch("verify", options.wait.clone())?,
        _ => repository.lock_shared("verify", options.wait.clone())?,
    };
    let catalog = repository.catalog()?;
    if let Which::One(id) = options.which {
        catalog.find(id)?;
    }
    let expired = retention::expired(&catalog.backups, &config.retention, config.timezone, (options.now)());
    let jobs = options.jobs.unwrap_or_else(processors);
    let chosen: Vec<_> = catalog.backups.iter().filter(|entry| options.which.covers(&entry.id)).collect();
    // Of one backup several archives are read at once, of several backups one each.
    let verifier = Verifier::new(options, &repository, if chosen.len() > 1 { 1 } else { jobs });
    let mut reports = in_parallel(jobs, &options.cancel, chosen, |entry, _| {
        let id = &entry.id;
        let mut report = verifier.verify(id)?;
        report.not_expired = !expired.contains(id);
        if let Some(fact) = report.fact(entry.verified.as_ref(), (options.now)())
            && let Err(error) = repository.record_verified(id, &fact)
        {
            options.events.warn(format!("the verdict on {id} could not be recorded: {error}"));
        }
        Ok(report)
    })?;
    // A manifest that cannot be read is damage too, whichever backup it was of.
    if !matches!(options.which, Which::One(_)) {
        reports.extend(catalog.unreadable.iter().map(Report::unreadable));
    }
    Ok(reports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backup_has_exactly_one_turn() {
        for day in 1..29 {
            let id = BackupId::parse(&format!("system-backup-2026-02-{day:02}T02-00-00-000Z")).unwrap();
            let turns = (1..=7).filter(|number| Which::Slice { number: *number, of: 7 }.covers(&id));
            assert_eq!(turns.count(), 1, "{id}");
        }
    }
}
