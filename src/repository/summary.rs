//! The short form of a manifest: what lists, retention and statistics need. Names that repeat in every backup are kept
//! once, so that tens of thousands of summaries fit in little memory.

use crate::config::{BackupType, Only};
use crate::manifest::{ComponentStatus, Status, Totals, moment};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The short form of a manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// [`crate::manifest::FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// The backup's id.
    pub id: String,
    /// Retention class.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// `full`.
    pub mode: Arc<str>,
    /// The backup this one builds on.
    pub parent: Option<String>,
    /// The tenant, or none.
    pub tenant_id: Option<Arc<str>>,
    /// When the run began.
    #[serde(deserialize_with = "moment")]
    pub timestamp: DateTime<Utc>,
    /// How long it took.
    pub duration_seconds: f64,
    /// How it turned out.
    pub status: Status,
    /// Half the run was narrowed to.
    pub only: Option<Only>,
    /// It keeps what a restore was about to change.
    pub safety_for: Option<String>,
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
    pub name: Arc<str>,
    /// The module.
    pub module: Option<Arc<str>>,
    /// Modules that share the archive.
    #[serde(default)]
    pub shared_by: Vec<Arc<str>>,
    /// How it turned out.
    pub status: ComponentStatus,
    /// Bytes of the archive.
    pub size: u64,
    /// How many collections or directories it holds in full.
    #[serde(rename = "collectionsIncluded", deserialize_with = "count")]
    pub collections: u32,
    /// Records that are stored in full.
    #[serde(default, rename = "collections", deserialize_with = "records")]
    pub records: u64,
    /// Regular files.
    #[serde(default, deserialize_with = "files")]
    pub files: u64,
}

/// Sums the records of complete collections without keeping those. A manifest may say any number.
fn records<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    struct Collection {
        status: ComponentStatus,
        documents: u64,
    }
    struct Sum;
    impl<'de> Visitor<'de> for Sum {
        type Value = u64;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of collections")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
            let mut sum = 0u64;
            while let Some(Collection { status, documents }) = list.next_element()? {
                if status == ComponentStatus::Complete {
                    sum = sum.saturating_add(documents);
                }
            }
            Ok(sum)
        }
    }
    deserializer.deserialize_seq(Sum)
}

/// The number of regular files, where there are any.
fn files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    struct Files {
        files: u64,
    }
    Ok(Option::<Files>::deserialize(deserializer)?.map_or(0, |files| files.files))
}

/// Counts the elements of a list without keeping them.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    struct Counter;
    impl<'de> Visitor<'de> for Counter {
        type Value = u32;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u32, A::Error> {
            let mut count = 0;
            while list.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }
    deserializer.deserialize_seq(Counter)
}

impl Summary {
    /// The modules of which it is a good and whole copy.
    pub fn good_modules(&self) -> Vec<&str> {
        if self.only.is_some() || self.safety_for.is_some() {
            return Vec::new();
        }
        let good = |(module, state)| (state == ComponentStatus::Complete).then_some(module);
        self.module_states().into_iter().filter_map(good).collect()
    }

    /// Every module it has a component of, with the worst status of its components.
    pub fn module_states(&self) -> BTreeMap<&str, ComponentStatus> {
        let mut states = BTreeMap::new();
        for component in &self.components {
            for module in component.module.iter().chain(&component.shared_by) {
                let state = states.entry(&**module).or_insert(ComponentStatus::Absent);
                *state = (*state).worst(component.status);
            }
        }
        states
    }
}

/// Names seen so far.
#[derive(Debug, Default)]
pub struct Names(HashSet<Arc<str>>);

impl Names {
    /// Replaces the names in a summary by those seen before.
    pub fn share(&mut self, summary: &mut Summary) {
        self.one(&mut summary.mode);
        summary.tenant_id.iter_mut().for_each(|name| self.one(name));
        for component in &mut summary.components {
            self.one(&mut component.name);
            component.module.iter_mut().chain(&mut component.shared_by).for_each(|name| self.one(name));
        }
        summary.components.shrink_to_fit();
    }

    fn one(&mut self, name: &mut Arc<str>) {
        match self.0.get(name) {
            Some(known) => *name = known.clone(),
            None => {
                self.0.insert(name.clone());
            }
        }
    }
}
