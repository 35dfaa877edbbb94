//! stub: the repository as a whole, and the staging folder a backup grows in.
use super::{Catalog, FailedRun, Held, Lock, Verified, Wait};
use crate::config::BackupType;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::names::{BackupId, Scope};
use std::fs::File;
use std::path::{Path, PathBuf};

/// An opened repository: the directory is there and carries the right sentinel.
#[derive(Debug, Clone)]
pub struct Repository {
    location: PathBuf,
    id: String,
}

#[allow(unused_variables, clippy::missing_errors_doc)]
impl Repository {
    /// Opens; Kind::Repository when it is not there, no repository, or another one.
    pub fn open(location: &Path, expected_id: Option<&str>) -> Result<Self> {
        unimplemented!()
    }
    /// As open, but makes it where `location` does not exist and no id is expected. `true` when it was made.
    pub fn open_or_create(location: &Path, expected_id: Option<&str>) -> Result<(Self, bool)> {
        unimplemented!()
    }
    pub fn location(&self) -> &Path {
        &self.location
    }
    pub fn id(&self) -> &str {
        &self.id
    }
    /// create: scope exclusive, repository shared. `what` is shown to whoever finds it locked.
    pub fn lock_scope(&self, scope: &Scope, what: &str, wait: Wait) -> Result<Lock> {
        unimplemented!()
    }
    /// restore, verify: repository shared.
    pub fn lock_shared(&self, what: &str, wait: Wait) -> Result<Lock> {
        unimplemented!()
    }
    /// prune, forget: repository exclusive.
    pub fn lock_exclusive(&self, what: &str, wait: Wait) -> Result<Lock> {
        unimplemented!()
    }
    /// Reads every manifest and fact.
    pub fn catalog(&self) -> Result<Catalog> {
        unimplemented!()
    }
    /// Folder of a backup.
    pub fn folder(&self, id: &BackupId, backup_type: BackupType) -> PathBuf {
        self.location.join(backup_type.as_str()).join(id.as_str())
    }
    pub fn manifest(&self, id: &BackupId) -> Result<Manifest> {
        unimplemented!()
    }
    /// Path of an archive; refuses a path that would leave the backup's folder.
    pub fn archive(&self, id: &BackupId, backup_type: BackupType, relative: &str) -> Result<PathBuf> {
        unimplemented!()
    }
    /// Makes a staging folder for `id`.
    pub fn begin(&self, id: &BackupId, backup_type: BackupType) -> Result<Staging> {
        unimplemented!()
    }
    /// Removes what dead runs of `scope` left; the caller holds its lock. Returns ids.
    pub fn sweep(&self, scope: &Scope) -> Result<Vec<String>> {
        unimplemented!()
    }
    pub fn record_failure(&self, run: &FailedRun) -> Result<()> {
        unimplemented!()
    }
    pub fn record_verified(&self, id: &BackupId, fact: &Verified) -> Result<()> {
        unimplemented!()
    }
    /// Holds (Some) or releases (None).
    pub fn record_held(&self, id: &BackupId, fact: Option<&Held>) -> Result<()> {
        unimplemented!()
    }
    /// Removes a backup: manifest first (then it no longer exists), then facts and bytes. Returns freed bytes.
    pub fn remove(&self, id: &BackupId, backup_type: BackupType) -> Result<u64> {
        unimplemented!()
    }
    /// Bytes free to us on the repository's file system.
    pub fn free_space(&self) -> Result<u64> {
        unimplemented!()
    }
    /// Appends one line to audit.jsonl.
    pub fn audit(&self, action: &str, subject: &str, result: &str) -> Result<()> {
        unimplemented!()
    }
}

/// A backup that is being made: a folder `<repository>/staging/<id>`. Dropped unpublished, it is removed.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
}

#[allow(unused_variables, clippy::missing_errors_doc)]
impl Staging {
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Makes an archive file (0600) and its folders (0700).
    pub fn create(&self, relative: &str) -> Result<File> {
        unimplemented!()
    }
    /// Removes one file again (an archive that failed).
    pub fn remove(&self, relative: &str) -> Result<()> {
        unimplemented!()
    }
    /// fsyncs folders, renames the folder into place, writes the manifest by temporary file, fsync, rename, fsync of the folder.
    pub fn publish(self, manifest: &Manifest) -> Result<()> {
        unimplemented!()
    }
}
