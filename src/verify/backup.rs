//! One backup: its manifest, and every archive it names. What fails at one of them keeps nobody from the others.

use super::archive::Verdict;
use super::report::{ComponentReport, Report};
use super::{Options, archive, restored};
use crate::error::{Context, Error, Kind, Result};
use crate::event::{Amount, Event};
use crate::manifest::{Component, Manifest};
use crate::names::BackupId;
use crate::pipeline::in_parallel;
use crate::repository::{Repository, VerifyLevel};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Verifies one backup after the other.
pub struct Verifier<'a> {
    options: &'a Options<'a>,
    repository: &'a Repository,
    /// Archives of one backup that are read at once.
    threads: usize,
    /// By source, why its server cannot be reached. Each would cost every archive the same wait. Locked while an archive is
    /// restored for a look: a source has one scratch database.
    unreachable: Mutex<BTreeMap<String, Error>>,
}

impl<'a> Verifier<'a> {
    pub fn new(options: &'a Options<'a>, repository: &'a Repository, threads: usize) -> Self {
        Self { options, repository, threads, unreachable: Mutex::default() }
    }

    /// The verdict on a backup.
    ///
    /// # Errors
    /// When a signal ends the run. All else is in the report.
    pub fn verify(&self, id: &BackupId) -> Result<Report> {
        let manifest = match self.repository.manifest(id) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Report::without_manifest(id.to_string(), "manifest", error)),
        };
        let mut report = Report::new(id.to_string(), self.wanted());
        let archives =
            manifest.components.iter().filter_map(|component| Some((component, component.archive.as_ref()?)));
        let cancel = &self.options.cancel;
        let verdicts = in_parallel(self.threads, cancel, archives.collect(), |(component, archive), _| {
            let events = &self.options.events;
            events.emit(Event::Started { item: archive.clone(), total: component.size });
            let verdict = self.archive(id, &manifest, component, archive);
            // What a signal breaks off says nothing about the archive.
            cancel.check()?;
            events.emit(Event::Finished {
                item: archive.clone(),
                done: Amount { bytes: Some(component.size), ..Amount::default() },
                error: verdict.damage.first().cloned().or_else(|| verdict.error.as_ref().map(told)),
            });
            Ok((archive, verdict))
        })?;
        for (archive, verdict) in verdicts {
            report.file_exists &= verdict.file_exists;
            report.size_match &= verdict.size_match;
            report.checksum_match &= verdict.checksum_match;
            report.add(ComponentReport {
                archive: archive.clone(),
                valid: verdict.damage.is_empty() && verdict.error.is_none(),
                level: verdict.level,
                damage: verdict.damage,
                // The archive is named already; what matters is what is lacking.
                no_key: verdict.no_key.map(|error| error.causes.join(": ")),
                error: verdict.error,
            });
        }
        Ok(report)
    }

    fn wanted(&self) -> VerifyLevel {
        self.options.level.unwrap_or(VerifyLevel::Decoded)
    }

    fn archive(&self, id: &BackupId, manifest: &Manifest, component: &Component, archive: &str) -> Verdict {
        let wanted = self.wanted();
        let path = match self.repository.archive(id, manifest.backup_type, archive) {
            Ok(path) => path,
            Err(error) => return Verdict::default().failed(error),
        };
        let verdict = archive::verify(self.options, &path, component, wanted);
        let is_proven = verdict.damage.is_empty() && verdict.no_key.is_none() && verdict.error.is_none();
        if wanted < VerifyLevel::Restored || !is_proven {
            return verdict;
        }
        let mut damage = Vec::new();
        let restored = self.restore(&path, component, &mut damage);
        let verdict = Verdict { damage, ..verdict };
        match restored.context(|| format!("cannot restore {archive} for a look")) {
            Ok(()) => Verdict { level: VerifyLevel::Restored, ..verdict },
            Err(error) => verdict.failed(error),
        }
    }

    fn restore(&self, path: &Path, component: &Component, damage: &mut Vec<String>) -> Result<()> {
        let mut unreachable = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = unreachable.get(&component.name) {
            return Err(error.clone().context("its server could not be reached before, and is not asked again"));
        }
        let restored = restored::restore(self.options, path, component, self.repository.id(), damage);
        restored.map_err(|error| match error.kind {
            Kind::Connect => {
                unreachable.insert(component.name.clone(), error.clone());
                error
            }
            // It is the scratch database that was changed.
            Kind::TargetChanged => error.kind(Kind::Source),
            _ => error,
        })
    }
}

/// An error and what to do about it, in one line.
fn told(error: &Error) -> String {
    match &error.hint {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    }
}
