//! The record that a run leaves which makes no backup: alerts, the probe, metrics and statistics know of it by that alone.

use super::{Options, Run, existing_repository, record};
use crate::config::{BackupType, Config};
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::names::Scope;
use crate::repository::{FailedRun, Wait};
use chrono::{DateTime, Utc};

/// A run that ended before it had looked at anything.
#[derive(Debug)]
pub struct Unbegun<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Whose backups it would have made.
    pub scopes: &'a [Scope],
    /// What they would have been.
    pub backup_type: BackupType,
    /// When it was started.
    pub began: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// Where events go.
    pub events: &'a Events,
}

impl Unbegun<'_> {
    /// Leaves a record for each scope. Where there is no repository yet, none is made for it.
    pub fn record(&self, error: &Error) {
        // What a program of the operator has printed may be anything, and is kept nowhere.
        self.record_lines(&[error.to_string()]);
    }

    fn record_lines(&self, errors: &[String]) {
        for scope in self.scopes {
            if let Err(unrecorded) = self.record_of(scope, errors) {
                self.events.warn(format!("the failure of {scope} could not be recorded: {unrecorded}"));
            }
        }
    }

    fn record_of(&self, scope: &Scope, errors: &[String]) -> Result<()> {
        let Some(repository) = existing_repository(self.config)? else { return Ok(()) };
        // Who holds the scope makes its backup: this run has nothing to add to that, and does not wait to say so.
        let run = Run::at(repository, scope, self.began, Wait::No)?;
        run.record_failure(scope, self.backup_type, self.ended, errors.to_vec())?;
        run.audit(self.events, "failed");
        Ok(())
    }
}

impl Run {
    fn record_failure(
        &self,
        scope: &Scope,
        backup_type: BackupType,
        ended: DateTime<Utc>,
        errors: Vec<String>,
    ) -> Result<()> {
        self.repository.record_failure(&FailedRun {
            id: self.id.to_string(),
            backup_type,
            tenant_id: scope.tenant().map(ToString::to_string),
            timestamp: self.began,
            duration_seconds: record::seconds(self.began, ended),
            errors,
        })
    }
}

fn lines(error: &Error) -> Vec<String> {
    std::iter::once(error.to_string()).chain(error.details.iter().cloned()).collect()
}

/// Leaves a record for each scope of a run that failed before any of their backups was begun, and hands the error on.
pub(super) fn not_begun(options: &Options<'_>, scopes: &[Scope], began: DateTime<Utc>, error: Error) -> Error {
    let Options { config, request, events, .. } = options;
    let (backup_type, ended) = (request.backup_type, (options.now)());
    // A signal ends all soon.
    if !matches!(error.kind, Kind::Signal(_)) {
        Unbegun { config, scopes, backup_type, began, ended, events }.record_lines(&lines(&error));
    }
    error
}

/// Leaves a record of a run that failed, and hands the error on.
pub(super) fn left(options: &Options<'_>, run: &Run, error: Error) -> Error {
    let request = &options.request;
    let recorded = run.record_failure(&request.scope, request.backup_type, (options.now)(), lines(&error));
    if let Err(unrecorded) = recorded {
        options.events.warn(format!("the failure could not be recorded: {unrecorded}"));
    }
    run.audit(&options.events, "failed");
    error
}
