//! `create`: makes one backup.

mod anomaly;
mod component;
mod effort;
mod failure;
mod many;
mod progress;
mod record;
mod references;
mod turns;

pub use effort::Effort;
pub use failure::Unbegun;
pub use many::{Outcome, plan as plan_of, run as many};

use crate::config::{BeforeBackup, Config};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::license;
use crate::manifest::{Manifest, Status};
use crate::modules::{self, Grants, Only, Request, Selection};
use crate::names::{BackupId, Scope, TenantId};
use crate::pipeline::{Cancel, Pool};
use crate::plan::{self, Inventories, Plan, Sources};
use crate::repository::{Catalog, Lock, Repository, Wait};
use crate::verify_collections::{self, VerificationStatus};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::slice;

/// Everything a run needs from outside.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// What was asked for.
    pub request: Request,
    /// The backup whose restore this one is made for.
    pub safety_for: Option<String>,
    /// Data that shrank is meant to have: no anomaly fails a component.
    pub accept_shrink: bool,
    /// How hard to work.
    pub effort: Effort,
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
    /// Data shrank suspiciously, and nobody has accepted it: worth a word also where success is silent.
    pub shrank: bool,
}

/// Resolves the request against the live sources and changes nothing.
///
/// # Errors
/// When the request is wrong or a source cannot be reached.
pub fn plan(options: &Options<'_>) -> Result<Plan> {
    let config = options.config;
    let selection = select(options)?;
    let repository = existing_repository(config)?;
    let sources = plan::connect(config, &selection, &Sources::new(), &options.cancel)?;
    let mut plan = plan::resolve(config, &selection, &sources, &Inventories::new(), &options.cancel)?;
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
    let (began, scope) = ((options.now)(), &options.request.scope);
    let mut selection = select(options)?;
    let found = gate(options, &selection.grants, scope.tenant());
    let found = found.map_err(|error| failure::not_begun(options, slice::from_ref(scope), began, error))?;
    selection.notes.extend(found);
    selected(options, &selection)
}

/// Verifies the collections first, where the configuration asks for it; what it found, where that stops nothing.
fn gate(options: &Options<'_>, grants: &Grants, tenant: Option<&TenantId>) -> Result<Vec<String>> {
    let config = options.config;
    let before = config.verification.before_backup;
    // Files have no collections.
    if before == BeforeBackup::Off || options.request.only == Some(Only::Files) {
        return Ok(Vec::new());
    }
    options.events.emit(Event::Phase("verifying the collections"));
    let report = verify_collections::run(config, grants, tenant, &options.request.modules, &options.cancel)?;
    if before == BeforeBackup::Refuse && report.verification_status == VerificationStatus::Failed {
        let what = "the collections are not as expected, and no backup was made (verification.beforeBackup: refuse)";
        return Err(Error::new(Kind::Refused, what)
            .details(report.findings)
            .hint("`backup verify-collections` shows it all; set `beforeBackup: warn` to back up what there is"));
    }
    Ok(report.findings.into_iter().map(|finding| format!("verify-collections: {finding}")).collect())
}

fn select(options: &Options<'_>) -> Result<Selection> {
    let grants = license::required(options.config, &options.request.scope, (options.now)())?;
    modules::select(options.config, &grants, &options.request)
}

/// Makes a backup of what is already selected.
///
/// # Errors
/// As [`run`].
pub fn selected(options: &Options<'_>, selection: &Selection) -> Result<Created> {
    within(options, selection, None)
}

/// What the runs over many tenants have in common for a while.
struct Batch<'a> {
    repository: &'a Repository,
    sources: &'a Sources,
    inventories: &'a Inventories,
    views: &'a component::Views<'a>,
    pool: &'a Pool,
    /// Of how many data is read at once.
    reading: &'a turns::Turns,
    /// What is known of each scope's earlier backups.
    catalogs: &'a BTreeMap<Scope, Catalog>,
    /// Scopes of which dead runs have left something.
    leftovers: &'a BTreeSet<Scope>,
}

/// One of many runs, and its turn to read, while it has it.
struct Part<'a> {
    batch: &'a Batch<'a>,
    turn: Option<turns::Turn<'a>>,
}

