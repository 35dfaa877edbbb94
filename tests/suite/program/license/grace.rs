//! A licence that is not valid any more: grace, and what else `onInvalid` may say.

use super::{DAY, ISSUED, LICENSED, app, claims, day, modules, with};
use crate::support::app::{App, Ended};
use crate::support::tokens::Issuer;
use rusqlite::Connection;
use serde_json::json;

/// What may happen to a licence that was valid yesterday.
type Accident = (&'static str, fn(&App, &Issuer));

fn accidents() -> Vec<Accident> {
    vec![
        ("expired", |_, _| {}),
        ("the key's path broke", |app, _| app.reconfigure("publicKey: public.pem", "publicKey: lost/public.pem")),
        ("the token is gone", |app, _| std::fs::remove_file(app.path("license.jwt")).unwrap()),
        ("forged", |app, _| {
            let forged = Issuer::rsa(2048).token(&with("features", json!(["clinic"])));
            app.write("license.jwt", forged.as_bytes());
        }),
        ("the program that prints it fails", |app, _| app.reconfigure("{file: license.jwt}", "{command: [\"false\"]}")),
    ]
}

#[test]
fn a_licence_that_is_no_longer_valid_keeps_its_modules_for_the_days_of_grace_and_says_so_each_run() {
    let issuer = Issuer::rsa(2048);
    for (name, accident) in accidents() {
        let app = app(&issuer);
        let create = |n: i64, arguments: &[&str]| app.run_at(&day(n), &[&["create"], arguments].concat());
        let made = create(99, &["--json"]).expect(0).json();
        assert_eq!((modules(&made), &made["license"]["state"]), (LICENSED.to_vec(), &json!("valid")), "{name}");
        let soon = "the licence expires 2026-04-11 00:00 UTC, in less than a day: renew it";
        assert_eq!(made["warnings"], json!([soon]), "{name}");
        accident(&app, &issuer);
        for n in [101, 110, 128] {
            let made = create(n, &["--json"]).expect(0);
            let manifest = made.json();
            assert_eq!(modules(&manifest), LICENSED, "{name}, day {n}");
            let license = &manifest["license"];
            assert_eq!(
                (&license["state"], &license["features"]),
                (&json!("grace"), &json!(["life-insurance"])),
                "{name}"
            );
            // Grace is counted from when it was last valid, not from the last run that was on grace.
            let until = license["graceUntil"].as_str().unwrap();
            assert!(
                until.starts_with(if name == "expired" { "2026-05-11T00" } else { "2026-05-10T12" }),
                "{name}: {until}"
            );
            let warnings = manifest["warnings"].to_string();
            assert!(
                warnings.contains("the licence is not valid") && warnings.contains("stay in until"),
                "{name}: {warnings}"
            );
        }
        let quiet = create(128, &["-q"]).expect(0);
        assert!(quiet.stderr.contains("the licence is not valid"), "{name}: {}", quiet.stderr);
        let shown = create(128, &["--dry-run"]).expect(0).stdout;
        assert!(shown.contains("the licence is not valid"), "{name}: {shown}");
        // What is kept is what was licensed, not what a forged token asks for.
        assert!(create(128, &["--module", "clinic"]).expect(2).stderr.contains("'clinic' is not licensed"), "{name}");

        let over = create(131, &["--json"]).expect(0).json();
        // What needs no licence itself stays, although what it depends on is out.
        assert_eq!(modules(&over), ["core", "reports"], "{name}");
        assert_eq!(
            (&over["license"]["state"], &over["license"]["features"]),
            (&json!("invalid"), &json!([])),
            "{name}"
        );
        let excluded = over["excludedModules"].to_string();
        assert!(excluded.contains("insurance") && excluded.contains("days"), "{name}: {excluded}");
        let warnings = over["warnings"].to_string();
        assert!(
            warnings.contains("is left out") && warnings.contains("'reports' depends on 'insurance'"),
            "{name}: {warnings}"
        );
        assert!(create(131, &["-q"]).expect(0).stderr.contains("is left out"), "{name}");
        let show = app.run_at(&day(131), &["show", "latest"]).expect(0).stdout;
        assert!(show.contains("Licence:      not valid"), "{name}: {show}");
        let listed = app.run_at(&day(131), &["list-modules"]).expect(0);
        assert!(listed.stderr.contains("is left out") && listed.stdout.contains("excluded"), "{name}");
    }
}

#[test]
fn a_licence_that_is_renewed_is_valid_at_once() {
    let issuer = Issuer::ed25519();
    let app = app(&issuer);
    app.reconfigure("  reports: {dependencies: [insurance], collections: [reports]}\n", "");
    app.run_at(&day(99), &["create"]).expect(0);
    app.run_at(&day(120), &["license"]).expect(2);
    let mut renewed = with("exp", json!(ISSUED + 400 * DAY));
    renewed["features"] = json!(["clinic"]);
    app.write("license.jwt", issuer.token(&renewed).as_bytes());
    let made = app.run_at(&day(120), &["--json", "create"]).expect(0).json();
    assert_eq!((&made["license"]["state"], &made["license"]["features"]), (&json!("valid"), &json!(["clinic"])));
    assert_eq!(made["warnings"], json!([]));
    // The old token is put back by mistake: the later of the two is what was valid last.
    app.write("license.jwt", issuer.token(&claims()).as_bytes());
    let shown = app.run_at(&day(125), &["--json", "license"]).expect(2).json();
    assert_eq!(shown["licenses"][0]["grant"]["features"], json!(["clinic"]));
}

#[test]
fn an_expired_token_is_its_own_witness_and_a_forged_one_is_nobodys() {
    let issuer = Issuer::ed25519();
    let app = app(&issuer);
    // No backup was ever made.
    let shown = app.run_at(&day(110), &["--json", "license"]).expect(2).json();
    assert_eq!(shown["licenses"][0]["grant"]["state"], "grace");
    assert_eq!((&shown["licenses"][0]["daysLeft"], &shown["licenses"][0]["graceDaysLeft"]), (&json!(0), &json!(19)));
    let forged = Issuer::ed25519().token(&claims());
    app.write("license.jwt", forged.as_bytes());
    let shown = app.run_at(&day(110), &["--json", "license"]).expect(2).json();
    assert_eq!(shown["licenses"][0]["grant"]["state"], "invalid");
    // A signature is asked of manifests where signing is set up: whoever can write one cannot license a module.
    app.write("license.jwt", issuer.token(&claims()).as_bytes());
    app.run_at(&day(99), &["create"]).expect(0);
    app.write("license.jwt", forged.as_bytes());
    app.run_at(&day(101), &["create", "--dry-run", "--module", "insurance"]).expect(0);
    let key = app.run(&["--json", "key", "generate", "--signing", "signing.key"]).expect(0).json();
    let signing = format!(
        "./backups, signing: {{privateKey: signing.key, publicKeys: ['{}']}}",
        key["publicKey"].as_str().unwrap()
    );
    app.reconfigure("./backups", &signing);
    app.run_at(&day(101), &["create", "--dry-run", "--module", "insurance"]).expect(2);
}

#[test]
fn on_invalid_says_whether_modules_are_left_out_or_nothing_is_backed_up() {
    let issuer = Issuer::ed25519();
    let app = app(&issuer);
    app.run_at(&day(99), &["create"]).expect(0);
    app.reconfigure("  issuer:", "  onInvalid: exclude\n  issuer:");
    let made = app.run_at(&day(101), &["--json", "create"]).expect(0).json();
    assert_eq!(modules(&made), ["core", "reports"]);
    assert!(made["warnings"].to_string().contains("expired 2026-04-11"), "{}", made["warnings"]);
    app.reconfigure("onInvalid: exclude", "onInvalid: fail");
    let before = app.ids();
    for command in [&["create"][..], &["create", "--dry-run"], &["verify-collections"]] {
        let Ended { stderr, .. } = app.run_at(&day(101), command).expect(2);
        assert!(stderr.contains("the licence is not valid") && stderr.contains("Hint: renew it"), "{stderr}");
        assert!(stderr.contains("expired 2026-04-11"), "{stderr}");
    }
    assert_eq!(app.ids(), before);
    // Whoever looks is not stopped, nor whoever restores.
    app.run_at(&day(101), &["list-modules"]).expect(0);
    app.run_at(&day(101), &["restore", "latest", "--to-directory", "out"]).expect(0);
    app.reconfigure("onInvalid: fail", "onInvalid: keep\n  graceDays: 3");
    assert_eq!(modules(&app.run_at(&day(102), &["--json", "create"]).expect(0).json()), LICENSED);
    assert_eq!(modules(&app.run_at(&day(104), &["--json", "create"]).expect(0).json()), ["core", "reports"]);
}

#[test]
fn what_a_restore_put_aside_remembers_no_licence() {
    let issuer = Issuer::ed25519();
    let app = app(&issuer);
    app.run_at(&day(99), &["create"]).expect(0);
    Connection::open(app.path("hr.db")).unwrap().execute("INSERT INTO users VALUES ('acme')", []).unwrap();
    let restored = ["--json", "restore", "latest", "--existing", "replace", "--yes", "--target-name", "hr"];
    let restored = app.run_at(&day(100), &restored).expect(0).json();
    assert!(restored["safetyBackup"].is_string(), "{restored}");
    std::fs::remove_file(app.path("license.jwt")).unwrap();
    assert_eq!(modules(&app.run_at(&day(101), &["--json", "create"]).expect(0).json()), LICENSED);
}
