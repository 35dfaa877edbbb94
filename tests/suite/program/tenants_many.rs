//! Many tenants in one run, each with a backup of its own that holds nobody else's data.

use crate::support::app::{App, files_below};
use crate::support::mongod::{Mongod, fresh_database};
use mongodb::bson::{Document, doc};
use std::process::Command;

/// Fifty, `1` and `12` among them, whose names begin each other's.
const TENANTS: u32 = 50;

fn canary(tenant: u32) -> String {
    format!("<canary of {tenant}>")
}

fn app(server: &Mongod, name: &str, more: &str) -> App {
    let documents = |kind: &str| -> Vec<Document> {
        let of = |tenant: u32| {
            (0..3).map(
                move |n| doc! {"tenantId": tenant.to_string(), "a": canary(tenant), "b": {"c": [canary(tenant), n]}, "files": [format!("letters/{tenant}.txt"), "letters/all.txt"]},
            )
        };
        (1..=TENANTS)
            .flat_map(of)
            .map(|mut d| {
                d.insert("kind", kind);
                d
            })
            .collect()
    };
    for collection in ["users", "claims"] {
        server.command(name, doc! {"insert": collection, "documents": documents(collection)});
        let index = doc! {"key": {"tenantId": 1}, "name": "tenant"};
        server.command(name, doc! {"createIndexes": collection, "indexes": [index]});
    }
    let app = App::new(&format!(
        "installation: test\nrepository: {{location: ./backups}}\n\
         sources: {{hrms: {{engine: mongodb, uri: \"{}\", database: {name}}}}}\n\
         uploads: [{{root: ./uploads, layout: \"{{tenant}}/{{directory}}\"}},\n\
           {{root: ./common, fileReferences: {{collection: claims, field: files}}}}]\n\
         tenancy: {{field: tenantId{more}}}\n\
         modules:\n  core: {{required: true, collections: [users, claims], fileUploads: [papers, letters]}}\n",
        server.uri()
    ));
    for tenant in 1..=TENANTS {
        app.write(&format!("uploads/{tenant}/papers/a.txt"), canary(tenant).as_bytes());
        app.write(&format!("common/letters/{tenant}.txt"), canary(tenant).as_bytes());
    }
    app.write("common/letters/all.txt", b"to all");
    app.write("common/letters/nobodys.txt", (1..=TENANTS).map(canary).collect::<String>().as_bytes());
    app
}

fn listed() -> String {
    let ids: Vec<_> = (1..=TENANTS).map(|tenant| format!("'{tenant}': {{}}")).collect();
    format!(", tenants: {{{}}}", ids.join(", "))
}

/// All that the archives of a backup hold, as gunzip reads them.
fn bytes_of(app: &App, id: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for archive in files_below(&app.backup(id)).keys() {
        let plain = Command::new("gzip").arg("-dc").arg(app.backup(id).join(archive)).output().unwrap();
        assert!(plain.status.success(), "{archive}");
        all.extend(plain.stdout);
    }
    all
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|w| w == word.as_bytes())
}

#[test]
fn of_fifty_tenants_each_has_a_backup_that_holds_its_own_records_and_files_alone() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    let app = app(server, &name, &listed());
    std::os::unix::fs::symlink(app.path("uploads/2/papers"), app.path("uploads/1/papers/link")).unwrap();
    let made = app.run(&["--json", "create", "--all-tenants"]).expect(0).json();
    assert_eq!((made["succeeded"].as_u64(), made["failed"].as_u64()), (Some(u64::from(TENANTS)), Some(0)));
    let tenants = made["tenants"].as_array().unwrap();
    assert_eq!(tenants.len(), TENANTS as usize);
    for manifest in tenants {
        let tenant: u32 = manifest["tenantId"].as_str().unwrap().parse().unwrap();
        assert_eq!(
            (manifest["totals"]["documents"].as_u64(), manifest["totals"]["files"].as_u64()),
            (Some(6), Some(3))
        );
        assert_eq!(manifest["components"][0]["consistency"]["level"], "snapshot");
        let id = manifest["id"].as_str().unwrap();
        assert!(id.starts_with(&format!("tenant-{tenant}-backup-")), "{id}");
        let bytes = bytes_of(&app, id);
        for other in 1..=TENANTS {
            assert_eq!(holds(&bytes, &canary(other)), other == tenant, "{other} in {id}");
        }
    }
    app.run(&["verify", "--all"]).expect(0);
}

