//! Names that are checked once, where they enter, and trusted afterwards.

use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Datelike, Utc};
use std::fmt;

/// The id of a tenant: 1 to 128 characters, letters, digits, `.`, `_`, `@` and `-`, beginning with a letter or digit.
/// It becomes part of folder names and server-side filters, so nothing else is let in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct TenantId(String);

impl TenantId {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`Kind::Config`] when it is no tenant id.
    pub fn parse(text: &str) -> Result<Self> {
        let reason = if text.is_empty() {
            Some("it is empty")
        } else if text.chars().count() > 128 {
            Some("it is longer than 128 characters")
        } else if !text.starts_with(char::is_alphanumeric) {
            Some("it must begin with a letter or a digit")
        } else if !text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '@' | '-')) {
            Some("only letters, digits, '.', '_', '@' and '-' are allowed")
        } else {
            None
        };
        match reason {
            Some(reason) => {
                Err(Error::new(Kind::Config, format!("'{}' is no tenant id: {reason}", text.escape_debug())))
            }
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a run covers: the whole installation, or one tenant. Backups are listed, locked, kept and compared per scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// No tenant scope.
    SystemWide,
    /// One tenant's data and declared shared data.
    Tenant(TenantId),
}

impl Scope {
    /// The tenant, where the scope is one.
    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            Scope::SystemWide => None,
            Scope::Tenant(tenant) => Some(tenant),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::SystemWide => f.write_str("system-wide"),
            Scope::Tenant(tenant) => write!(f, "tenant {tenant}"),
        }
    }
}

/// The id of a backup: `system-backup-<UTC>` or `tenant-<tenant>-backup-<UTC>`,
/// with `<UTC>` as `2025-12-20T10-30-00-000Z`. It names a folder, so it is checked before any path is made of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct BackupId(String);

const STAMP: &str = "%Y-%m-%dT%H-%M-%S-%3fZ";

impl BackupId {
    /// The id of a backup of `scope` begun at `at`.
    pub fn new(scope: &Scope, at: DateTime<Utc>) -> Self {
        let stamp = at.format(STAMP);
        Self(match scope {
            Scope::SystemWide => format!("system-backup-{stamp}"),
            Scope::Tenant(tenant) => format!("tenant-{tenant}-backup-{stamp}"),
        })
    }

    /// Checks `text`.
    ///
    /// # Errors
    /// [`Kind::Config`] when it is no backup id.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(Kind::Config, format!("'{}' is no backup id", text.escape_debug()))
                .hint("ids look like system-backup-2025-12-20T10-30-00-000Z; `backup list` shows them")
        };
        let id = Self(text.to_owned());
        if id.split().is_none() {
            return Err(bad());
        }
        Ok(id)
    }

    fn split(&self) -> Option<(Scope, DateTime<Utc>)> {
        let (head, stamp) = self.0.rsplit_once("-backup-")?;
        let at = chrono::NaiveDateTime::parse_from_str(stamp, STAMP).ok()?.and_utc();
        // A calendar of one more digit reads as well, and has no day after its last.
        if at.format(STAMP).to_string() != stamp || at.year() > 9999 {
            return None;
        }
        let scope = match head.strip_prefix("tenant-") {
            Some(tenant) => Scope::Tenant(TenantId::parse(tenant).ok()?),
            None if head == "system" => Scope::SystemWide,
            None => return None,
        };
        Some((scope, at))
    }

    /// The scope the id names.
    pub fn scope(&self) -> Scope {
        self.split().map_or(Scope::SystemWide, |(scope, _)| scope)
    }

    /// The moment the id names.
    pub fn at(&self) -> DateTime<Utc> {
        self.split().map_or(DateTime::UNIX_EPOCH, |(_, at)| at)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
