//! The global options, resolved: what every command works with.

use crate::cli::args::{Color, Global, LogFormat, Which};
use crate::cli::log::{Level, Log};
use crate::cli::progress::Progress;
use crate::cli::{process, time};
use crate::config::{self, Config, Environment, Secret};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::keys::Identities;
use crate::names::{BackupId, Scope, TenantId};
use crate::pipeline::Cancel;
use crate::repository::{Catalog, Entry, Meanwhile, Repository, Wait};
use crate::restore;
use crate::tenants::{self, Known};
use crate::verify_collections;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What every command works with.
#[derive(Debug)]
pub struct Settings {
    /// `--config`, as it was given.
    pub config_file: Option<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// `--json`.
    pub json: bool,
    /// `--quiet`.
    pub quiet: bool,
    /// `-v` was given.
    pub verbose: bool,
    /// How long to wait for locks.
    pub wait: Option<Duration>,
    /// Where events go.
    pub events: Events,
    /// Warnings that wait for the end under `--quiet`.
    pub log: Arc<Log>,
    /// The configuration, once it was loaded: how a run ended is told to where that says.
    pub loaded: OnceLock<Config>,
    /// `before` said that the run should not be now: it ended well, and did nothing.
    pub skipped: AtomicBool,
    /// What a verification of all collections of a scope found: metrics tell it.
    pub found: OnceLock<verify_collections::Report>,
}

impl Settings {
    /// Resolves the global options, and sets up colours and the log.
    pub fn resolve(global: &Global) -> Self {
        match global.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        let bars = std::io::stderr().is_terminal()
            && !(global.no_progress || global.quiet || global.json || global.log_format == LogFormat::Json);
        let level = match global.verbose {
            0 if global.quiet || global.json || bars => Level::Warnings,
            0 => Level::Results,
            1 => Level::Details,
            _ => Level::Everything,
        };
        let log = Arc::new(Log::new(level, global.log_format, global.quiet));
        let events = if bars { Events::new(Arc::new(Progress::new(log.clone()))) } else { Events::new(log.clone()) };
        Self {
            config_file: global.config.clone(),
            environment: Environment::process(),
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            wait: global.wait,
            events,
            log,
            loaded: OnceLock::new(),
            skipped: AtomicBool::new(false),
            found: OnceLock::new(),
        }
    }

    /// Finds and loads the configuration; its warnings are emitted. It is done once: whoever asks again gets the same.
    ///
    /// # Errors
    /// [`Kind::Config`] when there is none or it is not valid.
    pub fn load(&self) -> Result<Config> {
        if let Some(config) = self.loaded.get() {
            return Ok(config.clone());
        }
        let file = config::find(self.config_file.as_deref(), &self.environment)?;
        let config = config::load(&file, &self.environment)?;
        for warning in &config.warnings {
            self.events.warn(warning);
        }
        let _ = self.loaded.set(config.clone());
        Ok(config)
    }

    /// [`Settings::load`] for a run of one scope: its tenant is known, and what is the tenant's own has its name.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such tenant; as [`Settings::load`].
    pub fn load_for(&self, scope: &Scope, cancel: &Cancel) -> Result<Config> {
        self.known_to(&self.load()?, scope, cancel)
    }

    /// The same of a configuration that is loaded already.
    ///
    /// # Errors
    /// As [`Settings::load_for`].
    pub fn known_to(&self, config: &Config, scope: &Scope, cancel: &Cancel) -> Result<Config> {
        let known = tenants::of_scope(config, scope, cancel)?;
        self.tell(&known);
        for_scope(known.config, scope)
    }

    /// Says what is worth knowing of tenants that were looked up.
    pub fn tell(&self, known: &Known) {
        for mistake in &known.mistakes {
            self.events.warn(mistake);
        }
        for note in &known.notes {
            self.events.emit(Event::Detail(note.clone()));
        }
    }

    /// A cancel flag that signals set.
    ///
    /// # Errors
    /// When signals cannot be listened for.
    pub fn cancel(&self) -> Result<Cancel> {
        process::cancel_on_signals()
    }

