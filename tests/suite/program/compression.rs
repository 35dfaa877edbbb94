//! Archives by zstd beside archives by gzip, judged by tar, zstd, gzip and age.

use crate::support::app::{App, files_below};
use rusqlite::Connection;
use std::path::Path;
use std::process::{Command, Stdio};

const CONFIG: &str = r"
installation: clinic
repository: {location: ./backups, encryption: {}}
compression: {algorithm: zstd}
sources: {clinic: {engine: sqlite, path: clinic.db}}
uploads: [{root: ./uploads}]
modules: {core: {required: true, collections: [patients], fileUploads: [letters]}}
";

fn app() -> App {
    let app = App::new(CONFIG);
    Connection::open(app.path("clinic.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
             INSERT INTO patients SELECT i, 'patient ' || (i * 7919 % 100003) FROM n;",
        )
        .unwrap();
    app.write("uploads/letters/a.txt", &b"a letter, and another one; ".repeat(100_000));
    app
}

fn patients(database: &Path) -> Vec<(i64, String)> {
    let connection = Connection::open(database).unwrap();
    let mut statement = connection.prepare("SELECT id, name FROM patients ORDER BY 1").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(|row| row.unwrap()).collect()
}

fn archives(app: &App, id: &str) -> Vec<String> {
    files_below(&app.backup(id)).into_keys().collect()
}

/// Follows the archive's own instructions: the line of RESTORE.txt that unpacks it, by a shell.
fn unpack_as_it_says(archive: &Path, option: &str) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let text = Command::new("tar").args([option, "-xOf"]).arg(archive).arg("RESTORE.txt").output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("mkdir restored")).unwrap();
    let name = line.split(' ').find(|word| word.contains("ARCHIVE")).unwrap();
    assert!(archive.to_str().unwrap().ends_with(name.strip_prefix("ARCHIVE").unwrap()), "{name}");
    let line = line.replace(name, archive.to_str().unwrap());
    assert!(Command::new("sh").args(["-ec", &line]).current_dir(out.path()).status().unwrap().success(), "{line}");
    out
}

#[test]
fn archives_by_zstd_and_by_gzip_live_in_one_repository_and_are_read_by_tar_and_restored() {
    let app = app();
    app.run(&["create"]).expect(0);
    app.reconfigure("compression: {algorithm: zstd}", "compression: default");
    app.run(&["create"]).expect(0);
    let ids = app.ids();
    let (gzip, zstd) = (ids[0].as_str(), ids[1].as_str());
    assert_eq!(archives(&app, gzip), ["core/clinic.tar.gz", "core/uploads.tar.gz"]);
    assert_eq!(archives(&app, zstd), ["core/clinic.tar.zst", "core/uploads.tar.zst"]);
    for (id, option, program) in [(gzip, "-z", "gzip"), (zstd, "--zstd", "zstd")] {
        for archive in archives(&app, id) {
            let file = app.backup(id).join(&archive);
            assert!(Command::new(program).arg("-tq").arg(&file).status().unwrap().success());
        }
        let unpacked = unpack_as_it_says(&app.backup(id).join(&archives(&app, id)[0]), option);
        let found = files_below(&unpacked.path().join("restored"));
        let database = found.keys().find(|path| path.ends_with(".db")).unwrap();
        assert_eq!(patients(&unpacked.path().join("restored").join(database)), patients(&app.path("clinic.db")));

        let (into, files) = (format!("clinic={program}.db"), format!("{program}-files"));
        app.run(&["restore", id, "--into", &into, "--files-into", &files]).expect(0);
        assert_eq!(patients(&app.path(&format!("{program}.db"))), patients(&app.path("clinic.db")));
        let restored: Vec<_> = files_below(&app.path(&files)).into_values().collect();
        assert_eq!(restored, files_below(&app.path("uploads")).into_values().collect::<Vec<_>>());
    }
    app.run(&["verify", "--all", "--level", "decoded"]).expect(0);

    // What a restore changes is put aside under the same names, whichever way each is compressed.
    Connection::open(app.path("clinic.db")).unwrap().execute("DELETE FROM patients WHERE id > 10", ()).unwrap();
    app.run(&["restore", zstd, "--only", "database", "--existing", "replace", "--yes", "--target-name", "clinic"])
        .expect(0);
    assert_eq!(patients(&app.path("clinic.db")).len(), 50_000);
    assert_eq!(archives(&app, &app.ids()[0]), ["core/clinic.tar.gz"]);
}

#[test]
fn a_changed_byte_of_an_archive_by_zstd_is_4_and_names_what_is_damaged() {
    let app = app();
    app.run(&["create"]).expect(0);
    let archive = app.backup(&app.ids()[0]).join("core/uploads.tar.zst");
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    app.run(&["verify", "latest"]).expect(4);
    let decoded = app.run(&["verify", "latest", "--level", "decoded"]).expect(4);
    assert!(decoded.stdout.contains("letters/a.txt"), "{}", decoded.stdout);
    app.run(&["restore", "latest", "--files-into", "out", "--only", "files"]).expect(4);
    assert!(!app.path("out").exists() || files_below(&app.path("out")).is_empty());
}

#[test]
fn age_and_tar_open_an_encrypted_archive_by_zstd() {
    let app = app();
    app.run(&["key", "generate", "own.key", "--recipients", "recipients.txt"]).expect(0);
    app.reconfigure("encryption: {}", "encryption: {recipientsFile: recipients.txt, identities: [own.key]}");
    app.run(&["create"]).expect(0);
    let id = app.ids().remove(0);
    assert_eq!(archives(&app, &id), ["core/clinic.tar.zst.age", "core/uploads.tar.zst.age"]);
    let (archive, out) = (app.backup(&id).join("core/uploads.tar.zst.age"), tempfile::tempdir().unwrap());
    let mut age = Command::new("age");
    let mut age = age.arg("-d").arg("-i").arg(app.path("own.key")).arg(archive).stdout(Stdio::piped()).spawn().unwrap();
    let tar =
        Command::new("tar").args(["--zstd", "-x", "-C"]).arg(out.path()).stdin(age.stdout.take().unwrap()).status();
    assert!(tar.unwrap().success() && age.wait().unwrap().success());
    let letter = std::fs::read(out.path().join("uploads/letters/a.txt")).unwrap();
    assert!(letter == std::fs::read(app.path("uploads/letters/a.txt")).unwrap());
    app.run(&["verify", "latest", "--level", "decoded"]).expect(0);
    app.run(&["restore", "latest", "--into", "clinic=back.db", "--only", "database"]).expect(0);
    assert_eq!(patients(&app.path("back.db")), patients(&app.path("clinic.db")));
}

#[test]
fn a_word_chooses_between_fast_and_small() {
    let app = app();
    app.reconfigure("compression: {algorithm: zstd}", "compression: default");
    let words = ["claim", "policy", "of the", "insured", "on", "visit", "monthly", "salary", "note", "2024", "Cairo"];
    let word = |n: u64| words[usize::try_from((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 11).unwrap()];
    app.write("uploads/letters/a.txt", (0..200_000).map(word).collect::<Vec<_>>().join(" ").as_bytes());
    let mut sizes = Vec::new();
    for (from, to) in [("default", "fast"), ("fast", "default"), ("default", "small")] {
        app.reconfigure(&format!("compression: {from}"), &format!("compression: {to}"));
        let created = app.run(&["create", "--json", "--only", "files"]).expect(0).json();
        sizes.push(created["totals"]["storedBytes"].as_u64().unwrap());
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
}
