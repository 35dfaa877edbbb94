//! What to keep and what to remove: a pure function of catalog, policy and now.
//!
//! The unit of judgement is the complete component: what failed or was absent keeps nothing and protects nothing.
//! Ages are counted in days of the installation's calendar, so that neither the hour of a run nor a change of the
//! clocks moves a backup over the edge.

use super::Entry;
use crate::config::{BackupType, Retention, RetentionClass, RetentionPolicy};
use crate::manifest::ComponentStatus;
use crate::names::{BackupId, Scope};
use chrono::{DateTime, Days, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Class of modules that no class lists, and of archives that belong to no module.
const STANDARD: &str = "standard";

/// What is decided about one backup.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Decision {
    /// The backup.
    pub id: BackupId,
    /// It stays.
    #[serde(skip)]
    pub keep: bool,
    /// Why it stays or goes.
    pub reason: String,
}

/// Decides about every backup, in the order of `entries`.
pub fn plan(entries: &[Entry], retention: &Retention, timezone: Tz, now: DateTime<Utc>) -> Vec<Decision> {
    let mut backups: Vec<Backup<'_>> = entries.iter().map(|entry| Backup::new(entry, timezone)).collect();
    backups.sort_by(|a, b| (b.at, &b.entry.id).cmp(&(a.at, &a.entry.id)));
    let today = now.with_timezone(&timezone).date_naive();
    let mut verdicts: HashMap<&BackupId, (bool, String)> = match retention {
        Retention::Classes(classes) => {
            let classes = Classes::new(classes);
            backups.iter().map(|backup| (&backup.entry.id, classes.judge(backup, today))).collect()
        }
        Retention::Policy(policy) => by_policy(&backups, policy, today, now),
    };
    for (id, reason) in protected(&backups, now) {
        verdicts.insert(id, (true, reason));
    }
    keep_parents(&backups, &mut verdicts);
    let decision = |entry: &Entry| {
        let (keep, reason) = verdicts.remove(&entry.id).unwrap_or((true, "unknown".into()));
        Decision { id: entry.id.clone(), keep, reason }
    };
    entries.iter().map(decision).collect()
}

/// The backups that retention no longer wants.
pub fn expired(entries: &[Entry], retention: &Retention, timezone: Tz, now: DateTime<Utc>) -> HashSet<BackupId> {
    plan(entries, retention, timezone, now).into_iter().filter(|d| !d.keep).map(|d| d.id).collect()
}

/// The last day on which the classes or the policy's age want a backup, whatever else protects it; none when nothing
/// limits it or it holds nothing complete.
pub fn wanted_until(entry: &Entry, retention: &Retention, timezone: Tz) -> Option<NaiveDate> {
    let backup = Backup::new(entry, timezone);
    match retention {
        Retention::Classes(classes) => Classes::new(classes).until(&backup).map(|(until, _)| until),
        Retention::Policy(policy) => backup.day.checked_add_days(Days::new(policy.max_age_days.into())),
    }
}

/// An entry with what every rule asks of it.
struct Backup<'a> {
    entry: &'a Entry,
    at: DateTime<Utc>,
    /// The day it was made on, where the installation is.
    day: NaiveDate,
    scope: Scope,
}

impl<'a> Backup<'a> {
    fn new(entry: &'a Entry, timezone: Tz) -> Self {
        let at = entry.id.at();
        Self { entry, at, day: at.with_timezone(&timezone).date_naive(), scope: entry.id.scope() }
    }

    /// The modules with a complete component, and true for components that belong to no module.
    fn complete(&self) -> (BTreeSet<&'a str>, bool) {
        let complete =
            || self.entry.summary.components.iter().filter(|component| component.status == ComponentStatus::Complete);
        let modules = complete().flat_map(|c| c.module.iter().chain(&c.shared_by)).map(|name| &**name).collect();
        (modules, complete().any(|c| c.module.is_none() && c.shared_by.is_empty()))
    }

    fn holds_something(&self) -> bool {
        self.entry.summary.components.iter().any(|component| component.status == ComponentStatus::Complete)
    }

