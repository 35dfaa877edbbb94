//! Random histories of a repository on disk, held against a model after every step: backups whole and broken, kills,
//! damage, wrong clocks, prunes. See [`model`].

mod model;
mod repository;
mod stored;

use backup::config::{BackupType, Retention, RetentionClass, RetentionPolicy};
use backup::manifest::ComponentStatus::{self, Absent, Complete, Failed};
use backup::names::{Scope, TenantId};
use model::PARTS;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use repository::{Fired, History};
use std::collections::BTreeMap;

/// What happens to a repository. Backups are named by a number, modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    /// The same run on so many nights.
    Create(Run, u32),
    /// A run that stores nothing usable.
    Fail(Scope),
    Kill(Scope, Kill),
    /// One of the newest backups loses a byte, which a verification finds.
    Flip(usize, usize),
    Verify(usize),
    Hold(usize, bool),
    Clock(i64),
    /// Something in the repository cannot be listed while it is pruned.
    Hide(Fault, Retention),
    Prune(Retention, bool),
}

/// A run that ends well, or in part.
#[derive(Debug, Clone)]
struct Run {
    scope: Scope,
    backup_type: BackupType,
    parts: Vec<Option<ComponentStatus>>,
    only_databases: bool,
    is_safety: bool,
}

/// Where a run is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    Reading,
    BetweenRenames,
    WritingManifest,
    /// A prune, after it took a manifest.
    Removing(usize),
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    TornManifest,
    ForeignManifest,
    TornFact,
    MissingFolder(&'static str),
}

fn any_scope() -> impl Strategy<Value = Scope> {
    select(vec![Scope::SystemWide, Scope::SystemWide, Scope::Tenant(TenantId::parse("acme").unwrap())])
}

fn any_run() -> impl Strategy<Value = Run> {
    let part = select(vec![Some(Complete), Some(Complete), Some(Complete), Some(Failed), Some(Absent), None]);
    let parts = prop_oneof![
        2 => Just(vec![Some(Complete); PARTS.len()]),
        3 => proptest::collection::vec(part, PARTS.len()),
    ];
    let chance = |per_cent| (0..100u32).prop_map(move |n| n < per_cent);
    (any_scope(), select(BackupType::ALL.to_vec()), parts, chance(20), chance(10)).prop_map(
        |(scope, backup_type, mut parts, only_databases, is_safety)| {
            if only_databases {
                parts.iter_mut().zip(&PARTS).filter(|(_, part)| part.is_files).for_each(|(status, _)| *status = None);
            }
            Run { scope, backup_type, parts, only_databases, is_safety }
        },
    )
}

fn any_retention() -> impl Strategy<Value = Retention> {
    let policy = (1..5u32, 0..4u32, 1..40u32).prop_map(|(keep_minimum, more, max_age_days)| {
        let max_backups = keep_minimum + more;
        Retention::Policy(RetentionPolicy { name: "custom".into(), max_backups, max_age_days, keep_minimum })
    });
    let class = |days: u32, modules: &[&str]| RetentionClass {
        modules: modules.iter().map(ToString::to_string).collect(),
        daily: days,
        weekly: 2,
        monthly: 1,
    };
    let classes = (1..20u32).prop_map(move |days| {
        let classes = [("critical", class(days * 2, &["core"])), ("standard", class(days, &[]))];
        Retention::Classes(BTreeMap::from(classes.map(|(name, class)| (name.to_owned(), class))))
    });
    prop_oneof![policy, classes]
}

fn any_step() -> impl Strategy<Value = Step> {
    let kill = prop_oneof![
        Just(Kill::Reading),
        Just(Kill::BetweenRenames),
        Just(Kill::WritingManifest),
        any::<usize>().prop_map(Kill::Removing)
    ];
    let folder = select(vec!["daily", "weekly", "metadata/facts", "metadata/failed", "staging"]);
    let fault = prop_oneof![
        Just(Fault::TornManifest),
        Just(Fault::ForeignManifest),
        Just(Fault::TornFact),
        folder.prop_map(Fault::MissingFolder)
    ];
    let days = prop_oneof![12 => 0..40i64, 1 => 3000..4000i64, 1 => -4000..0i64];
    prop_oneof![
        9 => (any_run(), 1..6u32).prop_map(|(run, nights)| Step::Create(run, nights)),
        1 => any_scope().prop_map(Step::Fail),
        2 => (any_scope(), kill).prop_map(|(scope, kill)| Step::Kill(scope, kill)),
        3 => any::<(usize, usize)>().prop_map(|(of, part)| Step::Flip(of, part)),
        1 => any::<usize>().prop_map(Step::Verify),
        1 => any::<(usize, bool)>().prop_map(|(of, hold)| Step::Hold(of, hold)),
        4 => days.prop_map(Step::Clock),
        1 => (fault, any_retention()).prop_map(|(fault, retention)| Step::Hide(fault, retention)),
        5 => (any_retention(), any::<bool>()).prop_map(|(retention, yes)| Step::Prune(retention, yes)),
    ]
}

fn histories(cases: u32, steps: usize) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let fired = Fired::default();
    TestRunner::new(config)
        .run(&proptest::collection::vec(any_step(), steps / 2..=steps), |steps| {
            let mut history = History::new(&fired);
            for step in steps {
                let is_prune = matches!(step, Step::Prune(..));
                history.take(step);
                history.compare();
                if is_prune {
                    history.compare_latest();
                }
            }
            history.compare_latest();
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    fired.assert_all();
}

#[test]
fn whatever_happens_prune_takes_what_it_should_and_nothing_that_is_needed() {
    histories(64, 24);
}

#[test]
#[ignore = "long: many more histories of the same kind"]
fn whatever_happens_in_long_histories_prune_takes_what_it_should_and_nothing_that_is_needed() {
    histories(400, 60);
}
