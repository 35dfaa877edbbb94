//! What goes around runs of every kind: commands, messages and records, whatever becomes of the run.

use super::notifications::{app, audit, sql};
use crate::support::app::App;
use crate::support::listeners::WebServer;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

const JOBS: &str = "jobs: {nightly: {create: {}}, cleanup: {prune: {}}, tenants: {create: {allTenants: true}}}";

/// The ids of tenants whose runs are on record as failed.
fn failed(app: &App) -> Vec<String> {
    let failed = app.run(&["--json", "list"]).expect(0).json()["failed"].clone();
    let mut of: Vec<_> =
        failed.as_array().unwrap().iter().map(|run| run["tenantId"].as_str().unwrap_or("").to_owned()).collect();
    of.sort_unstable();
    of
}

#[test]
fn jobs_of_every_kind_have_their_commands_and_are_told_of_by_name() {
    let server = WebServer::new();
    let at = format!("http://127.0.0.1:{}", server.port);
    let names = "[backup, proof, look, tidy, keys]";
    let app = app(&format!(
        "notifications: [{{webhook: '{at}/hook', on: [started, success], jobs: {names}}}, {{healthcheck: '{at}/ping', jobs: {names}}}]"
    ));
    app.reconfigure(
        "repository: {location: ./backups}",
        "repository: {location: ./backups, encryption: {recipientsFile: recipients.txt, identities: [own.key]}}",
    );
    app.run(&["key", "generate", "own.key", "--recipients", "recipients.txt"]).expect(0);
    let around = "commands: {before: 'echo $BACKUP_PHASE $BACKUP_JOB $BACKUP_OPERATION >> noted', finally: 'echo $BACKUP_PHASE $BACKUP_STATUS >> noted'}";
    let kinds = [
        ("backup", "create: {}", "create"),
        ("proof", "verify: {backups: latest}", "verify"),
        ("look", "verifyCollections: {}", "verify-collections"),
        ("tidy", "prune: {}", "prune"),
        ("keys", "keyRotation: {}", "key-rotate"),
    ];
    let jobs = kinds.map(|(job, kind, _)| format!("{job}: {{{kind}, {around}}}")).join(", ");
    app.reconfigure(JOBS, &format!("jobs: {{{jobs}}}"));
    for (job, _, operation) in kinds {
        app.run(&["run", job]).expect(0);
        let noted = std::fs::read_to_string(app.path("noted")).unwrap_or_default();
        assert_eq!(noted, format!("before {job} {operation}\nfinally success\n"));
        std::fs::remove_file(app.path("noted")).unwrap();
        let told = server.take();
        let (pings, messages): (Vec<_>, Vec<_>) = told.iter().partition(|request| request.path.starts_with("/ping"));
        let pings: BTreeSet<_> = pings.iter().map(|request| request.path.as_str()).collect();
        assert_eq!(pings, BTreeSet::from(["/ping", "/ping/start"]), "{job}");
        let messages: Vec<_> = messages.iter().map(|request| request.json()).collect();
        let types: Vec<_> = messages.iter().map(|message| message["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["started", "success"], "{job}");
        for message in &messages {
            assert_eq!((&message["job"], &message["operation"]), (&job.into(), &operation.into()));
        }
    }
    // By hand they are no jobs.
    app.run(&["verify", "latest"]).expect(0);
    app.run(&["key", "rotate"]).expect(0);
    assert!(server.take().is_empty() && !app.path("noted").exists());
}

#[test]
fn where_tenants_cannot_be_looked_up_each_that_is_known_has_a_record() {
    let app = app("alerts: {consecutiveFailures: 2}");
    sql(&app, "CREATE TABLE orgs (id TEXT); INSERT INTO orgs VALUES ('cedar'), ('birch')");
    app.reconfigure(
        "tenants: {acme: {}, birch: {}}",
        "tenants: {acme: {}}, discover: {source: clinic, collection: orgs, id: id}",
    );
    app.run_at("2026-01-01T02:00:00Z", &["create", "--tenant", "cedar"]).expect(0);
    std::fs::rename(app.path("clinic.db"), app.path("away.db")).unwrap();
    // All that the configuration or the repository knows.
    app.run_at("2026-01-02T02:00:00Z", &["create", "--all-tenants"]).expect(1);
    assert_eq!(failed(&app), ["acme", "cedar"]);
    let audit = audit(&app);
    let lines =
        audit.lines().filter(|line| line.contains(r#""action":"create""#) && line.contains(r#""result":"failed""#));
    assert_eq!(lines.count(), 2, "{audit}");
    // Those that are asked for, whoever knows them.
    let again = app.run_at("2026-01-03T02:00:00Z", &["create", "--tenant", "cedar"]).expect(1);
    assert!(again.stderr.contains("the last 2 runs of tenant cedar did not make a whole backup"), "{again:?}");
    app.write("some", b"birch\nacme\n");
    app.run_at("2026-01-04T02:00:00Z", &["create", "--tenants-file", "some"]).expect(1);
    let all = app.run_at("2026-01-05T02:00:00Z", &["run", "tenants"]).expect(1);
    for of in ["tenant acme", "tenant cedar"] {
        assert!(all.stderr.contains(&format!("the last 3 runs of {of} did not make a whole backup")), "{all:?}");
    }
    let recorded = ["acme", "acme", "acme", "birch", "cedar", "cedar", "cedar"];
    assert_eq!(failed(&app), recorded);
    // A slip of the pen is no tenant.
    std::fs::rename(app.path("away.db"), app.path("clinic.db")).unwrap();
    app.run(&["create", "--tenant", "cedat"]).expect(10);
    app.write("some", b"cedat\nacme\n");
    app.run_at("2026-01-06T02:00:00Z", &["create", "--tenants-file", "some"]).expect(10);
    assert_eq!(failed(&app), [&recorded[..1], &recorded[..]].concat());
}

#[test]
fn a_skipped_run_is_counted_and_is_no_success() {
    let app = app("metrics: {textfile: backup.prom}\ncommands: {before: 'test ! -e later || exit 75'}");
    app.run_at("2026-01-10T02:00:00Z", &["create"]).expect(0);
    app.write("later", b"");
    app.run_at("2026-01-11T02:00:00Z", &["create"]).expect(0);
    let text = std::fs::read_to_string(app.path("backup.prom")).unwrap();
    for line in [
        "backup_runs_total{operation=\"create\"} 2",
        "backup_run_failures_total{operation=\"create\"} 0",
        "backup_last_run_timestamp_seconds{operation=\"create\"} 1768096800",
        "backup_last_success_timestamp_seconds{operation=\"create\"} 1768010400",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn a_skipped_run_whose_finally_fails_is_told() {
    let server = WebServer::new();
    let hook = format!("notifications: [{{webhook: 'http://127.0.0.1:{}/'}}]", server.port);
    let app = app(&format!("commands: {{before: 'exit 75', finally: 'exit 9'}}\n{hook}"));
    app.run(&["-q", "create"]).expect(3);
    let [told] = &server.take()[..] else { panic!("one message") };
    let told = told.json();
    assert_eq!((&told["type"], &told["status"]), (&"partial".into(), &"skipped".into()));
    assert!(told["errors"][0].as_str().unwrap().contains("command `finally` failed: exit status: 9"), "{told}");
}

#[test]
fn a_job_says_each_warning_of_the_configuration_once() {
    let app = app("notifications: [{webhook: 'http://127.0.0.1:1/', secret: s3cret, on: [deleted]}]");
    app.run(&["create"]).expect(0);
    std::fs::set_permissions(app.path("backup.yaml"), PermissionsExt::from_mode(0o644)).unwrap();
    for job in [&["run", "cleanup"][..], &["run", "nightly"], &["create"]] {
        let run = app.run(job).expect(0);
        assert_eq!(run.stderr.matches("run `chmod 600").count(), 1, "{run:?}");
    }
}
