//! `forget`: removes backups by hand: some by their ids, or all of a tenant.

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::manifest::ComponentStatus;
use crate::names::{BackupId, Scope, TenantId};
use crate::pipeline::Cancel;
use crate::repository::{Catalog, Entry, Repository, Wait, retention};
use chrono::{DateTime, NaiveDate, Utc};
use std::fmt;

/// What to forget.
#[derive(Debug, Clone)]
pub enum What {
    /// These backups.
    Ids(Vec<BackupId>),
    /// Every backup of a tenant, and what its runs left behind.
    Tenant(TenantId),
}

/// Everything that forgetting needs from outside.
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// What to forget.
    pub what: What,
    /// Asks for consent, shown what will go; an error when it cannot be asked for.
    pub consent: &'a dyn Fn(&Report) -> Result<bool>,
    /// How long to wait for the repository's lock.
    pub wait: Wait,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// Where events go.
    pub events: Events,
    /// The cancel flag.
    pub cancel: Cancel,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("what", &self.what).finish_non_exhaustive()
    }
}

/// What went.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Backups that went, and what retention thought of them.
    pub removed: Vec<Line>,
    /// Bytes freed.
    pub freed: u64,
    /// System-wide backups, which hold every tenant's data: a forgotten tenant's is in them until they go, too.
    pub still_in: Vec<StillIn>,
}

/// A backup that goes.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Line {
    /// The backup.
    pub id: BackupId,
    /// What retention thinks of it.
    pub retention: String,
}

/// A system-wide backup that stays.
#[derive(Debug, Clone, serde::Serialize)]
pub struct StillIn {
    /// The backup.
    pub id: BackupId,
    /// The last day retention wants it; none when it stays for another reason.
    pub until: Option<NaiveDate>,
    /// Why it stays.
    pub reason: String,
}

/// Forgets.
///
/// # Errors
/// [`Kind::NotFound`] when there is nothing of that name, [`Kind::Refused`] without consent or when a backup is held.
pub fn run(options: &Options<'_>) -> Result<Report> {
    let config = options.config;
    let repository = Repository::open(&config.repository)?;
    // Asked without the lock, so that nobody waits for an answer; what was consented to is looked up again.
    let plan = report(options, &repository.catalog()?)?;
    if !(options.consent)(&plan)? {
        return Err(Error::new(Kind::Refused, "not confirmed, nothing is removed"));
    }
    let _lock = repository.lock_exclusive("forget", options.wait.clone())?;
    let catalog = repository.catalog()?;
    let mut done = Report { removed: Vec::new(), ..report(options, &catalog)? };
    let result = plan.removed.into_iter().try_for_each(|line| {
        options.cancel.check()?;
        let entry = catalog.find(&line.id)?;
        done.freed += repository.remove(&line.id, entry.summary.backup_type)?;
        repository.audit(&options.events, "forget", line.id.as_str(), "done");
        options.events.emit(Event::Detail(format!("removed {}", line.id)));
        done.removed.push(line);
        Ok(())
    });
    result.map_err(|error: Error| match done.removed.len() {
        0 => error,
        1 => error.context("stopped after one backup was removed"),
        count => error.context(format!("stopped after {count} backups were removed")),
    })?;
    if let What::Tenant(tenant) = &options.what {
        forget_traces(options, &repository, &catalog, tenant)?;
    }
    Ok(done)
}

/// What will go, refusing what must not.
fn report(options: &Options<'_>, catalog: &Catalog) -> Result<Report> {
    let going: Vec<&Entry> = match &options.what {
        What::Ids(ids) => ids.iter().map(|id| catalog.find(id)).collect::<Result<_>>()?,
        What::Tenant(tenant) => of_tenant(catalog, tenant)?,
    };
    let held: Vec<_> = going.iter().filter(|entry| entry.held.is_some()).map(|entry| entry.id.to_string()).collect();
    if !held.is_empty() {
        let what = "what is held cannot be forgotten";
        return Err(Error::new(Kind::Refused, what).details(held).hint("let it go first: `backup release ID`"));
    }
    let (settings, timezone) = (&options.config.retention, options.config.timezone);
    let decisions = retention::plan(&catalog.backups, settings, timezone, (options.now)());
    let reason = |id: &BackupId| {
        let decision = decisions.iter().find(|decision| decision.id == *id);
        decision.map(|decision| decision.reason.clone()).unwrap_or_default()
    };
    let mut removed: Vec<_> =
        going.iter().map(|entry| Line { id: entry.id.clone(), retention: reason(&entry.id) }).collect();
    removed.sort_by(|a, b| a.id.cmp(&b.id));
    removed.dedup_by(|a, b| a.id == b.id);
    let still_in = match options.what {
        What::Ids(_) => Vec::new(),
        What::Tenant(_) => catalog
            .of_scope(&Scope::SystemWide, None)
            .into_iter()
            .filter(|entry| entry.summary.components.iter().any(|c| c.status == ComponentStatus::Complete))
            .map(|entry| StillIn {
                id: entry.id.clone(),
                until: retention::wanted_until(entry, settings, timezone).filter(|_| entry.held.is_none()),
                reason: reason(&entry.id),
            })
            .collect(),
    };
    Ok(Report { removed, freed: 0, still_in })
}

fn of_tenant<'a>(catalog: &'a Catalog, tenant: &TenantId) -> Result<Vec<&'a Entry>> {
    let scope = Scope::Tenant(tenant.clone());
    let mine = format!("/tenant-{tenant}-backup-");
    let unreadable: Vec<_> = catalog
        .unreadable
        .iter()
        .filter(|u| u.path.contains(&mine))
        .map(|u| format!("{}: {}", u.path, u.reason))
        .collect();
    if !unreadable.is_empty() {
        let what = format!("some backups of tenant {tenant} cannot be read, so it cannot be forgotten in full");
        return Err(Error::new(Kind::Refused, what).details(unreadable).hint("repair or remove these files first"));
    }
    let backups = catalog.of_scope(&scope, None);
    let traces = catalog.failed.iter().any(|run| run.tenant_id.as_deref() == Some(tenant.as_str()))
        || catalog.interrupted.iter().any(|leftover| leftover.scope() == scope);
    if backups.is_empty() && !traces {
        return Err(Error::new(Kind::NotFound, format!("there is no backup of tenant {tenant}")));
    }
    Ok(backups)
}

/// Leftovers and records of a tenant's runs. The repository is locked, so none of them is at work.
fn forget_traces(options: &Options<'_>, repository: &Repository, catalog: &Catalog, tenant: &TenantId) -> Result<()> {
    let scope = Scope::Tenant(tenant.clone());
    for leftover in catalog.interrupted.iter().filter(|leftover| leftover.scope() == scope) {
        repository.remove_leftover(leftover)?;
    }
    for run in catalog.failed.iter().filter(|run| run.tenant_id.as_deref() == Some(tenant.as_str())) {
        repository.remove_failure(&run.id)?;
    }
    repository.audit(&options.events, "forget", &scope.to_string(), "done");
    Ok(())
}
