//! One tenant back, among many: out of its own backup and out of a system-wide one, in every engine. Whatever is not the
//! tenant's stays as it is, which clients of the tests' own look at.

use crate::support::app::{App, files_below};
use crate::support::mongod::{Mongod, fresh_database, wait};
use crate::support::postgres::{Database, Postgres, Version};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use rusqlite::Connection;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Rows of several tables, with table and key.
type Lines = Vec<(String, String)>;

/// As many as there are canaries.
const TENANTS: usize = 50;

/// Rows of a table or documents of a collection by their key, as text.
type Rows = BTreeMap<i64, String>;

/// An application of an engine.
enum Engine {
    Sqlite,
    Postgres(Database),
    Mongo(&'static Mongod, String),
}

const MODULES: &str = r#"
uploads: [{root: ./uploads, layout: "{tenant}/{directory}"}]
tenancy: {field: tenant}
modules:
  core:
    required: true
    collections: [policies, {name: members, tenant: {via: policies, foreignKey: policy}}, {name: countries, tenant: shared}]
    fileUploads: [docs]
  clinic:
    collections: [{name: visits, tenant: {via: members, foreignKey: member}}, {name: migrations, tenant: excluded}]
"#;

const TABLES: [&str; 5] = ["policies", "members", "visits", "countries", "migrations"];

struct Clinic {
    app: App,
    engine: Engine,
    pending: RefCell<Option<Pending>>,
}

/// What [`Clinic::batch`] gathers.
#[derive(Default)]
struct Pending {
    sql: String,
    documents: BTreeMap<String, Vec<Document>>,
}

impl Engine {
    fn all() -> Vec<Self> {
        let mut engines = vec![Self::Sqlite, Self::Postgres(Postgres::shared(Version::V15).database())];
        engines.push(Self::Mongo(Mongod::replica_set(), fresh_database()));
        engines.push(Self::Mongo(Mongod::standalone(), fresh_database()));
        engines
    }

    fn source(&self) -> String {
        match self {
            Self::Sqlite => "{engine: sqlite, path: clinic.db}".into(),
            Self::Postgres(database) => format!("{{engine: postgres, uri: \"{}\"}}", database.uri()),
            Self::Mongo(server, name) => {
                format!("{{engine: mongodb, uri: \"{}\", database: {name}}}", server.uri())
            }
        }
    }
}

impl Clinic {
    /// 50 tenants with 3 policies, 6 members and 6 visits each, and a file; every one holds the tenant's canary.
    fn new(engine: Engine) -> Self {
        let config = format!(
            "installation: clinic\nrepository: {{location: ./backups}}\nsources: {{db: {}}}{MODULES}",
            engine.source()
        );
        let clinic = Self { app: App::new(&config), engine, pending: RefCell::default() };
        let ddl = "CREATE TABLE policies (id INTEGER PRIMARY KEY, tenant TEXT, v TEXT);
            CREATE TABLE members (id INTEGER PRIMARY KEY, policy INTEGER REFERENCES policies (id), v TEXT);
            CREATE TABLE visits (id INTEGER PRIMARY KEY, member INTEGER REFERENCES members (id), v TEXT);
            CREATE TABLE countries (id INTEGER PRIMARY KEY, v TEXT);
            CREATE TABLE migrations (id INTEGER PRIMARY KEY, v TEXT);";
        clinic.batch(|clinic| clinic.fill(ddl));
        clinic
    }

    fn fill(&self, ddl: &str) {
        let clinic = self;
        if !matches!(clinic.engine, Engine::Mongo(..)) {
            clinic.sql(ddl);
        }
        for tenant in 0..TENANTS as i64 {
            let (base, v) = (tenant * 10, canary(tenant));
            for n in 0..3 {
                clinic.insert("policies", base + n, Some(("tenant", &format!("'t{tenant}'"))), &v);
            }
            for n in 0..6 {
                clinic.insert("members", base + n, Some(("policy", &(base + n % 3).to_string())), &v);
                clinic.insert("visits", base + n, Some(("member", &(base + n).to_string())), &v);
            }
            clinic.app.write(&format!("uploads/t{tenant}/docs/a.txt"), v.as_bytes());
        }
        clinic.insert("countries", 1, None, "everybody's");
        clinic.insert("migrations", 1, None, "nobody's");
    }

