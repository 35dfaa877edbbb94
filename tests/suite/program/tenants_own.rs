//! Databases, schemas and files of each tenant's own.

use crate::support::app::{App, files_below};
use crate::support::mongod::{Mongod, fresh_database};
use crate::support::postgres::{Postgres, Version};
use mongodb::bson::doc;
use rusqlite::Connection;
use std::process::{Command, Stdio};

fn config(sources: &str) -> String {
    format!(
        "installation: test\nrepository: {{location: ./backups}}\nsources: {{own: {sources}, all: {{engine: sqlite, path: all.db}}}}\n\
         tenancy: {{field: tenant, tenants: {{'12': {{}}, '123': {{}}, new: {{}}}}}}\n\
         modules:\n  core: {{required: true, collections: [{{name: users, source: own}}, {{name: notes, source: all}}]}}\n"
    )
}

fn notes(app: &App) {
    let all = Connection::open(app.path("all.db")).unwrap();
    all.execute_batch(
        "CREATE TABLE notes (tenant TEXT, t TEXT); INSERT INTO notes VALUES ('12', 'n12'), ('123', 'n123');",
    )
    .unwrap();
}

/// Backs up every tenant, and the installation, and looks at what is where.
fn back_up_and_look(app: &App, run: impl Fn(&[&str]) -> crate::support::app::Ended) {
    notes(app);
    let made = run(&["--json", "create", "--all-tenants"]).expect(0).json();
    assert_eq!(made["succeeded"], 3, "{made}");
    for (at, own, other) in [(0, "canary-12.", "canary-123."), (1, "canary-123.", "canary-12.")] {
        let manifest = &made["tenants"][at];
        assert_eq!(manifest["components"][0]["collections"][0]["tenantRule"], "all", "{manifest}");
        let id = manifest["id"].as_str().unwrap();
        let mut bytes = Vec::new();
        for archive in files_below(&app.backup(id)).keys() {
            bytes.extend(Command::new("gzip").arg("-dc").arg(app.backup(id).join(archive)).output().unwrap().stdout);
        }
        let holds = |word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
        assert!(holds(own) && !holds(other), "{id}");
    }
    let fresh = &made["tenants"][2];
    assert_eq!((fresh["tenantId"].as_str(), fresh["components"][0]["status"].as_str()), (Some("new"), Some("absent")));
    let system = run(&["--json", "create"]).expect(0).json();
    assert_eq!(system["components"].as_array().unwrap().len(), 1, "{system}");
    assert!(system["warnings"].to_string().contains("source 'own' is left out"), "{}", system["warnings"]);
}

#[test]
fn each_tenant_has_a_sqlite_file_of_its_own_that_comes_back_to_its_place() {
    let app = App::new(&config("{engine: sqlite, path: \"data/{tenant}.db\"}"));
    std::fs::create_dir(app.path("data")).unwrap();
    for tenant in ["12", "123"] {
        let own = Connection::open(app.path(&format!("data/{tenant}.db"))).unwrap();
        own.execute_batch(&format!("CREATE TABLE users (t TEXT); INSERT INTO users VALUES ('canary-{tenant}.')"))
            .unwrap();
    }
    back_up_and_look(&app, |arguments| app.run(arguments));
    let text = |tenant: &str| -> String {
        let own = Connection::open(app.path(&format!("data/{tenant}.db"))).unwrap();
        own.query_row("SELECT group_concat(t) FROM users", [], |row| row.get(0)).unwrap()
    };
    let id = app.ids().into_iter().find(|id| id.starts_with("tenant-12-")).unwrap();
    std::fs::remove_file(app.path("data/12.db")).unwrap();
    app.run(&["restore", &id, "--collection", "users"]).expect(0);
    let whole = ("canary-12.".to_owned(), "canary-123.".to_owned());
    assert_eq!((text("12"), text("123")), whole);
    // Nobody else's data is in it, so all of it is the tenant's, and what is there is written over when that is asked for.
    let own = Connection::open(app.path("data/12.db")).unwrap();
    own.execute_batch("UPDATE users SET t = 'later'").unwrap();
    app.run(&["restore", &id, "--collection", "users"]).expect(5);
    assert_eq!(text("12"), "later");
    app.run(&["restore", &id, "--collection", "users", "--existing", "replace", "--target-name", "12", "--yes"])
        .expect(0);
    assert_eq!((text("12"), text("123")), whole);
    // The folder of all files is a disk that can be missing; one file is a tenant that is new.
    std::fs::rename(app.path("data"), app.path("elsewhere")).unwrap();
    app.run(&["create", "--tenant", "12"]).expect(1);
}

