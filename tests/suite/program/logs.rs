//! Logs: every line, also of what is run around a run and of how it ended, says which run it is of.

use super::notifications::{app, sql};
use crate::support::app::App;
use crate::support::listeners::WebServer;
use serde_json::Value;
use std::collections::BTreeSet;

/// The lines of a run's log, each of which is a document of one run, and that run.
#[track_caller]
fn logged(log: &str) -> (Vec<Value>, String) {
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let run = |line: &Value| line["run"].as_str().unwrap_or_else(|| panic!("{line} names no run")).to_owned();
    let runs: BTreeSet<_> = lines.iter().map(run).collect();
    assert_eq!(runs.len(), 1, "{log}");
    (lines, runs.into_iter().next().unwrap())
}

fn says(lines: &[Value], words: &str) -> Value {
    let found = lines.iter().find(|line| line["message"].as_str().unwrap().contains(words));
    found.unwrap_or_else(|| panic!("{words}: {lines:#?}")).clone()
}

fn create(app: &App, code: i32) -> (Vec<Value>, String) {
    logged(&app.run(&["-vv", "--log-format", "json", "create"]).expect(code).stderr)
}

#[test]
fn every_line_of_a_log_says_which_run_it_is_of() {
    let app = app("");
    sql(&app, "ALTER TABLE colours RENAME TO shades");
    let (lines, first) = create(&app, 3);
    let levels: BTreeSet<_> = lines.iter().map(|line| line["level"].to_string()).collect();
    assert!(levels.len() >= 3, "{levels:?}");
    assert_ne!(first, create(&app, 3).1);
}

#[test]
fn so_do_the_lines_of_programs_and_notifications_and_what_they_are_told() {
    let server = WebServer::new();
    let app = app(&format!(
        "notifications: [{{webhook: 'http://127.0.0.1:{}/', on: [success]}}, {{slack: 'http://127.0.0.1:1/', on: [success], timeout: 1s}}]\n\
         commands: {{before: 'echo first; echo \"$BACKUP_RUN\" > told', after: 'echo last >&2; exit 1'}}",
        server.port
    ));
    app.reconfigure("on: [success], timeout", "on: [partial], timeout");
    app.reconfigure("on: [success]}", "on: [partial]}");
    let (lines, run) = create(&app, 3);
    says(&lines, "before: first");
    says(&lines, "after: last");
    assert_eq!(says(&lines, "command `after` failed")["level"], "WARN");
    assert_eq!(says(&lines, "notification 'slack' did not arrive")["level"], "WARN");
    assert_eq!(std::fs::read_to_string(app.path("told")).unwrap().trim(), run);
    let [told] = &server.take()[..] else { panic!("one message") };
    assert_eq!(told.json()["run"], run.as_str());
}

#[test]
fn the_error_that_a_run_ends_with_is_a_line_of_its_log() {
    let app = app("commands: {before: 'echo the disk is not there; exit 3'}");
    let (lines, _) = create(&app, 1);
    let last = lines.last().unwrap();
    assert_eq!((last["level"].as_str(), last["code"].as_str()), (Some("ERROR"), Some("command")), "{last}");
    assert!(last["message"].as_str().unwrap().contains("command `before` failed: exit status: 3"), "{last}");
    assert!(last["details"].as_str().unwrap().contains("the disk is not there"), "{last}");
    let quiet = app.run(&["-q", "--log-format", "json", "list", "--tenant", "a/b"]).expect(2);
    let (lines, _) = logged(&quiet.stderr);
    assert_eq!((lines.len(), lines[0]["code"].as_str()), (1, Some("config")), "{quiet:?}");
    // Asked for as a document, it is one, and on stdout.
    let both = app.run(&["--json", "--log-format", "json", "show", "nothing"]).expect(2);
    assert_eq!((both.json()["error"]["code"].as_str(), both.stderr.as_str()), (Some("config"), ""));
}
