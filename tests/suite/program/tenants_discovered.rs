//! Tenants that are records of a source.

use crate::support::app::App;
use crate::support::mongod::{Mongod, fresh_database};
use crate::support::postgres::{Postgres, Version};
use mongodb::bson::doc;
use rusqlite::Connection;

const MODULES: &str = "modules:\n  core: {required: true, collections: [{name: users, optional: true}]}\n  \
    life: {licenseFeature: life, collections: [{name: policies, optional: true}]}\n  \
    theme: {collections: [{name: colours, optional: true}]}\n";

fn config(source: &str, discover: &str) -> String {
    format!(
        "installation: test\nrepository: {{location: ./backups}}\nsources: {{hrms: {source}}}\nlicense: {{features: [life]}}\n\
         tenancy:\n  field: tenantId\n  tenants: {{fixed: {{modules: [theme]}}}}\n  discover: {discover}\n{MODULES}"
    )
}

/// Name and state of each module, as a tenant has it.
#[track_caller]
fn modules(app: &App, tenant: &str) -> Vec<(String, String)> {
    let listed = app.run(&["--json", "list-modules", "--tenant", tenant]).expect(0).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    listed["modules"].as_array().unwrap().iter().map(|m| (text(&m["name"]), text(&m["state"]))).collect()
}

#[track_caller]
fn assert_states(app: &App, tenant: &str, life: &str, theme: &str) {
    let expected = [("core", "required"), ("life", life), ("theme", theme)].map(|(n, s)| (n.to_owned(), s.to_owned()));
    assert_eq!(modules(app, tenant), expected, "{tenant}");
}

#[test]
fn documents_are_tenants_with_their_modules_features_and_status() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    server.command(&name, doc! {"insert": "configs", "documents": [
        {"tenantId": "acme", "status": "active", "modules": ["life", "theme"], "license": {"on": {"life": true}}},
        {"tenantId": "birch", "status": "active", "modules": {"life": {"enabled": true}, "theme": false}, "license": {"on": []}},
        {"tenantId": "cedar", "status": "active", "secret": "canary"},
        {"tenantId": "fixed", "status": "active", "modules": ["life"]},
        {"tenantId": "gone", "status": "closed"},
        {"tenantId": "both", "status": ["active", "closed"]},
    ]});
    server.command(&name, doc! {"insert": "users", "documents": [{"tenantId": "acme"}]});
    let source = format!("{{engine: mongodb, uri: \"{}\", database: {name}}}", server.uri());
    let discover = "{source: hrms, collection: configs, id: tenantId, modules: modules, features: license.on, where: {status: active}}";
    let app = App::new(&config(&source, discover));
    assert_states(&app, "acme", "enabled", "enabled");
    assert_states(&app, "birch", "excluded", "excluded");
    assert_states(&app, "cedar", "enabled", "enabled");
    // The configuration's own word goes first.
    assert_states(&app, "fixed", "excluded", "enabled");
    for unknown in ["gone", "both", "acm"] {
        app.run(&["create", "--tenant", unknown]).expect(10);
    }
    let close = app.run(&["create", "--tenant", "acm"]).expect(10);
    assert!(close.stderr.contains("did you mean 'acme'?"), "{}", close.stderr);
    let made = app.run(&["--json", "create", "--all-tenants"]).expect(0).json();
    let ids: Vec<_> = made["tenants"].as_array().unwrap().iter().map(|t| t["tenantId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["acme", "birch", "cedar", "fixed"]);
    // Without the database it is not known who the tenants are, but for those of the configuration; backups are restored
    // all the same: it may be what was lost.
    app.reconfigure(server.uri().as_str(), "mongodb://127.0.0.1:1/");
    app.reconfigure("engine: mongodb", "engine: mongodb, timeouts: {connect: 1s}");
    app.run(&["list-modules", "--tenant", "acme"]).expect(1);
    app.run(&["list-modules", "--tenant", "fixed"]).expect(0);
    app.run(&["restore", "latest", "--tenant", "acme", "--to-directory", "out"]).expect(0);
}

#[test]
fn wrong_ids_in_records_are_refused_by_name_and_become_no_paths() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    let long = "x".repeat(300);
    server.command(
        &name,
        doc! {"insert": "configs", "documents": [
            {"t": "../x"}, {"t": ""}, {"t": long.as_str()}, {"t": 7}, {"t": "twice"}, {"t": "twice"}, {"x": 1},
            {"t": "odd", "m": "core"}, {"t": "good"},
        ]},
    );
    let source = format!("{{engine: mongodb, uri: \"{}\", database: {name}}}", server.uri());
    let app = App::new(&config(&source, "{source: hrms, collection: configs, id: t, modules: m}"));
    let refused = app.run(&["create", "--all-tenants"]).expect(2);
    let lines = [
        "'../x' is no tenant id",
        "'' is no tenant id",
        "longer than 128",
        "id '7' is of type int",
        "'twice' is there more than once",
        "an id is of type nothing",
        "tenant 'odd': `m` is neither",
    ];
    for line in lines {
        assert!(refused.stderr.contains(line), "{line}: {}", refused.stderr);
    }
    assert!(!app.path("backups").exists());
    for (tenant, code) in [("odd", 2), ("twice", 2), ("../x", 2), ("none", 10), ("good", 0)] {
        app.run(&["create", "--tenant", tenant]).expect(code);
    }
    app.reconfigure("collection: configs", "collection: confgs");
    let missing = app.run(&["create", "--tenant", "good"]).expect(10);
    assert!(missing.stderr.contains("there is no collection confgs"), "{}", missing.stderr);
}

#[test]
fn rows_of_sqlite_and_postgresql_are_tenants_with_their_json() {
    let create = "CREATE TABLE tenants (id TEXT, mods TEXT, settings TEXT, active INT);
        INSERT INTO tenants VALUES ('acme', '[\"life\", \"theme\"]', '{\"features\": [\"life\"]}', 1),
            ('birch', '{\"theme\": {\"enabled\": true}}', '{}', 1), ('gone', NULL, NULL, 0);";
    let database = Postgres::shared(Version::V15).database();
    database.run(
        &create
            .replace("mods TEXT, settings TEXT, active INT", "mods text[], settings jsonb, active bool")
            .replace("'[\"life\", \"theme\"]'", "'{life,theme}'")
            .replace("'{\"theme\": {\"enabled\": true}}'", "'{theme}'")
            .replace(", 1)", ", true)")
            .replace(", 0)", ", false)"),
    );
    let discover = "{source: hrms, collection: tenants, id: id, modules: mods, features: settings.features, where: {active: true}}";
    let on_postgres = App::new(&config(&format!("{{engine: postgres, uri: \"{}\"}}", database.uri()), discover));
    let on_sqlite = App::new(&config("{engine: sqlite, path: hrms.db}", discover));
    Connection::open(on_sqlite.path("hrms.db")).unwrap().execute_batch(create).unwrap();
    for app in [on_postgres, on_sqlite] {
        assert_states(&app, "acme", "enabled", "enabled");
        assert_states(&app, "birch", "excluded", "enabled");
        app.run(&["list-modules", "--tenant", "gone"]).expect(10);
        app.reconfigure("id: id", "id: ident");
        let wrong = app.run(&["list-modules", "--tenant", "acme"]).expect(10);
        assert!(wrong.stderr.contains("has no column `ident`"), "{}", wrong.stderr);
    }
}
