//! Data that shrinks from one backup to the next: what is said, what fails, and what it is compared with.

use super::round_trip::seed;
use crate::support::app::App;
use crate::support::mongod::{Mongod, fresh_database};
use mongodb::bson::doc;
use rusqlite::Connection;
use serde_json::{Value, json};

const CONFIG: &str = r#"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
uploads: [{root: ./uploads, layout: "{tenant}/{directory}"}]
tenancy: {field: tenant, tenants: {acme: {}, birch: {}}}
modules:
  core: {required: true, collections: [patients, {name: drafts, optional: true, tenant: excluded}]}
  theme: {collections: [{name: colours, tenant: shared}], fileUploads: [logos, photos]}
"#;

const FAIL: &str = "anomaly: {maxShrink: 50%, action: fail}\nmodules:";

/// 200 patients of two tenants, 20 drafts, 10 colours, 10 logos and a photo; and their first backup.
fn app() -> App {
    let app = App::new(CONFIG);
    sql(
        &app,
        "CREATE TABLE patients (id INTEGER PRIMARY KEY, tenant TEXT, owner TEXT);
         CREATE TABLE drafts (id INTEGER PRIMARY KEY);
         CREATE TABLE colours (id INTEGER PRIMARY KEY);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
             INSERT INTO patients SELECT i, CASE i % 2 WHEN 0 THEN 'acme' ELSE 'birch' END, 'acme' FROM n;
         INSERT INTO drafts SELECT id FROM patients WHERE id <= 20;
         INSERT INTO colours SELECT id FROM patients WHERE id <= 10;",
    );
    for n in 0..10 {
        app.write(&format!("uploads/acme/logos/{n}.png"), b"logo");
    }
    app.write("uploads/acme/photos/a.png", b"photo");
    app.run(&["create"]).expect(0);
    app
}

fn sql(app: &App, text: &str) {
    Connection::open(app.path("clinic.db")).unwrap().execute_batch(text).unwrap();
}

/// Makes a backup; its warnings and errors.
#[track_caller]
fn create(app: &App, args: &[&str], code: i32) -> (Vec<String>, Vec<String>) {
    let made = app.run(&[&["--json", "create"], args].concat()).expect(code);
    let manifest = made.json();
    let lines = |key: &str| -> Vec<String> { serde_json::from_value(manifest[key].clone()).unwrap() };
    for line in lines("warnings") {
        assert!(made.stderr.contains(&line), "{line}\n{}", made.stderr);
    }
    (lines("warnings"), lines("errors"))
}

/// States of the newest backup's modules.
fn newest(app: &App) -> Value {
    app.run(&["--json", "list"]).expect(0).json()["backups"][0]["modules"].clone()
}

#[test]
fn what_vanished_is_empty_or_shrank_too_much_is_a_warning_once() {
    let app = app();
    let first = app.ids()[0].clone();
    sql(&app, "DROP TABLE drafts; DELETE FROM colours; DELETE FROM patients WHERE id > 90");
    let (warnings, errors) = create(&app, &[], 0);
    assert_eq!(
        warnings,
        [
            format!("module core, source clinic: patients holds 90 records, 55 % fewer than the 200 in {first}"),
            format!("module core, source clinic: drafts is gone; it held 20 records in {first}"),
            format!("module theme, source clinic: colours is empty; it held 10 records in {first}"),
        ]
    );
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(create(&app, &[], 0), (vec![], vec![]), "told again");
}

#[test]
fn a_quiet_run_is_not_silent_about_a_shrink_that_nobody_accepted() {
    let app = app();
    sql(&app, "DELETE FROM colours");
    let told = app.run(&["-q", "create"]).expect(0);
    assert!(told.stdout.is_empty() && told.stderr.contains("colours is empty"), "{}", told.stderr);
    sql(&app, "DELETE FROM patients");
    for args in [&["-q", "create", "--accept-shrink"][..], &["-q", "create"]] {
        let quiet = app.run(args).expect(0);
        assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{}", quiet.stderr);
    }
}

