//! Servers that stop answering: every wait has its limit, and the error says whose, on what, and where to change it.

use super::round_trip::{config, picture, seed};
use crate::support::app::{App, Ended, ended};
use crate::support::mongod::{Kind, Mongod, fresh_database};
use crate::support::proxy::Proxy;
use mongodb::bson::doc;
use std::net::TcpListener;
use std::process::Child;
use std::time::{Duration, Instant};

/// An application behind a proxy, whose source is waited for as `timeouts` say.
pub fn behind(server: &Mongod, megabytes: u32, timeouts: &str) -> (App, Proxy, String) {
    let name = fresh_database();
    seed(server, &name, megabytes);
    let proxy = Proxy::before(server.port);
    let through = config(server, &name).replace(&server.port.to_string(), &proxy.port.to_string());
    let app = App::new(&through.replace(&format!("{name}}}"), &format!("{name}, timeouts: {{{timeouts}}}}}")));
    app.write("uploads/acme/documents/a.pdf", b"one");
    (app, proxy, name)
}

/// Waits for a run that a fault must have ended, far earlier than the fault would.
#[track_caller]
pub fn soon(mut child: Child) -> Ended {
    const SOON: Duration = Duration::from_secs(30);
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > SOON {
            child.kill().unwrap();
            panic!("still at work after {SOON:?}: {:?}", ended(child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    ended(child.wait_with_output().unwrap())
}

/// Runs with every answer held from the first request that holds `word` on.
#[track_caller]
fn stalled(app: &App, proxy: &Proxy, word: &'static str, arguments: &[&str]) -> Ended {
    proxy.hold_at(word);
    let child = app.spawn(arguments);
    proxy.await_held();
    let ended = soon(child);
    proxy.release();
    ended
}

#[test]
fn a_port_that_takes_connections_and_says_nothing_is_1_within_the_connect_limit() {
    let server = Mongod::standalone();
    let black_hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = black_hole.local_addr().unwrap().port();
    let uri = format!("mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=600000&connectTimeoutMS=600000");
    let app = App::new(&config(server, "any").replace(&server.uri(), &uri));
    app.reconfigure("database: any}", "database: any, timeouts: {connect: 1s}}");
    let failed = soon(app.spawn(&["create"])).expect(1);
    assert!(failed.stderr.contains("source 'hrms'") && failed.stderr.contains("timeouts.connect"), "{}", failed.stderr);
    assert!(!app.path("backups").exists());
}

#[test]
fn a_server_that_is_found_and_lets_nobody_in_is_1_within_the_connect_limit() {
    let (app, proxy, _) = behind(Mongod::standalone(), 1, "connect: 1s");
    proxy.hold_each("buildInfo");
    let child = app.spawn(&["create"]);
    proxy.await_held();
    let failed = soon(child).expect(1);
    proxy.release();
    assert!(failed.stderr.contains("gave no answer for 2s (timeouts.connect)"), "{}", failed.stderr);
    assert!(!app.path("backups").exists());
}

#[test]
fn one_swallowed_answer_costs_its_collection_alone() {
    let (app, proxy, _) = behind(Mongod::standalone(), 8, "idle: 2s");
    proxy.hold_after(3 << 20);
    let child = app.spawn(&["--json", "create"]);
    proxy.await_held();
    let made = soon(child).expect(3).json();
    proxy.release();
    let errors = made["errors"].to_string();
    for word in ["claims", "source 'hrms' gave no answer for 2s", "timeouts.idle"] {
        assert!(errors.contains(word), "{word}: {errors}");
    }
    let core = made["components"].as_array().unwrap().iter().find(|c| c["module"] == "core").unwrap();
    assert_eq!(core["status"], "complete");
}

#[test]
fn a_dead_server_costs_one_silence_and_not_one_a_collection() {
    let server = Mongod::standalone();
    let (app, proxy, name) = behind(server, 1, "connect: 1s, idle: 8s");
    let more: Vec<_> = (0..20).map(|n| format!("c{n}")).collect();
    for collection in &more {
        server.command(&name, doc! {"insert": collection, "documents": [{"_id": 1}]});
    }
    app.reconfigure("collections: [claims]", &format!("collections: [claims, {}]", more.join(", ")));
    // The driver's own connections go on, so that it believes in the server.
    proxy.hold_each("listIndexes");
    let child = app.spawn(&["create", "--only", "database"]);
    proxy.await_held();
    let failed = soon(child).expect(1);
    proxy.release();
    assert!(failed.stderr.contains("c19") && failed.stderr.contains("timeouts.idle"), "{}", failed.stderr);
}

#[test]
fn the_limit_of_the_whole_read_ends_it_while_the_server_still_may_be_silent() {
    let (app, proxy, _) = behind(Mongod::standalone(), 8, "idle: 10m, total: 4s");
    let failed = stalled(&app, &proxy, "getMore", &["create"]);
    assert!(matches!(failed.code, 1 | 3), "{failed:?}");
    assert!(failed.stderr.contains("more than 4s in all (timeouts.total)"), "{}", failed.stderr);
}

#[test]
fn a_stopped_server_and_a_cut_connection_name_the_collection() {
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    let (app, proxy, _) = behind(&server, 8, "connect: 2s, idle: 2s");
    proxy.cut_after(3 << 20);
    let cut = soon(app.spawn(&["create"]));
    proxy.await_held();
    proxy.release();
    assert!(matches!(cut.code, 1 | 3) && cut.stderr.contains("claims"), "{cut:?}");

    proxy.hold_after(3 << 20);
    let child = app.spawn(&["create"]);
    proxy.await_held();
    server.signal("STOP");
    proxy.release();
    let stopped = soon(child);
    server.signal("CONT");
    assert!(matches!(stopped.code, 1 | 3), "{stopped:?}");
    assert!(stopped.stderr.contains("cannot read claims"), "{}", stopped.stderr);
    app.run(&["create"]).expect(0);
}

#[test]
fn a_restore_into_a_server_that_stops_answering_changes_nothing_and_its_rerun_clears_up() {
    let server = Mongod::replica_set();
    let (app, proxy, name) = behind(server, 8, "idle: 2s");
    app.run(&["create"]).expect(0);
    let before = picture(server, &name);
    let arguments =
        ["restore", "latest", "--only", "database", "--existing", "replace", "--target-name", &name, "--yes"];
    let arguments = [&arguments[..], &["--no-safety-backup"]].concat();
    let failed = stalled(&app, &proxy, "\x02insert\0", &arguments).expect(1);
    for word in ["source 'hrms' gave no answer", "nothing in the target was changed", "backup-restore."] {
        assert!(failed.stderr.contains(word), "{word}: {}", failed.stderr);
    }
    let now = picture(server, &name);
    assert!(before.iter().all(|(collection, contents)| now[collection] == *contents));
    // What could not be dropped is dropped by the next run, which knows of it.
    assert!(now.len() > before.len());
    app.run(&arguments).expect(0);
    assert!(picture(server, &name).keys().eq(before.keys()));
}

#[test]
fn counting_and_comparing_for_a_verification_has_its_limit_too() {
    let (app, proxy, _) = behind(Mongod::standalone(), 1, "connect: 1s, idle: 2s");
    app.reconfigure(
        "claims: {collections: [claims], fileUploads: [documents]",
        "claims: {collections: [claims], relationships: [{parent: users, child: claims, foreignKey: user}]",
    );
    app.run(&["verify-collections"]).expect(0);
    let failed = stalled(&app, &proxy, "$lookup", &["verify-collections"]).expect(1);
    assert!(failed.stderr.contains("source 'hrms' gave no answer"), "{}", failed.stderr);
    assert!(failed.stderr.contains("claims"), "{}", failed.stderr);
}

#[test]
fn a_program_that_gives_no_secret_is_not_waited_for() {
    let app = App::new(&config(Mongod::standalone(), "any"));
    let text = std::fs::read_to_string(app.path("backup.yaml")).unwrap();
    let uri = text.split('"').nth(1).unwrap();
    // The second leaves a child that keeps its output open.
    for command in ["sleep 600", "sleep 600 & exit 0"] {
        let secret = format!("{{command: [sh, -c, '{command}'], timeout: 1s}}");
        app.write("backup.yaml", text.replace(&format!("\"{uri}\""), &secret).as_bytes());
        let failed = soon(app.spawn(&["create"])).expect(2);
        assert!(failed.stderr.contains("gave no secret within 1s"), "{}", failed.stderr);
    }
}
