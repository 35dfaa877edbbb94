//! Paths, links and kinds: nothing leaves the folder it is restored to.

use super::forge::{Archive, Entry, Forge, extension, hex, pax};
use super::surroundings::{DATABASE, FILES, clinic, harmless, limited};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// Every command that reads an archive's index.
const WAYS: [&[&str]; 5] = [
    &["verify", "latest"],
    &["verify", "latest", "--level", "restored"],
    &["restore", "latest", "--files-into", "out", "--into", "clinic=out.db"],
    &["restore", "latest", "--to-directory", "out"],
    &["restore", "latest", "--files-into", "out", "--into", "clinic=out.db", "--dry-run"],
];

/// Each forgery is refused as damage in every way, names the part, and leaves everything as it was.
fn refused_in_every_way(archive: &str, cases: Vec<(&str, Archive)>) {
    let app = clinic();
    let mut forge = Forge::of(&app);
    for (what, forged) in cases {
        forge.put(archive, &forged);
        for way in WAYS {
            let run = harmless(&app, what, way, &[4]);
            let named = format!("{}{}", run.stdout, run.stderr);
            assert!(named.contains(archive), "{what}: {named}");
        }
    }
}

fn with(archive: &Archive, entries: impl IntoIterator<Item = Entry>) -> Archive {
    let mut archive = archive.clone();
    archive.entries.extend(entries);
    archive
}

#[test]
fn a_path_that_leaves_its_folder_is_refused_before_anything_is_written() {
    let app = clinic();
    let good = Forge::of(&app).open(FILES);
    let canary = app.path("canary/x");
    let long = "x".repeat(256);
    let paths = [
        "../x",
        "../../canary/x",
        "uploads/../../x",
        "uploads/./x",
        "uploads//x",
        "/x",
        canary.to_str().unwrap(),
        "..",
        ".",
        "",
        "/",
        "uploads/..",
        "uploads/letters/../../../canary/x",
        "uploads/a\0b",
    ];
    let mut cases: Vec<_> = paths
        .iter()
        .map(|path| {
            let named = Entry::file(path, b"evil");
            (*path, with(&good, [Entry { path: path.chars().take(90).collect(), ..named }]))
        })
        .collect();
    cases.push((
        "a long name",
        with(&good, [Entry { path: "long".into(), ..Entry::file(&format!("uploads/{long}"), b"") }]),
    ));
    let disagrees =
        |bytes: &[u8]| with(&good, [Entry::file("uploads/x", b"evil").with("/pathBytes", hex(bytes).into())]);
    cases.push(("bytes that leave", disagrees(b"../x")));
    cases.push(("bytes that are another path", disagrees(b"uploads/y")));
    cases.push(("bytes of another path that are no text", disagrees(b"uploads/\xff")));
    let named = |suffix: &str, directory: &str| {
        let name = json!({"directory": directory, "stem": "clinic", "suffix": suffix});
        let path = format!("{directory}/clinic{suffix}");
        let line = json!({"path": path, "name": name});
        with(&good, [Entry { path: path.chars().take(90).collect(), ..Entry::data("", line, b"evil") }])
    };
    cases.push(("a name among files that leaves", named("/../../x", "d")));
    refused_in_every_way(FILES, cases);
}

#[test]
fn a_name_that_would_be_a_path_is_refused_before_it_is_one() {
    let app = clinic();
    let good = Forge::of(&app).open(DATABASE);
    let canary = app.path("canary/evil").display().to_string();
    let mut cases = Vec::new();
    for (directory, stem, suffix) in [
        ("clinic", "clinic", "/../../../canary/evil.db"),
        ("clinic", "x", canary.as_str()),
        ("", "evil", ".db"),
        ("..", "..", "/../evil"),
        ("clinic", "", ".db"),
        ("clinic", "x", ""),
        ("clinic", "x", ".d\0b"),
    ] {
        let name = json!({"directory": directory, "stem": stem, "suffix": suffix});
        for path in [format!("{directory}/{stem}{suffix}"), "clinic/clinic.db".into(), "clinic/x.db".into()] {
            let line = json!({"path": path, "name": name});
            // First, where what looks for a database finds it first.
            let mut forged = good.clone();
            forged.entries.insert(0, Entry { path: "clinic/void.db".into(), ..Entry::data("", line, b"evil") });
            cases.push((suffix, forged));
        }
    }
    let both = |entry: &mut Entry| {
        entry.line.as_mut().unwrap()["file"] = json!({"kind": "file", "mode": 0, "uid": 0, "gid": 0, "mtime": [0, 0]})
    };
    let mut twofold = good.clone();
    both(twofold.entry("clinic/clinic.db"));
    cases.push(("a name and a file", twofold));
    refused_in_every_way(DATABASE, cases);
}

