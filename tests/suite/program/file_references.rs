//! Files of all tenants in common folders: whose they are, the records that name them say. On every engine.

use crate::support::app::App;
use crate::support::mongod::{Mongod, fresh_database};
use crate::support::postgres::{Database, Postgres, Version};
use mongodb::bson::{Bson, doc};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Engine {
    Mongodb,
    Postgres,
    Sqlite,
}

pub const ENGINES: [Engine; 3] = [Engine::Mongodb, Engine::Postgres, Engine::Sqlite];

pub const CONFIG: &str = r#"
installation: clinic
repository: {location: ./backups}
sources: {clinic: SOURCE}
uploads:
  - root: ./uploads
    fileReferences:
      - {collection: claims, field: papers.path}
      - {collection: notes, field: file, directory: notes, prefix: /files/}
tenancy: {field: tenant, tenants: {acme: {}, birch: {}}}
modules:
  core:
    required: true
    collections: [claims, {name: notes, tenant: {via: claims, foreignKey: claim}}, visits]
    fileUploads: [papers, notes]
    relationships:
      - {parent: claims, child: visits, foreignKey: claim}
      - {parent: visits, child: notes, foreignKey: visit}
"#;

/// An application whose data is in one of the engines.
pub struct Clinic {
    pub app: App,
    pub engine: Engine,
    name: String,
    database: Option<Database>,
}

