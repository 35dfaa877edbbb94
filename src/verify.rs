//! `verify`: proves that what a manifest names is what is stored.

use crate::archive::{self, ArchiveReader, IndexAt};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::event::{Amount, Event, Events};
use crate::manifest::{Component, ComponentStatus, FORMAT_VERSION};
use crate::names::BackupId;
use crate::pipeline::Cancel;
use crate::repository::{Repository, Unreadable, Verified, VerifyLevel, Wait, retention};
use crate::source::{self, ItemKind, StreamTotals};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::path::Path;

/// Everything a verification needs from outside.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// These backups; none: all.
    pub ids: Option<Vec<BackupId>>,
    /// How deep.
    pub level: VerifyLevel,
    /// How long to wait for the repository's lock.
    pub wait: Wait,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// Where events go.
    pub events: Events,
    /// The cancel flag.
    pub cancel: Cancel,
}

/// The verdict on one backup. Field names are a contract.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The backup.
    pub id: String,
    /// How deep it was read.
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
    /// What is not, each naming the part.
    pub damage: Vec<String>,
}

/// Verifies. Damage is a verdict, not an error. The verdict is kept as a fact beside the manifest.
///
/// # Errors
/// When a backup does not exist or the repository cannot be read.
pub fn run(options: &Options<'_>) -> Result<Vec<Report>> {
    let config = options.config;
    let repository = Repository::open(&config.repository.location, config.repository.id.as_deref())?;
    let _lock = repository.lock_shared("verify", options.wait.clone())?;
    let catalog = repository.catalog()?;
    let ids: Vec<BackupId> = match &options.ids {
        Some(ids) => ids.clone(),
        None => catalog.backups.iter().map(|entry| entry.id.clone()).collect(),
    };
    let expired = retention::expired(&catalog.backups, &config.retention, config.timezone, (options.now)());
    let mut reports = Vec::new();
    for id in &ids {
        catalog.find(id)?;
        let mut report = verify_one(options, &repository, id)?;
        report.not_expired = !expired.contains(id);
        let fact = Verified { level: options.level, at: (options.now)(), valid: report.valid };
        if let Err(error) = repository.record_verified(id, &fact) {
            options.events.warn(format!("the verdict on {id} could not be recorded: {error}"));
        }
        reports.push(report);
    }
    // A manifest that cannot be read is damage too, whichever backup it was of.
    if options.ids.is_none() {
        reports.extend(catalog.unreadable.iter().map(|unreadable| unreadable_report(options, unreadable)));
    }
    Ok(reports)
}

fn verify_one(options: &Options<'_>, repository: &Repository, id: &BackupId) -> Result<Report> {
    let manifest = repository.manifest(id)?;
    let mut report = Report {
        id: id.to_string(),
        level: options.level,
        file_exists: true,
        size_match: true,
        checksum_match: true,
        not_expired: true,
        valid: true,
        components: Vec::new(),
    };
    if manifest.format_version > FORMAT_VERSION {
        let what = format!("format version {} is newer than this program knows", manifest.format_version);
        return Err(Error::new(Kind::Repository, what).context(format!("cannot verify {id}")));
    }
    for component in &manifest.components {
        let Some(archive) = &component.archive else { continue };
        options.cancel.check()?;
        let path = repository.archive(id, manifest.backup_type, archive)?;
        options.events.emit(Event::Started { item: archive.clone(), total: component.size });
        let damage = archive_damage(options, &path, component, &mut report)?;
        let error = damage.first().cloned();
        options.events.emit(Event::Finished {
            item: archive.clone(),
            done: Amount { bytes: Some(component.size), ..Amount::default() },
            error,
        });
        report.valid &= damage.is_empty();
        report.components.push(ComponentReport { archive: archive.clone(), valid: damage.is_empty(), damage });
    }
    Ok(report)
}

fn archive_damage(
    options: &Options<'_>,
    path: &Path,
    component: &Component,
    report: &mut Report,
) -> Result<Vec<String>> {
    if let Err(e) = path.symlink_metadata() {
        if e.kind() != std::io::ErrorKind::NotFound {
            return Err(Error::io("read", path, &e));
        }
        (report.file_exists, report.size_match, report.checksum_match) = (false, false, false);
        return Ok(vec!["the file is gone".into()]);
    }
    let stored = archive::digest_file(path, &options.cancel)?;
    let mut damage = Vec::new();
    if stored.size != component.size {
        report.size_match = false;
        damage.push(format!("it is {} bytes, the manifest says {}", stored.size, component.size));
    }
    if Some(&stored.sha256) != component.sha256.as_ref() {
        report.checksum_match = false;
        damage.push("its SHA-256 differs from the manifest's".into());
    }
    // Of a damaged archive the parts are named whatever the level: that is what the operator needs to know next.
    if options.level > VerifyLevel::Stored || !damage.is_empty() {
        damage.extend(decode(options, path, component)?);
    }
    Ok(damage)
}

/// Decompresses everything, holds every entry against the index and every collection against the manifest.
fn decode(options: &Options<'_>, path: &Path, component: &Component) -> Result<Vec<String>> {
    let Some(index) = &component.index else { return Ok(vec!["the manifest gives no index".into()]) };
    let at = IndexAt { offset: index.offset, length: index.length, sha256: &index.sha256 };
    let reader = match ArchiveReader::open(path, at) {
        Ok(reader) => reader,
        Err(error) if error.kind == Kind::Damaged => return Ok(vec![error.to_string()]),
        Err(error) => return Err(error),
    };
    let mut totals: BTreeMap<String, StreamTotals> = BTreeMap::new();
    let mut damage = archive::decode_all(&reader, |entry, body| {
        options.cancel.check()?;
        let Some(name) = &entry.name else { return Ok(None) };
        let found = match source::digest_records(name, body) {
            Ok(None) => return Ok(None),
            Ok(Some(found)) => found,
            Err(error) if error.kind == Kind::Damaged => return Ok(Some(error.to_string())),
            Err(error) => return Err(error),
        };
        let mut sum = StreamTotals::default();
        for (collection, part) in found {
            let of_collection = totals.entry(collection).or_default();
            for total in [of_collection, &mut sum] {
                total.records += part.records;
                total.digest.merge(part.digest);
            }
        }
        let said = (entry.records.unwrap_or(sum.records), entry.record_digest.unwrap_or(sum.digest));
        Ok((said != (sum.records, sum.digest)).then(|| "its records differ from what the index says".into()))
    })?;
    let whole = component.collections.iter().filter(|c| c.status == ComponentStatus::Complete);
    for collection in whole.filter(|c| component.engine != "files" && c.kind != Some(ItemKind::View)) {
        let (name, said) = (&collection.name, collection.documents);
        match totals.get(name) {
            None => damage.push(format!("{name}: the manifest lists it, the archive does not hold it")),
            Some(found) if found.records != said || Some(found.digest) != collection.record_digest => {
                let found = found.records;
                damage.push(format!("{name}: {found} records are stored, the manifest says {said}, or another digest"));
            }
            Some(_) => {}
        }
    }
    Ok(damage)
}

fn unreadable_report(options: &Options<'_>, unreadable: &Unreadable) -> Report {
    let damage = vec![format!("the manifest cannot be read: {}", unreadable.reason)];
    Report {
        id: unreadable.path.clone(),
        level: options.level,
        file_exists: true,
        size_match: false,
        checksum_match: false,
        not_expired: true,
        valid: false,
        components: vec![ComponentReport { archive: unreadable.path.clone(), valid: false, damage }],
    }
}