#[test]
fn links_kinds_and_lines_that_no_writer_makes_are_refused() {
    let app = clinic();
    let good = Forge::of(&app).open(FILES);
    let canary = app.path("canary").display().to_string();
    let file = || Entry::file("uploads/x", b"evil");
    let line = |at: &str, value: Value| with(&good, [file().with(at, value)]);
    let mut cases = vec![
        ("twice", with(&good, [file(), file()])),
        ("twice, once with a slash", with(&good, [file(), Entry::directory("uploads/x/")])),
        ("below a link", with(&good, [Entry::symlink("uploads/l", &canary), Entry::file("uploads/l/x", b"evil")])),
        (
            "below a link that comes later",
            with(&good, [Entry::file("uploads/l/x", b"evil"), Entry::symlink("uploads/l", &canary)]),
        ),
        (
            "far below a link",
            with(&good, [Entry::symlink("uploads/l", "../.."), Entry::file("uploads/l/a/b/x", b"evil")]),
        ),
        ("below a file", with(&good, [file(), Entry::file("uploads/x/y", b"evil")])),
        ("a root that is a link", with(&good, [Entry::symlink("uploads", &canary)])),
    ];
    for kind in ["hardlink", "fifo", "socket", "characterDevice", "blockDevice", ""] {
        cases.push((kind, line("/file/kind", kind.into())));
    }
    for (at, value) in [
        ("/file/mode", json!(0o40_755)),
        ("/file/mode", json!(-1)),
        ("/file/uid", json!(1u64 << 32)),
        ("/file/uid", json!(u32::MAX)),
        ("/file/gid", json!(u32::MAX)),
        ("/file/mtime", json!([0, 1_000_000_000])),
        ("/file/mtime", json!([1e300, 0])),
        ("/file/link", json!("2f")),
        ("/file/xattrs", json!([["user.a\0b", ""]])),
        ("/file/xattrs", json!([["", ""]])),
        ("/file/xattrs", json!([["user.a", "zz"]])),
        ("/offset", json!(1u64 << 40)),
        ("/offset", json!(-1)),
        ("/skip", json!(u64::MAX)),
        ("/size", json!(u64::MAX)),
        ("/size", json!(1u64 << 50)),
        ("/sha256", json!("")),
        ("/sha256", json!("../../canary/file")),
        ("/part", json!(1)),
        ("/records", json!(1)),
        ("/name", json!({"directory": "d", "stem": "s", "suffix": ".bson"})),
    ] {
        cases.push((at, line(at, value)));
    }
    for link in ["", "00", "2f00", "zz", "2", &"61".repeat(5000)] {
        let entry = Entry::symlink("uploads/l", "x").with("/file/link", link.into());
        cases.push(("a link's text", with(&good, [entry])));
    }
    refused_in_every_way(FILES, cases);
}

#[test]
fn tar_headers_that_would_harm_whoever_unpacks_it_are_damage() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let good = forge.open(FILES);
    let void = |entry: Entry| Entry { line: None, ..entry };
    let kind = |kind: u8| Entry { kind, ..Entry::file("uploads/x", b"") };
    let before = |before: Vec<u8>| Entry { before, ..Entry::file("uploads/x", b"evil") };
    let mut cases = vec![
        ("a void entry that leaves", void(Entry::file("../x", b"evil"))),
        ("a void absolute entry", void(Entry::file("/tmp/x", b"evil"))),
        ("a void link", void(Entry::symlink("uploads/l", "/"))),
        ("a pax size", before(extension(b'x', &pax("size", "1000000")))),
        ("a pax path", before(extension(b'x', &pax("path", "../x")))),
        ("a GNU long name", before(extension(b'L', b"../x\0"))),
        ("a broken pax header", before(extension(b'x', b"999 path=x\n"))),
        ("a pax header without a length", before(extension(b'x', b"path"))),
        ("a global pax header", before(extension(b'g', &pax("path", "../x")))),
        ("another link than the index says", Entry { link: "/etc".into(), ..Entry::symlink("uploads/l", "x") }),
        ("another kind than the index says", Entry { kind: b'2', ..Entry::file("uploads/x", b"") }),
    ];
    // Hard link, devices, directory, FIFO, contiguous, sparse, multi-volume, unknown.
    cases.extend(b"134567SMVZ".map(|flag| ("a kind", kind(flag))));
    for (what, entry) in cases {
        forge.put(FILES, &with(&good, [entry]));
        harmless(&app, what, &["verify", "latest"], &[4]);
    }
}

