use super::*;
use crate::repository::{Held, Summary, Verified, VerifyLevel};
use chrono::{TimeDelta, TimeZone};
use chrono_tz::Europe::Berlin;
use proptest::prelude::*;

/// `module/archive: status`, comma-separated; no module before the slash is an archive outside the modules.
fn entry(scope: &Scope, at: DateTime<Utc>, backup_type: &str, parts: &str) -> Entry {
    let id = BackupId::new(scope, at);
    let components: Vec<_> = parts
        .split_terminator(", ")
        .map(|part| {
            let (path, status) = part.split_once(": ").unwrap();
            let (module, name) = path.split_once('/').unwrap();
            let module = Some(module).filter(|module| !module.is_empty());
            serde_json::json!({"name": name, "module": module, "status": status, "size": 1, "collectionsIncluded": []})
        })
        .collect();
    let summary: Summary = serde_json::from_value(serde_json::json!({
        "formatVersion": 1, "id": id.as_str(), "type": backup_type, "mode": "full", "parent": null,
        "tenantId": scope.tenant().map(crate::names::TenantId::as_str), "timestamp": at, "durationSeconds": 1.0,
        "status": "success", "components": components,
        "totals": {"collections": 0, "documents": 0, "files": 0, "bytes": 0, "storedBytes": 0},
    }))
    .unwrap();
    Entry { id, summary, verified: None, held: None }
}

fn system(at: DateTime<Utc>, backup_type: &str, parts: &str) -> Entry {
    entry(&Scope::SystemWide, at, backup_type, parts)
}

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn berlin(text: &str) -> DateTime<Utc> {
    let local = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    Berlin.from_local_datetime(&local).earliest().unwrap().to_utc()
}

fn critical() -> Retention {
    let class = RetentionClass { modules: vec!["clinic".into()], daily: 60, weekly: 24, monthly: 24 };
    Retention::Classes(BTreeMap::from([("critical".to_owned(), class)]))
}

fn policy(max_backups: u32, max_age_days: u32, keep_minimum: u32) -> Retention {
    Retention::Policy(RetentionPolicy { name: "custom".into(), max_backups, max_age_days, keep_minimum })
}

/// The reason when the backup at `at` stays (`Ok`) or goes (`Err`).
fn verdict(decisions: &[Decision], entry: &Entry) -> Result<String, String> {
    let found = decisions.iter().find(|decision| decision.id == entry.id).unwrap();
    if found.keep { Ok(found.reason.clone()) } else { Err(found.reason.clone()) }
}

/// What is decided about `old` while a newer copy of the same things exists.
fn of_old(old: &Entry, retention: &Retention, now: DateTime<Utc>) -> Result<String, String> {
    let mut newer = old.clone();
    newer.id = BackupId::new(&old.id.scope(), now);
    verdict(&plan(&[newer, old.clone()], retention, Berlin, now), old)
}

#[test]
fn a_backup_goes_the_day_after_its_class_wants_it_and_the_reason_says_so() {
    let now = berlin("2025-12-20 05:00");
    let cases = [
        ("daily", "clinic/db: complete", 60, 61, "daily, 61 days old; critical keeps 60 days"),
        ("weekly", "clinic/db: complete", 168, 169, "weekly, 169 days old; critical keeps 24 weeks"),
        ("daily", "theme/db: complete", 14, 15, "daily, 15 days old; standard keeps 14 days"),
        ("weekly", "theme/db: complete", 56, 57, "weekly, 57 days old; standard keeps 8 weeks"),
        ("daily", "/etc: complete", 14, 15, "daily, 15 days old; standard keeps 14 days"),
        ("daily", "clinic/db: complete, theme/db: complete", 60, 61, "daily, 61 days old; critical keeps 60 days"),
        ("daily", "clinic/db: failed, theme/db: complete", 14, 15, "daily, 15 days old; standard keeps 14 days"),
    ];
    for (backup_type, parts, wanted, unwanted, reason) in cases {
        let aged = |days| system(now - TimeDelta::days(days), backup_type, parts);
        assert!(of_old(&aged(wanted), &critical(), now).is_ok(), "{backup_type} {parts}");
        assert_eq!(of_old(&aged(unwanted), &critical(), now), Err(reason.into()), "{backup_type} {parts}");
    }
}

