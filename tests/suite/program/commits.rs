//! Runs that are stopped, killed or in each other's way: the old repository, or the old one and a whole new backup.

use super::round_trip::{config, seed};
use crate::support::app::{App, ended, files_below};
use crate::support::mongod::{Mongod, fresh_database};
use crate::support::proxy::Proxy;
use std::process::{Child, Command};

/// An application whose claims take a while, and its first backup, of the other module.
struct Busy {
    app: App,
    proxy: Proxy,
}

fn busy() -> Busy {
    let (server, name) = (Mongod::standalone(), fresh_database());
    seed(server, &name, 8);
    let proxy = Proxy::before(server.port);
    let through = config(server, &name).replace(&server.port.to_string(), &proxy.port.to_string());
    let app = App::new(&through);
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create", "--module", "core"]).expect(0);
    Busy { app, proxy }
}

impl Busy {
    /// A run that is in the middle of reading claims: the server's answer is held.
    fn halfway(&self) -> Child {
        self.proxy.hold_after(3 << 20);
        let child = self.app.spawn(&["create"]);
        self.proxy.await_held();
        assert!(std::fs::read_dir(self.app.path("backups/staging")).unwrap().next().is_some());
        child
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_second_run_of_a_scope_is_11_and_names_the_holder_while_others_run_beside() {
    let busy = busy();
    let (app, first) = (&busy.app, busy.halfway());
    let refused = app.run(&["create"]).expect(11);
    let holder = format!("process {}", first.id());
    assert!(refused.stderr.contains(&holder) && refused.stderr.contains("since"), "{}", refused.stderr);
    app.run(&["create", "--tenant", "acme"]).expect(0);
    app.run(&["--json", "list"]).expect(0);
    busy.proxy.release();
    ended(first.wait_with_output().unwrap()).expect(0);
}

#[test]
fn a_killed_run_leaves_the_old_state_and_the_next_one_cleans_up() {
    let busy = busy();
    let app = &busy.app;
    let old: Vec<_> = files_below(&app.path("backups/daily")).into_iter().collect();
    let child = busy.halfway();
    signal(&child, "KILL");
    ended(child.wait_with_output().unwrap()).expect(137);
    busy.proxy.release();
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
    let busy = busy();
    let app = &busy.app;
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let child = busy.halfway();
        // The server still answers nothing: the run must end all the same.
        signal(&child, name);
        ended(child.wait_with_output().unwrap()).expect(code);
        busy.proxy.release();
        assert_eq!(app.ids().len(), 1, "{name}");
        assert!(std::fs::read_dir(app.path("backups/staging")).unwrap().next().is_none(), "{name}");
    }
}

#[test]
fn of_many_simultaneous_starts_one_works() {
    let busy = busy();
    let (app, first) = (&busy.app, busy.halfway());
    let others: Vec<_> = (0..12).map(|_| app.spawn(&["create"])).collect();
    for other in others {
        ended(other.wait_with_output().unwrap()).expect(11);
    }
    busy.proxy.release();
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
    let app = &busy().app;
    let mut command = app.command(&["create"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(app.ids().len(), 2);
}
