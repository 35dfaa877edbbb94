//! Verification by restoring, and in turns.

use super::round_trip::{config, picture, seed, seed_every_kind};
use super::stalls::{behind, soon};
use crate::support::app::{App, Ended, files_below};
use crate::support::mongod::{Kind, Mongod, fresh_database, wait};
use crate::support::tracer::{Call, Fault, trace};
use mongodb::bson::doc;
use nix::errno::Errno;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn databases(server: &Mongod) -> Vec<String> {
    let mut names = wait(async { server.client().list_database_names().await.unwrap() });
    names.retain(|name| name.starts_with("backup-verify-"));
    names
}

fn verified(app: &App) -> Value {
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

/// Fails every hashing read of these archives, and proves that there were some.
fn unreadable(app: &App, archives: &[String], arguments: &[&str]) -> Ended {
    failing(app, "read", archives, arguments)
}

/// Fails every call of this name on these archives, and proves that there were some.
fn failing(app: &App, call: &str, archives: &[String], arguments: &[&str]) -> Ended {
    let name = call;
    let is_one = |call: &Call| archives.iter().any(|archive| call.is_on(archive));
    let fault = |call: &Call| (call.name == name && is_one(call)).then_some(Fault::Fail(Errno::EIO));
    let run = trace(&app.command(arguments), &app.path("backups"), fault);
    assert!(archives.iter().all(|archive| run.hit.iter().any(|call| call.is_on(archive))), "{:?}", run.hit);
    run.ended
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_archive_that_cannot_be_read_keeps_nobody_from_the_others() {
    let app = clinic(CLINIC);
    for _ in 0..3 {
        app.run(&["create"]).expect(0);
    }
    // Newest first, which is the order in which they are verified; both archives of the first two fail, then one.
    let ids = app.ids();
    let of = |id: &str, archive: &str| format!("{id}/core/{archive}.tar.gz");
    let bad = [of(&ids[0], "clinic"), of(&ids[0], "uploads"), of(&ids[1], "uploads")];
    let failed = unreadable(&app, &bad, &["--json", "verify", "--all"]).expect(1);
    let reports = failed.json();
    let found: Vec<_> = reports.as_array().unwrap().iter().map(|report| (&report["id"], &report["valid"])).collect();
    let told = |n: usize, valid: bool| (serde_json::json!(ids[n]), serde_json::json!(valid));
    let wanted = [told(0, false), told(1, false), told(2, true)];
    assert_eq!(found, wanted.iter().map(|(id, valid)| (id, valid)).collect::<Vec<_>>());
    let component = |report: usize, archive: &str| {
        let all = reports[report]["components"].as_array().unwrap();
        all.iter().find(|component| component["archive"] == format!("core/{archive}.tar.gz")).unwrap()
    };
    for (report, archive) in [(0, "clinic"), (0, "uploads"), (1, "uploads")] {
        let component = component(report, archive);
        assert_eq!((&component["error"]["code"], &component["damage"]), (&"io".into(), &serde_json::json!([])));
        assert!(component["error"]["causes"].to_string().contains("Input/output error"), "{component}");
    }
    assert_eq!(component(1, "clinic")["valid"], true);
    assert_eq!(reports[0]["checksumMatch"], false, "nobody has seen it match");
    assert!(
        failed.stderr.contains("core/uploads.tar.gz") && failed.stderr.contains("Input/output"),
        "{}",
        failed.stderr
    );
    // What could not be read is no verdict; what could, is one.
    let list = app.run(&["--json", "list"]).expect(0).json();
    let verified = |n: usize| list["backups"][n]["verified"].clone();
    assert_eq!((verified(0), verified(1), &verified(2)["valid"]), (Value::Null, Value::Null, &true.into()));
    let text = unreadable(&app, &bad[2..], &["verify", &ids[1]]).expect(1).stdout;
    for line in ["NOT VERIFIED", "core/clinic.tar.gz: valid (decoded)", "0 of 1 backup undamaged, 1 could not be"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn damage_stays_4_whatever_else_could_not_be_read() {
    let app = clinic(CLINIC);
    for _ in 0..3 {
        app.run(&["create"]).expect(0);
    }
    let ids = app.ids();
    flip(&app.backup(&ids[1]).join("core/clinic.tar.gz"));
    flip(&app.backup(&ids[1]).join("core/uploads.tar.gz"));
    app.run(&["verify", &ids[1]]).expect(4);
    // Hashing finds the damage, and what would name the parts fails.
    let both = ["clinic", "uploads"].map(|archive| format!("{}/core/{archive}.tar.gz", ids[1]));
    let half = failing(&app, "pread64", &both, &["verify", &ids[1]]).expect(4);
    assert!(half.stdout.contains("SHA-256 differs") && half.stdout.contains("Input/output error"), "{}", half.stdout);
    let bad: Vec<_> = [(0, "clinic"), (1, "uploads"), (2, "uploads")]
        .map(|(n, archive)| format!("{}/core/{archive}.tar.gz", ids[n]))
        .into();
    let reports = unreadable(&app, &bad, &["--json", "verify", "--all"]).expect(4).json();
    assert_eq!(reports.as_array().unwrap().len(), 3);
    let list = app.run(&["--json", "list"]).expect(0).json();
    assert_eq!(list["backups"][1]["verified"]["valid"], false);
    // Of the archive that could not be read now, what was found before still holds.
    let fact = std::fs::read(app.path(&format!("backups/metadata/facts/{}.verified.json", ids[1]))).unwrap();
    let fact: Value = serde_json::from_slice(&fact).unwrap();
    assert_eq!(fact["damaged"], serde_json::json!(["core/clinic.tar.gz", "core/uploads.tar.gz"]));
    assert_eq!(list["backups"][0]["verified"], Value::Null);
}

#[test]
fn a_manifest_that_can_no_longer_be_read_keeps_nobody_from_the_other_backups() {
    let app = clinic(CLINIC);
    app.run(&["create"]).expect(0);
    app.run(&["create"]).expect(0);
    let manifest = format!("{}.json", app.ids()[0]);
    // It is listed, and then it fails.
    let mut opened = 0;
    let run = trace(&app.command(&["--json", "verify", "--all"]), &app.path("backups"), |call| {
        opened += usize::from(call.name.starts_with("open") && call.is_on(&manifest));
        (opened == 2 && call.is_on(&manifest)).then_some(Fault::Fail(Errno::EIO))
    });
    assert_eq!(run.hit.len(), 1, "{:?}", run.hit);
    let reports = run.ended.expect(1).json();
    assert_eq!((&reports[0]["valid"], &reports[0]["components"][0]["error"]["code"]), (&false.into(), &"io".into()));
    assert_eq!(reports[1]["valid"], true);
}

#[test]
fn a_scratch_server_that_is_lost_midway_is_1_and_never_a_target_that_was_changed() {
    let (app, proxy, _) = behind(Mongod::standalone(), 1, "connect: 1s, idle: 2s");
    app.run(&["create"]).expect(0);
    proxy.cut_at("renameCollection", 0);
    let child = app.spawn(&["--json", "verify", "latest", "--level", "restored"]);
    let lost = soon(child).expect(1).json();
    proxy.await_held();
    let components = lost[0]["components"].as_array().unwrap();
    let uploads = components.iter().find(|component| component["archive"] == "claims/uploads.tar.gz").unwrap();
    assert_eq!((&uploads["valid"], &uploads["level"]), (&true.into(), &"restored".into()));
    assert!(components.iter().any(|component| component["error"]["code"] == "source"), "{lost}");
    proxy.release();
}

#[test]
fn a_scratch_server_that_fails_keeps_nobody_from_what_needs_none_and_is_asked_once() {
    let (server, name) = (Mongod::standalone(), fresh_database());
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    app.reconfigure("installation:", "timeouts: {connect: 1s}\ninstallation:");
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create"]).expect(0);
    app.run(&["create"]).expect(0);
    // A port that is ours, on which nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("hrms=mongodb://{}/?directConnection=true", silent.local_addr().unwrap());
    let verify = ["--json", "verify", "--all", "--level", "restored", "--scratch-server", &other];
    let reports = app.run(&verify).expect(1).json();
    let components = |n: usize| reports[n]["components"].as_array().unwrap().clone();
    let (mut failed, mut again) = (0, 0);
    for component in [components(0), components(1)].concat() {
        if component["archive"].as_str().unwrap().contains("uploads") {
            assert_eq!((&component["valid"], &component["level"]), (&true.into(), &"restored".into()));
            continue;
        }
        failed += 1;
        again += usize::from(component["error"].to_string().contains("is not asked again"));
        assert_eq!((&component["error"]["code"], &component["level"]), (&"connect".into(), &"decoded".into()));
    }
    assert!(failed >= 4 && again == failed - 1, "{again} of {failed}: {reports}");
    assert_eq!(verified(&app), Value::Null, "a server that fails says nothing about a backup");
    app.run(&["verify", "--all", "--level", "restored"]).expect(0);
}

#[test]
fn a_backup_of_a_newer_format_is_refused_by_name_also_where_its_words_are_new() {
    let app = clinic(CLINIC);
    app.run(&["create"]).expect(0);
    app.run(&["create"]).expect(0);
    let id = app.ids().remove(0);
    let path = format!("backups/metadata/{id}.json");
    let manifest = std::fs::read_to_string(app.path(&path)).unwrap();
    let said = "its format 9 is newer than this program knows: use the `backup` that made it";
    for (word, new) in
        [("\"mode\": \"full\"", "\"mode\": \"full\""), ("\"status\": \"success\"", "\"status\": \"so-so\"")]
    {
        let newer = manifest.replace("\"formatVersion\": 1", "\"formatVersion\": 9").replace(word, new);
        assert!(newer.contains("\"formatVersion\": 9") && newer.contains(new), "{newer}");
        app.write(&path, newer.as_bytes());
        for way in [&["verify", &id][..], &["show", &id], &["restore", &id, "--to-directory", "out"]] {
            let refused = app.run(way).expect(4);
            assert!(refused.stderr.contains(said) && refused.stderr.contains(&id), "{way:?}: {}", refused.stderr);
        }
        let all = app.run(&["verify", "--all"]).expect(4);
        assert!(all.stdout.contains(said) && all.stdout.contains("1 of 2 backups undamaged"), "{}", all.stdout);
        let older = app.run(&["restore", "latest", "--to-directory", "out"]).expect(0);
        assert!(older.stdout.contains(said) || older.stderr.contains(said), "{older:?}");
        std::fs::remove_dir_all(app.path("out")).unwrap();
    }
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
    flip(&archive);
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