#[test]
fn months_end_with_the_month_and_the_calendar_with_nothing_lost() {
    let one_month = RetentionClass { modules: vec![], daily: 1, weekly: 1, monthly: 1 };
    let retention = Retention::Classes(BTreeMap::from([("standard".to_owned(), one_month)]));
    let made = system(berlin("2025-01-31 04:00"), "monthly", "theme/db: complete");
    assert!(of_old(&made, &retention, berlin("2025-02-28 23:59")).is_ok());
    assert!(of_old(&made, &retention, berlin("2025-03-01 00:00")).is_err());
    let leap = system(berlin("2024-01-31 04:00"), "monthly", "theme/db: complete");
    assert!(of_old(&leap, &retention, berlin("2024-02-29 23:59")).is_ok());
    assert!(of_old(&leap, &retention, berlin("2024-03-01 00:00")).is_err());

    let for_ever = RetentionClass { modules: vec![], daily: u32::MAX, weekly: u32::MAX, monthly: u32::MAX };
    let retention = Retention::Classes(BTreeMap::from([("standard".to_owned(), for_ever)]));
    for backup_type in ["daily", "weekly", "monthly"] {
        let made = system(berlin("2025-01-31 04:00"), backup_type, "theme/db: complete");
        assert!(of_old(&made, &retention, berlin("2090-01-01 00:00")).is_ok(), "{backup_type}");
    }
}

#[test]
fn changes_of_the_clocks_and_week_53_shift_no_edge() {
    let retention = Retention::Classes(BTreeMap::new());
    // 14 days: across the spring change, across the autumn change, and over the end of a year with 53 weeks.
    for (made, last, first_without) in [
        ("2025-03-29 02:30", "2025-04-12 23:59", "2025-04-13 00:00"),
        ("2025-10-26 02:30", "2025-11-09 23:59", "2025-11-10 00:00"),
        ("2026-12-28 02:30", "2027-01-11 23:59", "2027-01-12 00:00"),
    ] {
        let made = system(berlin(made), "daily", "theme/db: complete");
        assert!(of_old(&made, &retention, berlin(last)).is_ok(), "{last}");
        assert!(of_old(&made, &retention, berlin(first_without)).is_err(), "{first_without}");
    }
    // Both 02:30 of the autumn change are one day's.
    for at in ["2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"] {
        let made = system(utc(at), "daily", "theme/db: complete");
        assert!(of_old(&made, &retention, berlin("2025-11-09 12:00")).is_ok());
        assert!(of_old(&made, &retention, berlin("2025-11-10 12:00")).is_err());
    }
}

#[test]
fn with_a_clock_ten_years_ahead_the_newest_good_copies_still_stay() {
    let now = utc("2025-12-20T05:00:00Z");
    let parts = "clinic/db: complete, theme/db: complete, /etc: complete";
    let nights: Vec<_> = (0..30).map(|day| system(now - TimeDelta::days(day), "daily", parts)).collect();
    let decisions = plan(&nights, &critical(), Berlin, now + TimeDelta::days(3652));
    assert_eq!(decisions.iter().filter(|decision| decision.keep).count(), 1);
    assert_eq!(
        verdict(&decisions, &nights[0]),
        Ok("newest good copy of archive etc, module clinic, module theme".to_owned())
    );
}

#[test]
fn a_module_that_fails_for_thirty_nights_keeps_its_last_good_copy_and_no_other() {
    let now = utc("2025-12-20T05:00:00Z");
    let broken = "clinic/db: failed, theme/db: complete";
    let mut nights: Vec<_> = (0..30).map(|day| system(now - TimeDelta::days(day), "daily", broken)).collect();
    let whole = |day| system(now - TimeDelta::days(day), "daily", "clinic/db: complete, theme/db: complete");
    nights.extend([whole(61), whole(62)]);
    for retention in [critical(), policy(10, 30, 1)] {
        let decisions = plan(&nights, &retention, Berlin, now);
        assert_eq!(verdict(&decisions, &nights[0]), Ok("newest good copy of module theme".to_owned()));
        assert_eq!(verdict(&decisions, &nights[30]), Ok("newest good copy of module clinic".to_owned()));
        assert!(verdict(&decisions, &nights[31]).is_err());
        assert!(verdict(&decisions, &nights[29]).is_err());
    }
}

