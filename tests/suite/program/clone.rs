//! One tenant's data as another's: what names the owner is rewritten, and nothing else; whoever is there stays as he is.

use super::clinic::{Clinic, Engine, Rows, parted, picture};
use crate::support::app::{App, Ended, files_below};
use crate::support::mongod::{Mongod, fresh_database, wait};
use crate::support::postgres::{Database, Postgres, Version};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::process::Stdio;

/// The rows of t7 as those of another.
fn as_tenant(picture: &BTreeMap<&'static str, Rows>, becomes: &str) -> Vec<(String, String)> {
    let (own, _) = parted(picture, 7);
    let renamed = |(key, row): (String, String)| match key.starts_with("policies") {
        true => (key, row.replacen("t7 ", &format!("{becomes} "), 1).replace("\"t7\"", &format!("\"{becomes}\""))),
        false => (key, row),
    };
    own.into_iter().map(renamed).collect()
}

fn id_of(app: &App, arguments: &[&str]) -> String {
    let created = app.run(&[&["--json", "create"], arguments].concat()).expect(0);
    created.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_tenant_becomes_another_and_nothing_but_its_owner_is_rewritten() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        let app = &clinic.app;
        let own = id_of(app, &["--tenant", "t7"]);
        let system = id_of(app, &[]);
        let before = clinic.picture();
        for id in [&own, &system] {
            let (beside, into) = clinic.engine.beside(app);
            let file = app.path("beside/clinic.db");
            let _ = std::fs::remove_dir_all(app.path("beside"));
            let arguments = ["--json", "restore", id, "--tenant", "t7", "--as-tenant", "t99-demo", "--into", &into];
            let arguments = [&arguments[..], &["--files-into", "beside"]].concat();
            app.run(&[&arguments[..], &["--dry-run"]].concat()).expect(0);
            let done = app.run(&arguments).expect(0).json();
            assert_eq!((&done["tenantId"], &done["asTenant"]), (&"t7".into(), &"t99-demo".into()), "{done}");
            let verified = done["collections"].as_array().unwrap().iter().all(|c| c["verified"] == true);
            assert!(verified, "{done}");
            let found = parted(&picture(&beside, &file), 7);
            assert_eq!(found.0, as_tenant(&before, "t99-demo"), "{id}");
            // Of the others, what is everybody's alone comes into an empty place.
            assert!(found.1.iter().all(|(key, _)| key.starts_with("countries")), "{:?}", found.1);
            let files = files_below(&app.path("beside"));
            let names: Vec<_> = files.keys().filter(|name| !name.contains("clinic.db")).collect();
            assert_eq!(names, ["uploads/t99-demo/docs/a.txt"]);
            // Again, over what it has become, which is replaced, and put aside before as his.
            let change = [&arguments[..], &["--only", "database", "--existing", "replace"]].concat();
            let again = app.run(&[&change[..], &["--yes"]].concat()).expect(0).json();
            assert!(again["safetyBackup"].as_str().unwrap().starts_with("tenant-t99-demo-backup-"), "{again}");
            assert_eq!(parted(&picture(&beside, &file), 7), found);
        }
        assert_eq!(clinic.picture(), before);
    }
}

#[test]
fn a_clone_into_the_place_of_its_original_is_refused_before_the_first_write() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        let system = id_of(&clinic.app, &[]);
        let before = clinic.picture();
        let arguments = ["restore", &system, "--tenant", "t7", "--as-tenant", "t99", "--only", "database"];
        for more in [["--dry-run"].as_slice(), &[], &["--existing", "merge", "--yes"]] {
            let refused = clinic.app.run(&[&arguments, more].concat()).expect(5).stderr;
            assert!(refused.contains("policies") && refused.contains(": 3 "), "{refused}");
            assert!(refused.contains("--into SOURCE=URI"), "{refused}");
            assert_eq!(clinic.picture(), before);
        }
    }
}

/// An application whose keys hold the tenant's id: `settings` by it alone, `notes` with it, and `flags` by way of settings,
/// which name the tenant, then.
struct Keyed {
    app: App,
    engine: Engine,
}

