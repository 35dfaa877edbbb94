//! What goes wrong: the exit code, a message that says what to do, and nothing that `list` would show.

use super::round_trip::{config, picture, seed};
use crate::support::app::{App, ended, files_below};
use crate::support::mongod::{Mongod, PASSWORD, fresh_database};
use mongodb::bson::doc;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn ready() -> (App, &'static Mongod, String) {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    (app, server, name)
}

#[test]
fn a_closed_port_is_1_and_nothing_is_written() {
    let (app, server, _) = ready();
    app.reconfigure(&server.port.to_string(), "1");
    let failed = app.run(&["create"]).expect(1);
    assert!(failed.stderr.contains("source 'hrms'") && failed.stderr.contains("Hint:"), "{}", failed.stderr);
    assert!(!app.path("backups").exists());
}

#[test]
fn a_wrong_password_is_1_and_is_not_shown() {
    let server = Mongod::login();
    let app = App::new(&config(server, "any").replace(&server.uri(), &server.uri_as("root", "wr0ng-canary")));
    let failed = app.run(&["-vv", "create"]).expect(1);
    assert!(failed.stderr.contains("check user, password and authSource"), "{}", failed.stderr);
    assert!(!format!("{}{}", failed.stdout, failed.stderr).contains("canary"));
    assert!(!app.path("backups").exists());
}

#[test]
fn a_password_is_in_no_output_and_no_manifest() {
    let server = Mongod::login();
    let name = fresh_database();
    seed(server, &name, 1);
    let app = App::new(&config(server, &name).replace(&server.uri(), &server.uri_as("root", PASSWORD)));
    app.write("uploads/acme/documents/a.pdf", b"one");
    let made = app.run(&["-vv", "--json", "create"]).expect(0);
    let shown = app.run(&["config", "show"]).expect(0);
    for text in [made.stdout, made.stderr, shown.stdout, shown.stderr] {
        assert!(!text.contains("canary"), "{text}");
    }
    for (path, body) in files_below(&app.path("backups")) {
        assert!(!body.windows(6).any(|w| w == b"canary"), "{path}");
    }
}

#[test]
fn a_missing_collection_fails_its_component_alone_and_restore_passes_it_over() {
    let (app, server, name) = ready();
    app.run(&["create"]).expect(0);
    app.reconfigure("      - users\n", "      - users\n      - ghost\n");
    let partial = app.run(&["--json", "create"]).expect(3).json();
    assert_eq!(partial["status"], "partial");
    let list = app.run(&["--json", "list"]).expect(0).json();
    assert_eq!(list["backups"][0]["modules"], serde_json::json!({"core": "failed", "claims": "complete"}));
    let ids = app.ids();
    let into = format!("hrms={}", server.uri().replace("/?", &format!("/{name}_r?")));
    let report = app.run(&["--json", "restore", "latest", "--only", "database", "--into", &into]).expect(0).json();
    let passed = report["passedOver"][0].as_str().unwrap();
    assert!(passed.contains(&ids[0]) && passed.contains("ghost") && passed.contains(&ids[1]), "{passed}");
    assert_eq!(picture(server, &format!("{name}_r"))["users"].0.len(), 200);
}

#[test]
fn nothing_usable_is_1_and_leaves_only_a_record() {
    let (app, _, _) = ready();
    app.run(&["create"]).expect(0);
    app.reconfigure("collections: [claims], fileUploads: [documents]", "collections: [ghost]");
    app.run(&["create", "--module", "claims"]).expect(1);
    let list = app.run(&["--json", "list"]).expect(0).json();
    assert_eq!(list["backups"].as_array().unwrap().len(), 1);
    assert_eq!(list["failed"].as_array().unwrap().len(), 1);
    assert_eq!(list["interrupted"], serde_json::json!([]));
}

#[test]
fn a_strange_folder_or_another_repository_is_1_and_untouched() {
    let (app, _, _) = ready();
    app.write("backups/precious", b"1");
    let failed = app.run(&["create"]).expect(1);
    assert!(failed.stderr.contains("is no repository"), "{}", failed.stderr);
    assert_eq!(files_below(&app.path("backups")).len(), 1);
    std::fs::remove_dir_all(app.path("backups")).unwrap();
    app.reconfigure("location: ./backups", "location: ./backups, id: 00000000-0000-4000-8000-000000000000");
    app.run(&["create"]).expect(1);
    assert!(!app.path("backups").exists(), "an expected repository that is not there is never made");
    app.reconfigure(", id: 00000000-0000-4000-8000-000000000000", "");
    app.run(&["create"]).expect(0);
    let before = files_below(&app.path("backups"));
    app.reconfigure("location: ./backups", "location: ./backups, id: 00000000-0000-4000-8000-000000000000");
    let failed = app.run(&["create"]).expect(1);
    assert!(failed.stderr.contains("right disk mounted"), "{}", failed.stderr);
    assert!(files_below(&app.path("backups")) == before);
}

#[test]
fn a_corrupted_archive_is_4_naming_the_part_and_restores_nothing() {
    let (app, server, name) = ready();
    app.run(&["create"]).expect(0);
    let archive = app.backup(&app.ids()[0]).join("claims/hrms.tar.gz");
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    let verdict = app.run(&["--json", "verify", "latest", "--level", "decoded"]).expect(4).json();
    let report = &verdict[0];
    assert_eq!(
        (&report["valid"], &report["checksumMatch"], &report["sizeMatch"]),
        (&false.into(), &false.into(), &true.into())
    );
    let damaged =
        report["components"].as_array().unwrap().iter().find(|c| c["archive"] == "claims/hrms.tar.gz").unwrap();
    assert!(
        damaged["damage"].to_string().contains("claims.bson") || damaged["damage"].to_string().contains("at byte"),
        "{damaged}"
    );
    app.run(&["verify", "latest", "--level", "stored"]).expect(4);
    let into = format!("hrms={}", server.uri().replace("/?", &format!("/{name}_r?")));
    app.run(&["restore", "latest", "--module", "claims", "--only", "database", "--into", &into]).expect(4);
    assert!(picture(server, &format!("{name}_r")).is_empty(), "nothing of it was put in place");
    app.run(&["restore", "latest", "--module", "core", "--into", &into]).expect(0);
}

