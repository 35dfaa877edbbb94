//! SQLite, judged by a connection of our own that knows nothing of the engine.

use crate::support::app::{App, files_below};
use rusqlite::Connection;
use std::process::Command;

const CONFIG: &str = r"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
tenancy: {field: tenant, tenants: {acme: {}, birch: {}}}
modules:
  core: {required: true, collections: [patients, {name: codes, tenant: shared}, {name: notes, tenant: excluded}]}
";

fn app(extra: &str) -> App {
    let app = App::new(CONFIG);
    let connection = Connection::open(app.path("clinic.db")).unwrap();
    connection
        .execute_batch(&format!(
            "{extra}
            CREATE TABLE patients (id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, name TEXT, weight REAL,
                photo BLOB, shout TEXT GENERATED ALWAYS AS (upper(name)) VIRTUAL);
            CREATE INDEX patients_tenant ON patients (tenant);
            CREATE TABLE codes (code TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID;
            CREATE VIRTUAL TABLE notes USING fts5(body);
            CREATE TABLE secret (x TEXT);
            CREATE TRIGGER t AFTER INSERT ON patients BEGIN INSERT INTO secret VALUES (new.name); END;
            INSERT INTO patients (tenant, name, weight, photo) VALUES
                ('acme', 'Ada', 1.5, x'0001ff'), ('birch', 'canary-birch', NULL, NULL), ('acme', 'Ü''s', 9e999, zeroblob(3));
            DELETE FROM patients WHERE id = 3;
            INSERT INTO patients (tenant, name) VALUES ('acme', 'last');
            INSERT INTO codes VALUES ('a', 'x'), ('b', NULL);
            INSERT INTO notes VALUES ('a quick fox'), ('a lazy dog');
            INSERT INTO secret VALUES ('canary-secret');
            PRAGMA user_version = 7;"
        ))
        .unwrap();
    app
}

/// Rows of a query as text.
fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        Ok((0..width).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect::<Vec<_>>().join("|"))
    };
    statement.query_map([], row).unwrap().map(|row| row.unwrap()).collect()
}

const ALL: [&str; 6] = [
    "SELECT rowid, * FROM patients ORDER BY 1",
    "SELECT * FROM codes ORDER BY 1",
    "SELECT rowid, body FROM notes WHERE notes MATCH 'fox'",
    "SELECT name, seq FROM sqlite_sequence",
    "SELECT type, name, sql FROM sqlite_master WHERE tbl_name IN ('patients', 'codes') ORDER BY 1, 2",
    "PRAGMA user_version",
];