    /// How locks are waited for: until `cancel` is set, and said once for whom.
    pub fn wait(&self, cancel: &Cancel) -> Wait {
        let Some(limit) = self.wait else { return Wait::No };
        let (events, cancel, said) = (self.events.clone(), cancel.clone(), AtomicBool::new(false));
        let meanwhile = move |busy: &str| {
            if !said.swap(true, Ordering::Relaxed) {
                events.warn(format!("waiting for at most {}: {busy}", config::show_duration(limit)));
            }
            cancel.check()
        };
        Wait::For(limit, Meanwhile::new(meanwhile))
    }
}

/// Opens the configured repository.
///
/// # Errors
/// When there is no repository, or it cannot be read.
pub fn repository(config: &Config) -> Result<Repository> {
    Repository::open(&config.repository)
}

/// The configured repository's catalog.
///
/// # Errors
/// As [`repository`], and when it cannot be listed.
pub fn catalog(config: &Config) -> Result<Catalog> {
    repository(config)?.catalog()
}

/// What opens encrypted archives: the identity files of the configuration, and those of `--identity`, which must be there.
///
/// # Errors
/// [`Kind::Key`] when a file cannot be used.
pub fn identities(config: &Config, given: &[PathBuf]) -> Result<Arc<Identities>> {
    let encryption = &config.repository.encryption;
    let files: Vec<_> = given.iter().chain(&encryption.identities).cloned().collect();
    let identities = Identities::read(&files, encryption.passphrase.as_ref().map(Secret::reveal))?;
    match identities.absent().iter().find(|file| given.contains(file)) {
        Some(file) => Err(Error::new(Kind::Key, format!("the identity file {} does not exist", file.display()))),
        None => Ok(Arc::new(identities)),
    }
}

/// The configuration with `{tenant}` filled in, where the scope is one.
///
/// # Errors
/// [`Kind::Config`] where the tenant's id cannot be part of a name.
pub fn for_scope(config: Config, scope: &Scope) -> Result<Config> {
    match scope.tenant() {
        Some(tenant) if config.has_templates() => config.for_tenant(tenant),
        _ => Ok(config),
    }
}

/// The scope that `--tenant` names.
///
/// # Errors
/// [`Kind::Config`] when it is no tenant id.
pub fn scope(tenant: Option<&str>) -> Result<Scope> {
    Ok(match tenant {
        Some(tenant) => Scope::Tenant(TenantId::parse(tenant)?),
        None => Scope::SystemWide,
    })
}

/// Resolves `ID|latest` and `--before`.
///
/// # Errors
/// [`Kind::Config`] when one of them is malformed or they do not fit together.
pub fn which(which: &Which, config: &Config) -> Result<restore::Which> {
    if which.id == "latest" {
        let before = which.before.as_deref().map(|text| time::moment(text, config.timezone)).transpose()?;
        return Ok(restore::Which::Latest { before });
    }
    if which.before.is_some() {
        return Err(Error::new(Kind::Config, "--before goes with `latest`, not with the id of a backup"));
    }
    Ok(restore::Which::Id(BackupId::parse(&which.id)?))
}

/// The one entry that `which` names among the backups of `scope`.
///
/// # Errors
/// [`Kind::NotFound`] when there is none.
pub fn entry<'a>(catalog: &'a Catalog, which: &restore::Which, scope: &Scope) -> Result<&'a Entry> {
    match which {
        restore::Which::Id(id) => catalog.find(id),
        restore::Which::Latest { before } => catalog.candidates(scope, *before).into_iter().next().ok_or_else(|| {
            let until = before.map(|at| format!(" at or before {}", time_text(at))).unwrap_or_default();
            Error::new(Kind::NotFound, format!("there is no {scope} backup{until}"))
                .hint("`backup list` shows what there is")
        }),
    }
}

fn time_text(at: chrono::DateTime<chrono::Utc>) -> String {
    crate::cli::text::time(at)
}
