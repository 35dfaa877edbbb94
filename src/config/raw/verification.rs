//! What is checked of the data before and after a backup.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

section! {
/// What `verify-collections` checks beyond existence.
RawVerification {
    /// Collections whose absence fails the verification.
    #[serde(default)]
    critical_collections: Vec<String>,
    /// Least number of records, by collection.
    #[serde(default)]
    minimum_records: BTreeMap<String, u64>,
    /// Whether `create` verifies first: `off` (default), `warn` of what is found, or `refuse` to go on when it failed.
    before_backup: Option<RawBeforeBackup>,
}}

/// Whether `create` verifies first.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawBeforeBackup {
    Off,
    Warn,
    Refuse,
}

section! {
/// What `create` does when data shrinks from one backup to the next.
RawAnomaly {
    /// Losing more than this share of its records or files is an anomaly, like vanishing or being empty: `1%` to
    /// `100%`; default `50%`.
    max_shrink: Option<String>,
    /// `warn` (default), or `fail`: the component does not count as a good copy.
    action: Option<RawAnomalyAction>,
}}

/// What an anomaly leads to.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawAnomalyAction {
    Warn,
    Fail,
}
