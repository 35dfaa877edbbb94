//! Opening a repository, the paths in it, and what can be done with it.

use super::journal::{self, Earlier, Journal, Progress, Undertaking, UnfinishedRestore};
use super::lock::{self, Lock, Wait};
use super::staging::Staging;
use super::syncs::Syncs;
use super::{Catalog, Unreadable, audit, catalog, input};
use crate::config::{self, BackupType, Signing};
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::manifest::FORMAT_VERSION;
use crate::names::{BackupId, Scope};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Folder of manifests.
pub const METADATA: &str = "metadata";

/// Folder of facts, below [`METADATA`].
pub const FACTS: &str = "facts";

/// Folder of records of failed runs, below [`METADATA`].
pub const FAILED: &str = "failed";

pub(super) const SENTINEL: &str = "repository.json";

/// `repository.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sentinel {
    pub id: String,
    pub format_version: u32,
}

/// An opened repository: the folder is there and carries the right sentinel.
#[derive(Debug, Clone)]
pub struct Repository {
    location: PathBuf,
    id: String,
    pub(super) signing: Option<Signing>,
    pub(super) accepts_unsigned: bool,
    syncs: Arc<Syncs>,
}

impl Repository {
    /// Opens the repository that `settings` describe. Writes nothing.
    ///
    /// # Errors
    /// [`Kind::Repository`] when there is none, or not the one with the expected id.
    pub fn open(settings: &config::Repository) -> Result<Self> {
        let (location, expected_id) = (settings.location.as_path(), settings.id.as_deref());
        let wrong = |what: String| Error::new(Kind::Repository, what);
        let shown = location.display();
        let sentinel = location.join(SENTINEL);
        let body = match input::read(&sentinel) {
            Ok(body) => body,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !location.exists() => {
                return Err(wrong(format!("there is no repository at {shown}"))
                    .hint("is the disk mounted? `backup create` makes a new repository where none is expected"));
            }
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Err(wrong(format!("{shown} exists but is no repository: it has no {SENTINEL}")).hint(
                    "is the disk mounted? a new repository needs a `repository.location` that does not exist yet",
                ));
            }
            Err(e) => return Err(Error::io("read", &sentinel, &e)),
        };
        let found: Sentinel = serde_json::from_slice(&body)
            .map_err(|e| wrong(format!("{} is unreadable", sentinel.display())).cause(e))?;
        if found.format_version > FORMAT_VERSION {
            return Err(wrong(format!("the repository at {shown} has format {}", found.format_version))
                .hint("it was made by a newer version of `backup`: use that one"));
        }
        match expected_id {
            Some(expected) if expected != found.id => {
                Err(wrong(format!("the repository at {shown} is {}, not {expected}", found.id))
                    .hint("is the right disk mounted? `repository.id` in the configuration says which is expected"))
            }
            _ => Ok(Self {
                location: location.to_owned(),
                id: found.id,
                signing: settings.signing.clone(),
                accepts_unsigned: false,
                syncs: Arc::default(),
            }),
        }
    }

    /// Its folder.
    pub fn location(&self) -> &Path {
        &self.location
    }

    /// The fsyncs that its clones share.
    pub(super) fn syncs(&self) -> &Syncs {
        &self.syncs
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Holds `scope` exclusively and the repository shared, for `create`. `what` is shown to whoever finds it locked.
    ///
    /// # Errors
    /// [`Kind::Locked`] naming the holder.
    pub fn lock_scope(&self, scope: &Scope, what: &str, wait: Wait) -> Result<Lock> {
        lock::scope(&self.location, scope, what, wait)
    }

    /// Holds the repository shared, for `restore` and `verify`.
    ///
    /// # Errors
    /// [`Kind::Locked`] naming the holder.
    pub fn lock_shared(&self, what: &str, wait: Wait) -> Result<Lock> {
        lock::shared(&self.location, what, wait)
    }

    /// Holds the repository's scratch databases, and the repository shared, for a verification by restoring.
    ///
    /// # Errors
    /// [`Kind::Locked`] naming the holder.
    pub fn lock_scratch(&self, what: &str, wait: Wait) -> Result<Lock> {
        lock::scratch(&self.location, what, wait)
    }

    /// Holds the right to restore into live data, and the repository shared.
    ///
    /// # Errors
    /// [`Kind::Locked`] naming the holder.
    pub fn lock_restore(&self, what: &str, wait: Wait) -> Result<Lock> {
        lock::restore(&self.location, what, wait)
    }

    /// Opens the journal of a restore. The caller holds [`Repository::lock_restore`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open_journal(&self, undertaking: &Undertaking, now: DateTime<Utc>) -> Result<(Journal, Earlier)> {
        Journal::open(self, undertaking, now)
    }

    /// How far a dead run of the same restore came.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn progress(&self, undertaking: &Undertaking) -> Result<Progress> {
        journal::progress(self, undertaking)
    }

    /// Restores that were interrupted, and one that is at work.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn unfinished_restores(&self) -> Result<(Vec<UnfinishedRestore>, Vec<Unreadable>)> {
        journal::unfinished(self)
    }

    /// Holds the repository exclusively, for `prune` and `forget`.
    ///
    /// # Errors
    /// [`Kind::Locked`] naming a holder.
    pub fn lock_exclusive(&self, what: &str, wait: Wait) -> Result<Lock> {
        lock::exclusive(&self.location, what, wait)
    }

    /// Reads every manifest's summary, and all facts.
    ///
    /// # Errors
    /// When anything cannot be listed: a listing that fails is never an empty one.
    pub fn catalog(&self) -> Result<Catalog> {
        catalog::read(self)
    }

    /// The same repository, in which manifests of the time before signing was set up are believed. A wrong signature
    /// still is not.
    #[must_use]
    pub fn accepting_unsigned(self) -> Self {
        Self { accepts_unsigned: true, ..self }
    }

    /// Where a manifest is.
    pub fn manifest_path(&self, id: &BackupId) -> PathBuf {
        self.location.join(METADATA).join(format!("{id}.json"))
    }

    /// Folder of a backup.
    pub fn folder(&self, id: &BackupId, backup_type: BackupType) -> PathBuf {
        self.location.join(backup_type.as_str()).join(id.as_str())
    }

    /// Path of an archive, which a manifest gives relative to the backup's folder.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when it would leave that folder.
    pub fn archive(&self, id: &BackupId, backup_type: BackupType, relative: &str) -> Result<PathBuf> {
        let inside = Path::new(relative).components().all(|c| matches!(c, Component::Normal(_)));
        if relative.is_empty() || !inside {
            let what = format!("the manifest of {id} names an archive outside its folder: {}", relative.escape_debug());
            return Err(Error::new(Kind::Damaged, what));
        }
        Ok(self.folder(id, backup_type).join(relative))
    }

    /// The id of a backup of `scope` that begins at `now`, to the millisecond, or at the next one that no backup and no
    /// run has. The caller holds the scope's lock.
    pub fn free_id(&self, scope: &Scope, now: DateTime<Utc>) -> BackupId {
        let mut at = now;
        loop {
            let id = BackupId::new(scope, at);
            let folders = BackupType::ALL.iter().map(|kind| self.folder(&id, *kind));
            let failure = self.location.join(METADATA).join(FAILED).join(format!("{id}.json"));
            let mut places = folders.chain([self.manifest_path(&id), failure]);
            if !places.any(|place| place.symlink_metadata().is_ok()) {
                return id;
            }
            at += TimeDelta::milliseconds(1);
        }
    }

    /// Begins a backup.
    ///
    /// # Errors
    /// When its folder cannot be made, its id is taken, or ([`Kind::Key`]) it could not be signed at its end.
    pub fn begin(&self, id: &BackupId, backup_type: BackupType) -> Result<Staging> {
        Staging::begin(self, id, backup_type)
    }

    /// Bytes free to us on the repository's file system.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn free_space(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.location)
            .map_err(|e| Error::io("ask for the free space of", &self.location, &e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Bytes of the repository's file system in all.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn total_space(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.location)
            .map_err(|e| Error::io("ask for the space of", &self.location, &e.into()))?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    /// Appends a line to `audit.jsonl`. What it tells of is done already, so a line that cannot be written is worth a
    /// warning and never the command.
    pub fn audit(&self, events: &Events, action: &str, subject: &str, result: &str) {
        if let Err(error) = audit::append(&self.location, &self.syncs, action, subject, result) {
            events.warn(format!("the audit log could not be written: {error}"));
        }
    }
}
