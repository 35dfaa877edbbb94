//! The records that say which files of an upload root are a tenant's.

use super::{Records, tenant_records};
use crate::config::{Config, FileReferences};
use crate::error::{Error, Kind, Result};
use crate::names::TenantId;

/// Records that name files of an upload root.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The root's name.
    pub root: String,
    /// Collection and field.
    pub rule: FileReferences,
    /// Which of the collection's records.
    pub records: Records,
    /// The collection need not exist.
    pub optional: bool,
}

/// Those that name a tenant's files. What is declared shared names files that are every tenant's.
///
/// # Errors
/// [`Kind::Config`] where it cannot be told whose records are.
pub fn tenant_references(config: &Config, tenant: &TenantId) -> Result<Vec<Reference>> {
    let mut found = Vec::new();
    for (root, rule) in config.uploads.iter().flat_map(|root| root.references.iter().map(move |rule| (root, rule))) {
        let records = tenant_records(config, tenant, &rule.source, &rule.collection).map_err(|finding| {
            let what = format!("which files of upload root '{}' are tenant {tenant}'s cannot be told", root.name);
            Error::new(Kind::Config, what).cause(finding)
        })?;
        // What is in no tenant's backup names no tenant's files.
        let Some(records) = records else { continue };
        let optional = is_optional(config, rule);
        found.push(Reference { root: root.name.clone(), rule: rule.clone(), records, optional });
    }
    Ok(found)
}

/// All of an installation's, by whoever's records.
pub fn all_references(config: &Config) -> Vec<Reference> {
    let all = config.uploads.iter().flat_map(|root| root.references.iter().map(move |rule| (root, rule)));
    let whole = |(root, rule): (&crate::config::UploadRoot, &FileReferences)| Reference {
        root: root.name.clone(),
        rule: rule.clone(),
        records: Records::All { shared: false },
        optional: is_optional(config, rule),
    };
    all.map(whole).collect()
}

fn is_optional(config: &Config, rule: &FileReferences) -> bool {
    let all = config.modules.values().flat_map(|module| &module.collections);
    let mut listed = all.filter(|c| c.name == rule.collection && c.source == rule.source);
    // Needed as soon as one module needs it.
    listed.all(|collection| collection.optional) || config.sources.get(&rule.source).is_some_and(|s| s.per_tenant)
}
