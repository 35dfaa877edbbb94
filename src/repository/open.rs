//! Opening and making a repository, and the paths in it.

use super::durable::{create_folder, remove_file, remove_folder, sync_folder, write_file};
use super::journal::{self, Earlier, Journal, Progress, Undertaking, UnfinishedRestore};
use super::lock::{self, Lock, Wait};
use super::signature::{self, Verdict};
use super::staging::{STAGING, Staging};
use super::{Catalog, FailedRun, Held, Unreadable, Verified, audit, catalog, input};
use crate::config::{self, BackupType, Signing};
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::keys::SigningKey;
use crate::manifest::{FORMAT_VERSION, Manifest};
use crate::names::{BackupId, Scope};
use chrono::{DateTime, TimeDelta, Utc};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Folder of manifests.
pub const METADATA: &str = "metadata";

/// Folder of facts, below [`METADATA`].
pub const FACTS: &str = "facts";

/// Folder of records of failed runs, below [`METADATA`].
pub const FAILED: &str = "failed";

const SENTINEL: &str = "repository.json";

/// `repository.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sentinel {
    id: String,
    format_version: u32,
}

/// An opened repository: the folder is there and carries the right sentinel.
#[derive(Debug, Clone)]
pub struct Repository {
    location: PathBuf,
    id: String,
    signing: Option<Signing>,
    accepts_unsigned: bool,
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
            }),
        }
    }

    /// Opens, or makes the repository where its location does not exist and no id is expected. True when it was made.
    ///
    /// # Errors
    /// As [`Repository::open`], and when it cannot be made.
    pub fn open_or_create(settings: &config::Repository) -> Result<(Self, bool)> {
        let location = settings.location.as_path();
        if settings.id.is_some() || location.symlink_metadata().is_ok() {
            return Self::open(settings).map(|repository| (repository, false));
        }
        let parent = location.parent().unwrap_or(Path::new("/"));
        create_folder(parent)?;
        // Built under another name and renamed: a repository appears whole, also when several runs make it at once.
        let prefix = building_prefix(location);
        let building = tempfile::Builder::new()
            .prefix(&prefix)
            .rand_bytes(BUILDING_RANDOM)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(|e| Error::io("create a folder in", parent, &e))?;
        let made = lay_out(building.path()).and_then(|()| {
            let renamed = renameat_with(CWD, building.path(), CWD, location, RenameFlags::NOREPLACE);
            renamed.map_err(|e| Error::io("create the repository", location, &e.into()))
        });
        if let Err(error) = made {
            // Another run was first, and has removed what we were building.
            let exists = location.symlink_metadata().is_ok();
            return if exists { Self::open(settings).map(|repository| (repository, false)) } else { Err(error) };
        }
        // It has another name now; there is nothing left to remove.
        let _ = building.keep();
        sync_folder(parent)?;
        remove_unfinished(parent, &prefix);
        Self::open(settings).map(|repository| (repository, true))
    }

    /// Its folder.
    pub fn location(&self) -> &Path {
        &self.location
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

    /// The key that signs manifests, where signing is set up.
    pub(super) fn signing_key(&self) -> Result<Option<SigningKey>> {
        let Some(signing) = &self.signing else { return Ok(None) };
        let hint = "`backup key generate --signing FILE` makes a key";
        let Some(file) = &signing.private_key else {
            return Err(
                Error::new(Kind::Key, "manifests are to be signed, but there is no `signing.privateKey`").hint(hint)
            );
        };
        let key = SigningKey::read(file).map_err(|e| e.hint(hint))?;
        if signing.public_keys.contains(&key.public()) {
            return Ok(Some(key));
        }
        let what = format!("{} signs as {}, which is not among the pinned keys", file.display(), key.public());
        Err(Error::new(Kind::Key, what).hint("add it to `repository.signing.publicKeys` here and wherever is restored"))
    }

    /// A backup's whole manifest; its signature is checked where signing is set up.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such backup, [`Kind::Damaged`] when it is unreadable or not signed as it must.
    pub fn manifest(&self, id: &BackupId) -> Result<Manifest> {
        let path = self.manifest_path(id);
        let body = match input::read(&path) {
            Ok(body) => body,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::new(Kind::NotFound, format!("there is no backup {id}"))
                    .hint("`backup list` shows what there is"));
            }
            Err(e) => return Err(Error::io("read", &path, &e)),
        };
        let unreadable = |why: &dyn std::fmt::Display| {
            Error::new(Kind::Damaged, format!("the manifest {} is unreadable", path.display())).cause(why)
        };
        let manifest: Manifest = serde_json::from_slice(&body).map_err(|e| unreadable(&e))?;
        if manifest.id != id.as_str() {
            return Err(unreadable(&format!("it says it is {}", manifest.id)));
        }
        if let Some(contradiction) = manifest.contradiction() {
            return Err(unreadable(&contradiction));
        }
        self.check_signature(&manifest, &body)?;
        Ok(manifest)
    }

    fn check_signature(&self, manifest: &Manifest, body: &[u8]) -> Result<()> {
        let Some(signing) = &self.signing else { return Ok(()) };
        let id = &manifest.id;
        match signature::check(body, manifest.signature.as_deref(), &signing.public_keys) {
            Verdict::Signed => Ok(()),
            Verdict::Unsigned if self.accepts_unsigned => Ok(()),
            Verdict::Unsigned => Err(Error::new(Kind::Damaged, format!("the manifest of {id} is not signed"))
                .hint("was it made before signing was set up? `restore --allow-unsigned` believes it")),
            Verdict::Forged => {
                let what = format!("the manifest of {id} is not signed by a pinned key, or was changed since");
                Err(Error::new(Kind::Damaged, what)
                    .hint("do not restore it; `repository.signing.publicKeys` lists the keys that are believed"))
            }
        }
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

    /// Records a run that left no backup.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn record_failure(&self, run: &FailedRun) -> Result<()> {
        let folder = self.location.join(METADATA).join(FAILED);
        self.write_json(&folder, &format!("{}.json", run.id), run)
    }

    /// Removes the record of a run that left no backup.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove_failure(&self, id: &str) -> Result<()> {
        let folder = self.location.join(METADATA).join(FAILED);
        // Ids in records are input: only what is an id names a file.
        let id = BackupId::parse(id)?;
        remove_file(&folder.join(format!("{id}.json")))?;
        sync_folder(&folder)
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
                sync_folder(&self.facts())
            }
        }
    }

    pub(super) fn facts(&self) -> PathBuf {
        self.location.join(METADATA).join(FACTS)
    }

    fn write_fact(&self, name: &str, fact: &impl Serialize) -> Result<()> {
        let _lock = lock::facts(&self.location)?;
        self.write_json(&self.facts(), name, fact)
    }

    fn write_json(&self, folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
        let body = serde_json::to_vec_pretty(value)
            .map_err(|e| Error::new(Kind::Internal, format!("{name} cannot be written")).cause(e))?;
        create_folder(folder)?;
        write_file(folder, name, &body)
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

    /// Appends a line to `audit.jsonl`. What it tells of is done already, so a line that cannot be written is worth a
    /// warning and never the command.
    pub fn audit(&self, events: &Events, action: &str, subject: &str, result: &str) {
        if let Err(error) = audit::append(&self.location, action, subject, result) {
            events.warn(format!("the audit log could not be written: {error}"));
        }
    }
}