#[test]
fn a_link_that_is_stored_stays_a_link_and_what_it_points_at_stays_as_it_is() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let canary = app.path("canary").display().to_string();
    forge.put(FILES, &with(&forge.open(FILES), [Entry::symlink("uploads/letters/l", &canary)]));
    for way in [&["--files-into", "a"][..], &["--to-directory", "b"]] {
        limited(&app, &[&["restore", "latest", "--only", "files"], way].concat()).expect(0);
    }
    for folder in ["a", "b"] {
        let link = std::fs::read_link(app.path(folder).join("uploads/letters/l")).unwrap();
        assert_eq!(link, app.path("canary"));
    }
    // The same link where the target has a folder: what is stored below it goes nowhere.
    let app = clinic();
    std::fs::remove_dir_all(app.path("uploads/letters")).unwrap();
    symlink(app.path("canary"), app.path("uploads/letters")).unwrap();
    for existing in ["refuse", "add", "merge", "replace"] {
        let way = ["restore", "latest", "--only", "files", "--existing", existing, "--yes", "--no-safety-backup"];
        harmless(&app, existing, &way, &[5]);
    }
}

#[test]
fn a_link_in_one_archive_is_no_way_out_for_another() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    // Where --to-directory puts the database.
    let link = Entry::symlink("clinic", app.path("canary").to_str().unwrap());
    let mut forged = forge.open(FILES);
    forged.entries = vec![link];
    forge.put(FILES, &forged);
    // The files come first, as whoever forged it likes it.
    forge.manifest["components"].as_array_mut().unwrap().sort_by_key(|c| c["type"] != "files");
    forge.save();
    harmless(&app, "a link", &["restore", "latest", "--to-directory", "out"], &[4, 5]);
}

#[test]
fn no_restored_file_runs_as_somebody_else() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let capability = json!([["security.capability", "0100000200040000000000000000000000000000"]]);
    let evil = [
        Entry::file("uploads/set-user", b"#!").with("/file/mode", json!(0o6755)),
        Entry::file("uploads/capable", b"#!").with("/file/xattrs", capability),
        Entry::directory("uploads/shared").with("/file/mode", json!(0o2775)),
    ];
    forge.put(FILES, &with(&forge.open(FILES), evil));
    limited(&app, &["restore", "latest", "--only", "files", "--files-into", "out"]).expect(0);
    let out = app.path("out/uploads");
    let mode = |name: &str| std::fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("set-user"), 0o755);
    assert_eq!(xattr::get(out.join("capable"), "security.capability").unwrap(), None);
    let is_root = std::fs::metadata(app.path("backup.yaml")).unwrap().uid() == 0;
    assert_eq!(mode("shared"), if is_root { 0o2775 } else { 0o775 }, "a folder's bit is how groups share");
}

#[test]
fn a_folder_swapped_for_a_link_while_it_is_filled_leads_nowhere() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let files = (0..200).map(|n| Entry::file(&format!("uploads/letters/{n}"), b"evil"));
    forge.put(FILES, &with(&forge.open(FILES), files));
    let folder = app.path("out/uploads/letters");
    std::fs::create_dir_all(&folder).unwrap();
    let trap = app.path("out/uploads/trap");
    symlink(app.path("canary"), &trap).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::SeqCst;
    let swaps = std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut swaps = 0u64;
            while !done.load(order) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(rustix::fs::CWD, &folder, rustix::fs::CWD, &trap, exchange).unwrap();
                swaps += 1;
            }
            swaps
        });
        let mut stopped = 0;
        for _ in 0..10 {
            let way = ["restore", "latest", "--only", "files", "--files-into", "out", "--existing", "merge", "--yes"];
            let run = limited(&app, &[&way[..], &["--no-safety-backup"]].concat());
            assert!([0, 1, 5, 6].contains(&run.code), "{} {}", run.code, run.stderr);
            stopped += u64::from(run.code != 0);
        }
        done.store(true, order);
        assert!(stopped > 0, "no run met the link");
        swapper.join().unwrap()
    });
    assert!(swaps > 0);
    let left: Vec<_> = std::fs::read_dir(app.path("canary")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["file"]);
}
