//! What is worth a warning though a run went well: a look at the history of its scope. Pure; the history is the
//! repository's catalog.

use crate::config::{Alerts, BackupType, FreeSpace, Only, show_duration};
use crate::event::bytes;
use crate::manifest::Status;
use crate::names::{BackupId, Scope};
use crate::repository::{Catalog, Entry};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// Earlier backups that tell what is usual: the last ones, and no fewer than it takes to know.
const USUAL: usize = 10;
const FEWEST: usize = 5;

/// How far from the median is unusual: so many times the spread (the median absolute deviation, as a standard deviation),
/// and so much of the median, because backups that are all alike have no spread.
const SPREADS: f64 = 5.0;
const SHARE: f64 = 0.5;

/// Less than this much longer is not worth a word.
const LONGER: f64 = 60.0;

/// The space of the repository's disk.
#[derive(Debug, Clone, Copy)]
pub struct Space {
    /// Bytes that are free to us.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// What the repository knows of one scope.
#[derive(Debug)]
pub struct History<'a> {
    /// Newest first, without what restores put aside.
    backups: Vec<&'a Entry>,
    /// Runs that left nothing: when, newest first.
    failed: Vec<DateTime<Utc>>,
    scope: Scope,
}

impl<'a> History<'a> {
    /// That of `scope`.
    pub fn of(catalog: &'a Catalog, scope: &Scope) -> Self {
        let tenant = scope.tenant().map(|tenant| tenant.as_str());
        let failed = catalog.failed.iter().filter(|run| run.tenant_id.as_deref() == tenant);
        Self {
            backups: catalog.candidates(scope, None),
            failed: failed.map(|run| run.timestamp).collect(),
            scope: scope.clone(),
        }
    }

    /// Whether the backup `id` is the first success after a run that was none.
    pub fn is_recovery(&self, id: &BackupId) -> bool {
        let earlier = self.backups.iter().find(|entry| entry.id.at() < id.at());
        let failed = self.failed.iter().find(|at| **at < id.at());
        match (earlier, failed) {
            (Some(backup), Some(failed)) if backup.id.at() > *failed => backup.summary.status != Status::Success,
            (_, Some(_)) => true,
            (Some(backup), None) => backup.summary.status != Status::Success,
            (None, None) => false,
        }
    }

    /// What is to be said of the scope at `now`, after a run that made `made` or nothing.
    pub fn alerts(&self, alerts: &Alerts, made: Option<&BackupId>, now: DateTime<Utc>) -> Vec<String> {
        let mut said = Vec::new();
        if let Some(least) = alerts.consecutive_failures {
            said.extend(self.consecutive_failures(least));
        }
        let made = made.and_then(|id| self.backups.iter().find(|entry| entry.id == *id));
        if let Some(made) = made {
            said.extend(self.unusual(alerts, made));
        }
        said.extend(alerts.max_age.map(|limit| self.too_old(limit, now)).unwrap_or_default());
        said
    }

    fn consecutive_failures(&self, least: u32) -> Option<String> {
        let good = self.backups.iter().find(|entry| entry.summary.status == Status::Success);
        let since = |at: DateTime<Utc>| good.is_none_or(|good| at > good.id.at());
        let partial = self.backups.iter().filter(|entry| since(entry.id.at())).count();
        let failed = self.failed.iter().filter(|at| since(**at)).count();
        let last = good.map_or_else(|| "there has been none".to_owned(), |good| format!("the last was {}", good.id));
        let count = partial + failed;
        (count >= least as usize)
            .then(|| if count == 1 { "run".to_owned() } else { format!("{count} runs") })
            .map(|runs| format!("the last {runs} of {} did not make a whole backup; {last}", self.scope))
    }

    fn unusual(&self, alerts: &Alerts, made: &Entry) -> Vec<String> {
        let alike = |entry: &&&Entry| {
            let (a, b) = (&entry.summary, &made.summary);
            let same = |a: &Entry, b: &Entry| kind(a) == kind(b);
            a.status == Status::Success && b.status == Status::Success && same(entry, made) && !entry.is_damaged()
        };
        let earlier: Vec<_> =
            self.backups.iter().filter(|entry| entry.id.at() < made.id.at()).filter(alike).take(USUAL).collect();
        let of = |value: fn(&Entry) -> f64| Usual::of(earlier.iter().map(|entry| value(entry)).collect());
        let (size, duration) =
            (|e: &Entry| e.summary.totals.stored_bytes as f64, |e: &Entry| e.summary.duration_seconds);
        let mut said = Vec::new();
        if let Some(usual) = of(size).filter(|usual| alerts.unusual_size && usual.is_far(size(made), 0.0)) {
            let (now, median) = (bytes(size(made) as u64), bytes(usual.median as u64));
            said.push(format!("the size is unusual: {now}, where {median} is usual"));
        }
        let longer = |usual: &Usual| duration(made) > usual.median && usual.is_far(duration(made), LONGER);
        if let Some(usual) = of(duration).filter(|usual| alerts.unusual_duration && longer(usual)) {
            let shown = |seconds: f64| show_duration(Duration::from_secs(seconds as u64));
            let (now, median) = (shown(duration(made)), shown(usual.median));
            said.push(format!("the duration is unusual: {now}, where {median} is usual"));
        }
        said
    }

