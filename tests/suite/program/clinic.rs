//! An application of many tenants in every engine, seen by clients of the tests' own.

use crate::support::app::App;
use crate::support::mongod::{Mongod, fresh_database, wait};
use crate::support::postgres::{Database, Postgres, Version};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use rusqlite::Connection;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

/// Rows of several tables, with table and key.
pub type Lines = Vec<(String, String)>;

/// As many as there are canaries.
pub const TENANTS: usize = 50;

/// Rows of a table or documents of a collection by their key, as text.
pub type Rows = BTreeMap<i64, String>;

/// An application of an engine.
pub enum Engine {
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

pub const TABLES: [&str; 5] = ["policies", "members", "visits", "countries", "migrations"];

pub struct Clinic {
    pub app: App,
    pub engine: Engine,
    pending: RefCell<Option<Pending>>,
}

/// What [`Clinic::batch`] gathers.
#[derive(Default)]
pub struct Pending {
    sql: String,
    documents: BTreeMap<String, Vec<Document>>,
}

impl Engine {
    pub fn all() -> Vec<Self> {
        let mut engines = vec![Self::Sqlite, Self::Postgres(Postgres::shared(Version::V15).database())];
        engines.push(Self::Mongo(Mongod::replica_set(), fresh_database()));
        engines.push(Self::Mongo(Mongod::standalone(), fresh_database()));
        engines
    }

    /// An empty database of the same server, and how `--into` names it.
    pub fn beside(&self, app: &App) -> (Self, String) {
        match self {
            Self::Sqlite => (Self::Sqlite, format!("db={}", app.path("beside/clinic.db").display())),
            Self::Postgres(database) => {
                let beside = database.server.database();
                let uri = beside.uri();
                (Self::Postgres(beside), format!("db={uri}"))
            }
            Self::Mongo(server, _) => {
                let name = fresh_database();
                let uri = server.uri().replacen("/?", &format!("/{name}?"), 1);
                (Self::Mongo(server, name), format!("db={uri}"))
            }
        }
    }

    pub fn source(&self) -> String {
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
    pub fn new(engine: Engine) -> Self {
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

    pub fn fill(&self, ddl: &str) {
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
    pub fn batch(&self, work: impl Fn(&Self)) {
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

    pub fn sql(&self, text: &str) {
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

    pub fn insert(&self, table: &str, id: i64, other: Option<(&str, &str)>, v: &str) {
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

    pub fn change(&self, table: &str, id: i64, v: &str) {
        match &self.engine {
            Engine::Mongo(server, name) => {
                let update = doc! {"q": {"_id": id}, "u": {"$set": {"v": v}}};
                server.command(name, doc! {"update": table, "updates": [update]});
            }
            _ => self.sql(&format!("UPDATE {table} SET v = '{v}' WHERE id = {id}")),
        }
    }

    pub fn delete(&self, table: &str, from: i64, to: i64) {
        match &self.engine {
            Engine::Mongo(server, name) => {
                let delete = doc! {"q": {"_id": {"$gte": from, "$lt": to}}, "limit": 0};
                server.command(name, doc! {"delete": table, "deletes": [delete]});
            }
            _ => self.sql(&format!("DELETE FROM {table} WHERE id >= {from} AND id < {to}")),
        }
    }

    /// Everything that is there, as a client of our own sees it.
    pub fn picture(&self) -> BTreeMap<&'static str, Rows> {
        picture(&self.engine, &self.app.path("clinic.db"))
    }

    pub fn rows(&self, table: &str) -> Rows {
        rows(&self.engine, &self.app.path("clinic.db"), table)
    }

    /// Where a restore of the tests goes beside the source.
    pub fn counts_of(&self, tenant: i64) -> [usize; 3] {
        ["policies", "members", "visits"].map(|table| self.rows(table).keys().filter(|id| **id / 10 == tenant).count())
    }
}

/// Everything that is there, as a client of our own sees it. `file` is where SQLite has it.
pub fn picture(engine: &Engine, file: &Path) -> BTreeMap<&'static str, Rows> {
    TABLES.into_iter().map(|table| (table, rows(engine, file, table))).collect()
}

fn rows(engine: &Engine, file: &Path, table: &str) -> Rows {
    match engine {
        Engine::Sqlite => {
            let connection = Connection::open(file).unwrap();
            let columns = columns(table);
            let Ok(mut statement) = connection.prepare(&format!("SELECT id, {columns} FROM {table}")) else {
                return Rows::new();
            };
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        }
        Engine::Postgres(database) => {
            if database.run(&format!("SELECT to_regclass('{table}') IS NULL")) == "t" {
                return Rows::new();
            }
            let text = database.run(&format!("SELECT id || ' ' || {} FROM {table}", columns(table)));
            let row = |line: &str| {
                let (id, rest) = line.split_once(' ').unwrap();
                (id.parse().unwrap(), rest.to_owned())
            };
            text.lines().map(row).collect()
        }
        Engine::Mongo(server, name) => {
            let found = server.client().database(name).collection::<Document>(table);
            let all: Vec<Document> = wait(async { found.find(doc! {}).await.unwrap().try_collect().await.unwrap() });
            all.iter().map(|document| (document.get_i64("_id").unwrap(), document.to_string())).collect()
        }
    }
}

/// What tells a row's values.
pub fn columns(table: &str) -> &'static str {
    match table {
        "policies" => "coalesce(tenant, '') || ' ' || v",
        "members" => "policy || ' ' || v",
        "visits" => "member || ' ' || v",
        _ => "v",
    }
}

/// In every field of a tenant's records. The end keeps t1 from being in t12.
pub fn canary(tenant: i64) -> String {
    format!("canary-t{tenant}-end")
}

/// Rows of one tenant, and of the others.
pub fn parted(picture: &BTreeMap<&'static str, Rows>, tenant: i64) -> (Lines, Lines) {
    let all = picture.iter().flat_map(|(table, rows)| rows.iter().map(move |row| (table, row)));
    let owned = |table: &str, id: i64| matches!(table, "policies" | "members" | "visits") && id / 10 == tenant;
    let (own, others): (Vec<_>, Vec<_>) = all.partition(|(table, (id, _))| owned(table, **id));
    let text = |rows: Vec<(&&str, (&i64, &String))>| {
        rows.into_iter().map(|(table, (id, row))| (format!("{table} {id}"), row.clone())).collect()
    };
    (text(own), text(others))
}
