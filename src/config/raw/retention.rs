//! How long backups are kept.

use schemars::JsonSchema;
use serde::Deserialize;

section! {
/// How long backups are wanted for the modules of one class.
RawClass {
    /// Modules of the class.
    #[serde(default)]
    modules: Vec<String>,
    /// Days a daily backup is kept.
    #[schemars(required)]
    daily: Option<u32>,
    /// Weeks a weekly backup is kept.
    #[schemars(required)]
    weekly: Option<u32>,
    /// Months a monthly backup is kept.
    #[schemars(required)]
    monthly: Option<u32>,
}}

/// A policy with fixed numbers.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawPolicyName {
    Default,
    Aggressive,
    Conservative,
    Compliance,
}

section! {
/// A policy of one's own.
RawPolicy {
    /// At most this many backups a scope.
    #[schemars(required)]
    max_backups: Option<u32>,
    /// None older than this many days.
    #[schemars(required)]
    max_age_days: Option<u32>,
    /// But never fewer than this many; default 1.
    keep_minimum: Option<u32>,
}}

/// Retention type.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawBackupType {
    Daily,
    Weekly,
    Monthly,
}
