//! The last licence that was valid, as manifests remember it.

use crate::config::Config;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::modules::{Grant, GrantState};
use crate::names::Scope;
use crate::repository::Repository;
use chrono::{DateTime, Utc};

/// What a valid licence granted, and when that was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastValid {
    pub features: Vec<String>,
    pub at: DateTime<Utc>,
}

/// What the newest manifest since `since` says that knows of a valid licence: the installation's, or the tenant's own
/// where `scope` is asked for. A repository that is not there yet remembers nothing.
///
/// # Errors
/// When the repository cannot be read.
pub(super) fn last_valid(config: &Config, tenant: Option<&Scope>, since: DateTime<Utc>) -> Result<Option<LastValid>> {
    if config.repository.location.symlink_metadata().is_err() {
        return Ok(None);
    }
    let repository = Repository::open(&config.repository)?;
    let catalog = repository.catalog()?;
    let recent = catalog.backups.iter().take_while(|entry| entry.id.at() >= since);
    let fitting = recent
        .filter(|entry| entry.summary.safety_for.is_none() && tenant.is_none_or(|scope| entry.id.scope() == *scope));
    // One that cannot be read, or is not signed as it must, is passed over: an older one may know.
    Ok(fitting.filter_map(|entry| repository.manifest(&entry.id).ok()).find_map(|manifest| {
        let Manifest { timestamp, license, tenant_license, .. } = manifest;
        let grant = if tenant.is_some() { tenant_license? } else { license };
        remembered(grant, timestamp)
    }))
}

/// What a manifest's grant says of the last valid licence. One of before grants had a state is taken at its word.
fn remembered(grant: Grant, made: DateTime<Utc>) -> Option<LastValid> {
    let valid = grant.state != GrantState::Invalid;
    // It cannot have been seen after the run.
    valid.then(|| LastValid { features: grant.features, at: grant.verified_at.unwrap_or(made).min(made) })
}
