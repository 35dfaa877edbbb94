//! `verify-collections` as a gate: strict, and before a backup.

use crate::support::app::App;
use rusqlite::Connection;

const CONFIG: &str = r#"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
verification: {criticalCollections: [patients]}
modules:
  core:
    required: true
    collections: [patients, visits]
    relationships: [{parent: patients, child: visits, foreignKey: patient}]
"#;

/// One patient, and a visit of nobody.
fn app(before: &str) -> App {
    let app = App::new(&CONFIG.replace("[patients]}", &format!("[patients]{before}}}")));
    sql(
        &app,
        "CREATE TABLE patients (id INTEGER PRIMARY KEY);
         CREATE TABLE visits (id INTEGER PRIMARY KEY, patient INTEGER);
         INSERT INTO patients VALUES (1);
         INSERT INTO visits VALUES (1, 1), (2, 7);",
    );
    app
}

fn sql(app: &App, text: &str) {
    Connection::open(app.path("clinic.db")).unwrap().execute_batch(text).unwrap();
}

#[test]
fn a_warning_is_3_where_it_is_asked_for_and_0_otherwise() {
    let app = app("");
    let found = app.run(&["verify-collections"]).expect(0);
    assert!(found.stdout.contains("1 record of 'visits' names no 'patients'"), "{}", found.stdout);
    app.run(&["verify-collections", "--strict"]).expect(3);
    sql(&app, "DELETE FROM visits WHERE id = 2");
    app.run(&["verify-collections", "--strict"]).expect(0);
    sql(&app, "DELETE FROM patients");
    app.run(&["verify-collections", "--strict"]).expect(4);
}

#[test]
fn a_backup_of_what_failed_its_verification_is_refused_where_that_is_asked_for() {
    let app = app(", beforeBackup: refuse");
    // A warning is told, and refuses nothing.
    let made = app.run(&["create"]).expect(0);
    assert!(made.stderr.contains("verify-collections: 1 record of 'visits'"), "{}", made.stderr);
    sql(&app, "DELETE FROM patients");
    let refused = app.run(&["create"]).expect(5);
    for part in ["beforeBackup: refuse", "critical collection 'patients' is empty", "Hint: "] {
        assert!(refused.stderr.contains(part), "{part}\n{}", refused.stderr);
    }
    let listed = app.run(&["--json", "list"]).expect(0).json();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1);
    let why = listed["failed"][0]["errors"].to_string();
    assert!(why.contains("no backup was made (verification.beforeBackup: refuse)"), "it is on record: {listed}");
    // Files have no collections, and are not kept from their backup by them.
    let only_files = app.run(&["create", "--only", "files"]);
    assert!(!only_files.stderr.contains("beforeBackup"), "{}", only_files.stderr);
}

#[test]
fn what_a_verification_finds_is_a_warning_where_that_is_asked_for_and_silence_by_default() {
    for (before, told) in [(", beforeBackup: warn", true), ("", false), (", beforeBackup: off", false)] {
        let app = app(before);
        sql(&app, "DELETE FROM patients");
        let made = app.run(&["--json", "create"]).expect(0);
        let warnings = made.json()["warnings"].to_string();
        assert_eq!(warnings.contains("critical collection 'patients' is empty"), told, "{before}: {warnings}");
    }
    let app = app(", beforeBackup: maybe");
    let wrong = app.run(&["config", "check"]).expect(2);
    assert!(wrong.stderr.contains("'maybe' is none of off, warn, refuse"), "{}", wrong.stderr);
}
