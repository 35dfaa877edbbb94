//! The model: a list of backups, and sentences about it that are too simple to be wrong.

use backup::config::{BackupType, Retention, RetentionClass};
use backup::manifest::ComponentStatus::{self, Absent, Complete, Failed};
use backup::names::{BackupId, Scope};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// An archive that a backup may have.
#[derive(Debug)]
pub struct Part {
    pub path: &'static str,
    pub name: &'static str,
    pub module: Option<&'static str>,
    pub shared_by: &'static [&'static str],
    pub is_files: bool,
}

pub const PARTS: [Part; 5] = [
    Part { path: "core/db.tar.gz", name: "db", module: Some("core"), shared_by: &[], is_files: false },
    Part { path: "core/uploads.tar.gz", name: "uploads", module: Some("core"), shared_by: &[], is_files: true },
    Part { path: "theme/db.tar.gz", name: "db", module: Some("theme"), shared_by: &[], is_files: false },
    Part { path: "shared/db.tar.gz", name: "db", module: None, shared_by: &["core", "theme"], is_files: false },
    Part { path: "etc.tar.gz", name: "etc", module: None, shared_by: &[], is_files: true },
];

pub const MODULES: [&str; 2] = ["core", "theme"];

/// A backup.
#[derive(Debug, Clone)]
pub struct Made {
    pub id: BackupId,
    pub backup_type: BackupType,
    /// One for each of [`PARTS`]; none where the run left it out.
    pub parts: Vec<Option<ComponentStatus>>,
    pub only_databases: bool,
    pub is_safety: bool,
    pub is_held: bool,
    /// A byte of this part is not what it was.
    pub flipped: Option<usize>,
    /// What the newest verification said.
    pub verified: Option<bool>,
}

impl Made {
    pub fn has(&self, part: usize) -> bool {
        self.parts[part] == Some(Complete)
    }

    fn holds_something(&self) -> bool {
        (0..PARTS.len()).any(|part| self.has(part))
    }

    fn is_damaged(&self) -> bool {
        self.verified == Some(false)
    }

    /// How a part turned out, as far as is known: what verify found damaged is as good as failed.
    fn known(&self, part: usize) -> Option<ComponentStatus> {
        if self.is_damaged() && self.flipped == Some(part) { Some(Failed) } else { self.parts[part] }
    }

    /// A run of both halves in which nothing of the module failed and something is complete.
    fn is_whole(&self, module: &str) -> bool {
        let of_module = |p: &Part| p.module == Some(module) || p.shared_by.contains(&module);
        let states: Vec<_> = PARTS.iter().zip(&self.parts).filter(|(p, _)| of_module(p)).map(|(_, s)| *s).collect();
        !self.only_databases && !states.contains(&Some(Failed)) && states.contains(&Some(Complete))
    }

    fn days_old(&self, now: DateTime<Utc>) -> i64 {
        (now.date_naive() - self.id.at().date_naive()).num_days()
    }
}

/// All backups that exist.
#[derive(Debug, Default)]
pub struct Model {
    pub backups: Vec<Made>,
}

impl Model {
    pub fn ids(&self) -> BTreeSet<BackupId> {
        self.backups.iter().map(|made| made.id.clone()).collect()
    }

    /// Those of a scope, newest first, that are not safety backups.
    fn of<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Made> {
        let mut found: Vec<_> = self.backups.iter().filter(|m| m.id.scope() == *scope && !m.is_safety).collect();
        found.sort_by_key(|made| std::cmp::Reverse(made.id.at()));
        found.into_iter()
    }

    fn scopes(&self) -> BTreeSet<Scope> {
        self.backups.iter().map(|made| made.id.scope()).collect()
    }

    /// What no prune may take: what is held, what is dated in the future, and of every archive and module of a scope
    /// the newest good copy, and the newest that is not known to be damaged.
    pub fn must_stay(&self, now: DateTime<Utc>) -> BTreeSet<BackupId> {
        let always = self.backups.iter().filter(|made| made.is_held || made.id.at() > now);
        let mut stay: BTreeSet<_> = always.map(|made| made.id.clone()).collect();
        for scope in self.scopes() {
            let past = || self.of(&scope).filter(|made| made.id.at() <= now);
            for sound in [false, true] {
                let fine = |made: &&Made| !(sound && made.is_damaged());
                let parts = (0..PARTS.len()).filter_map(|part| past().filter(fine).find(|made| made.has(part)));
                let modules =
                    MODULES.iter().filter_map(|module| past().filter(fine).find(|made| made.is_whole(module)));
                stay.extend(parts.chain(modules).map(|made| made.id.clone()));
            }
        }
        stay
    }

    /// What a prune must take: what nothing protects, and what holds nothing or is older than any rule wants it.
    pub fn must_go(&self, retention: &Retention, now: DateTime<Utc>) -> BTreeSet<BackupId> {
        let stay = self.must_stay(now);
        let too_old = |made: &Made| match retention {
            Retention::Classes(classes) => classes.values().all(|class| made.days_old(now) > longest(made, class)),
            Retention::Policy(policy) => {
                let counts = |other: &&Made| other.holds_something() && !other.is_damaged() && other.id.at() <= now;
                let scope = made.id.scope();
                let newer = self.of(&scope).filter(counts).filter(|other| other.id.at() > made.id.at()).count();
                let counted = counts(&made) && !made.is_safety;
                let least = counted && newer < policy.keep_minimum as usize;
                let most = counted && newer >= policy.max_backups as usize;
                !least && (most || made.days_old(now) > i64::from(policy.max_age_days))
            }
        };
        let goes = |made: &&Made| !stay.contains(&made.id) && (!made.holds_something() || too_old(made));
        self.backups.iter().filter(goes).map(|made| made.id.clone()).collect()
    }

    /// More than three and more than half, of a scope or of all.
    pub fn wants_consent(&self, going: &BTreeSet<BackupId>) -> bool {
        let many = |ids: BTreeSet<BackupId>| {
            let goes = ids.intersection(going).count();
            goes > 3 && goes * 2 > ids.len()
        };
        let of_scope = |scope: &Scope| self.ids().into_iter().filter(|id| id.scope() == *scope).collect();
        many(self.ids()) || self.scopes().iter().any(|scope| many(of_scope(scope)))
    }

    /// The newest backup that a restore of a module's newest data would read.
    pub fn latest(&self, scope: &Scope, module: &str) -> Option<BackupId> {
        let offers = |state: fn(&Made, usize) -> Option<ComponentStatus>| {
            move |made: &&Made| {
                let own = (0..PARTS.len()).filter(|part| PARTS[*part].module == Some(module)).map(|p| state(made, p));
                let own: Vec<_> = own.flatten().filter(|status| *status != Absent).collect();
                state(made, 3) == Some(Complete) || (!own.is_empty() && !own.contains(&Failed))
            }
        };
        // A damaged copy is better than none.
        let good = self.of(scope).find(offers(Made::known));
        good.or_else(|| self.of(scope).find(offers(|made, part| made.parts[part]))).map(|made| made.id.clone())
    }
}

/// Days, with months at their longest.
fn longest(made: &Made, class: &RetentionClass) -> i64 {
    match made.backup_type {
        BackupType::Daily => class.daily.into(),
        BackupType::Weekly => i64::from(class.weekly) * 7,
        BackupType::Monthly => i64::from(class.monthly) * 31,
    }
}
