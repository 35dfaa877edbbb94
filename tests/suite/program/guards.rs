//! What a restore may not do: write to what is protected, write before its input is proven, write at all when it was
//! only asked, or stop without saying what it has changed.

use super::round_trip::{config, picture, seed};
use super::stalls::{behind, soon};
use crate::support::app::{App, files_below};
use crate::support::mongod::{Kind, Mongod, PASSWORD, fresh_database, wait};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use rusqlite::Connection;

/// An application with a backup, and what its server and its folder of uploads are then.
fn backed_up(server: &Mongod) -> (App, String) {
    let name = fresh_database();
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.write("uploads/acme/documents/b.pdf", b"two");
    app.run(&["create"]).expect(0);
    (app, name)
}

fn at(server: &Mongod, database: &str) -> String {
    format!("hrms={}", server.uri().replace("/?", &format!("/{database}?")))
}

/// Everything the server itself counts of writes, and what the databases hold.
fn written(server: &Mongod, database: &str) -> Vec<Document> {
    let status = server.command("admin", doc! {"serverStatus": 1});
    let part = |from: &Document, keys: &[&str]| -> Document {
        keys.iter().map(|key| ((*key).to_owned(), from.get(*key).unwrap().clone())).collect()
    };
    let commands = status.get_document("metrics").unwrap().get_document("commands").unwrap();
    let document = status.get_document("metrics").unwrap().get_document("document").unwrap();
    let hash = server.command(database, doc! {"dbHash": 1});
    let databases = server.command("admin", doc! {"listDatabases": 1, "nameOnly": true});
    vec![
        part(status.get_document("opcounters").unwrap(), &["insert", "update", "delete"]),
        part(document, &["inserted", "updated", "deleted"]),
        part(commands, &["create", "createIndexes", "collMod", "drop", "dropDatabase", "renameCollection"]),
        part(&hash, &["collections", "md5"]),
        part(&databases, &["databases"]),
    ]
}

/// Spoils some bytes in the middle of a file. One bit may be one that means nothing: the code of a symbol that is not used.
fn damage(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte = !*byte);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn whoever_only_asks_or_only_reads_writes_nothing_by_the_servers_own_counters() {
    let server = Mongod::start(Kind::Standalone, &[]);
    let (app, name) = backed_up(&server);
    server.command(&name, doc! {"insert": "users", "documents": [{"_id": "new", "tenantId": "acme"}]});
    server.command(&name, doc! {"create": "stray"});
    let into = at(&server, &fresh_database());
    let (before, files) = (written(&server, &name), files_below(&app.path("uploads")));
    let restore = ["restore", "latest"];
    let cases: [(&[&str], i32); 14] = [
        (&["create"], 0),
        (&["create", "--dry-run"], 0),
        (&["create", "--tenant", "acme"], 0),
        (&["verify-collections"], 0),
        (&["restore", "latest", "--into", &into, "--files-into", "x", "--dry-run"], 0),
        (&["restore", "latest", "--existing", "add", "--dry-run"], 0),
        (&["restore", "latest", "--existing", "merge", "--dry-run"], 0),
        (&["restore", "latest", "--existing", "replace", "--dry-run"], 0),
        (&["restore", "latest", "--dry-run"], 5),
        (&restore, 5),
        (&["restore", "latest", "--existing", "merge"], 5),
        (&["restore", "latest", "--existing", "replace", "--yes"], 5),
        (&["restore", "latest", "--existing", "replace", "--yes", "--target-name", "other"], 5),
        (&["restore", "latest", "--to-directory", "aside"], 0),
    ];
    for (arguments, code) in cases {
        app.run(arguments).expect(code);
        assert_eq!(written(&server, &name), before, "{arguments:?}");
        assert!(files_below(&app.path("uploads")) == files, "{arguments:?}");
    }
    assert!(!app.path("x").exists());
    // The counters count: what is allowed shows in them.
    app.run(&["restore", "latest", "--only", "database", "--existing", "merge", "--yes"]).expect(0);
    assert!(written(&server, &name) != before);
}