fn within(options: &Options<'_>, selection: &Selection, mut part: Option<Part<'_>>) -> Result<Created> {
    let batch = part.as_ref().map(|part| part.batch);
    // A repository that is there is opened and locked before anything else is touched; one that is not is made only
    // once the sources have answered, so that a wrong password does not leave an empty repository.
    options.events.emit(Event::Phase("connecting"));
    let existing = match batch {
        Some(batch) => Some(batch.repository.clone()),
        None => existing_repository(options.config)?,
    };
    // The tenant's lock may be waited for, and nobody else has to wait with it.
    part.iter_mut().for_each(|part| part.turn = None);
    let run = existing.map(|repository| Run::new(options, repository, &selection.scope)).transpose()?;
    part.iter_mut().for_each(|part| part.turn = Some(part.batch.reading.go_on()));
    let (none, unknown) = (Sources::new(), Inventories::new());
    let (open, known) = batch.map_or((&none, &unknown), |batch| (batch.sources, batch.inventories));
    // The sources look at a flag of this run: when it cannot go on, nobody waits for their answers.
    let cancel = options.cancel.child();
    let prepared = plan::connect(options.config, selection, open, &cancel).and_then(|sources| {
        options.events.emit(Event::Phase("planning"));
        let plan = plan::resolve(options.config, selection, &sources, known, &cancel)?;
        Ok((sources, plan))
    });
    let (sources, plan) = match (prepared, &run) {
        (Ok(prepared), _) => prepared,
        (Err(error), Some(run)) => return Err(failure::left(options, run, error)),
        (Err(error), None) => return Err(error),
    };
    let run = match run {
        Some(run) => run,
        None => {
            let (repository, _) = Repository::open_or_create(&options.config.repository)?;
            Run::new(options, repository, &selection.scope)?
        }
    };

    match make(options, &run, &plan, (&sources, &cancel), part) {
        Ok((manifest, shrank)) => {
            let result = if manifest.status == Status::Success { "success" } else { "partial" };
            run.audit(&options.events, result);
            Ok(Created { folder: run.repository.folder(&run.id, manifest.backup_type), manifest, shrank })
        }
        Err(error) => Err(failure::left(options, &run, error)),
    }
}

/// A repository held for one run, and the backup it makes. Its id is chosen under the scope's lock, so that runs which
/// waited for each other cannot choose the same.
struct Run {
    repository: Repository,
    _lock: Lock,
    id: BackupId,
    began: DateTime<Utc>,
}

impl Run {
    fn new(options: &Options<'_>, repository: Repository, scope: &Scope) -> Result<Self> {
        Self::at(repository, scope, (options.now)(), options.wait.clone())
    }

    fn at(repository: Repository, scope: &Scope, began: DateTime<Utc>, wait: Wait) -> Result<Self> {
        let lock = repository.lock_scope(scope, &format!("create, {scope}"), wait)?;
        let id = repository.free_id(scope, began);
        let began = id.at();
        Ok(Self { repository, _lock: lock, id, began })
    }

    fn audit(&self, events: &Events, result: &str) {
        self.repository.audit(events, "create", self.id.as_str(), result);
    }
}

/// The repository, where its location exists. Where it does not, `create` may make it, unless an id is expected.
fn existing_repository(config: &Config) -> Result<Option<Repository>> {
    let settings = &config.repository;
    let is_expected = settings.id.is_some() || settings.location.symlink_metadata().is_ok();
    if is_expected { Repository::open(settings).map(Some) } else { Ok(None) }
}

/// The manifest of what was made, and whether data shrank. `cancel` is the flag that the sources look at.
fn make(
    options: &Options<'_>,
    run: &Run,
    plan: &Plan,
    (sources, cancel): (&Sources, &Cancel),
    part: Option<Part<'_>>,
) -> Result<(Manifest, bool)> {
    let batch = part.as_ref().map(|part| part.batch);
    let Run { repository, id, began, .. } = run;
    let began = *began;
    let mut warnings = plan.warnings.clone();
    if batch.is_none_or(|batch| batch.leftovers.contains(&plan.scope)) {
        warnings.extend(repository.sweep(&plan.scope)?);
    }
    let catalog = match batch {
        None => repository.catalog()?,
        Some(batch) => batch.catalogs.get(&plan.scope).cloned().unwrap_or_default(),
    };
    if let Some(newest) = catalog.backups.first().filter(|newest| newest.id.at() > began) {
        warnings
            .push(format!("the clock is behind the newest backup ({}): ages and retention will be wrong", newest.id));
    }
    let previous = anomaly::Previous::find(options, repository, &catalog, plan, began, &mut warnings);
    drop(catalog);
    options.events.emit(Event::Phase("reading"));
    options.effort.tell(&options.events);
    let begun = repository.begin(id, options.request.backup_type);
    let staging = begun.map_err(|error| explain_space(error, repository, plan))?;
    let mut stored = component::store_all(options, &staging, plan, (sources, cancel), began, part)
        .map_err(|error| explain_space(error, repository, plan))?;
    warnings.extend(stored.warnings);
    if let Some(tenant) = plan.scope.tenant().filter(|_| record::holds_nothing_owned(&stored.components)) {
        let nothing =
            "nothing of it is anywhere: right for a new tenant; else compare the id with those in the records";
        warnings.push(format!("the backup of tenant '{tenant}' is empty: {nothing}"));
    }
    let anomalies = previous.judge(options, &mut stored.components);
    let shrank = !anomalies.is_empty() && !options.accept_shrink;
    warnings.extend(anomalies);
    // Those of the configuration were told when it was loaded.
    for warning in warnings.iter().filter(|warning| !options.config.warnings.contains(warning)) {
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
    let manifest = staging.publish(manifest).map_err(|error| explain_space(error, repository, plan))?;
    Ok((manifest, shrank))
}

/// A full disk says what it needed and what it had.
fn explain_space(error: Error, repository: &Repository, plan: &Plan) -> Error {
    if error.kind != Kind::DiskFull {
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
