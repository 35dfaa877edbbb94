//! Upload roots, further files, and what each tenant has of its own.

use super::{clinic, found, is};
use crate::support::app::{App, Ended, ended};
use crate::support::mongod::{Mongod, fresh_database};
use crate::support::postgres::{Postgres, Version};
use mongodb::bson::doc;
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn with_uploads() -> App {
    let app = clinic();
    app.reconfigure("collections: [patients]}", "collections: [patients], fileUploads: [scans]}");
    app.reconfigure("tenancy:", "uploads: [{root: ./uploads, layout: \"{tenant}/{directory}\", exclude: [\"*.tmp\"]}, {root: ./common, name: common}]\nextraFiles: {settings: {paths: [settings.txt]}, more: {paths: [more], optional: true}}\ntenancy:");
    app.write("uploads/acme/scans/1.pdf", b"1");
    app.write("common/scans/2.pdf", b"2");
    app.write("settings.txt", b"x");
    app
}

fn look(app: &App, code: i32) -> Ended {
    app.run(&["doctor", "--json"]).expect(code)
}

#[test]
fn roots_that_are_there_are_said_to_be_with_the_disk_that_they_are_on() {
    let app = with_uploads();
    let ended = look(&app, 0);
    is(&ended, "uploads uploads", "is there, on the disk mounted at", "ok", "");
    // The folder of the tenant's scans and the file in it.
    is(&ended, "uploads uploads", "files and folders may be read (2 looked at)", "ok", "");
    is(&ended, "uploads common", "may be read (2 looked at)", "ok", "");
    is(&ended, "files settings", "may be read (1 looked at)", "ok", "");
    is(&ended, "files more", "is not there, and need not be", "ok", "");
}

#[test]
fn a_root_or_a_folder_that_is_not_there_is_found_as_a_backup_finds_it() {
    let app = with_uploads();
    std::fs::remove_dir_all(app.path("common/scans")).unwrap();
    // Another root has a folder of that name: a backup is content with that, and so is this.
    assert!(!look(&app, 0).stdout.contains("no upload root has"));
    app.run(&["create"]).expect(0);
    std::fs::remove_dir_all(app.path("uploads/acme")).unwrap();
    is(&look(&app, 1), "uploads", "no upload root has a folder for 'scans'", "failed", "is the disk mounted");
    let made = app.run(&["--json", "create"]).expect(3).json();
    assert!(made["errors"].to_string().contains("is the disk mounted"), "{}", made["errors"]);
    app.write("uploads/acme/scans/1.pdf", b"1");
    std::fs::create_dir(app.path("common/scans")).unwrap();
    std::fs::remove_dir_all(app.path("uploads")).unwrap();
    is(&look(&app, 1), "uploads uploads", "cannot look at", "failed", "is the disk mounted");
    app.write("uploads", b"no folder");
    is(&look(&app, 1), "uploads uploads", "is no folder", "failed", "is the disk mounted");
    std::fs::remove_file(app.path("settings.txt")).unwrap();
    is(&look(&app, 1), "files settings", "cannot look at", "failed", "is the disk mounted");
}

#[test]
fn a_disk_that_is_not_mounted_leaves_an_empty_root_and_is_found_by_what_was_there() {
    let app = with_uploads();
    let root = app.path("uploads");
    assert!(look(&app, 0).stdout.contains("uploads uploads"));
    app.run(&["create"]).expect(0);
    // An empty disk over the root: what is seen when the right one is not mounted.
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&root).status().unwrap();
    assert!(mounted.success(), "this test mounts a small tmpfs");
    let empty = look(&app, 0);
    assert!(Command::new("umount").arg(&root).status().unwrap().success());
    is(&empty, "uploads uploads", "is empty, and the newest backup holds uploads", "warning", "findmnt");
    let shown = root.canonicalize().unwrap();
    is(&empty, "uploads uploads", &format!("mounted at {}", shown.display()), "ok", "");
}

#[test]
fn a_file_that_the_user_may_not_read_is_found_before_the_night_and_what_is_left_out_is_not() {
    let app = with_uploads();
    app.write("uploads/acme/scans/locked.tmp", b"left out");
    app.write("uploads/other/locked.pdf", b"in no module's folder");
    let lock = |path: &str| std::fs::set_permissions(app.path(path), PermissionsExt::from_mode(0o000)).unwrap();
    lock("uploads/acme/scans/locked.tmp");
    lock("uploads/other/locked.pdf");
    // Root reads everything, so the program runs as nobody, from a place nobody can reach.
    std::fs::copy(env!("CARGO_BIN_EXE_backup"), app.path("backup")).unwrap();
    for path in [".", "backup", "uploads", "uploads/acme", "uploads/acme/scans", "common", "clinic.db"] {
        std::fs::set_permissions(app.path(path), PermissionsExt::from_mode(0o777)).unwrap();
    }
    let as_nobody = |code: i32| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(app.path("backup"));
        ended(command.args(["--json", "doctor"]).current_dir(app.path(".")).env_clear().output().unwrap()).expect(code)
    };
    is(&as_nobody(0), "uploads uploads", "may be read", "ok", "");
    app.write("uploads/acme/scans/locked.pdf", b"2");
    lock("uploads/acme/scans/locked.pdf");
    app.write("common/scans/deep/3.pdf", b"3");
    lock("common/scans/deep");
    let refused = as_nobody(1);
    is(&refused, "uploads uploads", "acme/scans/locked.pdf may not be read", "failed", "setfacl");
    is(&refused, "uploads common", "scans/deep may not be read", "failed", "setfacl");
}

