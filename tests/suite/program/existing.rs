//! Restores over data that is there: what is asked, what is put aside, what stays, and what a kill leaves.

use super::round_trip::{config, picture, seed};
use crate::support::app::{App, ended, files_below};
use crate::support::mongod::{Mongod, fresh_database, wait};
use mongodb::bson::{Document, doc};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::time::Instant;

/// A backed-up application whose data was changed since.
fn changed(server: &'static Mongod, megabytes: u32) -> (App, String) {
    let name = fresh_database();
    seed(server, &name, megabytes);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.write("uploads/acme/documents/sub/b.pdf", b"two");
    app.write("uploads/acme/other/kept.pdf", b"not in any module");
    app.run(&["create"]).expect(0);
    spoil(server, &name);
    (app, name)
}

/// Changes every collection: some records differ, some are gone, some are new.
fn spoil(server: &Mongod, name: &str) {
    for collection in ["users", "countries", "claims"] {
        let collection = server.client().database(name).collection::<Document>(collection);
        wait(async {
            collection.delete_many(doc! {"_id": {"$lt": 10}}).await.unwrap();
            collection.update_many(doc! {"_id": {"$lt": 20}}, doc! {"$set": {"spoilt": true}}).await.unwrap();
            collection.insert_one(doc! {"_id": "new", "tenantId": "acme"}).await.unwrap();
        });
    }
}