    /// What is done is done at once at the end: a thousand statements one by one would take minutes.
    fn batch(&self, work: impl Fn(&Self)) {
        self.pending.replace(Some(Pending::default()));
        work(self);
        let Some(Pending { sql, documents }) = self.pending.take() else { return };
        if !sql.is_empty() {
            self.sql(&sql);
        }
        if let Engine::Mongo(server, name) = &self.engine {
            for (table, documents) in documents {
                server.command(name, doc! {"insert": table, "documents": documents});
            }
        }
    }

    fn sql(&self, text: &str) {
        if let Some(pending) = self.pending.borrow_mut().as_mut() {
            pending.sql.push_str(text);
            pending.sql.push(';');
            return;
        }
        match &self.engine {
            Engine::Sqlite => {
                let connection = Connection::open(self.app.path("clinic.db")).unwrap();
                connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; BEGIN; {text}; COMMIT")).unwrap();
            }
            Engine::Postgres(database) => {
                database.run(&format!("SET session_replication_role = replica; {text}"));
            }
            Engine::Mongo(..) => panic!("MongoDB speaks no SQL"),
        }
    }

    fn insert(&self, table: &str, id: i64, other: Option<(&str, &str)>, v: &str) {
        if let Engine::Mongo(server, name) = &self.engine {
            let mut document = doc! {"_id": id, "v": v};
            if let Some((field, value)) = other {
                match value.strip_prefix('\'') {
                    Some(text) => document.insert(field, text.trim_end_matches('\'')),
                    None => document.insert(field, value.parse::<i64>().unwrap()),
                };
            }
            match self.pending.borrow_mut().as_mut() {
                Some(pending) => pending.documents.entry(table.to_owned()).or_default().push(document),
                None => drop(server.command(name, doc! {"insert": table, "documents": [document]})),
            }
            return;
        }
        let (columns, values) =
            other.map_or((String::new(), String::new()), |(c, v)| (format!(", {c}"), format!(", {v}")));
        let v = v.replace('\'', "''");
        self.sql(&format!("INSERT INTO {table} (id, v{columns}) VALUES ({id}, '{v}'{values})"));
    }

    fn change(&self, table: &str, id: i64, v: &str) {
        match &self.engine {
            Engine::Mongo(server, name) => {
                let update = doc! {"q": {"_id": id}, "u": {"$set": {"v": v}}};
                server.command(name, doc! {"update": table, "updates": [update]});
            }
            _ => self.sql(&format!("UPDATE {table} SET v = '{v}' WHERE id = {id}")),
        }
    }

    fn delete(&self, table: &str, from: i64, to: i64) {
        match &self.engine {
            Engine::Mongo(server, name) => {
                let delete = doc! {"q": {"_id": {"$gte": from, "$lt": to}}, "limit": 0};
                server.command(name, doc! {"delete": table, "deletes": [delete]});
            }
            _ => self.sql(&format!("DELETE FROM {table} WHERE id >= {from} AND id < {to}")),
        }
    }

    /// Everything that is there, as a client of our own sees it.
    fn picture(&self) -> BTreeMap<&'static str, Rows> {
        TABLES.into_iter().map(|table| (table, self.rows(table))).collect()
    }

    fn rows(&self, table: &str) -> Rows {
        match &self.engine {
            Engine::Sqlite => {
                let connection = Connection::open(self.app.path("clinic.db")).unwrap();
                let columns = columns(table);
                let mut statement = connection.prepare(&format!("SELECT id, {columns} FROM {table}")).unwrap();
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                rows.map(Result::unwrap).collect()
            }
            Engine::Postgres(database) => {
                let text = database.run(&format!("SELECT id || ' ' || {} FROM {table}", columns(table)));
                let row = |line: &str| {
                    let (id, rest) = line.split_once(' ').unwrap();
                    (id.parse().unwrap(), rest.to_owned())
                };
                text.lines().map(row).collect()
            }
            Engine::Mongo(server, name) => {
                let found = server.client().database(name).collection::<Document>(table);
                let all: Vec<Document> =
                    wait(async { found.find(doc! {}).await.unwrap().try_collect().await.unwrap() });
                all.iter().map(|document| (document.get_i64("_id").unwrap(), document.to_string())).collect()
            }
        }
    }

    /// Where a restore of the tests goes beside the source.
    fn counts_of(&self, tenant: i64) -> [usize; 3] {
        ["policies", "members", "visits"].map(|table| self.rows(table).keys().filter(|id| **id / 10 == tenant).count())
    }
}

