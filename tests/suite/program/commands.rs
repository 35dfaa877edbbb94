//! Programs that are run around a run.

use super::notifications::{app, audit, sql};
use crate::support::app::{App, ended};
use crate::support::listeners::WebServer;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Notes its phase and how the run stands.
const NOTE: &str = "#!/bin/sh\necho \"$BACKUP_PHASE $BACKUP_STATUS $*\" >> noted\n";

fn with(commands: &str) -> App {
    let app = app(commands);
    program(&app, "note", NOTE);
    app
}

fn program(app: &App, name: &str, text: &str) {
    app.write(name, text.as_bytes());
    std::fs::set_permissions(app.path(name), PermissionsExt::from_mode(0o700)).unwrap();
}

/// What was noted since this was asked last.
fn noted(app: &App) -> String {
    let text = std::fs::read_to_string(app.path("noted")).unwrap_or_default();
    let _ = std::fs::remove_file(app.path("noted"));
    text
}

const ALL: &str =
    "commands: {before: [./note, 'a b', '$HOME;'], after: [./note], onFailure: [./note], finally: [./note]}";

#[test]
fn they_come_in_order_and_a_list_of_words_meets_no_shell() {
    let app = with(ALL);
    app.run(&["create"]).expect(0);
    assert_eq!(noted(&app), "before running a b $HOME;\nafter success \nfinally success \n");
    sql(&app, "ALTER TABLE colours RENAME TO shades");
    app.run(&["create"]).expect(3);
    assert_eq!(noted(&app), "before running a b $HOME;\nafter partial \nfinally partial \n");
    std::fs::remove_file(app.path("clinic.db")).unwrap();
    app.run(&["create"]).expect(1);
    assert_eq!(noted(&app), "before running a b $HOME;\nonFailure failed \nfinally failed \n");
    app.run(&["create", "--dry-run"]).expect(1);
    app.run(&["prune"]).expect(0);
    assert_eq!(noted(&app), "", "those of the file go around backups alone");
}

#[test]
fn they_know_the_run_and_no_secret() {
    let app = with("commands: {after: 'env > seen; echo said; echo also >&2', timeout: 1m}");
    let mut command = app.command(&["-v", "create", "--tenant", "acme"]);
    let run =
        ended(command.env("CANARY", "s3cret").env("HOME", "/nowhere").stdin(Stdio::null()).output().unwrap()).expect(0);
    assert!(run.stderr.contains("after: said\n") && run.stderr.contains("after: also\n"), "{run:?}");
    let seen = std::fs::read_to_string(app.path("seen")).unwrap();
    let id = app.ids().remove(0);
    let file = app.path("backup.yaml").canonicalize().unwrap();
    for line in [
        "BACKUP_INSTALLATION=clinic".to_owned(),
        "BACKUP_OPERATION=create".into(),
        "BACKUP_STATUS=success".into(),
        "BACKUP_TENANT=acme".into(),
        "BACKUP_TYPE=daily".into(),
        "BACKUP_PHASE=after".into(),
        "HOME=/nowhere".into(),
        format!("BACKUP_ID={id}"),
        format!("BACKUP_CONFIG={}", file.display()),
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line}\n{seen}");
    }
    assert!(!seen.contains("CANARY") && !seen.contains("BACKUP_JOB"), "{seen}");
}

#[test]
fn a_job_has_its_own_and_else_those_of_the_file() {
    let app = with(ALL);
    app.reconfigure(
        "nightly: {create: {}}",
        "nightly: {create: {}, commands: {after: 'echo own $BACKUP_JOB >> noted'}}",
    );
    app.reconfigure("cleanup: {prune: {}}", "cleanup: {prune: {}, commands: {finally: [./note]}}");
    app.run(&["run", "nightly"]).expect(0);
    assert_eq!(noted(&app), "before running a b $HOME;\nown nightly\nfinally success \n");
    app.run(&["run", "cleanup"]).expect(0);
    assert_eq!(noted(&app), "finally success \n");
}