impl Keyed {
    fn new(engine: Engine) -> Self {
        let field = if matches!(engine, Engine::Mongo(..)) { ["_id.t", "_id"] } else { ["tenant", "tenant"] };
        let config = format!(
            "installation: clinic\nrepository: {{location: ./backups}}\nsources: {{db: {}}}\n\
             tenancy: {{field: tenant}}\nmodules:\n  core:\n    required: true\n    collections:\n    \
             - {{name: settings, tenant: {{field: {}}}}}\n    - {{name: notes, tenant: {{field: {}}}}}\n    \
             - {{name: flags, tenant: {{via: settings, foreignKey: of}}}}\n",
            engine.source(),
            field[1],
            field[0]
        );
        let keyed = Self { app: App::new(&config), engine };
        match &keyed.engine {
            Engine::Mongo(server, name) => {
                for tenant in ["acme", "birch"] {
                    server.command(name, doc! {"insert": "settings", "documents": [{"_id": tenant, "v": tenant}]});
                    let notes = [1, 2].map(|n| doc! {"_id": {"t": tenant, "n": n}, "v": tenant, "tenant": tenant});
                    server.command(name, doc! {"insert": "notes", "documents": notes});
                    let flag = doc! {"_id": {"of": tenant}, "of": tenant, "k": 1};
                    server.command(name, doc! {"insert": "flags", "documents": [flag]});
                }
                // Unique is the owner with a value.
                let index = doc! {"key": {"of": 1, "k": 1}, "name": "u", "unique": true};
                server.command(name, doc! {"createIndexes": "flags", "indexes": [index]});
            }
            _ => keyed.sql(
                "CREATE TABLE settings (tenant TEXT PRIMARY KEY, v TEXT);
                 CREATE TABLE notes (tenant TEXT, n INTEGER, v TEXT, PRIMARY KEY (tenant, n));
                 CREATE TABLE flags (\"of\" TEXT REFERENCES settings, k INTEGER, PRIMARY KEY (\"of\", k));
                 INSERT INTO settings VALUES ('acme', 'acme'), ('birch', 'birch');
                 INSERT INTO notes VALUES ('acme', 1, 'acme'), ('acme', 2, 'acme'), ('birch', 1, 'birch'), ('birch', 2, 'birch');
                 INSERT INTO flags VALUES ('acme', 1), ('birch', 1);",
            ),
        }
        keyed
    }

    fn sql(&self, text: &str) {
        match &self.engine {
            Engine::Sqlite => Connection::open(self.app.path("clinic.db")).unwrap().execute_batch(text).unwrap(),
            Engine::Postgres(database) => drop(database.run(text)),
            Engine::Mongo(..) => panic!("MongoDB speaks no SQL"),
        }
    }

    /// Every record as text, by its owner.
    fn of(&self, tenant: &str) -> Vec<String> {
        let mut all = Vec::new();
        for (table, columns, owner) in
            [("settings", "v", "tenant"), ("notes", "n || v", "tenant"), ("flags", "k || ''", "\"of\"")]
        {
            let sql = format!("SELECT {columns} FROM {table} WHERE {owner} = '{tenant}'");
            all.extend(match &self.engine {
                Engine::Sqlite => {
                    let connection = Connection::open(self.app.path("clinic.db")).unwrap();
                    let mut statement = connection.prepare(&sql).unwrap();
                    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
                    rows.map(|row| format!("{table} {}", row.unwrap())).collect::<Vec<_>>()
                }
                Engine::Postgres(database) => {
                    database.run(&sql).lines().map(|line| format!("{table} {line}")).collect()
                }
                Engine::Mongo(server, name) => {
                    let found = server.client().database(name).collection::<Document>(table);
                    let which = match table {
                        "settings" => doc! {"_id": tenant},
                        "notes" => doc! {"_id.t": tenant},
                        _ => doc! {"of": tenant},
                    };
                    let all: Vec<Document> =
                        wait(async { found.find(which).await.unwrap().try_collect().await.unwrap() });
                    all.into_iter().map(|document| format!("{table} {document}")).collect()
                }
            });
        }
        all.sort();
        all
    }
}

#[test]
fn a_key_that_holds_the_tenants_id_is_rewritten_and_takes_nobodys_place() {
    for engine in Engine::all() {
        let keyed = Keyed::new(engine);
        let id = match keyed.engine {
            // A key that only looks like the tenant's stays: what is rewritten is the owner.
            Engine::Mongo(..) => {
                let refused = id_of(&keyed.app, &["--tenant", "acme"]);
                let arguments = ["restore", &refused, "--tenant", "acme", "--as-tenant", "cedar"];
                let refused = keyed.app.run(&arguments).expect(5).stderr;
                assert!(refused.contains("flags: 1 records"), "{refused}");
                let Engine::Mongo(server, name) = &keyed.engine else { unreachable!() };
                for tenant in ["acme", "birch"] {
                    server.command(name, doc! {"delete": "flags", "deletes": [{"q": {"of": tenant}, "limit": 0}]});
                    // An _id of no meaning, as most are; unique with the owner is the value.
                    let flag = doc! {"_id": if tenant == "acme" { 1 } else { 2 }, "of": tenant, "k": 1};
                    server.command(name, doc! {"insert": "flags", "documents": [flag]});
                }
                let id = id_of(&keyed.app, &["--tenant", "acme"]);
                // The original's own record is out of the way.
                let moved = [doc! {"q": {"of": "acme"}, "limit": 0}];
                server.command(name, doc! {"delete": "flags", "deletes": moved});
                let flag = doc! {"_id": 3, "of": "acme", "k": 1};
                server.command(name, doc! {"insert": "flags", "documents": [flag]});
                id
            }
            _ => id_of(&keyed.app, &["--tenant", "acme"]),
        };
        let before = ["acme", "birch"].map(|tenant| keyed.of(tenant));
        let arguments = ["--json", "restore", &id, "--tenant", "acme", "--as-tenant", "cedar"];
        let done = keyed.app.run(&arguments).expect(0).json();
        assert_eq!(["acme", "birch"].map(|tenant| keyed.of(tenant)), before, "{done}");
        let cedar = keyed.of("cedar");
        assert_eq!(cedar.len(), 4, "{cedar:?}");
        if let Engine::Mongo(..) = keyed.engine {
            // Of other fields the id is not touched.
            let note = |n: i32| doc! {"_id": {"t": "cedar", "n": n}, "v": "acme", "tenant": "acme"};
            assert!(cedar.contains(&format!("notes {}", note(1))) && cedar.contains(&format!("notes {}", note(2))));
            assert!(cedar.contains(&format!("settings {}", doc! {"_id": "cedar", "v": "acme"})), "{cedar:?}");
        } else {
            assert_eq!(cedar, before[0]);
        }
        // What is there of the other tenant is what `--existing` is about.
        let refused = keyed.app.run(&arguments).expect(5);
        assert!(refused.stdout.contains("records of the tenant"), "{}", refused.stdout);
        let replaced = keyed.app.run(&[&arguments[..], &["--existing", "replace", "--yes"]].concat()).expect(0).json();
        let safety = replaced["safetyBackup"].as_str().unwrap();
        assert!(safety.starts_with("tenant-cedar-backup-"), "{safety}");
        assert_eq!((keyed.of("cedar"), ["acme", "birch"].map(|tenant| keyed.of(tenant))), (cedar, before));
    }
}

#[test]
fn ids_that_cannot_be_are_refused_before_anything_is_opened_for_writing() {
    let clinic = Clinic::new(Engine::Sqlite);
    let id = id_of(&clinic.app, &["--tenant", "t7"]);
    let run = |becomes: &str| clinic.app.run(&["restore", &id, "--tenant", "t7", "--as-tenant", becomes, "--dry-run"]);
    assert!(run("../t8").expect(2).stderr.contains("is no tenant id"));
    assert!(run("t7").expect(2).stderr.contains("is that tenant's already"));
    clinic.app.run(&["restore", &id, "--as-tenant", "t8"]).expect(2);
    // Where tenants are listed, the new one has to be; the old one of a renamed customer need not.
    clinic.app.reconfigure("tenancy: {field: tenant}", "tenancy: {field: tenant, tenants: {t98: {}}}");
    let unknown = run("t99").expect(10).stderr;
    assert!(unknown.contains("there is no tenant 't99'") && unknown.contains("{t99: {…}}"), "{unknown}");
    clinic.app.run(&["restore", &id, "--tenant", "t7", "--as-tenant", "t98", "--to-directory", "out"]).expect(0);
    // A tenant that would be discovered may have no record yet: that is said.
    let discover = "discover: {source: db, collection: countries, id: v}";
    clinic.app.reconfigure("tenants: {t98: {}}", discover);
    let told =
        clinic.app.run(&["restore", &id, "--tenant", "t7", "--as-tenant", "t99", "--to-directory", "told"]).expect(0);
    assert!(told.stdout.contains("whether db.countries has a record of tenant t99"), "{}", told.stdout);
    clinic.app.reconfigure("tenancy: {field: tenant", "tenancy: {idType: int, field: tenant");
    assert!(run("t99").expect(2).stderr.contains("does not fit `tenancy.idType`"));
}

#[test]
fn a_folder_holds_the_records_as_the_other_tenants() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        let own = id_of(&clinic.app, &["--tenant", "t7"]);
        let system = id_of(&clinic.app, &[]);
        for (id, folder) in [(&own, "own"), (&system, "system")] {
            let becomes = ["--tenant", "t7", "--as-tenant", "renamed", "--to-directory", folder];
            clinic.app.run(&[&["restore", id.as_str()], &becomes[..]].concat()).expect(0);
            let files = files_below(&clinic.app.path(folder));
            assert!(files.contains_key("uploads/renamed/docs/a.txt"), "{:?}", files.keys());
            let holds = |word: &[u8]| files.values().any(|bytes| bytes.windows(word.len()).any(|w| w == word));
            // The canary, which is no owner, has the old id in it; the owner is between other bytes in every engine.
            assert!(holds(b"canary-t7-end") && holds(b"renamed"), "{folder}");
            match &clinic.engine {
                Engine::Sqlite => {
                    let file = files.keys().find(|name| name.ends_with(".db")).unwrap();
                    let connection = Connection::open(clinic.app.path(folder).join(file)).unwrap();
                    let owners: String = connection
                        .query_row("SELECT group_concat(tenant) FROM policies", [], |row| row.get(0))
                        .unwrap();
                    assert_eq!(owners, "renamed,renamed,renamed");
                }
                Engine::Postgres(_) => assert!(!holds(b"\tt7\t")),
                Engine::Mongo(..) => assert!(!holds(b"\0t7\0")),
            }
        }
    }
}

