//! The file as it may be written. What is required is said to the schema; the structures themselves are lenient, so
//! that checks of meaning still run over a file in which a part is missing.

macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident : $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(in crate::config) struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    };
}

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

pub(super) use around::*;
pub(super) use jobs::*;
pub(super) use license::*;
pub(super) use modules::*;
pub(super) use monitoring::*;
pub(super) use repository::*;
pub(super) use retention::*;
pub(super) use sources::*;
pub(super) use tenancy::*;
pub(super) use uploads::*;
pub(super) use verification::*;

use crate::config::either::Either;
use crate::config::either::Patterns;
use crate::config::either::RawRetention;
use crate::config::either::Size;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

section! {
/// The configuration of `backup` for one installation.
RawConfig {
    /// Name of the installation, written into every backup.
    #[schemars(required)]
    installation: Option<String>,
    /// Calendar of types, retention and schedules (an IANA name; default UTC). Names on disk are always UTC.
    timezone: Option<String>,
    /// Where backups go.
    #[schemars(required)]
    repository: Option<RawRepository>,
    /// How archives are compressed.
    compression: Option<Either<RawPreset, RawCompression>>,
    /// The most that is read of all sources in a second: `20MiB`; default: no limit.
    rate_limit: Option<Size>,
    /// How long databases are waited for, unless a source says otherwise.
    timeouts: Option<RawTimeouts>,
    /// Databases, by name.
    #[serde(default)]
    sources: BTreeMap<String, RawSource>,
    /// Upload roots; a module's directory is looked for under every root.
    #[serde(default)]
    uploads: Vec<RawUpload>,
    /// Extra archives of a system backup, beside the modules.
    #[serde(default)]
    extra_files: BTreeMap<String, RawExtraFiles>,
    /// What the installation is licensed for.
    license: Option<RawLicense>,
    /// Who the tenants are and how they own records.
    tenancy: Option<RawTenancy>,
    /// Modules, by name.
    #[serde(default)]
    modules: BTreeMap<String, RawModule>,
    /// Files with further modules, each beside its code: a glob relative to this file, or several.
    #[expect(dead_code, reason = "read from the tree, before it takes this form")]
    modules_from: Option<Patterns>,
    /// What `verify-collections` checks beyond existence.
    verification: Option<RawVerification>,
    /// What `create` does when a collection or upload directory holds much less than in the previous good backup.
    anomaly: Option<RawAnomaly>,
    /// What prune keeps: classes of modules, or one `policy`.
    retention: Option<RawRetention>,
    /// Named, scheduled requests.
    #[serde(default)]
    jobs: BTreeMap<String, RawJob>,
    /// Figures for a monitoring system.
    metrics: Option<RawMetrics>,
    /// When `check` warns; default: of copies older than 26h and 50h.
    checks: Option<RawChecks>,
    /// Who is told of runs.
    #[serde(default)]
    notifications: Vec<RawNotifier>,
    /// What is worth a warning after `create`.
    alerts: Option<RawAlerts>,
    /// Programs that are run around every `create`.
    commands: Option<RawCommands>,
}}