#[test]
fn a_loss_up_to_the_limit_growth_and_what_left_the_configuration_are_no_anomaly() {
    let app = app();
    sql(&app, "DELETE FROM patients WHERE id > 100; INSERT INTO colours SELECT id + 10 FROM colours");
    app.reconfigure(", {name: drafts, optional: true, tenant: excluded}", "");
    app.reconfigure("modules:", FAIL);
    assert_eq!(create(&app, &[], 0), (vec![], vec![]));
    app.reconfigure("maxShrink: 50%", "maxShrink: 5%");
    sql(&app, "DELETE FROM patients WHERE id > 95");
    assert_eq!(create(&app, &[], 0), (vec![], vec![]));
    sql(&app, "DELETE FROM patients WHERE id > 90");
    let (_, errors) = create(&app, &[], 3);
    assert!(errors[0].contains("patients holds 90 records, 5 % fewer than the 95 in "), "{errors:?}");
    app.reconfigure("maxShrink: 5%", "maxShrink: 100%");
    sql(&app, "DELETE FROM patients WHERE id > 1");
    assert_eq!(create(&app, &[], 0), (vec![], vec![]));
    sql(&app, "DELETE FROM patients");
    let (_, errors) = create(&app, &[], 3);
    assert!(errors[0].contains("patients is empty; it held 1 record in "), "{errors:?}");
}

#[test]
fn a_component_that_fails_is_no_good_copy_and_is_measured_against_the_last_good_one_again() {
    let app = app();
    let good = app.ids()[0].clone();
    app.reconfigure("modules:", FAIL);
    sql(&app, "DELETE FROM patients WHERE id > 50");
    let lost = format!(
        "module core, source clinic: patients holds 50 records, 75 % fewer than the 200 in {good}; \
         if that is right, run `backup create --accept-shrink`"
    );
    for _ in 0..2 {
        assert_eq!(create(&app, &[], 3), (vec![], vec![lost.clone()]));
        assert_eq!(newest(&app), json!({"core": "failed", "theme": "complete"}));
    }
    // `latest` goes by the good copy; what was stored is there for whoever asks for it.
    app.run(&["restore", "latest", "--module", "core", "--to-directory", "latest"]).expect(0);
    app.run(&["restore", &app.ids()[0], "--module", "core", "--to-directory", "newest"]).expect(0);
    for (folder, expected) in [("latest", 200), ("newest", 50)] {
        let restored = Connection::open(app.path(folder).join("clinic/clinic.db")).unwrap();
        let count = restored.query_row("SELECT count(*) FROM patients", [], |row| row.get::<_, u32>(0));
        assert_eq!(count, Ok(expected), "{folder}");
    }
    app.run(&["verify", "--all"]).expect(0);
    let pruned = app.run(&["--json", "prune", "--dry-run"]).expect(0).json();
    let kept = pruned["kept"].as_array().unwrap().iter().find(|line| line["id"] == *good).unwrap();
    assert_eq!(kept["reason"], "newest good copy of module core");
}

#[test]
fn a_shrink_that_is_accepted_is_recorded_and_is_what_the_next_run_starts_from() {
    let app = app();
    let good = app.ids()[0].clone();
    app.reconfigure("modules:", FAIL);
    sql(&app, "DELETE FROM patients WHERE id > 50");
    create(&app, &[], 3);
    let (warnings, errors) = create(&app, &["--accept-shrink"], 0);
    let accepted = "accepted: module core, source clinic: patients holds 50 records, 75 % fewer than the 200 in";
    assert_eq!((warnings, errors), (vec![format!("{accepted} {good}")], vec![]));
    assert_eq!(newest(&app)["core"], "complete");
    assert_eq!(create(&app, &[], 0), (vec![], vec![]));
    sql(&app, "DELETE FROM patients WHERE id > 20");
    let (_, errors) = create(&app, &[], 3);
    assert!(errors[0].contains("60 % fewer than the 50"), "{errors:?}");
}

#[test]
fn a_run_of_which_nothing_is_left_is_1() {
    let app = app();
    app.reconfigure("modules:", FAIL);
    app.reconfigure("[patients, ", "[");
    sql(&app, "DROP TABLE drafts");
    let failed = app.run(&["create", "--module", "core"]).expect(1);
    assert!(failed.stderr.contains("drafts is gone; it held 20 records in"), "{}", failed.stderr);
    assert!(failed.stderr.contains("--accept-shrink"), "{}", failed.stderr);
    assert_eq!(app.ids().len(), 1);
    app.run(&["create", "--module", "core", "--accept-shrink"]).expect(0);
}

