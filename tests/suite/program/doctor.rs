//! `doctor`: it finds what the next backup would stumble over, says what to do, and changes nothing.

mod places;

use super::postgres::laboratory::Shop;
use super::postgres::programs::without_programs;
use super::round_trip::{config, seed};
use crate::support::app::{App, Ended, files_below};
use crate::support::mongod::{Mongod, PASSWORD, fresh_database};
use crate::support::postgres::Version;
use mongodb::bson::doc;
use rusqlite::Connection;
use serde_json::Value;
use std::process::Command;

const CLINIC: &str = r"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
tenancy: {field: tenant, tenants: {acme: {}}}
modules: {core: {required: true, collections: [patients]}}
";

fn clinic() -> App {
    let app = App::new(CLINIC);
    let database = Connection::open(app.path("clinic.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE patients (id INTEGER PRIMARY KEY, tenant TEXT); CREATE INDEX t ON patients (tenant)",
        )
        .unwrap();
    app
}

/// The outcome and advice of the one finding that says `words`.
#[track_caller]
fn found(ended: &Ended, subject: &str, words: &str) -> (String, String) {
    let report = ended.json();
    let all = report["findings"].as_array().unwrap();
    let says = |finding: &&Value| finding["subject"] == subject && finding["message"].as_str().unwrap().contains(words);
    let said: Vec<_> = all.iter().filter(says).collect();
    assert_eq!(said.len(), 1, "{subject}: {words}: {report:#}");
    let text = |key: &str| said[0][key].as_str().unwrap_or_default().to_owned();
    (text("outcome"), text("advice"))
}

#[track_caller]
fn is(ended: &Ended, subject: &str, words: &str, outcome: &str, advice: &str) {
    let (was, advised) = found(ended, subject, words);
    assert_eq!(was, outcome, "{words}");
    assert!(advised.contains(advice), "{words}: {advised}");
}

fn mongo(server: &Mongod) -> (App, String) {
    let name = fresh_database();
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    (app, name)
}

#[test]
fn all_is_well_where_it_is_and_nothing_is_changed() {
    let app = clinic();
    app.run(&["create"]).expect(0);
    let id = app.run(&["--json", "stats"]).expect(0);
    assert!(id.stderr.is_empty());
    let sentinel: Value = serde_json::from_slice(&std::fs::read(app.path("backups/repository.json")).unwrap()).unwrap();
    app.reconfigure("./backups", &format!("./backups, id: {}", sentinel["id"].as_str().unwrap()));
    let before = files_below(&app.path("."));
    let said = app.run(&["doctor"]).expect(0);
    assert!(said.stdout.contains("1 warning, nothing that would make a backup fail"), "{}", said.stdout);
    let report = app.run(&["doctor", "--json"]).expect(0);
    is(&report, "schedule", "no job has a schedule", "warning", "jobs");
    assert_eq!(report.json()["status"], "warning");
    app.run(&["doctor", "--strict"]).expect(3);
    assert!(files_below(&app.path(".")) == before, "it writes");
}

#[test]
fn of_mongodb_it_finds_a_missing_index_a_short_window_and_a_clock_that_is_wrong() {
    let server = Mongod::replica_set();
    let (app, name) = mongo(server);
    server.command(&name, doc! {"dropIndexes": "users", "index": "*"});
    let look = || app.run(&["doctor", "--json"]).expect(0);
    let index = "'users' has no index on its owner";
    is(&look(), "source hrms", index, "warning", r#"db.getCollection("users").createIndex({ "tenantId": 1 })"#);
    server.command(&name, doc! {"createIndexes": "users", "indexes": [{"key": {"tenantId": 1}, "name": "owner"}]});
    assert!(!look().stdout.contains(index));
    is(&look(), "source hrms", "may be read", "ok", "");
    is(&look(), "source hrms", "keeps 300 s of the past", "ok", "");
    is(&look(), "source hrms", "clock agrees", "ok", "");

    // The newest backup took longer than the server keeps of the past.
    app.run(&["create"]).expect(0);
    let path = app.path("backups/metadata").join(format!("{}.json", app.ids()[0]));
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["durationSeconds"] = 1200.into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    is(&look(), "source hrms", "snapshot may be lost midway", "warning", "minSnapshotHistoryWindowInSeconds: 2400");

    let past = app.run_at("2020-01-01T00:00:00Z", &["doctor", "--json"]).expect(1);
    is(&past, "source hrms", "s ahead of the one here", "warning", "NTP");
    is(&past, "repository", "from the future", "failed", "prune");
}

#[test]
fn of_a_standalone_it_says_that_there_is_no_snapshot_and_fails_where_one_is_required() {
    let (app, _) = mongo(Mongod::standalone());
    let preferred = app.run(&["doctor", "--json"]).expect(0);
    is(&preferred, "source hrms", "no replica set", "warning", "rs.initiate()");
    app.reconfigure("engine: mongodb,", "engine: mongodb, consistency: required,");
    let required = app.run(&["doctor", "--json"]).expect(1);
    is(&required, "source hrms", "`consistency: required` asks for one", "failed", "rs.initiate()");
}

#[test]
fn collections_that_the_user_may_not_read_are_named_with_the_grant() {
    let server = Mongod::login();
    let name = fresh_database();
    seed(server, &name, 1);
    let (role, user) = (format!("{name}_role"), format!("{name}_user"));
    let privileges = vec![
        doc! {"resource": {"db": &name, "collection": ""}, "actions": ["listCollections", "collStats", "listIndexes"]},
        doc! {"resource": {"db": &name, "collection": "users"}, "actions": ["find"]},
    ];
    server.command("admin", doc! {"createRole": &role, "privileges": privileges, "roles": []});
    server.command("admin", doc! {"createUser": &user, "pwd": PASSWORD, "roles": [&role]});
    let app = App::new(&config(server, &name).replace(&server.uri(), &server.uri_as(&user, PASSWORD)));
    let failed = app.run(&["doctor", "--json"]).expect(1);
    let (outcome, advice) = found(&failed, "source hrms", "the user may not read");
    assert_eq!(outcome, "failed");
    assert!(advice.contains("grantRolesToUser") && advice.contains(&name), "{advice}");
    let message = failed.json()["findings"].to_string();
    assert!(message.contains("countries") && !message.contains("may not read users"), "{message}");
    assert!(!message.contains(PASSWORD));
}

#[test]
fn of_postgresql_it_finds_a_missing_pg_dump_a_missing_grant_and_a_missing_index() {
    let shop = Shop::new(Version::V15, "CREATE TABLE t (id int PRIMARY KEY, tenant text)", "t");
    let without = without_programs(&shop, &["doctor", "--json"]).expect(1);
    let source = without.json()["findings"].as_array().unwrap().last().unwrap()["subject"].as_str().unwrap().to_owned();
    is(&without, &source, "pg_dump is not installed", "failed", "postgresql-client-15");
    is(&without, &source, "clock agrees", "ok", "");

    let role = shop.database.role("reader");
    shop.database.run(&format!("GRANT USAGE ON SCHEMA public TO {role}"));
    shop.app.reconfigure(&shop.database.uri(), &shop.database.uri_as(&role));
    shop.app.reconfigure("installation:", "tenancy: {field: tenant, tenants: {acme: {}}}\ninstallation:");
    let refused = shop.app.run(&["doctor", "--json"]).expect(1);
    is(&refused, &source, "may not read", "failed", "GRANT SELECT ON \"public\".\"t\"");
    is(&refused, &source, "'t' has no index on its owner", "warning", "CREATE INDEX");
    shop.database.run(&format!("GRANT SELECT ON t TO {role}; CREATE INDEX ON t (tenant)"));
    let ok = shop.app.run(&["doctor", "--json"]).expect(0);
    is(&ok, &source, "may be read", "ok", "");
    assert!(!ok.stdout.contains("no index"), "{}", ok.stdout);
}

#[test]
fn a_server_that_is_down_and_a_collection_that_is_gone_stop_nothing_of_the_rest() {
    let app = clinic();
    app.reconfigure(
        "sources: {",
        "timeouts: {connect: 2s}\nsources: {gone: {engine: mongodb, uri: \"mongodb://127.0.0.1:1\", database: x}, ",
    );
    app.reconfigure("collections: [patients]", "source: clinic, collections: [patients, ghosts]");
    let failed = app.run(&["doctor", "--json"]).expect(1);
    is(&failed, "source gone", "cannot use MongoDB source 'gone'", "failed", "check that the server runs");
    is(&failed, "source clinic", "there is no 'ghosts'", "failed", "optional: true");
    assert_eq!(failed.json()["status"], "failed");
}

#[test]
fn an_index_that_sqlite_lacks_is_named_with_what_makes_it() {
    let app = clinic();
    Connection::open(app.path("clinic.db")).unwrap().execute_batch("DROP INDEX t").unwrap();
    let said = app.run(&["doctor", "--json"]).expect(0);
    is(
        &said,
        "source clinic",
        "'patients' has no index",
        "warning",
        r#"CREATE INDEX "patients_tenant" ON "patients" ("tenant")"#,
    );
}

#[test]
fn of_the_repository_it_finds_leftovers_unreadable_manifests_and_damage() {
    let app = clinic();
    app.run(&["create"]).expect(0);
    app.run(&["create"]).expect(0);
    let ids = app.ids();
    std::fs::create_dir(app.path("backups/staging/system-backup-2025-12-20T10-30-00-000Z")).unwrap();
    is(&app.run(&["doctor", "--json"]).expect(0), "repository", "left by a run that died", "warning", "nothing to do");

    app.write(&format!("backups/metadata/{}.json", ids[1]), b"{");
    is(&app.run(&["doctor", "--json"]).expect(1), "repository", "cannot be read", "failed", "prune removes nothing");
    app.write(&format!("backups/daily/{}/core/clinic.tar.gz", ids[0]), b"1");
    app.run(&["verify", &ids[0]]).expect(4);
    is(&app.run(&["doctor", "--json"]).expect(1), "repository", "is damaged", "failed", "backup create");
    app.reconfigure("./backups", "./elsewhere, id: 00000000-0000-4000-8000-000000000000");
    is(&app.run(&["doctor", "--json"]).expect(1), "repository", "there is no repository", "failed", "mounted");
}

#[test]
fn a_disk_that_is_full_or_read_only_is_found_before_the_night() {
    let app = clinic();
    let disk = app.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount =
        |arguments: &[&str]| assert!(Command::new("mount").args(arguments).arg(&disk).status().unwrap().success());
    mount(&["-t", "tmpfs", "-o", "size=512k", "tmpfs"]);
    app.reconfigure("./backups", "./disk/backups");
    let made = app.run(&["create"]);
    let filler = std::fs::File::create(disk.join("filler")).unwrap();
    let fill = std::io::copy(&mut std::io::repeat(0), &mut &filler);
    let full = app.run(&["doctor", "--json"]);
    drop((filler, std::fs::remove_file(disk.join("filler"))));
    mount(&["-o", "remount,ro"]);
    let read_only = app.run(&["doctor", "--json"]);
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    made.expect(0);
    assert!(fill.is_err(), "the disk is not full");
    is(&full.expect(1), "repository", " are free, and the newest backups took", "failed", "backup prune --dry-run");
    is(&read_only.expect(1), "repository", "cannot write to", "failed", "read-only");
}

#[test]
fn keys_that_are_not_here_or_open_to_all_are_found() {
    use std::os::unix::fs::PermissionsExt;
    let app = clinic();
    app.run(&["key", "generate", "own.key", "--recipients", "recipients.txt"]).expect(0);
    app.reconfigure("./backups", "./backups, encryption: {recipientsFile: recipients.txt, identities: [own.key]}");
    is(&app.run(&["doctor", "--json"]).expect(0), "keys", "is opened by a key that is here", "ok", "");
    std::fs::set_permissions(app.path("own.key"), PermissionsExt::from_mode(0o644)).unwrap();
    is(&app.run(&["doctor", "--json"]).expect(1), "keys", "chmod 600", "failed", "backup key check");
    std::fs::remove_file(app.path("own.key")).unwrap();
    is(&app.run(&["doctor", "--json"]).expect(0), "keys", "own.key is not here", "warning", "only makes backups");
    app.write("own.key", b"no key");
    app.run(&["doctor", "--json"]).expect(1);
}

#[test]
fn a_licence_that_grants_nothing_is_a_warning_with_the_command_that_explains_it() {
    let app = clinic();
    app.reconfigure("tenancy:", "license: {file: license.json}\ntenancy:");
    app.write("license.json", br#"{"features": [], "exp": 1}"#);
    let said = app.run(&["doctor", "--json"]).expect(0);
    is(&said, "configuration", "licence", "warning", "backup license");
}
