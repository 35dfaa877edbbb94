//! `schedule` and `run`: what cron and systemd are told, and what they then start.

use crate::support::app::{App, Ended, ended};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const CONFIG: &str = r#"
installation: clinic
timezone: Europe/Berlin
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
modules: {core: {required: true, collections: [patients]}}
jobs:
  nightly: {schedule: "0 2 * * *", create: {type: weekly}}
  check: {schedule: "30 1 * * 1-5", verifyCollections: {}}
  cleanup: {schedule: "0 5 1 * 0", prune: {}}
  by-hand: {create: {type: monthly}}
"#;

fn app() -> App {
    let app = App::new(CONFIG);
    let database = Connection::open(app.path("clinic.db")).unwrap();
    database.execute_batch("CREATE TABLE patients (id INTEGER PRIMARY KEY); INSERT INTO patients VALUES (1)").unwrap();
    app
}

/// `backup` where `crontab` is a program of ours that keeps its table in a file.
fn with_crontab(app: &App, arguments: &[&str]) -> Ended {
    let (program, table) = (app.path("bin/crontab"), app.path("table"));
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = -l ]; then [ -e {0} ] && cat {0} || {{ echo 'no crontab for you' >&2; exit 1; }}; else cat > {0}; fi\n",
        table.display()
    );
    app.write("bin/crontab", script.as_bytes());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", app.path("bin").display());
    ended(app.command(arguments).env("PATH", path).output().unwrap())
}

#[test]
fn a_line_of_the_crontab_makes_a_backup_under_crons_bare_environment() {
    let app = app();
    let printed = app.run(&["schedule", "print"]).expect(0).stdout;
    let line = printed.lines().find(|line| line.ends_with(" run nightly")).unwrap();
    assert!(line.starts_with("0 2 * * * /"), "{line}");
    assert!(printed.contains("\nCRON_TZ=Europe/Berlin\n"), "{printed}");
    assert!(!printed.contains("by-hand"), "a job without a schedule: {printed}");
    let command = line.strip_prefix("0 2 * * * ").unwrap();
    let mut cron = Command::new("/bin/sh");
    cron.env_clear().envs([("HOME", "/"), ("PATH", "/usr/bin:/bin"), ("SHELL", "/bin/sh"), ("LOGNAME", "nobody")]);
    let done = ended(cron.current_dir("/").args(["-c", command]).output().unwrap()).expect(0);
    // Whatever it says becomes a mail.
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    let listed = app.run(&["--json", "list"]).expect(0).json();
    assert_eq!(listed["backups"][0]["type"], "weekly");
}

#[test]
fn every_kind_of_job_is_run_by_its_name() {
    let app = app();
    app.run(&["run", "by-hand"]).expect(0);
    assert!(app.run(&["run", "check"]).expect(0).stdout.contains("Verification passed"));
    assert!(app.run(&["run", "cleanup"]).expect(0).stdout.contains("1 backup kept"));
    let unknown = app.run(&["run", "nigthly"]).expect(10);
    assert!(unknown.stderr.contains("did you mean nightly?"), "{}", unknown.stderr);
    let wrong = app.run(&["create", "--job", "cleanup"]).expect(2);
    assert!(wrong.stderr.contains("backup run cleanup"), "{}", wrong.stderr);
}

#[test]
fn a_job_waits_for_a_lock_that_a_command_does_not_wait_for() {
    let app = app();
    app.run(&["create"]).expect(0);
    // A folder of the lock that another process holds.
    let scope = app.path("backups/locks");
    let lock = fs::read_dir(scope)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("system")));
    let lock = lock.expect("the lock of the scope");
    let mut holder = Command::new("flock")
        .arg(&lock)
        .args(["sh", "-c", "echo held; read -r _"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    app.run(&["create"]).expect(11);
    let mut job = app.command(&["run", "nightly"]);
    let mut job = job.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(job.stderr.take().unwrap()));
    let waits = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("waiting for at most 2h"))).is_some();
    assert!(waits, "it does not wait");
    drop(holder.stdin.take());
    assert!(job.wait().unwrap().success());
    holder.wait().unwrap();
}

