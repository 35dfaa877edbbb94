//! Named, scheduled requests.

use super::BackupType;
use super::Commands;
use crate::names::TenantId;

/// A named, scheduled request.
#[derive(Debug, Clone)]
pub struct Job {
    /// Five-field cron expression in `timezone`.
    pub schedule: Option<String>,
    /// What it does.
    pub action: JobAction,
    /// Programs that are run around it, those of the file included where it makes a backup.
    pub commands: Commands,
}

/// What a job does.
#[derive(Debug, Clone)]
pub enum JobAction {
    /// `backup create` with these options.
    Create(CreateJob),
    /// `backup verify-collections`.
    VerifyCollections,
    /// `backup verify` of the newest system-wide backup, or of all.
    Verify(VerifyJob),
    /// `backup prune`.
    Prune,
    /// `backup key rotate`.
    KeyRotation,
}

/// Options of a `verify` job.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyJob {
    /// How deep; none: as deep as the keys here allow.
    pub level: Option<JobLevel>,
    /// Every backup, and not the newest alone.
    pub all: bool,
}

/// How deep a `verify` job looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobLevel {
    /// The stored bytes.
    Stored,
    /// And every record and file in them.
    Decoded,
    /// And all of it restored beside.
    Restored,
}

impl JobLevel {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Decoded => "decoded",
            Self::Restored => "restored",
        }
    }
}

/// Options of a `create` job.
#[derive(Debug, Clone, Default)]
pub struct CreateJob {
    /// Retention class.
    pub backup_type: BackupType,
    /// Only these modules.
    pub modules: Vec<String>,
    /// Only this tenant.
    pub tenant: Option<TenantId>,
    /// Each tenant, in a backup of its own.
    pub all_tenants: bool,
    /// Only databases or only files.
    pub only: Option<Only>,
}

/// Half of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Only {
    /// Databases.
    Database,
    /// Upload directories and extra files.
    Files,
}
