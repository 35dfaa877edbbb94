//! A selection resolved against live sources: what will be read, how it is filtered, where it goes.

use crate::modules::{Excluded, Records};
use crate::names::Scope;
use crate::source::ItemKind;

/// What a run will do. `create --dry-run` shows it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The scope.
    #[serde(serialize_with = "scope_text")]
    pub scope: Scope,
    /// Modules that are in, by priority.
    pub modules: Vec<String>,
    /// Modules that are out.
    pub excluded: Vec<Excluded>,
    /// One per archive.
    pub components: Vec<PlannedComponent>,
    /// Estimated bytes before compression.
    pub bytes: u64,
    /// Bytes free in the repository; none when it does not exist yet.
    pub free_space: Option<u64>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

fn scope_text<S: serde::Serializer>(scope: &Scope, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(scope)
}

/// One archive that will be made.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedComponent {
    /// Path in the backup's folder without extension.
    pub archive: String,
    /// The module.
    pub module: Option<String>,
    /// Engine.
    pub engine: String,
    /// Source name, `uploads`, or the `extraFiles` name.
    pub name: String,
    /// Collections, or upload directories.
    pub items: Vec<PlannedItem>,
    /// Estimated bytes before compression.
    pub bytes: u64,
    /// Files found; 0 for databases.
    pub files: u64,
}

/// One collection or directory that will be read.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedItem {
    /// True name.
    pub name: String,
    /// What it is; none when it does not exist, or for directories.
    pub kind: Option<ItemKind>,
    /// It is there.
    pub exists: bool,
    /// It need not be.
    pub optional: bool,
    /// Which records.
    #[serde(serialize_with = "records_text")]
    pub records: Records,
    /// Estimated (whole collections) or exact (tenant runs) number of records.
    pub documents: u64,
    /// Estimated bytes.
    pub bytes: u64,
    /// Identity at planning time.
    #[serde(skip)]
    pub identity: Option<String>,
}

fn records_text<S: serde::Serializer>(records: &Records, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&records.describe())
}
