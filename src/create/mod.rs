//! `create`: makes one backup.

mod component;
mod progress;
mod record;

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::manifest::{Manifest, Status};
use crate::modules::{self, Request};
use crate::names::BackupId;
use crate::pipeline::Cancel;
use crate::plan::{self, Plan, Sources};
use crate::repository::{FailedRun, Repository, Wait};
use chrono::{DateTime, SubsecRound, Utc};
use std::path::PathBuf;

/// Everything a run needs from outside.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// What was asked for.
    pub request: Request,
    /// How long to wait for the scope's lock.
    pub wait: Wait,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// Who runs it, `user@host`.
    pub created_by: String,
    /// Where events go.
    pub events: Events,
    /// The cancel flag.
    pub cancel: Cancel,
}

/// A published backup.
#[derive(Debug)]
pub struct Created {
    /// Its manifest; the status says whether it is whole.
    pub manifest: Manifest,
    /// Its folder.
    pub folder: PathBuf,
}

/// Resolves the request against the live sources and changes nothing.
///
/// # Errors
/// When the request is wrong or a source cannot be reached.
pub fn plan(options: &Options<'_>) -> Result<Plan> {
    let config = options.config;
    let selection = modules::select(config, &options.request)?;
    let repository = existing_repository(config)?;
    let sources = plan::connect(config, &selection, &options.cancel)?;
    let mut plan = plan::resolve(config, &selection, &sources, &options.cancel)?;
    plan.free_space = repository.map(|repository| repository.free_space()).transpose()?;
    Ok(plan)
}

/// Makes the backup. A partial one is `Ok`: its manifest says so. When nothing usable was stored it is an error, and
/// a record of the failed run is left.
///
/// # Errors
/// When the request, the repository or a lock is in the way, a source cannot be reached, the disk fails, a signal
/// came, or nothing usable was stored.
pub fn run(options: &Options<'_>) -> Result<Created> {
    let selection = modules::select(options.config, &options.request)?;
    // To the millisecond, as the id says it.
    let began = (options.now)().trunc_subsecs(3);
    let id = BackupId::new(&selection.scope, began);
    let what = format!("create {id}");

    // A repository that is there is opened and locked before anything else is touched; one that is not is made only
    // once the sources have answered, so that a wrong password does not leave an empty repository.
    options.events.emit(Event::Phase("connecting"));
    let existing = existing_repository(options.config)?;
    let mut lock = existing.as_ref().map(|r| r.lock_scope(&selection.scope, &what, options.wait)).transpose()?;
    let prepared = plan::connect(options.config, &selection, &options.cancel).and_then(|sources| {
        options.events.emit(Event::Phase("planning"));
        let plan = plan::resolve(options.config, &selection, &sources, &options.cancel)?;
        Ok((sources, plan))
    });
    let (sources, plan) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Err(failed(options, existing.as_ref(), &id, began, error)),
    };
    let repository = match existing {
        Some(repository) => repository,
        None => {
            let location = &options.config.repository.location;
            Repository::open_or_create(location, options.config.repository.id.as_deref())?.0
        }
    };
    if lock.is_none() {
        lock = Some(repository.lock_scope(&selection.scope, &what, options.wait)?);
    }

    let made = make(options, &repository, &id, began, &plan, &sources);
    drop(lock);
    match made {
        Ok(manifest) => {
            let result = if manifest.status == Status::Success { "success" } else { "partial" };
            audit(options, &repository, &id, result);
            Ok(Created { folder: repository.folder(&id, manifest.backup_type), manifest })
        }
        Err(error) => Err(failed(options, Some(&repository), &id, began, error)),
    }
}

/// The repository, where its location exists. Where it does not, `create` may make it, unless an id is expected.
fn existing_repository(config: &Config) -> Result<Option<Repository>> {
    let (location, id) = (&config.repository.location, config.repository.id.as_deref());
    let exists = location.symlink_metadata().is_ok();
    if exists || id.is_some() { Repository::open(location, id).map(Some) } else { Ok(None) }
}

fn make(
    options: &Options<'_>,
    repository: &Repository,
    id: &BackupId,
    began: DateTime<Utc>,
    plan: &Plan,
    sources: &Sources,
) -> Result<Manifest> {
    let mut warnings = plan.warnings.clone();
    warnings.extend(repository.sweep(&plan.scope)?);
    if let Some(newest) = repository.catalog()?.backups.first()
        && newest.id.at() > began
    {
        warnings
            .push(format!("the clock is behind the newest backup ({}): ages and retention will be wrong", newest.id));
    }
    options.events.emit(Event::Phase("reading"));
    let staging = repository.begin(id, options.request.backup_type)?;
    let stored = component::store_all(options, &staging, plan, sources, began)
        .map_err(|error| explain_space(error, repository, plan))?;
    warnings.extend(stored.warnings);
    for warning in &warnings {
        options.events.warn(warning.clone());
    }
    let manifest = record::manifest(options, id, began, plan, stored.components, warnings);
    if manifest.status == Status::Failed {
        let error = Error::new(Kind::Missing, "nothing usable was stored, so there is no new backup");
        let hint = "the lines above name each component and why; `backup verify-collections` shows what exists";
        return Err(error.details(manifest.errors).hint(hint));
    }
    options.cancel.check()?;
    options.events.emit(Event::Phase("publishing"));
    staging.publish(&manifest).map_err(|error| explain_space(error, repository, plan))?;
    Ok(manifest)
}

/// A full disk says what it needed and what it had.
fn explain_space(error: Error, repository: &Repository, plan: &Plan) -> Error {
    if error.kind != Kind::Io {
        return error;
    }
    match repository.free_space() {
        Ok(free) => error.cause(format!(
            "need up to {} before compression, have {} at {}",
            crate::event::bytes(plan.bytes),
            crate::event::bytes(free),
            repository.location().display()
        )),
        Err(_) => error,
    }
}

/// Leaves a record of the failed run, where there is a repository to leave it in, and hands the error on.
fn failed(
    options: &Options<'_>,
    repository: Option<&Repository>,
    id: &BackupId,
    began: DateTime<Utc>,
    error: Error,
) -> Error {
    let Some(repository) = repository.filter(|_| error.kind != Kind::Locked) else { return error };
    let run = FailedRun {
        id: id.to_string(),
        backup_type: options.request.backup_type,
        tenant_id: options.request.scope.tenant().map(ToString::to_string),
        timestamp: began,
        duration_seconds: record::seconds(began, (options.now)()),
        errors: std::iter::once(error.to_string()).chain(error.details.iter().cloned()).collect(),
    };
    if let Err(unrecorded) = repository.record_failure(&run) {
        options.events.warn(format!("the failure could not be recorded: {unrecorded}"));
    }
    audit(options, repository, id, "failed");
    error
}

/// The audit line is worth a warning, never the backup.
fn audit(options: &Options<'_>, repository: &Repository, id: &BackupId, result: &str) {
    if let Err(error) = repository.audit("create", id.as_str(), result) {
        options.events.warn(format!("the audit log could not be written: {error}"));
    }
}
