//! `stats`: figures over all backups. Pure, but for what the caller reads: the catalog and the free space.

use crate::config::BackupType;
use crate::manifest::{ComponentStatus, Status};
use crate::names::Scope;
use crate::repository::{Catalog, Entry, SummaryComponent};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// The figures. Field names are a contract.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Backups that are listed.
    pub total_backups: usize,
    /// Of these, complete.
    pub completed: usize,
    /// Of these, partial.
    pub partial: usize,
    /// Runs without a usable result.
    pub failed: usize,
    /// Percentage of runs that were complete; none before the first run.
    pub success_rate: Option<f64>,
    /// Stored bytes.
    pub total_size: u64,
    /// Bytes before compression for each byte stored; none when nothing is stored.
    pub compression_ratio: Option<f64>,
    /// Mean over the listed backups; none when there are none.
    pub average_duration_seconds: Option<f64>,
    /// By retention class.
    pub by_type: BTreeMap<&'static str, OfType>,
    /// Of the whole installation.
    pub system_backups: usize,
    /// Of one tenant each.
    pub tenant_backups: usize,
    /// By module, of its newest good copy in any of the scopes looked at.
    pub modules: BTreeMap<String, OfModule>,
    /// The newest good copy of every module in every scope.
    pub last_good: Vec<LastGood>,
    /// The newest backup.
    pub last_backup: Option<Last>,
    /// The oldest moment something can be restored of.
    pub oldest_restorable: Option<DateTime<Utc>>,
    /// Runs that left no backup.
    pub failed_runs: usize,
    /// Bytes stored by day, oldest first.
    pub size_history: Vec<Day>,
    /// Manifests and facts that cannot be read, and so are in no figure.
    pub unreadable: usize,
    /// Bytes free on the repository's file system.
    pub free_space: u64,
}

/// The backups of one type.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OfType {
    /// How many.
    pub count: usize,
    /// Stored bytes.
    pub size: u64,
}

/// The newest good copy of a module.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OfModule {
    /// Collections and directories in it.
    pub collections: u64,
    /// Records in it.
    pub records: u64,
    /// Files in it.
    pub files: u64,
    /// When it was made; none when there is no good copy.
    pub last_good: Option<DateTime<Utc>>,
    /// Stored bytes of its archives.
    pub size: u64,
    /// Stored bytes of its good copies by day, oldest first: the last thirty days that have one. Of a day that has several
    /// of one scope, the newest counts; scopes are added.
    pub history: Vec<DayOfModule>,
}

/// A module on a day of the installation's calendar.
#[derive(Debug, Clone, Serialize)]
pub struct DayOfModule {
    /// The day.
    pub day: NaiveDate,
    /// Stored bytes.
    pub size: u64,
}

/// The newest good copy of a module in a scope.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastGood {
    /// The tenant, or none.
    pub tenant_id: Option<String>,
    /// The module.
    pub module: String,
    /// The backup.
    pub id: String,
    /// When it was made.
    pub timestamp: DateTime<Utc>,
}

/// The newest backup.
#[derive(Debug, Clone, Serialize)]
pub struct Last {
    /// Its id.
    pub id: String,
    /// Retention class.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// How it turned out.
    pub status: Status,
    /// When it was made.
    pub timestamp: DateTime<Utc>,
    /// Stored bytes.
    pub size: u64,
}

/// A day of the installation's calendar.
#[derive(Debug, Clone, Serialize)]
pub struct Day {
    /// The day.
    pub day: NaiveDate,
    /// Backups made on it that are still there.
    pub backups: usize,
    /// Their stored bytes.
    pub size: u64,
    /// Stored bytes of these and all older ones.
    pub total: u64,
}

/// Days of a module's history.
const DAYS: usize = 30;

/// Works out the figures, of one tenant's backups or of all.
pub fn stats(catalog: &Catalog, tenant: Option<&Scope>, timezone: Tz, free_space: u64) -> Stats {
    let mine = |entry: &&Entry| tenant.is_none_or(|scope| entry.id.scope() == *scope);
    let entries: Vec<&Entry> = catalog.backups.iter().filter(mine).collect();
    let tenant_id = tenant.and_then(Scope::tenant).map(crate::names::TenantId::as_str);
    let failed_runs = catalog.failed.iter().filter(|run| tenant.is_none() || run.tenant_id.as_deref() == tenant_id);
    let failed_runs = failed_runs.count();
    let with = |status| entries.iter().filter(|entry| entry.summary.status == status).count();
    let (completed, failed) = (with(Status::Success), with(Status::Failed) + failed_runs);
    // A manifest may say any number.
    let sum = |of: fn(&Entry) -> u64| entries.iter().fold(0, |sum: u64, entry| sum.saturating_add(of(entry)));
    let stored = sum(size);
    let plain = sum(|entry| entry.summary.totals.bytes);
    let seconds: f64 = entries.iter().map(|entry| entry.summary.duration_seconds).sum();
    let tenant_backups = entries.iter().filter(|entry| entry.summary.tenant_id.is_some()).count();
    Stats {
        total_backups: entries.len(),
        completed,
        partial: with(Status::Partial),
        failed,
        success_rate: ratio(completed as f64 * 100.0, (entries.len() + failed_runs) as f64),
        total_size: stored,
        compression_ratio: ratio(plain as f64, stored as f64),
        average_duration_seconds: ratio(seconds, entries.len() as f64),
        by_type: by_type(&entries),
        system_backups: entries.len() - tenant_backups,
        tenant_backups,
        modules: modules(&entries, timezone),
        last_good: last_good(&entries),
        last_backup: entries.first().map(|entry| Last {
            id: entry.id.to_string(),
            backup_type: entry.summary.backup_type,
            status: entry.summary.status,
            timestamp: entry.summary.timestamp,
            size: size(entry),
        }),
        oldest_restorable: entries.iter().rev().find(|entry| is_restorable(entry)).map(|e| e.summary.timestamp),
        failed_runs,
        size_history: history(&entries, timezone),
        unreadable: catalog.unreadable.len(),
        free_space,
    }
}

