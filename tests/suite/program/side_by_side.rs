//! Several archives in the making at once: none keeps another back that could go on, and what ends a run ends them all.

use super::stalls::soon;
use crate::support::app::App;
use crate::support::mongod::{Kind, Mongod, fresh_database, until, wait};
use crate::support::proxy::Proxy;
use crate::support::tracer::{Call, Fault, trace};
use mongodb::bson::{Bson, Document, doc};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// An application whose modules `m00`, `m01`, … have a collection each, with so many documents of a kilobyte, behind a
/// proxy; and a folder of extra files.
fn app(server: &Mongod, documents: &[i32]) -> (App, Proxy, String) {
    let (name, proxy) = (fresh_database(), Proxy::before(server.port));
    let mut modules = String::new();
    for (n, count) in documents.iter().enumerate() {
        let collection = server.client().database(&name).collection::<Document>(&format!("c{n:02}"));
        let all: Vec<_> = (0..*count).map(|id| doc! {"_id": id, "pad": "x".repeat(1000)}).collect();
        for some in all.chunks(1000) {
            wait(async { collection.insert_many(some).await.unwrap() });
        }
        modules += &format!("  m{n:02}: {{required: true, collections: [c{n:02}]}}\n");
    }
    let uri = server.uri().replace(&server.port.to_string(), &proxy.port.to_string());
    let app = App::new(&format!(
        "installation: test\nrepository: {{location: ./backups}}\nextraFiles: {{papers: {{paths: [papers]}}}}\n\
         sources: {{hrms: {{engine: mongodb, uri: \"{uri}\", database: {name}}}}}\nmodules:\n{modules}"
    ));
    app.write("papers/early.txt", b"early");
    (app, proxy, name)
}

/// What tar lists of an archive.
fn listed(archive: &Path) -> Vec<String> {
    let output = Command::new("tar").arg("-tzf").arg(archive).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

/// The archives that are in the making, and whether each has its end.
fn in_the_making(app: &App) -> BTreeMap<String, bool> {
    let found = walkdir::WalkDir::new(app.path("backups/staging")).into_iter().flatten();
    let archives = found.filter(|entry| entry.path().to_string_lossy().ends_with(".tar.gz"));
    let of = |entry: walkdir::DirEntry| {
        let name: Vec<_> = entry.path().iter().rev().take(2).map(|part| part.to_string_lossy().into_owned()).collect();
        let name = if entry.depth() == 2 { name[0].clone() } else { format!("{}/{}", name[1], name[0]) };
        (name, listed(entry.path()).iter().any(|entry| entry == ".index.jsonl"))
    };
    archives.map(of).collect()
}

/// The component of a module, or of extra files.
fn component<'m>(manifest: &'m Value, archive: &str) -> &'m Value {
    let components = manifest["components"].as_array().unwrap();
    components.iter().find(|c| c["archive"] == archive).unwrap_or_else(|| panic!("no {archive}: {manifest}"))
}

/// The extra files of a published backup.
fn papers(app: &App, manifest: &Value) -> Vec<String> {
    listed(&app.backup(manifest["id"].as_str().unwrap()).join("papers.tar.gz"))
}

fn holds(papers: &[String], name: &str) -> bool {
    papers.iter().any(|paper| paper.ends_with(name))
}

#[test]
fn an_archive_that_waits_keeps_no_other_back_and_the_manifest_is_in_the_order_of_the_plan() {
    let mut documents = [100; 12];
    documents[0] = 8000;
    let (app, proxy, _) = app(Mongod::replica_set(), &documents);
    let plan = app.run(&["create", "--dry-run", "--json"]).expect(0).json();
    // No other collection brings so much.
    proxy.hold_after(3 << 20);
    let child = app.spawn(&["create", "--json", "--jobs", "2"]);
    proxy.await_held();
    until("the other archives", || in_the_making(&app).values().filter(|is_whole| **is_whole).count() == 12);
    assert!(!in_the_making(&app)["m00/hrms.tar.gz"]);
    proxy.release();
    let made = soon(child).expect(0).json();
    let order = |of: &Value, end: &str| -> Vec<String> {
        let components = of["components"].as_array().unwrap().iter();
        components.map(|component| component["archive"].as_str().unwrap().trim_end_matches(end).to_owned()).collect()
    };
    assert_eq!(order(&made, ".tar.gz"), order(&plan, ""));
    assert_eq!(made["totals"]["documents"], 8000 + 11 * 100);
    app.run(&["verify", "latest"]).expect(0);
}

