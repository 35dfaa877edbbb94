//! `check`: judges the age of the newest good copies, free space and verifications.

use super::copies::{Copies, Found, OfScope, Thing};
use super::expected::{expected, has_job, scopes};
use crate::config::{BackupType, Checks, Config, Limits, TenantCheck};
use crate::error::{Error, Kind, Result};
use crate::license;
use crate::names::{Scope, TenantId};
use crate::repository::{Entry, Repository};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use std::time::Duration;

/// How bad it is. The order is that of badness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// To be looked at.
    Warning,
    /// To be mended now.
    Critical,
}

/// What is judged.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Only this tenant's backups; none: those that [`Config::jobs`] make.
    pub tenant: Option<TenantId>,
    /// Only these modules; empty: all that a backup should hold.
    pub modules: Vec<String>,
    /// Only copies of this type.
    pub backup_type: Option<BackupType>,
    /// Goes before every age of the configuration.
    pub warning: Option<Duration>,
    /// Goes before every age of the configuration.
    pub critical: Option<Duration>,
    /// The moment.
    pub now: DateTime<Utc>,
}

/// What was found. Field names are a contract.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// The worst of all.
    pub status: Level,
    /// Every copy that was judged, the worst and oldest first.
    pub copies: Vec<Copy>,
    /// The repository's file system.
    pub free_space: FreeSpace,
    /// The verifications, the worst and oldest first; empty where they are not judged.
    pub unverified: Vec<Unverified>,
    /// Backups that are known to be damaged: they are no copies.
    pub damaged: usize,
    /// Backups that are later than now: they are no copies.
    pub of_the_future: usize,
    /// Manifests and facts that cannot be read: a warning.
    pub unreadable: usize,
}

/// The newest good copy of a module or archive in a scope.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    /// How bad its age is.
    pub level: Level,
    /// The tenant, or none.
    pub tenant_id: Option<String>,
    /// The module; none for an archive outside the modules.
    pub module: Option<String>,
    /// The archive outside the modules.
    pub archive: Option<String>,
    /// The type that was asked for; none: any.
    #[serde(rename = "type")]
    pub backup_type: Option<BackupType>,
    /// The backup; none when there is no good copy.
    pub id: Option<String>,
    /// When it was made.
    pub last_good: Option<DateTime<Utc>>,
    /// How old it is; of what has no copy of the type yet, how old the scope's oldest backup is.
    pub age_seconds: Option<u64>,
    /// Above it: a warning.
    pub warning_seconds: u64,
    /// Above it: critical.
    pub critical_seconds: u64,
}

impl Copy {
    /// The module's or archive's name.
    pub fn name(&self) -> &str {
        self.module.as_deref().or(self.archive.as_deref()).unwrap_or_default()
    }
}

/// The repository's file system.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FreeSpace {
    /// How bad it is.
    pub level: Level,
    /// Bytes free to us.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Below it: a warning; none where it is not judged.
    pub warning: Option<u64>,
    /// Below it: critical.
    pub critical: Option<u64>,
}

/// The newest verification that found a backup of a scope valid.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unverified {
    /// How bad its age is.
    pub level: Level,
    /// The tenant, or none.
    pub tenant_id: Option<String>,
    /// When it was; none: never.
    pub verified: Option<DateTime<Utc>>,
    /// How long ago; where there was none, the age of the scope's oldest backup.
    pub age_seconds: u64,
    /// Above it: a warning.
    pub warning_seconds: u64,
    /// Above it: critical.
    pub critical_seconds: u64,
}

/// Judges.
///
/// # Errors
/// When the repository cannot be read or is another, and when what should be there cannot be told.
pub fn check(options: &Options<'_>) -> Result<Checked> {
    let repository = Repository::open(&options.config.repository)?;
    let catalog = repository.catalog()?;
    let copies = Copies::of(&catalog, options.now);
    let scopes = match &options.tenant {
        Some(id) => vec![Scope::Tenant(id.clone())],
        None => scopes(options.config, &copies),
    };
    let scopes: Vec<_> = scopes.into_iter().map(|scope| (copies.of_scope(&scope), scope)).collect();
    let mut judged = judged_copies(options, &repository, &scopes)?;
    if judged.is_empty() {
        let error = Error::new(Kind::NotFound, "there is nothing to check: no backup would hold what was asked for");
        return Err(error.hint("`backup list-modules` says which modules are in; tenants may be ignored in `checks`"));
    }
    judged.sort_by_key(|copy| std::cmp::Reverse((copy.level, copy.id.is_none(), copy.age_seconds)));
    let free_space = free_space(&options.config.checks, repository.free_space()?, repository.total_space()?);
    let unverified = unverified(options, &scopes);
    let unreadable = catalog.unreadable.len();
    let levels = judged.iter().map(|copy| copy.level).chain(unverified.iter().map(|scope| scope.level));
    let unread = if unreadable > 0 { Level::Warning } else { Level::Ok };
    let status = levels.chain([free_space.level, unread]).max().unwrap_or(Level::Ok);
    let Copies { damaged, of_the_future, .. } = copies;
    Ok(Checked { status, copies: judged, free_space, unverified, damaged, of_the_future, unreadable })
}