/// Random characters at the end of the name under which a repository is built.
const BUILDING_RANDOM: usize = 6;

/// The name under which the repository at `location` is built, up to the random characters.
fn building_prefix(location: &Path) -> String {
    format!(".backup-repository-{}-", location.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what other runs built of a repository that is there now: they are dead, or will see that it is.
fn remove_unfinished(parent: &Path, prefix: &str) {
    let names = catalog::names_in(parent).unwrap_or_default();
    for name in names.iter().filter(|name| name.starts_with(prefix) && name.len() == prefix.len() + BUILDING_RANDOM) {
        // Nothing depends on it.
        let _ = remove_folder(&parent.join(name));
    }
}

/// The folders of an empty repository and its sentinel, fsynced.
fn lay_out(folder: &Path) -> Result<()> {
    for name in BackupType::ALL.iter().map(|t| t.as_str()).chain([STAGING, lock::LOCKS, journal::JOURNAL, METADATA]) {
        create_folder(&folder.join(name))?;
    }
    for name in [FACTS, FAILED] {
        create_folder(&folder.join(METADATA).join(name))?;
    }
    sync_folder(&folder.join(METADATA))?;
    let sentinel = Sentinel { id: random_id()?, format_version: FORMAT_VERSION };
    let body = serde_json::to_vec_pretty(&sentinel)
        .map_err(|e| Error::new(Kind::Internal, "the sentinel cannot be written").cause(e))?;
    write_file(folder, SENTINEL, &body)
}

/// A random UUID (version 4, RFC 9562) from the kernel.
fn random_id() -> Result<String> {
    let mut bytes = [0u8; 16];
    let source = Path::new("/dev/urandom");
    std::fs::File::open(source)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
        .map_err(|e| Error::io("read", source, &e))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
