//! Manifests and facts that say what no run would: listed as unreadable or shown for what they are, and never believed
//! about a path.

use super::forge::Forge;
use super::surroundings::{DATABASE, FILES, clinic, contained, harmless, limited};
use crate::support::app::App;
use serde_json::{Value, json};

/// Commands that read every manifest work, whatever one of them says; but nothing is removed while one is unreadable.
#[track_caller]
fn read_by_all(app: &App, what: &str, prune: i32) {
    for way in [&["list"][..], &["--json", "list"], &["stats"], &["--json", "stats"]] {
        harmless(app, what, way, &[0]);
    }
    harmless(app, what, &["prune", "--dry-run"], &[prune]);
}

fn set(at: &str, value: Value) -> impl Fn(&mut Value) {
    let at = at.to_owned();
    move |manifest| {
        let (parent, key) = at.rsplit_once('/').unwrap();
        let parent = manifest.pointer_mut(parent).unwrap();
        match key.parse::<usize>() {
            Ok(number) => parent[number] = value.clone(),
            Err(_) => parent[key] = value.clone(),
        }
    }
}

#[test]
fn what_a_manifest_cannot_say_makes_it_unreadable_and_nothing_else() {
    let app = clinic();
    let id = app.ids()[0].clone();
    let forge = Forge::of(&app);
    let good = forge.manifest.clone();
    let text = serde_json::to_string(&good).unwrap();
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for (at, value) in [
        ("/id", json!("../../canary")),
        ("/id", json!("system-backup-2020-01-01T00-00-00-000Z")),
        ("/type", json!("../../canary")),
        ("/type", json!("weekly")),
        ("/tenantId", json!("acme")),
        ("/tenantId", json!("../acme")),
        ("/formatVersion", json!(2)),
        ("/formatVersion", json!(-1)),
        ("/formatVersion", json!(1u64 << 40)),
        ("/status", json!("splendid")),
        ("/timestamp", json!("+262142-12-31T23:59:59Z")),
        ("/timestamp", json!("-262143-01-01T00:00:00Z")),
        ("/timestamp", json!("yesterday")),
        ("/components/0/size", json!(-1)),
        ("/components/0/size", json!(1.5)),
        ("/components/0/status", json!("whole")),
        ("/components", json!({})),
        ("/components/0", json!([])),
        ("/totals", json!(null)),
        ("/durationSeconds", json!("1")),
    ] {
        let mut manifest = good.clone();
        set(at, value.clone())(&mut manifest);
        cases.push((format!("{at} {value}"), serde_json::to_vec(&manifest).unwrap()));
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    cases.push(("only nesting".into(), deep.into_bytes()));
    cases.push(("a number beyond numbers".into(), text.replace("\"documents\":1", "\"documents\":1e999").into_bytes()));
    cases.push(("a key twice".into(), text.replacen('{', &format!("{{\"id\":\"{id}\","), 1).into_bytes()));
    cases.extend(
        [("nothing", &b""[..]), ("no text", b"\xff\xfe\0"), ("cut", &text.as_bytes()[..text.len() / 2])]
            .map(|(w, b)| (w.into(), b.to_vec())),
    );
    for (what, body) in cases {
        forge.save_text(&body);
        read_by_all(&app, &what, 5);
        let list = harmless(&app, &what, &["--json", "list"], &[0]).json();
        assert_eq!(list["backups"], json!([]), "{what}");
        assert!(!list["unreadable"].as_array().unwrap().is_empty(), "{what}");
        for way in
            [&["show", &id][..], &["verify", &id], &["verify", "--all"], &["restore", &id, "--to-directory", "out"]]
        {
            harmless(&app, &what, way, &[4]);
        }
    }
}

#[test]
fn nesting_in_a_manifest_ends_nothing() {
    let app = clinic();
    let forge = Forge::of(&app);
    let text = serde_json::to_string(&forge.manifest).unwrap();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = text.replace("\"warnings\":[]", &format!("\"warnings\":{deep}"));
    assert_ne!(nested, text);
    forge.save_text(nested.as_bytes());
    // The short form passes over what it does not need.
    read_by_all(&app, "nesting", 0);
    for way in [&["show", "latest"][..], &["verify", "latest"], &["restore", "latest", "--to-directory", "out"]] {
        harmless(&app, "nesting", way, &[4]);
    }
}

#[test]
fn a_manifest_leads_nowhere_but_into_its_backups_folder() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let good = forge.manifest.clone();
    let canary = app.path("canary/file").display().to_string();
    for archive in ["../../../canary/file", &canary, "..", "", "core/../../x", "core/\0", "/dev/zero", "core", "."] {
        forge.manifest = good.clone();
        forge.component(FILES)["archive"] = archive.into();
        forge.save();
        read_by_all(&app, archive, 0);
        harmless(&app, archive, &["verify", "latest"], &[1, 4]);
        harmless(&app, archive, &["restore", "latest", "--to-directory", "out"], &[1, 4]);
        harmless(&app, archive, &["restore", "latest", "--files-into", "out", "--into", "clinic=out.db"], &[1, 4]);
    }
}

