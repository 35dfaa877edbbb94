//! Modules that are written beside their code.

use crate::support::app::{App, ended};
use rusqlite::Connection;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const MAIN: &str = "installation: x\nrepository: {location: backups}\nsources: {a: {engine: sqlite, path: a.db}}\n";

fn app(main: &str, files: &[(&str, &str)]) -> App {
    let app = App::new(&format!("{MAIN}{main}"));
    for (name, text) in files {
        app.write(name, text.as_bytes());
    }
    app
}

/// The mistakes, each without the folder of the application.
fn mistakes(app: &App) -> Vec<String> {
    let error = app.run(&["--json", "config", "check"]).expect(2).json();
    let folder = format!("{}/", app.path("").display().to_string().trim_end_matches('/'));
    let details = error["error"]["details"].as_array().unwrap();
    details.iter().map(|line| line.as_str().unwrap().replace(&folder, "")).collect()
}

fn names(document: &Value) -> Vec<String> {
    document["modules"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn modules_of_all_files_are_one_configuration() {
    let app = app(
        "modules: {core: {required: true, collections: [users]}}\nmodulesFrom: [modules/*/backup.yaml, ./extra.yaml, 'modules/[ab]/backup.yaml', '{modules/*,none}/backup.yaml']\nverification: {criticalCollections: [bills]}\n",
        &[
            ("modules/b/backup.yaml", "modules: {b: {dependencies: [core, a], collections: [bills]}}\n"),
            ("modules/a/backup.yaml", "modules:\n  a: {collections: ['${TABLE:-ants}']}\n  aa: {}\n"),
            ("modules/a/deeper/backup.yaml", "this: is not one\n"),
            ("modules/a/other.yaml", "this: is not one\n"),
            ("extra.yaml", "modules: {extra: {}}\n"),
        ],
    );
    let checked = app.run(&["--json", "config", "check"]).expect(0).json();
    assert_eq!(checked["modules"], 5);
    let files: Vec<_> = checked["moduleFiles"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    let expected = ["modules/a/backup.yaml", "modules/b/backup.yaml", "extra.yaml"].map(|f| app.path(f));
    assert_eq!(files, expected.map(|f| f.display().to_string()));
    assert!(app.run(&["config", "check"]).expect(0).stdout.contains("with 3 module files is valid: 5 modules"));
    let shown = app.run(&["config", "show"]).expect(0).stdout;
    let json = app.run(&["--json", "config", "show"]).expect(0).json();
    assert_eq!(names(&json), ["a", "aa", "b", "core", "extra"]);
    assert_eq!(json["modules"]["a"]["collections"][0]["name"], "ants");
    // What is shown is a configuration of one file that says the same.
    app.write("backup.yaml", shown.as_bytes());
    assert_eq!(app.run(&["--json", "config", "show"]).expect(0).json(), json);

    let tables = ["users", "ants", "bills"].map(|t| format!("CREATE TABLE {t} (x);")).concat();
    Connection::open(app.path("a.db")).unwrap().execute_batch(&tables).unwrap();
    let made = app.run(&["--json", "create"]).expect(0).json();
    let archives: Vec<_> = made["components"].as_array().unwrap().iter().map(|c| c["archive"].clone()).collect();
    assert_eq!(archives, ["a/a.tar.gz", "b/a.tar.gz", "core/a.tar.gz"].map(Value::from));
}

#[test]
fn every_mistake_is_told_in_the_file_that_holds_it() {
    let app = app(
        "modules: {core: {collections: [users]}}\nmodulesFrom: modules/*.yaml\njobs: {n: {create: {modules: [bb]}}}\n",
        &[
            (
                "modules/1.yaml",
                "modules:\n  a:\n    prioritty: 1\n    dependencies: [coer]\n    collections: [{nam: x}]\n    source: '${NOPE}'\n",
            ),
            ("modules/2.yaml", "modules:\n  b: {source: aa}\n  core: {}\n  a: {}\nsources: {}\n"),
            ("modules/3.yaml", "a: {collections: []}\n"),
            ("modules/4.yaml", "modules: [a\n"),
            ("modules/5.yaml", "modules: {c: {}, c: {}}\n"),
        ],
    );
    let found = mistakes(&app);
    for expected in [
        "backup.yaml:6:31: jobs.n.create.modules[0]: unknown module 'bb'; did you mean `b`?",
        "modules/1.yaml:3:5: modules.a.prioritty: unknown key; did you mean `priority`?",
        "modules/1.yaml:4:20: modules.a.dependencies[0]: unknown module 'coer'; did you mean `core`?",
        "modules/1.yaml:5:19: modules.a.collections[0]: the key `name` is missing",
        "modules/1.yaml:5:20: modules.a.collections[0].nam: unknown key; did you mean `name`?",
        "modules/1.yaml:6:13: modules.a.source: the variable NOPE is not set; set it, or write `${NOPE:-default}`",
        "modules/2.yaml:2:15: modules.b.source: unknown source 'aa'; did you mean `a`?",
        "modules/2.yaml:3:3: modules.core: is a module of backup.yaml:4:11 already",
        "modules/2.yaml:4:3: modules.a: is a module of modules/1.yaml:2:3 already",
        "modules/2.yaml:5:1: sources: unknown key",
        "modules/3.yaml:1:1: a: unknown key",
        "modules/3.yaml:1:1: the key `modules` is missing",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected}\nis not in\n{}", found.join("\n"));
    }
    assert!(found.iter().any(|line| line.starts_with("modules/4.yaml:")), "{found:?}");
    assert!(
        found.iter().any(|line| line.starts_with("modules/5.yaml:1:18:") && line.contains("duplicate")),
        "{found:?}"
    );
    let mut sorted = found.iter().map(|line| line.split(':').next().unwrap()).collect::<Vec<_>>();
    assert!(sorted.is_sorted(), "{found:?}");
    sorted.dedup();
    assert_eq!(sorted.len(), 6, "every file, each once: {found:?}");
}

#[test]
fn a_pattern_that_matches_nothing_is_a_mistake() {
    for (pattern, expected) in [
        ("modules/*/backup.yaml", "backup.yaml:4:14: modulesFrom: matches no file"),
        ("gone.yaml", "backup.yaml:4:14: modulesFrom: matches no file"),
        ("[b.yaml, 'modules/?.yml']", "backup.yaml:4:23: modulesFrom[1]: matches no file"),
        // The main file is none of its own module files.
        ("'*ckup.yaml'", "backup.yaml:4:14: modulesFrom: matches no file"),
        ("[]", "backup.yaml:4:14: modulesFrom: names no file"),
        ("'modules/[.yaml'", "backup.yaml:4:14: modulesFrom: is no valid glob"),
    ] {
        let app = app(&format!("modulesFrom: {pattern}\n"), &[("b.yaml", "modules: {b: {}}\n"), ("modules/x", "")]);
        let found = mistakes(&app);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{pattern}: {found:?}");
    }
    // A link whose file is gone would take its module out of every backup.
    let app = app("modulesFrom: 'modules/*.yaml'\n", &[("modules/b.yaml", "modules: {b: {}}\n")]);
    std::os::unix::fs::symlink("nowhere", app.path("modules/lost.yaml")).unwrap();
    let found = mistakes(&app);
    assert!(found[0].contains("modules/lost.yaml"), "{found:?}");
}

#[test]
fn folders_are_searched_as_deep_as_the_pattern_says_and_links_are_followed() {
    let app = app("modulesFrom: '**/module.yaml'\n", &[("x/y/z/module.yaml", "modules: {deep: {}}\n"), ("linked", "")]);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("module.yaml"), "modules: {linked: {}}\n").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), app.path("x/link")).unwrap();
    std::os::unix::fs::symlink("..", app.path("x/circle")).unwrap();
    std::os::unix::fs::symlink("nowhere", app.path("x/broken")).unwrap();
    let shown = app.run(&["--json", "config", "show"]).expect(0).json();
    assert_eq!(names(&shown), ["deep", "linked"]);
    app.reconfigure("'**/module.yaml'", &format!("'{}/*.yaml'", elsewhere.path().display()));
    assert_eq!(names(&app.run(&["--json", "config", "show"]).expect(0).json()), ["linked"]);
}

