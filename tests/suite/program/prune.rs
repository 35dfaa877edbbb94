//! What prune refuses: a mass removal, a catalog it cannot read in full, a clock that cannot be right.

use crate::support::app::{App, Ended, ended, files_below};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const CONFIG: &str = r"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
tenancy: {field: tenant, tenants: {acme: {}}}
modules:
  core: {required: true, collections: [patients]}
retention: {policy: {maxBackups: 50, maxAgeDays: 1000}}
";

fn app() -> App {
    let app = App::new(CONFIG);
    let connection = Connection::open(app.path("clinic.db")).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE patients (id INTEGER PRIMARY KEY, tenant TEXT); INSERT INTO patients VALUES (1, 'acme')",
        )
        .unwrap();
    app
}

fn day(day: u32) -> String {
    format!("2025-{:02}-{:02}T02:00:00Z", (day - 1) / 28 + 1, (day - 1) % 28 + 1)
}

/// Backups of these days of 2025, counted in months of 28 days; their ids, oldest first.
fn nights(app: &App, days: impl IntoIterator<Item = u32>, args: &[&str]) -> Vec<String> {
    let night = |n| app.run_at(&day(n), &[&["--json", "create"], args].concat()).expect(0).json()["id"].clone();
    days.into_iter().map(|n| night(n).as_str().unwrap().to_owned()).collect()
}

fn keep(app: &App, max_backups: u32, max_age_days: u32) {
    app.reconfigure(
        "{maxBackups: 50, maxAgeDays: 1000}",
        &format!("{{maxBackups: {max_backups}, maxAgeDays: {max_age_days}}}"),
    );
}

/// Everything but the locks, which name who looked last.
fn stored(app: &App) -> BTreeMap<String, Vec<u8>> {
    let mut files = files_below(&app.path("backups"));
    files.retain(|path, _| !path.starts_with("locks/"));
    files
}

/// Refused with `code`, and nothing changed.
#[track_caller]
fn refused(app: &App, code: i32, run: impl FnOnce() -> Ended) -> Ended {
    let before = stored(app);
    let refused = run().expect(code);
    assert!(stored(app) == before, "something changed");
    refused
}

#[test]
fn a_mass_removal_wants_consent_and_a_dry_run_says_so() {
    let app = app();
    let ids = nights(&app, 1..=8, &[]);
    keep(&app, 2, 1000);
    let now = day(8);
    let message = "6 of 8 backups of system-wide would be removed, more than half";
    let said = refused(&app, 5, || app.run_at(&now, &["prune"]));
    assert!(said.stderr.contains(message) && said.stderr.contains("--yes"), "{}", said.stderr);
    let dry = refused(&app, 0, || app.run_at(&now, &["--json", "prune", "--dry-run"])).json();
    assert_eq!((&dry["refused"], dry["removed"].as_array().unwrap().len()), (&message.into(), 6));
    let dry = refused(&app, 0, || app.run_at(&now, &["prune", "--dry-run"]));
    assert!(dry.stdout.contains(&format!("Would be refused without --yes: {message}")), "{}", dry.stdout);
    let dry = refused(&app, 0, || app.run_at(&now, &["--json", "prune", "--dry-run", "--yes"])).json();
    assert!(dry["refused"].is_null(), "{dry}");
    let done = app.run_at(&now, &["--json", "prune", "--yes"]).expect(0).json();
    assert!(done["refused"].is_null() && done["removed"].as_array().unwrap().len() == 6, "{done}");
    assert_eq!(app.ids(), [ids[7].clone(), ids[6].clone()]);
}

