//! Metrics in the text format of Prometheus (version 0.0.4), for the textfile collector of the node exporter.
//!
//! What is stored comes from the catalog; how runs ended, and what they found in the sources, is carried on by the file.
//! Moments rather than ages are written: an age would be wrong a second later.

use super::collections::{self, Collections};
use super::copies::{Copies, OfScope, Thing, parts};
use super::exposition::{Text, seconds};
use super::runs::{self, RunEnd};
use super::textfile::{self, Values};
use crate::config::{BackupType, Config, Metrics};
use crate::error::Result;
use crate::manifest::Status;
use crate::names::Scope;
use crate::repository::{Catalog, Entry, Repository};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// A collector that runs as another user must be able to read it.
const MODE: u32 = 0o644;

/// What the metrics are written after.
#[derive(Debug, Default)]
pub struct After {
    /// How a run ended, where it is one that is counted.
    pub run: Option<RunEnd>,
    /// What it found in the sources.
    pub collections: Option<Collections>,
}

/// Writes the metrics, at this moment.
///
/// # Errors
/// When the file cannot be written. A catalog that cannot be read is no error: that is in the metrics.
pub fn write(config: &Config, metrics: &Metrics, after: &After, now: DateTime<Utc>) -> Result<()> {
    let repository = Repository::open(&config.repository);
    let stored = repository
        .and_then(|repository| Ok((repository.catalog()?, [repository.free_space()?, repository.total_space()?])));
    let stored = stored.as_ref().ok();
    let copies = stored.map(|(catalog, _)| Copies::of(catalog, now));
    textfile::update(&metrics.textfile, MODE, |before| {
        let mut text = Text::default();
        let label = [("installation", config.installation.as_str()), ("version", env!("CARGO_PKG_VERSION"))];
        text.metric("backup_info", "gauge", "The installation and the program's version; always 1.");
        text.sample(&label, 1.0);
        runs::write(&mut text, before, after.run.as_ref());
        let tenants = tenants(config, copies.as_ref(), before, metrics.max_tenants);
        collections::write(&mut text, before, after.collections.as_ref(), &tenants);
        text.metric(
            "backup_catalog_readable",
            "gauge",
            "1 when the repository could be read at the end of the last run.",
        );
        text.sample(&[], f64::from(u8::from(stored.is_some())));
        if let (Some((catalog, space)), Some(copies)) = (stored, &copies) {
            of_repository(&mut text, catalog, *space);
            of_scopes(&mut text, copies, metrics.max_tenants);
        }
        text.written
    })
}

/// The tenants that may have series without a backup: none where they are too many.
fn tenants(config: &Config, copies: Option<&Copies<'_>>, before: &Values, most: usize) -> BTreeSet<String> {
    let configured = config.tenancy.tenants.keys().map(ToString::to_string);
    let stored: Vec<_> = match copies {
        Some(copies) => copies.scopes().filter_map(|(scope, _)| scope.tenant()).map(ToString::to_string).collect(),
        // Who else there is, the repository knows: while it cannot be read nobody is gone.
        None => collections::tenants(before).map(ToOwned::to_owned).collect(),
    };
    let all: BTreeSet<_> = configured.chain(stored).collect();
    if all.len() > most { BTreeSet::new() } else { all }
}

fn of_repository(text: &mut Text, catalog: &Catalog, [free, total]: [u64; 2]) {
    text.metric("backup_repository_free_bytes", "gauge", "Bytes free on the repository's file system.");
    text.sample(&[], free as f64);
    text.metric("backup_repository_size_bytes", "gauge", "Bytes of the repository's file system.");
    text.sample(&[], total as f64);
    let words = [(Status::Success, "success"), (Status::Partial, "partial"), (Status::Failed, "failed")];
    text.metric("backup_backups", "gauge", "Backups that are listed.");
    for backup_type in BackupType::ALL {
        for (status, word) in words {
            let is = |entry: &&Entry| entry.summary.backup_type == backup_type && entry.summary.status == status;
            let count = catalog.backups.iter().filter(is).count();
            text.sample(&[("type", backup_type.as_str()), ("status", word)], count as f64);
        }
    }
    let stored = catalog.backups.iter().map(|entry| entry.summary.totals.stored_bytes).fold(0, u64::saturating_add);
    let held = catalog.backups.iter().filter(|entry| entry.held.is_some()).count();
    let counts = [
        ("backup_stored_bytes", "Bytes of all listed backups.", stored as f64),
        ("backup_failed_runs", "Records of runs that left no backup.", catalog.failed.len() as f64),
        ("backup_held_backups", "Backups that are held from pruning.", held as f64),
        ("backup_unreadable_files", "Manifests and facts that cannot be read.", catalog.unreadable.len() as f64),
        (
            "backup_damaged_backups",
            "Backups that the newest verification found damaged.",
            catalog.backups.iter().filter(|entry| entry.is_damaged()).count() as f64,
        ),
    ];
    for (name, help, value) in counts {
        text.metric(name, "gauge", help);
        text.sample(&[], value);
    }
}

/// A figure of a newest backup, or of a newest good copy.
type Figure<T> = (&'static str, &'static str, fn(T) -> Option<f64>);