#[test]
fn damage_in_the_last_archive_is_4_and_nothing_was_written_anywhere_by_the_servers_own_counters() {
    let server = Mongod::start(Kind::Standalone, &[]);
    let (app, name) = backed_up(&server);
    server.command(&name, doc! {"insert": "users", "documents": [{"_id": "new", "tenantId": "acme"}]});
    app.write("uploads/acme/documents/a.pdf", b"changed");
    let backup = app.backup(&app.ids()[0]);
    let into = at(&server, &fresh_database());
    let named = ["--target-name", &name, "--yes", "--no-safety-backup"];
    let modes: [&[&str]; 5] = [
        &["--into", &into, "--files-into", "x"],
        &["--existing", "add"],
        &["--existing", "merge", "--yes", "--no-safety-backup"],
        &["--existing", "replace"],
        &["--to-directory", "aside"],
    ];
    for archive in ["claims/hrms.tar.gz", "claims/uploads.tar.gz"] {
        let whole = std::fs::read(backup.join(archive)).unwrap();
        damage(&backup.join(archive));
        let (before, files) = (written(&server, &name), files_below(&app.path("uploads")));
        for mode in modes {
            let consent = if mode.contains(&"replace") { &named[..] } else { &[] };
            let failed = app.run(&[&["restore", "latest"], mode, consent].concat()).expect(4);
            assert!(failed.stderr.contains("damaged"), "{archive} {mode:?}: {}", failed.stderr);
            assert_eq!(written(&server, &name), before, "{archive} {mode:?}");
            assert!(files_below(&app.path("uploads")) == files, "{archive} {mode:?}");
            assert!(!app.path("x").exists() && !app.path("aside").exists(), "{archive} {mode:?}");
            assert_eq!(files_below(&app.path("backups/journal")).len(), 0, "{archive} {mode:?}");
        }
        std::fs::write(backup.join(archive), whole).unwrap();
    }
}

const CLINIC: &str = r"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
modules:
  core: {required: true, priority: 1, collections: [patients]}
  last: {required: true, priority: 2, collections: [visits]}
";

fn clinic() -> App {
    let app = App::new(CLINIC);
    let sql = "CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO patients VALUES (1, 'a'), (2, 'b');
               CREATE TABLE visits (id INTEGER PRIMARY KEY, pad BLOB); INSERT INTO visits VALUES (1, randomblob(9000));";
    Connection::open(app.path("clinic.db")).unwrap().execute_batch(sql).unwrap();
    app.run(&["create"]).expect(0);
    let spoil = "UPDATE patients SET name = 'X'; INSERT INTO visits VALUES (5, NULL)";
    Connection::open(app.path("clinic.db")).unwrap().execute_batch(spoil).unwrap();
    app
}

