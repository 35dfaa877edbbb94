//! `check`: what is judged, how it is told, and that whatever goes wrong is 3.

use super::invented::{CONFIG, backup, clinic, repository, sql, verified, write};
use crate::support::app::{App, Ended, files_below};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One line as the guidelines for Nagios plugins have it: its text, and the performance data by label.
#[track_caller]
fn parsed(ended: &Ended) -> (String, BTreeMap<String, Vec<String>>) {
    let line = ended.stdout.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{line}");
    let word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][usize::try_from(ended.code).unwrap()];
    assert!(line.starts_with(&format!("BACKUP {word} - ")), "{line}");
    let (said, data) = line.split_once('|').unwrap_or((line, ""));
    assert!(!data.contains('|'), "{line}");
    let datum = |datum: &str| {
        let (label, values) = datum.split_once('=').unwrap();
        let values: Vec<_> = values.split(';').map(str::to_owned).collect();
        let number = values[0].trim_end_matches(['s', 'B']);
        assert!(values.len() <= 5 && (number == "U" || number.parse::<u64>().is_ok()), "{datum}");
        (label.trim_matches('\'').to_owned(), values)
    };
    (said.to_owned(), data.split_whitespace().map(datum).collect())
}

#[track_caller]
fn says(app: &App, now: &str, args: &[&str], code: i32, words: &[&str]) -> BTreeMap<String, Vec<String>> {
    let ended = app.run_at(now, &[&["check"], args].concat()).expect(code);
    let (said, data) = parsed(&ended);
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
    data
}

fn copies(app: &App, now: &str, args: &[&str]) -> BTreeMap<String, Value> {
    let document = app.run_at(now, &[&["--json", "check"], args].concat()).json();
    let name = |copy: &Value| {
        let text = |key: &str| copy[key].as_str().unwrap_or_default().to_owned();
        [text("tenantId"), text("module") + &text("archive"), text("type")].join("/")
    };
    document["copies"].as_array().unwrap().iter().map(|copy| (name(copy), copy.clone())).collect()
}

#[test]
fn the_probe_tells_the_age_of_the_newest_good_copy_in_one_line_of_nagios() {
    let app = clinic();
    app.run_at("2026-01-10T02:00:00Z", &["create"]).expect(0);
    let before = files_below(&app.path("backups"));
    let data = says(&app, "2026-01-10T05:00:00Z", &[], 0, &["3 of 3 copies recent in 1 scope", "oldest 3 h"]);
    assert_eq!(data["age_core"], ["10800s", "93600", "180000", "0"]);
    assert_eq!(data["damaged"], ["0"]);
    assert!(data.contains_key("free") && data.contains_key("age_settings"), "{data:?}");
    says(&app, "2026-01-11T04:00:00Z", &[], 0, &["26 h"]);
    says(&app, "2026-01-11T04:00:01Z", &[], 1, &["billing of system-wide: newest good copy 26 h old (limit 26 h)"]);
    says(&app, "2026-01-12T04:00:01Z", &[], 2, &["(limit 2 d)", "0 of 3 copies recent"]);
    says(&app, "2026-01-10T05:00:00Z", &["--warning", "2h"], 1, &["limit 2 h"]);
    says(&app, "2026-01-10T05:00:00Z", &["--warning", "1h", "--critical", "2h"], 2, &["limit 2 h"]);
    says(&app, "2026-01-12T05:00:00Z", &["--warning", "9d"], 0, &[]);
    says(&app, "2026-01-12T05:00:00Z", &["--module", "core", "--critical", "9d"], 1, &["0 of 1 copy"]);
    assert_eq!(app.run_at("2026-01-10T05:00:00Z", &["-q", "check"]).expect(0).stdout, "");
    assert!(before == files_below(&app.path("backups")), "a probe wrote something");
}

#[test]
fn a_partial_backup_is_a_good_copy_of_its_complete_modules_and_of_no_other() {
    let app = clinic();
    app.run_at("2026-01-10T02:00:00Z", &["create"]).expect(0);
    sql(&app, "DROP TABLE invoices");
    app.run_at("2026-01-12T02:00:00Z", &["create"]).expect(3);
    let words = ["billing of system-wide: newest good copy 2 d old (limit 2 d)", "2 of 3 copies recent"];
    let data = says(&app, "2026-01-12T05:00:00Z", &[], 2, &words);
    assert_eq!((&*data["age_core"][0], &*data["age_billing"][0]), ("10800s", "183600s"));
}