/// The newest backup of each scope, and the newest good copy of each module and archive in it. Tenants have series of
/// their own while they are few; figures over all of them there are always.
fn of_scopes(text: &mut Text, copies: &Copies<'_>, max_tenants: usize) {
    let tenants = copies.scopes().filter(|(scope, _)| scope.tenant().is_some()).count();
    text.metric("backup_tenants", "gauge", "Tenants that have a backup.");
    text.sample(&[], tenants as f64);
    text.metric(
        "backup_tenants_have_series",
        "gauge",
        "0 when tenants are more than maxTenants, and none has series of its own.",
    );
    let each = tenants <= max_tenants;
    text.sample(&[], f64::from(u8::from(each)));
    let shown: Vec<_> = copies.scopes().filter(|(scope, _)| each || scope.tenant().is_none()).collect();
    let of_backup: [Figure<&Entry>; 5] = [
        ("backup_last_backup_timestamp_seconds", "When the newest backup was begun.", |e| Some(seconds(e.id.at()))),
        ("backup_last_backup_duration_seconds", "How long the newest backup took.", |e| {
            Some(e.summary.duration_seconds)
        }),
        ("backup_last_backup_raw_bytes", "Bytes of the newest backup before compression.", |e| {
            Some(e.summary.totals.bytes as f64)
        }),
        ("backup_last_backup_stored_bytes", "Bytes of the newest backup as stored.", |e| {
            Some(e.summary.totals.stored_bytes as f64)
        }),
        ("backup_last_backup_complete", "1 when nothing of the newest backup failed.", |e| {
            Some(f64::from(u8::from(e.summary.status == Status::Success)))
        }),
    ];
    for (name, help, figure) in of_backup {
        text.metric(name, "gauge", help);
        for (scope, stored) in &shown {
            let value = stored.newest.and_then(figure);
            value.into_iter().for_each(|value| text.sample(&[("tenant", tenant(scope))], value));
        }
    }
    text.metric("backup_last_verified_timestamp_seconds", "gauge", "When a backup was last verified and found valid.");
    for (scope, stored) in &shown {
        stored.verified.into_iter().for_each(|at| text.sample(&[("tenant", tenant(scope))], seconds(at)));
    }
    let of_copy: [Figure<(&Entry, Thing<'_>)>; 4] = [
        ("last_good_timestamp_seconds", "When the newest good copy was made.", |(e, _)| Some(seconds(e.id.at()))),
        ("records", "Records in the newest good copy.", |(e, thing)| Some(sum(e, thing, |part| part.records))),
        ("files", "Files in the newest good copy.", |(e, thing)| Some(sum(e, thing, |part| part.files))),
        ("stored_bytes", "Stored bytes of the newest good copy.", |(e, thing)| Some(sum(e, thing, |part| part.size))),
    ];
    for (what, is_module) in [("module", true), ("archive", false)] {
        for (name, help, figure) in of_copy {
            text.metric(&format!("backup_{what}_{name}"), "gauge", help);
            for (scope, stored) in &shown {
                for (thing, entry) in good(stored, is_module) {
                    let value = figure((entry, thing));
                    let labels = [("tenant", tenant(scope)), (what, thing.name())];
                    value.into_iter().for_each(|value| text.sample(&labels, value));
                }
            }
        }
    }
    over_tenants(text, copies);
}

/// Of the tenants' copies of each module together.
#[derive(Default)]
struct OfTenants {
    copies: u64,
    oldest: Option<DateTime<Utc>>,
    records: f64,
    stored: f64,
}

fn over_tenants(text: &mut Text, copies: &Copies<'_>) {
    let mut modules: BTreeMap<&str, OfTenants> = BTreeMap::new();
    for (_, stored) in copies.scopes().filter(|(scope, _)| scope.tenant().is_some()) {
        for (thing, entry) in good(stored, true) {
            let all = modules.entry(thing.name()).or_default();
            all.copies += 1;
            all.oldest = Some(all.oldest.map_or(entry.id.at(), |oldest| oldest.min(entry.id.at())));
            all.records += sum(entry, thing, |part| part.records);
            all.stored += sum(entry, thing, |part| part.size);
        }
    }
    let figures: [Figure<&OfTenants>; 4] = [
        ("copies", "Tenants with a good copy of the module.", |all| Some(all.copies as f64)),
        ("oldest_good_timestamp_seconds", "The oldest of the tenants' newest good copies.", |all| {
            all.oldest.map(seconds)
        }),
        ("records", "Records in the tenants' newest good copies.", |all| Some(all.records)),
        ("stored_bytes", "Stored bytes of the tenants' newest good copies.", |all| Some(all.stored)),
    ];
    for (name, help, figure) in figures {
        text.metric(&format!("backup_tenants_module_{name}"), "gauge", help);
        for (module, all) in &modules {
            figure(all).into_iter().for_each(|value| text.sample(&[("module", module)], value));
        }
    }
}

fn good<'a>(stored: &OfScope<'a>, is_module: bool) -> impl Iterator<Item = (Thing<'a>, &'a Entry)> {
    let of_kind = move |thing: &Thing<'_>| matches!(thing, Thing::Module(_)) == is_module;
    let things = stored.things.iter().filter(move |(thing, _)| of_kind(thing));
    things.filter_map(|(thing, found)| Some((*thing, found.newest?)))
}

fn sum(entry: &Entry, thing: Thing<'_>, of: fn(&crate::repository::SummaryComponent) -> u64) -> f64 {
    // A manifest may say any number.
    parts(entry, thing).map(of).fold(0, u64::saturating_add) as f64
}

/// Empty for the installation, which to Prometheus is no label at all.
fn tenant(scope: &Scope) -> &str {
    scope.tenant().map_or("", |id| id.as_str())
}