const OWN: &str = r#"
installation: test
repository: {location: ./backups}
sources: {own: SOURCE}
tenancy: {field: tenant, tenants: TENANTS}
modules: {core: {required: true, collections: [users]}}
"#;

fn own(source: &str, tenants: &[&str]) -> App {
    let tenants: Vec<_> = tenants.iter().map(|tenant| format!("{tenant}: {{}}")).collect();
    App::new(&OWN.replace("SOURCE", source).replace("TENANTS", &format!("{{{}}}", tenants.join(", "))))
}

#[test]
fn of_files_of_each_tenants_own_a_few_are_looked_at_and_others_on_another_day() {
    let ids: Vec<_> = (0..12).map(|n| format!("t{n:02}")).collect();
    let app = own("{engine: sqlite, path: \"data/{tenant}.db\"}", &ids.iter().map(String::as_str).collect::<Vec<_>>());
    std::fs::create_dir(app.path("data")).unwrap();
    for id in &ids[1..] {
        let database = Connection::open(app.path(&format!("data/{id}.db"))).unwrap();
        // One tenant's lacks the table.
        let table = if id == "t07" { "people" } else { "users" };
        database.execute_batch(&format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY)")).unwrap();
    }
    let (mut seen, mut failed) = (std::collections::BTreeSet::new(), 0);
    for day in 1..=3 {
        let ended = app.run_at(&format!("2026-01-0{day}T03:00:00Z"), &["doctor", "--json"]);
        let (outcome, _) = found(&ended, "source own", "each tenant has one of its own: looked at 5 of 12 (");
        assert_eq!(outcome, "ok");
        let text = ended.stdout;
        seen.extend(ids.iter().filter(|id| text.contains(&format!("tenant {id}: "))).cloned());
        if text.contains("tenant t07: ") {
            failed += 1;
            assert!(text.contains("tenant t07: there is no 'users'") && ended.code == 1, "{text}");
        } else {
            assert_eq!(ended.code, 0, "{text}");
        }
        if text.contains("tenant t00: ") {
            assert!(text.contains("tenant t00: there is nothing yet"), "{text}");
        }
    }
    assert_eq!((seen.len(), failed > 0), (12, true), "{seen:?}");
}

#[test]
fn databases_and_schemas_of_each_tenants_own_are_looked_at_on_their_servers() {
    let server = Mongod::replica_set();
    let name = fresh_database();
    let app = own(
        &format!("{{engine: mongodb, uri: \"{}\", database: \"{name}_{{tenant}}\"}}", server.uri()),
        &["acme", "fresh"],
    );
    server.command(&format!("{name}_acme"), doc! {"create": "people"});
    let ended = look(&app, 1);
    is(&ended, "source own", "tenant acme: there is no 'users'", "failed", "verify-collections");
    is(&ended, "source own", "tenant fresh: there is nothing yet", "ok", "");
    server.command(&format!("{name}_acme"), doc! {"create": "users"});
    is(&look(&app, 0), "source own", &format!("tenant acme: mongodb 6.0.5, database {name}_acme"), "ok", "");

    let database = Postgres::shared(Version::V15).database();
    database.run("CREATE SCHEMA t_acme; CREATE TABLE t_acme.users (id int PRIMARY KEY)");
    let role = database.role("reader");
    let source = format!("{{engine: postgres, uri: \"{}\", schema: \"t_{{tenant}}\"}}", database.uri_as(&role));
    let app = own(&source, &["acme", "fresh"]);
    database.run(&format!("GRANT USAGE ON SCHEMA t_acme TO {role}"));
    let ended = app.run(&["doctor", "--json"]).expect(1);
    is(&ended, "source own", "may not read", "failed", "GRANT SELECT ON \"t_acme\".\"users\"");
    database.run(&format!("GRANT SELECT ON t_acme.users TO {role}"));
    let ended = app.run(&["doctor", "--json"]).expect(0);
    is(&ended, "source own", "tenant acme: postgres", "ok", "");
    is(&ended, "source own", "tenant fresh: there is nothing yet", "ok", "");
}

#[test]
fn where_each_tenant_has_its_own_and_none_is_known_that_is_said() {
    let app = own("{engine: sqlite, path: \"data/{tenant}.db\"}", &[]);
    is(&look(&app, 0), "source own", "no tenant is known", "warning", "tenancy.discover");
}
