//! The manifest: the JSON document that describes one backup. Publishing it is what makes the backup exist, and it
//! is never rewritten. Field names are a contract.

use crate::config::{BackupType, Only};
use crate::modules::{Excluded, Grant, Records};
use crate::names::BackupId;
use crate::pipeline::RecordDigest;
use crate::source::{ItemKind, Level, StoredCollection};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Version of the manifest's and the archive's format. A reader refuses a higher one.
pub const FORMAT_VERSION: u32 = 1;

/// One backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// The backup's id.
    pub id: String,
    /// The installation.
    pub installation: String,
    /// Retention class.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// `full`.
    pub mode: String,
    /// The backup this one builds on; none for a full one.
    pub parent: Option<String>,
    /// The tenant, or none for a system-wide backup.
    pub tenant_id: Option<String>,
    /// When the run began.
    #[serde(deserialize_with = "moment")]
    pub timestamp: DateTime<Utc>,
    /// When the last byte was proven.
    #[serde(deserialize_with = "moment")]
    pub completed_at: DateTime<Utc>,
    /// Seconds between the two.
    pub duration_seconds: f64,
    /// Judged by the components.
    pub status: Status,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// Half the run was narrowed to; none for both.
    pub only: Option<Only>,
    /// The backup whose restore this one was made for, to keep what was about to be changed. Such a backup is restored
    /// by its id alone: it is nobody's `latest` and no good copy of a module.
    pub safety_for: Option<String>,
    /// Always true.
    pub module_aware: bool,
    /// Modules that are in, by priority.
    pub enabled_modules: Vec<String>,
    /// Modules that are out, with the reason.
    pub excluded_modules: Vec<Excluded>,
    /// What the installation's licence granted, and on what that rests.
    pub license: Grant,
    /// The same of the tenant's own licence, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_license: Option<Grant>,
    /// One per archive.
    pub components: Vec<Component>,
    /// Sums over the components.
    pub totals: Totals,
    /// `user@host`.
    pub created_by: String,
    /// The program that wrote it.
    pub tool: Tool,
    /// What failed, one line each.
    pub errors: Vec<String>,
    /// Signature of the rest; none while signing is not set up.
    pub signature: Option<String>,
}

impl Manifest {
    /// The id, checked again: a manifest read from disk is input.
    ///
    /// # Errors
    /// [`crate::error::Kind::Config`] when it is none.
    pub fn backup_id(&self) -> crate::error::Result<BackupId> {
        BackupId::parse(&self.id)
    }

    /// What no run would say, though every field is well formed: a restore would write one thing twice.
    pub fn contradiction(&self) -> Option<String> {
        let mut archives = HashSet::new();
        for component in &self.components {
            if let Some(archive) = component.archive.as_ref().filter(|archive| !archives.insert(*archive)) {
                return Some(format!("it names the archive {archive} twice"));
            }
            let mut names = HashSet::new();
            if let Some(twice) = component.collections.iter().find(|collection| !names.insert(&collection.name)) {
                return Some(format!("it names {} of {} twice", twice.name, component.name));
            }
        }
        None
    }

    /// Every module this backup has a component of, with the worst status of its components. A shared archive
    /// counts for every module that lists one of its collections.
    pub fn module_states(&self) -> std::collections::BTreeMap<String, ComponentStatus> {
        let mut states = std::collections::BTreeMap::new();
        for component in &self.components {
            for module in component.module.iter().chain(&component.shared_by) {
                let state = states.entry(module.clone()).or_insert(ComponentStatus::Absent);
                *state = (*state).worst(component.status);
            }
        }
        states
    }
}

/// Reads a moment of this era. The last days that a calendar can name have no local time, nor a day after.
///
/// # Errors
/// When it is not within the years 1970 to 9999.
pub fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let at = DateTime::<Utc>::deserialize(deserializer)?;
    if (1970..=9999).contains(&at.year()) {
        Ok(at)
    } else {
        Err(serde::de::Error::custom(format!("{at} is no moment of a backup")))
    }
}

/// How a backup turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// No component failed.
    Success,
    /// Some components failed and some are complete.
    Partial,
    /// Nothing usable was stored.
    Failed,
}

/// How a component turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ComponentStatus {
    /// All that was planned is there.
    Complete,
    /// It need not exist, and does not.
    Absent,
    /// Planned, and not there in full.
    Failed,
}