fn judged_copies(options: &Options<'_>, repository: &Repository, scopes: &[(OfScope<'_>, Scope)]) -> Result<Vec<Copy>> {
    let (config, now) = (options.config, options.now);
    let installation = license::installation(config, now);
    let mut judged = Vec::new();
    for (stored, scope) in scopes {
        let mut expected = expected(config, repository, scope, stored, &installation, now)?;
        expected.narrow(&options.modules, config)?;
        for thing in expected.things() {
            let found = stored.find(thing);
            let judge = |backup_type| judge(options, scope, thing, &found, backup_type, stored.since);
            match options.backup_type {
                Some(backup_type) => judged.push(judge(Some(backup_type))),
                None => {
                    judged.push(judge(None));
                    let made = |of: &&BackupType| found.of_type.contains_key(of) || has_job(config, scope, **of);
                    judged.extend(config.checks.types.keys().filter(made).map(|of| judge(Some(*of))));
                }
            }
        }
    }
    Ok(judged)
}

fn judge(
    options: &Options<'_>,
    scope: &Scope,
    thing: Thing<'_>,
    found: &Found<'_>,
    backup_type: Option<BackupType>,
    since: Option<DateTime<Utc>>,
) -> Copy {
    let limits = limits(options, scope, thing, backup_type);
    let copy: Option<&Entry> = match backup_type {
        Some(backup_type) => found.of_type.get(&backup_type).copied(),
        // Once there was something, only what holds it counts.
        None => found.newest.or(found.nothing_there),
    };
    let last_good = copy.map(|entry| entry.id.at());
    // What has no copy of a type yet is awaited since the first backup of any.
    let age = last_good.or(since.filter(|_| backup_type.is_some())).map(|at| age(at, options.now));
    let (module, archive) = match thing {
        Thing::Module(name) => (Some(name.to_owned()), None),
        Thing::Archive(name) => (None, Some(name.to_owned())),
    };
    Copy {
        level: age.map_or(Level::Critical, |age| level(age, limits)),
        tenant_id: scope.tenant().map(ToString::to_string),
        module,
        archive,
        backup_type,
        id: copy.map(|entry| entry.id.to_string()),
        last_good,
        age_seconds: age,
        warning_seconds: limits.warning.as_secs(),
        critical_seconds: limits.critical.as_secs(),
    }
}

/// The command line, else the type, else the tenant, else the module, else the general ages.
fn limits(options: &Options<'_>, scope: &Scope, thing: Thing<'_>, backup_type: Option<BackupType>) -> Limits {
    let checks = &options.config.checks;
    let of_type = |of: BackupType| checks.types.get(&of).copied().unwrap_or(Limits::of_type(of));
    let configured = backup_type.map(of_type).unwrap_or_else(|| configured(checks, scope, thing));
    let warning = options.warning.unwrap_or(configured.warning);
    let critical = options.critical.unwrap_or(configured.critical);
    // One of them alone must not end below the other.
    match (options.warning, options.critical) {
        (Some(_), None) => Limits { warning, critical: critical.max(warning) },
        _ => Limits { warning: warning.min(critical), critical },
    }
}

/// The tenant's ages, else the module's, else the general ones.
fn configured(checks: &Checks, scope: &Scope, thing: Thing<'_>) -> Limits {
    let of_tenant = scope.tenant().and_then(|id| match checks.tenants.get(id)? {
        TenantCheck::Age(limits) => Some(*limits),
        TenantCheck::Ignore => None,
    });
    let of_module = match thing {
        Thing::Module(name) => checks.modules.get(name).copied(),
        Thing::Archive(_) => None,
    };
    of_tenant.or(of_module).unwrap_or(checks.age)
}

/// How bad the age of a copy of any type is, by the configuration.
pub fn age_level(checks: &Checks, scope: &Scope, thing: Thing<'_>, at: DateTime<Utc>, now: DateTime<Utc>) -> Level {
    level(age(at, now), configured(checks, scope, thing))
}

fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    u64::try_from((now - at).max(TimeDelta::zero()).num_seconds()).unwrap_or(u64::MAX)
}

fn level(age: u64, limits: Limits) -> Level {
    match age {
        _ if age > limits.critical.as_secs() => Level::Critical,
        _ if age > limits.warning.as_secs() => Level::Warning,
        _ => Level::Ok,
    }
}

fn free_space(checks: &Checks, free: u64, total: u64) -> FreeSpace {
    let warning = checks.free_space.map(|limits| limits.warning.of(total));
    let critical = checks.free_space.map(|limits| limits.critical.of(total));
    let is_below = |limit: Option<u64>| limit.is_some_and(|limit| free < limit);
    let level = match (is_below(critical), is_below(warning)) {
        (true, _) => Level::Critical,
        (false, true) => Level::Warning,
        (false, false) => Level::Ok,
    };
    FreeSpace { level, free, total, warning, critical }
}

/// A scope without a backup has nothing to verify, and its copies are missing already.
fn unverified(options: &Options<'_>, scopes: &[(OfScope<'_>, Scope)]) -> Vec<Unverified> {
    let Some(limits) = options.config.checks.unverified else { return Vec::new() };
    let judge = |(stored, scope): &(OfScope<'_>, Scope)| {
        let verified = stored.verified;
        let age = age(verified.or(stored.since)?, options.now);
        Some(Unverified {
            level: level(age, limits),
            tenant_id: scope.tenant().map(ToString::to_string),
            verified,
            age_seconds: age,
            warning_seconds: limits.warning.as_secs(),
            critical_seconds: limits.critical.as_secs(),
        })
    };
    let mut judged: Vec<_> = scopes.iter().filter_map(judge).collect();
    judged.sort_by_key(|scope| std::cmp::Reverse((scope.level, scope.age_seconds)));
    judged
}