#[test]
fn one_tenant_that_fails_stops_no_other_and_is_3_and_all_of_them_1() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    let app = app(server, &name, ", tenants: {'1': {}, '2': {}, '12': {}}");
    // Tenant 2's lock is held by somebody, and a record of 12 names two owners.
    app.run(&["create", "--tenant", "1", "--only", "database"]).expect(0);
    let lock = std::fs::File::create(app.path("backups/locks/tenant-2.lock")).unwrap();
    lock.lock().unwrap();
    server.command(&name, doc! {"insert": "claims", "documents": [{"tenantId": ["12", "1"]}]});
    let ended = app.run(&["--json", "create", "--all-tenants", "--only", "database"]).expect(3);
    let made = ended.json();
    assert_eq!(made["failed"], 1, "{made}");
    let of =
        |tenant: &str| made["tenants"].as_array().unwrap().iter().find(|t| t["tenantId"] == tenant).unwrap().clone();
    assert_eq!(of("2")["error"]["code"], "locked");
    assert!(of("12")["errors"].to_string().contains("claims"), "{}", of("12"));
    assert_eq!((of("12")["status"].as_str(), made["partial"].as_u64()), (Some("partial"), Some(2)), "{made}");
    assert!(ended.stderr.contains("12: "), "{}", ended.stderr);
    let text =
        app.run(&["create", "--tenant", "2", "--tenant", "1", "--only", "database", "--module", "core"]).expect(3);
    assert!(text.stdout.contains("0 succeeded, 1 partial, 1 failed"), "{}", text.stdout);
    app.write("ids", b"2 # the locked one\n");
    app.run(&["create", "--tenants-file", "ids"]).expect(1);
    let unknown = app.run(&["create", "--tenant", "1", "--tenant", "13"]).expect(10);
    assert!(unknown.stderr.contains("'13'") && unknown.stderr.contains("did you mean '1'?"), "{}", unknown.stderr);
}

#[test]
fn a_tenant_that_has_nothing_is_an_empty_backup_with_a_warning() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    let app = app(server, &name, ", tenants: {'1': {}, 'nobody': {}}");
    let made = app.run(&["--json", "create", "--all-tenants"]).expect(0).json();
    let of = |at: usize| (made["tenants"][at]["tenantId"].clone(), made["tenants"][at]["warnings"].to_string());
    let (tenant, warnings) = of(1);
    assert!(tenant == "nobody" && warnings.contains("is empty"), "{warnings}");
    assert!(!of(0).1.contains("is empty"), "{}", of(0).1);
}

#[test]
fn a_job_for_all_tenants_backs_up_each_and_none_that_is_known_is_2() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    let app = app(server, &name, ", tenants: {'1': {}, '2': {}}");
    let config = std::fs::read_to_string(app.path("backup.yaml")).unwrap();
    app.write(
        "backup.yaml",
        format!("{config}jobs: {{nightly: {{create: {{allTenants: true, only: database}}}}}}\n").as_bytes(),
    );
    let made = app.run(&["--json", "create", "--job", "nightly"]).expect(0).json();
    assert_eq!((made["succeeded"].as_u64(), app.ids().len()), (Some(2), 2));
    app.reconfigure(", tenants: {'1': {}, '2': {}}", "");
    let none = app.run(&["create", "--all-tenants"]).expect(2);
    assert!(none.stderr.contains("tenancy.discover"), "{}", none.stderr);
}
