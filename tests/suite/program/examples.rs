//! The examples are what they say: loaded by the real program, and run.

use crate::support::app::{App, ended};
use crate::support::mongod::Mongod;
use mongodb::bson::doc;
use std::path::{Path, PathBuf};
use std::process::Command;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// A copy of an example, so that a run leaves nothing in the source tree.
pub fn copy(name: &str) -> App {
    let app = App::new("");
    let copied = Command::new("cp").arg("-r").arg(example(name).join(".")).arg(app.path(".")).status().unwrap();
    assert!(copied.success());
    let _ = std::fs::remove_dir_all(app.path("backups"));
    app
}

#[test]
fn the_ten_module_application_is_backed_up_whole_and_one_tenant() {
    let server = Mongod::replica_set();
    let app = copy("hr-sm");
    let run = |args: &[&str]| {
        let mut command = app.command(args);
        ended(command.env("MONGODB_URI", server.uri()).output().unwrap())
    };
    run(&["config", "check"]).expect(0);
    let listed = run(&["--json", "list-modules"]).expect(0).json();
    let modules = listed["modules"].as_array().unwrap();
    assert_eq!(modules.len(), 10);
    for database in ["hrms", "hrsm-licenses"] {
        server.command(database, doc! {"dropDatabase": 1});
    }
    // Every collection the modules list, with a record of each tenant and one of nobody's.
    for collection in modules.iter().flat_map(|module| module["collections"].as_array().unwrap()) {
        if collection["optional"] == false {
            let name = collection["name"].as_str().unwrap();
            let records = [doc! {"tenantId": "acme"}, doc! {"tenantId": "globex"}];
            server.command("hrms", doc! {"insert": name, "documents": records.to_vec()});
        }
    }
    server.command("hrsm-licenses", doc! {"insert": "licenses", "documents": [{"for": "everyone"}]});
    for file in ["config/app.json", "server/main.js", "client/index.html", "uploads/acme/contracts/1.pdf"] {
        app.write(file, b"x");
    }

    let made = run(&["--json", "create"]).expect(0).json();
    assert_eq!(made["excludedModules"][0]["module"], "clinic");
    assert_eq!(made["enabledModules"].as_array().unwrap().len(), 9);
    let archives: Vec<_> = made["components"].as_array().unwrap().iter().map(|c| c["archive"].clone()).collect();
    for archive in ["hr-core/hrms.tar.gz", "shared/hrms.tar.gz", "licenses.tar.gz", "application-code.tar.gz"] {
        assert!(archives.contains(&archive.into()), "{archive} is not in {archives:?}");
    }
    let tenant = run(&["--json", "create", "--tenant", "acme"]).expect(0).json();
    let users = tenant["components"][0]["collections"].as_array().unwrap().iter().find(|c| c["name"] == "users");
    assert_eq!((&users.unwrap()["documents"], &users.unwrap()["tenantRule"]), (&1.into(), &"tenantId = acme".into()));
    run(&["verify", "--all"]).expect(0);
    let verdict = run(&["--json", "verify-collections"]).expect(0).json();
    assert_ne!(verdict["verificationStatus"], "failed");
    for database in ["hrms", "hrsm-licenses"] {
        server.command(database, doc! {"dropDatabase": 1});
    }
}