#[test]
fn only_what_is_between_our_marks_is_touched_in_a_crontab() {
    let app = app();
    let theirs = "MAILTO=ops@example.com\n*/5 * * * * /usr/bin/true # BEGIN backup\n";
    app.write("table", theirs.as_bytes());
    let table = || fs::read_to_string(app.path("table")).unwrap();
    let installed = with_crontab(&app, &["schedule", "install"]).expect(0);
    assert!(installed.stdout.contains("Installed 3 jobs"), "{}", installed.stdout);
    assert!(table().starts_with(theirs) && table().contains(" run nightly\n"), "{}", table());
    // A job that is gone goes, and nothing is there twice.
    app.reconfigure("  nightly: {schedule: \"0 2 * * *\", create: {type: weekly}}\n", "");
    with_crontab(&app, &["schedule", "install"]).expect(0);
    assert!(!table().contains("nightly") && table().matches(" run check").count() == 1, "{}", table());
    with_crontab(&app, &["schedule", "remove"]).expect(0);
    assert_eq!(table(), theirs);
    let nothing = with_crontab(&app, &["schedule", "remove"]).expect(0);
    assert!(nothing.stdout.contains("nothing of ours"), "{}", nothing.stdout);
    // Half a block is not guessed at.
    app.write("table", format!("# BEGIN backup {}\n1 1 1 1 1 x\n", app.path("backup.yaml").display()).as_bytes());
    let refused = with_crontab(&app, &["schedule", "install"]).expect(5);
    assert!(refused.stderr.contains("too many or too few"), "{}", refused.stderr);
    fs::remove_file(app.path("table")).unwrap();
    with_crontab(&app, &["schedule", "install"]).expect(0);
    assert!(table().starts_with("# BEGIN backup /"), "{}", table());
}

#[test]
fn units_are_made_for_systemd_and_those_of_others_stay() {
    let app = app();
    let folder = app.path("units");
    app.write("units/other.timer", b"[Timer]\n");
    let units = folder.display().to_string();
    let systemd = |action: &str| app.run(&["schedule", action, "--format", "systemd", "--unit-dir", &units]);
    let installed = systemd("install").expect(0).stdout;
    assert!(installed.contains("backup-check.timer, backup-cleanup.timer, backup-nightly.timer"), "{installed}");
    let unit = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(unit("backup-nightly.timer").contains("\nOnCalendar=*-*-* 02:00:00 Europe/Berlin\n"));
    assert!(unit("backup-check.timer").contains("\nOnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 01:30:00 Europe/Berlin\n"));
    let either = "\nOnCalendar=*-*-01 05:00:00 Europe/Berlin\nOnCalendar=Sun *-*-* 05:00:00 Europe/Berlin\n";
    assert!(unit("backup-cleanup.timer").contains(either), "{}", unit("backup-cleanup.timer"));
    let service = unit("backup-nightly.service");
    for line in ["ProtectSystem=strict", "NoNewPrivileges=true", "UMask=0077", "Type=oneshot"] {
        assert!(service.contains(&format!("\n{line}\n")), "{line}\n{service}");
    }
    let start = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    ended(Command::new("sh").env_clear().args(["-c", start]).current_dir("/").output().unwrap()).expect(0);
    // A unit of that name that somebody else has written is not overwritten, and not removed.
    app.write("units/backup-nightly.timer", b"[Timer]\n");
    assert!(systemd("install").expect(5).stderr.contains("is not ours"));
    systemd("remove").expect(0);
    let mut left: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["backup-nightly.timer", "other.timer"]);
    app.reconfigure("0 2 * * *", "0 2 L * *");
    assert!(systemd("install").expect(2).stderr.contains("systemd has no words"));
}