#[test]
fn a_damaged_copy_does_not_count_and_is_told() {
    let app = clinic();
    let ids: Vec<_> = [10, 11]
        .map(|day| {
            app.run_at(&format!("2026-01-{day}T02:00:00Z"), &["--json", "create"]).expect(0).json()["id"].clone()
        })
        .into();
    let path = app.backup(ids[1].as_str().unwrap()).join("core/clinic.tar.gz");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(path, bytes).unwrap();
    app.run_at("2026-01-11T03:00:00Z", &["verify", "latest"]).expect(4);
    let data = says(&app, "2026-01-11T05:00:00Z", &[], 1, &["27 h old", "1 backup known to be damaged"]);
    assert_eq!(data["damaged"], ["1"]);
    let judged = copies(&app, "2026-01-11T05:00:00Z", &[]);
    assert!(judged.len() == 3 && judged.values().all(|copy| copy["id"] == ids[0]), "{judged:?}");
}

#[test]
fn whatever_keeps_the_probe_from_judging_is_unknown_and_3() {
    let app = clinic();
    let unknown = |args: &[&str], word: &str| {
        let ended = app.run_at("2026-01-10T05:00:00Z", args).expect(3);
        let (said, _) = parsed(&ended);
        assert!(said.contains(word), "'{word}' is not in: {said}");
        let json = app.run_at("2026-01-10T05:00:00Z", &[args, &["--json"]].concat()).expect(3).json();
        assert_eq!(json["status"], "unknown");
        assert!(json["error"]["message"].is_string(), "{json}");
    };
    unknown(&["check"], "there is no repository");
    app.run_at("2026-01-10T02:00:00Z", &["create"]).expect(0);
    unknown(&["check", "--nonsense"], "--nonsense");
    unknown(&["-q", "check", "--warning", "soon"], "soon");
    unknown(&["check", "--warning", "2h", "--critical", "1h"], "--warning");
    unknown(&["check", "--tenant", "acmee"], "no tenant 'acmee'");
    unknown(&["check", "--tenant", "../x"], "no tenant id");
    unknown(&["check", "--module", "nonsense"], "no module 'nonsense'");
    unknown(&["check", "--tenant", "birch", "--module", "billing"], "nothing to check");
    unknown(&["-c", "absent.yaml", "check"], "absent.yaml");
    app.reconfigure("installation: clinic", "installation: clinic\nnonsense: 1\nmore: 2");
    unknown(&["check"], "nonsense");
    app.write("backup.yaml", CONFIG.as_bytes());
    std::fs::rename(app.path("backups/metadata/facts"), app.path("aside")).unwrap();
    unknown(&["check"], "cannot list");
    std::fs::rename(app.path("aside"), app.path("backups/metadata/facts")).unwrap();
    app.reconfigure("location: ./backups", "location: ./backups, id: another");
    unknown(&["check"], "not another");
    // Every other command keeps its own codes.
    app.run(&["config", "check", "--nonsense"]).expect(2);
    app.run(&["show", "--nonsense", "check"]).expect(2);
}

const MANY: &str = r#"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
tenancy: {field: tenant, tenants: {acme: {}, birch: {}}}
modules: {core: {collections: [patients]}, billing: {collections: [invoices]}}
jobs:
  nightly: {create: {type: daily}}
  sundays: {create: {type: weekly}}
  tenants: {create: {allTenants: true}}
"#;

const BOTH: &[(&str, &str, u64)] = &[("core", "complete", 10), ("billing", "complete", 10)];

#[test]
fn ages_are_those_of_the_type_the_tenant_the_module_or_all_in_that_order() {
    let app = App::new(&format!(
        "{MANY}checks:\n  warning: 1h\n  critical: 2d\n  types: {{weekly: {{warning: 3d, critical: 5d}}}}\n  \
         modules: {{billing: {{warning: 2h, critical: 3d}}}}\n  tenants: {{acme: {{warning: 3h, critical: 4d}}}}\n"
    ));
    repository(&app);
    backup(&app, "2026-01-04T02:00:00", "weekly", None, BOTH);
    backup(&app, "2026-01-10T02:00:00", "daily", None, BOTH);
    for tenant in ["acme", "birch"] {
        backup(&app, "2026-01-10T02:00:00", "daily", Some(tenant), BOTH);
    }
    let judged = copies(&app, "2026-01-10T04:30:00Z", &[]);
    let ages = |name: &str| {
        let copy = &judged[name];
        (
            copy["level"].as_str().unwrap(),
            copy["warningSeconds"].as_u64().unwrap() / 3600,
            copy["criticalSeconds"].as_u64().unwrap() / 3600,
        )
    };
    assert_eq!(ages("/core/"), ("warning", 1, 48));
    assert_eq!(ages("/billing/"), ("warning", 2, 72));
    assert_eq!(ages("/core/weekly"), ("critical", 72, 120));
    assert_eq!(ages("acme/core/"), ("ok", 3, 96));
    assert_eq!(ages("acme/billing/"), ("ok", 3, 96));
    assert_eq!(ages("birch/billing/"), ("warning", 2, 72));
    assert_eq!(judged.len(), 8, "tenants have no weekly job: {:?}", judged.keys());
    let weekly = copies(&app, "2026-01-10T04:30:00Z", &["--type", "weekly", "--tenant", "acme"]);
    assert_eq!((&weekly["acme/core/weekly"]["level"], &weekly["acme/core/weekly"]["id"]), (&json!("ok"), &Value::Null));
    let given = copies(&app, "2026-01-10T04:30:00Z", &["--warning", "1h", "--critical", "2h"]);
    assert!(given.values().all(|copy| copy["level"] == "critical" && copy["criticalSeconds"] == 7200), "{given:?}");
}

