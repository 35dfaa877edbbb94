//! stub: the list of manifests.
use super::{FailedRun, Held, Verified};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::names::{BackupId, Scope};
use chrono::{DateTime, Utc};

/// What a repository lists.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Newest first.
    pub backups: Vec<Entry>,
    /// Runs that failed outright, newest first.
    pub failed: Vec<FailedRun>,
    /// Leftovers of runs that died (or are running).
    pub interrupted: Vec<Interrupted>,
    /// Manifests that cannot be read: reported, never silently dropped.
    pub unreadable: Vec<Unreadable>,
}

/// A listed backup.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: BackupId,
    pub manifest: Manifest,
    pub verified: Option<Verified>,
    pub held: Option<Held>,
}

/// A leftover of a dead run, or a run in progress.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupted {
    pub id: String,
    pub path: String,
}

/// A manifest that cannot be read.
#[derive(Debug, Clone)]
pub struct Unreadable {
    pub path: String,
    pub reason: String,
}

#[allow(unused_variables, clippy::missing_errors_doc)]
impl Catalog {
    /// By id; Kind::NotFound with close ids as hint.
    pub fn find(&self, id: &BackupId) -> Result<&Entry> {
        unimplemented!()
    }
    /// Backups of a scope at or before a moment, newest first.
    pub fn of_scope(&self, scope: &Scope, before: Option<DateTime<Utc>>) -> Vec<&Entry> {
        unimplemented!()
    }
}