#[test]
fn a_damaged_manifest_is_reported_and_hides_nothing_else() {
    let (app, _, _) = ready();
    app.run(&["create"]).expect(0);
    app.run(&["create"]).expect(0);
    let ids = app.ids();
    app.write(&format!("backups/metadata/{}.json", ids[0]), b"{");
    assert_eq!(app.ids(), ids[1..]);
    app.run(&["verify", "--all"]).expect(4);
}

#[test]
fn unknown_names_are_10_and_come_with_close_ones() {
    let (app, _, _) = ready();
    app.run(&["create"]).expect(0);
    for args in [
        &["create", "--module", "clams"][..],
        &["create", "--tenant", "acne"],
        &["restore", "latest", "--module", "nope", "--to-directory", "x"],
        &["restore", "latest", "--collection", "nope", "--to-directory", "x"],
        &["show", "system-backup-2001-01-01T00-00-00-000Z"],
        &["list-modules", "--tenant", "acne"],
    ] {
        app.run(args).expect(10);
    }
    let close = app.run(&["create", "--module", "clams"]).stderr;
    assert!(close.contains("claims"), "{close}");
}

#[test]
fn broken_configuration_is_2_and_names_file_line_and_key() {
    let (app, _, _) = ready();
    app.reconfigure("installation: test", "installation: test\ninstallatoin: test");
    let failed = app.run(&["create"]).expect(2);
    assert!(failed.stderr.contains("backup.yaml:3:1") && failed.stderr.contains("installatoin"), "{}", failed.stderr);
    app.write("backup.yaml", b"a: [");
    app.run(&["create"]).expect(2);
    assert!(!app.path("backups").exists());
}

#[test]
fn a_file_that_cannot_be_read_is_3() {
    let (app, _, _) = ready();
    app.write("uploads/acme/documents/locked.pdf", b"2");
    std::fs::set_permissions(app.path("uploads/acme/documents/locked.pdf"), PermissionsExt::from_mode(0o000)).unwrap();
    // Root reads everything, so the program runs as nobody, from a place nobody can reach.
    let program = app.path("backup");
    std::fs::copy(env!("CARGO_BIN_EXE_backup"), &program).unwrap();
    for path in [".", "backup", "uploads", "uploads/acme", "uploads/acme/documents"] {
        std::fs::set_permissions(app.path(path), PermissionsExt::from_mode(0o777)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).args(["--json", "create"]);
    let made = ended(command.current_dir(app.path(".")).env_clear().output().unwrap()).expect(3).json();
    assert!(made["errors"].to_string().contains("locked.pdf"), "{}", made["errors"]);
    let uploads = made["components"].as_array().unwrap().iter().find(|c| c["name"] == "uploads").unwrap();
    assert_eq!((&uploads["status"], &uploads["module"]), (&"failed".into(), &"claims".into()));
}

#[test]
fn a_full_disk_is_1_and_says_what_was_needed() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 8);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    std::fs::create_dir(app.path("disk")).unwrap();
    let disk = app.path("disk");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&disk).status().unwrap();
    assert!(mounted.success(), "this test mounts a small tmpfs");
    app.reconfigure("./backups", "./disk/backups");
    let failed = app.run(&["create"]);
    let listed = app.run(&["--json", "list"]);
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    assert!(failed.code == 1 && failed.stderr.contains("need up to"), "{failed:?}");
    let listed = listed.expect(0).json();
    assert_eq!((&listed["backups"], &listed["interrupted"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn verify_collections_compares_with_what_is_there() {
    let (app, server, name) = ready();
    server.command(&name, doc! {"create": "stray"});
    let report = app.run(&["--json", "verify-collections"]).expect(0).json();
    assert_eq!(report["extraCollections"], serde_json::json!(["stray"]));
    assert_eq!(report["verificationStatus"], "warning", "optional collections are missing: {report}");
    server.command(&name, doc! {"drop": "claims"});
    let report = app.run(&["--json", "verify-collections"]).expect(4).json();
    assert!(report["missingCollections"].to_string().contains("claims"));
    assert_eq!(report["verificationStatus"], "failed");
}

#[test]
fn a_count_that_was_edited_is_4_and_restores_nothing() {
    let server = Mongod::replica_set();
    let name = fresh_database();
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    let made = app.run(&["create", "--only", "database", "--json"]).expect(0).json();
    let id = made["id"].as_str().unwrap();
    let path = app.path("backups/metadata").join(format!("{id}.json"));
    let manifest = std::fs::read_to_string(&path).unwrap();
    assert!(manifest.contains("\"documents\": 200,"));
    std::fs::write(&path, manifest.replace("\"documents\": 200,", "\"documents\": 199,")).unwrap();
    let into = format!("hrms=mongodb://127.0.0.1:{}/{}?directConnection=true", server.port, fresh_database());
    for target in [["--into", &into], ["--to-directory", "out"]] {
        let refused = app.run(&[&["restore", id][..], &target].concat()).expect(4);
        assert!(refused.stderr.contains("users") && refused.stderr.contains("199"), "{}", refused.stderr);
    }
    assert!(!app.path("out").exists());
    app.run(&["verify", id]).expect(4);
}