#[test]
fn tenants_that_jobs_back_up_are_judged_but_for_those_that_are_ignored() {
    let app = App::new(MANY);
    repository(&app);
    let now = "2026-01-10T05:00:00Z";
    backup(&app, "2026-01-10T02:00:00", "daily", None, BOTH);
    backup(&app, "2026-01-10T02:00:00", "daily", Some("acme"), BOTH);
    says(&app, now, &[], 2, &["core of tenant birch: no good copy", "4 of 6 copies recent in 3 scopes"]);
    app.reconfigure("jobs:", "checks: {tenants: {birch: {ignore: true}}}\njobs:");
    says(&app, now, &[], 0, &["4 of 4 copies recent in 2 scopes"]);
    says(&app, now, &["--tenant", "birch"], 2, &["no good copy"]);
    app.reconfigure("  nightly: {create: {type: daily}}\n  sundays: {create: {type: weekly}}\n", "");
    says(&app, now, &[], 0, &["2 of 2 copies recent in 1 scope"]);
    // A tenant that has left is no mistake; one that is mistyped is.
    app.reconfigure("birch: {ignore: true}", "left: {ignore: true}");
    says(&app, now, &[], 2, &["birch"]);
    app.reconfigure("left: {ignore: true}", "bich: {warning: 1h, critical: 2h}");
    says(&app, now, &[], 3, &["unknown tenant 'bich'"]);
}

#[test]
fn tenants_of_a_database_are_judged_without_asking_it() {
    let app = App::new(MANY);
    app.reconfigure(
        "tenants: {acme: {}, birch: {}}",
        "discover: {source: clinic, collection: tenants, id: id, modules: modules}",
    );
    sql(
        &app,
        "CREATE TABLE patients (id INTEGER PRIMARY KEY, tenant TEXT); CREATE TABLE invoices (id INTEGER PRIMARY KEY, tenant TEXT);
         CREATE TABLE tenants (id TEXT PRIMARY KEY, modules TEXT);
         INSERT INTO tenants VALUES ('acme', '[\"core\", \"billing\"]'), ('birch', '[\"core\"]')",
    );
    app.run_at("2026-01-10T02:00:00Z", &["create"]).expect(0);
    app.run_at("2026-01-10T02:00:00Z", &["create", "--all-tenants"]).expect(0);
    // That a run was over a few modules does not make the others superfluous.
    app.run_at("2026-01-10T03:00:00Z", &["create", "--tenant", "acme", "--module", "core"]).expect(0);
    std::fs::remove_file(app.path("clinic.db")).unwrap();
    let judged = copies(&app, "2026-01-10T05:00:00Z", &[]);
    let names: Vec<_> = judged.keys().map(String::as_str).collect();
    assert_eq!(names, ["/billing/", "/core/", "acme/billing/", "acme/core/", "birch/core/"]);
    assert!(judged.values().all(|copy| copy["level"] == "ok"), "{judged:?}");
}

#[test]
fn what_had_nothing_yet_is_no_alarm_until_it_has_had_something() {
    let app = App::new(MANY);
    app.reconfigure("  tenants: {create: {allTenants: true}}\n", "");
    repository(&app);
    backup(&app, "2026-01-10T02:00:00", "daily", None, &[("core", "complete", 10), ("billing", "absent", 0)]);
    says(&app, "2026-01-10T05:00:00Z", &[], 0, &[]);
    backup(&app, "2026-01-05T02:00:00", "daily", None, BOTH);
    says(&app, "2026-01-10T05:00:00Z", &[], 2, &["billing of system-wide: newest good copy 5 d old"]);
}

