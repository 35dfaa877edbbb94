//! `verify`: proves that what a manifest names is what is stored.

use crate::config::Config;
use crate::error::Result;
use crate::event::Events;
use crate::names::BackupId;
use crate::pipeline::Cancel;
use crate::repository::{VerifyLevel, Wait};
use chrono::{DateTime, Utc};

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

/// Verifies. Damage is a verdict, not an error.
///
/// # Errors
/// When a backup does not exist or the repository cannot be read.
pub fn run(options: &Options<'_>) -> Result<Vec<Report>> {
    let _ = options;
    unimplemented!()
}
