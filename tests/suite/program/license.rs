//! Licences: tokens that openssl signed, and files. The clock is the test's.

mod grace;

use crate::support::app::App;
use crate::support::tokens::{Issuer, encoded};
use rusqlite::Connection;
use serde_json::{Value, json};

const CONFIG: &str = r"
installation: hr
repository: {location: ./backups}
sources: {hr: {engine: sqlite, path: hr.db}}
license:
  token: {file: license.jwt}
  publicKey: public.pem
  issuer: licences.example
tenancy: {field: tenant}
modules:
  core: {required: true, collections: [users]}
  insurance: {licenseFeature: life-insurance, collections: [policies]}
  clinic: {licenseFeature: clinic, collections: [patients]}
  reports: {dependencies: [insurance], collections: [reports]}
";

/// 2026-01-01, when the tokens of these tests are issued; they end a hundred days later, on 2026-04-11.
const ISSUED: i64 = 1_767_225_600;
const DAY: i64 = 86_400;
const BEGIN: &str = "2026-01-01T12:00:00Z";

fn claims() -> Value {
    json!({
        "iss": "licences.example", "sub": "acme", "iat": ISSUED, "nbf": ISSUED, "exp": ISSUED + 100 * DAY,
        "features": ["life-insurance"],
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

/// An application with a licence by `issuer`.
fn app(issuer: &Issuer) -> App {
    let app = App::new(CONFIG);
    let tables = ["users", "policies", "patients", "reports"].map(|t| format!("CREATE TABLE {t} (tenant TEXT);"));
    Connection::open(app.path("hr.db")).unwrap().execute_batch(&tables.concat()).unwrap();
    app.write("public.pem", issuer.public().as_bytes());
    app.write("license.jwt", issuer.token(&claims()).as_bytes());
    app
}

/// The `n`th day after the tokens were issued, at noon.
fn day(n: i64) -> String {
    chrono::DateTime::from_timestamp(ISSUED + n * DAY + DAY / 2, 0).unwrap().to_rfc3339()
}

fn granted(app: &App) -> Value {
    app.run_at(BEGIN, &["--json", "license"]).expect(0).json()["licenses"][0]["grant"]["features"].clone()
}

fn modules(manifest: &Value) -> Vec<&str> {
    manifest["enabledModules"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect()
}

const LICENSED: [&str; 3] = ["core", "insurance", "reports"];

#[test]
fn tokens_of_both_algorithms_grant_features_in_every_form() {
    for issuer in [Issuer::rsa(2048), Issuer::ed25519()] {
        let app = app(&issuer);
        for (path, form) in [
            ("features", json!({"features": ["life-insurance", "b"]})),
            ("features", json!({"features": {"life-insurance": true, "b": true, "c": false}})),
            (
                "license.features",
                json!({"license": {"features": {"b": {"enabled": true}, "life-insurance": {"enabled": true}, "c": {"enabled": false}}}}),
            ),
            ("'https://licences.example/f'", json!({"https://licences.example/f": ["b", "life-insurance"]})),
        ] {
            let mut all = claims();
            all.as_object_mut().unwrap().remove("features");
            all.as_object_mut().unwrap().extend(form.as_object().unwrap().clone());
            app.write("license.jwt", format!("{}\n", issuer.token(&all)).as_bytes());
            app.write(
                "backup.yaml",
                CONFIG.replace("  issuer:", &format!("  featuresClaim: {path}\n  issuer:")).as_bytes(),
            );
            assert_eq!(granted(&app), json!(["b", "life-insurance"]), "{form}");
        }
        app.write("backup.yaml", CONFIG.as_bytes());
        app.write("license.jwt", issuer.token(&claims()).as_bytes());
        let shown = app.run_at(BEGIN, &["--json", "license"]).expect(0).json();
        let listed = &shown["licenses"][0];
        assert_eq!((&listed["daysLeft"], &listed["grant"]["state"]), (&json!(99), &json!("valid")));
        assert_eq!(listed["grant"]["issuer"], "licences.example");
        // By value and by a program, as any other secret; the key as text.
        let token = issuer.token(&claims());
        let key = format!("publicKey: |\n    {}\n", issuer.public().trim().replace('\n', "\n    "));
        for source in [token.clone(), "{command: [cat, license.jwt]}".to_owned()] {
            let config = CONFIG.replace("{file: license.jwt}", &source).replace("publicKey: public.pem\n", &key);
            app.write("backup.yaml", config.as_bytes());
            assert_eq!(granted(&app), json!(["life-insurance"]));
            let shown = app.run(&["config", "show"]).expect(0).stdout;
            assert!(!shown.contains(&token), "{shown}");
        }
    }
}

#[test]
fn a_hostile_token_grants_nothing_and_says_why() {
    let (issuer, stranger, other_kind, weak) =
        (Issuer::rsa(2048), Issuer::rsa(2048), Issuer::ed25519(), Issuer::rsa(1024));
    let app = app(&issuer);
    let plain = |header: &str| format!("{}.{}.", encoded(header), encoded(&claims().to_string()));
    let good = issuer.token(&claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let swapped = format!("{header}.{}.{signature}", encoded(&with("features", json!(["clinic"])).to_string()));
    let rs256 = r#"{"alg":"RS256"}"#;
    let all = claims().to_string();
    let doubled = all.replace("\"exp\"", "\"exp\":9999999999,\"exp\"");
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let without = |key: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(key);
        issuer.token(&claims)
    };
    let hostile = [
        ("alg none", plain(r#"{"alg":"none"}"#), "signed with 'none'"),
        ("alg None without signature", plain(r#"{"alg":"NONE"}"#), "signed with 'NONE'"),
        ("right alg, no signature", plain(rs256), "not signed by the key"),
        ("HMAC with the public key", issuer.confused(&claims()), "signed with 'HS256', the key is for RS256"),
        (
            "HMAC that says RS256",
            {
                let t = issuer.confused(&claims());
                t.replace(t.split('.').next().unwrap(), &encoded(rs256))
            },
            "not signed by the key",
        ),
        ("another key", stranger.token(&claims()), "not signed by the key"),
        ("another kind of key", other_kind.token(&claims()), "signed with 'EdDSA'"),
        ("another kind that lies", other_kind.sign(rs256, &all), "not signed by the key"),
        ("claims changed", swapped, "not signed by the key"),
        ("crit", issuer.sign(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, &all), "extensions"),
        ("alg twice", issuer.sign(r#"{"alg":"none","alg":"RS256"}"#, &all), "'alg' twice"),
        ("no alg", issuer.sign("{}", &all), "names no algorithm"),
        ("a list for a header", issuer.sign("[]", &all), "no JSON object"),
        ("another issuer", issuer.token(&with("iss", json!("mallory"))), "issued by 'mallory'"),
        ("no issuer", without("iss"), "issued by nobody"),
        ("no end", without("exp"), "no end (`exp`)"),
        ("end as text", issuer.token(&with("exp", json!("9999999999"))), "`exp` is no moment"),
        ("end beyond time", issuer.token(&with("exp", json!(9e300))), "`exp` is no moment"),
        ("end null", issuer.token(&with("exp", Value::Null)), "`exp` is no moment"),
        ("not yet", issuer.token(&with("nbf", json!(ISSUED + DAY))), "not valid before 2026-01-02"),
        ("expired", issuer.token(&with("exp", json!(ISSUED))), "expired 2026-01-01"),
        ("a claim twice", issuer.sign(rs256, &doubled), "'exp' twice"),
        ("features are a word", issuer.token(&with("features", json!("clinic"))), "neither a list nor a map"),
        ("features are numbers", issuer.token(&with("features", json!([1]))), "no name"),
        (
            "features neither on nor off",
            issuer.token(&with("features", json!({"clinic": "yes"}))),
            "whether it is enabled",
        ),
        ("no features", without("features"), "`features` (`featuresClaim`) is not there"),
        ("four parts", format!("{good}.x"), "not three parts"),
        ("two parts", head.to_owned(), "not three parts"),
        ("padding", format!("{good}="), "base64url without padding"),
        ("no base64", good.replace('.', "!."), "base64url without padding"),
        ("a megabyte", format!("{good}{}", "A".repeat(1 << 20)), "longer than 64 KiB"),
        ("a deep one", issuer.sign(rs256, &deep), "no JSON"),
        ("empty", String::new(), "the secret is empty"),
    ];
    app.reconfigure("  issuer:", "  onInvalid: exclude\n  issuer:");
    for (name, token, expected) in hostile {
        app.write("license.jwt", token.as_bytes());
        let shown = app.run_at(BEGIN, &["--json", "license"]).expect(2).json();
        let grant = &shown["licenses"][0]["grant"];
        let problem = grant["problem"].as_str().unwrap();
        assert!(problem.contains(expected), "{name}: {problem}");
        assert_eq!((&grant["features"], &shown["valid"]), (&json!([]), &json!(false)), "{name}");
        assert!(!grant["remedy"].as_str().unwrap().is_empty(), "{name}");
        let states: Vec<_> = shown["modules"].as_array().unwrap().iter().filter(|m| m["state"] == "excluded").collect();
        assert_eq!(states.len(), 2, "{name}");
    }
    // The same token, and keys that are none.
    app.write("license.jwt", good.as_bytes());
    assert_eq!(granted(&app), json!(["life-insurance"]));
    for (key, expected) in [
        (issuer.private(), "is a private key"),
        (weak.public(), "is no RSA (2048 to 8192 bits)"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into(), "is no RSA"),
        ("nonsense".into(), "is no PEM file"),
    ] {
        app.write("public.pem", key.as_bytes());
        let shown = app.run_at(BEGIN, &["--json", "license"]).expect(2);
        assert!(shown.stdout.contains(expected), "{expected}: {}", shown.stdout);
        let body = key.lines().nth(1).unwrap_or("nonsense");
        assert!(!shown.stdout.contains(body) || body == "AAAA", "{}", shown.stdout);
    }
    app.write("public.pem", issuer.public().as_bytes());
    app.reconfigure("  issuer:", "  algorithm: EdDSA\n  issuer:");
    let shown = app.run_at(BEGIN, &["license"]).expect(2).stdout;
    assert!(shown.contains("is for RS256, and `algorithm` is EdDSA") && shown.contains("To do:"), "{shown}");
}

#[test]
fn a_tenants_own_token_must_name_the_tenant_and_narrows_what_the_installation_has() {
    let issuer = Issuer::ed25519();
    let app = app(&issuer);
    app.write("acme.jwt", issuer.token(&with("features", json!(["life-insurance", "clinic"]))).as_bytes());
    app.write("birch.jwt", issuer.token(&claims()).as_bytes());
    app.reconfigure(
        "tenancy: {field: tenant}",
        "tenancy: {field: tenant, tenants: {acme: {license: {token: {file: acme.jwt}}}, birch: {license: {token: {file: birch.jwt}}}, \
         cedar: {license: {file: cedar.json, featuresClaim: plan.features}}, dawn: {}, elm: {features: []}}}",
    );
    app.write(
        "cedar.json",
        br#"{"iss": "licences.example", "sub": "cedar", "plan": {"features": {"life-insurance": true}}}"#,
    );
    let create = |n: i64, tenant: &str| app.run_at(&day(n), &["--json", "create", "--tenant", tenant]).expect(0).json();
    let acme = create(0, "acme");
    assert_eq!((modules(&acme), &acme["tenantLicense"]["state"]), (LICENSED.to_vec(), &json!("valid")));
    assert_eq!(modules(&create(0, "cedar")), LICENSED);
    assert_eq!(modules(&create(0, "dawn")), LICENSED);
    // A plain list that grants nothing is a decision, and a dependency that is out by decision an error.
    app.run_at(&day(0), &["create", "--tenant", "elm"]).expect(2);
    let shown = app.run_at(&day(0), &["--json", "license", "--tenant", "birch"]).expect(2).json();
    let problem = shown["licenses"][1]["grant"]["problem"].as_str().unwrap();
    assert!(problem.contains("subject (`sub`) is 'acme', not the tenant 'birch'"), "{problem}");
    assert_eq!(modules(&create(0, "birch")), ["core", "reports"]);
    // What one tenant's licence was is no witness for another's; the tenant's own backups are.
    std::fs::remove_file(app.path("acme.jwt")).unwrap();
    let acme = create(1, "acme");
    assert_eq!((modules(&acme), &acme["tenantLicense"]["state"]), (LICENSED.to_vec(), &json!("grace")));
    assert_eq!(create(1, "birch")["tenantLicense"]["state"], "invalid");
    app.run_at(&day(1), &["license", "--tenant", "nobody"]).expect(10);
}

#[test]
fn a_licence_file_is_believed_as_it_is_until_the_end_it_names() {
    let app = app(&Issuer::ed25519());
    app.reconfigure("token: {file: license.jwt}", "file: license.json\n  featuresClaim: license.modules");
    app.reconfigure("  publicKey: public.pem\n", "");
    let file = json!({"iss": "licences.example", "license": {"modules": {"clinic": {"enabled": true}}}});
    app.write("license.json", file.to_string().as_bytes());
    assert_eq!(granted(&app), json!(["clinic"]));
    let text = app.run_at(BEGIN, &["license"]).expect(0).stdout;
    for part in [
        "Licence of hr: valid",
        "(not signed)",
        "file, ",
        "license.json",
        "Grants:       clinic",
        "clinic",
        "always enabled",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut ended = file.clone();
    ended["exp"] = json!(ISSUED);
    for (content, expected) in
        [(ended.to_string(), "expired"), ("{".into(), "no JSON"), (json!({"iss": "x"}).to_string(), "issued by")]
    {
        app.write("license.json", content.as_bytes());
        let shown = app.run_at(BEGIN, &["license"]).expect(2).stdout;
        assert!(shown.contains(expected) && shown.contains("NOT VALID"), "{shown}");
    }
}

#[test]
fn a_licence_that_ends_within_a_fortnight_is_spoken_of_in_output_and_manifest() {
    let issuer = Issuer::ed25519();
    let app = app(&issuer);
    let shown = app.run_at(BEGIN, &["license"]).expect(0);
    assert!(!shown.stdout.contains("not signed") && !shown.stderr.contains("expires"), "{}", shown.stdout);
    assert_eq!(app.run_at(BEGIN, &["--json", "license"]).expect(0).json()["licenses"][0]["signed"], true);
    // It ends on day 100, at midnight.
    for (n, expected) in
        [(85, None), (86, Some("in 13 days")), (98, Some("in 1 day")), (99, Some("in less than a day"))]
    {
        let made = app.run_at(&day(n), &["--json", "create"]).expect(0);
        let told = expected.map(|left| format!("the licence expires 2026-04-11 00:00 UTC, {left}: renew it"));
        let warnings = made.json()["warnings"].to_string();
        assert_eq!(warnings.contains("expires"), told.is_some(), "day {n}: {warnings}");
        let listed = app.run_at(&day(n), &["list-modules"]).expect(0).stderr;
        for told in told.iter() {
            assert!(warnings.contains(told.as_str()), "day {n}: {warnings}");
            assert!(made.stderr.contains(told.as_str()) && listed.contains(told.as_str()), "day {n}: {}", made.stderr);
        }
        assert_eq!(modules(&made.json()), LICENSED);
    }
}

#[test]
fn mistakes_in_the_section_are_named_at_their_place() {
    let app = App::new("");
    for (license, expected) in [
        ("{token: a}", "license: a token needs `publicKey`"),
        ("{token: a, features: [b], publicKey: k}", "one of `features`, `token` and `file`"),
        ("{token: {file: a, command: [b]}, publicKey: k}", "license.token: give either text, or exactly one"),
        ("{features: [a], graceDays: 99999}", "license.graceDays: must be at most"),
        ("{features: [a], onInvalid: kepe}", "did you mean `keep`?"),
        ("{token: a, publicKey: k, algorithm: HS256}", "license.algorithm: 'HS256' is none of RS256, EdDSA"),
        ("{token: a, publicKey: k, issuer: ''}", "license.issuer: must not be empty"),
    ] {
        app.write(
            "backup.yaml",
            format!("installation: x\nrepository: {{location: b}}\nlicense: {license}\n").as_bytes(),
        );
        let found = app.run(&["config", "check"]).expect(2).stderr;
        assert!(found.contains(expected), "{license}: {found}");
    }
}
