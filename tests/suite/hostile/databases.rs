//! Records and databases that are made to harm what reads them.

use super::forge::{Entry, Forge, record_digest};
use super::surroundings::{DATABASE, clinic, contained, harmless, limited};
use crate::support::app::App;
use crate::support::mongod::{Mongod, fresh_database};
use mongodb::bson::{self, doc};
use rusqlite::Connection;
use serde_json::json;

const RECORDS: &str = "core/hrms.tar.gz";

/// An application with three collections in MongoDB, backed up, and the database's name.
fn clinic_in_mongodb(server: &Mongod) -> (App, String) {
    let name = fresh_database();
    server.command(&name, doc! {"insert": "users", "documents": [{"_id": 1}]});
    let app = App::new(&format!(
        "installation: i\nrepository: {{location: ./backups}}\nsources:\n  hrms: {{engine: mongodb, uri: \"{}\", database: {name}}}\n\
         modules: {{core: {{required: true, collections: [users]}}}}\n",
        server.uri()
    ));
    std::fs::create_dir(app.path("tmp")).unwrap();
    app.write("canary/file", b"canary");
    app.run(&["create"]).expect(0);
    (app, name)
}

/// Names of the collections in a database.
fn collections(server: &Mongod, name: &str) -> Vec<String> {
    let reply = server.command(name, doc! {"listCollections": 1});
    let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let names = batch.iter().map(|c| c.as_document().unwrap().get_str("name").unwrap().to_owned());
    // The server makes its own before it refuses a view.
    names.filter(|name| name != "system.views").collect()
}

fn framed(body: &[u8]) -> Vec<u8> {
    [(body.len() as i32 + 5).to_le_bytes().as_slice(), body, b"\0"].concat()
}

/// A document in a document in a document.
fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for level in (0..levels).rev() {
        bytes.extend([0; 4]);
        if level > 0 {
            bytes.extend(b"\x03a\0");
        }
    }
    bytes.extend(vec![0; levels]);
    // Each level is its length, its one element's head and its end.
    for level in 0..levels {
        let size = (5 + (levels - 1 - level) * 8) as i32;
        bytes[level * 7..level * 7 + 4].copy_from_slice(&size.to_le_bytes());
    }
    bytes
}

#[test]
fn a_document_that_is_none_never_reaches_a_server() {
    let server = Mongod::replica_set();
    let (app, name) = clinic_in_mongodb(server);
    let mut forge = Forge::of(&app);
    let good = forge.open(RECORDS);
    let data = format!("{name}/users.bson");
    assert_eq!(nested(3), bson::serialize_to_vec(&doc! {"a": {"a": {}}}).unwrap());
    let string = |length: i32, rest: &[u8]| framed(&[b"\x02a\0", length.to_le_bytes().as_slice(), rest].concat());
    let records = [
        ("nesting", nested(20_000)),
        ("a string without its end", string(2, b"xx")),
        ("a string past the end", string(1000, b"x\0")),
        ("a string of negative length", string(-1, b"x\0")),
        ("an element past the end", framed(b"\x07a\0xyz")),
        ("an element without a name's end", framed(b"\x10aaaa")),
        ("an unknown type", framed(b"\x55a\0")),
        ("an inner document past the end", framed(b"\x03a\0\xff\xff\xff\x7f\0")),
        ("an inner document without its end", framed(b"\x03a\0\x05\0\0\0\x01")),
        ("an array of negative length", framed(b"\x04a\0\xff\xff\xff\xff\0")),
    ];
    for (what, record) in records {
        let mut forged = good.clone();
        let (count, digest) = (1, record_digest(std::slice::from_ref(&record)));
        let entry = forged.entry(&data);
        entry.body = record;
        *entry = entry.clone().with("/records", count.into()).with("/recordDigest", digest.clone().into());
        let collection = &mut forge.component(RECORDS)["collections"][0];
        (collection["documents"], collection["recordDigest"]) = (count.into(), digest.into());
        forge.put(RECORDS, &forged);
        harmless(&app, what, &["verify", "latest"], &[4]);
        let elsewhere = format!("{name}_r");
        let into = format!("hrms={}", server.uri().replace("/?", &format!("/{elsewhere}?")));
        let run = harmless(&app, what, &["restore", "latest", "--into", &into], &[4]);
        assert!(run.stderr.contains("users"), "{what}: {}", run.stderr);
        assert_eq!(collections(server, &elsewhere), Vec::<String>::new(), "{what}");
    }
    for (what, stream) in [
        ("a stream of zero length", vec![0; 4]),
        ("a length that is negative", vec![0xff; 100]),
        ("a length past the longest", (i32::MAX).to_le_bytes().to_vec()),
        ("a length of nothing", vec![4, 0, 0, 0]),
    ] {
        let mut forged = good.clone();
        forged.entry(&data).body = stream;
        forge.put(RECORDS, &forged);
        harmless(&app, what, &["verify", "latest"], &[4]);
    }
}