fn replace(name: &str) -> Vec<String> {
    ["restore", "latest", "--only", "database", "--existing", "replace", "--target-name", name, "--yes"]
        .map(str::to_owned)
        .to_vec()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn nothing_is_overwritten_without_the_flags_that_consent() {
    let server = Mongod::standalone();
    let (app, name) = changed(server, 1);
    let before = picture(server, &name);
    let refused = app.run(&["restore", "latest"]).expect(5);
    assert!(refused.stderr.contains("--existing"), "{}", refused.stderr);
    let only = ["restore", "latest", "--only", "database", "--existing"];
    let cases: [(&[&str], &str); 4] = [
        (&["merge"], "--yes"),
        (&["replace"], "--target-name"),
        (&["replace", "--yes"], "--target-name"),
        (&["replace", "--yes", "--target-name", "another"], &name),
    ];
    for (arguments, named) in cases {
        let refused = app.run(&[&only[..], arguments].concat()).expect(5);
        assert!(refused.stderr.contains(named), "{arguments:?}: {}", refused.stderr);
    }
    let plan = app.run(&[&["--json"], &only[..], &["replace", "--dry-run"]].concat()).expect(0).json();
    let users = plan["collections"].as_array().unwrap().iter().find(|c| c["name"] == "users").unwrap();
    assert_eq!((&users["created"], &users["overwritten"], &users["deleted"]), (&10.into(), &190.into(), &1.into()));
    assert!(picture(server, &name) == before);
    assert_eq!(app.ids().len(), 1);
    assert_eq!(files_below(&app.path("backups/journal")).len(), 0);
}

#[test]
fn a_replaced_database_equals_the_backup_and_its_safety_backup_brings_back_what_was_there() {
    let server = Mongod::standalone();
    let (app, name) = changed(server, 1);
    server.command(&name, doc! {"insert": "unlisted", "documents": [{"_id": 1}]});
    let spoilt = picture(server, &name);
    let report = app.run(&[&["--json"], &words(&replace(&name))[..]].concat()).expect(0).json();
    let collections = report["collections"].as_array().unwrap();
    assert!(collections.len() == 3 && collections.iter().all(|c| c["verified"] == true), "{report}");

    let safety = report["safetyBackup"].as_str().unwrap().to_owned();
    let list = app.run(&["--json", "list"]).expect(0).json();
    assert_eq!(list["backups"][0]["safetyFor"], report["id"]);
    // It is nobody's latest.
    let shown = app.run(&["--json", "show", "latest"]).expect(0).json();
    assert_eq!(shown["id"], report["id"]);
    app.run(&["verify", "--all"]).expect(0);

    let restored = picture(server, &name);
    assert!(restored["unlisted"] == spoilt["unlisted"]);
    assert!(restored["users"] != spoilt["users"]);
    let fresh = fresh_database();
    app.run(&["restore", "latest", "--only", "database", "--into", &format!("hrms={}", at(server, &fresh))]).expect(0);
    for (collection, contents) in picture(server, &fresh) {
        assert!(restored[&collection] == contents, "{collection}");
    }

    let back = ["restore", &safety, "--existing", "replace", "--target-name", &name, "--yes", "--no-safety-backup"];
    app.run(&back).expect(0);
    assert!(picture(server, &name) == spoilt);
    assert_eq!(app.ids().len(), 2);
}

fn at(server: &Mongod, database: &str) -> String {
    let uri = server.uri();
    let (head, options) = uri.split_once("/?").unwrap();
    format!("{head}/{database}?{options}")
}

#[test]
fn a_safety_backup_is_taken_of_the_place_the_data_goes_to() {
    let server = Mongod::standalone();
    let (app, name) = changed(server, 1);
    let beside = fresh_database();
    server.command(&beside, doc! {"insert": "users", "documents": [{"_id": "precious"}]});
    let untouched = picture(server, &name);
    let into = format!("hrms={}", at(server, &beside));
    let replace = replace(&beside);
    let arguments = [&words(&replace)[..], &["--into", &into]].concat();
    let report = app.run(&[&["--json"], &arguments[..]].concat()).expect(0).json();
    assert!(picture(server, &name) == untouched);
    let shown = app.run(&["--json", "show", report["safetyBackup"].as_str().unwrap()]).expect(0).json();
    let collections = shown["components"][0]["collectionsIncluded"].as_array().unwrap();
    assert_eq!((collections.len(), &shown["totals"]["documents"]), (1, &1.into()));
}

/// An application of many collections, so that putting them in place takes a while.
fn many_collections(server: &Mongod, name: &str) -> App {
    let names: Vec<_> = (0..24).map(|n| format!("c{n:02}")).collect();
    for (n, collection) in names.iter().enumerate() {
        let documents: Vec<_> = (0..40 * (n + 1)).map(|id| doc! {"_id": id as i64, "n": (id * n) as i64}).collect();
        server.command(name, doc! {"insert": collection, "documents": documents});
        server.command(name, doc! {"createIndexes": collection, "indexes": [{"key": {"n": 1}, "name": "n"}]});
    }
    let uri = server.uri();
    let app = App::new(&format!(
        "installation: test\nrepository: {{location: ./backups}}\n\
         sources: {{hrms: {{engine: mongodb, uri: \"{uri}\", database: {name}}}}}\n\
         modules: {{core: {{required: true, collections: [{}]}}}}\n",
        names.join(", ")
    ));
    app.run(&["create"]).expect(0);
    app
}

#[test]
#[expect(clippy::print_stdout, reason = "how often the fault fired is part of the result")]
fn a_kill_at_any_moment_of_a_replacement_leaves_each_collection_old_or_new_and_a_rerun_finishes() {
    const KILLS: usize = 20;
    let server = Mongod::replica_set();
    let name = fresh_database();
    let app = many_collections(server, &name);
    let spoil = || {
        for n in 0..24 {
            let update = doc! {"q": {}, "u": {"$set": {"spoilt": true}}, "multi": true};
            server.command(&name, doc! {"update": format!("c{n:02}"), "updates": [update]});
        }
    };
    spoil();
    let old = picture(server, &name);
    let arguments = replace(&name);
    let began = Instant::now();
    app.run(&words(&arguments)).expect(0);
    let whole = began.elapsed();
    let new = picture(server, &name);
    assert!(old.iter().all(|(collection, contents)| new[collection] != *contents));

    let journal = app.path("backups/journal");
    let lines = || -> usize {
        let files = std::fs::read_dir(&journal).unwrap().filter_map(Result::ok);
        files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).map(|text| text.lines().count()).sum()
    };
    let (mut fired, mut between) = (0, 0);
    for kill in 0..KILLS {
        spoil();
        let mut child = app.spawn(&words(&arguments));
        // A little off the even steps, so that runs differ.
        let jitter = began.elapsed().subsec_nanos() % 1000;
        let share = (kill as f64 + f64::from(jitter) / 1000.0) / KILLS as f64;
        if kill % 2 == 0 {
            std::thread::sleep(whole.mul_f64(share));
        } else {
            // Of 24 collections the journal has two lines each, and two lines before.
            let wanted = 2 + (share * 48.0) as usize;
            while lines() < wanted && child.try_wait().unwrap().is_none() {}
        }
        child.kill().unwrap();
        fired += usize::from(ended(child.wait_with_output().unwrap()).code == 137);
        let mut switched = 0;
        let now = picture(server, &name).into_iter().filter(|(name, _)| !name.starts_with("backup-restore."));
        let now: BTreeMap<_, _> = now.collect();
        assert!(now.keys().eq(old.keys()), "kill {kill}");
        for (collection, contents) in &now {
            let is_new = *contents == new[collection];
            assert!(is_new || *contents == old[collection], "kill {kill}: {collection} is neither old nor new");
            switched += usize::from(is_new);
        }
        between += usize::from(switched > 0 && switched < 24);
        let rerun = app.run(&words(&arguments)).expect(0);
        assert!(picture(server, &name) == new, "kill {kill}: {}", rerun.stderr);
        assert_eq!(lines(), 0, "kill {kill}");
        let list = app.run(&["--json", "list"]).expect(0).json();
        assert_eq!(list["interruptedRestores"], serde_json::json!([]), "kill {kill}");
    }
    println!("{fired} of {KILLS} kills hit a running restore, {between} of them between two collections");
    assert!(fired >= KILLS / 2 && between >= 3, "{fired} kills hit, {between} between two collections");
}