fn own_config(source: &str) -> String {
    format!(
        "installation: test\nrepository: {{location: ./backups}}\nsources: {{own: {source}}}\n\
         uploads: [{{root: ./uploads, layout: \"{{tenant}}/{{directory}}\"}}]\n\
         tenancy: {{field: tenant, tenants: {{'12': {{}}, '123': {{}}}}}}\n\
         modules:\n  core: {{required: true, collections: [{{name: users, source: own}}, {{name: logs, source: own}}], fileUploads: [docs]}}\n"
    )
}

/// Clones 12 as 123, twice, the second time over what is there; `users` gives the users of a tenant.
fn clone_own(app: &App, target: &str, run: impl Fn(&[&str]) -> Ended, users: impl Fn(&str) -> String) {
    app.write("uploads/12/docs/a.txt", b"twelve");
    let id = run(&["--json", "create", "--tenant", "12"]).expect(0).json()["id"].as_str().unwrap().to_owned();
    let arguments = ["restore", &id, "--tenant", "12", "--as-tenant", "123"];
    run(&arguments).expect(0);
    let both = ("12 named,nobody's,other other".to_owned(), "123 named,nobody's,other other".to_owned());
    assert_eq!((users("12"), users("123")), both);
    assert_eq!(std::fs::read(app.path("uploads/123/docs/a.txt")).unwrap(), b"twelve");
    run(&arguments).expect(5);
    run(&[&arguments[..], &["--existing", "replace", "--target-name", target, "--yes"]].concat()).expect(0);
    assert_eq!((users("12"), users("123")), both);
}

