//! The newest good copies: of every module, and of every archive outside the modules, in every scope.

use crate::config::BackupType;
use crate::manifest::ComponentStatus;
use crate::names::Scope;
use crate::repository::{Catalog, Entry, SummaryComponent};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Clocks of machines that share a repository differ by this much at most. What is later is no copy of now.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What a backup can be a good copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing<'a> {
    /// A module: all its archives.
    Module(&'a str),
    /// An archive that belongs to no module.
    Archive(&'a str),
}

impl<'a> Thing<'a> {
    /// The module's or the archive's name.
    pub fn name(self) -> &'a str {
        match self {
            Self::Module(name) | Self::Archive(name) => name,
        }
    }
}

/// The copies of one thing in one scope.
#[derive(Debug, Clone, Default)]
pub struct Found<'a> {
    /// The newest good copy of any type.
    pub newest: Option<&'a Entry>,
    /// The newest good copy of each type.
    pub of_type: BTreeMap<BackupType, &'a Entry>,
    /// The newest backup that truthfully holds none of it, because there was nothing yet.
    pub nothing_there: Option<&'a Entry>,
}

/// What there is of one scope.
#[derive(Debug, Clone, Default)]
pub struct OfScope<'a> {
    /// The copies of each thing.
    pub things: BTreeMap<Thing<'a>, Found<'a>>,
    /// The newest backup, good or not; none where all are of the future, or safety backups.
    pub newest: Option<&'a Entry>,
    /// When the oldest backup was made.
    pub since: Option<DateTime<Utc>>,
    /// When a backup was last found valid.
    pub verified: Option<DateTime<Utc>>,
    /// Names of modules that backups have components of.
    pub modules_seen: BTreeSet<&'a str>,
}

impl<'a> OfScope<'a> {
    /// The copies of one thing.
    pub fn find(&self, thing: Thing<'_>) -> Found<'a> {
        let found = self.things.iter().find(|(known, _)| **known == thing);
        found.map(|(_, found)| found.clone()).unwrap_or_default()
    }

    fn take_note(&mut self, entry: &'a Entry, now: DateTime<Utc>) {
        self.since = Some(entry.id.at());
        self.modules_seen.extend(entry.summary.module_states().into_keys());
        if entry.summary.safety_for.is_none() {
            self.newest.get_or_insert(entry);
        }
        let valid = entry.verified.as_ref().filter(|verified| verified.valid && verified.at <= now + SKEW);
        self.verified = self.verified.max(valid.map(|verified| verified.at));
    }
}

/// The copies of every thing in every scope.
#[derive(Debug, Clone, Default)]
pub struct Copies<'a> {
    scopes: BTreeMap<Scope, OfScope<'a>>,
    /// Backups later than now: the clock is behind, or was ahead. They are no copies.
    pub of_the_future: usize,
    /// Backups that are known to be damaged. They are no copies.
    pub damaged: usize,
}

impl<'a> Copies<'a> {
    /// Finds them as of `now`.
    pub fn of(catalog: &'a Catalog, now: DateTime<Utc>) -> Self {
        let mut copies = Self::default();
        // Newest first: the first is the newest.
        for entry in &catalog.backups {
            if entry.id.at() > now + SKEW {
                copies.of_the_future += 1;
                continue;
            }
            let scope = copies.scopes.entry(entry.id.scope()).or_default();
            scope.take_note(entry, now);
            if entry.is_damaged() {
                copies.damaged += 1;
                continue;
            }
            for thing in good(entry) {
                let found = scope.things.entry(thing).or_default();
                found.newest.get_or_insert(entry);
                found.of_type.entry(entry.summary.backup_type).or_insert(entry);
            }
            for thing in nothing_there(entry) {
                scope.things.entry(thing).or_default().nothing_there.get_or_insert(entry);
            }
        }
        copies
    }

    /// Scopes that have a backup, good or not.
    pub fn scopes(&self) -> impl Iterator<Item = (&Scope, &OfScope<'a>)> {
        self.scopes.iter()
    }

    /// What there is of one scope, nothing where it has no backup.
    pub fn of_scope(&self, scope: &Scope) -> OfScope<'a> {
        self.scopes.get(scope).cloned().unwrap_or_default()
    }
}

/// Things of which a backup, not known to be damaged, is a good copy.
fn good(entry: &Entry) -> impl Iterator<Item = Thing<'_>> {
    let modules = entry.good_modules().into_iter().map(Thing::Module);
    let outside = |part: &&SummaryComponent| is_outside(part) && part.status == ComponentStatus::Complete;
    let archives = entry.summary.components.iter().filter(outside).map(|part| Thing::Archive(&part.name));
    modules.chain(archives.filter(|_| entry.summary.safety_for.is_none()))
}

fn nothing_there(entry: &Entry) -> Vec<Thing<'_>> {
    let summary = &entry.summary;
    if summary.safety_for.is_some() || summary.only.is_some() {
        return Vec::new();
    }
    let absent = |(name, state)| (state == ComponentStatus::Absent).then_some(Thing::Module(name));
    let modules = summary.module_states().into_iter().filter_map(absent);
    let outside = |part: &&SummaryComponent| is_outside(part) && part.status == ComponentStatus::Absent;
    let archives = summary.components.iter().filter(outside).map(|part| Thing::Archive(&part.name));
    modules.chain(archives).collect()
}

fn is_outside(part: &SummaryComponent) -> bool {
    part.module.is_none() && part.shared_by.is_empty()
}

/// Stored bytes of what an entry holds of a thing.
pub fn size_of(entry: &Entry, thing: Thing<'_>) -> u64 {
    // A manifest may say any number.
    parts(entry, thing).map(|part| part.size).fold(0, u64::saturating_add)
}

/// Components of `entry` that hold data of `thing`; what modules share counts for each.
pub fn parts<'a>(entry: &'a Entry, thing: Thing<'a>) -> impl Iterator<Item = &'a SummaryComponent> {
    entry.summary.components.iter().filter(move |part| match thing {
        Thing::Module(name) => part.module.iter().chain(&part.shared_by).any(|module| **module == *name),
        Thing::Archive(name) => is_outside(part) && *part.name == *name,
    })
}
