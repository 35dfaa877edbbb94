//! Figures and checks for monitoring systems.

use crate::config::either::Size;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Figures for a monitoring system, written at the end of every create, verify, verify-collections, prune, restore, forget,
/// hold and release.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawMetrics {
    /// File for the textfile collector of Prometheus' node exporter; its name must end in `.prom`.
    #[schemars(required)]
    pub textfile: Option<String>,
    /// With more tenants than this none has series of its own, and figures over all of them remain; default 100.
    pub max_tenants: Option<u32>,
}

/// When `backup check` warns.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawChecks {
    /// Age of the newest good copy from which on it warns; default 26h.
    pub warning: Option<String>,
    /// The same for critical; default 50h.
    pub critical: Option<String>,
    /// Ages of the newest good copy of one type, which is judged besides.
    pub types: Option<RawTypes>,
    /// Ages for single modules.
    #[serde(default)]
    pub modules: BTreeMap<String, RawLimits>,
    /// Ages for single tenants; they go before those of modules.
    #[serde(default)]
    pub tenants: BTreeMap<String, RawTenantCheck>,
    /// Free space of the repository's file system.
    pub free_space: Option<RawSpaceLimits>,
    /// Age of the newest verification that found a backup valid, for each scope.
    pub unverified: Option<RawLimits>,
}

/// Ages of one type each.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawTypes {
    /// Of daily copies.
    pub daily: Option<RawLimits>,
    /// Of weekly copies.
    pub weekly: Option<RawLimits>,
    /// Of monthly copies.
    pub monthly: Option<RawLimits>,
}

/// Two ages: `26h`, `8d`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawLimits {
    /// Above it: a warning.
    #[schemars(required)]
    pub warning: Option<String>,
    /// Above it: critical.
    #[schemars(required)]
    pub critical: Option<String>,
}

/// `warning` and `critical`, or `ignore`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawTenantCheck {
    /// Above it: a warning.
    pub warning: Option<String>,
    /// Above it: critical.
    pub critical: Option<String>,
    /// The tenant is not judged: it has left, and its backups are still kept.
    pub ignore: Option<bool>,
}

/// Two amounts of space: `20GiB`, or `10%` of the file system.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawSpaceLimits {
    /// Below it: a warning.
    #[schemars(required)]
    pub warning: Option<Size>,
    /// Below it: critical.
    #[schemars(required)]
    pub critical: Option<Size>,
}
