//! What there should be copies of: by the configuration and its licences, and for tenants that the configuration does not
//! list by their newest manifest, because a probe asks no database.

use super::copies::{Copies, OfScope, Thing};
use crate::config::{BackupType, Config, JobAction, TenantCheck};
use crate::error::{Error, Kind, Result};
use crate::license;
use crate::modules::{self, Content, Grant, NOT_ASKED_FOR, Request};
use crate::names::{Scope, TenantId};
use crate::repository::Repository;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// The things of one scope.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    modules: BTreeSet<String>,
    archives: BTreeSet<String>,
}

impl Expected {
    /// They, modules first.
    pub fn things(&self) -> impl Iterator<Item = Thing<'_>> {
        let modules = self.modules.iter().map(|name| Thing::Module(name));
        modules.chain(self.archives.iter().map(|name| Thing::Archive(name)))
    }

    /// Only these modules.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when one is not configured.
    pub fn narrow(&mut self, only: &[String], config: &Config) -> Result<()> {
        if only.is_empty() {
            return Ok(());
        }
        if let Some(unknown) = only.iter().find(|name| !config.modules.contains_key(*name)) {
            let error = Error::new(Kind::NotFound, format!("there is no module '{}'", unknown.escape_debug()));
            return Err(error.hint("`backup list-modules` lists them"));
        }
        self.modules.retain(|name| only.contains(name));
        self.archives.clear();
        Ok(())
    }
}

/// The scopes that are judged where nobody names one: the installation, unless every job makes backups of tenants; the
/// tenants that jobs name; and with `allTenants` those of the configuration, and where tenants are discovered those that
/// have a backup.
pub fn scopes(config: &Config, copies: &Copies<'_>) -> Vec<Scope> {
    let creates: Vec<_> = config
        .jobs
        .values()
        .filter_map(|job| match &job.action {
            JobAction::Create(create) => Some(create),
            _ => None,
        })
        .collect();
    let system = creates.is_empty() || creates.iter().any(|create| !create.all_tenants && create.tenant.is_none());
    let mut tenants: BTreeSet<TenantId> = creates.iter().filter_map(|create| create.tenant.clone()).collect();
    if creates.iter().any(|create| create.all_tenants) {
        tenants.extend(config.tenancy.tenants.keys().cloned());
        if config.tenancy.is_open() {
            tenants.extend(copies.scopes().filter_map(|(scope, _)| scope.tenant().cloned()));
        }
    }
    tenants.retain(|id| config.checks.tenants.get(id) != Some(&TenantCheck::Ignore));
    system.then_some(Scope::SystemWide).into_iter().chain(tenants.into_iter().map(Scope::Tenant)).collect()
}

/// Whether a job makes copies of that type of that scope.
pub fn has_job(config: &Config, scope: &Scope, backup_type: BackupType) -> bool {
    config.jobs.values().any(|job| match &job.action {
        JobAction::Create(create) if create.backup_type == backup_type => match scope {
            Scope::SystemWide => !create.all_tenants && create.tenant.is_none(),
            Scope::Tenant(id) => create.all_tenants || create.tenant.as_ref() == Some(id),
        },
        _ => false,
    })
}

/// What a backup of `scope` should hold now. `installation` is what its licence grants.
///
/// # Errors
/// When `create` would be refused: an unknown tenant, a licence that is not valid, a missing dependency.
pub fn expected(
    config: &Config,
    repository: &Repository,
    scope: &Scope,
    stored: &OfScope<'_>,
    installation: &Grant,
    now: DateTime<Utc>,
) -> Result<Expected> {
    if let Some(id) = scope.tenant()
        && config.tenancy.discover.is_some()
        && !config.tenancy.tenants.contains_key(id)
    {
        return of_manifest(repository, scope, stored);
    }
    let grants = license::required_beside(config, installation.clone(), scope, now)?;
    let request = Request { scope: scope.clone(), modules: Vec::new(), only: None, backup_type: BackupType::Daily };
    let mut expected = Expected::default();
    let selection = match modules::select(config, &grants, &request) {
        Ok(selection) => selection,
        // All is the tenants': there is nothing to be had of the installation itself.
        Err(error) if error.kind == Kind::NotFound && scope.tenant().is_none() => return Ok(expected),
        Err(error) => return Err(error),
    };
    for component in selection.components {
        expected.modules.extend(component.module);
        match component.content {
            Content::Collections { collections, .. } => {
                expected.modules.extend(collections.into_iter().flat_map(|collection| collection.modules));
            }
            Content::WholeDatabase { source } => drop(expected.archives.insert(source)),
            Content::Extra { name, .. } => drop(expected.archives.insert(name)),
            Content::Uploads { .. } => {}
        }
    }
    Ok(expected)
}

/// What the newest manifest says was enabled, as far as the scope has ever had data of it.
fn of_manifest(repository: &Repository, scope: &Scope, stored: &OfScope<'_>) -> Result<Expected> {
    let newest = stored.newest.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no backup of {scope}")))?;
    let manifest = repository.manifest(&newest.id)?;
    let left_out = manifest.excluded_modules.into_iter().filter(|out| out.reason.starts_with(NOT_ASKED_FOR));
    let enabled = manifest.enabled_modules.into_iter().chain(left_out.map(|out| out.module));
    let seen = |name: &String| stored.modules_seen.contains(name.as_str());
    Ok(Expected { modules: enabled.filter(seen).collect(), archives: BTreeSet::new() })
}