#[test]
fn where_before_fails_nothing_is_backed_up() {
    let server = WebServer::new();
    let hook = format!("\nnotifications: [{{webhook: 'http://127.0.0.1:{}/', on: [started, failed]}}]", server.port);
    let commands = "commands: {before: 'echo the disk is not there; exit 3', onFailure: [./note], finally: [./note]}";
    let app = with(&(commands.to_owned() + &hook));
    let run = app.run(&["create"]).expect(1);
    assert!(run.stderr.contains("command `before` failed: exit status: 3"), "{run:?}");
    assert!(run.stderr.contains("the disk is not there"), "{run:?}");
    assert_eq!(noted(&app), "onFailure failed \nfinally failed \n");
    assert!(!app.path("backups").exists());
    let [told] = &server.take()[..] else { panic!("no start is told of") };
    assert_eq!((&told.json()["type"], &told.json()["operation"]), (&"failed".into(), &"create".into()));
    assert!(!told.body.contains("the disk is not there"), "what a program prints may be anything");
    app.reconfigure("'echo the disk is not there; exit 3'", "[./no-such-program]");
    let run = app.run(&["create"]).expect(1);
    assert!(run.stderr.contains("command `before` cannot be started") && run.stderr.contains("Hint:"), "{run:?}");
}

#[test]
fn where_before_fails_the_run_is_on_record_and_the_next_success_is_a_recovery() {
    let server = WebServer::new();
    let hook = format!("\nnotifications: [{{webhook: 'http://127.0.0.1:{}/', on: [failed, recovered]}}]", server.port);
    let app = with(&("commands: {before: 'true'}\nalerts: {consecutiveFailures: 2}".to_owned() + &hook));
    app.reconfigure("installation: clinic", "installation: clinic\nmetrics: {textfile: backup.prom}");
    app.run_at("2026-01-01T02:00:00Z", &["create", "--tenant", "acme"]).expect(0);
    app.run_at("2026-01-01T02:00:00Z", &["create"]).expect(0);
    app.reconfigure("'true'", "'echo s3cret; exit 3'");
    let first = app.run_at("2026-01-02T02:00:00Z", &["create"]).expect(1);
    assert!(!first.stderr.contains("did not make a whole backup"), "{first:?}");
    let second = app.run_at("2026-01-03T02:00:00Z", &["create", "--type", "weekly"]).expect(1);
    assert!(second.stderr.contains("the last 2 runs of system-wide did not make a whole backup"), "{second:?}");

    let listed = app.run(&["--json", "list"]).expect(0).json();
    let failed = &listed["failed"];
    assert_eq!((failed.as_array().unwrap().len(), &failed[0]["type"]), (2, &"weekly".into()));
    assert_eq!(failed[0]["timestamp"], "2026-01-03T02:00:00Z");
    let why = failed[0]["errors"].to_string();
    assert!(why.contains("command `before` failed: exit status: 3"), "{why}");
    assert!(!why.contains("s3cret"), "what a program prints may be anything");
    assert_eq!(app.run(&["--json", "stats"]).expect(0).json()["failedRuns"], 2);
    let metrics = std::fs::read_to_string(app.path("backup.prom")).unwrap();
    assert!(metrics.contains("\nbackup_failed_runs 2\n"), "{metrics}");
    let doctor = app.run_at("2026-01-03T03:00:00Z", &["--json", "doctor"]).stdout;
    assert!(doctor.contains("the newest run") && doctor.contains("command `before` failed"), "{doctor}");
    let line = audit(&app).lines().last().unwrap().to_owned();
    assert!(line.contains(failed[0]["id"].as_str().unwrap()) && line.contains(r#""result":"failed""#), "{line}");
    assert_eq!(server.types(), ["failed", "failed"]);

    // Each tenant that the run was for has a record, too.
    app.run_at("2026-01-03T04:00:00Z", &["run", "tenants"]).expect(1);
    let of_tenants = app.run(&["--json", "list"]).expect(0).json()["failed"].to_string();
    assert!(of_tenants.contains("tenant-acme-backup-2026-01-03") && of_tenants.contains("tenant-birch-backup-2026-01"));
    app.reconfigure("'echo s3cret; exit 3'", "'true'");
    app.run_at("2026-01-04T02:00:00Z", &["create"]).expect(0);
    app.run_at("2026-01-04T02:00:00Z", &["create", "--tenant", "acme"]).expect(0);
    assert_eq!(server.types(), ["failed", "recovered", "recovered"]);
}

#[test]
fn where_the_source_of_many_tenants_cannot_be_opened_each_of_them_has_a_record() {
    let app = with("");
    app.run(&["run", "tenants"]).expect(0);
    std::fs::rename(app.path("clinic.db"), app.path("elsewhere.db")).unwrap();
    app.run_at("2026-01-03T04:00:00Z", &["run", "tenants"]).expect(1);
    let failed = app.run(&["--json", "list"]).expect(0).json()["failed"].clone();
    let mut of: Vec<_> = failed.as_array().unwrap().iter().map(|run| run["tenantId"].as_str().unwrap()).collect();
    of.sort_unstable();
    assert_eq!(of, ["acme", "birch"]);
    assert!(failed[0]["errors"].to_string().contains("cannot open source"), "{failed}");
}

#[test]
fn where_before_fails_while_another_run_is_at_work_that_one_is_left_alone() {
    let app = with("commands: {before: 'test ! -e broken'}");
    app.run(&["create"]).expect(0);
    // What a run at work holds. Whoever waited for it as long as it is told to would not end within this test.
    let holder = std::fs::File::create(app.path("backups/locks/system.lock")).unwrap();
    holder.try_lock().unwrap();
    app.write("broken", b"");
    let run = app.run(&["--wait", "1h", "create"]).expect(1);
    assert!(run.stderr.contains("the failure of system-wide could not be recorded"), "{run:?}");
    assert_eq!(app.run(&["--json", "list"]).expect(0).json()["failed"].as_array().unwrap().len(), 0);
}

#[test]
fn exit_code_75_of_before_skips_the_run_in_silence() {
    let server = WebServer::new();
    let ping = format!("\nnotifications: [{{healthcheck: 'http://127.0.0.1:{}/'}}]", server.port);
    let app = with(&("commands: {finally: [./note]}".to_owned() + &ping));
    app.run(&["create"]).expect(0);
    let before = (app.ids(), server.take().len(), noted(&app));
    assert_eq!(before.1, 2);
    app.reconfigure("commands: {", "commands: {before: 'exit 75', after: [./note], onFailure: [./note], ");
    let run = app.run(&["-q", "run", "nightly"]).expect(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    assert_eq!(noted(&app), "finally skipped \n");
    assert_eq!((app.ids(), server.take().len()), (before.0, 0));
    let line = audit(&app).lines().last().unwrap().to_owned();
    assert!(line.contains(r#""action":"create","subject":"nightly","result":"skipped""#), "{line}");
    let run = app.run(&["--json", "create"]).expect(0);
    assert_eq!(run.json()["skipped"], true);
}

#[test]
fn what_fails_after_a_backup_makes_the_run_partial_and_is_told() {
    let server = WebServer::new();
    let hook = format!("\nnotifications: [{{webhook: 'http://127.0.0.1:{}/'}}]", server.port);
    for phase in ["after", "finally"] {
        let app = with(&format!("commands: {{{phase}: 'echo no such bucket; exit 1'}}{hook}"));
        let run = app.run(&["-q", "create"]).expect(3);
        let what = format!("command `{phase}` failed: exit status: 1");
        assert!(run.stderr.contains(&what) && run.stderr.contains("no such bucket"), "{run:?}");
        assert_eq!(
            app.run(&["--json", "list"]).json()["backups"][0]["status"],
            "success",
            "the backup itself is whole"
        );
        let [told] = &server.take()[..] else { panic!("one message") };
        assert_eq!(told.json()["type"], "partial");
        assert!(told.json()["errors"][0].as_str().unwrap().contains(&what));
    }
}

#[test]
fn config_show_names_the_programs_and_hides_what_they_are_given() {
    let shell = "before: 'curl -u u:s3cret https://h'";
    let words = "after: [./note, --token, s3cret], onFailure: [./note]";
    let app = with(&format!("commands: {{{shell}, {words}}}"));
    app.reconfigure("cleanup: {prune: {}}", "cleanup: {prune: {}, commands: {finally: 'echo s3cret'}}");
    let shown = app.run(&["config", "show"]).expect(0).stdout;
    assert!(!shown.contains("s3cret"), "{shown}");
    let shown = app.run(&["--json", "config", "show"]).expect(0).json();
    let commands = serde_json::json!({
        "before": "***", "after": ["./note", "***"], "onFailure": ["./note"], "timeout": shown["commands"]["timeout"],
    });
    assert_eq!(shown["commands"], commands);
    assert_eq!(shown["jobs"]["cleanup"]["commands"]["finally"], "***");
}

/// Whether the process whose number a file holds is gone.
fn is_gone(app: &App, file: &str) -> bool {
    let number = std::fs::read_to_string(app.path(file)).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", number.trim())).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes the number of a process that it has started, and never ends.
const HANGS: &str = "#!/bin/sh\nsleep 1000 &\necho $! > number.new\nmv number.new number\nwait\n";

#[test]
fn one_that_takes_too_long_is_ended_with_all_it_has_started() {
    let app = with("commands: {before: [./hangs], finally: [./note], timeout: 2s}");
    program(&app, "hangs", HANGS);
    let run = app.run(&["create"]).expect(1);
    assert!(run.stderr.contains("command `before` took longer than 2s (`commands.timeout`)"), "{run:?}");
    until("the end of what it has started", || is_gone(&app, "number"));
    assert_eq!(noted(&app), "finally failed \n");
}

#[test]
fn what_one_has_started_may_put_things_right_before_it_is_killed() {
    // The shell is gone at once, its child needs a while for its last words.
    let app = with("commands: {before: './tidies & wait', finally: [./note], timeout: 3s}");
    program(
        &app,
        "tidies",
        "#!/bin/sh\ntrap 'sleep 0.5; echo tidied > tidied; exit' TERM\necho $$ > number\nwhile :; do sleep 0.1; done\n",
    );
    let run = app.run(&["create"]).expect(1);
    assert!(run.stderr.contains("took longer than 3s"), "{run:?}");
    assert!(app.path("tidied").exists(), "it was killed while it put things right");
    assert!(is_gone(&app, "number"));
    assert_eq!(noted(&app), "finally failed \n");
}

#[test]
fn a_signal_ends_before_and_then_finally_is_run() {
    let server = WebServer::new();
    let hook = format!("\nnotifications: [{{webhook: 'http://127.0.0.1:{}/'}}]", server.port);
    let app = with(&("commands: {before: [./hangs], onFailure: [./note], finally: [./note]}".to_owned() + &hook));
    program(&app, "hangs", HANGS);
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let child = app.spawn(&["create"]);
        until("the program", || app.path("number").exists());
        assert!(Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap().success());
        let run = ended(child.wait_with_output().unwrap()).expect(code);
        assert!(run.stderr.contains("ended by signal"), "{run:?}");
        until("the end of what it has started", || is_gone(&app, "number"));
        assert_eq!(noted(&app), "onFailure failed \nfinally failed \n");
        assert_eq!(server.types(), ["failed"]);
        std::fs::remove_file(app.path("number")).unwrap();
    }
}

#[test]
fn a_signal_does_not_end_what_puts_things_right_again() {
    // `finally` waits until the signal has been sent.
    let app = with("commands: {finally: 'echo > there; while ! [ -e go ]; do sleep 0.05; done; echo done >> noted'}");
    let child = app.spawn(&["create"]);
    until("finally", || app.path("there").exists());
    assert!(Command::new("kill").args(["-TERM".to_owned(), child.id().to_string()]).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(200));
    app.write("go", b"");
    ended(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(noted(&app), "done\n");
}