#[test]
fn each_tenant_has_a_mongodb_database_of_its_own() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    for tenant in ["12", "123"] {
        let documents = [doc! {"t": format!("canary-{tenant}.")}];
        server.command(&format!("{name}_{tenant}"), doc! {"insert": "users", "documents": documents});
    }
    let source = format!("{{engine: mongodb, uri: \"{}\", database: \"{name}_{{tenant}}\"}}", server.uri());
    let app = App::new(&config(&source));
    back_up_and_look(&app, |arguments| app.run(arguments));
    app.run(&["verify-collections", "--tenant", "12"]).expect(0);
    let text = |tenant: &str| {
        let found = server.command(&format!("{name}_{tenant}"), doc! {"find": "users"});
        let first = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        assert_eq!(first.len(), 1);
        first[0].as_document().unwrap().get_str("t").unwrap().to_owned()
    };
    let id = app.ids().into_iter().find(|id| id.starts_with("tenant-12-")).unwrap();
    let later = [doc! {"q": {}, "u": {"$set": {"t": "later"}}}];
    server.command(&format!("{name}_12"), doc! {"update": "users", "updates": later});
    app.run(&["restore", &id, "--collection", "users"]).expect(5);
    assert_eq!(text("12"), "later");
    app.run(&[
        "restore",
        &id,
        "--collection",
        "users",
        "--existing",
        "replace",
        "--target-name",
        &format!("{name}_12"),
        "--yes",
    ])
    .expect(0);
    assert_eq!((text("12"), text("123")), ("canary-12.".to_owned(), "canary-123.".to_owned()));
    // What no database can be called is refused, and no other database is opened in its place.
    app.reconfigure("new: {}", "a.b: {}");
    let refused = app.run(&["create", "--tenant", "a.b"]).expect(2);
    assert!(refused.stderr.contains(&format!("'{name}_a.b' is no name")), "{}", refused.stderr);
    // One that is there, but not whole, is not a new tenant's.
    server.command(&format!("{name}_12"), doc! {"drop": "users"});
    server.command(&format!("{name}_12"), doc! {"insert": "other", "documents": [{"x": 1}]});
    app.run(&["create", "--tenant", "12"]).expect(3);
}

#[test]
fn each_tenant_has_a_postgresql_schema_or_database_of_its_own() {
    let database = Postgres::shared(Version::V15).database();
    let server = database.server;
    for tenant in ["12", "123"] {
        let users = format!("users (t text); INSERT INTO SCHEMA.users VALUES ('canary-{tenant}.');");
        database.run(&format!(
            "CREATE SCHEMA t_{tenant}; CREATE TABLE t_{tenant}.{}",
            users.replace("SCHEMA", &format!("t_{tenant}"))
        ));
        let own = format!("{}_{tenant}", database.name);
        server.psql("postgres", &format!("CREATE DATABASE \"{own}\""));
        server.psql(&own, &format!("CREATE TABLE {}", users.replace("SCHEMA.", "")));
    }
    let schema = format!("{{engine: postgres, uri: \"{}\", schema: \"t_{{tenant}}\"}}", database.uri());
    let own = format!(
        "{{engine: postgres, uri: \"{}\"}}",
        database.uri().replace(&database.name, &format!("{}_{{tenant}}", database.name))
    );
    for source in [schema, own] {
        let app = App::new(&config(&source));
        let path = format!("{}:/usr/bin:/bin", Version::V15.programs().display());
        back_up_and_look(&app, |arguments| {
            crate::support::app::ended(app.command(arguments).env("PATH", &path).stdin(Stdio::null()).output().unwrap())
        });
    }
}
