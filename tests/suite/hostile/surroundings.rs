//! An application with neighbours, and the program under limits: whatever it is given, it leaves the neighbours alone.

use crate::support::app::{App, Ended, ended};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

/// Memory a run may have that reads hostile input: writable and private (`RLIMIT_DATA`).
const MEMORY: usize = 256 << 20;

const CONFIG: &str = r"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
uploads: [{root: ./uploads}]
modules: {core: {required: true, collections: [patients], fileUploads: [letters]}}
";

/// The archives of its backup.
pub const FILES: &str = "core/uploads.tar.gz";
pub const DATABASE: &str = "core/clinic.tar.gz";

/// A backed-up application beside files that are nobody's business.
pub fn clinic() -> App {
    let app = App::new(CONFIG);
    let sql = "CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO patients VALUES (1, 'Ada')";
    Connection::open(app.path("clinic.db")).unwrap().execute_batch(sql).unwrap();
    app.write("uploads/letters/a.txt", b"letter");
    app.write("canary/file", b"canary");
    std::fs::create_dir(app.path("tmp")).unwrap();
    app.run(&["create"]).expect(0);
    app
}

/// Runs the program with little memory, and a minute to end by itself.
pub fn limited(app: &App, args: &[&str]) -> Ended {
    let program = app.command(args);
    let mut limited = Command::new("timeout");
    // Whoever waits in a system call does not hear a milder signal.
    limited.args(["--signal=KILL", "60", "prlimit", &format!("--data={MEMORY}"), "--"]);
    limited.arg(program.get_program()).args(program.get_args()).current_dir(app.path(""));
    limited.env_clear().env("TMPDIR", app.path("tmp")).env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    ended(limited.output().unwrap())
}

/// Everything in the application's folder: kind, mode, owner and content. What a run notes of itself is left out.
pub fn picture(app: &App) -> BTreeMap<String, String> {
    let root = app.path("");
    let noted = ["backups/locks", "backups/audit.jsonl", "backups/metadata/facts"];
    let all = walkdir::WalkDir::new(&root).into_iter().map(|entry| entry.unwrap());
    all.filter_map(|entry| {
        let path = entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let about = entry.path().symlink_metadata().unwrap();
        let body = match about.file_type() {
            kind if kind.is_file() => format!("{:x?}", Sha256::digest(std::fs::read(entry.path()).unwrap())),
            kind if kind.is_symlink() => std::fs::read_link(entry.path()).unwrap().display().to_string(),
            _ => String::new(),
        };
        let is_noted = noted.iter().any(|noted| path.starts_with(noted));
        (!is_noted).then(|| (path, format!("{:o} {} {body}", about.mode(), about.uid())))
    })
    .collect()
}

/// A run that is given something hostile ends with one of these codes, and changes nothing.
#[track_caller]
pub fn harmless(app: &App, what: &str, args: &[&str], codes: &[i32]) -> Ended {
    let before = picture(app);
    let run = limited(app, args);
    assert!(codes.contains(&run.code), "{what}: {args:?} ended with {}\n{}\n{}", run.code, run.stdout, run.stderr);
    assert_unchanged(app, what, args, &before);
    run
}

/// Restores to `out`, which may appear and is removed again; beside it nothing changes.
#[track_caller]
pub fn contained(app: &App, what: &str, args: &[&str]) -> Ended {
    let before = picture(app);
    let run = limited(app, args);
    // Refused or done, but no crash and no timeout, and nothing begun that was not ended.
    assert!([0, 1, 2, 4, 5, 10, 12].contains(&run.code), "{what}: {args:?} ended with {}\n{}", run.code, run.stderr);
    for out in [app.path("out"), app.path("out.db")] {
        if run.code == 0 {
            let _ = if out.is_dir() { std::fs::remove_dir_all(out) } else { std::fs::remove_file(out) };
        }
    }
    assert_unchanged(app, what, args, &before);
    run
}

#[track_caller]
fn assert_unchanged(app: &App, what: &str, args: &[&str], before: &BTreeMap<String, String>) {
    let after = picture(app);
    let changed: Vec<_> =
        before.iter().filter(|(path, is)| after.get(*path) != Some(is)).map(|(path, _)| path).collect();
    let added: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(changed.is_empty() && added.is_empty(), "{what}: {args:?} changed {changed:?}, added {added:?}");
}
