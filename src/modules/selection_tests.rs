use super::super::{Content, Grant, GrantState, Records, Selection};
use super::*;
use crate::config::*;
use crate::names::{Scope, TenantId};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn config(modules: BTreeMap<String, Module>, features: Vec<String>) -> Config {
    Config {
        file: std::path::PathBuf::from("backup.yaml"),
        module_files: Vec::new(),
        installation: "test".into(),
        timezone: chrono_tz::UTC,
        repository: Repository::at("/backups"),
        compression: Compression::default(),
        rate_limit: None,
        sources: BTreeMap::new(),
        uploads: Vec::new(),
        extra_files: BTreeMap::new(),
        license: License::plain(features),
        tenancy: Tenancy {
            field: Some("tenantId".into()),
            id_type: IdType::String,
            tenants: BTreeMap::new(),
            discover: None,
        },
        modules,
        verification: Verification::default(),
        anomaly: Anomaly::default(),
        retention: Retention::Classes(BTreeMap::new()),
        jobs: BTreeMap::new(),
        metrics: None,
        checks: Checks::default(),
        notifications: Vec::new(),
        alerts: Alerts::default(),
        commands: Commands::default(),
        warnings: Vec::new(),
    }
}

fn features(config: &Config) -> Vec<String> {
    match &config.license.origin {
        LicenseOrigin::Features(features) => features.clone(),
        LicenseOrigin::Token(_) | LicenseOrigin::File(_) => Vec::new(),
    }
}

/// What the configuration's plain features grant.
fn plain(config: &Config) -> Grants {
    grants(GrantState::Valid, &features(config), None)
}

fn grants(state: GrantState, features: &[String], tenant: Option<(GrantState, &[String])>) -> Grants {
    let grant = |state, features: &[String]| Grant {
        features: features.to_vec(),
        state,
        problem: (state != GrantState::Valid).then(|| "it expired".to_owned()),
        grace_until: (state == GrantState::Grace).then(chrono::DateTime::default),
        ..Grant::default()
    };
    Grants { installation: grant(state, features), tenant: tenant.map(|(state, features)| grant(state, features)) }
}

fn collection(number: u8) -> Collection {
    // The owner follows from the name, so that modules never disagree.
    let owner = match number % 3 {
        0 => Owner::Shared,
        1 => Owner::Field("tenantId".into()),
        _ => Owner::Excluded,
    };
    Collection {
        name: format!("c{number}"),
        source: format!("s{}", number % 2),
        optional: number.is_multiple_of(5),
        owner,
    }
}

fn module(required: bool, priority: i64, feature: Option<u8>, collections: Vec<u8>) -> Module {
    Module {
        display_name: "A module".into(),
        required,
        priority,
        license_feature: feature.map(|f| format!("f{f}")),
        dependencies: Vec::new(),
        collections: collections.into_iter().map(collection).collect(),
        file_uploads: Vec::new(),
        relationships: Vec::new(),
        sealing: Sealing::default(),
    }
}

fn request(tenant: Option<&str>, modules: &[&str]) -> Request {
    Request {
        scope: tenant.map_or(Scope::SystemWide, |t| Scope::Tenant(TenantId::parse(t).unwrap())),
        modules: modules.iter().map(|&m| m.to_owned()).collect(),
        only: None,
        backup_type: BackupType::Daily,
    }
}

fn covered(selection: &Selection) -> Vec<(String, super::super::CollectionSpec)> {
    let mut all = Vec::new();
    for component in &selection.components {
        if let Content::Collections { source, collections } = &component.content {
            all.extend(collections.iter().map(|c| (source.clone(), c.clone())));
        }
    }
    all
}

prop_compose! {
    fn configs()(
        made in prop::collection::vec(
            (any::<bool>(), 0i64..4, prop::option::of(0u8..4), prop::collection::vec(0u8..20, 1..6)), 1..7),
        features in prop::collection::vec(0u8..4, 0..4),
    ) -> Config {
        let modules = made.into_iter().enumerate().map(|(i, (r, p, f, c))| (format!("m{i}"), module(r, p, f, c)));
        config(modules.collect(), features.into_iter().map(|f| format!("f{f}")).collect())
    }
}

proptest! {
    #[test]
    fn every_module_is_selected_or_excluded_with_a_reason_and_every_collection_is_covered_once(config in configs()) {
        let Ok(selection) = select(&config, &plain(&config), &request(None, &[])) else { return Ok(()) };
        for (name, module) in &config.modules {
            let out = selection.excluded.iter().find(|e| &e.module == name);
            prop_assert!(selection.modules.contains(name) != out.is_some());
            prop_assert!(out.is_none_or(|e| !e.reason.is_empty()));
            for listed in module.collections.iter().filter(|_| out.is_none()) {
                let times = covered(&selection).iter().filter(|(s, c)| *s == listed.source && c.name == listed.name).count();
                prop_assert_eq!(times, 1);
            }
        }
        for (_, spec) in covered(&selection) {
            prop_assert!(!spec.modules.is_empty() && spec.modules.iter().all(|m| selection.modules.contains(m)));
        }
        let order: Vec<_> = selection.modules.iter().map(|m| (config.modules[m].priority, m)).collect();
        prop_assert!(order.is_sorted());
        let again = select(&config, &plain(&config), &request(None, &[])).unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{selection:?}"));
    }

    #[test]
    fn a_tenant_run_never_covers_all_records_of_an_unshared_collection(config in configs()) {
        let Ok(selection) = select(&config, &plain(&config), &request(Some("acme"), &[])) else { return Ok(()) };
        for (_, spec) in covered(&selection) {
            prop_assert_ne!(spec.records, Records::All { shared: false });
        }
    }

    #[test]
    fn another_licence_feature_never_removes_a_module(config in configs(), feature in 0u8..4) {
        let before = choose(&config, &plain(&config), None, &[]).unwrap();
        let mut config = config;
        config.license = License::plain([features(&config), vec![format!("f{feature}")]].concat());
        let after = choose(&config, &plain(&config), None, &[]).unwrap();
        prop_assert!(before.modules.iter().all(|m| after.modules.contains(m)));
    }
}

