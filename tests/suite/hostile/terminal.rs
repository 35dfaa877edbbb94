//! Names out of manifests, archives, facts and file names: shown, and never obeyed by the terminal.

use super::forge::{Entry, Forge};
use super::surroundings::{DATABASE, FILES, clinic, limited};
use crate::support::app::{App, Ended};

/// Sets a terminal's title, rings, turns red, moves up, clears by a C1 code, reads backwards, and begins a line of its own.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[31m\u{1b}[A\u{9b}2J\u{202e}\nError: forged\r";

/// Nothing a terminal obeys but our own colours, and no forged line. Colours are on: without a terminal they would be
/// taken out, and the evil with them.
#[track_caller]
fn tame(app: &App, args: &[&str]) -> Ended {
    let run = limited(app, &[&["--color", "always", "-vv"], args].concat());
    for text in [&run.stdout, &run.stderr] {
        let plain = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[31m", "\u{1b}[33m", "\u{1b}[36m"];
        let ours = plain.iter().fold(text.clone(), |text, style| text.replace(style, ""));
        let wild: Vec<_> = ours.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
        assert!(wild.is_empty(), "{args:?}: {wild:?} in {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("Error: forged")), "{args:?}: {text}");
        assert!(!text.contains("\u{1b}[31m\u{1b}"), "{args:?}: {text:?}");
    }
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run
}

/// Every command that shows a backup, or fails over it. True when one of them showed the name.
#[track_caller]
fn all_tame(app: &App) -> bool {
    let mut shown = false;
    for way in [
        &["list"][..],
        &["show", "latest"],
        &["stats"],
        &["prune", "--dry-run"],
        &["forget", "latest", "--dry-run"],
        &["verify", "latest"],
        &["verify", "--all"],
        &["verify", "latest", "--level", "restored"],
        &["restore", "latest", "--dry-run", "--to-directory", "out"],
        &["restore", "latest", "--to-directory", "out"],
        &["restore", "latest", "--files-into", "out", "--into", "clinic=out.db"],
        &["key", "check"],
        &["hold", "latest"],
        &["release", "latest"],
    ] {
        let run = tame(app, way);
        shown |= format!("{}{}", run.stdout, run.stderr).contains("owned");
        let _ = std::fs::remove_dir_all(app.path("out"));
        let _ = std::fs::remove_file(app.path("out.db"));
        // For programs it is data: as it is, but escaped.
        let run = limited(app, &[&["--json"], way].concat());
        assert!(!run.stdout.contains('\u{1b}'), "{way:?}: {}", run.stdout);
    }
    shown
}

#[test]
fn a_manifest_drives_no_terminal() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let good = forge.manifest.clone();
    let at = |archive: &str, field: &str| {
        let components = good["components"].as_array().unwrap();
        format!("/components/{}/{field}", components.iter().position(|c| c["archive"] == archive).unwrap())
    };
    let mut shown = 0;
    for at in [
        "/installation".to_owned(),
        "/mode".into(),
        "/createdBy".into(),
        "/tool/version".into(),
        "/id".into(),
        "/type".into(),
        "/tenantId".into(),
        "/status".into(),
        "/enabledModules/0".into(),
        at(DATABASE, "name"),
        at(DATABASE, "module"),
        at(DATABASE, "type"),
        at(DATABASE, "error"),
        at(DATABASE, "archive"),
        at(DATABASE, "database"),
        at(DATABASE, "sha256"),
        at(DATABASE, "collections/0/name"),
        at(DATABASE, "collections/0/recordDigest"),
        at(FILES, "archive"),
        at(FILES, "name"),
        at(FILES, "collections/0/name"),
    ] {
        forge.manifest = good.clone();
        *forge.manifest.pointer_mut(&at).unwrap() = EVIL.into();
        forge.save();
        shown += i32::from(all_tame(&app));
    }
    // The rest is only compared.
    assert!(shown > 14, "{shown} fields were shown");
    forge.manifest = good.clone();
    for field in ["warnings", "errors"] {
        forge.manifest[field] = serde_json::json!([EVIL]);
    }
    forge.manifest["excludedModules"] = serde_json::json!([{"module": EVIL, "reason": EVIL}]);
    for component in forge.manifest["components"].as_array_mut().unwrap() {
        (component["status"], component["error"]) = ("failed".into(), EVIL.into());
    }
    forge.save();
    assert!(all_tame(&app));
}

#[test]
fn an_archive_a_fact_and_a_file_name_drive_no_terminal() {
    let app = clinic();
    let id = app.ids()[0].clone();
    let mut forge = Forge::of(&app);
    let good = forge.open(FILES);
    let path = format!("uploads/{}", EVIL.replace('\u{9b}', ""));
    for entry in [
        Entry::file(&format!("../{path}"), b""),
        Entry::file(&path, b"").with("/file/kind", EVIL.into()),
        Entry::file(&path, b"").with("/sha256", "00".repeat(32).into()),
        Entry { kind: b'6', line: None, ..Entry::file(&path, b"") },
        Entry { kind: b'2', ..Entry::file(&path, b"") },
    ] {
        let mut forged = good.clone();
        forged.entries.push(entry);
        forge.put(FILES, &forged);
        assert!(all_tame(&app));
    }
    forge.put(FILES, &good);
    let held = serde_json::json!({"at": "2026-01-01T00:00:00Z", "by": EVIL});
    app.write(&format!("backups/metadata/facts/{id}.held.json"), held.to_string().as_bytes());
    for way in [&["show", "latest"][..], &["hold", "latest"], &["list"]] {
        tame(&app, way);
    }
    assert!(tame(&app, &["show", "latest"]).stdout.contains("owned"));
    app.write(&format!("backups/metadata/{EVIL}.json"), b"{}");
    let undertaking = serde_json::json!({"backup": EVIL, "existing": EVIL, "targets": [EVIL], "steps": [EVIL]});
    let begin = serde_json::json!({"event": "begin", "at": "2026-01-01T00:00:00Z", "undertaking": undertaking});
    app.write("backups/journal/2026-01-01T00-00-00-000Z.jsonl", format!("{begin}\n").as_bytes());
    app.write(&format!("backups/journal/{EVIL}.jsonl"), b"garbage\n");
    app.write(&format!("backups/staging/{id}{EVIL}/x"), b"");
    assert!(all_tame(&app));
}
