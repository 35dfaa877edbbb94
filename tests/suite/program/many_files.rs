//! Half a million files pass through little memory, in and out.

use crate::support::app::{App, ended};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const CONFIG: &str = r#"
installation: archive
repository: {location: ./backups}
compression: fast
uploads: [{root: ./uploads, layout: "{directory}"}]
modules: {core: {required: true, fileUploads: [letters, seals]}}
"#;

/// Memory of any run, of a debug build too.
const BOUND: u64 = 100 << 20;

/// `folders` of a thousand small files each, and one file in a directory of its own.
fn archive(folders: u32) -> App {
    let app = App::new(CONFIG);
    for folder in 0..folders {
        let below = app.path(&format!("uploads/letters/{folder:03}"));
        std::fs::create_dir_all(&below).unwrap();
        for number in 0..1000 {
            let text = format!("letter {number} of {folder}");
            std::fs::write(below.join(format!("{number:03}.txt")), text).unwrap();
        }
    }
    app.write("uploads/seals/one.txt", b"the seal");
    app
}

/// Runs to its end; what it says, and the most memory that it took.
fn watched(app: &App, arguments: &[&str]) -> (serde_json::Value, u64) {
    let child = app.spawn(arguments);
    let status = format!("/proc/{}/status", child.id());
    let waits = std::thread::spawn(move || ended(child.wait_with_output().unwrap()));
    let mut most = 0;
    while !waits.is_finished() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        // A process that has ended says nothing of it.
        most = peak.map_or(most, |kib: u64| kib << 10);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(most > 0, "it was over before anybody looked");
    eprintln!("{arguments:?}: {} MiB", most >> 20);
    (waits.join().unwrap().expect(0).json(), most)
}

fn entries(archive: &Path, folder: &Path) -> usize {
    let file = Command::new("tar").args(["-C"]).arg(folder).arg("-tf").arg(archive).output().unwrap();
    assert!(file.status.success());
    file.stdout.iter().filter(|byte| **byte == b'\n').count()
}

fn assert_pass_through_little_memory(folders: u32) {
    let app = archive(folders);
    let files = u64::from(folders) * 1000 + 1;
    let (made, create) = watched(&app, &["--json", "create"]);
    let id = made["id"].as_str().unwrap();
    let component = &made["components"][0];
    assert_eq!(component["files"]["files"], files);
    let stored = app.backup(id).join(component["archive"].as_str().unwrap());
    // Files, their folders, what tells how to restore, and the index.
    assert_eq!(entries(&stored, &app.path("")) as u64, files + u64::from(folders) + 2 + 2);
    let (listed, list) = watched(&app, &["--json", "list"]);
    assert_eq!(listed["backups"][0]["id"], id);
    let (verified, verify) = watched(&app, &["--json", "verify", id, "--level", "decoded"]);
    assert_eq!(verified[0]["valid"], true, "{verified}");
    let (_, restore) =
        watched(&app, &["--json", "restore", id, "--collection", "seals", "--files-into", "out", "--yes"]);
    assert_eq!(std::fs::read(app.path("out/uploads/seals/one.txt")).unwrap(), b"the seal");
    assert!(!app.path("out/uploads/letters").exists());
    for (what, most) in [("create", create), ("list", list), ("verify", verify), ("restore", restore)] {
        assert!(most <= BOUND, "{what} of {files} files took {} MiB", most >> 20);
    }
}

#[test]
fn some_thousand_files_are_stored_verified_and_one_of_them_restored() {
    assert_pass_through_little_memory(4);
}

#[test]
#[ignore = "long: half a million files"]
fn half_a_million_files_pass_through_little_memory() {
    assert_pass_through_little_memory(500);
}
