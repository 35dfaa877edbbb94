//! What a verification found.

use crate::error::{Error, Kind};
use crate::repository::{Unreadable, Verified, VerifyLevel};
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

/// The verdict on one backup. Field names are a contract.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The backup.
    pub id: String,
    /// What was proven of all of it.
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
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentReport {
    /// Path below the backup's folder.
    pub archive: String,
    /// It is as recorded.
    pub valid: bool,
    /// What was proven of it.
    pub level: VerifyLevel,
    /// What is not as recorded, each naming the part.
    pub damage: Vec<String>,
    /// Why it could not be read as deep as was asked for: no key here opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_key: Option<String>,
    /// Why nobody can say more than `level` and `damage`: the disk, or the server it was to be restored on, failed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "document")]
    pub error: Option<Error>,
}

/// The same fields as the error of a whole command has.
fn document<S: Serializer>(error: &Option<Error>, serializer: S) -> Result<S::Ok, S::Error> {
    let fields = |e: &Error| serde_json::json!({"code": e.kind.code(), "message": e.message, "causes": e.causes, "details": e.details, "hint": e.hint});
    error.as_ref().map(fields).serialize(serializer)
}

impl Report {
    /// Of a backup of which nothing is known to be wrong yet.
    pub(super) fn new(id: String, level: VerifyLevel) -> Self {
        Self {
            id,
            level,
            file_exists: true,
            size_match: true,
            checksum_match: true,
            not_expired: true,
            valid: true,
            components: Vec::new(),
        }
    }

    /// Of a backup of which nothing can be believed, for its manifest cannot, or cannot be read.
    pub(super) fn without_manifest(id: String, manifest: &str, error: Error) -> Self {
        let mut report = Self::new(id, VerifyLevel::Stored);
        (report.size_match, report.checksum_match) = (false, false);
        let (damage, error) = match error.kind {
            Kind::Damaged => (vec![error.to_string()], None),
            _ => (Vec::new(), Some(error)),
        };
        let archive = manifest.to_owned();
        report.add(ComponentReport { archive, valid: false, level: VerifyLevel::Stored, damage, no_key: None, error });
        report
    }

    /// Of a file that the catalog cannot read as a manifest.
    pub(super) fn unreadable(file: &Unreadable) -> Self {
        let what = format!("the manifest cannot be read: {}", file.reason);
        Self::without_manifest(file.path.clone(), &file.path, Error::new(Kind::Damaged, what))
    }

    /// Adds the verdict on an archive.
    pub(super) fn add(&mut self, component: ComponentReport) {
        self.valid &= component.valid;
        self.level = self.level.min(component.level);
        self.components.push(component);
    }

    /// Something is not as recorded.
    pub fn is_damaged(&self) -> bool {
        self.components.iter().any(|component| !component.damage.is_empty())
    }

    /// Why parts could not be looked at.
    pub fn errors(&self) -> impl Iterator<Item = &Error> {
        self.components.iter().filter_map(|component| component.error.as_ref())
    }

    /// The verdict as it is kept beside the manifest, where `before` is. None where something could not be looked at and
    /// the rest is as recorded: that is no news. What was known to be damaged stays so until somebody looks again.
    pub(super) fn fact(&self, before: Option<&Verified>, at: DateTime<Utc>) -> Option<Verified> {
        if !self.is_damaged() && self.errors().next().is_some() {
            return None;
        }
        let was_damaged = |archive: &String| before.is_some_and(|before| before.damaged.contains(archive));
        let damaged = self.components.iter().filter(|component| {
            !component.damage.is_empty() || component.error.is_some() && was_damaged(&component.archive)
        });
        let damaged = damaged.map(|component| component.archive.clone()).collect();
        Some(Verified { level: self.level, at, valid: self.valid, damaged })
    }
}