#[test]
fn a_database_comes_back_with_rows_indexes_sequences_and_search() {
    for encoding in ["", "PRAGMA encoding = 'UTF-16le';"] {
        let app = app(encoding);
        app.run(&["create"]).expect(0);
        app.run(&["verify", "latest"]).expect(0);
        app.run(&["restore", "latest", "--into", "clinic=back.db"]).expect(0);
        let (was, is) =
            (Connection::open(app.path("clinic.db")).unwrap(), Connection::open(app.path("back.db")).unwrap());
        for sql in ALL {
            assert_eq!(rows(&was, sql), rows(&is, sql), "{sql}");
        }
        assert_eq!(rows(&is, "PRAGMA integrity_check"), [r#"Text([111, 107])"#]);
        let refused = app.run(&["restore", "latest", "--into", "clinic=back.db"]).expect(5);
        assert!(refused.stderr.contains("patients holds 3 records"), "{}", refused.stderr);
        app.run(&["restore", "latest", "--collection", "codes", "--into", "clinic=one.db"]).expect(0);
        let one = Connection::open(app.path("one.db")).unwrap();
        assert_eq!(rows(&one, "SELECT name FROM sqlite_master").len(), 1);
    }
}

#[test]
fn nothing_unselected_or_deleted_is_in_the_stored_bytes() {
    let app = app("");
    // A trigger wrote every name into the secret table; the deleted row is in a free page.
    app.run(&["create", "--tenant", "acme"]).expect(0);
    let folder = app.backup(&app.ids()[0]);
    for archive in files_below(&folder).keys() {
        let plain = Command::new("gzip").arg("-dc").arg(folder.join(archive)).output().unwrap();
        for canary in ["canary-birch", "canary-secret", "birch"] {
            let found = plain.stdout.windows(canary.len()).any(|w| w == canary.as_bytes());
            assert!(!found, "{canary} in {archive}");
        }
    }
    let manifest = app.run(&["--json", "show", "latest", "--tenant", "acme"]).expect(0).json();
    assert!(manifest["warnings"].to_string().contains("trigger t names secret"), "{}", manifest["warnings"]);
}

#[test]
fn a_backup_under_a_writer_is_one_moment_of_all_modules() {
    let app = app("PRAGMA journal_mode = WAL;");
    let writer = Connection::open(app.path("clinic.db")).unwrap();
    // Money moves between two modules: its sum is the same at every moment.
    writer
        .execute_batch(
            "CREATE TABLE savings (id INTEGER PRIMARY KEY, n INT); INSERT INTO savings VALUES (1, 100000);
             CREATE TABLE spendings (id INTEGER PRIMARY KEY, n INT); INSERT INTO spendings VALUES (1, 0)",
        )
        .unwrap();
    let tables = |table: &str| format!("{{required: true, collections: [{{name: {table}, tenant: shared}}]}}");
    let more = format!("modules:\n  first: {}\n  last: {}", tables("savings"), tables("spendings"));
    app.reconfigure("modules:", &more);
    for _ in 0..3 {
        let mut child = app.spawn(&["create"]);
        let mut moved = 0;
        while child.try_wait().unwrap().is_none() {
            writer
                .execute_batch("BEGIN; UPDATE savings SET n = n - 1; UPDATE spendings SET n = n + 1; COMMIT")
                .unwrap();
            moved += 1;
        }
        assert!(child.wait().unwrap().success() && moved > 0, "the writer was at work: {moved}");
    }
    for id in app.ids() {
        app.run(&["restore", &id, "--to-directory", &id]).expect(0);
        let back = Connection::open(app.path(&id).join("clinic/clinic.db")).unwrap();
        assert_eq!(rows(&back, "SELECT (SELECT n FROM savings) + (SELECT n FROM spendings)"), ["Integer(100000)"]);
    }
}

#[test]
fn a_missing_table_is_3_and_a_missing_or_strange_file_1() {
    let app = app("");
    app.reconfigure("[patients,", "[patients, ghost,");
    app.run(&["create"]).expect(3);
    app.write("clinic.db", b"this is no database, and long enough to be asked about its header, surely, by now");
    let strange = app.run(&["create"]).expect(1);
    assert!(strange.stderr.contains("no SQLite database"), "{}", strange.stderr);
    std::fs::remove_file(app.path("clinic.db")).unwrap();
    let gone = app.run(&["create"]).expect(1);
    assert!(gone.stderr.contains("there is no file"), "{}", gone.stderr);
}

#[test]
fn a_damaged_database_in_an_archive_is_4_and_restores_nothing() {
    let app = app("");
    app.run(&["create"]).expect(0);
    let archive = app.backup(&app.ids()[0]).join("core/clinic.tar.gz");
    let mut bytes = std::fs::read(&archive).unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 4;
    std::fs::write(&archive, bytes).unwrap();
    app.run(&["verify", "latest"]).expect(4);
    app.run(&["restore", "latest", "--into", "clinic=back.db"]).expect(4);
    assert!(!app.path("back.db").exists());
}

#[test]
fn a_table_that_did_not_come_back_as_it_is_stored_is_noticed() {
    let app = app("");
    let manifest = app.run(&["create", "--json"]).expect(0).json();
    app.run(&["restore", "latest", "--into", "clinic=back.db"]).expect(0);
    let component: backup::manifest::Component = serde_json::from_value(manifest["components"][0].clone()).unwrap();
    let index = component.index.as_ref().unwrap();
    let at = backup::archive::IndexAt { offset: index.offset, length: index.length, sha256: &index.sha256 };
    let path = app.backup(manifest["id"].as_str().unwrap()).join("core/clinic.tar.gz");
    let input = backup::archive::ArchiveReader::open(&path, at, None).unwrap();
    let target = backup::source::open_file("sqlite", &app.path("back.db"), &backup::pipeline::Cancel::default());
    let target = target.unwrap().unwrap();
    let patients = component.collections.iter().find(|c| c.name == "patients").unwrap().stored_in("clinic");
    assert_eq!(target.differences(&patients, &input).unwrap(), Vec::<String>::new());
    let back = Connection::open(app.path("back.db")).unwrap();
    back.execute_batch("DROP INDEX patients_tenant; CREATE INDEX other ON patients (name)").unwrap();
    let found = target.differences(&patients, &input).unwrap();
    assert_eq!(found, ["index patients_tenant did not come back as it is stored", "index other is not stored so"]);
    assert_eq!(target.drop_scratch().unwrap_err().kind, backup::error::Kind::Internal);
    assert!(app.path("back.db").exists());
}
