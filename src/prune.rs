//! `prune`: removes what retention no longer wants.

use crate::config::{Config, Retention, RetentionPolicy};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::names::{BackupId, Scope};
use crate::pipeline::Cancel;
use crate::repository::retention::{self, Decision};
use crate::repository::{Catalog, Entry, Interrupted, Repository, Wait};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// More removals than this at once, when they are more than half of a scope's backups or of all, need consent. On one
/// day a daily, a weekly and a monthly backup of a scope can age out, so a prune that runs every day stays within it.
const FEW: usize = 3;

/// Leftovers of dead runs stay this long, for whoever wants to look into what happened.
const LEFTOVER_AGE: TimeDelta = TimeDelta::hours(24);

/// Everything a prune needs from outside.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Only say what would go.
    pub dry_run: bool,
    /// A named policy instead of the configured retention.
    pub policy: Option<String>,
    /// Consent to removing most of the backups.
    pub yes: bool,
    /// How long to wait for the repository's lock.
    pub wait: Wait,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// Where events go.
    pub events: Events,
    /// The cancel flag.
    pub cancel: Cancel,
}

/// What went, or would go. Field names are a contract.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Nothing was changed.
    pub dry_run: bool,
    /// What went, or would go.
    pub removed: Vec<Line>,
    /// What stays.
    pub kept: Vec<Line>,
    /// Bytes freed; in a dry run by the manifests.
    pub freed: u64,
    /// Leftovers of dead runs that went, or would go.
    pub swept: Vec<String>,
    /// Why the real run would refuse without consent; none unless this is a dry run.
    pub refused: Option<String>,
}

/// A backup and why it goes or stays.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Line {
    /// The backup.
    pub id: BackupId,
    /// Why.
    pub reason: String,
}

/// Prunes.
///
/// # Errors
/// [`Kind::Locked`] while anything works on the repository, [`Kind::Refused`] when a guard fails; nothing was removed
/// then. After another error a second run completes what is left.
pub fn run(options: &Options<'_>) -> Result<Report> {
    let config = options.config;
    let policy = options.policy.as_deref().map(policy).transpose()?;
    let retention = policy.as_ref().unwrap_or(&config.retention);
    let repository = Repository::open(&config.repository)?;
    // Looking needs no lock; what is looked at here may change until the real run, which looks again.
    let lock = if options.dry_run { None } else { Some(repository.lock_exclusive("prune", options.wait.clone())?) };
    let catalog = repository.catalog()?;
    let now = (options.now)();
    sane(&catalog, now)?;
    let decided = retention::plan(&catalog.backups, retention, config.timezone, now);
    let (kept, going): (Vec<_>, Vec<_>) = catalog.backups.iter().zip(decided).partition(|(_, decision)| decision.keep);
    let mut report = Report {
        dry_run: options.dry_run,
        removed: Vec::new(),
        kept: kept.into_iter().map(line).collect(),
        freed: 0,
        swept: Vec::new(),
        refused: None,
    };
    let dead = leftovers(&catalog, now);
    let consented = if options.yes { Ok(()) } else { few(&going, &catalog) };
    if lock.is_none() {
        report.refused = consented.err().map(|error| error.message);
        report.freed =
            going.iter().fold(0, |sum: u64, (entry, _)| sum.saturating_add(entry.summary.totals.stored_bytes));
        report.removed = going.into_iter().map(line).collect();
        report.swept = dead.iter().map(|leftover| leftover.path.clone()).collect();
        return Ok(report);
    }
    consented?;
    let removed = remove(options, &repository, going, &mut report);
    let swept = removed.and_then(|()| sweep(options, &repository, &dead, &mut report));
    let result = swept.as_ref().map_or_else(|error| format!("failed: {error}"), |()| "done".to_owned());
    let subject = format!("{} backups", report.removed.len());
    repository.audit(&options.events, "prune", &subject, &result);
    swept.map(|()| report)
}

