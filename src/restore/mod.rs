//! `restore`: puts stored data back.

mod choose;
mod claims;
mod directory;
mod guards;
mod layout;
mod live;
mod named;
mod outcome;
mod proof;
mod safety;
mod tenant;
mod uploads;

use crate::config::Config;
use crate::error::Result;
use crate::event::{Event, Events};
use crate::keys::Identities;
use crate::modules::{self, Only};
use crate::names::{BackupId, Scope, TenantId};
use crate::pipeline::Cancel;
use crate::repository::{Journal, Repository, Undertaking, Wait};
use crate::source;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::source::Existing;

/// Which backup.
#[derive(Debug, Clone)]
pub enum Which {
    /// This one.
    Id(BackupId),
    /// The newest good one, judged per module, at or before a moment.
    Latest {
        /// The moment.
        before: Option<DateTime<Utc>>,
    },
}

/// Everything a restore needs from outside.
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Which backup.
    pub which: Which,
    /// Backups of this tenant; none: system-wide ones.
    pub tenant: Option<TenantId>,
    /// What is restored of the tenant becomes this one's.
    pub as_tenant: Option<TenantId>,
    /// Only these modules; empty: all.
    pub modules: Vec<String>,
    /// Only these collections; empty: all.
    pub collections: Vec<String>,
    /// Only databases or only files.
    pub only: Option<Only>,
    /// `--into SOURCE=URI`.
    pub into: BTreeMap<String, String>,
    /// `--files-into DIR`.
    pub files_into: Option<PathBuf>,
    /// `--to-directory DIR`: plain files instead of a live target.
    pub to_directory: Option<PathBuf>,
    /// What happens to data that is there.
    pub existing: Existing,
    /// Collections that are loaded, and parts that are proven, at once; none: two, and as many parts as there are processors.
    pub jobs: Option<usize>,
    /// Protected sources and upload roots that may be written to.
    pub allow_protected: Vec<String>,
    /// Back up what will be overwritten or deleted first.
    pub safety_backup: bool,
    /// Asked before anything that is there is changed, shown the plan; an error without consent.
    pub consent: &'a (dyn Fn(&Report) -> Result<()> + Sync),
    /// Believe manifests that carry no signature, though signing is set up.
    pub allow_unsigned: bool,
    /// What opens encrypted archives.
    pub identities: Arc<Identities>,
    /// Resolve, check and count, but change nothing.
    pub dry_run: bool,
    /// How long to wait for the repository's lock.
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

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("which", &self.which).finish_non_exhaustive()
    }
}

/// What a restore did, or would do.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The backup.
    pub id: String,
    /// The tenant whose data it is, where it is one's.
    pub tenant_id: Option<String>,
    /// The tenant whose it becomes, where that is another.
    pub as_tenant: Option<String>,
    /// Where the data went: masked addresses and directories.
    pub target: Vec<String>,
    /// What happened to data that was there.
    pub existing: Existing,
    /// Names of the databases data goes to.
    pub databases: Vec<String>,
    /// Those of them in which whole collections that hold data are replaced.
    pub replaced_databases: Vec<String>,
    /// Protected sources and upload roots that it writes to.
    pub protected: Vec<String>,
    /// Per collection.
    pub collections: Vec<RestoredCollection>,
    /// Files written.
    pub files: u64,
    /// What happened to files, or would.
    pub file_changes: source::Changes,
    /// The safety backup that was taken first.
    pub safety_backup: Option<String>,
    /// Seconds it took.
    pub duration_seconds: f64,
    /// It was a dry run.
    pub dry_run: bool,
    /// Newer backups that were passed over, `id: reason`.
    pub passed_over: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// One collection of a report.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredCollection {
    /// The source.
    pub source: String,
    /// True name.
    pub name: String,
    /// Records created.
    pub created: u64,
    /// Records overwritten.
    pub overwritten: u64,
    /// Records deleted.
    pub deleted: u64,
    /// Records of the backup, in the target afterwards.
    pub documents: u64,
    /// What was written is in the target as it is stored.
    pub verified: bool,
}

/// Restores: choose, check, prove and stage, and only then change the target.
///
/// # Errors
/// `Refused` when the target holds data, `NotFound` when the selection matches nothing, `Damaged` when the stored
/// bytes are, `TargetChanged` when it stopped midway.
pub fn run(options: &Options<'_>) -> Result<Report> {
    let began = (options.now)();
    let config = options.config;
    let mut repository = Repository::open(&config.repository)?;
    if options.allow_unsigned {
        repository = repository.accepting_unsigned();
    }
    let _lock = if options.to_directory.is_some() || options.dry_run {
        repository.lock_shared("restore", options.wait.clone())?
    } else {
        repository.lock_restore("restore", options.wait.clone())?
    };
    let choice = choose::choose(options, &repository)?;
    let mut report = Report {
        id: choice.id.clone(),
        tenant_id: choice.tenant.clone().or_else(|| options.tenant.as_ref().map(ToString::to_string)),
        as_tenant: options.as_tenant.as_ref().map(ToString::to_string),
        target: Vec::new(),
        existing: options.existing,
        databases: Vec::new(),
        replaced_databases: Vec::new(),
        protected: Vec::new(),
        collections: Vec::new(),
        files: 0,
        file_changes: source::Changes::default(),
        safety_backup: None,
        duration_seconds: 0.0,
        dry_run: options.dry_run,
        passed_over: choice.passed_over,
        warnings: choice.warnings,
    };
    match &options.to_directory {
        Some(directory) => directory::extract(options, &repository, &choice.pieces, directory, &mut report)?,
        None => into_live(options, &repository, &choice.pieces, &mut report)?,
    }
    report.duration_seconds = ((options.now)() - began).to_std().unwrap_or_default().as_secs_f64();
    if !options.dry_run {
        repository.audit(&options.events, "restore", &choice.id, "success");
    }
    Ok(report)
}