#[test]
fn what_a_restore_put_aside_and_half_a_backup_are_no_copies() {
    let app = clinic();
    let archives = app.run_at("2026-01-08T02:00:00Z", &["--json", "create"]).expect(0).json()["id"].clone();
    for (at, key, value) in [
        ("2026-01-10T02:00:00Z", "safetyFor", "system-backup-2026-01-08T02-00-00-000Z"),
        ("2026-01-10T03:00:00Z", "only", "database"),
    ] {
        let mut manifest = app.run_at(at, &["--json", "create", "--only", "files"]).expect(0).json();
        let mut module = manifest["components"][0].clone();
        module["module"] = "core".into();
        module["name"] = "clinic".into();
        manifest["components"].as_array_mut().unwrap().push(module);
        manifest["only"] = Value::Null;
        manifest[key] = value.into();
        write(&app, &format!("metadata/{}.json", manifest["id"].as_str().unwrap()), &manifest);
    }
    let judged = copies(&app, "2026-01-10T05:00:00Z", &[]);
    assert_eq!((&judged["/core/"]["id"], &judged["/core/"]["level"]), (&archives, &json!("critical")));
    // An archive counts by itself, but not in what a restore put aside.
    assert_eq!(judged["/settings/"]["lastGood"], "2026-01-10T03:00:00Z");
    let only = judged["/settings/"]["id"].as_str().unwrap().to_owned();
    std::fs::remove_file(app.path("backups/metadata").join(format!("{only}.json"))).unwrap();
    assert_eq!(copies(&app, "2026-01-10T05:00:00Z", &[])["/settings/"]["id"], archives);
}

#[test]
fn backups_of_the_future_and_unreadable_manifests_are_no_comfort() {
    let app = App::new(MANY);
    app.reconfigure("  tenants: {create: {allTenants: true}}\n", "");
    repository(&app);
    backup(&app, "2026-01-08T02:00:00", "daily", None, BOTH);
    backup(&app, "2026-02-08T02:00:00", "daily", None, BOTH);
    says(&app, "2026-01-10T05:00:00Z", &[], 2, &["2 d old", "1 backup of the future"]);
    says(&app, "2026-01-08T05:00:00Z", &[], 0, &["1 backup of the future"]);
    app.write("backups/metadata/system-backup-2001-01-01T00-00-00-000Z.json", b"{");
    says(&app, "2026-01-08T05:00:00Z", &[], 1, &["1 manifest or fact cannot be read"]);
}

#[test]
fn free_space_and_verifications_are_judged_where_the_configuration_says_so() {
    let app = App::new(MANY);
    app.reconfigure("  tenants: {create: {allTenants: true}}\n", "");
    repository(&app);
    let now = "2026-01-10T05:00:00Z";
    let old = backup(&app, "2025-12-10T02:00:00", "daily", None, BOTH);
    backup(&app, "2026-01-10T02:00:00", "daily", None, BOTH);
    let data = says(&app, now, &[], 0, &[]);
    assert!(!data.contains_key("unverified"), "{data:?}");
    app.reconfigure("jobs:", "checks:\n  freeSpace: {warning: 900TB, critical: 1}\njobs:");
    says(&app, now, &[], 1, &["free of"]);
    app.reconfigure("warning: 900TB, critical: 1", "warning: 99%, critical: 99%");
    let data = says(&app, now, &[], 2, &["free of"]);
    let total: u64 = data["free"][4].parse().unwrap();
    assert_eq!(data["free"][2], format!("{}:", total / 100 * 99));
    app.reconfigure("freeSpace: {warning: 99%, critical: 99%}", "unverified: {warning: 8d, critical: 40d}");
    let data = says(&app, now, &[], 1, &["never verified, in 31 d"]);
    assert_eq!(data["unverified"], ["2689200s", "691200", "3456000", "0"]);
    verified(&app, &old, "2026-01-09T05:00:00Z", false);
    says(&app, now, &[], 1, &["never verified"]);
    verified(&app, &old, "2026-01-09T05:00:00Z", true);
    says(&app, now, &[], 0, &[]);
}

#[test]
fn the_line_stays_short_and_plain_whatever_names_there_are() {
    let app = App::new(MANY);
    let tenants: Vec<_> = (0..500).map(|n| format!("t{n}: {{}}")).collect();
    app.reconfigure("acme: {}, birch: {}", &tenants.join(", "));
    repository(&app);
    backup(&app, "2026-01-10T02:00:00", "daily", None, BOTH);
    let ended = app.run_at("2026-01-10T05:00:00Z", &["check"]).expect(2);
    let (said, data) = parsed(&ended);
    assert!(said.contains("995 more") && ended.stdout.len() < 1000, "{said}");
    assert_eq!(data["age_core"][0], "U");
    // A mistake may hold anything.
    let odd = app.run(&["check", "--tenant", "a|b\n\u{202e}c"]).expect(3);
    parsed(&odd);
    parsed(&app.run(&["-c", "a|b\nc.yaml", "check"]).expect(3));
    write(&app, "metadata/failed/x.json", &json!({}));
    parsed(&app.run_at("2026-01-10T05:00:00Z", &["check"]).expect(2));
}