    /// What it is a good copy of. Besides whole modules, each archive of a module counts by itself: a run with
    /// `--only database` must not let go of the last copy of the module's files.
    fn copies(&self) -> Vec<Copy<'a>> {
        let summary = &self.entry.summary;
        if summary.safety_for.is_some() {
            return Vec::new();
        }
        let whole = summary.good_modules().into_iter();
        let mut copies: Vec<Copy<'a>> = whole.map(Copy::whole).collect();
        for component in summary.components.iter().filter(|c| c.status == ComponentStatus::Complete) {
            let archive = Some(&*component.name);
            let mut modules = component.module.iter().chain(&component.shared_by).peekable();
            if modules.peek().is_none() {
                copies.push(Copy { module: None, archive, is_shared: false });
            }
            let is_shared = !component.shared_by.is_empty();
            copies.extend(modules.map(|module| Copy { module: Some(module), archive, is_shared }));
        }
        copies
    }
}

/// Something a backup can be a good copy of: a module, one archive of a module, or an archive outside the modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Copy<'a> {
    module: Option<&'a str>,
    archive: Option<&'a str>,
    /// The archive is one that the module shares: it has the source's name, as the module's own has.
    is_shared: bool,
}

impl<'a> Copy<'a> {
    fn whole(module: &'a str) -> Self {
        Self { module: Some(module), archive: None, is_shared: false }
    }
}

/// What stays whatever the policy says, and why. The newest copy stays, and where that is known to be damaged the newest
/// other one too: damage may be in a single archive of it, or pass with a disk that reads badly today.
fn protected<'a>(backups: &[Backup<'a>], now: DateTime<Utc>) -> HashMap<&'a BackupId, String> {
    let mut newest: BTreeMap<&BackupId, BTreeSet<Copy<'a>>> = BTreeMap::new();
    let (mut seen, mut seen_sound) = (HashSet::new(), HashSet::new());
    for backup in backups.iter().filter(|backup| backup.at <= now) {
        let is_newest = |copy: &Copy<'a>| {
            let newest_sound = !backup.entry.is_damaged() && seen_sound.insert((&backup.scope, *copy));
            seen.insert((&backup.scope, *copy)) || newest_sound
        };
        let fresh: BTreeSet<_> = backup.copies().into_iter().filter(is_newest).collect();
        if !fresh.is_empty() {
            newest.insert(&backup.entry.id, fresh);
        }
    }
    let mut reasons = HashMap::new();
    for backup in backups {
        if let Some(copies) = newest.get(&backup.entry.id) {
            let word = if backup.entry.is_damaged() { "newest copy (damaged)" } else { "newest good copy" };
            reasons.insert(&backup.entry.id, format!("{word} of {}", names_of(copies)));
        }
        if backup.at > now {
            reasons.insert(&backup.entry.id, "dated in the future".into());
        }
        if let Some(held) = &backup.entry.held {
            reasons.insert(&backup.entry.id, format!("held by {}", held.by));
        }
    }
    reasons
}

fn names_of(copies: &BTreeSet<Copy<'_>>) -> String {
    let whole = |module| copies.contains(&Copy::whole(module));
    let named: Vec<String> = copies
        .iter()
        .filter_map(|copy| match (copy.module, copy.archive) {
            (Some(module), None) => Some(format!("module {module}")),
            (Some(module), Some(archive)) if !whole(module) => {
                Some(format!("{}{archive} of module {module}", if copy.is_shared { "shared " } else { "" }))
            }
            (Some(_), Some(_)) | (None, None) => None,
            (None, Some(archive)) => Some(format!("archive {archive}")),
        })
        .collect();
    const SHOWN: usize = 3;
    let more = named.len().saturating_sub(SHOWN);
    let shown = named[..named.len() - more].join(", ");
    match more {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What a backup that stays builds on stays with it.
fn keep_parents<'a>(backups: &[Backup<'a>], verdicts: &mut HashMap<&'a BackupId, (bool, String)>) {
    // Newest first: a parent is older than its child, so one pass reaches the whole chain.
    let ids: HashMap<&str, &BackupId> = backups.iter().map(|b| (b.entry.id.as_str(), &b.entry.id)).collect();
    for backup in backups {
        let stays = verdicts.get(&backup.entry.id).is_some_and(|(keep, _)| *keep);
        let parent = backup.entry.summary.parent.as_deref().and_then(|parent| ids.get(parent));
        if let (true, Some(verdict)) = (stays, parent.and_then(|parent| verdicts.get_mut(*parent)))
            && !verdict.0
        {
            *verdict = (true, format!("{} builds on it", backup.entry.id));
        }
    }
}

/// `1 day`, `2 days`.
fn days(count: i64) -> String {
    if count == 1 { "1 day".to_owned() } else { format!("{count} days") }
}

fn age(days_old: i64) -> String {
    format!("{} old", days(days_old))
}

fn days_old(backup: &Backup<'_>, today: NaiveDate) -> i64 {
    (today - backup.day).num_days()
}