fn two() -> Config {
    let core = module(true, 1, None, vec![1, 3]);
    let mut life = module(false, 2, Some(0), vec![3, 7]);
    life.dependencies = vec!["clinic".into()];
    let clinic = module(false, 3, Some(1), vec![13]);
    config([("core".into(), core), ("life".into(), life), ("clinic".into(), clinic)].into(), vec!["f0".into()])
}

#[test]
fn a_dependency_that_is_out_is_an_error_naming_both_and_why() {
    let error = select(&two(), &plain(&two()), &request(None, &[])).unwrap_err();
    assert_eq!(error.kind, Kind::Config);
    assert_eq!(error.message, "module 'life' depends on 'clinic', which is excluded: feature 'f1' is not licensed");
}

#[test]
fn a_collection_of_several_selected_modules_is_shared_and_of_one_is_its_own() {
    let mut config = two();
    config.license = License::plain(vec!["f0".into(), "f1".into()]);
    let archives = |modules: &[&str]| -> Vec<String> {
        select(&config, &plain(&config), &request(None, modules))
            .unwrap()
            .components
            .into_iter()
            .map(|c| c.archive)
            .collect()
    };
    assert_eq!(archives(&[]), ["core/s1", "life/s1", "clinic/s1", "shared/s1"]);
    assert_eq!(archives(&["core"]), ["core/s1"]);
}

#[test]
fn unknown_and_excluded_modules_are_told_apart() {
    let unknown = select(&two(), &plain(&two()), &request(None, &["cor"])).unwrap_err();
    assert_eq!((unknown.kind, unknown.hint.as_deref()), (Kind::NotFound, Some("did you mean 'core'?")));
    let excluded = select(&two(), &plain(&two()), &request(None, &["clinic"])).unwrap_err();
    assert_eq!(excluded.kind, Kind::Config);
    assert!(excluded.message.contains("'f1' is not licensed"));
}

#[test]
fn a_tenant_run_refuses_a_collection_without_an_owner_rule() {
    let mut config = two();
    config.modules.get_mut("core").unwrap().collections[0].owner = Owner::Unknown;
    let error = select(&config, &plain(&config), &request(Some("acme"), &["core"])).unwrap_err();
    assert_eq!(error.kind, Kind::Config);
    assert!(error.message.contains("'s1.c1' has no owner rule"), "{error}");
}

/// Every combination of what the two licences are and grant, against the rule in one line each.
#[test]
fn a_module_is_in_when_every_licence_that_is_asked_grants_its_feature() {
    use GrantState::{Grace, Invalid, Valid};
    let config = config([("m".into(), module(false, 1, Some(0), vec![3]))].into(), Vec::new());
    let tenant = TenantId::parse("acme").unwrap();
    // An invalid licence grants nothing: `license` makes none that does.
    let cases: Vec<(GrantState, Vec<String>)> = [Valid, Grace, Invalid]
        .into_iter()
        .flat_map(|state| [(state, vec![]), (state, vec!["f0".to_owned()])])
        .collect();
    let cases: Vec<_> =
        cases.into_iter().filter(|(state, features)| *state != Invalid || features.is_empty()).collect();
    for (state, features) in &cases {
        for own in std::iter::once(None).chain(cases.iter().map(Some)) {
            let own = own.map(|(state, features)| (*state, features.as_slice()));
            let granted = grants(*state, features, own);
            let chosen = choose(&config, &granted, Some(&tenant), &[]).unwrap();
            let is_in = !features.is_empty() && own.is_none_or(|(_, features)| !features.is_empty());
            assert_eq!(chosen.modules.len() == 1, is_in, "{granted:?}");
            let lapsed = usize::from(*state != Valid) + usize::from(own.is_some_and(|(state, _)| state != Valid));
            assert_eq!(chosen.notes.len(), lapsed, "one warning for each licence that is not valid: {granted:?}");
            // Whoever is out for a licence that is not valid is told that, not that it was never bought.
            let decisive = if features.is_empty() { Some(*state) } else { own.map(|(state, _)| state) };
            if let Some(out) = chosen.excluded.first() {
                assert_eq!(out.reason.contains("it expired"), decisive != Some(Valid), "{granted:?}: {}", out.reason);
            }
        }
    }
}

#[test]
fn a_dependency_that_only_a_lapsed_licence_takes_away_costs_nothing_else() {
    let granted = grants(GrantState::Invalid, &[], None);
    let mut config = two();
    config.modules.get_mut("life").unwrap().license_feature = None;
    let chosen = choose(&config, &granted, None, &[]).unwrap();
    assert_eq!(chosen.modules, ["core", "life"]);
    assert!(chosen.notes.iter().any(|note| note.contains("'life' depends on 'clinic'")), "{:?}", chosen.notes);
}