#[test]
fn a_run_of_half_a_module_does_not_let_go_of_its_other_half() {
    let now = utc("2025-12-20T05:00:00Z");
    let old = system(now - TimeDelta::days(100), "daily", "clinic/db: complete, clinic/uploads: complete");
    let half = system(now, "daily", "clinic/db: complete");
    let decisions = plan(&[half, old.clone()], &critical(), Berlin, now);
    assert_eq!(verdict(&decisions, &old), Ok("newest good copy of uploads of module clinic".to_owned()));
}

#[test]
fn what_holds_nothing_complete_goes_and_takes_no_place() {
    let now = utc("2025-12-20T05:00:00Z");
    let broken = system(now, "daily", "clinic/db: failed, theme/uploads: absent");
    let good = system(now - TimeDelta::days(1), "daily", "clinic/db: complete");
    for retention in [critical(), policy(1, 30, 1)] {
        let decisions = plan(&[broken.clone(), good.clone()], &retention, Berlin, now);
        assert_eq!(verdict(&decisions, &broken), Err("holds nothing complete".to_owned()));
        assert!(verdict(&decisions, &good).is_ok());
    }
}

#[test]
fn a_backup_from_the_future_stays_and_protects_nothing() {
    let now = utc("2025-12-20T05:00:00Z");
    let future = system(now + TimeDelta::days(1), "daily", "clinic/db: complete");
    let old = system(now - TimeDelta::days(100), "daily", "clinic/db: complete");
    for retention in [critical(), policy(1, 30, 1)] {
        let decisions = plan(&[future.clone(), old.clone()], &retention, Berlin, now);
        assert_eq!(verdict(&decisions, &future), Ok("dated in the future".to_owned()));
        assert_eq!(verdict(&decisions, &old), Ok("newest good copy of module clinic".to_owned()));
    }
    // Nor does it take the place of one that is known to be good.
    let older = system(now - TimeDelta::days(200), "daily", "clinic/db: complete");
    let decisions = plan(&[future, old, older.clone()], &policy(2, 365, 1), Berlin, now);
    assert!(verdict(&decisions, &older).is_ok());
}

#[test]
fn a_shared_archive_does_not_let_go_of_the_modules_own() {
    let now = utc("2025-12-20T05:00:00Z");
    let mut shared = system(now, "daily", "clinic/db: failed, /db: complete");
    shared.summary.components[1].shared_by = vec!["clinic".into(), "theme".into()];
    let mut old = system(now - TimeDelta::days(100), "daily", "clinic/db: complete");
    for backup in [&mut shared, &mut old] {
        backup.summary.only = Some(crate::config::Only::Database);
    }
    let decisions = plan(&[shared.clone(), old.clone()], &critical(), Berlin, now);
    let reason = "newest good copy of shared db of module clinic, shared db of module theme";
    assert_eq!(verdict(&decisions, &shared), Ok(reason.to_owned()));
    assert_eq!(verdict(&decisions, &old), Ok("newest good copy of db of module clinic".to_owned()));
}

fn verified(mut entry: Entry, valid: bool) -> Entry {
    entry.verified = Some(Verified { level: VerifyLevel::Stored, at: entry.id.at(), valid, damaged: Vec::new() });
    entry
}

