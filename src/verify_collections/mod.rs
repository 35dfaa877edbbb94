//! `verify-collections`: compares what the configuration expects with what the sources hold.

mod compare;
mod files;
mod owners;

pub use files::{ReferenceReport, Unnamed, UploadsReport};
pub use owners::OwnerReport;

use crate::config::Config;
use crate::error::{Context, Error, Kind, Result};
use crate::modules::{self, Grants, Records};
use crate::names::TenantId;
use crate::pipeline::Cancel;
use crate::source::{self, Inventory, Item, Orphans, Source, Wanted};
use compare::{Expectation, Observed, compare};
use std::collections::BTreeMap;

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
    /// How well records say whose they are, where there are tenants.
    pub owners: Vec<OwnerReport>,
    /// Files of common folders and the records that name them, by upload root.
    pub file_references: Vec<UploadsReport>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum VerificationStatus {
    /// All is there.
    Passed,
    /// Something optional is missing, a relationship has orphans, records have no owner, or files and the records that name
    /// them do not agree.
    Warning,
    /// Something needed is missing.
    Failed,
}

impl Report {
    fn find(&mut self, status: VerificationStatus, finding: String) {
        self.verification_status = self.verification_status.max(status);
        self.findings.push(finding);
    }
}

/// Compares, for the installation or a tenant, for all modules or some. Existence is that of whole collections; what is
/// counted and sampled of a tenant is of its records alone.
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
    let mut look = Look { config, tenant, cancel, sources: BTreeMap::new() };
    let mut observed = Observed::default();
    for name in expectation.sources() {
        cancel.check()?;
        let live = look.at(&name)?;
        for (collection, item) in &live.inventory.items {
            let key = (name.clone(), collection.clone());
            let mut records = item.records;
            if expectation.counts(&key) {
                let covered = covered(config, tenant, &name, collection);
                let wanted = wanted(collection, item, covered.unwrap_or(Records::All { shared: false }));
                // The estimate stands in where an exact count is not cheap.
                records = live.source.count(&wanted)?.unwrap_or(records);
            }
            observed.collections.insert(key, records);
        }
        for relationship in expectation.relationships.iter().filter(|r| r.source == name) {
            cancel.check()?;
            let both = [&relationship.parent, &relationship.child];
            let there = both.iter().all(|c| live.inventory.items.contains_key(*c));
            let children = covered(config, tenant, &name, &relationship.child);
            let orphans: Option<Orphans> = match (there, children) {
                (true, Some(children)) => Some(live.source.orphans(relationship, &children)?),
                _ => None,
            };
            observed.relationships.push((relationship.clone(), orphans));
        }
    }
    let mut report = compare(&expectation, &observed);
    owners::check(&mut look, &expectation, &mut report)?;
    files::check(&mut look, &expectation, modules.is_empty(), &mut report)?;
    Ok(report)
}

/// Which records of a collection are looked at: all, or a tenant's. None where it cannot be told which are the tenant's, or
/// none are.
fn covered(config: &Config, tenant: Option<&TenantId>, source: &str, collection: &str) -> Option<Records> {
    match tenant {
        None => Some(Records::All { shared: false }),
        Some(tenant) => modules::tenant_records(config, tenant, source, collection).ok().flatten(),
    }
}

fn wanted(name: &str, item: &Item, records: Records) -> Wanted {
    Wanted { name: name.to_owned(), kind: item.kind, identity: item.identity.clone(), records }
}

/// The sources that are looked at, each opened and listed once.
struct Look<'a> {
    config: &'a Config,
    tenant: Option<&'a TenantId>,
    cancel: &'a Cancel,
    sources: BTreeMap<String, Live>,
}

/// An open source and what it holds.
struct Live {
    source: Box<dyn Source>,
    inventory: Inventory,
}

impl Look<'_> {
    fn at(&mut self, name: &str) -> Result<&Live> {
        if !self.sources.contains_key(name) {
            let configured = self.config.sources.get(name).ok_or_else(|| {
                Error::new(Kind::Config, format!("no source '{name}' is configured")).hint("add it under `sources`")
            })?;
            let source = source::open(name, configured, self.cancel)?;
            let inventory = source.inventory().context(|| format!("cannot list the collections of source '{name}'"))?;
            self.sources.insert(name.to_owned(), Live { source, inventory });
        }
        self.sources.get(name).ok_or_else(|| Error::new(Kind::Internal, "a source is not open"))
    }
}