#[test]
fn a_sqlite_file_is_untouched_by_a_dry_run_and_by_a_damaged_last_archive() {
    let app = clinic();
    let there = || -> Vec<_> {
        let mut names: Vec<_> = std::fs::read_dir(app.path(".")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        vec![format!("{names:?}").into_bytes(), std::fs::read(app.path("clinic.db")).unwrap()]
    };
    let before = there();
    let modes: [&[&str]; 3] = [&["add"], &["merge", "--yes"], &["replace", "--yes", "--target-name", "clinic"]];
    for mode in modes {
        app.run(&[&["restore", "latest", "--dry-run", "--existing"], mode].concat()).expect(0);
        assert!(there() == before, "{mode:?}");
    }
    // What a program that died has left in its log stays there, too.
    let open = Connection::open(app.path("clinic.db")).unwrap();
    open.execute_batch("PRAGMA journal_mode = WAL; UPDATE patients SET name = 'logged'").unwrap();
    for file in ["clinic.db", "clinic.db-wal"] {
        std::fs::copy(app.path(file), app.path(&format!("copy-{file}"))).unwrap();
    }
    drop(open);
    for file in ["clinic.db", "clinic.db-wal"] {
        std::fs::rename(app.path(&format!("copy-{file}")), app.path(file)).unwrap();
    }
    let logged = std::fs::read(app.path("clinic.db")).unwrap();
    app.run(&["restore", "latest", "--dry-run", "--existing", "merge"]).expect(0);
    assert!(std::fs::read(app.path("clinic.db")).unwrap() == logged);

    let before = there();
    damage(&app.backup(&app.ids()[0]).join("last/clinic.tar.gz"));
    for mode in modes {
        app.run(&[&["restore", "latest", "--no-safety-backup", "--existing"], mode].concat()).expect(4);
        assert!(there() == before, "{mode:?}");
    }
    app.run(&["restore", "latest", "--into", "clinic=fresh.db"]).expect(4);
    assert!(there() == before);
}

#[test]
fn what_is_protected_is_written_to_only_when_it_is_named() {
    let server = Mongod::standalone();
    let (app, name) = backed_up(server);
    app.reconfigure(&format!("database: {name}}}"), &format!("database: {name}, protected: true}}"));
    app.reconfigure("{root: ./uploads,", "{root: ./uploads, protected: true,");
    server.command(&name, doc! {"insert": "users", "documents": [{"_id": "new", "tenantId": "acme"}]});
    let (before, files) = (picture(server, &name), files_below(&app.path("uploads")));
    let consent = ["--existing", "replace", "--target-name", &name, "--yes"];
    let into = at(server, &name);
    let cases: [(&[&str], &str); 6] = [
        (&["--only", "database"], "--allow-protected hrms"),
        (&["--only", "database", "--existing", "add"], "--allow-protected hrms"),
        (&["--only", "files", "--existing", "merge", "--yes"], "--allow-protected uploads"),
        // The same place by another way.
        (&["--only", "database", "--existing", "merge", "--yes", "--into", &into], "--allow-protected hrms"),
        (&["--only", "files", "--existing", "merge", "--yes", "--files-into", "."], "--allow-protected uploads"),
        (&["--existing", "merge", "--yes", "--allow-protected", "hrms"], "--allow-protected uploads"),
    ];
    for (arguments, flag) in cases {
        let refused = app.run(&[&["restore", "latest"], arguments].concat()).expect(5);
        assert!(refused.stderr.contains(flag), "{arguments:?}: {}", refused.stderr);
    }
    let refused = app.run(&[&["restore", "latest"], &consent[..]].concat()).expect(5);
    let both = "--allow-protected hrms --allow-protected uploads";
    assert!(refused.stderr.contains(both), "{}", refused.stderr);
    let plan = app.run(&[&["--json", "restore", "latest", "--dry-run"], &consent[..]].concat()).expect(0).json();
    assert_eq!(plan["protected"], serde_json::json!(["hrms", "uploads"]));
    let shown = app.run(&[&["restore", "latest", "--dry-run"], &consent[..]].concat()).expect(0).stdout;
    assert!(shown.contains(both), "{shown}");
    app.run(&["restore", "latest", "--existing", "add", "--allow-protected", "hrsm"]).expect(2);
    assert!(picture(server, &name) == before && files_below(&app.path("uploads")) == files);

    // Elsewhere it is free, and where it is, it takes the names.
    app.run(&["restore", "latest", "--into", &at(server, &fresh_database()), "--files-into", "aside"]).expect(0);
    app.run(&["restore", "latest", "--to-directory", "plain"]).expect(0);
    let allowed = ["--allow-protected", "hrms", "--allow-protected", "uploads"];
    app.run(&[&["restore", "latest"], &consent[..], &allowed].concat()).expect(0);
    assert!(picture(server, &name) != before);
}

#[test]
fn who_else_is_connected_is_told_before_consent_or_that_it_cannot_be_known() {
    let server = Mongod::login();
    let name = fresh_database();
    seed(server, &name, 1);
    let role = doc! {"role": "readWrite", "db": &name};
    server.command("admin", doc! {"createUser": &name, "pwd": PASSWORD, "roles": [role]});
    let uri = server.uri_as("root", PASSWORD);
    let app = App::new(&config(server, &name).replace(&server.uri(), &uri));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create"]).expect(0);
    let application = wait(async { Client::with_uri_str(format!("{uri}&appName=hr-app")).await }).unwrap();
    wait(async { application.database(&name).run_command(doc! {"ping": 1}).await }).unwrap();
    let plan = ["--json", "restore", "latest", "--only", "database", "--existing", "replace", "--dry-run"];
    let warnings = app.run(&plan).expect(0).json()["warnings"].to_string();
    assert!(warnings.contains("source 'hrms': hr-app on 127.0.0.1 has"), "{warnings}");
    assert!(!warnings.contains("backup on"), "{warnings}");
    app.reconfigure("//root:", &format!("//{name}:"));
    let warnings = app.run(&plan).expect(0).json()["warnings"].to_string();
    assert!(warnings.contains("cannot be known") && warnings.contains("inprog"), "{warnings}");

    let app = clinic();
    let plan = ["--json", "restore", "latest", "--existing", "merge", "--dry-run"];
    let held = Connection::open(app.path("clinic.db")).unwrap();
    let warnings = app.run(&plan).expect(0).json()["warnings"].to_string();
    assert!(warnings.contains(&format!("process {} ", std::process::id())), "{warnings}");
    drop(held);
    assert_eq!(app.run(&plan).expect(0).json()["warnings"], serde_json::json!([]));
}

#[test]
fn a_server_lost_between_two_switches_is_6_and_every_collection_is_accounted_for() {
    let server = Mongod::replica_set();
    let (app, proxy, name) = behind(server, 1, "connect: 1s, idle: 2s");
    app.run(&["create"]).expect(0);
    let stored = picture(server, &name);
    for collection in ["users", "countries", "claims"] {
        server.command(&name, doc! {"insert": collection, "documents": [{"_id": "new"}]});
    }
    let spoilt = picture(server, &name);
    let arguments = ["--json", "restore", "latest", "--existing", "replace", "--target-name", &name, "--yes"];
    proxy.cut_at("renameCollection", 1);
    let stopped = soon(app.spawn(&arguments)).expect(6).json();
    proxy.await_held();
    proxy.release();
    assert_eq!(stopped["error"]["code"], "target-changed");
    let details: Vec<_> = stopped["error"]["details"].as_array().unwrap().iter().map(|d| d.as_str().unwrap()).collect();
    assert_eq!(details.len(), 4, "{details:?}");
    let now = picture(server, &name);
    let mut states = Vec::new();
    for collection in ["users", "countries", "claims"] {
        let line = details.iter().find(|line| line.ends_with(&format!("hrms.{collection}"))).unwrap();
        let state = line.split(':').next().unwrap();
        match state {
            "restored" => assert!(now[collection] == stored[collection], "{line}"),
            "unchanged" => assert!(now[collection] == spoilt[collection], "{line}"),
            _ => assert!(now[collection] == spoilt[collection] || now[collection] == stored[collection], "{line}"),
        }
        states.push(state);
    }
    states.sort_unstable();
    assert_eq!(states, ["half restored, or the server did not say", "restored", "unchanged"]);
    assert!(details[3].starts_with("unchanged: files of "), "{details:?}");
    assert!(stopped["error"]["hint"].as_str().unwrap().contains("run the same command again"), "{stopped}");
    app.run(&arguments).expect(0);
    let after = picture(server, &name);
    assert!(stored.iter().all(|(collection, contents)| after[collection] == *contents));
    assert_eq!(after.len(), stored.len());
}

#[test]
fn a_key_that_another_record_has_is_6_and_names_the_collection() {
    let server = Mongod::standalone();
    let (app, name) = backed_up(server);
    server.command(&name, doc! {"delete": "users", "deletes": [{"q": {"_id": 7}, "limit": 1}]});
    server.command(&name, doc! {"insert": "users", "documents": [{"_id": "new", "name": "u7"}]});
    let unique = doc! {"key": {"name": 1}, "name": "unique", "unique": true};
    server.command(&name, doc! {"createIndexes": "users", "indexes": [unique]});
    for mode in [&["add"][..], &["merge", "--yes"]] {
        let arguments = [&["restore", "latest", "--only", "database", "--existing"], mode].concat();
        let stopped = app.run(&arguments).expect(6);
        assert!(stopped.stderr.contains("half restored, or the server did not say: hrms.users"), "{}", stopped.stderr);
        assert!(stopped.stderr.contains("unique"), "{}", stopped.stderr);
    }
}

#[test]
fn a_selection_that_matches_nothing_is_10() {
    let app = clinic();
    for narrowed in [&["--only", "files"][..], &["--collection", "ghost"], &["--module", "ghost"]] {
        app.run(&[&["restore", "latest", "--to-directory", "x"], narrowed].concat()).expect(10);
        assert!(!app.path("x").exists());
    }
}