#[test]
fn what_is_known_to_be_damaged_does_not_let_go_of_the_newest_undamaged_copy() {
    let now = utc("2025-12-20T05:00:00Z");
    let aged = |days, valid| {
        verified(system(now - TimeDelta::days(days), "daily", "clinic/db: complete, theme/db: complete"), valid)
    };
    let nights = [aged(0, false), aged(70, false), aged(100, true), aged(200, true)];
    for retention in [critical(), policy(1, 30, 1)] {
        let decisions = plan(&nights, &retention, Berlin, now);
        assert_eq!(
            verdict(&decisions, &nights[0]),
            Ok("newest copy (damaged) of module clinic, module theme".to_owned()),
            "the damage may be in one archive alone"
        );
        assert!(verdict(&decisions, &nights[1]).is_err());
        assert_eq!(verdict(&decisions, &nights[2]), Ok("newest good copy of module clinic, module theme".to_owned()));
        assert!(verdict(&decisions, &nights[3]).is_err());
    }
    // A policy counts and keeps at least so many that are not damaged.
    let decisions = plan(&nights, &policy(2, 365, 2), Berlin, now);
    assert!(nights.iter().all(|entry| verdict(&decisions, entry).is_ok()));
    let decisions = plan(&nights, &policy(2, 30, 2), Berlin, now);
    assert_eq!(verdict(&decisions, &nights[1]), Err("damaged, 70 days old; custom keeps 30 days".to_owned()));
    assert_eq!(
        verdict(&decisions, &nights[3]),
        Ok("number 2 of system-wide, 200 days old; custom keeps at least 2".to_owned())
    );
}

#[test]
fn a_policy_counts_and_ages_in_every_scope_for_itself() {
    let now = utc("2025-12-20T05:00:00Z");
    let acme = Scope::Tenant(crate::names::TenantId::parse("acme").unwrap());
    let mut backups = Vec::new();
    for scope in [&Scope::SystemWide, &acme] {
        backups.extend((0..6).map(|i| entry(scope, now - TimeDelta::days(i * 10), "daily", "clinic/db: complete")));
    }
    let kept = |retention| -> Vec<bool> {
        plan(&backups, &retention, Berlin, now).into_iter().map(|decision| decision.keep).collect()
    };
    let twice = |half: [bool; 6]| [half, half].concat();
    assert_eq!(kept(policy(3, 365, 1)), twice([true, true, true, false, false, false]));
    assert_eq!(kept(policy(100, 20, 1)), twice([true, true, true, false, false, false]));
    assert_eq!(kept(policy(100, 5, 4)), twice([true, true, true, true, false, false]));
    let reasons = plan(&backups, &policy(3, 365, 1), Berlin, now);
    let expected = "number 4 of tenant acme, 30 days old; custom keeps at most 3";
    assert_eq!(verdict(&reasons, &backups[9]), Err(expected.to_owned()));
}

#[test]
fn what_a_kept_backup_builds_on_stays_to_the_end_of_the_chain() {
    let now = utc("2025-12-20T05:00:00Z");
    let mut chain: Vec<_> = [0, 100, 200, 300]
        .map(|days| system(now - TimeDelta::days(days), "daily", "clinic/db: complete"))
        .into_iter()
        .collect();
    for child in 0..2 {
        chain[child].summary.parent = Some(chain[child + 1].id.to_string());
    }
    let decisions = plan(&chain, &critical(), Berlin, now);
    assert_eq!(verdict(&decisions, &chain[1]), Ok(format!("{} builds on it", chain[0].id)));
    assert_eq!(verdict(&decisions, &chain[2]), Ok(format!("{} builds on it", chain[1].id)));
    assert!(verdict(&decisions, &chain[3]).is_err());
}

const MODULES: [&str; 4] = ["clinic/db", "clinic/uploads", "theme/db", "/etc"];
const STATES: [&str; 3] = ["complete", "failed", "absent"];

fn any_entry() -> impl Strategy<Value = Entry> {
    let states = proptest::collection::vec((0..MODULES.len(), 0..STATES.len()), 0..4);
    let kind = proptest::sample::select(vec!["daily", "weekly", "monthly"]);
    (0..3u8, 0..900i64, kind, states, 0..8u8, 0..4u8).prop_map(|(scope, days, kind, states, held, damaged)| {
        let scope = match scope {
            0 => Scope::SystemWide,
            n => Scope::Tenant(crate::names::TenantId::parse(&format!("t{n}")).unwrap()),
        };
        let parts: Vec<_> = states.iter().map(|(m, s)| format!("{}: {}", MODULES[*m], STATES[*s])).collect();
        let at = utc("2025-12-20T05:00:00Z") - TimeDelta::days(days);
        let made = entry(&scope, at, kind, &parts.join(", "));
        let mut made = verified(made, damaged > 0);
        made.held = (held == 0).then(|| Held { at, by: "somebody".into() });
        made
    })
}

