//! Modules, their collections, and whose records are.

use super::RawEncrypt;
use crate::config::either::Either;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

section! {
/// A file that `modulesFrom` names: modules, written as in the main file. Sources, upload roots and all else are those
/// of the main file.
RawModuleFile {
    /// Modules, by name.
    #[schemars(required)]
    #[expect(dead_code, reason = "read by the schema check only: the modules join those of the main file")]
    modules: Option<BTreeMap<String, RawModule>>,
}}

section! {
/// A module of the application.
RawModule {
    /// Name for people; default: the module's name.
    display_name: Option<String>,
    /// Always enabled, needs no licence.
    required: Option<bool>,
    /// Lower first; default 100.
    priority: Option<i64>,
    /// Feature that a licence must grant.
    license_feature: Option<String>,
    /// Modules that must be enabled too.
    #[serde(default)]
    dependencies: Vec<String>,
    /// Default source of the module's collections.
    source: Option<String>,
    /// Collections: names, or details.
    #[serde(default)]
    collections: Vec<Either<String, RawCollection>>,
    /// Upload directories.
    #[serde(default)]
    file_uploads: Vec<String>,
    /// Foreign keys to check.
    #[serde(default)]
    relationships: Vec<RawRelationship>,
    /// `required`: never written in clear, even if nobody to encrypt it to is configured.
    encrypt: Option<RawEncrypt>,
    /// Public keys (`age1…`) this is encrypted to, instead of those of `repository.encryption`.
    #[serde(default)]
    recipients: Vec<String>,
}}

section! {
/// A collection in detail.
RawCollection {
    /// Name in the database.
    #[schemars(required)]
    name: Option<String>,
    /// The source that holds it; default: the module's, else the only one.
    source: Option<String>,
    /// Need not exist: databases create collections on first write.
    optional: Option<bool>,
    /// Who owns its records; default: `tenancy.field`.
    tenant: Option<Either<RawOwnerWord, RawOwnerRule>>,
}}

/// An owner in one word.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawOwnerWord {
    Shared,
    Excluded,
}

section! {
/// An owner rule: `field`, or `via` with `foreignKey`.
RawOwnerRule {
    /// Field that names the tenant; dots reach into sub-documents.
    field: Option<String>,
    /// Parent collection, whose owner is the owner.
    via: Option<String>,
    /// Field that holds the parent's id.
    foreign_key: Option<String>,
}}

section! {
/// A foreign key to check.
RawRelationship {
    /// The collection that is pointed at.
    #[schemars(required)]
    parent: Option<String>,
    /// The collection that points.
    #[schemars(required)]
    child: Option<String>,
    /// The pointing field.
    #[schemars(required)]
    foreign_key: Option<String>,
}}