/// What tells a row's values.
fn columns(table: &str) -> &'static str {
    match table {
        "policies" => "coalesce(tenant, '') || ' ' || v",
        "members" => "policy || ' ' || v",
        "visits" => "member || ' ' || v",
        _ => "v",
    }
}

/// In every field of a tenant's records. The end keeps t1 from being in t12.
fn canary(tenant: i64) -> String {
    format!("canary-t{tenant}-end")
}

/// Rows of one tenant, and of the others.
fn parted(picture: &BTreeMap<&'static str, Rows>, tenant: i64) -> (Lines, Lines) {
    let all = picture.iter().flat_map(|(table, rows)| rows.iter().map(move |row| (table, row)));
    let owned = |table: &str, id: i64| matches!(table, "policies" | "members" | "visits") && id / 10 == tenant;
    let (own, others): (Vec<_>, Vec<_>) = all.partition(|(table, (id, _))| owned(table, **id));
    let text = |rows: Vec<(&&str, (&i64, &String))>| {
        rows.into_iter().map(|(table, (id, row))| (format!("{table} {id}"), row.clone())).collect()
    };
    (text(own), text(others))
}

#[test]
fn a_tenant_comes_back_as_it_was_and_nobody_else_is_touched() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        let app = &clinic.app;
        let own = app.run(&["--json", "create", "--tenant", "t7"]).expect(0).json()["id"].as_str().unwrap().to_owned();
        let system = app.run(&["--json", "create"]).expect(0).json()["id"].as_str().unwrap().to_owned();
        let before = clinic.picture();
        for (id, existing) in [(&own, "replace"), (&system, "replace"), (&system, "merge"), (&own, "add")] {
            // The tenant loses, changes and gains records; so do others and what is shared, who keep theirs.
            clinic.delete("visits", 70, 72);
            clinic.delete("members", 71, 72);
            clinic.change("policies", 72, "changed");
            clinic.insert("visits", 79, Some(("member", "73")), "new");
            clinic.change("members", 80, "others change");
            clinic.change("countries", 1, "everybody change");
            clinic.app.write("uploads/t7/docs/a.txt", b"changed");
            clinic.app.write("uploads/t8/docs/a.txt", b"others change");
            let now = clinic.picture();
            let planned =
                app.run(&["--json", "restore", id, "--tenant", "t7", "--existing", existing, "--dry-run"]).expect(0);
            let planned = planned.json()["collections"].clone();
            assert_eq!(clinic.picture(), now, "a dry run changed something");
            let done =
                app.run(&["--json", "restore", id, "--tenant", "t7", "--existing", existing, "--yes"]).expect(0).json();
            let (found, was) = (parted(&clinic.picture(), 7), (parted(&before, 7), parted(&now, 7)));
            assert_eq!(found.1, was.1.1, "others, {existing} of {id}");
            let file = std::fs::read(app.path("uploads/t7/docs/a.txt")).unwrap();
            match existing {
                "replace" => {
                    assert_eq!(found.0, was.0.0, "{id}");
                    assert_eq!(file, canary(7).as_bytes());
                    let visits = planned.as_array().unwrap().iter().find(|c| c["name"] == "visits").unwrap().clone();
                    assert_eq!(
                        (&visits["created"], &visits["overwritten"], &visits["deleted"]),
                        (&2.into(), &4.into(), &1.into())
                    );
                    let safety = done["safetyBackup"].as_str().unwrap();
                    assert!(safety.starts_with("tenant-t7-backup-"), "{safety}");
                }
                "merge" => {
                    let mut all: BTreeMap<_, _> = was.1.0.into_iter().collect();
                    all.extend(was.0.0.clone());
                    assert_eq!(found.0, all.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect::<Vec<_>>());
                }
                _ => {
                    let mut all: BTreeMap<_, _> = was.0.0.clone().into_iter().collect();
                    all.extend(was.1.0);
                    assert_eq!(sorted(found.0), all.into_iter().collect::<Vec<_>>());
                    assert_eq!(file, b"changed");
                }
            }
            assert_eq!(std::fs::read(app.path("uploads/t8/docs/a.txt")).unwrap(), b"others change");
            app.run(&["restore", &own, "--tenant", "t7", "--existing", "replace", "--yes"]).expect(0);
        }
    }
}

fn sorted(mut rows: Lines) -> Lines {
    rows.sort();
    rows
}