/// Waits until the server cannot read as of `moment` any more.
fn forget(server: &Mongod, database: &str, moment: &Bson) {
    server.command("admin", doc! {"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 0});
    let concern = doc! {"level": "snapshot", "atClusterTime": moment};
    until("a snapshot that is lost", || {
        server.command(database, doc! {"insert": "noise", "documents": [{}]});
        server.try_command(database, doc! {"find": "c00", "limit": 1, "readConcern": &concern}).is_err()
    });
}

#[test]
fn a_snapshot_that_is_lost_under_two_archives_begins_both_again_and_the_files_beside_them() {
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    let (app, proxy, name) = app(&server, &[9000, 9000, 50]);
    // Both large collections need more than one answer, and have got one.
    proxy.hold_each("getMore");
    let child = app.spawn(&["create", "--json", "--jobs", "4"]);
    proxy.await_held();
    let is_whole = |archive: &str| in_the_making(&app).get(archive).copied();
    until("what is beside them", || {
        is_whole("m02/hrms.tar.gz") == Some(true) && is_whole("papers.tar.gz") == Some(true)
    });
    until("both", || is_whole("m00/hrms.tar.gz").and(is_whole("m01/hrms.tar.gz")).is_some());
    let mut moment = Bson::Null;
    for collection in ["c00", "c01", "c02"] {
        let done = server.command(&name, doc! {"insert": collection, "documents": [{"_id": "late"}]});
        moment = done.get("operationTime").cloned().unwrap();
    }
    app.write("papers/late.txt", b"a late record names it");
    forget(&server, &name, &moment);
    proxy.release();

    let made = soon(child).expect(0).json();
    for (archive, level, documents) in [
        ("m00/hrms.tar.gz", "collection", 9001),
        ("m01/hrms.tar.gz", "collection", 9001),
        ("m02/hrms.tar.gz", "snapshot", 50),
    ] {
        let component = component(&made, archive);
        assert_eq!(component["status"], "complete", "{archive}");
        assert_eq!(component["consistency"]["level"], level, "{archive}");
        assert_eq!(component["collections"][0]["documents"], documents, "{archive}");
    }
    let warnings = made["warnings"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let lost: Vec<_> = warnings.filter(|line| line.contains("lost its snapshot while")).collect();
    assert!(lost.len() == 2 && lost[0].contains("m00/hrms") && lost[1].contains("m01/hrms"), "{lost:?}");
    assert!(holds(&papers(&app, &made), "late.txt"));
    app.run(&["verify", "latest"]).expect(0);
}

#[test]
fn files_wait_for_databases_that_are_not_read_as_of_one_moment() {
    let (app, proxy, _) = app(Mongod::standalone(), &[9000]);
    proxy.hold_each("getMore");
    let child = app.spawn(&["create", "--json", "--jobs", "4"]);
    proxy.await_held();
    app.write("papers/late.txt", b"a record that is not read yet names it");
    assert!(!in_the_making(&app).contains_key("papers.tar.gz"));
    proxy.release();
    let made = soon(child).expect(0).json();
    assert!(holds(&papers(&app, &made), "late.txt"));
}

#[test]
fn a_signal_ends_all_that_are_in_the_making() {
    let (app, proxy, _) = app(Mongod::replica_set(), &[9000, 9000, 9000]);
    proxy.hold_each("getMore");
    let child = app.spawn(&["create", "--jobs", "2"]);
    proxy.await_held();
    until("two archives", || in_the_making(&app).len() >= 2);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    soon(child).expect(143);
    proxy.release();
    assert!(in_the_making(&app).is_empty() && app.ids().is_empty());
}

/// Bytes that do not compress: what is written of them is as much as what is read.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut number = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..bytes).map(|_| number()).collect()
}

#[test]
fn a_disk_that_fails_under_one_archive_ends_the_others() {
    let app = App::new(
        "installation: test\nrepository: {location: ./disk/backups}\nextraFiles: {a: {paths: [a]}, b: {paths: [b]}}\n",
    );
    // At this rate it takes a minute.
    app.write("a/large", &noise(64 << 20));
    app.write("b/small", &noise(4 << 20));
    std::fs::create_dir(app.path("disk")).unwrap();
    let mut has_begun = false;
    let fail = |call: &Call| {
        has_begun |= call.is_on("a.tar.gz");
        (has_begun && call.name == "write" && call.is_on("b.tar.gz")).then_some(Fault::Fail(Errno::EIO))
    };
    let run = trace(&app.command(&["create", "--rate-limit", "1MiB"]), &app.path("disk"), fail);
    assert_eq!(run.hit.len(), 1);
    let ended = run.ended.expect(1);
    assert!(ended.stderr.contains("cannot store") && ended.stderr.contains("b.tar.gz"), "{}", ended.stderr);
    let written = run.calls.iter().filter(|call| call.name == "write" && call.is_on("a.tar.gz"));
    let written: i64 = written.filter_map(|call| call.left).map(|(_, bytes)| bytes).sum();
    assert!(written < 32 << 20, "{written} bytes of the other archive were written");
    assert!(app.ids().is_empty());
}

#[test]
fn a_disk_that_fails_under_one_archive_lets_go_of_another_that_waits_for_a_server() {
    let (app, proxy, _) = app(Mongod::replica_set(), &[9000]);
    // Without being let go it would wait for an hour.
    app.reconfigure("repository:", "timeouts: {idle: 1h}\nrepository:");
    app.run(&["create"]).expect(0);
    app.write("papers/large", &noise(32 << 20));
    proxy.hold_each("getMore");
    let fail = |call: &Call| {
        let is_written = call.name == "write" && call.is_on("papers.tar.gz");
        (is_written && proxy.has_fired()).then_some(Fault::Fail(Errno::EIO))
    };
    // So slow that the server is held long before the last of the files is written.
    let run = trace(&app.command(&["create", "--rate-limit", "8MiB"]), &app.path("backups"), fail);
    assert!(!run.hit.is_empty());
    let ended = run.ended.expect(1);
    assert!(ended.stderr.contains("cannot store") && ended.stderr.contains("papers.tar.gz"), "{}", ended.stderr);
    proxy.release();
    assert_eq!(app.ids().len(), 1);
}

#[test]
fn a_database_that_is_read_keeps_nobody_waiting_while_another_is_read() {
    let (app, proxy, _) = app(Mongod::standalone(), &[9000]);
    let open = || Connection::open(app.path("notes.db")).unwrap();
    open().execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('one')").unwrap();
    app.reconfigure("sources: {", "sources: {local: {engine: sqlite, path: notes.db}, ");
    app.reconfigure("modules:\n", "modules:\n  notes: {required: true, source: local, collections: [notes]}\n");
    app.reconfigure("m00: {", "m00: {source: hrms, ");
    proxy.hold_each("getMore");
    let child = app.spawn(&["create", "--json"]);
    proxy.await_held();
    until("its archive", || in_the_making(&app).get("notes/local.tar.gz") == Some(&true));
    // Without a write-ahead log, whoever reads keeps writers out.
    until("a writer", || open().execute("INSERT INTO notes VALUES ('two')", []).is_ok());
    proxy.release();
    let made = soon(child).expect(0).json();
    assert_eq!(component(&made, "notes/local.tar.gz")["collections"][0]["documents"], 1);
}
