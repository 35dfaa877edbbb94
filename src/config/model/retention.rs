//! How long backups are kept.

use std::collections::BTreeMap;

/// What prune keeps.
#[derive(Debug, Clone)]
pub enum Retention {
    /// Classes of modules, by name; modules of no class are `standard`.
    Classes(BTreeMap<String, RetentionClass>),
    /// One rule for everything.
    Policy(RetentionPolicy),
}

/// How long backups of each type are wanted for the modules of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionClass {
    /// Modules of the class.
    pub modules: Vec<String>,
    /// Days a daily backup is kept.
    pub daily: u32,
    /// Weeks a weekly backup is kept.
    pub weekly: u32,
    /// Months a monthly backup is kept.
    pub monthly: u32,
}

/// A count-and-age rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// `default`, `aggressive`, `conservative`, `compliance` or `custom`.
    pub name: String,
    /// At most this many backups a scope.
    pub max_backups: u32,
    /// None older than this many days.
    pub max_age_days: u32,
    /// But never fewer than this many.
    pub keep_minimum: u32,
}

impl RetentionPolicy {
    /// The policies that have a name: `default`, `aggressive`, `conservative`, `compliance`.
    pub fn built_in() -> [Self; 4] {
        [("default", 10, 30), ("aggressive", 5, 7), ("conservative", 30, 90), ("compliance", 100, 365)].map(
            |(name, max_backups, max_age_days)| Self { name: name.into(), max_backups, max_age_days, keep_minimum: 1 },
        )
    }
}

/// Retention class of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackupType {
    /// Made every day.
    #[default]
    Daily,
    /// Made every week.
    Weekly,
    /// Made every month.
    Monthly,
}

impl BackupType {
    /// All types.
    pub const ALL: [BackupType; 3] = [BackupType::Daily, BackupType::Weekly, BackupType::Monthly];

    /// The folder in the repository, and the word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            BackupType::Daily => "daily",
            BackupType::Weekly => "weekly",
            BackupType::Monthly => "monthly",
        }
    }
}