#[test]
fn numbers_names_and_kinds_that_are_made_up_do_no_harm() {
    let app = clinic();
    // Beside another one, so that there is something to add up.
    app.run(&["create"]).expect(0);
    let mut forge = Forge::of(&app);
    let good = forge.manifest.clone();
    let at = |archive: &str, field: &str| {
        let components = good["components"].as_array().unwrap();
        format!("/components/{}/{field}", components.iter().position(|c| c["archive"] == archive).unwrap())
    };
    let database = |field: &str| at(DATABASE, field);
    let most = json!(u64::MAX);
    let many: Vec<_> = (0..20_000).map(|n| json!(format!("c{n}"))).collect();
    let collection = good.pointer(&database("collections/0")).unwrap().clone();
    let twice = json!([collection, collection]);
    let huge = |name: &str| {
        let mut collection = collection.clone();
        (collection["name"], collection["documents"], collection["bytes"]) = (name.into(), most.clone(), most.clone());
        collection
    };
    for (at, value, codes) in [
        (database("size"), most.clone(), &[4][..]),
        (at(FILES, "size"), most.clone(), &[4]),
        ("/totals/storedBytes".into(), most.clone(), &[0]),
        ("/totals/bytes".into(), most.clone(), &[0]),
        ("/durationSeconds".into(), json!(-1e308), &[0]),
        ("/durationSeconds".into(), json!(1e308), &[0]),
        (database("collections/0/documents"), most.clone(), &[4]),
        (database("collections/0/documents"), json!(2), &[4]),
        (database("collections"), json!([huge("patients"), huge("other")]), &[4]),
        (database("collections/0/name"), json!("a\"; DROP TABLE patients; --"), &[4]),
        (database("collections/0/name"), json!("sqlite_master"), &[4]),
        (database("collections"), twice, &[4]),
        (database("archive"), json!(FILES), &[4]),
        (database("database"), json!("../../canary/x"), &[0]),
        (database("type"), json!("files"), &[0, 4, 5]),
        (database("type"), json!("mongodb"), &[0, 4]),
        (database("type"), json!("postgres"), &[0, 4]),
        (at(FILES, "type"), json!("sqlite"), &[0, 2, 4]),
        (database("name"), json!("../x"), &[0, 2, 4]),
        (at(FILES, "name"), json!("../x"), &[0, 2, 4]),
        (database("collectionsIncluded"), json!(many), &[0]),
        (database("encrypted"), json!(true), &[4, 12]),
        (database("index"), json!(null), &[4]),
        (database("sha256"), json!("\u{1b}[31m"), &[4]),
    ] {
        forge.manifest = good.clone();
        set(&at, value.clone())(&mut forge.manifest);
        forge.save();
        let what = format!("{at} {value}").chars().take(100).collect::<String>();
        read_by_all(&app, &what, 0);
        harmless(&app, &what, &["show", "latest"], &[0, 4]);
        harmless(&app, &what, &["restore", "latest", "--to-directory", "out", "--dry-run"], &[0, 4]);
        harmless(&app, &what, &["verify", "latest"], codes);
        contained(&app, &what, &["restore", "latest", "--to-directory", "out"]);
        contained(&app, &what, &["restore", "latest", "--files-into", "out", "--into", "clinic=out.db"]);
    }
}

#[test]
fn an_id_beyond_the_calendar_is_none() {
    let app = clinic();
    let forge = Forge::of(&app);
    let old = app.ids()[0].clone();
    let id = "system-backup-+262142-12-31T23-59-59-999Z";
    let text = serde_json::to_string(&forge.manifest).unwrap().replace(&old, id);
    std::fs::rename(app.backup(&old), app.backup(id)).unwrap();
    std::fs::remove_file(app.path(&format!("backups/metadata/{old}.json"))).unwrap();
    app.write(&format!("backups/metadata/{id}.json"), text.as_bytes());
    read_by_all(&app, id, 5);
    let list = harmless(&app, id, &["--json", "list"], &[0]).json();
    assert_eq!((&list["backups"], list["unreadable"].as_array().unwrap().len()), (&json!([]), 1));
}

#[test]
fn facts_and_journals_that_are_none_are_listed_as_unreadable() {
    let app = clinic();
    let id = app.ids()[0].clone();
    let deep = "[".repeat(50_000);
    let garbage =
        [&b"\xff\xfe\n\0"[..], b"{}\n", b"[]\n", b"null\n", deep.as_bytes(), b"{\"at\": 5, \"by\": []}\n", b"\n"];
    for body in garbage.map(|body| [body, b"\n"].concat()) {
        let files = [
            "metadata/facts/ID.verified.json",
            "metadata/facts/ID.held.json",
            "metadata/failed/ID.json",
            "journal/x.jsonl",
        ];
        for file in files {
            app.write(&format!("backups/{}", file.replace("ID", &id)), &body);
        }
        read_by_all(&app, "garbage", 5);
        let list = harmless(&app, "garbage", &["--json", "list"], &[0]).json();
        assert_eq!(list["unreadable"].as_array().unwrap().len(), files.len(), "{list}");
        assert_eq!(list["backups"].as_array().unwrap().len(), 1);
    }
    let restored = ["restore", "latest", "--files-into", "out", "--into", "clinic=out.db"];
    limited(&app, &restored).expect(0);
}
