//! The resolved configuration: what every other part of the program works with. Values here are checked, defaults are
//! filled in, paths are absolute, secrets are wrapped. `config::load` is the only maker.

mod around;
mod jobs;
mod license;
mod modules;
mod monitoring;
mod repository;
mod retention;
mod sources;
mod tenancy;
mod uploads;
mod verification;

pub use around::*;
pub use jobs::*;
pub use license::*;
pub use modules::*;
pub use monitoring::*;
pub use repository::*;
pub use retention::*;
pub use sources::*;
pub use tenancy::*;
pub use uploads::*;
pub use verification::*;

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One installation: the resolved content of one configuration file.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file this came from.
    pub file: PathBuf,
    /// Further files with modules, in the order of their names.
    pub module_files: Vec<PathBuf>,
    /// The name of the installation.
    pub installation: String,
    /// Calendar of types, retention and schedules.
    pub timezone: chrono_tz::Tz,
    /// Where backups go.
    pub repository: Repository,
    /// How archives are compressed.
    pub compression: Compression,
    /// The most bytes that are read of all sources in a second.
    pub rate_limit: Option<u64>,
    /// Databases by name.
    pub sources: BTreeMap<String, Source>,
    /// Upload roots, in the order of the file.
    pub uploads: Vec<UploadRoot>,
    /// Extra archives of a system backup, by name.
    pub extra_files: BTreeMap<String, ExtraFiles>,
    /// What the installation is licensed for.
    pub license: License,
    /// Who the tenants are and how they own records.
    pub tenancy: Tenancy,
    /// Modules by name.
    pub modules: BTreeMap<String, Module>,
    /// What `verify-collections` checks beyond existence.
    pub verification: Verification,
    /// What `create` does when data shrinks.
    pub anomaly: Anomaly,
    /// What prune keeps.
    pub retention: Retention,
    /// Named, scheduled requests.
    pub jobs: BTreeMap<String, Job>,
    /// Where figures for a monitoring system are written.
    pub metrics: Option<Metrics>,
    /// When `check` warns.
    pub checks: Checks,
    /// Who is told of runs.
    pub notifications: Vec<Notifier>,
    /// What is worth a warning after `create`.
    pub alerts: Alerts,
    /// Programs that are run around every `create`.
    pub commands: Commands,
    /// Findings that are no errors (a world-readable file with a secret in it, say).
    pub warnings: Vec<String>,
}