fn example() -> App {
    let app = App::new("");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/module-files/.");
    assert!(Command::new("cp").arg("-r").arg(from).arg(app.path(".")).status().unwrap().success());
    app
}

#[test]
fn the_example_is_checked_licensed_and_backed_up_as_its_readme_says() {
    let app = example();
    let checked = app.run(&["config", "check"]).expect(0).stdout;
    assert!(checked.contains("with 3 module files is valid: 4 modules"), "{checked}");
    let shown = app.run(&["license"]).expect(2).stdout;
    assert!(shown.contains("NOT VALID") && shown.contains("license-server.pem"), "{shown}");
    let readme = std::fs::read_to_string(app.path("README.md")).unwrap();
    let block = readme.split("```sh\n").find(|block| block.starts_with("cd examples/module-files")).unwrap();
    let script = block.split("```").next().unwrap().replace("cd examples/module-files && ", "");
    let binary = Path::new(env!("CARGO_BIN_EXE_backup")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).current_dir(app.path(".")).env("PATH", path);
    let walked = ended(shell.output().unwrap()).expect(0).stdout;
    assert!(walked.contains("Licence of practice: valid") && walked.contains("Grants:       clinic"), "{walked}");
    let tables = ["users", "countries", "invoices", "patients", "appointments"];
    let tables =
        tables.map(|table| format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY, tenant TEXT, patient INTEGER);"));
    app.write("data/.keep", b"");
    app.write("uploads/acme/invoices/1.pdf", b"x");
    Connection::open(app.path("data/app.db")).unwrap().execute_batch(&tables.concat()).unwrap();
    let made = app.run(&["--json", "create"]).expect(0).json();
    assert_eq!(made["enabledModules"], serde_json::json!(["core", "billing", "clinic"]));
    assert_eq!(made["excludedModules"][0]["reason"], "feature 'telemedicine' is not licensed");
}