#[test]
fn a_tenant_that_is_gone_joins_the_others_again_and_one_that_is_there_is_5() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        clinic.app.run(&["create"]).expect(0);
        let before = clinic.picture();
        let refused = clinic.app.run(&["restore", "latest", "--tenant", "t7", "--only", "database"]).expect(5);
        assert!(refused.stderr.contains("db.policies holds 3 records of the tenant"), "{}", refused.stderr);
        assert_eq!(clinic.picture(), before);
        for table in ["visits", "members", "policies"] {
            clinic.delete(table, 70, 80);
        }
        let restored = clinic.app.run(&["restore", "latest", "--tenant", "t7", "--only", "database"]).expect(0);
        assert!(
            restored.stdout.contains("there is no backup of tenant t7: it is taken out of system-wide ones"),
            "{}",
            restored.stdout
        );
        assert_eq!(clinic.picture(), before);
        assert_eq!(clinic.counts_of(7), [3, 6, 6]);
    }
}

#[test]
fn a_key_that_another_tenant_has_taken_meanwhile_is_found_before_anything_is_written() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        clinic.app.run(&["create"]).expect(0);
        clinic.delete("policies", 71, 72);
        clinic.insert("policies", 71, Some(("tenant", "'t8'")), "taken");
        let before = clinic.picture();
        let arguments = ["restore", "latest", "--tenant", "t7", "--only", "database", "--existing", "replace"];
        for more in [["--dry-run"].as_slice(), &["--yes"]] {
            let refused = clinic.app.run(&[&arguments, more].concat()).expect(5);
            // What hangs on a policy of another's is another's too.
            assert!(refused.stderr.contains("71"), "{}", refused.stderr);
            assert_eq!(clinic.picture(), before);
        }
    }
}

#[test]
fn no_byte_of_another_tenant_is_in_a_tenants_backup_or_in_what_is_taken_out_of_a_system_wide_one() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        let own =
            clinic.app.run(&["--json", "create", "--tenant", "t1"]).expect(0).json()["id"].as_str().unwrap().to_owned();
        let system = clinic.app.run(&["--json", "create"]).expect(0).json()["id"].as_str().unwrap().to_owned();
        let stored = clinic.app.backup(&own);
        let clear = clinic.app.path("clear");
        let unpack = "mkdir -p \"$1\" && cd \"$0\" && find . -name '*.tar.gz' | while read -r a; do gzip -dc \"$a\" > \"$1/$(echo \"$a\" | tr / _).tar\"; done";
        let done = std::process::Command::new("sh").args(["-c", unpack]).arg(&stored).arg(&clear).status().unwrap();
        assert!(done.success());
        clinic.app.run(&["restore", &own, "--to-directory", "own"]).expect(0);
        clinic.app.run(&["restore", &system, "--tenant", "t1", "--to-directory", "out"]).expect(0);
        for folder in ["clear", "own", "out"] {
            let files = files_below(&clinic.app.path(folder));
            let all: Vec<u8> = files.values().flatten().copied().collect();
            let holds = |tenant: i64| all.windows(canary(tenant).len()).any(|w| w == canary(tenant).as_bytes());
            assert!(holds(1), "{folder}: {:?}", files.keys());
            let strangers: Vec<_> = (0..TENANTS as i64).filter(|tenant| *tenant != 1 && holds(*tenant)).collect();
            assert!(strangers.is_empty(), "{folder} holds canaries of {strangers:?}: {:?}", files.keys());
            assert!(!all.windows(8).any(|w| w == b"nobody's"), "{folder} holds what is excluded");
        }
    }
}

#[test]
fn a_backup_of_one_tenant_is_not_restored_as_anothers() {
    let clinic = Clinic::new(Engine::Sqlite);
    let made = clinic.app.run(&["--json", "create", "--tenant", "t7"]).expect(0).json();
    let id = made["id"].as_str().unwrap();
    let refused = clinic.app.run(&["restore", id, "--tenant", "t8"]).expect(10);
    assert!(refused.stderr.contains("is a backup of tenant t7, not of t8"), "{}", refused.stderr);
    let none = clinic.app.run(&["restore", "latest", "--tenant", "t8", "--to-directory", "x"]).expect(10);
    assert!(none.stderr.contains("no good backup of tenant t8"), "{}", none.stderr);
    // A rule that has changed since makes others' records of what was the tenant's.
    clinic.app.reconfigure("tenancy: {field: tenant}", "tenancy: {field: v}");
    let wrong = clinic.app.run(&["restore", id, "--existing", "replace", "--yes"]).expect(4);
    assert!(wrong.stderr.contains("of which 0 are tenant t7's by the rule "), "{}", wrong.stderr);
}