/// A policy by its name in the configuration.
fn policy(name: &str) -> Result<Retention> {
    let known = RetentionPolicy::built_in();
    let found = known.iter().find(|policy| policy.name == name).cloned();
    found.map(Retention::Policy).ok_or_else(|| {
        Error::new(Kind::Config, format!("there is no retention policy '{}'", name.escape_debug()))
            .hint(format!("the policies are {}", known.map(|policy| policy.name).join(", ")))
    })
}

/// Refuses to judge by a catalog or a clock that cannot be trusted.
fn sane(catalog: &Catalog, now: DateTime<Utc>) -> Result<()> {
    if !catalog.unreadable.is_empty() {
        let lines = catalog.unreadable.iter().map(|u| format!("{}: {}", u.path, u.reason)).collect();
        return Err(Error::new(Kind::Refused, "the catalog cannot be read in full, so nothing is removed")
            .details(lines)
            .hint("repair these files or move them out of the repository, and run it again"));
    }
    match catalog.backups.iter().map(|entry| entry.id.at()).max() {
        Some(newest) if newest > now => {
            let what = format!("the clock says {}, but the newest backup is of {}", stamp(now), stamp(newest));
            Err(Error::new(Kind::Refused, what).hint(
                "set the clock; if it is right, look at that backup, which a wrong clock dated, and `backup forget` it",
            ))
        }
        _ => Ok(()),
    }
}

fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Refuses a mass removal: a wrong clock or a slip in the configuration shows as one.
fn few(going: &[(&Entry, Decision)], catalog: &Catalog) -> Result<()> {
    let mut scopes: BTreeMap<Scope, (usize, usize)> = BTreeMap::new();
    for entry in &catalog.backups {
        scopes.entry(entry.id.scope()).or_default().1 += 1;
    }
    for (entry, _) in going {
        scopes.entry(entry.id.scope()).or_default().0 += 1;
    }
    let many = |(going, all): (usize, usize)| going > FEW && going * 2 > all;
    let total = (going.len(), catalog.backups.len());
    let found = scopes.into_iter().filter(|(_, counts)| many(*counts));
    let found: Vec<_> = found.map(|(scope, (going, all))| format!("{going} of {all} backups of {scope}")).collect();
    let what = match found.as_slice() {
        [] if many(total) => format!("{} of all {} backups would be removed, more than half", total.0, total.1),
        [] => return Ok(()),
        [one] => format!("{one} would be removed, more than half"),
        [first, rest @ ..] => {
            format!("{first} would be removed, more than half; the same is so of {} other scopes", rest.len())
        }
    };
    Err(Error::new(Kind::Refused, what)
        .details(found)
        .hint("look at `backup prune --dry-run`; if that is right, consent with --yes"))
}

/// What is old enough to sweep. The bytes of a backup that has lost its manifest somebody may want back.
fn leftovers(catalog: &Catalog, now: DateTime<Utc>) -> Vec<Interrupted> {
    let dead = catalog.interrupted.iter().filter(|leftover| !leftover.running && !leftover.lost);
    dead.filter(|leftover| now - leftover.at() > LEFTOVER_AGE).cloned().collect()
}

fn line((_, decision): (&Entry, Decision)) -> Line {
    Line { id: decision.id, reason: decision.reason }
}

/// Removes what goes, given newest first.
fn remove(
    options: &Options<'_>,
    repository: &Repository,
    going: Vec<(&Entry, Decision)>,
    report: &mut Report,
) -> Result<()> {
    // Oldest first: what an interruption leaves is then the newer part.
    for (entry, decision) in going.into_iter().rev() {
        options.cancel.check()?;
        report.freed += repository.remove(&entry.id, entry.summary.backup_type)?;
        options.events.emit(Event::Detail(format!("removed {}: {}", entry.id, decision.reason)));
        report.removed.push(line((entry, decision)));
    }
    Ok(())
}

fn sweep(options: &Options<'_>, repository: &Repository, dead: &[Interrupted], report: &mut Report) -> Result<()> {
    for leftover in dead {
        options.cancel.check()?;
        repository.remove_leftover(leftover)?;
        report.swept.push(leftover.path.clone());
    }
    Ok(())
}