    /// Modules of which there once was a good copy, and now is none that is young enough.
    fn too_old(&self, limit: Duration, now: DateTime<Utc>) -> Vec<String> {
        let mut newest: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for entry in &self.backups {
            for module in entry.good_modules() {
                newest.entry(module).or_insert_with(|| entry.id.at());
            }
        }
        let age = |at: DateTime<Utc>| (now - at).to_std().unwrap_or_default();
        let old = newest.into_iter().filter(|(_, at)| age(*at) > limit);
        old.map(|(module, at)| {
            let (age, limit) = (show_duration(age(at)), show_duration(limit));
            format!("the newest good copy of module '{module}' of {} is {age} old, more than {limit}", self.scope)
        })
        .collect()
    }
}

/// What backups must have in common to be compared.
fn kind(entry: &Entry) -> (BackupType, Option<Only>) {
    (entry.summary.backup_type, entry.summary.only)
}

/// What to say of free space.
pub fn low_space(alerts: &Alerts, space: Space) -> Option<String> {
    let least = match alerts.free_space? {
        FreeSpace::Bytes(bytes) => bytes,
        FreeSpace::Percent(percent) => (u128::from(space.total) * u128::from(percent) / 100) as u64,
    };
    (space.free < least)
        .then(|| format!("{} are free on the repository's disk, less than {}", bytes(space.free), bytes(least)))
}

/// What is usual of a number.
#[derive(Debug)]
struct Usual {
    median: f64,
    spread: f64,
}

impl Usual {
    /// None where there are too few to know.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        if values.len() < FEWEST {
            return None;
        }
        let center = median(&mut values);
        let mut distances: Vec<_> = values.iter().map(|value| (value - center).abs()).collect();
        // 1.4826 makes a standard deviation of it where values are distributed normally.
        Some(Self { median: center, spread: 1.4826 * median(&mut distances) })
    }

    fn is_far(&self, value: f64, least: f64) -> bool {
        (value - self.median).abs() > (SPREADS * self.spread).max(SHARE * self.median).max(least)
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_far(values: &[f64], value: f64) -> Option<bool> {
        Some(Usual::of(values.to_vec())?.is_far(value, 0.0))
    }

    #[test]
    fn one_outlier_among_the_earlier_ones_does_not_make_another_usual() {
        let earlier = [100.0, 101.0, 99.0, 5000.0, 100.0, 102.0];
        assert_eq!(is_far(&earlier, 5000.0), Some(true));
        assert_eq!(is_far(&earlier, 40.0), Some(true));
        assert_eq!(is_far(&earlier, 110.0), Some(false));
    }

    #[test]
    fn what_varies_much_may_vary_and_what_is_always_alike_by_half() {
        let varies = [100.0, 300.0, 150.0, 260.0, 210.0];
        assert_eq!(is_far(&varies, 500.0), Some(false));
        assert_eq!(is_far(&[100.0; 5], 149.0), Some(false));
        assert_eq!(is_far(&[100.0; 5], 151.0), Some(true));
    }

    #[test]
    fn four_are_too_few_to_know_what_is_usual() {
        assert_eq!(is_far(&[100.0; 4], 1e9), None);
    }

    #[test]
    fn free_space_is_judged_in_bytes_or_as_a_share() {
        let space = Space { free: 4 << 30, total: 100 << 30 };
        let said = |least| low_space(&Alerts { free_space: Some(least), ..Alerts::default() }, space);
        assert!(said(FreeSpace::Bytes(5 << 30)).is_some() && said(FreeSpace::Percent(5)).is_some());
        assert!(said(FreeSpace::Bytes(4 << 30)).is_none() && said(FreeSpace::Percent(4)).is_none());
        assert_eq!(low_space(&Alerts::default(), Space { free: 0, total: 1 }), None);
    }
}