#[test]
fn a_restore_killed_between_two_collections_is_listed_and_its_rerun_does_not_redo_what_is_done() {
    let server = Mongod::replica_set();
    let name = fresh_database();
    let app = many_collections(server, &name);
    let arguments = replace(&name);
    let folder = app.path("backups/journal");
    let journal = || -> String {
        let files = std::fs::read_dir(&folder).unwrap().filter_map(Result::ok);
        files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
    };
    let switched = |text: &str| text.lines().filter(|line| line.contains("\"event\":\"switched\"")).count();
    // Putting all in place takes a moment; a kill that came too late is tried again.
    let killed = (0..20).find_map(|_| {
        let mut child = app.spawn(&words(&arguments));
        while switched(&journal()) < 2 && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        let code = ended(child.wait_with_output().unwrap()).code;
        let text = journal();
        (code == 137 && (2..24).contains(&switched(&text))).then_some(text)
    });
    let text = killed.expect("no kill hit the moment");
    let list = app.run(&["--json", "list"]).expect(0).json();
    let unfinished = &list["interruptedRestores"][0];
    assert_eq!(unfinished["switched"].as_u64().unwrap() as usize, switched(&text));
    assert_eq!((&unfinished["steps"], &unfinished["running"]), (&24.into(), &false.into()));
    // What the application writes into a restored collection meanwhile is its own.
    let restored = restored_first(&text);
    server.command(&name, doc! {"insert": &restored, "documents": [{"_id": "written since"}]});
    let report = app.run(&[&["--json"], &words(&arguments)[..]].concat()).expect(0).json();
    assert_eq!(report["collections"].as_array().unwrap().len(), 24);
    let there = server.command(&name, doc! {"count": &restored, "query": {"_id": "written since"}});
    assert_eq!(there.get_i32("n").unwrap(), 1);
    let left: Vec<_> = picture(server, &name).into_keys().filter(|name| name.starts_with("backup-restore")).collect();
    assert_eq!(left, Vec::<String>::new());
}

