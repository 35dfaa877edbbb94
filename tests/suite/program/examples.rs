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
fn copy(name: &str) -> App {
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

#[test]
fn the_quick_start_lives_through_a_backups_whole_life() {
    let app = copy("quickstart");
    app.run(&["config", "check"]).expect(0);
    app.run(&["create"]).expect(0);
    app.run(&["show", "latest"]).expect(0);
    app.run(&["verify", "latest", "--level", "decoded"]).expect(0);
    app.run(&["verify-collections"]).expect(0);
    app.run(&["create", "--tenant", "acme"]).expect(0);
    app.run(&["restore", "latest", "--module", "billing", "--to-directory", "restored"]).expect(0);
    assert!(app.path("restored/clinic/clinic.db").is_file());
    app.run(&["hold", &app.ids()[0]]).expect(0);
    app.run(&["prune", "--dry-run"]).expect(0);
    app.run(&["stats"]).expect(0);
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
