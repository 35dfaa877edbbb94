//! One backup: its manifest, and every archive it names. What fails at one of them keeps nobody from the others.

use super::archive::Verdict;
use super::report::{ComponentReport, Report};
use super::{Options, archive, restored};
use crate::error::{Context, Error, Kind, Result};
use crate::event::{Amount, Event};
use crate::manifest::{Component, Manifest};
use crate::names::BackupId;
use crate::repository::{Repository, VerifyLevel};
use std::collections::BTreeMap;
use std::path::Path;

/// Verifies one backup after the other.
pub struct Verifier<'a> {
    options: &'a Options<'a>,
    repository: &'a Repository,
    /// By source, why its server cannot be reached. Each would cost every archive the same wait.
    unreachable: BTreeMap<String, Error>,
}

impl<'a> Verifier<'a> {
    pub fn new(options: &'a Options<'a>, repository: &'a Repository) -> Self {
        Self { options, repository, unreachable: BTreeMap::new() }
    }

    /// The verdict on a backup.
    ///
    /// # Errors
    /// When a signal ends the run. All else is in the report.
    pub fn verify(&mut self, id: &BackupId) -> Result<Report> {
        let manifest = match self.repository.manifest(id) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Report::without_manifest(id.to_string(), "manifest", error)),
        };
        let mut report = Report::new(id.to_string(), self.wanted());
        for component in &manifest.components {
            let Some(archive) = &component.archive else { continue };
            self.options.cancel.check()?;
            let events = &self.options.events;
            events.emit(Event::Started { item: archive.clone(), total: component.size });
            let verdict = self.archive(id, &manifest, component, archive, &mut report);
            // What a signal breaks off says nothing about the archive.
            self.options.cancel.check()?;
            events.emit(Event::Finished {
                item: archive.clone(),
                done: Amount { bytes: Some(component.size), ..Amount::default() },
                error: verdict.damage.first().cloned().or_else(|| verdict.error.as_ref().map(told)),
            });
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

    fn archive(
        &mut self,
        id: &BackupId,
        manifest: &Manifest,
        component: &Component,
        archive: &str,
        report: &mut Report,
    ) -> Verdict {
        let wanted = self.wanted();
        let path = match self.repository.archive(id, manifest.backup_type, archive) {
            Ok(path) => path,
            Err(error) => return Verdict::default().failed(error),
        };
        let verdict = archive::verify(self.options, &path, component, wanted, report);
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

    fn restore(&mut self, path: &Path, component: &Component, damage: &mut Vec<String>) -> Result<()> {
        if let Some(error) = self.unreachable.get(&component.name) {
            return Err(error.clone().context("its server could not be reached before, and is not asked again"));
        }
        let restored = restored::restore(self.options, path, component, self.repository.id(), damage);
        restored.map_err(|error| match error.kind {
            Kind::Connect => {
                self.unreachable.insert(component.name.clone(), error.clone());
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