#[test]
fn a_tenant_that_would_lose_most_of_its_backups_is_not_hidden_by_the_others() {
    let app = app();
    nights(&app, 1..=6, &["--tenant", "acme"]);
    nights(&app, 60..=67, &[]);
    keep(&app, 50, 30);
    let said = refused(&app, 5, || app.run_at(&day(67), &["prune"]));
    assert!(said.stderr.contains("5 of 6 backups of tenant acme would be removed"), "{}", said.stderr);
    // Three of them are few, even of four.
    app.run(&[&["forget", "--yes"], &app.ids()[8..10].iter().map(String::as_str).collect::<Vec<_>>()[..]].concat())
        .expect(0);
    let done = app.run_at(&day(67), &["--json", "prune"]).expect(0).json();
    assert_eq!(done["removed"].as_array().unwrap().len(), 3, "{done}");
}

#[test]
fn a_little_of_every_scope_that_is_most_of_all_wants_consent_and_half_of_it_does_not() {
    let app = app();
    nights(&app, 1..=3, &["--tenant", "acme"]);
    nights(&app, 1..=3, &[]);
    keep(&app, 1, 1000);
    let said = refused(&app, 5, || app.run_at(&day(4), &["prune"]));
    assert!(said.stderr.contains("4 of all 6 backups would be removed"), "{}", said.stderr);
    nights(&app, 4..=8, &[]);
    app.reconfigure("maxBackups: 1", "maxBackups: 4");
    let done = app.run_at(&day(8), &["--json", "prune"]).expect(0).json();
    assert_eq!(done["removed"].as_array().unwrap().len(), 4, "{done}");
}

#[test]
fn pruning_every_day_never_wants_consent() {
    let app = app();
    keep(&app, 2, 1000);
    for n in 1..=5 {
        for kind in ["daily", "weekly", "monthly"] {
            app.run_at(&day(n), &["create", "--type", kind]).expect(0);
        }
        let morning = day(n).replace("T02", "T05");
        let done = app.run_at(&morning, &["--json", "prune"]).expect(0).json();
        assert_eq!(done["removed"].as_array().unwrap().len(), if n == 1 { 1 } else { 3 }, "{done}");
    }
}

#[test]
fn what_cannot_be_read_in_full_removes_nothing() {
    let app = app();
    let ids = nights(&app, 1..=6, &[]);
    app.run(&["hold", &ids[2]]).expect(0);
    keep(&app, 1, 1000);
    let prune = || app.run_at(&day(6), &["prune", "--yes"]);
    let manifest = |id: &str| format!("backups/metadata/{id}.json");
    let held = format!("backups/metadata/facts/{}.held.json", ids[2]);
    let body = |path: &str| std::fs::read(app.path(path)).unwrap();
    let newer =
        String::from_utf8(body(&manifest(&ids[5]))).unwrap().replace("\"formatVersion\": 1", "\"formatVersion\": 9");
    let faults: [(&str, String, &[u8]); 5] = [
        ("EOF while parsing", manifest(&ids[5]), b"{"),
        ("it says it is", manifest(&ids[5]), &body(&manifest(&ids[0]))),
        ("its format 9 is newer", manifest(&ids[5]), newer.as_bytes()),
        ("EOF while parsing", held, b""),
        ("its name is no backup id", "backups/metadata/copy of it.json".into(), &body(&manifest(&ids[0]))),
    ];
    for (message, path, spoilt) in faults {
        let whole = std::fs::read(app.path(&path));
        app.write(&path, spoilt);
        let said = refused(&app, 5, prune);
        assert!(said.stderr.contains("nothing is removed") && said.stderr.contains(message), "{}", said.stderr);
        match whole {
            Ok(whole) => app.write(&path, &whole),
            Err(_) => std::fs::remove_file(app.path(&path)).unwrap(),
        }
    }
    for folder in ["daily", "weekly", "metadata/facts", "metadata/failed", "staging"] {
        let (here, aside) = (app.path("backups").join(folder), app.path("aside"));
        std::fs::rename(&here, &aside).unwrap();
        let said = refused(&app, 1, prune);
        assert!(said.stderr.contains("the repository is not whole"), "{}", said.stderr);
        std::fs::rename(&aside, &here).unwrap();
    }
    // It was these faults alone that were in the way.
    prune().expect(0);
    assert_eq!(app.ids(), [ids[5].clone(), ids[2].clone()]);
}