impl Clinic {
    pub fn new(engine: Engine) -> Self {
        let name = fresh_database();
        let database = (engine == Engine::Postgres).then(|| Postgres::shared(Version::V15).database());
        let source = match engine {
            Engine::Mongodb => {
                format!("{{engine: mongodb, uri: \"{}\", database: {name}}}", Mongod::replica_set().uri())
            }
            Engine::Postgres => format!("{{engine: postgres, uri: \"{}\"}}", database.as_ref().unwrap().uri()),
            Engine::Sqlite => "{engine: sqlite, path: clinic.db}".into(),
        };
        let app = App::new(&CONFIG.replace("SOURCE", &source));
        // It holds a password.
        std::fs::set_permissions(app.path("backup.yaml"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let clinic = Self { app, engine, name, database };
        let papers = if engine == Engine::Postgres { "jsonb" } else { "TEXT" };
        clinic.sql(&format!(
            "CREATE TABLE claims (id INTEGER PRIMARY KEY, tenant TEXT, papers {papers});
             CREATE TABLE notes (id INTEGER PRIMARY KEY, claim INTEGER, visit INTEGER, file TEXT);
             CREATE TABLE visits (id INTEGER PRIMARY KEY, tenant TEXT, claim INTEGER);
             CREATE INDEX claims_tenant ON claims (tenant); CREATE INDEX notes_claim ON notes (claim);"
        ));
        if engine == Engine::Mongodb {
            for (collection, field) in [("claims", "tenant"), ("notes", "claim")] {
                let index = doc! {"key": {field: 1}, "name": "owner"};
                Mongod::replica_set().command(&clinic.name, doc! {"createIndexes": collection, "indexes": [index]});
            }
        }
        clinic.insert(
            "claims",
            json!({"id": 1, "tenant": "acme", "papers": papers_of(&["papers/a.txt", "papers/both.txt"])}),
        );
        clinic.insert(
            "claims",
            json!({"id": 3, "tenant": "birch", "papers": papers_of(&["papers/b.txt", "papers/both.txt"])}),
        );
        clinic.insert("notes", json!({"id": 1, "claim": 1, "visit": 1, "file": "/files/n1.txt"}));
        clinic.insert("notes", json!({"id": 2, "claim": 3, "visit": 2, "file": "n2.txt"}));
        clinic.insert("notes", json!({"id": 3, "claim": 3, "visit": 2, "file": null}));
        clinic.insert("visits", json!({"id": 1, "tenant": "acme", "claim": 1}));
        clinic.insert("visits", json!({"id": 2, "tenant": "birch", "claim": 3}));
        for name in ["papers/a", "papers/b", "papers/both", "notes/n1", "notes/n2"] {
            clinic.app.write(&format!("uploads/{name}.txt"), format!("<canary {name}>").as_bytes());
        }
        clinic
    }

    /// With names that are none, of acme's.
    pub fn hostile(engine: Engine) -> Self {
        let clinic = Self::new(engine);
        let app = &clinic.app;
        app.write("secret.txt", b"<canary secret>");
        app.write("uploads/papers/folder/kept.txt", b"12345");
        app.write("uploads/papers/unnamed.txt", b"<canary unnamed>");
        symlink("../../secret.txt", app.path("uploads/papers/link")).unwrap();
        symlink("../..", app.path("uploads/papers/through")).unwrap();
        let long = format!("papers/{}", "x".repeat(10_000));
        let mut names = vec![
            "../secret.txt",
            "papers/../../secret.txt",
            "/etc/passwd",
            &long,
            "elsewhere/a.txt",
            "papers/gone.txt",
            "papers/link",
            "papers/folder",
            "papers/through/secret.txt",
        ];
        // PostgreSQL has no text with a NUL.
        if engine != Engine::Postgres {
            names.push("papers/a.txt\0");
        }
        clinic.insert("claims", json!({"id": 2, "tenant": "acme", "papers": papers_of(&names)}));
        clinic
    }

    pub fn sql(&self, sql: &str) {
        match self.engine {
            Engine::Mongodb => {}
            Engine::Postgres => drop(self.database.as_ref().unwrap().run(sql)),
            Engine::Sqlite => Connection::open(self.app.path("clinic.db")).unwrap().execute_batch(sql).unwrap(),
        }
    }

    /// Adds a record; what is a list is a list of MongoDB's, and JSON elsewhere.
    pub fn insert(&self, collection: &str, record: Value) {
        if self.engine == Engine::Mongodb {
            let Bson::Document(mut document) = Bson::try_from(record).unwrap() else { panic!("no document") };
            let id = document.remove("id").unwrap();
            document.insert("_id", id);
            Mongod::replica_set().command(&self.name, doc! {"insert": collection, "documents": [document]});
            return;
        }
        let fields = record.as_object().unwrap();
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        let value = |value: &Value| match value {
            Value::String(text) => format!("'{text}'"),
            Value::Number(number) => number.to_string(),
            Value::Null => "NULL".into(),
            other => format!("'{other}'"),
        };
        let values: Vec<_> = fields.values().map(value).collect();
        self.sql(&format!("INSERT INTO {collection} ({}) VALUES ({});", names.join(", "), values.join(", ")));
    }

    pub fn delete(&self, collection: &str, id: i32) {
        if self.engine == Engine::Mongodb {
            let deletes = [doc! {"q": {"_id": id}, "limit": 1}];
            Mongod::replica_set().command(&self.name, doc! {"delete": collection, "deletes": deletes});
        }
        self.sql(&format!("DELETE FROM {collection} WHERE id = {id}"));
    }

    /// Names below `uploads` in the archive of a backup, as GNU tar lists them; and all of its bytes.
    fn stored(&self, id: &str) -> (BTreeSet<String>, Vec<u8>) {
        let archive = self.app.backup(id).join("core/uploads.tar.gz");
        let listed = Command::new("tar").arg("-tzf").arg(&archive).output().unwrap();
        let names = String::from_utf8(listed.stdout).unwrap();
        let names = names.lines().filter_map(|line| line.strip_prefix("uploads/")).filter(|name| !name.ends_with('/'));
        let plain = Command::new("gzip").arg("-dc").arg(&archive).output().unwrap();
        (names.map(ToOwned::to_owned).collect(), plain.stdout)
    }

    #[track_caller]
    pub fn create(&self, args: &[&str]) -> Value {
        let all: Vec<_> = ["--json", "create"].iter().chain(args).copied().collect();
        self.app.run(&all).expect(0).json()
    }

    #[track_caller]
    fn verify(&self, args: &[&str], code: i32) -> Value {
        let all: Vec<_> = ["--json", "verify-collections"].iter().chain(args).copied().collect();
        self.app.run(&all).expect(code).json()
    }
}

pub fn papers_of(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"path": name, "size": 1})).collect()
}

pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[test]
fn a_tenant_has_the_files_that_its_own_records_name_and_no_others() {
    for engine in ENGINES {
        let clinic = Clinic::hostile(engine);
        let made = clinic.create(&["--tenant", "acme"]);
        let (names, bytes) = clinic.stored(made["id"].as_str().unwrap());
        assert_eq!(names, set(&["papers/a.txt", "papers/both.txt", "notes/n1.txt"]), "{engine:?}");
        for strange in ["papers/b>", "notes/n2", "unnamed", "secret>"] {
            assert!(!holds(&bytes, &format!("<canary {strange}")), "{engine:?} {strange}");
        }
        let warnings = made["warnings"].to_string();
        let mut told =
            vec!["'uploads': ", "../secret.txt: it leads out", "/etc/passwd: an absolute path", "so long a name"];
        told.extend([
            "papers/gone.txt: there is no such file",
            "papers/link: a symbolic link",
            "papers/folder: a folder",
        ]);
        told.extend(["papers/through/secret.txt: a symbolic link", "records name 4 files that are not there"]);
        for told in told {
            assert!(warnings.contains(told), "{engine:?} {told}\n{warnings}");
        }
        // A file that records of both name is both's, and a run without databases asks them all the same.
        let made = clinic.create(&["--tenant", "birch", "--only", "files"]);
        let (names, bytes) = clinic.stored(made["id"].as_str().unwrap());
        assert_eq!(names, set(&["papers/b.txt", "papers/both.txt", "notes/n2.txt"]), "{engine:?}");
        assert!(!holds(&bytes, "<canary papers/a>"), "{engine:?}");
        assert_eq!(made["warnings"].as_array().unwrap().len(), 0, "{made}");
        let made = clinic.create(&[]);
        let (names, _) = clinic.stored(made["id"].as_str().unwrap());
        assert!(names.contains("papers/unnamed.txt") && names.len() >= 7, "{engine:?} {names:?}");
    }
}

