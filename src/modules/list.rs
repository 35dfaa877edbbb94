//! Every module with its state, for `list-modules`.

use super::enablement::{missing_dependencies, standings};
use super::{Grants, ListedCollection, ListedModule};
use crate::config::{Config, Owner};
use crate::error::Result;
use crate::names::TenantId;

/// Every module with its state for the installation or a tenant, by priority and then name. A missing dependency,
/// which stops a run, is only told in the reason here: this is where one looks for it.
///
/// # Errors
/// [`crate::error::Kind::NotFound`] for an unknown tenant.
pub fn list(config: &Config, grants: &Grants, tenant: Option<&TenantId>) -> Result<Vec<ListedModule>> {
    let standings = standings(config, grants, tenant)?;
    let mut listed = Vec::with_capacity(config.modules.len());
    for (name, module) in &config.modules {
        let Some(standing) = standings.get(name) else { continue };
        let mut reason = standing.reason.clone();
        if standing.is_in() {
            for (dependency, why, _) in missing_dependencies(module, &standings) {
                reason += &format!("; but its dependency '{dependency}' is excluded: {why}");
            }
        }
        listed.push(ListedModule {
            name: name.clone(),
            display_name: module.display_name.clone(),
            state: standing.state,
            reason,
            license_feature: module.license_feature.clone(),
            priority: module.priority,
            source: module.collections.first().map(|c| c.source.clone()),
            collections: module
                .collections
                .iter()
                .map(|c| ListedCollection {
                    name: c.name.clone(),
                    source: c.source.clone(),
                    optional: c.optional,
                    owner: describe(&c.owner),
                })
                .collect(),
            file_uploads: module.file_uploads.clone(),
        });
    }
    listed.sort_by_key(|module| module.priority); // stable: names of one priority stay in order
    Ok(listed)
}

fn describe(owner: &Owner) -> String {
    match owner {
        Owner::Field(field) => format!("field {field}"),
        Owner::Via { parent, foreign_key } => format!("via {parent}.{foreign_key}"),
        Owner::Shared => "shared".into(),
        Owner::Excluded => "excluded".into(),
        Owner::Unknown => "unknown".into(),
    }
}
