//! Runs that are stopped, killed or in each other's way: the old repository, or the old one and a whole new backup.

use super::round_trip::{config, seed};
use crate::support::app::{App, ended, files_below};
use crate::support::mongod::{Mongod, fresh_database, until};
use std::process::{Child, Command};

/// An application large enough to be interrupted, and its first backup.
fn busy() -> App {
    let (server, name) = (Mongod::standalone(), fresh_database());
    seed(server, &name, 30);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create", "--module", "core"]).expect(0);
    app
}

/// A run that is in the middle of writing archives, stopped there.
fn halfway(app: &App) -> Child {
    let child = app.spawn(&["create"]);
    let staging = app.path("backups/staging");
    until("writing", || std::fs::read_dir(&staging).unwrap().next().is_some());
    signal(&child, "STOP");
    child
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_second_run_of_a_scope_is_11_and_names_the_holder_while_others_run_beside() {
    let app = busy();
    let first = halfway(&app);
    let refused = app.run(&["create"]).expect(11);
    let holder = format!("process {}", first.id());
    assert!(refused.stderr.contains(&holder) && refused.stderr.contains("since"), "{}", refused.stderr);
    app.run(&["create", "--tenant", "acme"]).expect(0);
    app.run(&["--json", "list"]).expect(0);
    signal(&first, "CONT");
    ended(first.wait_with_output().unwrap()).expect(0);
}

#[test]
fn a_killed_run_leaves_the_old_state_and_the_next_one_cleans_up() {
    let app = busy();
    let old: Vec<_> = files_below(&app.path("backups/daily")).into_iter().collect();
    let child = halfway(&app);
    signal(&child, "KILL");
    ended(child.wait_with_output().unwrap()).expect(137);
    assert_eq!(app.ids().len(), 1);
    let list = app.run(&["--json", "list"]).expect(0).json();
    assert_eq!(list["interrupted"].as_array().unwrap().len(), 1);
    assert!(files_below(&app.path("backups/daily")).into_iter().collect::<Vec<_>>() == old);
    app.run(&["create"]).expect(0);
    let list = app.run(&["--json", "list"]).expect(0).json();
    assert_eq!((list["backups"].as_array().unwrap().len(), &list["interrupted"]), (2, &serde_json::json!([])));
    app.run(&["verify", "--all"]).expect(0);
}

#[test]
fn signals_end_a_run_with_their_code_and_leave_nothing() {
    let app = busy();
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let child = halfway(&app);
        signal(&child, name);
        signal(&child, "CONT");
        ended(child.wait_with_output().unwrap()).expect(code);
        assert_eq!(app.ids().len(), 1, "{name}");
        assert!(std::fs::read_dir(app.path("backups/staging")).unwrap().next().is_none(), "{name}");
    }
}

#[test]
fn of_many_simultaneous_starts_one_works() {
    let app = busy();
    let first = halfway(&app);
    let others: Vec<_> = (0..12).map(|_| app.spawn(&["create"])).collect();
    for other in others {
        ended(other.wait_with_output().unwrap()).expect(11);
    }
    signal(&first, "CONT");
    ended(first.wait_with_output().unwrap()).expect(0);
    assert_eq!(app.ids().len(), 2);
}

#[test]
fn many_first_runs_make_one_repository() {
    let (server, name) = (Mongod::standalone(), fresh_database());
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    let runs: Vec<_> = (0..6).map(|_| app.spawn(&["create", "--wait", "60s"])).collect();
    for run in runs {
        ended(run.wait_with_output().unwrap()).expect(0);
    }
    assert_eq!(app.ids().len(), 6);
    app.run(&["verify", "--all"]).expect(0);
}

#[test]
fn a_closed_output_does_not_cost_the_backup() {
    let app = busy();
    let mut command = app.command(&["create"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(app.ids().len(), 2);
}