#[test]
fn files_and_the_records_that_name_them_are_held_against_each_other() {
    for engine in ENGINES {
        let clinic = Clinic::hostile(engine);
        let found = clinic.verify(&[], 0);
        assert_eq!(found["verificationStatus"], "warning", "{found}");
        let uploads = &found["fileReferences"][0];
        let unnamed = json!({"count": 2, "bytes": 21, "samples": ["papers/folder/kept.txt", "papers/unnamed.txt"]});
        assert_eq!(uploads["unnamedFiles"], unnamed, "{engine:?}");
        let claims = &uploads["references"][0];
        let refused = if engine == Engine::Postgres { 5 } else { 6 };
        assert_eq!((claims["absent"]["count"].as_u64(), claims["refused"]["count"].as_u64()), (Some(4), Some(refused)));
        assert_eq!(claims["absent"]["samples"][0], "papers/gone.txt: there is no such file");
        assert_eq!(
            (&uploads["references"][1]["names"], &uploads["references"][1]["absent"]["count"]),
            (&json!(2), &json!(0))
        );
        clinic.verify(&["--strict"], 3);
        // Of a tenant: its own records alone.
        let birch = clinic.app.run(&["--json", "verify-collections", "--tenant", "birch"]).expect(0);
        let uploads = &birch.json()["fileReferences"][0];
        assert_eq!((&uploads["unnamedFiles"], &uploads["references"][0]["names"]), (&Value::Null, &json!(2)));
        for others in ["gone.txt", "papers/unnamed", "secret", "passwd"] {
            assert!(!birch.stdout.contains(others), "{engine:?} {others}\n{}", birch.stdout);
        }
        clinic.app.reconfigure("modules:\n", "verification: {beforeBackup: warn}\nmodules:\n");
        let made = clinic.create(&[]);
        assert!(made["warnings"].to_string().contains("verify-collections: 2 files of 'uploads'"), "{made}");
    }
}

#[test]
fn what_is_found_of_a_tenants_relationships_is_of_its_own_records() {
    for engine in ENGINES {
        let clinic = Clinic::new(engine);
        clinic.insert("visits", json!({"id": 11, "tenant": "acme", "claim": 7001}));
        clinic.insert("visits", json!({"id": 12, "tenant": "birch", "claim": 7002}));
        clinic.insert("notes", json!({"id": 11, "claim": 1, "visit": 8001, "file": null}));
        clinic.insert("notes", json!({"id": 12, "claim": 3, "visit": 8002, "file": null}));
        let all = clinic.verify(&[], 0);
        let orphans = |found: &Value, at: usize| {
            (found["relationships"][at]["orphans"].clone(), found["relationships"][at]["samples"].clone())
        };
        assert_eq!((orphans(&all, 0).0, orphans(&all, 1).0), (json!(2), json!(2)), "{engine:?} {all}");
        let acme = clinic.verify(&["--tenant", "acme"], 0);
        assert_eq!(orphans(&acme, 0), (json!(1), json!(["7001"])), "{engine:?}");
        assert_eq!(orphans(&acme, 1), (json!(1), json!(["8001"])), "{engine:?}");
        assert!(!acme.to_string().contains("7002") && !acme.to_string().contains("8002"), "{engine:?} {acme}");
        // What is demanded of a collection is demanded of the tenant's share of it.
        clinic.app.reconfigure("modules:\n", "verification: {minimumRecords: {visits: 3}}\nmodules:\n");
        assert_eq!(clinic.verify(&[], 0)["verificationStatus"], "warning");
        let acme = clinic.verify(&["--tenant", "acme"], 4);
        assert!(acme["findings"].to_string().contains("'visits' holds 2 records, fewer than 3"), "{engine:?} {acme}");
    }
}