#[test]
fn a_tenant_with_a_database_of_its_own_becomes_one_with_a_database_of_its_own() {
    let app = App::new(&own_config("{engine: sqlite, path: \"data/{tenant}.db\"}"));
    std::fs::create_dir(app.path("data")).unwrap();
    let made = "CREATE TABLE users (tenant TEXT, t TEXT); CREATE TABLE logs (t TEXT); INSERT INTO logs VALUES ('12');
        INSERT INTO users VALUES ('12', 'named'), (NULL, 'nobody''s'), ('other', 'other')";
    let open = |tenant: &str| Connection::open(app.path(&format!("data/{tenant}.db"))).unwrap();
    open("12").execute_batch(made).unwrap();
    let users = |tenant: &str| {
        let sql =
            "SELECT group_concat(x) FROM (SELECT ltrim(coalesce(tenant, '') || ' ' || t) AS x FROM users ORDER BY x)";
        open(tenant).query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    clone_own(&app, "123", |arguments| app.run(arguments), users);

    let (server, name) = (Mongod::replica_set(), fresh_database());
    let documents =
        [doc! {"tenant": "12", "t": "named"}, doc! {"t": "nobody's"}, doc! {"tenant": "other", "t": "other"}];
    server.command(&format!("{name}_12"), doc! {"insert": "users", "documents": documents});
    server.command(&format!("{name}_12"), doc! {"insert": "logs", "documents": [{"t": "12"}]});
    let source = format!("{{engine: mongodb, uri: \"{}\", database: \"{name}_{{tenant}}\"}}", server.uri());
    let app = App::new(&own_config(&source));
    let users = |tenant: &str| {
        let found = server.client().database(&format!("{name}_{tenant}")).collection::<Document>("users");
        let all: Vec<Document> = wait(async { found.find(doc! {}).await.unwrap().try_collect().await.unwrap() });
        let line = |d: &Document| format!("{} {}", d.get_str("tenant").unwrap_or_default(), d.get_str("t").unwrap());
        let mut all: Vec<_> = all.iter().map(|d| line(d).trim().to_owned()).collect();
        all.sort();
        all.join(",")
    };
    clone_own(&app, &format!("{name}_123"), |arguments| app.run(arguments), users);
}

const OWN_TABLES: &str = "users (id serial PRIMARY KEY, tenant text, t text); CREATE TABLE ";

fn psql_users(database: &Database, name: &str, schema: &str) -> String {
    database.server.psql(
        name,
        &format!("SELECT string_agg(x, ',' ORDER BY x COLLATE \"C\") FROM (SELECT ltrim(coalesce(tenant, '') || ' ' || t) AS x FROM {schema}.users) u"),
    )
}

fn with_path(app: &App, arguments: &[&str]) -> Ended {
    let path = format!("{}:/usr/bin:/bin", Version::V15.programs().display());
    crate::support::app::ended(app.command(arguments).env("PATH", &path).stdin(Stdio::null()).output().unwrap())
}

fn fill(database: &Database, name: &str, schema: &str) {
    database.server.psql(
        name,
        &format!("CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE {schema}.{OWN_TABLES}{schema}.logs (t text); INSERT INTO {schema}.logs VALUES ('12'); INSERT INTO {schema}.users (tenant, t) VALUES ('12', 'named'), (NULL, 'nobody''s'), ('other', 'other')"),
    );
}

#[test]
fn a_tenant_with_a_postgresql_database_of_its_own_becomes_one_with_a_database_of_its_own() {
    let database = Postgres::shared(Version::V15).database();
    let name = |tenant: &str| format!("{}_{tenant}", database.name);
    for tenant in ["12", "123"] {
        database.server.psql("postgres", &format!("CREATE DATABASE \"{}\"", name(tenant)));
    }
    fill(&database, &name("12"), "public");
    let uri = database.uri().replace(&database.name, &name("{tenant}"));
    let app = App::new(&own_config(&format!("{{engine: postgres, uri: \"{uri}\"}}")));
    let users = |tenant: &str| psql_users(&database, &name(tenant), "public");
    clone_own(&app, &name("123"), |arguments| with_path(&app, arguments), users);
}

#[test]
fn rows_of_a_schema_of_the_tenants_own_go_into_tables_of_the_other_schema() {
    let database = Postgres::shared(Version::V15).database();
    fill(&database, &database.name, "t_12");
    let source = format!("{{engine: postgres, uri: \"{}\", schema: \"t_{{tenant}}\"}}", database.uri());
    let app = App::new(&own_config(&source));
    let run = |arguments: &[&str]| with_path(&app, arguments);
    app.write("uploads/12/docs/a.txt", b"twelve");
    let id = run(&["--json", "create", "--tenant", "12"]).expect(0).json()["id"].as_str().unwrap().to_owned();
    // Definitions name the schema they are from, and are made in no other.
    let refused = run(&["restore", &id, "--tenant", "12", "--as-tenant", "123"]).expect(5).stderr;
    assert!(refused.contains("not there: ") && refused.contains("make the tables first"), "{refused}");
    assert_eq!(database.run("SELECT count(*) FROM pg_namespace WHERE nspname = 't_123'"), "0");
    database.run(&format!("CREATE SCHEMA t_123; CREATE TABLE t_123.{OWN_TABLES}t_123.logs (t text)"));
    let users = |tenant: &str| psql_users(&database, &database.name, &format!("t_{tenant}"));
    clone_own(&app, &database.name, run, users);
    // Its numbers go on behind those that came; the other's are where they were.
    let next = |schema: &str| database.run(&format!("SELECT nextval('{schema}.users_id_seq')"));
    assert_eq!((next("t_123"), next("t_12")), ("4".into(), "4".into()));
    assert_eq!(database.run("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'backup-restore%'"), "0");
}

#[test]
fn a_tenant_that_had_nothing_when_it_was_backed_up_is_said_to_have_had_nothing() {
    let app = App::new(&own_config("{engine: sqlite, path: \"data/{tenant}.db\"}"));
    std::fs::create_dir(app.path("data")).unwrap();
    std::fs::create_dir(app.path("uploads")).unwrap();
    let id = id_of(&app, &["--tenant", "12"]);
    let none = app.run(&["restore", "latest", "--tenant", "12"]).expect(10).stderr;
    assert!(none.contains(&format!("tenant 12 had no data when {id} was made")), "{none}");
    let none = app.run(&["restore", "latest", "--tenant", "123"]).expect(10).stderr;
    assert!(none.contains("there is no good backup of tenant 123"), "{none}");
}