/// Restores into databases and directories. Whatever can be found out before the first change, is.
fn into_live(
    options: &Options<'_>,
    repository: &Repository,
    pieces: &[choose::Piece],
    report: &mut Report,
) -> Result<()> {
    let config = redirected(options)?;
    let mut live = live::Live::open(options, (&config, repository), pieces, report)?;
    let mut uploads = uploads::Uploads::open(options, (&config, repository), pieces, report)?;
    report.protected = guards::protected(options.config, &config, live.sources(), uploads.roots(&config));
    guards::allow(options, &report.protected)?;
    let undertaking = Undertaking {
        backup: report.id.clone(),
        existing: word(options.existing).to_owned(),
        targets: report.target.clone(),
        steps: live.steps().chain(uploads.steps()).collect(),
    };
    let progress = repository.progress(&undertaking)?;
    live.plan(options, &progress, report)?;
    let first_step = live.steps().count();
    uploads.plan(options, &config, pieces, (&progress, first_step), report)?;
    if options.dry_run {
        return Ok(());
    }
    (options.consent)(report)?;
    report.collections.clear();
    report.file_changes = source::Changes::default();

    // Everything is proven before anything is written, also beside what is there.
    options.events.emit(Event::Phase("proving"));
    live.prove(options)?;
    uploads.prove(options)?;
    let mut journal = open_journal(options, repository, &undertaking, &live, report)?;
    let done = take_safety_backup(options, &config, pieces, &live, &uploads, &mut journal, report)
        .and_then(|()| live.stage(options, &journal, report))
        .and_then(|()| live.switch(options, &mut journal, report))
        // Every step is noted: the traces by which that could be known otherwise are not needed any more.
        .and_then(|()| live.sweep(journal.token()))
        .and_then(|()| uploads.write(options, &mut journal, report));
    let Err(mut error) = done else { return journal.close() };
    let swept = live.sweep(journal.token());
    if let Err(left) = &swept {
        error = error.cause(format!("what was staged is left behind: {left}"));
    }
    if journal.changed_something() {
        let titles: Vec<_> = live.titles().chain(uploads.titles()).collect();
        return Err(outcome::stopped(error, &journal, &titles));
    }
    // While something is left the journal stays, so that the next run knows of it.
    match swept.and_then(|()| journal.close()) {
        Ok(()) => Err(error),
        Err(_) => Err(outcome::then(error, "run the same command again: it removes what is left of this run")),
    }
}

/// The word of the command line.
fn word(existing: Existing) -> &'static str {
    match existing {
        Existing::Refuse => "refuse",
        Existing::Add => "add",
        Existing::Merge => "merge",
        Existing::Replace => "replace",
    }
}

/// The configuration, with sources and directories where this restore sends them.
fn redirected(options: &Options<'_>) -> Result<Config> {
    let mut config = options.config.clone();
    for (name, into) in &options.into {
        if let Some(source) = config.sources.get_mut(name) {
            *source = source::redirect(name, source, into)?;
        }
    }
    if let Some(directory) = &options.files_into {
        for root in &mut config.uploads {
            root.root = directory.join(&root.name);
        }
        for files in config.extra_files.values_mut() {
            *files = source::files::below(files, directory);
        }
    }
    Ok(config)
}

fn open_journal(
    options: &Options<'_>,
    repository: &Repository,
    undertaking: &Undertaking,
    live: &live::Live,
    report: &mut Report,
) -> Result<Journal> {
    let (mut journal, earlier) = repository.open_journal(undertaking, (options.now)())?;
    live.note_done(&mut journal)?;
    for token in &earlier.tokens {
        live.sweep(token)?;
    }
    for restore in earlier.given_up {
        report.warnings.push(format!("an interrupted {restore}; it will not be finished"));
    }
    Ok(journal)
}

fn take_safety_backup(
    options: &Options<'_>,
    config: &Config,
    pieces: &[choose::Piece],
    live: &live::Live,
    uploads: &uploads::Uploads,
    journal: &mut Journal,
    report: &mut Report,
) -> Result<()> {
    report.safety_backup = journal.safety_backup().map(ToOwned::to_owned);
    let components = safety::components(config, pieces, live, uploads);
    if !options.safety_backup || report.safety_backup.is_some() || components.is_empty() {
        return Ok(());
    }
    options.events.emit(Event::Phase("backing up what will be changed"));
    // Of one tenant's restore, that tenant's data is what can be lost.
    let share = pieces.iter().find_map(|piece| piece.share.as_ref());
    let scope = share.map_or(Scope::SystemWide, |share| Scope::Tenant(share.tenant.clone()));
    let references = match share.filter(|_| uploads.overwrites_common()) {
        Some(share) => modules::tenant_references(options.config, &share.tenant)?,
        None => Vec::new(),
    };
    let id = safety::take(options, config, (scope, components), references, &report.id)?;
    journal.note_safety_backup(&id)?;
    report.safety_backup = Some(id);
    Ok(())
}
