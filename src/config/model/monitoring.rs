//! Figures and checks for monitoring systems.

use super::BackupType;
use crate::names::TenantId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const HOUR: u64 = 3600;

const DAY: u64 = 24 * HOUR;

/// The `metrics` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// File for the textfile collector of Prometheus' node exporter.
    pub textfile: PathBuf,
    /// With more tenants than this none has series of its own.
    pub max_tenants: usize,
}

/// The `checks` section: when `backup check` warns.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Age of the newest good copy of any type.
    pub age: Limits,
    /// The same of one type; such copies are judged besides.
    pub types: BTreeMap<BackupType, Limits>,
    /// Of a module.
    pub modules: BTreeMap<String, Limits>,
    /// Of a tenant; goes before those of modules.
    pub tenants: BTreeMap<TenantId, TenantCheck>,
    /// Free space of the repository's file system.
    pub free_space: Option<SpaceLimits>,
    /// Age of the newest verification that found a scope's backup valid.
    pub unverified: Option<Limits>,
}

/// Ages from which on something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Above it: a warning.
    pub warning: Duration,
    /// Above it: critical.
    pub critical: Duration,
}

impl Default for Limits {
    /// Of nightly backups: one that is late, and one that is missing.
    fn default() -> Self {
        Self::of_type(BackupType::Daily)
    }
}

impl Limits {
    /// Of copies of one type, where nothing is said: a period and some time to spare, and two of them.
    pub fn of_type(backup_type: BackupType) -> Self {
        let (warning, critical) = match backup_type {
            BackupType::Daily => (26 * HOUR, 50 * HOUR),
            BackupType::Weekly => (8 * DAY, 15 * DAY),
            BackupType::Monthly => (32 * DAY, 63 * DAY),
        };
        Self { warning: Duration::from_secs(warning), critical: Duration::from_secs(critical) }
    }
}

/// What is said of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantCheck {
    /// Its own ages.
    Age(Limits),
    /// It is not judged.
    Ignore,
}

/// Free space below which something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceLimits {
    /// Below it: a warning.
    pub warning: Space,
    /// Below it: critical.
    pub critical: Space,
}

/// An amount of space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// So many bytes.
    Bytes(u64),
    /// This share of the file system, per cent.
    Percent(u8),
}

impl Space {
    /// In bytes, of a file system of `total` bytes.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => total / 100 * u64::from(percent),
        }
    }
}
