//! Named, scheduled requests.

use super::RawBackupType;
use super::RawCommands;
use schemars::JsonSchema;
use serde::Deserialize;

section! {
/// A request with a schedule: exactly one of `create`, `verifyCollections`, `verify`, `prune` and `keyRotation`.
RawJob {
    /// Five-field cron expression in `timezone`.
    schedule: Option<String>,
    /// `backup create`.
    create: Option<RawCreate>,
    /// `backup verify-collections`.
    verify_collections: Option<RawNothing>,
    /// `backup verify`.
    verify: Option<RawVerify>,
    /// `backup prune`.
    prune: Option<RawNothing>,
    /// `backup key rotate`.
    key_rotation: Option<RawNothing>,
    /// Programs that are run around this job, each instead of that of the file.
    commands: Option<RawCommands>,
}}

section! {
/// Options of `backup verify`.
RawVerify {
    /// How deep; default: decoded, or stored where no key here opens an encrypted archive.
    level: Option<RawLevel>,
    /// Which backups; default latest, the newest system-wide one.
    backups: Option<RawWhich>,
}}

/// How deep to verify.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawLevel {
    Stored,
    Decoded,
    Restored,
}

/// Which backups to verify.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawWhich {
    Latest,
    All,
}

section! {
/// An action without options.
RawNothing {}}

section! {
/// Options of `backup create`.
RawCreate {
    /// Retention type; default daily.
    #[serde(rename = "type")]
    backup_type: Option<RawBackupType>,
    /// Each tenant's backup of its own.
    all_tenants: Option<bool>,
    /// Only these modules.
    #[serde(default)]
    modules: Vec<String>,
    /// Only this tenant.
    tenant: Option<String>,
    /// Only databases or only files.
    only: Option<RawOnly>,
}}

/// Half of a backup.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawOnly {
    Database,
    Files,
}
