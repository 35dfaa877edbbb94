//! Later facts about a backup, each its own file beside the manifests.

use crate::manifest::moment;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How deep a verification went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VerifyLevel {
    Stored,
    Decoded,
    Restored,
}

/// The newest verification.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    pub level: VerifyLevel,
    #[serde(deserialize_with = "moment")]
    pub at: DateTime<Utc>,
    pub valid: bool,
    /// Archives that are not as recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// Kept from pruning.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    #[serde(deserialize_with = "moment")]
    pub at: DateTime<Utc>,
    pub by: String,
}

/// Record of a run that left no backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedRun {
    pub id: String,
    #[serde(rename = "type")]
    pub backup_type: crate::config::BackupType,
    pub tenant_id: Option<String>,
    #[serde(deserialize_with = "moment")]
    pub timestamp: DateTime<Utc>,
    pub duration_seconds: f64,
    pub errors: Vec<String>,
}
