//! Encryption, judged by age itself.

use crate::support::app::{App, files_below};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CONFIG: &str = r"
installation: clinic
repository:
  location: ./backups
  encryption: {}
sources: {clinic: {engine: sqlite, path: clinic.db}}
uploads: [{root: ./uploads}]
extraFiles: {rsa-keys: {paths: [secrets], encrypt: required}}
modules:
  core: {required: true, collections: [patients, codes], fileUploads: [letters]}
  billing: {required: true, collections: [invoices, codes]}
";

const ARCHIVES: [&str; 5] = ["core/clinic", "core/uploads", "billing/clinic", "shared/clinic", "rsa-keys"];

/// An application whose every record, file and file name holds the word `canary`, with a key and its file of recipients.
fn app(encryption: &str) -> App {
    let app = App::new(CONFIG);
    Connection::open(app.path("clinic.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE patients (name TEXT); CREATE TABLE invoices (item TEXT); CREATE TABLE codes (code TEXT);
             INSERT INTO patients VALUES ('canary one'), ('canary two'); INSERT INTO codes VALUES ('canary code');
             INSERT INTO invoices VALUES ('canary bill');",
        )
        .unwrap();
    app.write("uploads/letters/canary.txt", b"canary letter");
    app.write("secrets/private.pem", b"canary key");
    app.run(&["key", "generate", "own.key", "--recipients", "recipients.txt"]).expect(0);
    app.reconfigure("encryption: {}", &format!("encryption: {encryption}"));
    app
}

const OWN: &str = "{recipientsFile: recipients.txt, identities: [own.key]}";

fn public_key(app: &App) -> String {
    std::fs::read_to_string(app.path("recipients.txt")).unwrap().trim().to_owned()
}

/// What age and tar make of an archive.
fn age_and_tar(archive: &Path, key: &Path, into: &Path) {
    std::fs::create_dir_all(into).unwrap();
    let mut age = Command::new("age").arg("-d").arg("-i").arg(key).arg(archive).stdout(Stdio::piped()).spawn().unwrap();
    let tar = Command::new("tar").arg("-xz").arg("-C").arg(into).stdin(age.stdout.take().unwrap()).status().unwrap();
    assert!(age.wait().unwrap().success() && tar.success(), "{}", archive.display());
}

fn names(database: &Path) -> Vec<String> {
    let connection = Connection::open(database).unwrap();
    let mut statement = connection.prepare("SELECT name FROM patients ORDER BY 1").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(|name| name.unwrap()).collect()
}

fn holds(folder: &Path, word: &str) -> bool {
    let within = |bytes: &[u8]| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    files_below(folder).iter().any(|(path, bytes)| path.contains(word) || within(bytes))
}

#[test]
fn age_and_tar_open_every_archive_and_no_byte_of_it_is_in_clear() {
    let app = app(OWN);
    let manifest = app.run(&["create", "--json"]).expect(0).json();
    let folder = app.backup(manifest["id"].as_str().unwrap());
    for archive in ARCHIVES {
        let file = folder.join(format!("{archive}.tar.gz.age"));
        age_and_tar(&file, &app.path("own.key"), &app.path("out").join(archive));
        let sum = Command::new("sha256sum").arg(&file).output().unwrap();
        let component = manifest["components"].as_array().unwrap().iter();
        let component = component.clone().find(|c| c["archive"] == format!("{archive}.tar.gz.age").as_str()).unwrap();
        assert!(String::from_utf8_lossy(&sum.stdout).starts_with(component["sha256"].as_str().unwrap()));
        assert_eq!(component["encrypted"], true);
        assert_eq!(component["encryptedTo"][0], public_key(&app).as_str());
    }
    assert_eq!(names(&app.path("out/core/clinic/clinic/clinic.db")), ["canary one", "canary two"]);
    assert!(holds(&app.path("out"), "canary key"));
    assert!(!holds(&app.path("backups"), "canary"));
}

#[test]
fn an_encrypted_database_is_not_put_on_a_disk_on_the_way() {
    let app = app(OWN);
    // Whatever wants to write a temporary file fails; without encryption that is what happens.
    let nowhere =
        |args: &[&str]| crate::support::app::ended(app.command(args).env("TMPDIR", "/nonexistent").output().unwrap());
    nowhere(&["create"]).expect(0);
    nowhere(&["verify", "latest"]).expect(0);
    nowhere(&["restore", "latest", "--into", "clinic=back.db", "--only", "database"]).expect(0);
    assert_eq!(names(&app.path("back.db")), ["canary one", "canary two"]);
    app.reconfigure(OWN, "{}");
    app.reconfigure(", encrypt: required", "");
    let clear = nowhere(&["create"]).expect(3);
    assert!(clear.stderr.contains("cannot create a temporary file"), "{}", clear.stderr);
}

#[test]
fn without_the_private_key_stored_bytes_are_intact_and_never_more() {
    let app = app("{recipientsFile: recipients.txt}");
    app.run(&["create"]).expect(0);
    let sealed = app.run(&["verify", "latest"]).expect(0);
    assert!(sealed.stdout.contains("stored bytes intact") && !sealed.stdout.contains("decoded)"), "{}", sealed.stdout);
    let asked = app.run(&["verify", "latest", "--level", "decoded"]).expect(12);
    assert!(asked.stdout.contains("not decoded") && asked.stdout.contains("no private key here"), "{}", asked.stdout);
    let listed = || app.run(&["list", "--json"]).expect(0).json()["backups"][0]["verified"]["level"].clone();
    assert_eq!(listed(), "stored");
    let decoded = app.run(&["verify", "latest", "--level", "decoded", "--identity", "own.key"]).expect(0);
    assert!(decoded.stdout.contains("valid (decoded)"), "{}", decoded.stdout);
    assert_eq!(listed(), "decoded");

    app.run(&["key", "generate", "other.key"]).expect(0);
    for identity in [&[][..], &["--identity", "other.key"]] {
        let args = [&["restore", "latest", "--into", "clinic=back.db", "--files-into", "files"], identity].concat();
        let refused = app.run(&args).expect(12);
        assert!(
            refused.stderr.contains(&public_key(&app)) && refused.stderr.contains("--identity"),
            "{}",
            refused.stderr
        );
        assert!(!app.path("back.db").exists() && !app.path("files").exists());
    }
    app.run(&["restore", "latest", "--into", "clinic=back.db", "--files-into", "files", "-i", "own.key"]).expect(0);
    assert_eq!(names(&app.path("back.db")), ["canary one", "canary two"]);
    assert!(holds(&app.path("files"), "canary letter"));
    // Damage is found without a key.
    let archive = app.backup(&app.ids()[0]).join("core/clinic.tar.gz.age");
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    app.run(&["verify", "latest"]).expect(4);
}

#[test]
fn a_modules_own_key_opens_the_module_and_nothing_else() {
    let app = app("{recipientsFile: recipients.txt}");
    app.run(&["key", "generate", "billing.key", "--recipients", "billing.txt"]).expect(0);
    let billing = std::fs::read_to_string(app.path("billing.txt")).unwrap();
    app.reconfigure("billing: {", &format!("billing: {{recipients: [{}], ", billing.trim()));
    app.run(&["create"]).expect(0);
    let folder = app.backup(&app.ids()[0]);
    let opens = |key: &str| -> Vec<&str> {
        let opened = |archive: &&str| {
            let mut age = Command::new("age");
            age.arg("-d").arg("-i").arg(app.path(key)).arg(folder.join(format!("{archive}.tar.gz.age")));
            age.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        };
        ARCHIVES.into_iter().filter(opened).collect()
    };
    assert_eq!(opens("billing.key"), ["billing/clinic"]);
    assert_eq!(opens("own.key"), ["core/clinic", "core/uploads", "shared/clinic", "rsa-keys"]);
    // Collections that only the module has come back with its key alone.
    let only = ["restore", "latest", "--module", "billing", "--collection", "invoices", "--into", "clinic=b.db"];
    app.run(&[&only[..], &["-i", "billing.key"]].concat()).expect(0);
    app.run(&["restore", "latest", "--module", "core", "--into", "clinic=c.db", "-i", "billing.key"]).expect(12);
    assert!(!app.path("c.db").exists());
}

#[test]
fn what_must_be_encrypted_is_never_written_in_clear() {
    let app = app("{}");
    let partial = app.run(&["create", "--json"]).expect(3).json();
    let failed = partial["components"].as_array().unwrap().iter().find(|c| c["name"] == "rsa-keys").unwrap();
    assert_eq!((&failed["status"], &failed["archive"]), (&"failed".into(), &serde_json::Value::Null));
    assert!(failed["error"].as_str().unwrap().contains("must be encrypted"), "{failed}");
    assert!(!holds(&app.path("backups"), "canary key"));
    let shown = app.run(&["create"]).expect(3);
    assert!(shown.stderr.contains("must be encrypted"), "{}", shown.stderr);
    // What two modules share is not in clear when one of them may not be.
    app.reconfigure("billing: {", "billing: {encrypt: required, ");
    let partial = app.run(&["create", "--json"]).expect(3).json();
    let of = |archive: &Path| partial["components"].to_string().contains(archive.to_str().unwrap());
    assert!(of(Path::new("core/clinic.tar.gz")) && !of(Path::new("shared/clinic.tar.gz")), "{partial}");
}

#[test]
fn a_passphrase_closes_and_opens() {
    let app = app("{passphrase: {file: word}}");
    app.write("word", b"correct horse battery\n");
    app.run(&["create"]).expect(0);
    app.run(&["verify", "latest", "--level", "decoded"]).expect(0);
    let archive = app.backup(&app.ids()[0]).join("core/clinic.tar.gz.age");
    let head = std::fs::read(archive).unwrap();
    assert!(String::from_utf8_lossy(&head[..60]).contains("-> scrypt"));
    app.write("word", b"wrong horse battery\n");
    let refused = app.run(&["restore", "latest", "--into", "clinic=back.db", "--only", "database"]).expect(12);
    assert!(refused.stderr.contains("the passphrase does not open it"), "{}", refused.stderr);
    let shown = app.run(&["config", "show"]).expect(0);
    assert!(!shown.stdout.contains("horse"), "{}", shown.stdout);
}

#[test]
fn a_rotation_makes_a_new_key_for_new_backups_and_keeps_the_old_for_reading() {
    let app = app(OWN);
    let (first, escrow) = (public_key(&app), app.run(&["key", "generate", "escrow.key"]).expect(0).stdout);
    let escrow = escrow.lines().next().unwrap();
    app.write("recipients.txt", format!("# ours\n{first}\n{escrow}\n").as_bytes());
    std::fs::copy(app.path("own.key"), app.path("before.key")).unwrap();
    app.run(&["create"]).expect(0);
    let rotated = app.run(&["key", "rotate", "--json"]).expect(0).json();
    assert_eq!(rotated["retired"], serde_json::json!([first]));
    let recipients = std::fs::read_to_string(app.path("recipients.txt")).unwrap();
    assert!(recipients.contains(escrow) && !recipients.contains(&first), "{recipients}");
    let second = app.run(&["create", "--json"]).expect(0).json();
    assert_eq!(second["components"][0]["encryptedTo"], serde_json::json!([escrow, rotated["publicKey"]]));
    app.run(&["verify", "--all", "--level", "decoded"]).expect(0);
    let ids = app.ids();
    app.reconfigure("identities: [own.key]", "identities: [before.key]");
    app.run(&["verify", &ids[0], "--level", "decoded"]).expect(12);
    app.run(&["verify", &ids[1], "--level", "decoded"]).expect(0);
    let refused = app.run(&["key", "rotate"]).expect(12);
    assert!(refused.stderr.contains("none of the keys"), "{}", refused.stderr);
    // A key is never overwritten.
    app.run(&["key", "generate", "own.key"]).expect(5);
}

#[test]
fn a_check_opens_every_archive_and_names_those_it_cannot() {
    let app = app(OWN);
    app.run(&["create"]).expect(0);
    let good = app.run(&["key", "check", "--json"]).expect(0).json();
    assert_eq!((&good["encryptedArchives"], &good["openedArchives"]), (&5.into(), &5.into()), "{good}");
    assert_eq!(good["recipients"][0]["opensHere"], true);
    let mode = |path: PathBuf| std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777;
    assert_eq!(mode(app.path("own.key")), 0o600);

    std::fs::set_permissions(app.path("own.key"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = app.run(&["key", "check"]).expect(12);
    assert!(open.stdout.contains("others than its owner may read"), "{}", open.stdout);

    std::fs::remove_file(app.path("own.key")).unwrap();
    app.run(&["key", "check"]).expect(0);
    app.run(&["key", "generate", "own.key"]).expect(0);
    let wrong = app.run(&["key", "check"]).expect(12);
    assert!(wrong.stdout.contains("core/clinic.tar.gz.age"), "{}", wrong.stdout);
}
