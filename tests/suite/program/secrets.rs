//! Where a secret must not be: everywhere but in the file it is kept in. And what others may read of what we write.

use super::round_trip::seed;
use crate::support::app::{App, Ended, files_below};
use crate::support::mongod::{Mongod, PASSWORD, fresh_database};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PASSPHRASE: &str = "p4ssphrase-canary";

fn config(database: &str) -> String {
    format!(
        r"
installation: test
repository:
  location: ./backups
  encryption: {{passphrase: {{file: passphrase}}}}
sources: {{hrms: {{engine: mongodb, uri: {{command: [./give]}}, database: {database}}}}}
uploads: [{{root: ./uploads}}]
tenancy: {{field: tenantId, tenants: {{acme: {{}}}}}}
modules:
  core: {{required: true, collections: [users, {{name: countries, tenant: shared}}], fileUploads: [letters]}}
  claims: {{collections: [claims]}}
"
    )
}

/// An application whose secrets come out of a program and a file; the program notes what it was started with.
fn app(server: &Mongod) -> App {
    let name = fresh_database();
    seed(server, &name, 1);
    let app = App::new(&config(&name));
    app.write("uploads/letters/a.txt", b"letter");
    app.write("passphrase", PASSPHRASE.as_bytes());
    app.write("uri", server.uri_as("root", PASSWORD).as_bytes());
    app.write("give", b"#!/bin/sh\nenv > seen.environ\ntr '\\0' '\\n' < /proc/$PPID/cmdline > seen.argv\ncat uri\n");
    std::fs::set_permissions(app.path("give"), PermissionsExt::from_mode(0o700)).unwrap();
    app
}

#[track_caller]
fn holds_no_secret(what: &str, bytes: &[u8]) {
    for canary in [PASSWORD, PASSPHRASE] {
        let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{canary} is in {what}: {}", String::from_utf8_lossy(bytes));
    }
}

#[track_caller]
fn shows_no_secret(args: &[&str], ended: &Ended) {
    holds_no_secret(&format!("the output of {args:?}"), format!("{}{}", ended.stdout, ended.stderr).as_bytes());
}

fn keeps_no_secret(folder: &Path) {
    for (path, body) in files_below(folder) {
        holds_no_secret(&path, &body);
    }
}

#[test]
fn no_secret_is_in_output_logs_manifests_arguments_or_the_environment_of_children() {
    let app = app(Mongod::login());
    let commands: &[(&[&str], i32)] = &[
        (&["config", "show"], 0),
        (&["config", "check"], 0),
        (&["list-modules"], 0),
        (&["create", "--dry-run"], 0),
        (&["create"], 0),
        (&["create", "--tenant", "acme", "--only", "database"], 0),
        (&["verify-collections"], 0),
        (&["list"], 0),
        (&["show", "latest"], 0),
        (&["verify", "--all"], 0),
        (&["verify", "latest", "--level", "restored", "--scratch", "/dev/shm"], 0),
        (&["restore", "latest", "--existing", "replace", "--dry-run"], 0),
        (&["restore", "latest", "--existing", "replace"], 5),
        (&["restore", "latest", "--module", "nope"], 10),
        (&["hold", "latest"], 2),
        (&["prune"], 0),
        (&["stats"], 0),
        (&["key", "check"], 0),
    ];
    let tell_all = [&["-vv"][..], &["-vv", "--log-format", "json"], &["--json", "-vv"]];
    for (args, code) in commands {
        for global in tell_all {
            let args = [global, args].concat();
            shows_no_secret(&args, &app.run(&args).expect(*code));
        }
    }
    keeps_no_secret(&app.path("backups"));
    for seen in ["seen.environ", "seen.argv"] {
        let seen = std::fs::read(app.path(seen)).unwrap();
        assert!(!seen.is_empty());
        holds_no_secret("what a child was started with", &seen);
    }
}

#[test]
fn no_secret_is_in_an_error() {
    let app = app(Mongod::login());
    app.run(&["create"]).expect(0);
    let uri = std::fs::read_to_string(app.path("uri")).unwrap();
    let wrong = [
        // The wrong user, the wrong port, no URI at all, one that does not parse, options that the driver quotes.
        uri.replace("root:", "toor:"),
        uri.replace("127.0.0.1:", "127.0.0.1:1"),
        format!("postgres://root:{PASSWORD}@h/db"),
        uri.replace("@127", "@@127"),
        format!("{uri}?connectTimeoutMS={PASSWORD}"),
        format!("{PASSWORD}\n{PASSWORD}"),
    ];
    for wrong in wrong {
        app.write("uri", wrong.as_bytes());
        for args in [&["-vv", "create"][..], &["-vv", "--json", "verify-collections"], &["-vv", "config", "check"]] {
            let ended = app.run(args);
            shows_no_secret(args, &ended);
            assert!(ended.code != 0 || args.contains(&"check"), "{wrong}");
        }
    }
    // A program that fails, and says the secret while it does.
    app.write("give", format!("#!/bin/sh\necho {PASSWORD} >&2\nexit 3\n").as_bytes());
    let failed = app.run(&["create"]).expect(2);
    shows_no_secret(&["create"], &failed);
    app.write("passphrase", b"short");
    shows_no_secret(&["create"], &app.run(&["create"]).expect(2));
    keeps_no_secret(&app.path("backups"));
}

#[test]
fn nobody_else_can_read_what_is_written_and_no_memory_image_is_left() {
    let app = app(Mongod::login());
    // Reached by way of the shell, so that a mask of 0 and a limit of its own are inherited.
    let script = "umask 0; ulimit -c unlimited 2>/dev/null; exec \"$0\" create";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_backup")]).current_dir(app.path("")).env_clear();
    // The child notes the limits of the process that asks it.
    app.write("give", b"#!/bin/sh\ncat /proc/$PPID/limits > seen.limits\ncat uri\n");
    crate::support::app::ended(command.output().unwrap()).expect(0);
    let limits = std::fs::read_to_string(app.path("seen.limits")).unwrap();
    let core: Vec<_> =
        limits.lines().find(|l| l.starts_with("Max core file size")).unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{limits}");
    app.run(&["verify", "latest"]).expect(0);
    app.run(&["restore", "latest", "--to-directory", "out"]).expect(0);
    for folder in ["backups", "out"] {
        let mut seen = 0;
        for entry in walkdir::WalkDir::new(app.path(folder)).into_iter().map(Result::unwrap) {
            // What was uploaded comes back with its own mode.
            if entry.path().to_str().unwrap().contains("letters") {
                continue;
            }
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            let wanted = if entry.file_type().is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, wanted, "{} is {mode:o}", entry.path().display());
            seen += 1;
        }
        assert!(seen > 3);
    }
}
