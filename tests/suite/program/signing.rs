//! Signed manifests, judged by openssl; and what someone with the repository but without the key can try.

use crate::support::app::App;
use rusqlite::Connection;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const CONFIG: &str = r"
installation: clinic
repository: {location: ./backups, signing: {privateKey: signing.key, publicKeys: [PUBLIC]}}
sources: {clinic: {engine: sqlite, path: clinic.db}}
modules: {core: {required: true, collections: [patients]}}
";

fn app() -> App {
    let app = App::new(CONFIG);
    Connection::open(app.path("clinic.db"))
        .unwrap()
        .execute_batch("CREATE TABLE patients (name TEXT); INSERT INTO patients VALUES ('Ada'), ('Grace');")
        .unwrap();
    pin(&app, "PUBLIC", "signing.key");
    app
}

/// Makes a key and pins it in the place of `text`; returns the public key.
fn pin(app: &App, text: &str, file: &str) -> String {
    let made = app.run(&["key", "generate", "--signing", file]).expect(0).stdout;
    let public = made.lines().next().unwrap().to_owned();
    app.reconfigure(text, &format!("\"{public}\""));
    public
}

fn manifest(app: &App) -> PathBuf {
    app.path("backups/metadata").join(format!("{}.json", app.ids()[0]))
}

fn edit(app: &App, from: &str, to: &str) {
    let text = std::fs::read_to_string(manifest(app)).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(manifest(app), text.replace(from, to)).unwrap();
}

const RESTORE: [&str; 4] = ["restore", "latest", "--into", "clinic=back.db"];

/// Verify finds it and restore does not touch the target.
#[track_caller]
fn is_refused(app: &App, message: &str) {
    for args in [&["verify", "latest"][..], &RESTORE, &["show", "latest"]] {
        let ended = app.run(args).expect(4);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains(message), "{said}");
    }
    assert!(!app.path("back.db").exists());
}

#[test]
fn openssl_checks_the_signature_as_the_reference_says() {
    let app = app();
    let shown = app.run(&["create", "--json"]).expect(0).json();
    let body = std::fs::read_to_string(manifest(&app)).unwrap();
    let signature = shown["signature"].as_str().unwrap();
    assert!(body.ends_with(&format!("\n  \"signature\": \"{signature}\"\n}}")), "{body}");
    app.write("message", body.replace(&format!("\"{signature}\""), "null").as_bytes());
    app.write("signature.b64", signature.strip_prefix("ed25519:").unwrap().as_bytes());
    let script = "openssl pkey -in signing.key -pubout -out public.pem && base64 -d signature.b64 > signature &&
        openssl pkeyutl -verify -rawin -pubin -inkey public.pem -in message -sigfile signature";
    let verified = Command::new("sh").args(["-ec", script]).current_dir(app.path("")).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    app.run(&["verify", "latest"]).expect(0);
    app.run(&RESTORE).expect(0);
}

#[test]
fn an_edited_a_foreign_and_an_unsigned_manifest_are_refused() {
    let app = app();
    app.run(&["create"]).expect(0);
    let good = std::fs::read(manifest(&app)).unwrap();
    let put_back = || std::fs::write(manifest(&app), &good).unwrap();

    edit(&app, "\"documents\": 2", "\"documents\": 1");
    is_refused(&app, "not signed by a pinned key, or was changed");
    put_back();
    // Not one byte may change, not even where JSON does not care.
    edit(&app, "  \"installation\"", "   \"installation\"");
    is_refused(&app, "not signed by a pinned key, or was changed");
    put_back();
    // A second field of that name, which a reader might believe.
    edit(&app, "\"signature\": \"", "\"signature\": null,\n  \"signature\": \"");
    app.run(&["verify", "latest"]).expect(4);
    put_back();

    let signed = String::from_utf8(good.clone()).unwrap();
    let at = signed.rfind("\"ed25519:").unwrap();
    std::fs::write(manifest(&app), format!("{}null\n}}", &signed[..at])).unwrap();
    is_refused(&app, "is not signed");
    app.run(&[&RESTORE[..], &["--allow-unsigned"]].concat()).expect(0);
    std::fs::remove_file(app.path("back.db")).unwrap();
    put_back();

    // Someone else's key, rightly used: the same backup as the attacker would make it.
    let text = std::fs::read_to_string(app.path("backup.yaml")).unwrap();
    let ours = text.split('"').nth(1).unwrap().to_owned();
    app.reconfigure("signing.key", "theirs.key");
    pin(&app, &format!("\"{ours}\""), "theirs.key");
    app.run(&["create"]).expect(0);
    app.write("backup.yaml", text.as_bytes());
    is_refused(&app, "not signed by a pinned key, or was changed");
    let forged = app.run(&[&RESTORE[..], &["--allow-unsigned"]].concat()).expect(4);
    assert!(forged.stderr.contains("not signed by a pinned key"), "{}", forged.stderr);
}

#[test]
fn what_anyone_can_encrypt_to_the_public_key_is_still_refused() {
    let app = app();
    app.run(&["key", "generate", "own.key", "--recipients", "recipients.txt"]).expect(0);
    app.reconfigure(
        "location: ./backups,",
        "location: ./backups, encryption: {recipientsFile: recipients.txt, identities: [own.key]},",
    );
    app.run(&["create"]).expect(0);
    let archive = app.backup(&app.ids()[0]).join("core/clinic.tar.gz.age");
    // The attacker has the public key and the repository: a file that decrypts well, with other records in it.
    let script = "age -d -i own.key \"$1\" | gzip -dc | sed s/Grace/Enemy/ | gzip | age -R recipients.txt -o forged && mv forged \"$1\"";
    let forged =
        Command::new("sh").args(["-ec", script, "sh"]).arg(&archive).current_dir(app.path("")).output().unwrap();
    assert!(forged.status.success(), "{}", String::from_utf8_lossy(&forged.stderr));
    let mut age = Command::new("age");
    age.args(["-d", "-i", "own.key"]).arg(&archive).current_dir(app.path(""));
    let opened = age.stdout(Stdio::null()).status().unwrap();
    assert!(opened.success());
    app.run(&["verify", "latest"]).expect(4);
    app.run(&RESTORE).expect(4);
    assert!(!app.path("back.db").exists());
    // And with a manifest that fits the forgery, the signature does not.
    let sum = Command::new("sha256sum").arg(&archive).output().unwrap();
    let sum = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
    let was = app.run(&["list", "--json"]).expect(0);
    assert_eq!(was.json()["backups"].as_array().unwrap().len(), 1);
    let text = std::fs::read_to_string(manifest(&app)).unwrap();
    let old = text.split("\"sha256\": \"").nth(1).unwrap()[..64].to_owned();
    edit(&app, &old, &sum);
    is_refused(&app, "not signed by a pinned key, or was changed");
}

#[test]
fn without_the_signing_key_nothing_is_made() {
    let app = app();
    std::fs::rename(app.path("signing.key"), app.path("elsewhere.key")).unwrap();
    let refused = app.run(&["create"]).expect(12);
    assert!(refused.stderr.contains("signing.key"), "{}", refused.stderr);
    assert!(app.ids().is_empty());
    app.run(&["key", "generate", "--signing", "signing.key"]).expect(0);
    let refused = app.run(&["create"]).expect(12);
    assert!(refused.stderr.contains("not among the pinned keys"), "{}", refused.stderr);
    assert!(app.ids().is_empty());
    let check = app.run(&["key", "check"]).expect(12);
    assert!(check.stdout.contains("which is not pinned"), "{}", check.stdout);
}
