//! What goes in comes out: as a live database, as files, and for tar.

use crate::support::app::{App, files_below};
use crate::support::mongod::{Mongod, fresh_database, wait};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use std::collections::BTreeMap;
use std::process::Command;

/// Sorted raw documents, indexes, options.
type Collection = (Vec<Vec<u8>>, Vec<Document>, Document);

/// Everything of a database, by the raw driver.
pub fn picture(server: &Mongod, database: &str) -> BTreeMap<String, Collection> {
    let database = server.client().database(database);
    let listed: Vec<Document> = wait(async {
        database.run_cursor_command(doc! {"listCollections": 1}).await.unwrap().try_collect().await.unwrap()
    });
    let mut all = BTreeMap::new();
    for line in listed {
        let name = line.get_str("name").unwrap().to_owned();
        if name == "system.views" {
            // It names the database itself.
            continue;
        }
        let is_view = line.get_str("type").unwrap() == "view";
        let documents: Vec<RawDocumentBuf> =
            wait(async { database.collection(&name).find(doc! {}).await.unwrap().try_collect().await.unwrap() });
        let mut raw: Vec<_> = documents.into_iter().map(RawDocumentBuf::into_bytes).collect();
        raw.sort();
        let mut indexes: Vec<Document> = Vec::new();
        if !is_view && !name.starts_with("system.") {
            let command = doc! {"listIndexes": &name};
            indexes = wait(async { database.run_cursor_command(command).await.unwrap().try_collect().await.unwrap() });
            indexes.sort_by_key(|index| index.get_str("name").unwrap().to_owned());
        }
        all.insert(name, (raw, indexes, line.get_document("options").unwrap().clone()));
    }
    all
}

pub fn config(server: &Mongod, database: &str) -> String {
    format!(
        r#"
installation: test
repository: {{location: ./backups}}
sources:
  hrms: {{engine: mongodb, uri: "{}", database: {database}}}
uploads: [{{root: ./uploads, layout: "{{tenant}}/{{directory}}"}}]
tenancy: {{field: tenantId, tenants: {{acme: {{}}, birch: {{}}}}}}
modules:
  core:
    required: true
    collections:
      - users
      - {{name: countries, tenant: shared}}
      - {{name: weather, optional: true, tenant: excluded}}
      - {{name: active, optional: true, tenant: excluded}}
      - {{name: log, optional: true, tenant: excluded}}
      - {{name: "odd / näme", optional: true, tenant: excluded}}
      - {{name: empty, optional: true, tenant: excluded}}
  claims: {{collections: [claims], fileUploads: [documents]}}
"#,
        server.uri()
    )
}

/// `users` (two tenants), `countries`, and `claims` of `megabytes` that do not compress to nothing.
pub fn seed(server: &Mongod, database: &str, megabytes: u32) {
    let database = server.client().database(database);
    let user = |n: i32| doc! {"_id": n, "tenantId": if n % 2 == 0 { "acme" } else { "birch" }, "name": format!("u{n}")};
    let owner = |n: u32| if n.is_multiple_of(2) { "acme" } else { "birch" };
    let claim = |n: u32| {
        let pad: String = (0..125).map(|k| format!("{:08x}", (n * 131 + k).wrapping_mul(2_654_435_761))).collect();
        doc! {"_id": i64::from(n), "tenantId": owner(n), "pad": pad}
    };
    wait(async {
        database.collection("users").insert_many((0..200).map(user)).await.unwrap();
        database.collection("countries").insert_one(doc! {"_id": "PT"}).await.unwrap();
        for chunk in 0..megabytes.max(1) {
            database.collection("claims").insert_many((chunk * 1000..(chunk + 1) * 1000).map(claim)).await.unwrap();
        }
        for name in ["users", "claims"] {
            let command = doc! {"createIndexes": name, "indexes": [{"key": {"tenantId": 1}, "name": "tenant"}]};
            database.run_command(command).await.unwrap();
        }
    });
}

pub fn seed_every_kind(server: &Mongod, database: &str) {
    seed(server, database, 40);
    let time = bson::DateTime::from_millis(1_700_000_000_000);
    for command in [
        doc! {"createIndexes": "users", "indexes": [
            {"key": {"name": "text"}, "name": "words", "default_language": "none"},
            {"key": {"$**": 1}, "name": "wild"},
            {"key": {"tenantId": "hashed"}, "name": "hash"},
            {"key": {"place": "2dsphere"}, "name": "where"},
            {"key": {"z": 1, "a": -1}, "name": "order", "unique": true,
             "partialFilterExpression": {"z": {"$gt": 5}}, "collation": {"locale": "de"}},
            {"key": {"until": 1}, "name": "ttl", "expireAfterSeconds": 3600},
        ]},
        doc! {"create": "weather", "timeseries": {"timeField": "t", "metaField": "m"}},
        doc! {"insert": "weather", "documents": [{"t": time, "m": "a", "v": 1}, {"t": time, "m": "b", "v": 2.5}]},
        doc! {"create": "active", "viewOn": "users", "pipeline": [{"$match": {"n": {"$gt": 3}}}]},
        doc! {"create": "log", "capped": true, "size": 65536},
        doc! {"insert": "log", "documents": [{"_id": 1}, {"_id": 2}]},
        doc! {"create": "odd / näme", "validator": {"$jsonSchema": {"required": ["x"]}}, "collation": {"locale": "fr"}},
        doc! {"insert": "odd / näme", "documents": [{"x": 1}]},
        doc! {"create": "empty"},
    ] {
        server.command(database, command);
    }
}

