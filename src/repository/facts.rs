//! Later facts about a backup, each its own file beside the manifests, and records of runs that left none.

use super::durable::{create_folder, remove_file, sync, write_file};
use super::lock;
use super::open::{FACTS, FAILED, METADATA, Repository};
use crate::error::{Error, Kind, Result};
use crate::manifest::moment;
use crate::names::BackupId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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

impl Repository {
    /// Records a run that left no backup.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn record_failure(&self, run: &FailedRun) -> Result<()> {
        let folder = self.location().join(METADATA).join(FAILED);
        self.write_json(&folder, &format!("{}.json", run.id), run)
    }

    /// Removes the record of a run that left no backup.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove_failure(&self, id: &str) -> Result<()> {
        let folder = self.location().join(METADATA).join(FAILED);
        // Ids in records are input: only what is an id names a file.
        let id = BackupId::parse(id)?;
        remove_file(&folder.join(format!("{id}.json")))?;
        sync(&folder)
    }

    /// Records a verification.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn record_verified(&self, id: &BackupId, fact: &Verified) -> Result<()> {
        self.write_fact(&format!("{id}.verified.json"), fact)
    }

    /// Holds (some) or releases (none) a backup.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn record_held(&self, id: &BackupId, fact: Option<&Held>) -> Result<()> {
        match fact {
            Some(fact) => self.write_fact(&format!("{id}.held.json"), fact),
            None => {
                remove_file(&self.facts().join(format!("{id}.held.json")))?;
                sync(&self.facts())
            }
        }
    }

    pub(super) fn facts(&self) -> PathBuf {
        self.location().join(METADATA).join(FACTS)
    }

    fn write_fact(&self, name: &str, fact: &impl Serialize) -> Result<()> {
        let _lock = lock::facts(self.location())?;
        self.write_json(&self.facts(), name, fact)
    }

    fn write_json(&self, folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
        let body = serde_json::to_vec_pretty(value)
            .map_err(|e| Error::new(Kind::Internal, format!("{name} cannot be written")).cause(e))?;
        create_folder(folder)?;
        write_file(folder, name, &body)
    }
}