#[test]
fn metadata_that_is_none_creates_nothing() {
    let server = Mongod::replica_set();
    let (app, name) = clinic_in_mongodb(server);
    let mut forge = Forge::of(&app);
    let good = forge.open(RECORDS);
    let elsewhere = format!("{name}_r");
    let into = format!("hrms={}", server.uri().replace("/?", &format!("/{elsewhere}?")));
    let deep = format!("{{\"options\":{}{}", "{\"a\":".repeat(50_000), "}".repeat(50_001));
    let long = [&b"{\"options\":{},\"indexes\":[],\"x\":\""[..], &vec![b'x'; 300 << 20], b"\"}"].concat();
    for (what, body, code) in [
        ("nesting", deep.into_bytes(), 4),
        ("length", long, 4),
        ("no JSON", b"\xff\xfe".to_vec(), 4),
        ("a list", b"[]".to_vec(), 4),
        ("another collection's", br#"{"options":{},"indexes":[],"collectionName":"admin"}"#.to_vec(), 4),
        ("an index that is none", br#"{"options":{},"indexes":[{"key":5,"name":"\u0000"}]}"#.to_vec(), 1),
        (
            "a view that writes",
            br#"{"options":{"viewOn":"a","pipeline":[{"$out":"evil"}]},"indexes":[],"type":"view"}"#.to_vec(),
            1,
        ),
    ] {
        let mut forged = good.clone();
        forged.entry(&format!("{name}/users.metadata.json")).body = body;
        forge.put(RECORDS, &forged);
        let run = harmless(&app, what, &["restore", "latest", "--into", &into], &[code]);
        assert!(what != "length" || run.stderr.contains("too long"), "{}", run.stderr);
        assert_eq!(collections(server, &elsewhere), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn a_restore_writes_to_the_database_that_is_configured_and_to_no_other() {
    let server = Mongod::standalone();
    let (app, name) = clinic_in_mongodb(server);
    let mut forge = Forge::of(&app);
    let good = (forge.manifest.clone(), forge.open(RECORDS));
    let before = server.command("admin", doc! {"listDatabases": 1, "nameOnly": true});
    let into = format!("hrms={}", server.uri().replace("/?", &format!("/{name}_r?")));
    for database in ["admin", "local", "config", "other", "../x"] {
        forge.manifest.clone_from(&good.0);
        forge.component(RECORDS)["database"] = database.into();
        let mut forged = good.1.clone();
        for entry in forged.entries.iter_mut().filter(|entry| entry.path != "RESTORE.txt") {
            let line = entry.line.as_mut().unwrap();
            line["name"]["directory"] = database.into();
            let escaped = database.replace("..", "%2E.");
            entry.path = entry.path.replace(&name, &escaped);
            line["path"] = entry.path.clone().into();
        }
        forge.put(RECORDS, &forged);
        limited(&app, &["restore", "latest", "--into", &into]).expect(0);
        assert_eq!(collections(server, &format!("{name}_r")), ["users"]);
        server.command(&format!("{name}_r"), doc! {"dropDatabase": 1});
        assert_eq!(
            server.command("admin", doc! {"listDatabases": 1, "nameOnly": true}).get("databases"),
            before.get("databases")
        );
    }
    // A collection's name is one of that database, or none.
    for collection in ["system.users", "system.js", "$cmd", "a\0b", "", "..", "x.$y"] {
        forge.manifest.clone_from(&good.0);
        forge.component(RECORDS)["collections"][0]["name"] = collection.into();
        let mut forged = good.1.clone();
        for entry in forged.entries.iter_mut().filter(|entry| entry.path != "RESTORE.txt") {
            let line = entry.line.as_mut().unwrap();
            line["name"]["stem"] = collection.into();
            entry.path =
                entry.path.replace("/users", &format!("/{}", collection.replace('\0', "%00").replace('$', "%24")));
            line["path"] = entry.path.clone().into();
            if entry.path.ends_with("json") {
                entry.body = br#"{"options":{},"indexes":[]}"#.to_vec();
            }
        }
        forge.put(RECORDS, &forged);
        let codes: &[i32] = if collection == ".." { &[1, 4] } else { &[4] };
        harmless(&app, collection, &["restore", "latest", "--into", &into], codes);
        assert_eq!(collections(server, &format!("{name}_r")), Vec::<String>::new());
        assert_eq!(
            server.command("admin", doc! {"listDatabases": 1, "nameOnly": true}).get("databases"),
            before.get("databases"),
            "{collection}"
        );
    }
}

/// The stored database after some work with its schema unlocked.
fn with_schema(forge: &Forge, app: &App, sql: &str) -> super::forge::Archive {
    let mut forged = forge.open(DATABASE);
    let entry = forged.entry("clinic/clinic.db");
    let path = app.path("evil.db");
    std::fs::write(&path, &entry.body).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(&format!("PRAGMA writable_schema = ON; {sql}")).unwrap();
    drop(connection);
    entry.body = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    forged
}

#[test]
fn a_stored_schema_runs_nothing_of_its_own() {
    let app = clinic();
    let canary = app.path("canary/evil.db").display().to_string();
    let mut forge = Forge::of(&app);
    let after = |more: &str| {
        format!("UPDATE sqlite_master SET sql = sql || '; {}' WHERE name = 'patients'", more.replace('\'', "''"))
    };
    let cases = [
        after(&format!("ATTACH '{canary}' AS evil; CREATE TABLE evil.x (a)")),
        after("DROP TABLE visits"),
        after("PRAGMA writable_schema = ON; DELETE FROM sqlite_master"),
        after("COMMIT"),
    ];
    // What else is in the target stays.
    for sql in cases {
        let forged = with_schema(&forge, &app, &sql);
        forge.put(DATABASE, &forged);
        Connection::open(app.path("other.db")).unwrap().execute_batch("CREATE TABLE IF NOT EXISTS visits (a)").unwrap();
        let way = ["restore", "latest", "--only", "database", "--into", "clinic=other.db"];
        let run = harmless(&app, &sql, &way, &[1, 4]);
        // Newer SQLite does not open such a schema; older ones do, and then it is the second statement that is refused.
        let refused = ["malformed database schema", "Multiple statements"].iter().any(|why| run.stderr.contains(why));
        assert!(refused, "{}", run.stderr);
        contained(&app, &sql, &["restore", "latest", "--to-directory", "out"]);
        contained(&app, &sql, &["verify", "latest", "--level", "restored"]);
    }
}

#[test]
fn a_stored_database_that_is_none_is_damage() {
    let app = clinic();
    let mut forge = Forge::of(&app);
    let good = forge.open(DATABASE);
    let mut cases = vec![
        ("nothing", with_body(&good, Vec::new())),
        ("no database", with_body(&good, b"SQLite format 3\0 and no more".to_vec())),
        ("noise", with_body(&good, [b"SQLite format 3\0".as_slice(), &[0xa5; 8000]].concat())),
        (
            "a module that is not known",
            with_schema(
                &forge,
                &app,
                "INSERT INTO sqlite_master VALUES ('table', 'patients2', 'patients2', 0, 'CREATE VIRTUAL TABLE patients2 USING evil(x)')",
            ),
        ),
        (
            "a table without a root",
            with_schema(&forge, &app, "UPDATE sqlite_master SET rootpage = 4000000 WHERE name = 'patients'"),
        ),
        (
            "a table in the schema's place",
            with_schema(&forge, &app, "UPDATE sqlite_master SET rootpage = 1 WHERE name = 'patients'"),
        ),
        (
            "a schema that is none",
            with_schema(
                &forge,
                &app,
                "UPDATE sqlite_master SET sql = 'CREATE TABLE patients (' WHERE name = 'patients'",
            ),
        ),
    ];
    let body = good.entries.iter().find(|entry| entry.path.ends_with(".db")).unwrap().body.clone();
    // Page size, reserved space, number of pages, first cell of the schema.
    for at in [16, 17, 20, 28, 100, 101, 103, 105, 108, 4096, 4099, 4101, 4104] {
        for value in [0x00, 0x7f, 0xff] {
            let mut bad = body.clone();
            bad[at] = value;
            cases.push(("a byte", with_body(&good, bad)));
        }
    }
    let mut found = 0;
    for (what, forged) in cases {
        forge.put(DATABASE, &forged);
        // Some bytes of a header say nothing of the data.
        let codes: &[i32] = if what == "a byte" { &[0, 4] } else { &[4] };
        found += i32::from(harmless(&app, what, &["verify", "latest"], codes).code == 4);
        contained(&app, what, &["restore", "latest", "--to-directory", "out"]);
    }
    assert!(found > 20, "{found}");
}

fn with_body(good: &super::forge::Archive, body: Vec<u8>) -> super::forge::Archive {
    let mut forged = good.clone();
    let line = json!({"path": "clinic/clinic.db", "name": {"directory": "clinic", "stem": "clinic", "suffix": ".db"}});
    *forged.entry("clinic/clinic.db") = Entry::data("clinic/clinic.db", line, &body);
    forged
}
