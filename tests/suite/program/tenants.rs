//! One tenant's data and nobody else's.

use super::round_trip::{config, picture, seed};
use crate::support::app::{App, files_below};
use crate::support::mongod::{Mongod, fresh_database};
use mongodb::bson::doc;

#[test]
fn a_tenants_backup_holds_that_tenants_records_and_shared_ones_alone() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.write("uploads/acme2/documents/a.pdf", b"canary");
    app.write("uploads/birch/documents/b.pdf", b"canary");
    let made = app.run(&["--json", "create", "--tenant", "acme"]).expect(0).json();
    assert_eq!(made["tenantId"], "acme");
    assert!(made["id"].as_str().unwrap().starts_with("tenant-acme-backup-"));
    app.run(&["restore", "latest", "--tenant", "acme", "--to-directory", "out"]).expect(0);
    let files = files_below(&app.path("out"));
    for (path, body) in &files {
        for stranger in [&b"birch"[..], b"canary"] {
            assert!(!body.windows(stranger.len()).any(|w| w == stranger), "{path}");
        }
    }
    assert_eq!(files["uploads/acme/documents/a.pdf"], b"one");
    let into = format!("hrms={}", server.uri().replace("/?", &format!("/{name}_t?")));
    app.run(&["restore", "latest", "--tenant", "acme", "--only", "database", "--into", &into]).expect(0);
    let there = picture(server, &format!("{name}_t"));
    assert_eq!((there["users"].0.len(), there["claims"].0.len(), there["countries"].0.len()), (100, 500, 1));
}

#[test]
fn a_record_whose_owner_is_a_list_stops_the_component() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 1);
    server.command(&name, doc! {"insert": "users", "documents": [{"tenantId": ["acme", "birch"]}]});
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    let made = app.run(&["--json", "create", "--tenant", "acme"]).expect(3).json();
    assert!(made["errors"][0].as_str().unwrap().contains("users"), "{}", made["errors"]);
}

#[test]
fn records_without_an_owner_are_counted_and_a_missing_index_is_named() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 1);
    server.command(&name, doc! {"insert": "users", "documents": [{"_id": 900}, {"_id": 901, "tenantId": null}]});
    server.command(&name, doc! {"dropIndexes": "claims", "index": "tenant"});
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    let made = app.run(&["--json", "create", "--tenant", "acme"]).expect(0).json();
    let warnings = made["warnings"].to_string();
    assert!(warnings.contains("2 documents have no `tenantId`"), "{warnings}");
    assert!(warnings.contains("createIndex"), "{warnings}");
}

#[test]
fn bad_tenant_ids_are_2_and_unknown_ones_10() {
    let app = App::new(&config(Mongod::replica_set(), "any"));
    let long = "x".repeat(300);
    for bad in ["../x", "", &long, "a/b", "a\nb"] {
        app.run(&["create", "--tenant", bad]).expect(2);
    }
    app.run(&["create", "--tenant", "nobody"]).expect(10);
}