/// The collection of the first line that says one is in place.
fn restored_first(journal: &str) -> String {
    let line = journal.lines().find(|line| line.contains("\"event\":\"switched\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["outcome"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn files_are_added_merged_and_replaced() {
    for (how, a, deleted) in [("add", "changed", false), ("merge", "one", false), ("replace", "one", true)] {
        let server = Mongod::standalone();
        let (app, _) = changed(server, 1);
        app.write("uploads/acme/documents/a.pdf", b"changed");
        std::fs::remove_file(app.path("uploads/acme/documents/sub/b.pdf")).unwrap();
        app.write("uploads/acme/documents/new/c.pdf", b"new");
        app.write("uploads/birch/documents/d.pdf", b"new");
        let refused = app.run(&["restore", "latest", "--only", "files"]).expect(5);
        assert!(refused.stderr.contains("a.pdf"), "{}", refused.stderr);
        let arguments = ["--json", "restore", "latest", "--only", "files", "--existing", how, "--yes"];
        let report = app.run(&arguments).expect(0).json();
        let there = files_below(&app.path("uploads"));
        let text = |path: &str| there.get(path).map(|body| String::from_utf8_lossy(body).into_owned());
        assert_eq!(text("acme/documents/a.pdf").as_deref(), Some(a), "{how}");
        assert_eq!(text("acme/documents/sub/b.pdf").as_deref(), Some("two"), "{how}");
        assert_eq!(text("acme/other/kept.pdf").as_deref(), Some("not in any module"), "{how}");
        assert_eq!(text("acme/documents/new/c.pdf").is_none(), deleted, "{how}");
        assert_eq!(text("birch/documents/d.pdf").is_none(), deleted, "{how}");
        let counts = |created: u64, overwritten: u64, deleted: u64| serde_json::json!({"created": created, "overwritten": overwritten, "deleted": deleted});
        let expected = match how {
            "add" => counts(1, 0, 0),
            "merge" => counts(1, 1, 0),
            _ => counts(1, 1, 2),
        };
        assert_eq!(report["fileChanges"], expected, "{how}");
        if how == "add" {
            assert_eq!(report["safetyBackup"], serde_json::Value::Null);
            continue;
        }
        let safety = report["safetyBackup"].as_str().unwrap();
        app.run(&["restore", safety, "--files-into", "aside"]).expect(0);
        let aside = files_below(&app.path("aside"));
        assert_eq!(aside["uploads/acme/documents/a.pdf"], b"changed", "{how}");
        assert_eq!(aside["uploads/acme/documents/new/c.pdf"], b"new", "{how}");
    }
}

const CLINIC: &str = r"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
modules:
  core: {required: true, collections: [patients, codes, {name: grown, optional: true}]}
";

#[test]
fn sqlite_tables_are_added_merged_and_replaced() {
    for (how, rows) in [("add", "1|X,2|b,3|c,9|new"), ("merge", "1|a,2|b,3|c,9|new"), ("replace", "1|a,2|b,3|c")] {
        let app = App::new(CLINIC);
        let connection = Connection::open(app.path("clinic.db")).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT);
                 INSERT INTO patients VALUES (1, 'a'), (2, 'b'), (3, 'c');
                 CREATE TABLE codes (k TEXT, n INTEGER, PRIMARY KEY (k, n)) WITHOUT ROWID;
                 INSERT INTO codes VALUES ('x', 1), ('x', 2);
                 CREATE TABLE audit (what TEXT);
                 CREATE TRIGGER noted AFTER INSERT ON patients BEGIN INSERT INTO audit VALUES (new.name); END;",
            )
            .unwrap();
        app.run(&["create"]).expect(0);
        connection
            .execute_batch(
                "UPDATE patients SET name = 'X' WHERE id = 1; DELETE FROM patients WHERE id = 3;
                 INSERT INTO patients VALUES (9, 'new'); DELETE FROM audit; DELETE FROM codes WHERE n = 2;",
            )
            .unwrap();
        drop(connection);
        app.run(&["restore", "latest", "--existing", how, "--dry-run"]).expect(0);
        let arguments = ["--json", "restore", "latest", "--existing", how, "--yes"];
        let named = [&arguments[..], &["--target-name", "clinic"]].concat();
        let report = app.run(if how == "replace" { &named } else { &arguments }).expect(0).json();
        let connection = Connection::open(app.path("clinic.db")).unwrap();
        let read = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(read("SELECT group_concat(id || '|' || name) FROM (SELECT * FROM patients ORDER BY id)"), rows);
        assert_eq!(read("SELECT group_concat(k || n) FROM codes"), "x1,x2", "{how}");
        assert_eq!(read("SELECT count(*) || '' FROM audit"), "0", "{how}: triggers must not run");
        assert_eq!(read("SELECT count(*) || '' FROM sqlite_master WHERE type = 'trigger'"), "1", "{how}");
        let patients = report["collections"].as_array().unwrap().iter().find(|c| c["name"] == "patients").unwrap();
        let expected = match how {
            "add" => (1, 0, 0),
            "merge" => (1, 2, 0),
            _ => (1, 2, 1),
        };
        let counted = |key: &str| patients[key].as_u64().unwrap();
        assert_eq!((counted("created"), counted("overwritten"), counted("deleted")), expected, "{how}");
        assert_eq!(patients["verified"], true);
    }
}

