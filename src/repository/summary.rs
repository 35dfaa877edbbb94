//! The short form of a manifest: what lists, retention and statistics need, and nothing that grows with the number of
//! collections but their counts.

use crate::config::BackupType;
use crate::manifest::{ComponentStatus, Status, Totals};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The short form of a manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The backup's id.
    pub id: String,
    /// Retention class.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// `full`.
    pub mode: String,
    /// The backup this one builds on.
    pub parent: Option<String>,
    /// The tenant, or none.
    pub tenant_id: Option<String>,
    /// When the run began.
    pub timestamp: DateTime<Utc>,
    /// How long it took.
    pub duration_seconds: f64,
    /// How it turned out.
    pub status: Status,
    /// Sums over the components.
    pub totals: Totals,
    /// One per archive.
    pub components: Vec<SummaryComponent>,
}

/// What a summary knows of a component.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SummaryComponent {
    /// Source, `uploads`, or the name of the `extraFiles` entry.
    pub name: String,
    /// The module.
    pub module: Option<String>,
    /// Modules that share the archive.
    #[serde(default)]
    pub shared_by: Vec<String>,
    /// How it turned out.
    pub status: ComponentStatus,
    /// Bytes of the archive.
    pub size: u64,
    /// Names of what it holds in full.
    pub collections_included: Vec<String>,
}

impl Summary {
    /// Every module it has a component of, with the worst status of its components.
    pub fn module_states(&self) -> BTreeMap<&str, ComponentStatus> {
        let mut states = BTreeMap::new();
        for component in &self.components {
            for module in component.module.iter().chain(&component.shared_by) {
                let state = states.entry(module.as_str()).or_insert(ComponentStatus::Absent);
                *state = (*state).worst(component.status);
            }
        }
        states
    }
}
