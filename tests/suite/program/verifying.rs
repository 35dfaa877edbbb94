//! Verification by restoring, and in turns.

use super::round_trip::{config, picture, seed_every_kind};
use crate::support::app::{App, files_below};
use crate::support::mongod::{Kind, Mongod, fresh_database, wait};
use mongodb::bson::doc;
use rusqlite::Connection;
use std::collections::BTreeSet;

fn databases(server: &Mongod) -> Vec<String> {
    let mut names = wait(async { server.client().list_database_names().await.unwrap() });
    names.retain(|name| name.starts_with("backup-verify-"));
    names
}

fn verified(app: &App) -> serde_json::Value {
    app.run(&["list", "--json"]).expect(0).json()["backups"][0]["verified"].clone()
}

#[test]
fn everything_is_restored_beside_compared_and_dropped() {
    // A server of its own, for others verify too.
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    let name = fresh_database();
    seed_every_kind(&server, &name);
    let app = App::new(&config(&server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    std::os::unix::fs::symlink("a.pdf", app.path("uploads/acme/documents/link")).unwrap();
    app.run(&["create"]).expect(0);
    let before = (picture(&server, &name), files_below(&app.path("uploads")));
    let done = app.run(&["verify", "latest", "--level", "restored"]).expect(0);
    assert!(done.stdout.contains("valid (restored)"), "{}", done.stdout);
    assert_eq!((&verified(&app)["level"], &verified(&app)["valid"]), (&"restored".into(), &true.into()));
    assert!(before == (picture(&server, &name), files_below(&app.path("uploads"))));
    assert_eq!(databases(&server), Vec::<String>::new());
}

#[test]
fn what_cannot_be_restored_is_damage_though_every_byte_is_there() {
    let server = Mongod::start(Kind::ReplicaSet, &["--setParameter", "enableTestCommands=1"]);
    let name = fresh_database();
    seed_every_kind(&server, &name);
    let app = App::new(&config(&server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create"]).expect(0);
    let fail = |command: &str, code: i32| {
        let data = doc! {"failCommands": [command], "errorCode": code};
        server.command("admin", doc! {"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data});
    };
    fail("createIndexes", 67);
    let bad = app.run(&["verify", "latest", "--level", "restored"]).expect(4);
    assert!(bad.stdout.contains("users: ") && bad.stdout.contains("67 "), "{}", bad.stdout);
    assert_eq!(databases(&server), Vec::<String>::new());
    // A server that cannot be worked with says nothing about the backup.
    fail("create", 13);
    app.run(&["verify", "latest", "--level", "restored"]).expect(1);
    assert_eq!(verified(&app)["valid"], false, "the verdict of before stays");
    // A scratch database that could not be dropped is dropped by the next run.
    fail("dropDatabase", 13);
    app.run(&["verify", "latest", "--level", "restored"]).expect(1);
    server.command("admin", doc! {"configureFailPoint": "failCommand", "mode": "off"});
    app.run(&["verify", "latest", "--level", "restored"]).expect(0);
    assert_eq!(databases(&server), Vec::<String>::new());
}

#[test]
fn a_scratch_server_takes_the_place_of_the_sources_own() {
    let (own, scratch) = (Mongod::replica_set(), Mongod::start(Kind::Standalone, &[]));
    let name = fresh_database();
    own.command(&name, doc! {"insert": "users", "documents": [{"_id": 1, "tenantId": "acme"}]});
    own.command(&name, doc! {"insert": "countries", "documents": [{"_id": 1}]});
    own.command(&name, doc! {"insert": "claims", "documents": [{"_id": 1, "tenantId": "acme"}]});
    let app = App::new(&config(own, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create"]).expect(0);
    let inserted = || {
        scratch
            .command("admin", doc! {"serverStatus": 1})
            .get_document("opcounters")
            .unwrap()
            .get_i64("insert")
            .unwrap()
    };
    let before = inserted();
    let other = format!("hrms={}", scratch.uri());
    app.run(&["verify", "latest", "--level", "restored", "--scratch-server", &other]).expect(0);
    assert!(inserted() >= before + 3);
    assert_eq!(databases(&scratch), Vec::<String>::new());
    app.run(&["verify", "latest", "--level", "restored", "--scratch-server", "hrsm=mongodb://h"]).expect(10);
}

const CLINIC: &str = r"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
uploads: [{root: ./uploads}]
modules: {core: {required: true, collections: [patients, notes], fileUploads: [letters]}}
";

fn clinic(config: &str) -> App {
    let app = App::new(config);
    Connection::open(app.path("clinic.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX by_name ON patients (name);
             INSERT INTO patients VALUES (1, 'Ada'); CREATE VIRTUAL TABLE notes USING fts5(body);
             INSERT INTO notes VALUES ('a note');",
        )
        .unwrap();
    app.write("uploads/letters/a.txt", b"letter");
    app
}

#[test]
fn sqlite_and_files_are_restored_into_a_folder_that_is_gone_afterwards() {
    let app = clinic(CLINIC);
    app.run(&["create"]).expect(0);
    std::fs::create_dir(app.path("look")).unwrap();
    let before = files_below(&app.path(""));
    app.run(&["verify", "latest", "--level", "restored", "--scratch", "look"]).expect(0);
    assert_eq!(std::fs::read_dir(app.path("look")).unwrap().count(), 0);
    let after = files_below(&app.path(""));
    let changed: Vec<_> = after.iter().filter(|(path, body)| before.get(*path) != Some(body)).map(|(p, _)| p).collect();
    assert!(changed.iter().all(|path| path.contains("verified.json") || path.contains("/locks/")), "{changed:?}");
    // A trap: the scratch folder cannot be written to, so nothing can be said.
    let nowhere = app.run(&["verify", "latest", "--level", "restored", "--scratch", "absent"]).expect(1);
    assert!(nowhere.stderr.contains("absent"), "{}", nowhere.stderr);
}

#[test]
fn what_is_encrypted_is_not_restored_in_clear_unasked() {
    let app = clinic(&CLINIC.replace(
        "location: ./backups",
        "location: ./backups, encryption: {recipientsFile: keys.txt, identities: [own.key]}",
    ));
    app.write("keys.txt", b"");
    std::fs::remove_file(app.path("keys.txt")).unwrap();
    app.run(&["key", "generate", "own.key", "--recipients", "keys.txt"]).expect(0);
    app.run(&["create"]).expect(0);
    let refused = app.run(&["verify", "latest", "--level", "restored"]).expect(2);
    assert!(refused.stderr.contains("--scratch"), "{}", refused.stderr);
    app.run(&["verify", "latest", "--level", "restored", "--scratch", "/dev/shm"]).expect(0);
    std::fs::remove_file(app.path("own.key")).unwrap();
    app.run(&["verify", "latest", "--level", "restored", "--scratch", "/dev/shm"]).expect(12);
}

#[test]
fn seven_nights_read_every_backup_once() {
    let app = clinic(CLINIC);
    for _ in 0..9 {
        app.run(&["create"]).expect(0);
    }
    let mut seen = Vec::new();
    for night in 1..=7 {
        let slice = format!("{night}/7");
        let reports = app.run(&["verify", "--slice", &slice, "--json"]).expect(0).json();
        seen.extend(reports.as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()));
    }
    let all: BTreeSet<_> = app.ids().into_iter().collect();
    assert_eq!(seen.len(), 9);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all);
    for wrong in ["0/7", "8/7", "7", "a/b"] {
        app.run(&["verify", "--slice", wrong]).expect(2);
    }
}

#[test]
fn latest_passes_over_the_archive_that_was_found_damaged() {
    let app = clinic(CLINIC);
    let first = app.run(&["create", "--json"]).expect(0).json()["id"].as_str().unwrap().to_owned();
    let second = app.run(&["create", "--json"]).expect(0).json()["id"].as_str().unwrap().to_owned();
    let archive = app.backup(&second).join("core/clinic.tar.gz");
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    // Nobody knows yet: what is proven before it is restored says so.
    app.run(&["restore", "latest", "--into", "clinic=back.db", "--files-into", "files"]).expect(4);
    assert!(!app.path("back.db").exists() && !app.path("files/uploads").exists());
    app.run(&["verify", "latest"]).expect(4);
    let args = ["restore", "latest", "--into", "clinic=back.db", "--files-into", "files", "--json"];
    let done = app.run(&args).expect(0).json();
    let passed = done["passedOver"].to_string();
    assert!(passed.contains(&second) && passed.contains("found damaged") && passed.contains(&first), "{done}");
    let back = Connection::open(app.path("back.db")).unwrap();
    assert_eq!(back.query_row("SELECT name FROM patients", [], |row| row.get::<_, String>(0)).unwrap(), "Ada");
}