fn by_policy<'a>(
    backups: &[Backup<'a>],
    policy: &RetentionPolicy,
    today: NaiveDate,
    now: DateTime<Utc>,
) -> HashMap<&'a BackupId, (bool, String)> {
    let RetentionPolicy { name, max_backups, max_age_days, keep_minimum } = policy;
    let mut counts: HashMap<&Scope, u32> = HashMap::new();
    let mut verdicts = HashMap::new();
    for backup in backups {
        let verdict = if !backup.holds_something() {
            (false, "holds nothing complete".to_owned())
        } else if backup.at > now {
            // Stays without a place of its own: it must not push out what is known to be good.
            continue;
        } else if backup.entry.summary.safety_for.is_some() || backup.entry.is_damaged() {
            // Nor must what a restore put aside, or what is known to be damaged.
            let word = if backup.entry.is_damaged() { "damaged" } else { "safety backup" };
            let old = days_old(backup, today);
            let words = format!("{word}, {}; {name} keeps {}", age(old), days(i64::from(*max_age_days)));
            (old <= i64::from(*max_age_days), words)
        } else {
            let place = counts.entry(&backup.scope).or_default();
            *place += 1;
            let old = days_old(backup, today);
            let words = format!("number {place} of {}, {}", backup.scope, age(old));
            if *place <= *keep_minimum {
                (true, format!("{words}; {name} keeps at least {keep_minimum}"))
            } else if *place > *max_backups {
                (false, format!("{words}; {name} keeps at most {max_backups}"))
            } else {
                (old <= i64::from(*max_age_days), format!("{words}; {name} keeps {}", days(i64::from(*max_age_days))))
            }
        };
        verdicts.insert(&backup.entry.id, verdict);
    }
    verdicts
}

/// Classes by the modules they list.
struct Classes<'a> {
    of_module: HashMap<&'a str, (&'a str, &'a RetentionClass)>,
    standard: RetentionClass,
}

impl<'a> Classes<'a> {
    fn new(classes: &'a BTreeMap<String, RetentionClass>) -> Self {
        let of_class = |(name, class): (&'a String, &'a RetentionClass)| {
            class.modules.iter().map(move |module| (module.as_str(), (name.as_str(), class)))
        };
        let default = RetentionClass { modules: Vec::new(), daily: 14, weekly: 8, monthly: 6 };
        Self {
            of_module: classes.iter().flat_map(of_class).collect(),
            standard: classes.get(STANDARD).cloned().unwrap_or(default),
        }
    }

    /// The last day a backup is wanted, and by which class for how long. None when it holds nothing complete.
    fn until(&self, backup: &Backup<'_>) -> Option<(NaiveDate, String)> {
        let (modules, outside) = backup.complete();
        let of_module = |module| self.of_module.get(module).copied().unwrap_or((STANDARD, &self.standard));
        let outside = outside.then_some((STANDARD, &self.standard));
        let classes: BTreeMap<_, _> = modules.into_iter().map(of_module).chain(outside).collect();
        let until = classes.into_iter().map(|(name, class)| {
            let (until, words) = last_day(backup.day, backup.entry.summary.backup_type, class);
            (until, format!("{name} keeps {words}"))
        });
        until.max_by_key(|(until, _)| *until)
    }

    fn judge(&self, backup: &Backup<'_>, today: NaiveDate) -> (bool, String) {
        let Some((until, words)) = self.until(backup) else { return (false, "holds nothing complete".into()) };
        let backup_type = backup.entry.summary.backup_type.as_str();
        (today <= until, format!("{backup_type}, {}; {words}", age(days_old(backup, today))))
    }
}

/// The last day a class wants a backup of `day`. A month after the 31st is the last day of a shorter month; what is
/// beyond the calendar is wanted for ever.
fn last_day(day: NaiveDate, backup_type: BackupType, class: &RetentionClass) -> (NaiveDate, String) {
    let (until, count, unit) = match backup_type {
        BackupType::Daily => (day.checked_add_days(Days::new(class.daily.into())), class.daily, "day"),
        BackupType::Weekly => (day.checked_add_days(Days::new(u64::from(class.weekly) * 7)), class.weekly, "week"),
        BackupType::Monthly => (day.checked_add_months(Months::new(class.monthly)), class.monthly, "month"),
    };
    let plural = if count == 1 { "" } else { "s" };
    (until.unwrap_or(NaiveDate::MAX), format!("{count} {unit}{plural}"))
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
