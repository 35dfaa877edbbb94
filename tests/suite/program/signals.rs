//! Signals in every phase: the run ends soon, with its code, and leaves nothing behind, here or on the server.

use super::round_trip::picture;
use super::stalls::{behind, soon};
use crate::support::app::{App, ended};
use crate::support::mongod::{Kind, Mongod, until};
use mongodb::bson::{Document, doc};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap().success());
}

fn names_in(app: &App, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(app.path(folder)).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The answer to an aggregation over the server itself.
fn asked(server: &Mongod, stages: Vec<Document>) -> Vec<Document> {
    let reply = server.command("admin", doc! {"aggregate": 1, "pipeline": stages, "cursor": {"batchSize": 10_000}});
    let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    batch.iter().map(|line| line.as_document().unwrap().clone()).collect()
}

/// Cursors on a collection, at work or idle.
fn cursors(server: &Mongod, namespace: &str) -> Vec<Document> {
    let all = doc! {"$currentOp": {"allUsers": true, "idleCursors": true}};
    asked(server, vec![all, doc! {"$match": {"ns": namespace, "cursor": {"$exists": true}}}])
}

/// Sessions that have not ended, once the server has brought its books up to date.
fn sessions(server: &Mongod) -> i32 {
    server.command("admin", doc! {"refreshLogicalSessionCacheNow": 1});
    server.command("config", doc! {"count": "system.sessions"}).get_i32("n").unwrap()
}

#[test]
fn in_every_phase_of_a_backup_a_signal_ends_it_and_leaves_a_record_alone() {
    let (app, proxy, _) = behind(Mongod::replica_set(), 8, "idle: 10m");
    app.run(&["create"]).expect(0);
    let phases = [
        ("connecting", "buildInfo", "INT", 130),
        ("planning", "collStats", "HUP", 129),
        ("reading", "getMore", "TERM", 143),
    ];
    for (at, word, number, code) in phases {
        let failed = names_in(&app, "backups/metadata/failed").len();
        proxy.hold_at(word);
        let child = app.spawn(&["create"]);
        proxy.await_held();
        signal(&child, number);
        let stopped = soon(child).expect(code);
        proxy.release();
        assert!(stopped.stderr.contains("ended by signal"), "{at}: {}", stopped.stderr);
        assert_eq!(names_in(&app, "backups/staging"), Vec::<String>::new(), "{at}");
        assert_eq!(names_in(&app, "backups/metadata/failed").len(), failed + 1, "{at}");
        assert_eq!(app.ids().len(), 1, "{at}");
    }
    app.run(&["create"]).expect(0);
}

#[test]
fn a_signal_while_a_snapshot_is_read_ends_its_cursors_and_sessions_on_the_server() {
    // Of its own, because every client of a server opens sessions.
    let server = Mongod::start(Kind::ReplicaSet, &["--setParameter", "enableTestCommands=1"]);
    let (app, proxy, name) = behind(&server, 8, "idle: 10m");
    let namespace = format!("{name}.claims");
    // Whoever asks has a session too, from the first question on.
    assert!(cursors(&server, &namespace).is_empty());
    let before = sessions(&server);
    proxy.hold_after(3 << 20);
    let child = app.spawn(&["create"]);
    proxy.await_held();
    assert!(!cursors(&server, &namespace).is_empty() && sessions(&server) > before, "nothing to be closed is open");
    signal(&child, "TERM");
    soon(child).expect(143);
    assert_eq!(cursors(&server, &namespace), Vec::new());
    until("its sessions to be ended", || sessions(&server) <= before);
    proxy.release();
}

#[test]
fn a_signal_while_a_restore_stages_changes_nothing_and_leaves_nothing() {
    let server = Mongod::replica_set();
    let (app, proxy, name) = behind(server, 8, "idle: 10m");
    app.run(&["create"]).expect(0);
    let before = picture(server, &name);
    let arguments =
        ["restore", "latest", "--only", "database", "--existing", "replace", "--target-name", &name, "--yes"];
    // An insert is on its way. Dropped before it arrives, its collection would be made anew by it.
    proxy.hold_request("\x02insert\0");
    let mut child = app.spawn(&arguments);
    proxy.await_held();
    signal(&child, "TERM");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        assert!(child.try_wait().unwrap().is_none(), "the write under way is not waited for");
        std::thread::sleep(Duration::from_millis(10));
    }
    proxy.release();
    soon(child).expect(143);
    // Where the server took longer than the write is waited for, it is left in staging, and the journal knows.
    let (staged, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        picture(server, &name).into_iter().partition(|(collection, _)| collection.starts_with("backup-restore"));
    assert!(rest == before);
    assert_eq!(names_in(&app, "backups/journal").is_empty(), staged.is_empty(), "{:?}", staged.keys());
    app.run(&arguments).expect(0);
    assert!(picture(server, &name) == before);
    assert_eq!(names_in(&app, "backups/journal"), Vec::<String>::new());
}

#[test]
fn a_signal_while_the_server_does_not_say_whether_it_switched_is_6_and_a_rerun_finishes() {
    let server = Mongod::replica_set();
    let (app, proxy, name) = behind(server, 1, "idle: 10m");
    app.run(&["create"]).expect(0);
    let stored = picture(server, &name);
    server
        .command(&name, doc! {"update": "users", "updates": [{"q": {}, "u": {"$set": {"spoilt": 1}}, "multi": true}]});
    let arguments =
        ["restore", "latest", "--only", "database", "--existing", "replace", "--target-name", &name, "--yes"];
    proxy.hold_at("renameCollection");
    let child = app.spawn(&arguments);
    proxy.await_held();
    signal(&child, "TERM");
    let stopped = soon(child).expect(6);
    proxy.release();
    assert!(stopped.stderr.contains("run the same command again"), "{}", stopped.stderr);
    app.run(&arguments).expect(0);
    assert!(picture(server, &name) == stored);
}

#[test]
fn whoever_waits_for_a_lock_says_for_whom_and_a_signal_ends_the_wait() {
    let (app, proxy, _) = behind(Mongod::standalone(), 8, "idle: 10m");
    app.run(&["create", "--module", "core"]).expect(0);
    let id = app.ids().remove(0);
    proxy.hold_at("getMore");
    let holder = app.spawn(&["create"]);
    proxy.await_held();
    let named = format!("process {}", holder.id());
    for arguments in [&["create"][..], &["prune", "--yes"], &["forget", &id, "--yes"]] {
        let mut waiting = app.spawn(&[arguments, &["--wait", "10m"]].concat());
        let mut line = String::new();
        BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("waiting") && line.contains(&named), "{arguments:?}: {line}");
        signal(&waiting, "TERM");
        soon(waiting).expect(143);
    }
    proxy.release();
    ended(holder.wait_with_output().unwrap()).expect(0);
}

#[test]
fn a_second_signal_ends_a_run_that_cannot_end_in_order() {
    let (app, _proxy, _) = behind(Mongod::standalone(), 1, "idle: 10m");
    app.run(&["create"]).expect(0);
    // A key that nobody ever writes: opening the pipe does not return, as with a disk that hangs.
    assert!(Command::new("mkfifo").arg(app.path("key")).status().unwrap().success());
    let mut child = app.spawn(&["verify", "--all", "--identity", "key"]);
    until("waiting for the file", || {
        std::fs::read_to_string(format!("/proc/{}/wchan", child.id()))
            .is_ok_and(|at| at.contains("fifo") || at.contains("pipe"))
            || std::fs::read_to_string(format!("/proc/{}/syscall", child.id()))
                .is_ok_and(|call| call.starts_with("257 "))
    });
    signal(&child, "TERM");
    // The first one is only noted: it is sent until the run ends.
    until("ended", || {
        let ended = child.try_wait().unwrap().is_some();
        if !ended {
            signal(&child, "TERM");
        }
        ended
    });
    ended(child.wait_with_output().unwrap()).expect(143);
}