#[test]
fn what_may_not_be_read_removes_nothing() {
    let app = app();
    let ids = nights(&app, 1..=6, &[]);
    keep(&app, 1, 1000);
    // Root reads everything, so the program runs as nobody, who owns the repository.
    let program = app.path("backup");
    std::fs::copy(env!("CARGO_BIN_EXE_backup"), &program).unwrap();
    std::fs::set_permissions(app.path("."), PermissionsExt::from_mode(0o755)).unwrap();
    let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(app.path("backups")).status().unwrap();
    assert!(owned.success());
    let prune = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).args(["prune", "--yes"]);
        ended(command.current_dir(app.path(".")).env_clear().env("BACKUP_NOW", day(6)).output().unwrap())
    };
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let newest = format!("metadata/{}.json", ids[5]);
    let cases = [
        ("daily", 1, 0o700),
        ("metadata", 1, 0o700),
        ("metadata/facts", 1, 0o700),
        ("metadata/failed", 1, 0o700),
        ("staging", 1, 0o700),
        (&newest, 5, 0o600),
    ];
    for (path, code, normal) in cases {
        let path = app.path("backups").join(path);
        mode(&path, 0o000);
        let said = refused(&app, code, prune);
        assert!(said.stderr.contains("Permission denied"), "{}: {}", path.display(), said.stderr);
        mode(&path, normal);
    }
    prune().expect(0);
    assert_eq!(app.ids(), ids[5..]);
}

#[test]
fn a_backup_that_a_wrong_clock_dated_ahead_pushes_no_other_out() {
    let app = app();
    let ids = nights(&app, 1..=3, &[]);
    let ahead = app.run_at("2035-01-01T00:00:00Z", &["--json", "create"]).expect(0).json()["id"].clone();
    keep(&app, 1, 30);
    let said = refused(&app, 5, || app.run_at(&day(3), &["prune", "--yes"]));
    let message = "the clock says 2025-01-03 02:00:00 UTC, but the newest backup is of 2035-01-01";
    assert!(said.stderr.contains(message) && said.stderr.contains("backup forget"), "{}", said.stderr);
    app.run(&["forget", ahead.as_str().unwrap(), "--yes"]).expect(0);
    app.run_at(&day(3), &["prune"]).expect(0);
    assert_eq!(app.ids(), ids[2..]);
}

#[test]
fn a_clock_ten_years_ahead_wants_consent_and_never_gets_the_newest_good_copies() {
    let app = app();
    let ids = nights(&app, 1..=6, &[]);
    let tenants = nights(&app, [2], &["--tenant", "acme"]);
    keep(&app, 50, 30);
    let said = refused(&app, 5, || app.run_at("2035-01-01T00:00:00Z", &["prune"]));
    assert!(said.stderr.contains("5 of 6 backups of system-wide"), "{}", said.stderr);
    app.run_at("2035-01-01T00:00:00Z", &["prune", "--yes"]).expect(0);
    assert_eq!(app.ids(), [ids[5].clone(), tenants[0].clone()]);
}

#[test]
fn a_copy_that_verify_found_damaged_does_not_push_out_the_newest_whole_one() {
    let app = app();
    let ids = nights(&app, 1..=4, &[]);
    let archive = app.backup(&ids[3]).join("core/clinic.tar.gz");
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    app.run(&["verify", &ids[3]]).expect(4);
    let stats = app.run(&["--json", "stats"]).expect(0).json();
    assert_eq!(stats["lastGood"][0]["id"], *ids[2], "{stats}");
    app.reconfigure("policy: {maxBackups: 50, maxAgeDays: 1000}", "standard: {daily: 1, weekly: 1, monthly: 1}");
    app.run_at(&day(200), &["prune", "--yes"]).expect(0);
    assert_eq!(app.ids(), [ids[3].clone(), ids[2].clone()]);
    app.run(&["restore", &ids[2], "--to-directory", "out"]).expect(0);
}