/// Two decimals; none when there is nothing to divide by.
fn ratio(of: f64, by: f64) -> Option<f64> {
    (by > 0.0).then(|| (of / by * 100.0).round() / 100.0)
}

fn size(entry: &Entry) -> u64 {
    entry.summary.totals.stored_bytes
}

fn is_restorable(entry: &Entry) -> bool {
    entry.summary.components.iter().any(|component| component.status == ComponentStatus::Complete)
}

fn by_type(entries: &[&Entry]) -> BTreeMap<&'static str, OfType> {
    let mut types: BTreeMap<_, OfType> = BackupType::ALL.iter().map(|t| (t.as_str(), OfType::default())).collect();
    for entry in entries {
        let of_type = types.entry(entry.summary.backup_type.as_str()).or_default();
        of_type.count += 1;
        of_type.size = of_type.size.saturating_add(size(entry));
    }
    types
}

/// Entries are newest first: the first good copy is the newest.
fn modules(entries: &[&Entry], timezone: Tz) -> BTreeMap<String, OfModule> {
    let mut modules: BTreeMap<String, OfModule> = BTreeMap::new();
    let mut histories = histories(entries, timezone);
    for entry in entries {
        let good = entry.good_modules();
        for module in entry.summary.module_states().into_keys() {
            let none = || OfModule {
                collections: 0,
                records: 0,
                files: 0,
                last_good: None,
                size: 0,
                history: histories.remove(module).unwrap_or_default(),
            };
            let found = modules.entry(module.to_owned()).or_insert_with(none);
            if !good.contains(&module) || found.last_good.is_some() {
                continue;
            }
            found.last_good = Some(entry.summary.timestamp);
            for part in parts(entry, module) {
                found.collections += u64::from(part.collections);
                found.records = found.records.saturating_add(part.records);
                found.files = found.files.saturating_add(part.files);
                found.size = found.size.saturating_add(part.size);
            }
        }
    }
    modules
}

/// Components that hold data of a module; what modules share counts for each.
fn parts<'a>(entry: &'a Entry, module: &'a str) -> impl Iterator<Item = &'a SummaryComponent> {
    let is_of = |part: &&SummaryComponent| part.module.iter().chain(&part.shared_by).any(|name| **name == *module);
    entry.summary.components.iter().filter(is_of)
}

/// The history of each module. Entries are newest first: the first of a scope's on a day counts.
fn histories<'a>(entries: &[&'a Entry], timezone: Tz) -> BTreeMap<&'a str, Vec<DayOfModule>> {
    let mut seen = HashSet::new();
    let mut days: BTreeMap<&str, BTreeMap<NaiveDate, u64>> = BTreeMap::new();
    for entry in entries {
        let day = entry.summary.timestamp.with_timezone(&timezone).date_naive();
        for module in entry.good_modules() {
            let days = days.entry(module).or_default();
            let is_old = days.len() >= DAYS && days.first_key_value().is_some_and(|(oldest, _)| day < *oldest);
            if !is_old && seen.insert((entry.summary.tenant_id.as_deref(), module, day)) {
                let size = parts(entry, module).map(|part| part.size).fold(0, u64::saturating_add);
                let sum = days.entry(day).or_default();
                *sum = sum.saturating_add(size);
            }
        }
    }
    let history =
        |days: BTreeMap<NaiveDate, u64>| days.into_iter().map(|(day, size)| DayOfModule { day, size }).collect();
    days.into_iter().map(|(module, days)| (module, history(days))).collect()
}

fn last_good(entries: &[&Entry]) -> Vec<LastGood> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for entry in entries {
        let tenant_id = entry.summary.tenant_id.as_deref();
        for module in entry.good_modules() {
            if seen.insert((tenant_id, module)) {
                found.push(LastGood {
                    tenant_id: tenant_id.map(str::to_owned),
                    module: module.to_owned(),
                    id: entry.id.to_string(),
                    timestamp: entry.summary.timestamp,
                });
            }
        }
    }
    found.sort_by(|a, b| (&a.tenant_id, &a.module).cmp(&(&b.tenant_id, &b.module)));
    found
}

fn history(entries: &[&Entry], timezone: Tz) -> Vec<Day> {
    let mut days: BTreeMap<NaiveDate, (usize, u64)> = BTreeMap::new();
    for entry in entries {
        let day = days.entry(entry.summary.timestamp.with_timezone(&timezone).date_naive()).or_default();
        day.0 += 1;
        day.1 = day.1.saturating_add(size(entry));
    }
    let mut total = 0u64;
    let day = |(day, (backups, size))| {
        total = total.saturating_add(size);
        Day { day, backups, size, total }
    };
    days.into_iter().map(day).collect()
}