impl ComponentStatus {
    /// Failed before complete before absent.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        use ComponentStatus::{Absent, Complete, Failed};
        match (self, other) {
            (Failed, _) | (_, Failed) => Failed,
            (Complete, _) | (_, Complete) => Complete,
            (Absent, Absent) => Absent,
        }
    }
}

/// One archive.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// `mongodb`, `postgres`, `sqlite` or `files`.
    #[serde(rename = "type")]
    pub engine: String,
    /// The configured source, `uploads`, or the name of the `extraFiles` entry.
    pub name: String,
    /// The module; none for shared, whole-database and extra archives.
    pub module: Option<String>,
    /// Modules that share the archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_by: Vec<String>,
    /// Database the records came from.
    pub database: Option<String>,
    /// How it turned out.
    pub status: ComponentStatus,
    /// Why it failed, where it did.
    pub error: Option<String>,
    /// Path of the archive below the backup's folder; none when there is none.
    pub archive: Option<String>,
    /// Bytes of the archive.
    pub size: u64,
    /// SHA-256 of the archive, hexadecimal.
    pub sha256: Option<String>,
    /// Where the index is inside the archive.
    pub index: Option<IndexPosition>,
    /// Whether the archive is encrypted.
    pub encrypted: bool,
    /// To whom: age public keys, or `passphrase`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encrypted_to: Vec<String>,
    /// Always true.
    pub module_aware: bool,
    /// Names of the collections or directories it holds in full.
    pub collections_included: Vec<String>,
    /// How consistent it is; none for files.
    pub consistency: Option<Consistency>,
    /// The server; none for files.
    pub server: Option<Server>,
    /// Every planned collection.
    pub collections: Vec<Collection>,
    /// Files and directories; none for databases.
    pub files: Option<Files>,
    /// When it was finished.
    pub timestamp: DateTime<Utc>,
}

/// Where an archive's index is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexPosition {
    /// Byte offset of the first member that holds index data and nothing else; of an encrypted archive, decrypted.
    pub offset: u64,
    /// Stored bytes of those members.
    pub length: u64,
    /// SHA-256 of the index as it reads, hexadecimal.
    pub sha256: String,
}

/// How consistent a component is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consistency {
    /// The level that was really had.
    pub level: Level,
    /// The moment.
    pub at: DateTime<Utc>,
}

/// The server a component came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// As the server gives it.
    pub version: String,
    /// Host and port, or file; no secret.
    #[serde(default)]
    pub address: String,
}

/// One planned collection of a component.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Collection {
    /// True name.
    pub name: String,
    /// What kind of thing; none when it was never seen.
    pub kind: Option<ItemKind>,
    /// How it turned out.
    pub status: ComponentStatus,
    /// Why it failed, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Records stored.
    pub documents: u64,
    /// Bytes of record data, before compression.
    pub bytes: u64,
    /// Digest of the records, independent of their order.
    pub record_digest: Option<RecordDigest>,
    /// Which records: `all`, `shared`, `tenantId = acme`.
    pub tenant_rule: String,
}

impl Collection {
    /// As an engine is told to look for it, in an archive whose first folder is `directory`.
    pub fn stored_in(&self, directory: &str) -> StoredCollection {
        StoredCollection {
            name: self.name.clone(),
            directory: directory.to_owned(),
            records: self.documents,
            digest: self.record_digest.unwrap_or_default(),
            scope: Records::All { shared: false },
            renaming: None,
        }
    }
}

/// What a files component holds and left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Files {
    /// Regular files stored.
    pub files: u64,
    /// Directories stored.
    pub directories: u64,
    /// Symbolic links stored as links.
    pub symlinks: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// Left out by a rule, counted by rule.
    pub excluded: u64,
    /// The first hundred of them, `path: reason`.
    pub excluded_samples: Vec<String>,
    /// Named by a record, and not there as a file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
    /// The first hundred of them, `path: reason`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_samples: Vec<String>,
    /// Files that could not be stored in full, `path: reason`.
    pub damaged: Vec<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Sums over all components.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Collections that are complete.
    pub collections: u64,
    /// Records.
    pub documents: u64,
    /// Files.
    pub files: u64,
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes on disk.
    pub stored_bytes: u64,
}

/// The program that wrote a manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// `backup`.
    pub name: String,
    /// Its version.
    pub version: String,
}
