//! What is checked of the data before and after a backup.

use std::collections::BTreeMap;

/// The `verification` section.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// Collections whose absence fails the verification.
    pub critical_collections: Vec<String>,
    /// Least number of records by collection.
    pub minimum_records: BTreeMap<String, u64>,
    /// Whether `create` verifies first.
    pub before_backup: BeforeBackup,
}

/// Whether `create` verifies the collections first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BeforeBackup {
    /// It does not.
    #[default]
    Off,
    /// It warns of what is found.
    Warn,
    /// It makes no backup of what has failed.
    Refuse,
}

/// The `anomaly` section: what `create` does when data shrinks from one backup to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomaly {
    /// Losing more than this share of the records or files is an anomaly. Per cent, 1 to 100.
    pub max_shrink: u8,
    /// What it leads to.
    pub action: AnomalyAction,
}

impl Default for Anomaly {
    fn default() -> Self {
        Self { max_shrink: 50, action: AnomalyAction::Warn }
    }
}

/// What an anomaly leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnomalyAction {
    /// A warning.
    Warn,
    /// The component fails, and so is no good copy.
    Fail,
}
