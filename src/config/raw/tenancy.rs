//! Who the tenants are.

use super::RawLicense;
use crate::config::either::RawPlain;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The type of tenant ids inside records.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawIdType {
    String,
    ObjectId,
    Int,
    Uuid,
}

section! {
/// Who the tenants are and how they own records.
RawTenancy {
    /// Default owner field of every collection.
    field: Option<String>,
    /// Type of tenant ids inside records; default string.
    id_type: Option<RawIdType>,
    /// Tenants, by id.
    #[serde(default)]
    tenants: BTreeMap<String, RawTenant>,
    /// The collection whose records are the tenants; those of `tenants` are there besides, and go first.
    discover: Option<RawDiscovery>,
}}

section! {
/// A collection whose records are the tenants. Fields may reach into sub-documents (or JSON columns) with dots.
RawDiscovery {
    /// The source that holds it.
    #[schemars(required)]
    source: Option<String>,
    /// Name of the collection or table.
    #[schemars(required)]
    collection: Option<String>,
    /// Field with the tenant's id.
    #[schemars(required)]
    id: Option<String>,
    /// Field with the modules the tenant uses: a list of names, or a map of `true` or `{enabled: true}`; default: every
    /// enabled one.
    modules: Option<String>,
    /// Field with the features the tenant's own licence grants, in the same forms; default: the installation's decides.
    features: Option<String>,
    /// Only records whose fields hold these values: `{status: active}`.
    #[serde(default, rename = "where")]
    filter: BTreeMap<String, RawPlain>,
}}

section! {
/// A tenant.
RawTenant {
    /// Modules the tenant uses; default: every enabled one.
    modules: Option<Vec<String>>,
    /// Features the tenant's own licence grants; default: the installation's licence decides.
    features: Option<Vec<String>>,
    /// The tenant's own licence, instead of `features`; its subject (`sub`) must be the tenant.
    license: Option<RawLicense>,
}}