fn any_retention() -> impl Strategy<Value = Retention> {
    let of_policy = (1..20u32, 1..400u32, 1..5u32).prop_map(|(max, age, least)| policy(max, age, least));
    prop_oneof![Just(critical()), Just(Retention::Classes(BTreeMap::new())), of_policy]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_newest_good_copy_and_what_is_held_never_go_and_a_second_run_finds_nothing(
        mut entries in proptest::collection::vec(any_entry(), 0..25),
        retention in any_retention(),
        ahead in -400..4000i64,
    ) {
        let mut ids = HashSet::new();
        entries.retain(|entry| ids.insert(entry.id.clone()));
        let now = utc("2025-12-20T05:00:00Z") + TimeDelta::days(ahead);
        let decisions = plan(&entries, &retention, Berlin, now);
        prop_assert_eq!(decisions.len(), entries.len());
        let (kept, gone): (Vec<_>, Vec<_>) =
            entries.iter().cloned().zip(&decisions).partition(|(_, decision)| decision.keep);
        for (entry, _) in &gone {
            prop_assert!(entry.held.is_none() && entry.id.at() <= now);
            // Judged by words of its own: for all that is complete in it something newer of its scope stays.
            let better = |other: &Entry| {
                other.id.at() <= now && other.id.scope() == entry.id.scope() && (other.id.at(), &other.id) > (entry.id.at(), &entry.id)
                    && (entry.is_damaged() || !other.is_damaged())
            };
            for (module, state) in entry.summary.module_states() {
                let whole = |other: &Entry| other.summary.module_states().get(module) == Some(&ComponentStatus::Complete);
                if state == ComponentStatus::Complete {
                    prop_assert!(kept.iter().any(|(other, _)| better(other) && whole(other)), "{module} of {}", entry.id);
                }
            }
            for part in entry.summary.components.iter().filter(|part| part.status == ComponentStatus::Complete) {
                let same = |other: &Entry| other.summary.components.iter().any(|p| {
                    p.name == part.name && p.module == part.module && p.status == ComponentStatus::Complete
                });
                prop_assert!(kept.iter().any(|(other, _)| better(other) && same(other)), "{} of {}", part.name, entry.id);
            }
        }
        let rest: Vec<_> = kept.iter().map(|(entry, _)| entry.clone()).collect();
        prop_assert!(expired(&rest, &retention, Berlin, now).is_empty());
        entries.reverse();
        let mut reversed = plan(&entries, &retention, Berlin, now);
        reversed.reverse();
        prop_assert_eq!(reversed, decisions);
    }
}

#[test]
fn a_safety_backup_protects_nothing_pushes_nothing_out_and_goes_by_age() {
    let now = utc("2025-12-20T10:00:00Z");
    let days_ago = |days| now - TimeDelta::days(days);
    let good = system(days_ago(100), "daily", "clinic/hrms: complete");
    let mut aside = system(days_ago(1), "daily", "clinic/hrms: complete");
    aside.summary.safety_for = Some(good.id.to_string());
    let mut old_aside = system(days_ago(50), "daily", "clinic/hrms: complete");
    old_aside.summary.safety_for = Some(good.id.to_string());
    let entries = [aside.clone(), old_aside.clone(), good.clone()];
    for retention in [critical(), policy(1, 30, 1)] {
        let decisions = plan(&entries, &retention, Berlin, now);
        assert!(verdict(&decisions, &good).unwrap().contains("newest good copy"));
        assert!(verdict(&decisions, &aside).is_ok());
    }
    let decisions = plan(&entries, &policy(1, 30, 1), Berlin, now);
    assert!(verdict(&decisions, &old_aside).unwrap_err().contains("safety backup"));
}
