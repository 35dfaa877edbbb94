//! `verify-collections`: compares what the configuration expects with what the sources hold.

mod compare;

use crate::config::Config;
use crate::error::{Context, Error, Kind, Result};
use crate::modules::{self, Grants, Records};
use crate::names::TenantId;
use crate::pipeline::Cancel;
use crate::source::{self, Wanted};
use compare::{Expectation, Observed, compare};

/// The verdict. Field names are a contract. A collection is named plainly, or as `source.collection` where several
/// sources have one of that name.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The tenant, or none.
    pub tenant_id: Option<String>,
    /// Collections the selected modules list.
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

/// Compares, for the installation or a tenant, for all modules or some. Existence, counts and relationships are those
/// of whole collections, also for a tenant: a tenant changes only which modules are looked at.
///
/// # Errors
/// When a source cannot be reached, or a name is unknown.
pub fn run(
    config: &Config,
    grants: &Grants,
    tenant: Option<&TenantId>,
    modules: &[String],
    cancel: &Cancel,
) -> Result<Report> {
    let chosen = modules::choose(config, grants, tenant, modules)?;
    let expectation = Expectation::new(config, tenant, &chosen.modules, modules.is_empty());
    let mut observed = Observed::default();
    for name in expectation.sources() {
        cancel.check()?;
        let configured = config.sources.get(&name).ok_or_else(|| {
            Error::new(Kind::Config, format!("no source '{name}' is configured")).hint("add it under `sources`")
        })?;
        let opened = source::open(&name, configured, cancel)?;
        let inventory = opened.inventory().context(|| format!("cannot list the collections of source '{name}'"))?;
        for (collection, item) in &inventory.items {
            let key = (name.clone(), collection.clone());
            let mut records = item.records;
            if expectation.counts(&key) {
                let wanted = Wanted {
                    name: collection.clone(),
                    kind: item.kind,
                    identity: item.identity.clone(),
                    records: Records::All { shared: false },
                };
                // The estimate stands in where an exact count is not cheap.
                records = opened.count(&wanted)?.unwrap_or(records);
            }
            observed.collections.insert(key, records);
        }
        for relationship in expectation.relationships.iter().filter(|r| r.source == name) {
            cancel.check()?;
            let both = [&relationship.parent, &relationship.child];
            let orphans = match both.iter().all(|c| inventory.items.contains_key(*c)) {
                true => Some(opened.orphans(relationship)?),
                false => None,
            };
            observed.relationships.push((relationship.clone(), orphans));
        }
    }
    Ok(compare(&expectation, &observed))
}
