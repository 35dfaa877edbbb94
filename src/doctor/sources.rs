//! Databases: can they be reached, is there what the configuration names, and what their engines say.

use super::{Finding, Options, Stored};
use crate::config::{Config, Consistency, Engine};
use crate::license;
use crate::modules::{self, Content, Only, Records, Request};
use crate::names::Scope;
use crate::plan;
use crate::source::health::Needs;
use crate::source::{Inventory, Wanted};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Looks at a source that is everybody's.
pub(super) fn look(options: &Options<'_>, stored: &Stored, name: &str) -> Vec<Finding> {
    look_for(options, options.config, &Scope::SystemWide, stored, name).unwrap_or_default()
}

/// Looks at one source as a backup of `scope` reads it. None where it is a tenant's own and not there yet.
pub(super) fn look_for(
    options: &Options<'_>,
    config: &Config,
    scope: &Scope,
    stored: &Stored,
    name: &str,
) -> Option<Vec<Finding>> {
    let configured = config.sources.get(name)?;
    let source = match plan::open_one(config, name, &options.cancel) {
        Ok(source) => source?,
        Err(error) => return Some(vec![Finding::from(&error)]),
    };
    let server = source.server();
    let mut found = vec![Finding::ok(format!(
        "{} {}, database {} at {}",
        configured.engine.name(),
        server.version,
        server.database,
        server.address
    ))];
    let inventory = match source.inventory() {
        Ok(inventory) => inventory,
        Err(error) => {
            found.push(Finding::from(&error));
            return Some(found);
        }
    };
    if configured.per_tenant && inventory.items.is_empty() {
        return None;
    }
    let (wanted, missing) = expected(config, scope, (options.now)(), name, &inventory);
    if !missing.is_empty() {
        found.push(Finding::failed(
            format!("there is no {}", missing.join(", no ")),
            "`backup verify-collections` compares all names; say `optional: true` of what need not exist",
        ));
    }
    let owned: Vec<_> = wanted.iter().filter_map(|wanted| as_a_tenants(config, name, wanted)).collect();
    let consistency = match &configured.engine {
        Engine::MongoDb { consistency, .. } => *consistency,
        _ => Consistency::Preferred,
    };
    let last_run = last_run(stored, scope);
    let needs = Needs { wanted: &wanted, owned: &owned, consistency, last_run, now: options.now };
    match source.diagnose(&needs) {
        Ok(more) => found.extend(more),
        Err(error) => found.push(Finding::from(&error)),
    }
    Some(found)
}

/// What a backup of `scope` reads of a source, and the names that are not there.
fn expected(
    config: &Config,
    scope: &Scope,
    now: DateTime<Utc>,
    name: &str,
    inventory: &Inventory,
) -> (Vec<Wanted>, Vec<String>) {
    let request = Request {
        scope: scope.clone(),
        modules: Vec::new(),
        only: Some(Only::Database),
        backup_type: crate::config::BackupType::default(),
    };
    let selection = license::required(config, scope, now).and_then(|grants| modules::select(config, &grants, &request));
    // Why nothing is selected is a finding about the configuration.
    let Ok(selection) = selection else { return (Vec::new(), Vec::new()) };
    let (mut wanted, mut missing) = (Vec::new(), Vec::new());
    for component in &selection.components {
        match &component.content {
            Content::Collections { source, collections } if source == name => {
                for spec in collections {
                    match inventory.items.get(&spec.name) {
                        Some(_) => wanted.extend(all_of(&spec.name, inventory)),
                        None if spec.optional => {}
                        None => missing.push(format!("'{}'", spec.name)),
                    }
                }
            }
            Content::WholeDatabase { source } if source == name => {
                wanted.extend(inventory.items.keys().filter_map(|name| all_of(name, inventory)));
            }
            _ => {}
        }
    }
    (wanted, missing)
}

fn all_of(name: &str, inventory: &Inventory) -> Option<Wanted> {
    let item = inventory.items.get(name)?;
    let records = Records::All { shared: false };
    Some(Wanted { name: name.to_owned(), kind: item.kind, identity: item.identity.clone(), records })
}

/// The same collection as some tenant's, where its records are told apart by owner.
fn as_a_tenants(config: &Config, source: &str, wanted: &Wanted) -> Option<Wanted> {
    // Without tenants nobody asks for records by owner.
    if config.tenancy.tenants.is_empty() && config.tenancy.discover.is_none() {
        return None;
    }
    let records = modules::anybodys_records(config, source, &wanted.name).ok()??;
    Some(Wanted { records, ..wanted.clone() })
}

/// How long the scope's newest backup took.
fn last_run(stored: &Stored, scope: &Scope) -> Option<Duration> {
    let catalog = stored.catalog.as_ref().ok()?;
    let newest = catalog.candidates(scope, None).into_iter().next()?;
    Duration::try_from_secs_f64(newest.summary.duration_seconds).ok()
}