fn round_trip(server: &Mongod, level: &str) {
    let name = fresh_database();
    seed_every_kind(server, &name);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.write("uploads/birch/documents/b.pdf", b"two");
    let made = app.run(&["--json", "create"]).expect(0).json();
    assert_eq!(made["status"], "success");
    assert_eq!(made["components"][0]["consistency"]["level"], level);

    let before = picture(server, &name);
    server.command(&name, doc! {"dropDatabase": 1});
    std::fs::remove_dir_all(app.path("uploads")).unwrap();
    app.run(&["restore", "latest"]).expect(0);
    let after = picture(server, &name);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (collection, was) in &before {
        let is = &after[collection];
        assert_eq!(was.0.len(), is.0.len(), "{collection}: records");
        assert!(was.0 == is.0, "{collection}: bytes");
        assert_eq!(was.1, is.1, "{collection}: indexes");
        assert_eq!(was.2, is.2, "{collection}: options");
    }
    assert_eq!(std::fs::read(app.path("uploads/birch/documents/b.pdf")).unwrap(), b"two");

    // The same into another database, beside the live one; and not over either.
    let other = format!("{name}_copy");
    let into = format!("hrms={}", server.uri().replace("/?", &format!("/{other}?")));
    app.run(&["restore", "latest", "--only", "database", "--into", &into]).expect(0);
    assert!(picture(server, &other) == before);
    let refused = app.run(&["restore", "latest", "--only", "database", "--into", &into]).expect(5);
    assert!(refused.stderr.contains("users holds 200 records"), "{}", refused.stderr);
    assert!(picture(server, &other) == before);
}

#[test]
fn a_replica_set_comes_back_byte_for_byte() {
    // The capped collection keeps the source from a snapshot, and the manifest says so.
    round_trip(Mongod::replica_set(), "collection");
}

#[test]
fn a_standalone_comes_back_byte_for_byte() {
    round_trip(Mongod::standalone(), "collection");
}

#[test]
fn a_replica_set_without_capped_collections_is_one_snapshot() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    let made = app.run(&["--json", "create"]).expect(0).json();
    let at = |component: usize| made["components"][component]["consistency"].clone();
    assert_eq!(at(0)["level"], "snapshot");
    assert_eq!(at(0), at(1), "modules are read at one moment");
}

#[test]
fn a_directory_equals_what_tar_extracts_with_parts_joined() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 40);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create"]).expect(0);
    app.run(&["restore", "latest", "--module", "claims", "--to-directory", "out"]).expect(0);

    let archive = app.backup(&app.ids()[0]).join("claims/hrms.tar.gz");
    let unpacked = app.path("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    // What RESTORE.txt says, to the letter.
    let shown = Command::new("tar").arg("-xzOf").arg(&archive).arg("RESTORE.txt").output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    let script: String = text
        .split("\n2. ")
        .nth(1)
        .unwrap()
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("for "))
        .take_while(|line| !line.trim().is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&unpacked).status().unwrap().success());
    assert!(unpacked.join(&name).join("claims%part-00002.bson").exists(), "it is large enough for parts");
    assert!(Command::new("sh").args(["-euc", &script]).current_dir(&unpacked).status().unwrap().success());

    let mut by_tar = files_below(&unpacked);
    by_tar.retain(|path, _| path.starts_with(&name));
    let mut ours = files_below(&app.path("out"));
    assert_eq!(ours.remove("uploads/acme/documents/a.pdf").unwrap(), b"one");
    assert_eq!(by_tar.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    assert!(by_tar == ours, "bytes differ");
    let sum = Command::new("sha256sum").arg(&archive).output().unwrap();
    let manifest = app.run(&["--json", "show", "latest"]).expect(0).json();
    let component = manifest["components"].as_array().unwrap().iter().find(|c| c["archive"] == "claims/hrms.tar.gz");
    assert!(String::from_utf8(sum.stdout).unwrap().starts_with(component.unwrap()["sha256"].as_str().unwrap()));
}

#[test]
fn one_module_and_one_collection_come_back_alone() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create"]).expect(0);
    let into = |database: &str| format!("hrms={}", server.uri().replace("/?", &format!("/{database}?")));
    let (one, two) = (format!("{name}_m"), format!("{name}_c"));
    app.run(&["restore", "latest", "--module", "claims", "--only", "database", "--into", &into(&one)]).expect(0);
    assert_eq!(picture(server, &one).keys().collect::<Vec<_>>(), ["claims"]);
    app.run(&["restore", "latest", "--collection", "users", "--into", &into(&two)]).expect(0);
    assert_eq!(picture(server, &two).keys().collect::<Vec<_>>(), ["users"]);
}

#[test]
fn latest_takes_each_half_of_a_module_from_the_newest_run_that_has_it() {
    let (server, name) = (Mongod::standalone(), fresh_database());
    seed(server, &name, 1);
    let app = App::new(&config(server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create"]).expect(0);
    server.command(&name, doc! {"insert": "users", "documents": [{"_id": "later", "tenantId": "acme"}]});
    app.run(&["create", "--only", "database"]).expect(0);
    let ids = app.ids();
    let report = app.run(&["--json", "restore", "latest", "--to-directory", "out"]).expect(0).json();
    let users = report["collections"].as_array().unwrap().iter().find(|c| c["name"] == "users").unwrap();
    assert_eq!(users["documents"], 201);
    assert_eq!(files_below(&app.path("out"))["uploads/acme/documents/a.pdf"], b"one");
    assert!(report["warnings"].to_string().contains(&ids[1]), "{report}");
    let stats = app.run(&["--json", "stats"]).expect(0).json();
    let good = stats["lastGood"].as_array().unwrap().iter().find(|good| good["module"] == "claims").unwrap();
    assert_eq!(good["id"], ids[1], "half a module is no good copy of it");
}