#[test]
fn files_are_counted_and_a_directory_that_vanished_is_named() {
    let app = app();
    let first = app.ids()[0].clone();
    app.reconfigure("modules:", FAIL);
    for n in 0..7 {
        std::fs::remove_file(app.path(&format!("uploads/acme/logos/{n}.png"))).unwrap();
    }
    let (_, errors) = create(&app, &[], 3);
    let place = "module theme, source uploads";
    assert!(errors[0].starts_with(&format!("{place}: 4 files are left, 63 % fewer than the 11 in {first};")));
    let (_, errors) = create(&app, &["--only", "files"], 3);
    assert!(errors[0].contains("4 files are left"), "{errors:?}");
    for n in 0..10 {
        app.write(&format!("uploads/acme/logos/{n}.png"), b"logo");
    }
    std::fs::remove_dir_all(app.path("uploads/acme/photos")).unwrap();
    let (_, errors) = create(&app, &[], 3);
    assert!(errors[0].starts_with(&format!("{place}: photos is gone; {first} holds it;")), "{errors:?}");
    std::fs::remove_dir_all(app.path("uploads/acme/logos")).unwrap();
    std::fs::create_dir(app.path("uploads/acme/logos")).unwrap();
    std::fs::create_dir(app.path("uploads/acme/photos")).unwrap();
    let (_, errors) = create(&app, &[], 3);
    assert!(errors[0].starts_with(&format!("{place}: no file is left; {first} holds 11;")), "{errors:?}");
    create(&app, &["--accept-shrink"], 0);
    std::fs::remove_dir(app.path("uploads/acme/photos")).unwrap();
    assert_eq!(create(&app, &[], 0), (vec![], vec![]), "a directory that held nothing may go");
}

#[test]
fn each_scope_is_compared_with_its_own_and_only_what_is_filtered_alike() {
    let app = app();
    app.reconfigure("modules:", FAIL);
    for tenant in ["acme", "birch"] {
        assert_eq!(create(&app, &["--tenant", tenant], 0).1, [""; 0], "a tenant's first is compared with nothing");
    }
    let (birch, acme) = (app.ids()[0].clone(), app.ids()[1].clone());
    // Most of the one tenant's, and a third of everything.
    sql(&app, "DELETE FROM patients WHERE tenant = 'acme' AND id > 60");
    let (_, errors) = create(&app, &["--tenant", "acme"], 3);
    assert!(errors[0].contains(&format!("patients holds 30 records, 70 % fewer than the 100 in {acme}")), "{errors:?}");
    assert_eq!(create(&app, &["--tenant", "birch"], 0).1, [""; 0]);
    assert_eq!(create(&app, &[], 0).1, [""; 0]);
    // No patient of birch's by the other field.
    app.reconfigure("[patients,", "[{name: patients, tenant: {field: owner}},");
    assert_eq!(create(&app, &["--tenant", "birch"], 0).1, [""; 0], "another rule than that of {birch}");
}

#[test]
fn a_narrowed_run_hides_no_older_copy_from_the_next() {
    let app = app();
    let first = app.ids()[0].clone();
    create(&app, &["--module", "theme"], 0);
    create(&app, &["--only", "files"], 0);
    sql(&app, "DELETE FROM patients");
    let (warnings, _) = create(&app, &["--module", "core"], 0);
    assert!(warnings[0].contains(&format!("patients is empty; it held 200 records in {first}")), "{warnings:?}");
}

#[test]
fn a_shared_archive_is_compared_with_one_of_the_same_modules() {
    let app = app();
    app.reconfigure("collections: [{name: colours, tenant: shared}]", "collections: [colours, patients]");
    app.reconfigure("modules:", "modules:\n  print: {collections: [colours]}");
    app.run(&["create"]).expect(0);
    let whole = app.ids()[0].clone();
    // The archive that core and theme share holds no colours when print is left out: theme has them for itself.
    app.run(&["create", "--module", "core", "--module", "theme"]).expect(0);
    sql(&app, "DELETE FROM colours");
    let (warnings, _) = create(&app, &[], 0);
    let expected =
        format!("modules core and print and theme, source clinic: colours is empty; it held 10 records in {whole}");
    assert_eq!(warnings, [expected]);
}