/// The lines of the walk through a backup's life.
fn walk() -> String {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block = readme.split("```sh\n").find(|block| block.starts_with("cd examples/quickstart")).unwrap();
    block.split("```").next().unwrap().lines().skip(1).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_readme_walks_through_a_backups_whole_life() {
    let app = copy("quickstart");
    app.run(&["create"]).expect(0);
    let invoices = || {
        let connection = rusqlite::Connection::open(app.path("data/clinic.db")).unwrap();
        connection.query_row("SELECT count(*) FROM invoices", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = invoices();
    let binary = Path::new(env!("CARGO_BIN_EXE_backup")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-euxc", &walk()]).current_dir(app.path(".")).env("PATH", path);
    let walked = ended(shell.output().unwrap()).expect(0);
    assert!(walked.stderr.contains("DELETE FROM invoices"), "{}", walked.stderr);
    assert!(before > 1 && invoices() == before);
    assert!(app.path("acme/clinic/clinic.db").is_file());
    let tenant = rusqlite::Connection::open(app.path("acme/clinic/clinic.db")).unwrap();
    let others: i64 =
        tenant.query_row("SELECT count(*) FROM patients WHERE tenant <> 'acme'", [], |row| row.get(0)).unwrap();
    assert_eq!(others, 0);
    for table in ["appointments", "invoices"] {
        let count = tenant.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
        assert!(count > 0, "{table}");
    }
}

#[test]
fn modules_of_one_database_file_are_restored_together_again_and_again() {
    let app = copy("quickstart");
    app.run(&["create"]).expect(0);
    for _ in 0..8 {
        app.run(&["restore", "latest", "--existing", "merge", "--yes", "--no-safety-backup"]).expect(0);
    }
}

/// Every key of a document, but those of objects that map names to something.
fn keys(value: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                found.insert(key.clone());
                match (key.as_str(), value) {
                    ("modules" | "byType", serde_json::Value::Object(map)) => {
                        map.values().for_each(|value| keys(value, found));
                    }
                    _ => keys(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_every_document_is_in_the_reference() {
    let app = copy("quickstart");
    let mut found = std::collections::BTreeSet::new();
    let mut run = |arguments: &[&str], code: i32| {
        let document = app.run(&[&["--json"], arguments].concat()).expect(code).json();
        keys(&document, &mut found);
    };
    run(&["create", "--dry-run"], 0);
    run(&["create"], 0);
    run(&["create", "--tenant", "acme"], 0);
    run(&["verify", "--all"], 0);
    run(&["restore", "latest", "--existing", "replace", "--dry-run"], 0);
    run(&["restore", "latest", "--existing", "merge", "--yes"], 0);
    run(&["restore", "latest"], 5);
    let id = app.ids()[0].clone();
    run(&["hold", &id], 0);
    for command in [
        &["list"][..],
        &["list-modules"],
        &["license"],
        &["doctor"],
        &["verify-collections"],
        &["stats"],
        &["check"],
        &["prune"],
        &["show", "latest"],
    ] {
        run(command, 0);
    }
    run(&["release", &id], 0);
    run(&["forget", "--tenant", "acme", "--yes"], 0);
    run(&["config", "check"], 0);
    let reference = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let words: std::collections::HashSet<&str> =
        reference.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    let lacking: Vec<_> = found.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert!(found.len() > 100, "{} fields", found.len());
    assert_eq!(lacking, Vec::<&String>::new());
}

#[test]
fn the_configuration_schema_takes_every_example_and_refuses_what_the_program_refuses() {
    let schema = App::new("").run(&["config", "schema"]).expect(0);
    let schema = serde_json::from_str(&schema.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let parse = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).unwrap();
    let mut texts: Vec<_> = ["hr-sm", "quickstart", "module-files"]
        .iter()
        .map(|name| std::fs::read_to_string(example(name).join("backup.yaml")).unwrap())
        .collect();
    texts.push(App::new("").run(&["config", "init", "-"]).expect(0).stdout);
    for text in &texts {
        let errors: Vec<_> =
            validator.iter_errors(&parse(text)).map(|e| format!("{e} at {}", e.instance_path)).collect();
        assert_eq!(errors, Vec::<String>::new(), "{text}");
    }
    for (from, to) in
        [("installation:", "instalation:"), ("engine: sqlite", "engine: sqlit"), ("required: true", "required: maybe")]
    {
        assert!(texts[1].contains(from), "{from}");
        assert!(!validator.is_valid(&parse(&texts[1].replace(from, to))), "{to}");
    }
}

#[test]
fn a_tenants_directory_may_be_absent_and_a_missing_root_never() {
    let app = copy("quickstart");
    std::fs::remove_dir_all(app.path("uploads")).unwrap();
    std::fs::create_dir(app.path("uploads")).unwrap();
    let made = app.run(&["--json", "create"]).expect(0).json();
    let uploads = made["components"].as_array().unwrap().iter().find(|c| c["name"] == "uploads").unwrap();
    assert_eq!(uploads["status"], "absent");
    std::fs::remove_dir(app.path("uploads")).unwrap();
    let made = app.run(&["create"]).expect(3);
    assert!(made.stdout.contains("is the disk mounted"), "{}", made.stdout);
}