#[test]
fn a_table_with_other_columns_is_merged_never_and_replaced_whole() {
    let app = App::new(CLINIC);
    let connection = Connection::open(app.path("clinic.db")).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE patients (id INTEGER PRIMARY KEY); CREATE TABLE codes (k TEXT PRIMARY KEY);
             CREATE TABLE grown (id INTEGER PRIMARY KEY, a); INSERT INTO grown VALUES (1, 2);",
        )
        .unwrap();
    app.run(&["create"]).expect(0);
    connection.execute_batch("ALTER TABLE grown ADD COLUMN b DEFAULT 5; INSERT INTO grown VALUES (2, 3, 4)").unwrap();
    drop(connection);
    let refused = app.run(&["restore", "latest", "--existing", "merge", "--yes"]).expect(5);
    assert!(refused.stderr.contains("grown") && refused.stderr.contains("columns"), "{}", refused.stderr);
    app.run(&["restore", "latest", "--existing", "replace", "--yes", "--target-name", "clinic"]).expect(0);
    let connection = Connection::open(app.path("clinic.db")).unwrap();
    let grown: String = connection.query_row("SELECT group_concat(id || a) FROM grown", [], |row| row.get(0)).unwrap();
    assert_eq!(grown, "12");
}

#[test]
fn an_interrupted_restore_of_files_is_finished_by_a_rerun_that_may_not_overwrite() {
    let server = Mongod::standalone();
    let name = fresh_database();
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    for n in 0..3000 {
        app.write(&format!("uploads/acme/documents/{n}.pdf"), format!("{n}").as_bytes());
    }
    app.run(&["create"]).expect(0);
    let stored = files_below(&app.path("uploads"));
    let written = || walkdir::WalkDir::new(app.path("uploads")).into_iter().filter(Result::is_ok).count();
    // A kill that came too late is tried again.
    let killed = (0..20).any(|_| {
        std::fs::remove_dir_all(app.path("uploads")).unwrap();
        std::fs::create_dir(app.path("uploads")).unwrap();
        let mut child = app.spawn(&["restore", "latest", "--only", "files"]);
        while written() < 100 && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        ended(child.wait_with_output().unwrap()).code == 137 && files_below(&app.path("uploads")).len() < stored.len()
    });
    assert!(killed, "no kill hit the moment");
    app.run(&["restore", "latest", "--only", "files"]).expect(0);
    assert!(files_below(&app.path("uploads")) == stored);
}