#[test]
fn records_without_an_owner_and_owners_without_an_index_are_found_before_a_tenants_backup() {
    for engine in ENGINES {
        let clinic = Clinic::new(engine);
        let clean = clinic.verify(&["--strict"], 0);
        let visits = |found: &Value| {
            let owners = found["owners"].as_array().unwrap().clone();
            owners.into_iter().find(|owner| owner["collection"] == "visits").unwrap()
        };
        // A missing index makes backups slow, not wrong.
        let index = visits(&clean)["missingIndex"].as_str().unwrap().to_owned();
        assert!(index.contains("visits") && index.contains("tenant"), "{engine:?} {index}");
        assert_eq!(clean["owners"].as_array().unwrap().len(), 3);
        assert_eq!(clean["owners"][1]["missingIndex"], Value::Null, "{engine:?} {clean}");
        clinic.insert("visits", json!({"id": 21, "tenant": null, "claim": 1}));
        clinic.insert("visits", json!({"id": 22, "tenant": null, "claim": 1}));
        let found = clinic.verify(&["--strict"], 3);
        assert_eq!(visits(&found)["withoutOwner"], 2, "{engine:?}");
        assert!(found["findings"].to_string().contains("2 records of 'visits' name no owner"), "{engine:?} {found}");
        // The index that is told does it.
        match engine {
            Engine::Mongodb => {
                let index = doc! {"key": {"tenant": 1}, "name": "tenant"};
                Mongod::replica_set().command(&clinic.name, doc! {"createIndexes": "visits", "indexes": [index]});
            }
            _ => clinic.sql(&format!("{index};")),
        }
        assert_eq!(visits(&clinic.verify(&[], 0))["missingIndex"], Value::Null, "{engine:?}");
        clinic.app.reconfigure("tenancy: {field: tenant, ", "tenancy: {");
        let found = clinic.verify(&["--strict"], 3);
        assert!(found["findings"].to_string().contains("'clinic.visits' has no owner rule"), "{engine:?} {found}");
    }
}

#[test]
fn mistakes_in_file_references_are_named_with_their_place() {
    let clinic = Clinic::new(Engine::Sqlite);
    let rule = "{collection: claims, field: papers.path}";
    for (wrong, told) in [
        (
            "{collection: clams, field: papers.path}",
            "8:22: uploads[0].fileReferences[0].collection: unknown collection 'clams'; did you mean `claims`?",
        ),
        (
            "{collection: claims, field: papers..path}",
            "8:37: uploads[0].fileReferences[0].field: must be names of fields",
        ),
        (
            "{collection: claims, field: x, source: other}",
            "uploads[0].fileReferences[0].source: no module lists 'claims' of source 'other'",
        ),
        (
            "{collection: claims, field: x, directory: paper}",
            "fileReferences[0].directory: unknown upload directory 'paper'; did you mean `papers`?",
        ),
        ("{collection: claims}", "uploads[0].fileReferences[0]: the key `field` is missing"),
        ("{collection: claims, field: x, filed: y}", "unknown key"),
    ] {
        clinic.app.reconfigure(rule, wrong);
        let refused = clinic.app.run(&["config", "check"]).expect(2);
        assert!(refused.stderr.contains(told), "{told}\n{}", refused.stderr);
        clinic.app.reconfigure(wrong, rule);
    }
    // What is shown of it says the same.
    let shown = clinic.app.run(&["config", "show"]).expect(0).stdout;
    clinic.app.write("shown.yaml", shown.as_bytes());
    let again = clinic.app.run(&["--config", "shown.yaml", "config", "show"]).expect(0).stdout;
    assert_eq!(again, shown);
    assert!(shown.contains("prefix: /files/") && shown.contains("directory: notes"), "{shown}");
    clinic.app.reconfigure("- root: ./uploads", "- root: ./uploads\n    layout: \"{tenant}/{directory}\"");
    let refused = clinic.app.run(&["config", "check"]).expect(2);
    assert!(refused.stderr.contains("does not go with `{tenant}`"), "{}", refused.stderr);
}

#[test]
fn a_field_that_is_not_there_is_named_with_its_place_and_takes_nobodys_files() {
    for engine in ENGINES {
        let clinic = Clinic::new(engine);
        clinic.app.reconfigure("papers.path", "pappers.path");
        if engine == Engine::Mongodb {
            let found = clinic.verify(&[], 0);
            let told = "no record of 'claims' names a file in `pappers.path`";
            assert!(found["findings"].to_string().contains(told), "{found}");
            continue;
        }
        let refused = clinic.app.run(&["verify-collections"]).expect(2);
        for part in ["backup.yaml:", "uploads[0].fileReferences[0]", "table claims has no column `pappers`"] {
            assert!(refused.stderr.contains(part), "{engine:?} {part}\n{}", refused.stderr);
        }
        let partial = clinic.app.run(&["--json", "create", "--tenant", "acme"]).expect(3).json();
        let errors = partial["errors"].to_string();
        assert!(errors.contains("no column `pappers`") && errors.contains("backup.yaml:"), "{engine:?}\n{errors}");
        assert_eq!(partial["totals"]["files"], 0, "{partial}");
    }
}
