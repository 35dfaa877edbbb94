//! `verify`: proves that what a manifest names is what is stored.

mod archive;
mod restored;

use crate::config::Config;
use crate::error::{Context, Error, Kind, Result};
use crate::event::{Amount, Event, Events};
use crate::keys::Identities;
use crate::manifest::{FORMAT_VERSION, Manifest};
use crate::names::BackupId;
use crate::pipeline::Cancel;
use crate::repository::{Repository, Unreadable, Verified, VerifyLevel, Wait, retention};
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

/// The verdict on one backup. Field names are a contract.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The backup.
    pub id: String,
    /// What was proven of all of it.
    pub level: VerifyLevel,
    /// Every archive is there.
    pub file_exists: bool,
    /// Every size equals the manifest's.
    pub size_match: bool,
    /// Every SHA-256 equals the manifest's.
    pub checksum_match: bool,
    /// Retention would still keep it.
    pub not_expired: bool,
    /// All is as recorded.
    pub valid: bool,
    /// Per archive.
    pub components: Vec<ComponentReport>,
}

/// The verdict on one archive.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentReport {
    /// Path below the backup's folder.
    pub archive: String,
    /// It is as recorded.
    pub valid: bool,
    /// What was proven of it.
    pub level: VerifyLevel,
    /// What is not as recorded, each naming the part.
    pub damage: Vec<String>,
    /// Why it could not be read as deep as was asked for: no key here opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_key: Option<String>,
}

/// Verifies. Damage is a verdict, not an error. The verdict is kept as a fact beside the manifest.
///
/// # Errors
/// When a backup does not exist or the repository cannot be read.
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
    let ids: Vec<_> = catalog.backups.iter().map(|entry| &entry.id).filter(|id| options.which.covers(id)).collect();
    let expired = retention::expired(&catalog.backups, &config.retention, config.timezone, (options.now)());
    let mut reports = Vec::new();
    for id in ids {
        let mut report = verify_one(options, &repository, id)?;
        report.not_expired = !expired.contains(id);
        let damaged = report.components.iter().filter(|component| !component.valid);
        let damaged = damaged.map(|component| component.archive.clone()).collect();
        let fact = Verified { level: report.level, at: (options.now)(), valid: report.valid, damaged };
        if let Err(error) = repository.record_verified(id, &fact) {
            options.events.warn(format!("the verdict on {id} could not be recorded: {error}"));
        }
        reports.push(report);
    }
    // A manifest that cannot be read is damage too, whichever backup it was of.
    if !matches!(options.which, Which::One(_)) {
        reports.extend(catalog.unreadable.iter().map(unreadable_report));
    }
    Ok(reports)
}

fn verify_one(options: &Options<'_>, repository: &Repository, id: &BackupId) -> Result<Report> {
    let manifest = match repository.manifest(id) {
        Ok(manifest) => manifest,
        Err(error) if error.kind == Kind::Damaged => return Ok(refused(id.to_string(), "manifest", error.to_string())),
        Err(error) => return Err(error),
    };
    if manifest.format_version > FORMAT_VERSION {
        let what = format!("format version {} is newer than this program knows", manifest.format_version);
        return Err(Error::new(Kind::Repository, what).context(format!("cannot verify {id}")));
    }
    archives(options, repository, id, &manifest)
}

fn archives(options: &Options<'_>, repository: &Repository, id: &BackupId, manifest: &Manifest) -> Result<Report> {
    let wanted = options.level.unwrap_or(VerifyLevel::Decoded);
    let mut report = Report {
        id: id.to_string(),
        level: wanted,
        file_exists: true,
        size_match: true,
        checksum_match: true,
        not_expired: true,
        valid: true,
        components: Vec::new(),
    };
    for component in &manifest.components {
        let Some(archive) = &component.archive else { continue };
        options.cancel.check()?;
        let path = repository.archive(id, manifest.backup_type, archive)?;
        options.events.emit(Event::Started { item: archive.clone(), total: component.size });
        let mut verdict = archive::verify(options, &path, component, wanted, &mut report)?;
        if wanted == VerifyLevel::Restored && verdict.damage.is_empty() && verdict.no_key.is_none() {
            verdict.damage = restored::restore(options, &path, component, repository.id())
                .context(|| format!("cannot restore {archive} for a look"))?;
            verdict.level = VerifyLevel::Restored;
        }
        options.events.emit(Event::Finished {
            item: archive.clone(),
            done: Amount { bytes: Some(component.size), ..Amount::default() },
            error: verdict.damage.first().cloned(),
        });
        let valid = verdict.damage.is_empty();
        report.valid &= valid;
        report.level = report.level.min(verdict.level);
        report.components.push(ComponentReport {
            archive: archive.clone(),
            valid,
            level: verdict.level,
            damage: verdict.damage,
            // The archive is named already; what matters is what is lacking.
            no_key: verdict.no_key.map(|error| error.causes.join(": ")),
        });
    }
    Ok(report)
}

fn unreadable_report(unreadable: &Unreadable) -> Report {
    let damage = format!("the manifest cannot be read: {}", unreadable.reason);
    refused(unreadable.path.clone(), &unreadable.path, damage)
}

/// A backup of which nothing can be believed, for its manifest cannot.
fn refused(id: String, archive: &str, damage: String) -> Report {
    let damage = vec![damage];
    let component =
        ComponentReport { archive: archive.to_owned(), valid: false, level: VerifyLevel::Stored, damage, no_key: None };
    Report {
        id,
        level: VerifyLevel::Stored,
        file_exists: true,
        size_match: false,
        checksum_match: false,
        not_expired: true,
        valid: false,
        components: vec![component],
    }
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