#[test]
fn the_next_runs_are_those_of_the_configured_calendar() {
    let app = app();
    let shown = app.run_at("2026-03-28T12:00:00Z", &["--json", "schedule", "print"]).expect(0).json();
    let nightly = shown["jobs"].as_array().unwrap().iter().find(|job| job["name"] == "nightly").unwrap();
    // The clocks go forward at two in that night: there is no 02:00, and it runs at the first minute after.
    assert_eq!(nightly["next"][0], "Sun 2026-03-29 03:00 CEST", "{nightly}");
    assert_eq!(nightly["next"][1], "Mon 2026-03-30 02:00 CEST");
    let none = App::new(&CONFIG[..CONFIG.find("jobs:").unwrap()]);
    let refused = none.run(&["schedule", "print"]).expect(10);
    assert!(refused.stderr.contains("no job of the configuration has a `schedule`"), "{}", refused.stderr);
}

#[test]
fn a_job_verifies_the_newest_backup_or_all_as_deep_as_it_says() {
    let app = app();
    app.reconfigure(
        "  by-hand:",
        "  newest: {schedule: \"0 6 * * *\", verify: {level: decoded}}\n  bytes: {verify: {level: stored, backups: all}}\n  by-hand:",
    );
    app.run(&["create"]).expect(0);
    app.run(&["create"]).expect(0);
    let newest = app.run(&["run", "newest"]).expect(0).stdout;
    assert!(newest.contains("valid (decoded)") && newest.contains("1 of 1 backup undamaged"), "{newest}");
    let bytes = app.run(&["run", "bytes"]).expect(0).stdout;
    assert!(bytes.contains("stored bytes intact") && bytes.contains("2 of 2 backups"), "{bytes}");
    let printed = app.run(&["schedule", "print"]).expect(0).stdout;
    assert!(printed.contains("# newest: verify stored backups\n0 6 * * * "), "{printed}");
    // What was shown loads again, and means the same.
    let shown = app.run(&["config", "show"]).expect(0).stdout;
    app.write("shown.yaml", shown.as_bytes());
    assert_eq!(app.run(&["-c", "shown.yaml", "config", "show"]).expect(0).stdout, shown);
    let archive = app.backup(&app.ids()[1]).join("core/clinic.tar.gz");
    fs::write(archive, b"damaged").unwrap();
    app.run(&["run", "newest"]).expect(0);
    app.run(&["run", "bytes"]).expect(4);
}

#[test]
fn a_job_rotates_the_key_and_may_write_where_the_key_is() {
    let app = app();
    app.reconfigure("  by-hand:", "  keys: {schedule: \"0 7 1 * *\", keyRotation: {}}\n  by-hand:");
    let refused = app.run(&["config", "check"]).expect(2);
    assert!(refused.stderr.contains("jobs.keys.keyRotation: needs `recipientsFile`"), "{}", refused.stderr);
    fs::create_dir(app.path("keys")).unwrap();
    app.run(&["key", "generate", "keys/own.key", "--recipients", "keys/recipients.txt"]).expect(0);
    let encryption = "encryption: {recipientsFile: keys/recipients.txt, identities: [keys/own.key]}";
    app.reconfigure("location: ./backups", &format!("location: ./backups, {encryption}"));
    let recipients = || fs::read_to_string(app.path("keys/recipients.txt")).unwrap();
    let before = recipients();
    app.run(&["create"]).expect(0);
    app.run(&["run", "keys"]).expect(0);
    assert_ne!(recipients(), before);
    // The old key is kept: what it sealed still opens.
    app.run(&["verify", "latest", "--level", "decoded"]).expect(0);
    let units = app.run(&["schedule", "print", "--format", "systemd"]).expect(0).stdout;
    assert!(units.contains(&format!("ReadWritePaths={}\n", app.path("keys").display())), "{units}");
}

#[test]
fn doctor_knows_whether_the_schedule_is_installed_and_is_that_of_the_configuration() {
    let app = app();
    let said = |words: &str| {
        let text = with_crontab(&app, &["doctor"]).stdout;
        assert!(text.contains(words), "{words}: {text}");
    };
    said("3 jobs of the configuration installed nowhere");
    with_crontab(&app, &["schedule", "install"]).expect(0);
    said("3 jobs installed in the crontab of this user");
    app.reconfigure("0 2 * * *", "0 3 * * *");
    said("what is installed in the crontab of this user is not what the configuration says");
    with_crontab(&app, &["schedule", "remove"]).expect(0);
    said("installed nowhere");
}