#[test]
fn a_copy_that_a_wrong_clock_dated_later_is_compared_with_nothing() {
    let app = app();
    let first = app.ids()[0].clone();
    sql(&app, "DELETE FROM patients WHERE id > 10");
    let ahead = app.run_at("2099-01-01T00:00:00Z", &["--json", "create"]).expect(0).json();
    assert!(ahead["warnings"].to_string().contains("patients holds 10 records"), "{ahead}");
    let (warnings, _) = create(&app, &[], 0);
    assert!(warnings.iter().any(|line| line.contains("the clock is behind")), "{warnings:?}");
    assert!(warnings.iter().any(|line| line.contains(&format!("than the 200 in {first}"))), "{warnings:?}");
}

#[test]
fn a_safety_backup_of_what_is_left_is_taken_and_compared_with_nothing() {
    let app = app();
    app.reconfigure("modules:", FAIL);
    let first = app.ids()[0].clone();
    sql(&app, "DELETE FROM patients WHERE id > 10");
    let restore =
        ["restore", "latest", "--only", "database", "--existing", "replace", "--target-name", "clinic", "--yes"];
    let report = app.run(&[&["--json"], &restore[..]].concat()).expect(0).json();
    assert!(report["safetyBackup"].is_string(), "{report}");
    sql(&app, "DELETE FROM patients WHERE id > 20");
    let (_, errors) = create(&app, &[], 3);
    assert!(errors[0].contains(&format!("90 % fewer than the 200 in {first}")), "{errors:?}");
}

#[test]
fn on_mongodb_too_and_a_whole_databases_collections_are_missed() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 1);
    server.command(&name, doc! {"create": "sessions", "viewOn": "users", "pipeline": []});
    let licences = format!("{name}_licences");
    for collection in ["keys", "grants"] {
        server.command(&licences, doc! {"insert": collection, "documents": [{"_id": 1}, {"_id": 2}, {"_id": 3}]});
    }
    // A collection that becomes a view holds no records from then on, and is no anomaly; nor is a view that goes.
    server.command(&name, doc! {"insert": "archive", "documents": [{"_id": 1}]});
    let app = App::new(&format!(
        "installation: test\nrepository: {{location: ./backups}}\nanomaly: {{action: fail}}\nsources:\n  \
         hrms: {{engine: mongodb, uri: \"{uri}\", database: {name}}}\n  \
         licences: {{engine: mongodb, uri: \"{uri}\", database: {licences}, wholeDatabase: true}}\n\
         modules:\n  core: {{required: true, source: hrms, collections: [users, archive, {{name: sessions, optional: true}}]}}\n  \
         claims: {{source: hrms, collections: [claims]}}\n",
        uri = server.uri()
    ));
    app.run(&["create"]).expect(0);
    let first = app.ids()[0].clone();
    server.command(&name, doc! {"delete": "users", "deletes": [{"q": {}, "limit": 0}]});
    server.command(&name, doc! {"delete": "claims", "deletes": [{"q": {"_id": {"$gte": 400}}, "limit": 0}]});
    server.command(&name, doc! {"drop": "sessions"});
    server.command(&name, doc! {"drop": "archive"});
    server.command(&name, doc! {"create": "archive", "viewOn": "users", "pipeline": []});
    server.command(&licences, doc! {"drop": "grants"});
    let (warnings, errors) = create(&app, &[], 3);
    let hint = "; if that is right, run `backup create --accept-shrink`";
    assert_eq!(
        errors,
        [
            format!("module claims, source hrms: claims holds 400 records, 60 % fewer than the 1000 in {first}{hint}"),
            format!("module core, source hrms: users is empty; it held 200 records in {first}{hint}"),
            format!("source licences: grants is gone; it held 3 records in {first}{hint}"),
        ]
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(newest(&app), json!({"core": "failed", "claims": "failed"}));
}
