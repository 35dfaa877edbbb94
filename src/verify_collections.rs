//! `verify-collections`: compares what the configuration expects with what the sources hold.

use crate::config::Config;
use crate::error::Result;
use crate::names::TenantId;
use crate::pipeline::Cancel;

/// The verdict. Field names are a contract.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The tenant, or none.
    pub tenant_id: Option<String>,
    /// `source.collection` the selection covers.
    pub expected_collections: Vec<String>,
    /// Those that exist.
    pub existing_collections: Vec<String>,
    /// Those that do not.
    pub missing_collections: Vec<String>,
    /// Those that exist and no module (also no excluded one) lists.
    pub extra_collections: Vec<String>,
    /// Foreign keys.
    pub relationships: Vec<RelationshipReport>,
    /// `passed`, `warning` or `failed`.
    pub verification_status: VerificationStatus,
    /// Why it is not `passed`.
    pub findings: Vec<String>,
}

/// One foreign key.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelationshipReport {
    /// Parent collection.
    pub parent: String,
    /// Child collection.
    pub child: String,
    /// Field.
    pub foreign_key: String,
    /// Children without a parent.
    pub orphans: u64,
    /// Up to five keys that name no parent.
    pub samples: Vec<String>,
}

/// The verdict in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum VerificationStatus {
    /// All is there.
    Passed,
    /// Something optional is missing, or a relationship has orphans.
    Warning,
    /// Something needed is missing.
    Failed,
}

/// Compares, for the installation or a tenant, for all modules or some.
///
/// # Errors
/// When a source cannot be reached, or a name is unknown.
pub fn run(config: &Config, tenant: Option<&TenantId>, modules: &[String], cancel: &Cancel) -> Result<Report> {
    let _ = (config, tenant, modules, cancel);
    unimplemented!()
}
