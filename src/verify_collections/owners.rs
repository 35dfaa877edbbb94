//! How well the records of tenants say whose they are: what `create --tenant` would find of it, before it does.

use super::compare::Expectation;
use super::{Look, Report, VerificationStatus, wanted};
use crate::config::{Config, Consistency, Owner};
use crate::error::{Kind, Result, counted};
use crate::modules;
use crate::source::Level;

/// One collection whose records are tenants', or of which that is not said.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReport {
    /// The collection.
    pub collection: String,
    /// `tenantId`, `policyId in insurancepolicies`; none where there is no rule.
    pub rule: Option<String>,
    /// Records that name no owner, which are in no tenant's backup.
    pub without_owner: u64,
    /// What makes the index by which a tenant's records are found, where there is none.
    pub missing_index: Option<String>,
}

/// Looks at every expected collection that is there.
pub(super) fn check(look: &mut Look<'_>, expectation: &Expectation, report: &mut Report) -> Result<()> {
    let (config, cancel) = (look.config, look.cancel);
    if !has_tenants(config) {
        return Ok(());
    }
    for source in expectation.sources() {
        let mut asked = Vec::new();
        let live = look.at(&source)?;
        for key in expectation.expected.keys().filter(|key| key.0 == source) {
            let Some(item) = live.inventory.items.get(&key.1) else { continue };
            match modules::anybodys_records(config, &key.0, &key.1) {
                Ok(None) => {}
                Ok(Some(records)) => asked.push((expectation.label(key), key, wanted(&key.1, item, records))),
                Err(finding) => {
                    let (collection, rule) = (expectation.label(key), None);
                    report.owners.push(OwnerReport { collection, rule, without_owner: 0, missing_index: None });
                    report.find(VerificationStatus::Warning, finding);
                }
            }
        }
        if asked.is_empty() {
            continue;
        }
        let all: Vec<_> = asked.iter().map(|(.., wanted)| wanted.clone()).collect();
        let view = live.source.open_view(&all, Consistency::Preferred, Level::Snapshot)?;
        for (collection, key, wanted) in asked {
            cancel.check()?;
            match view.coverage(&wanted) {
                Ok(None) => {}
                Ok(Some(coverage)) => {
                    if coverage.without_owner > 0 {
                        let one = format!("record of '{collection}' names no owner and is");
                        let several = format!("records of '{collection}' name no owner and are");
                        let records = counted(coverage.without_owner, &one, &several);
                        let finding = format!("{records} in no tenant's backup");
                        report.find(VerificationStatus::Warning, finding);
                    }
                    let (without_owner, missing_index) = (coverage.without_owner, coverage.index);
                    let rule = rule(config, &key.0, &key.1);
                    report.owners.push(OwnerReport { collection, rule, without_owner, missing_index });
                }
                // Wrong of this collection alone.
                Err(error) if matches!(error.kind, Kind::Config | Kind::Missing | Kind::Source) => {
                    cancel.check()?;
                    report.find(VerificationStatus::Failed, format!("whose records of '{collection}' are: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn has_tenants(config: &Config) -> bool {
    let tenancy = &config.tenancy;
    tenancy.field.is_some() || !tenancy.tenants.is_empty() || tenancy.discover.is_some()
}

fn rule(config: &Config, source: &str, name: &str) -> Option<String> {
    let mut all = config.modules.values().flat_map(|module| &module.collections);
    match &all.find(|collection| collection.source == source && collection.name == name)?.owner {
        Owner::Field(field) => Some(field.clone()),
        Owner::Via { parent, foreign_key } => Some(format!("{foreign_key} in {parent}")),
        Owner::Shared | Owner::Excluded | Owner::Unknown => None,
    }
}
