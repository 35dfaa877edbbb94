//! The file of metrics, read by a strict parser of the format.

use super::invented::{backup, clinic, repository, verified, write};
use crate::support::app::App;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Series with its labels → value. Strict: what Prometheus would refuse or warn of ends the test.
#[track_caller]
fn parsed(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'), "the last line is cut: {text:?}");
    let (mut series, mut seen, mut current) = (BTreeMap::new(), BTreeSet::new(), String::new());
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && name.starts_with("backup_") && help.ends_with('.'), "{line}");
            assert!(seen.insert(name.to_owned()), "{name} is there twice");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap().to_owned();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert!(kind == "counter" || kind == "gauge", "{name} is a {kind}");
            assert!(lines.peek().is_some_and(|next| next.starts_with(name)), "{name} has no series");
            name.clone_into(&mut current);
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) =
            key.split_once('{').map_or((key, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap()));
        assert_eq!(name, current, "{line}");
        labels_are_fine(labels);
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && series.insert(key.to_owned(), value).is_none(), "{line}");
    }
    series
}

#[track_caller]
fn labels_are_fine(labels: &str) {
    let mut rest = labels;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{labels}");
        let mut escaped = false;
        let end = after.find(|c| {
            let is_end = c == '"' && !escaped;
            assert!(!escaped || matches!(c, '\\' | '"' | 'n'), "{labels}");
            escaped = c == '\\' && !escaped;
            is_end
        });
        rest = &after[end.unwrap() + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

pub fn app() -> App {
    let app = clinic();
    app.reconfigure("installation: clinic", "installation: clinic\nmetrics: {textfile: collected/backup.prom}");
    std::fs::create_dir(app.path("collected")).unwrap();
    app
}

pub fn text(app: &App) -> String {
    std::fs::read_to_string(app.path("collected/backup.prom")).unwrap()
}

#[test]
fn what_is_held_released_or_forgotten_by_hand_is_in_the_metrics_at_once() {
    let app = app();
    app.run_at("2026-01-10T02:00:00Z", &["create"]).expect(0);
    app.run_at("2026-01-11T02:00:00Z", &["create"]).expect(0);
    let id = app.ids().pop().unwrap();
    let figures = || {
        let found = parsed(&text(&app));
        [found["backup_held_backups"], found["backup_backups{type=\"daily\",status=\"success\"}"]]
    };
    assert_eq!(figures(), [0.0, 2.0]);
    app.run(&["hold", &id]).expect(0);
    assert_eq!(figures(), [1.0, 2.0]);
    app.run(&["forget", &id, "--yes"]).expect(5);
    app.run(&["release", &id]).expect(0);
    assert_eq!(figures(), [0.0, 2.0]);
    app.run(&["forget", &id, "--yes"]).expect(0);
    assert_eq!(figures(), [0.0, 1.0]);
    // A slip of an operator's is no run that alerts wait for the next success of.
    let found = parsed(&text(&app));
    let codes: Vec<_> = found.keys().filter(|key| key.starts_with("backup_last_run_exit_code")).collect();
    assert_eq!(codes, ["backup_last_run_exit_code{operation=\"create\"}"]);
    assert_eq!(found["backup_last_run_timestamp_seconds{operation=\"create\"}"], 1_768_096_800.0);
}

#[test]
fn what_verify_collections_found_is_told_and_carried_on() {
    let app = app();
    app.reconfigure("installation: clinic", "jobs: {look: {verifyCollections: {}}}\ninstallation: clinic");
    app.run_at("2026-01-10T02:00:00Z", &["run", "look"]).expect(0);
    super::invented::sql(&app, "ALTER TABLE invoices RENAME TO bills");
    app.run_at("2026-01-10T03:00:00Z", &["verify-collections", "--tenant", "acme"]).expect(4);
    // Of one module alone the figures would not be those of the installation.
    app.run_at("2026-01-10T04:00:00Z", &["verify-collections", "--module", "core"]).expect(0);
    app.run_at("2026-01-10T05:00:00Z", &["create"]).expect(3);
    let found = parsed(&text(&app));
    let of =
        |what: &str, tenant: &str| found.get(&format!("backup_collections_{what}{{tenant=\"{tenant}\"}}")).copied();
    let figures = |tenant: &str| {
        ["verified_timestamp_seconds", "status", "expected", "existing", "missing", "extra", "orphans"]
            .map(|what| of(what, tenant).unwrap_or(-1.0))
    };
    assert_eq!(figures(""), [1_768_010_400.0, 0.0, 2.0, 2.0, 0.0, 0.0, 0.0]);
    assert_eq!(figures("acme"), [1_768_014_000.0, 2.0, 2.0, 1.0, 1.0, 1.0, 0.0]);
    assert_eq!(figures("birch"), [-1.0; 7]);
    let run = |what: &str| found[&format!("backup_{what}{{operation=\"verify-collections\"}}")];
    assert_eq!((run("runs_total"), run("run_failures_total"), run("last_run_exit_code")), (3.0, 1.0, 0.0));
    assert_eq!(run("last_run_timestamp_seconds"), 1_768_017_600.0);
    // A tenant that is gone has no series that nobody will ever mend.
    app.reconfigure("acme: {}, ", "");
    app.run(&["create"]).expect(3);
    let found = parsed(&text(&app));
    assert!(!found.keys().any(|key| key.starts_with("backup_collections") && key.contains("acme")), "{found:?}");
}

#[test]
fn while_the_repository_cannot_be_read_no_tenant_loses_its_figures() {
    let app = app();
    app.run(&["create", "--tenant", "acme"]).expect(0);
    app.run(&["verify-collections", "--tenant", "acme"]).expect(0);
    // As one that was discovered: the repository alone knows it.
    app.reconfigure("acme: {}, ", "");
    let figure = || parsed(&text(&app)).get("backup_collections_expected{tenant=\"acme\"}").copied();
    app.run(&["create"]).expect(0);
    assert_eq!(figure(), Some(2.0));
    std::fs::rename(app.path("backups/repository.json"), app.path("aside")).unwrap();
    app.run(&["create"]).expect(1);
    assert_eq!((parsed(&text(&app))["backup_catalog_readable"], figure()), (0.0, Some(2.0)));
    std::fs::rename(app.path("aside"), app.path("backups/repository.json")).unwrap();
    app.run(&["create"]).expect(0);
    assert_eq!((parsed(&text(&app))["backup_catalog_readable"], figure()), (1.0, Some(2.0)));
}

#[test]
fn the_metrics_say_what_is_stored_and_a_collector_may_read_them() {
    let app = app();
    let made = app.run_at("2026-01-10T02:00:00Z", &["--json", "create"]).expect(0).json();
    app.run_at("2026-01-10T03:00:00Z", &["create", "--tenant", "acme"]).expect(0);
    let found = parsed(&text(&app));
    let is = |series: &str, value: f64| assert_eq!(found.get(series), Some(&value), "{series} in {found:?}");
    is("backup_catalog_readable", 1.0);
    is("backup_last_run_timestamp_seconds{operation=\"create\"}", 1_768_014_000.0);
    is("backup_last_backup_timestamp_seconds{tenant=\"\"}", 1_768_010_400.0);
    is("backup_last_backup_raw_bytes{tenant=\"\"}", made["totals"]["bytes"].as_f64().unwrap());
    is("backup_last_backup_stored_bytes{tenant=\"\"}", made["totals"]["storedBytes"].as_f64().unwrap());
    is("backup_last_backup_complete{tenant=\"acme\"}", 1.0);
    is("backup_module_last_good_timestamp_seconds{tenant=\"acme\",module=\"core\"}", 1_768_014_000.0);
    is("backup_module_records{tenant=\"\",module=\"core\"}", 3.0);
    is("backup_module_records{tenant=\"acme\",module=\"core\"}", 2.0);
    is("backup_archive_files{tenant=\"\",archive=\"settings\"}", 1.0);
    is("backup_backups{type=\"daily\",status=\"success\"}", 2.0);
    is("backup_tenants", 1.0);
    is("backup_tenants_module_records{module=\"core\"}", 2.0);
    let size = made["components"].as_array().unwrap().iter().find(|c| c["module"] == "core").unwrap()["size"].as_f64();
    is("backup_module_stored_bytes{tenant=\"\",module=\"core\"}", size.unwrap());
    let mode = std::fs::metadata(app.path("collected/backup.prom")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let names: Vec<_> = std::fs::read_dir(app.path("collected")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["backup.prom"]);
}

#[test]
fn how_each_kind_of_run_ended_is_carried_on_and_failures_are_counted() {
    let app = app();
    let id = app.run_at("2026-01-10T02:00:00Z", &["--json", "create"]).expect(0).json()["id"].clone();
    app.run_at("2026-01-10T03:00:00Z", &["verify", "latest"]).expect(0);
    app.run_at("2026-01-10T04:00:00Z", &["prune"]).expect(0);
    app.run_at("2026-01-10T05:00:00Z", &["restore", "latest"]).expect(5);
    let path = app.backup(id.as_str().unwrap()).join("core/clinic.tar.gz");
    std::fs::write(path, "damaged").unwrap();
    app.run_at("2026-01-11T03:00:00Z", &["verify", "latest"]).expect(4);
    // What changes nothing is no run, nor is what only tells.
    let before = text(&app);
    app.run(&["create", "--dry-run"]).expect(0);
    app.run(&["prune", "--dry-run"]).expect(0);
    app.run(&["list"]).expect(0);
    app.run(&["check"]);
    assert_eq!(text(&app), before);
    let found = parsed(&before);
    let of = |what: &str, operation: &str| found.get(&format!("backup_{what}{{operation=\"{operation}\"}}")).copied();
    let ends = ["create", "verify", "prune", "restore"].map(|operation| {
        (of("last_run_exit_code", operation), of("runs_total", operation), of("run_failures_total", operation))
    });
    let end = |code, runs, failures| (Some(code), Some(runs), Some(failures));
    assert_eq!(ends, [end(0.0, 1.0, 0.0), end(4.0, 2.0, 1.0), end(0.0, 1.0, 0.0), end(5.0, 1.0, 1.0)]);
    assert_eq!(of("last_success_timestamp_seconds", "verify"), Some(1_768_014_000.0));
    assert_eq!(of("last_run_timestamp_seconds", "verify"), Some(1_768_100_400.0));
    assert_eq!(of("last_success_timestamp_seconds", "restore"), None);
    assert!(of("last_run_duration_seconds", "prune").is_some_and(|seconds| seconds > 0.0));
    assert_eq!(found["backup_damaged_backups"], 1.0);
    assert!(!found.contains_key("backup_module_records{tenant=\"\",module=\"core\"}"), "a damaged copy counts");
}

#[test]
fn a_run_that_cannot_even_begin_is_in_the_metrics() {
    let app = app();
    app.run(&["create"]).expect(0);
    std::fs::rename(app.path("backups/repository.json"), app.path("aside")).unwrap();
    app.run(&["create"]).expect(1);
    let found = parsed(&text(&app));
    assert_eq!(found["backup_last_run_exit_code{operation=\"create\"}"], 1.0);
    assert_eq!((found["backup_catalog_readable"], found.get("backup_stored_bytes")), (0.0, None));
    app.reconfigure("installation: clinic", "jobs: {night: {create: {}}}\ninstallation: 'a\"b\\c'");
    std::fs::rename(app.path("aside"), app.path("backups/repository.json")).unwrap();
    app.run(&["run", "night"]).expect(0);
    let found = parsed(&text(&app));
    assert_eq!(found["backup_runs_total{operation=\"create\"}"], 3.0);
    assert!(found.keys().any(|key| key.starts_with(r#"backup_info{installation="a\"b\\c","#)), "{found:?}");
}

#[test]
fn metrics_that_cannot_be_written_are_a_warning_and_cost_the_run_nothing() {
    let app = app();
    std::fs::remove_dir(app.path("collected")).unwrap();
    let ended = app.run(&["-q", "create"]).expect(0);
    assert!(ended.stderr.contains("metrics could not be written"), "{}", ended.stderr);
    assert_eq!(app.ids().len(), 1);
    std::fs::create_dir_all(app.path("collected/backup.prom")).unwrap();
    let ended = app.run(&["create"]).expect(0);
    assert!(ended.stderr.contains("metrics could not be written"), "{}", ended.stderr);
    let names: Vec<_> = std::fs::read_dir(app.path("collected")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["backup.prom"]);
    // A file that was never ours is replaced, and nothing of it believed.
    std::fs::remove_dir(app.path("collected/backup.prom")).unwrap();
    for strange in [&b"\xff\xfe"[..], b"{{ nonsense\n\nbackup_runs_total{operation=\"create\"} NaN\n"] {
        app.write("collected/backup.prom", strange);
        app.run(&["create"]).expect(0);
        assert_eq!(parsed(&text(&app))["backup_runs_total{operation=\"create\"}"], 1.0);
    }
}

#[test]
fn a_unit_of_systemd_may_write_the_metrics() {
    let app = app();
    app.reconfigure(
        "installation: clinic",
        "jobs: {night: {schedule: \"0 2 * * *\", create: {}}}\ninstallation: clinic",
    );
    let units = app.run(&["schedule", "print", "--format", "systemd"]).expect(0).stdout;
    let folder = app.path("collected").canonicalize().unwrap();
    assert!(units.contains(&format!("ReadWritePaths={}\n", folder.display())), "{units}");
}

#[test]
fn runs_that_end_at_once_lose_none_and_a_reader_never_sees_half_a_file() {
    const RUNS: usize = 24;
    let app = app();
    app.run(&["create"]).expect(0);
    let done = AtomicBool::new(false);
    let (next, reads) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let found = parsed(&text(&app));
                assert!(found.contains_key("backup_tenants"), "{found:?}");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        let runners: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < RUNS {
                        app.run(&["verify", "latest", "--level", "stored"]).expect(0);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = runners.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    assert!(reads.load(Ordering::Relaxed) > 10, "the reader did not read");
    assert_eq!(parsed(&text(&app))["backup_runs_total{operation=\"verify\"}"], RUNS as f64);
}

#[test]
fn thousands_of_tenants_have_figures_together_and_no_series_of_their_own() {
    let app = app();
    repository(&app);
    for n in 0..2000 {
        let at = format!("2026-01-10T02:{:02}:{:02}", n / 60 % 60, n % 60);
        backup(&app, &at, "daily", Some(&format!("t{n}")), &[("core", "complete", 100), ("billing", "complete", 50)]);
    }
    let id = backup(&app, "2026-01-09T02:00:00", "daily", None, &[("core", "complete", 100)]);
    verified(&app, &id, "2026-01-09T03:00:00Z", true);
    write(&app, "metadata/failed/x.json", &json!({}));
    app.run_at("2026-01-10T05:00:00Z", &["prune"]);
    let written = text(&app);
    let found = parsed(&written);
    assert!(found.len() < 80 && written.len() < 20_000, "{} series, {} bytes", found.len(), written.len());
    assert_eq!((found["backup_tenants"], found["backup_tenants_have_series"]), (2000.0, 0.0));
    assert_eq!(found["backup_tenants_module_copies{module=\"core\"}"], 2000.0);
    assert_eq!(found["backup_tenants_module_records{module=\"billing\"}"], 10_000.0);
    assert_eq!(found["backup_tenants_module_oldest_good_timestamp_seconds{module=\"core\"}"], 1_768_010_400.0);
    assert_eq!(found["backup_last_verified_timestamp_seconds{tenant=\"\"}"], 1_767_927_600.0);
    assert_eq!(found["backup_unreadable_files"], 1.0);
    app.reconfigure("backup.prom}", "backup.prom, maxTenants: 2000}");
    app.run_at("2026-01-10T05:00:00Z", &["prune"]);
    assert!(parsed(&text(&app)).len() > 2000 * 9);
}
