//! Who is told of runs, of what, and what becomes of a run when nobody can be told. The servers are real, the judges of
//! hashes and codes are sha256sum and openssl.

use crate::support::app::{App, Ended, ended};
use crate::support::listeners::{Answer, Certified, Mail, MailServer, WebServer};
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const CONFIG: &str = r#"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
license: {features: []}
tenancy: {field: tenant, tenants: {acme: {}, birch: {}}}
modules:
  core: {required: true, collections: [patients]}
  theme: {collections: [{name: colours, tenant: shared}]}
  paid: {licenseFeature: paid, collections: [invoices]}
retention: {policy: {maxBackups: 1, maxAgeDays: 1000}}
jobs: {nightly: {create: {}}, cleanup: {prune: {}}, tenants: {create: {allTenants: true}}}
"#;

/// An application of two tables whose configuration goes on with `more`.
pub fn app(more: &str) -> App {
    let app = App::new(&format!("{CONFIG}{more}\n"));
    std::fs::set_permissions(app.path("backup.yaml"), PermissionsExt::from_mode(0o600)).unwrap();
    sql(
        &app,
        "CREATE TABLE patients (id INTEGER PRIMARY KEY, tenant TEXT, note TEXT);
         CREATE TABLE colours (id INTEGER PRIMARY KEY);
         INSERT INTO patients VALUES (1, 'acme', 'a'), (2, 'birch', 'b');",
    );
    app
}

pub fn sql(app: &App, text: &str) {
    Connection::open(app.path("clinic.db")).unwrap().execute_batch(text).unwrap();
}

fn hook(server: &WebServer, more: &str) -> String {
    format!("notifications: [{{webhook: 'http://127.0.0.1:{}/s3cret?key=s3cret', timeout: 3s{more}}}]", server.port)
}

fn output(folder: &Path, program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

pub fn audit(app: &App) -> String {
    std::fs::read_to_string(app.path("backups/audit.jsonl")).unwrap()
}

#[test]
fn a_webhook_gets_the_backup_the_hash_of_its_manifest_and_a_code_that_openssl_makes_too() {
    let server = WebServer::new();
    let app = app(&hook(&server, ", on: [success], secret: {file: key}"));
    app.write("key", b"k3y\n");
    let manifest = app.run(&["--json", "run", "nightly"]).expect(0).json();
    let [request] = &server.take()[..] else { panic!("one message") };
    let told = request.json();
    let id = manifest["id"].as_str().unwrap();
    assert_eq!(
        (&told["type"], &told["status"], &told["moduleAware"]),
        (&"success".into(), &"success".into(), &true.into())
    );
    assert_eq!(
        (&told["backupId"], &told["job"], &told["operation"]),
        (&id.into(), &"nightly".into(), &"create".into())
    );
    assert_eq!(told["enabledModules"], manifest["enabledModules"]);
    assert_eq!(told["excludedModules"], manifest["excludedModules"]);
    assert_eq!(told["excludedModules"][0]["module"], "paid");
    assert_eq!(told["size"], manifest["totals"]["storedBytes"]);
    assert_eq!(told["duration"], manifest["durationSeconds"]);
    assert!(told["tenantId"].is_null() && told["errors"] == serde_json::json!([]) && told["warnings"].is_array());
    let sum = output(&app.path("backups/metadata"), "sha256sum", &[&format!("{id}.json")]);
    assert_eq!(told["manifestHash"], sum.split(' ').next().unwrap());
    app.write("body", request.body.as_bytes());
    let code = output(&app.path(""), "openssl", &["dgst", "-sha256", "-hmac", "k3y", "-r", "body"]);
    let code = format!("sha256={}", code.split(' ').next().unwrap());
    assert_eq!(request.header("x-backup-signature"), Some(code));
    assert_eq!(request.path, "/s3cret?key=s3cret");
}

#[test]
fn who_says_nothing_hears_of_failures_partial_backups_and_recoveries_alone() {
    let server = WebServer::new();
    let app = app(&hook(&server, ""));
    app.run(&["create"]).expect(0);
    assert!(server.types().is_empty());
    std::fs::rename(app.path("clinic.db"), app.path("away.db")).unwrap();
    app.run(&["create"]).expect(1);
    assert_eq!(server.types(), ["failed"]);
    std::fs::rename(app.path("away.db"), app.path("clinic.db")).unwrap();
    app.run(&["create"]).expect(0);
    assert_eq!(server.types(), ["recovered"]);
    app.run(&["create"]).expect(0);
    assert!(server.types().is_empty());
    sql(&app, "ALTER TABLE colours RENAME TO shades");
    app.run(&["create"]).expect(3);
    let [partial] = &server.take()[..] else { panic!("one message") };
    assert_eq!(partial.json()["type"], "partial");
    assert!(partial.json()["errors"][0].as_str().unwrap().contains("colours"), "{partial:?}");
    sql(&app, "ALTER TABLE shades RENAME TO colours");
    app.run(&["create"]).expect(0);
    assert_eq!(server.types(), ["recovered"]);
    // Of a backup of one tenant, earlier ones of all are no failures.
    app.run(&["create", "--tenant", "acme"]).expect(0);
    assert!(server.types().is_empty());
}

#[test]
fn removals_restores_and_damage_are_told_and_dry_runs_are_not() {
    let server = WebServer::new();
    let app = app(&hook(&server, ", on: [deleted, restored, verificationFailed, failed]"));
    for _ in 0..2 {
        app.run(&["create"]).expect(0);
    }
    let id = app.ids().remove(0);
    app.run(&["create", "--dry-run"]).expect(0);
    app.run(&["prune", "--dry-run"]).expect(0);
    app.run(&["restore", &id, "--dry-run", "--existing", "add"]).expect(0);
    app.run(&["verify", &id]).expect(0);
    app.run(&["verify", "nonsense"]).expect(2);
    assert!(server.types().is_empty());
    app.run(&["prune"]).expect(0);
    let [deleted] = &server.take()[..] else { panic!("one message") };
    assert_eq!((&deleted.json()["type"], &deleted.json()["operation"]), (&"deleted".into(), &"prune".into()));
    assert_eq!(deleted.json()["removed"].as_array().unwrap().len(), 1);
    app.run(&["prune"]).expect(0);
    assert!(server.types().is_empty());
    app.run(&["restore", &id, "--to-directory", "out"]).expect(0);
    assert_eq!(server.types(), ["restored"]);
    let archive = app.backup(&id).join("core/clinic.tar.gz");
    let mut bytes = std::fs::read(&archive).unwrap();
    bytes[100] ^= 1;
    std::fs::write(archive, bytes).unwrap();
    app.run(&["verify", &id]).expect(4);
    let [damaged] = &server.take()[..] else { panic!("one message") };
    assert_eq!(damaged.json()["type"], "verificationFailed");
    assert!(damaged.json()["errors"][0].as_str().unwrap().contains("core/clinic.tar.gz"));
    app.run(&["forget", &id, "--yes"]).expect(0);
    assert_eq!(server.types(), ["deleted"]);
}

#[test]
fn who_wants_to_hear_of_failures_hears_of_damage_too() {
    let server = WebServer::new();
    let app = app(&hook(&server, ""));
    sql(&app, "DROP TABLE patients");
    app.run(&["verify-collections"]).expect(4);
    assert_eq!(server.types(), ["verificationFailed"]);
}

/// The run ended well, and said once that nobody was told; no part of the URL beyond its host was said.
#[track_caller]
fn untold(app: &App, run: &Ended, why: &str) {
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.stderr.matches("did not arrive").count(), 1, "{run:?}");
    assert!(run.stderr.contains(why), "{why}: {run:?}");
    let audit = audit(app);
    let line = audit.lines().last().unwrap();
    assert!(line.contains(r#""action":"notify""#) && line.contains("failed: "), "{line}");
    assert!(!format!("{run:?}{audit}").contains("s3cret"), "{run:?}{audit}");
    assert_eq!(app.run(&["--json", "list"]).json()["backups"][0]["status"], "success");
}

#[test]
fn a_server_that_does_not_take_the_message_changes_nothing_but_is_named() {
    let server = WebServer::new();
    let app = app(&hook(&server, ", on: [success]"));
    let cases = [
        (Answer::Status(404), 1, "answered 404 Not Found"),
        (Answer::Status(500), 3, "answered 500 Internal Server Error"),
        (Answer::Redirect, 1, "redirects are not followed"),
        (Answer::Garbage, 3, "is no HTTP"),
        (Answer::Never, 3, "did not answer within"),
    ];
    for (answer, tries, why) in cases {
        server.answer(&[answer; 9]);
        // `-q`: silent on success, but not about this.
        untold(&app, &app.run(&["-q", "create"]), why);
        assert_eq!(server.take().len(), tries, "{answer:?}");
    }
    server.answer(&[Answer::Status(503), Answer::Never]);
    let run = app.run(&["-q", "create"]).expect(0);
    assert_eq!((server.take().len(), run.stderr.as_str()), (3, ""), "the third try arrives");
}

#[test]
fn a_server_that_is_not_there_changes_nothing_but_is_named() {
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let app =
        app(&format!("notifications: [{{webhook: 'http://127.0.0.1:{gone}/s3cret', timeout: 3s, on: [success]}}]"));
    untold(&app, &app.run(&["create"]), "Connection refused");
    app.reconfigure(&format!("127.0.0.1:{gone}"), "no-such-host.invalid");
    untold(&app, &app.run(&["create"]), "no-such-host.invalid");
    app.reconfigure("'http://no-such-host.invalid/s3cret'", "{file: s3cret-place/url}");
    let run = app.run(&["create"]).expect(0);
    assert!(run.stderr.contains("its URL: cannot read"), "{run:?}");
    app.reconfigure("{file: s3cret-place/url}", "{command: [sh, -c, 'echo s3cret-output; exit 1']}");
    let run = app.run(&["create"]).expect(0);
    assert!(run.stderr.contains("its URL: sh failed") && !run.stderr.contains("s3cret"), "{run:?}");
}

fn trusting(app: &App, certified: &Certified, args: &[&str]) -> Ended {
    ended(app.command(args).env("SSL_CERT_FILE", certified.authority()).stdin(Stdio::null()).output().unwrap())
}

#[test]
fn the_server_must_be_who_the_machines_authorities_say_it_is() {
    let certified = Certified::new("DNS:localhost");
    let server = WebServer::encrypted(&certified);
    let app = app(&format!(
        "notifications: [{{slack: 'https://localhost:{}/s3cret', on: [success], timeout: 5s}}]",
        server.port
    ));
    trusting(&app, &certified, &["create"]).expect(0);
    let [told] = &server.take()[..] else { panic!("one message") };
    let text = told.json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("*clinic: create succeeded*\nInstallation: clinic on ") && text.contains("Status: success"),
        "{text}"
    );
    // Its name is another one, or nobody knows who certified it.
    app.reconfigure("localhost", "127.0.0.1");
    untold(&app, &trusting(&app, &certified, &["create"]), "127.0.0.1:");
    let run = trusting(&app, &certified, &["create"]);
    untold(&app, &run, "is not who it should be");
    app.reconfigure("127.0.0.1", "localhost");
    untold(&app, &trusting(&app, &Certified::new("DNS:localhost"), &["create"]), "is not who it should be");
    assert!(server.take().is_empty());
}

fn mail(server: &MailServer, more: &str) -> String {
    format!(
        "notifications: [{{on: [success], timeout: 6s, email: {{to: [ops@example.com, 'Boss <boss@example.com>'], \
         from: backup@example.com, smtp: {{host: localhost, port: {}, {more}}}}}}}]",
        server.port
    )
}

const LOGIN: &str = "user: backup, password: {file: password}";

#[test]
fn mail_goes_out_encrypted_and_after_a_login() {
    let certified = Certified::new("DNS:localhost");
    for (how, tls) in [(Mail::Starttls(&certified), ""), (Mail::Implicit(&certified), ", tls: implicit")] {
        let server = MailServer::new(&how);
        let app = app(&mail(&server, &format!("{LOGIN}{tls}")));
        app.write("password", b"m4il-canary\n");
        let run = trusting(&app, &certified, &["create"]).expect(0);
        assert!(!run.stderr.contains("did not arrive"), "{run:?}");
        let lines = server.lines();
        let place = |text: &str| {
            lines.iter().position(|line| line.starts_with(text)).unwrap_or_else(|| panic!("{text}: {lines:#?}"))
        };
        assert!(place("AUTH PLAIN") < place("MAIL FROM:<backup@example.com>"));
        assert!(place("RCPT TO:<ops@example.com>") < place("RCPT TO:<boss@example.com>"));
        assert!(place("Subject: clinic: create succeeded") > place("DATA") && place("Status: success") < place("."));
        assert!(!tls.is_empty() || place("STARTTLS") < place("AUTH PLAIN"));
        assert_eq!(lines.iter().filter(|line| *line == "(connected)").count(), 1);
    }
}

#[test]
fn a_mail_server_that_cannot_be_trusted_gets_neither_password_nor_message() {
    let certified = Certified::new("DNS:localhost");
    let other = Certified::new("DNS:elsewhere");
    let cases = [
        // It does not offer STARTTLS: somebody between us may have taken that out.
        (Mail::Plain, "STARTTLS"),
        (Mail::Starttls(&other), "certificate"),
        (Mail::Silent, "did not answer within"),
        (Mail::Endless, "it took longer than 6s (`timeout`)"),
    ];
    for (how, why) in cases {
        let server = MailServer::new(&how);
        let app = app(&mail(&server, LOGIN));
        app.write("password", b"m4il-canary\n");
        let authority = if matches!(how, Mail::Starttls(_)) { &other } else { &certified };
        let run = trusting(&app, authority, &["create"]);
        untold(&app, &run, why);
        let lines = server.lines();
        assert!(lines.contains(&"(connected)".into()), "nobody came");
        assert!(!lines.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{lines:?}");
    }
    let server = MailServer::new(&Mail::Starttls(&certified));
    let app = app(&mail(&server, LOGIN));
    app.write("password", b"wr0ng-canary\n");
    let run = trusting(&app, &certified, &["create"]);
    untold(&app, &run, "535");
    assert!(!run.stderr.contains("wr0ng-canary"), "{run:?}");
    assert!(!server.lines().iter().any(|line| line.starts_with("MAIL")));
}

#[test]
fn a_health_check_is_pinged_at_the_start_and_at_each_end_of_backups_alone() {
    let server = WebServer::new();
    let app = app(&format!("notifications: [{{healthcheck: 'http://127.0.0.1:{}/p?k=1'}}]", server.port));
    app.run(&["run", "nightly"]).expect(0);
    assert_eq!(server.paths(), ["/p/start?k=1", "/p?k=1"]);
    app.run(&["run", "cleanup"]).expect(0);
    app.run(&["verify", "latest"]).expect(0);
    assert!(server.paths().is_empty());
    sql(&app, "ALTER TABLE colours RENAME TO shades");
    app.run(&["create"]).expect(3);
    assert_eq!(server.paths(), ["/p/start?k=1", "/p/fail?k=1"]);
    std::fs::remove_file(app.path("clinic.db")).unwrap();
    app.run(&["create"]).expect(1);
    assert_eq!(server.paths(), ["/p/start?k=1", "/p/fail?k=1"]);
    app.reconfigure("k=1'", "k=1', jobs: [cleanup]");
    app.run(&["run", "nightly"]).expect(1);
    app.run(&["prune"]).expect(0);
    assert!(server.paths().is_empty());
    app.run(&["run", "cleanup"]).expect(0);
    assert_eq!(server.paths(), ["/p/start?k=1", "/p?k=1"]);
}

#[test]
fn a_run_over_many_tenants_is_told_once_and_of_each_where_that_is_wanted() {
    let (once, each) = (WebServer::new(), WebServer::new());
    let app = app(&format!(
        "notifications: [{{webhook: 'http://127.0.0.1:{}/'}}, {{webhook: 'http://127.0.0.1:{}/', perTenant: true}}]",
        once.port, each.port
    ));
    app.run(&["run", "tenants"]).expect(0);
    assert!(once.types().is_empty() && each.types().is_empty());
    // One tenant's lock is held by somebody else.
    let lock = std::fs::OpenOptions::new().write(true).open(lock_of(&app, "birch")).unwrap();
    lock.lock().unwrap();
    app.run(&["run", "tenants", "--wait", "0s"]).expect(3);
    drop(lock);
    let [told] = &once.take()[..] else { panic!("one message") };
    let told = told.json();
    assert_eq!((&told["type"], &told["tenantId"]), (&"partial".into(), &serde_json::Value::Null));
    let line =
        |tenant: &str| told["tenants"].as_array().unwrap().iter().find(|t| t["tenantId"] == tenant).unwrap().clone();
    assert_eq!((&line("acme")["status"], &line("birch")["status"]), (&"success".into(), &"failed".into()));
    assert!(line("acme")["backupId"].as_str().unwrap().starts_with("tenant-acme-backup-"));
    assert!(!line("birch")["error"].as_str().unwrap().is_empty());
    let told: Vec<_> = each.take().iter().map(|request| request.json()).collect();
    let told: Vec<_> = told.iter().map(|told| (told["type"].as_str().unwrap(), told["tenantId"].as_str())).collect();
    assert_eq!(told, [("partial", None), ("failed", Some("birch"))]);
}

/// The file that is locked while a tenant's backup is made.
fn lock_of(app: &App, tenant: &str) -> std::path::PathBuf {
    let locks = std::fs::read_dir(app.path("backups/locks")).unwrap().map(|entry| entry.unwrap().path());
    let mut of = locks.filter(|path| path.file_name().unwrap().to_str().unwrap().contains(tenant));
    of.next().unwrap_or_else(|| panic!("no lock of {tenant}"))
}

#[test]
fn a_test_message_goes_to_all_or_to_one_and_the_answer_says_what_became_of_it() {
    let server = WebServer::new();
    let app = app(&format!(
        "notifications: [{{healthcheck: 'http://127.0.0.1:{0}/p', jobs: [nightly]}}, {{webhook: 'http://127.0.0.1:{0}/s3cret', name: chat}}]",
        server.port
    ));
    let run = app.run(&["notify", "test"]).expect(0);
    assert_eq!(run.stdout, "healthcheck: delivered\nchat: delivered\n");
    let mut paths = server.paths();
    paths.sort();
    assert_eq!(paths, ["/p/log", "/s3cret"]);
    server.answer(&[Answer::Status(403)]);
    let run = app.run(&["--json", "notify", "test", "chat"]).expect(1);
    let told = run.json()["notifications"][0].clone();
    assert_eq!((&told["name"], &told["kind"]), (&"chat".into(), &"webhook".into()));
    assert!(told["error"].as_str().unwrap().contains("403 Forbidden") && !run.stdout.contains("s3cret"));
    assert_eq!(server.types(), ["test"]);
    let run = app.run(&["notify", "test", "nobody"]).expect(10);
    assert!(run.stderr.contains("there are: healthcheck, chat"), "{run:?}");
    assert!(!app.path("backups").exists());
}

#[test]
fn every_mistake_of_the_section_is_told_with_its_line_and_key() {
    let app = app("notifications:
  - {webhook: 'ftp://s3cret'}
  - {slack: 'https://h/a', healthcheck: 'https://h/b'}
  - {healthcheck: 'https://h/', on: [failed]}
  - {webhook: 'https://h/', on: [everything], timeout: soon}
  - {webhook: 'https://h/', on: [], jobs: [nigthly], name: a}
  - {slack: 'https://h/', secret: x, name: a}
  - {email: {to: nobody, from: a@b, smtp: {host: mail.example.com, user: u, password: s3cret, tls: none}}}
  - {email: {to: a@b, from: a@b, smtp: {host: h, user: u}}}
  - {webhok: 'https://h/'}
alerts: {freeSpace: 0%, maxAge: '7', consecutiveFailures: 0}
commands: {before: [], after: ' ', timeout: 0s}");
    let run = app.run(&["config", "check"]).expect(2);
    let first = CONFIG.lines().count() + 1;
    for (line, key, what) in [
        (1, "notifications[0].webhook", "is no http:// or https:// URL"),
        (2, "notifications[1]", "needs exactly one of"),
        (3, "notifications[2].on", "does not go with `healthcheck`"),
        (4, "notifications[3].on[0]", "'everything' is none of started, success"),
        (4, "notifications[3].timeout", "is no duration"),
        (5, "notifications[4].on", "is empty"),
        (5, "notifications[4].jobs[0]", "did you mean `nightly`?"),
        (6, "notifications[5].secret", "goes with `webhook` alone"),
        (6, "notifications[5].name", "another one is named 'a' too"),
        (7, "notifications[6].email.to", "'nobody' is no mail address"),
        (7, "notifications[6].email.smtp.tls", "would send the password in clear"),
        (8, "notifications[7].email.smtp", "`user` and `password` go together"),
        (9, "notifications[8].webhok", "did you mean `webhook`?"),
        (10, "alerts.freeSpace", "is no space"),
        (10, "alerts.maxAge", "is no duration"),
        (10, "alerts.consecutiveFailures", "must be at least 1"),
        (11, "commands.before", "names no program"),
        (11, "commands.after", "names no program"),
        (11, "commands.timeout", "longer than nothing"),
    ] {
        let place = format!("backup.yaml:{}:", first + line);
        let found = run
            .stderr
            .lines()
            .any(|text| text.contains(&place) && text.contains(&format!("{key}: ")) && text.contains(what));
        assert!(found, "{place} {key}: {what}\n{}", run.stderr);
    }
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
}

#[test]
fn alerts_are_warnings_of_the_run_and_of_the_message() {
    let server = WebServer::new();
    let alerts = "\nalerts: {consecutiveFailures: 2, unusualSize: true, freeSpace: 4000TiB, maxAge: 36h}";
    let app = app(&(hook(&server, ", on: [success, failed]") + alerts));
    let warned = |at: &str, code: i32| {
        let run = app.run_at(at, &["-q", "create"]).expect(code);
        let told = server.take().pop().unwrap().json()["warnings"].to_string();
        for line in run.stderr.lines().filter_map(|line| line.strip_prefix("Warning: ")) {
            assert!(told.contains(line), "{line}: {told}");
        }
        run.stderr
    };
    for day in 1..=5 {
        let said = warned(&format!("2026-01-0{day}T02:00:00Z"), 0);
        assert!(said.contains("are free on the repository's disk, less than 3.9 PiB"), "{said}");
        assert!(!said.contains("unusual") && !said.contains("newest good copy"), "{said}");
    }
    sql(
        &app,
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO patients SELECT i, 'acme', hex(randomblob(200)) FROM n",
    );
    let said = warned("2026-01-06T02:00:00Z", 0);
    assert!(said.contains("the size is unusual: ") && said.contains("is usual"), "{said}");
    sql(&app, "ALTER TABLE colours RENAME TO shades");
    app.run_at("2026-01-07T02:00:00Z", &["create"]).expect(3);
    std::fs::rename(app.path("clinic.db"), app.path("away.db")).unwrap();
    let said = warned("2026-01-08T02:00:00Z", 1);
    assert!(said.contains("the last 2 runs of system-wide did not make a whole backup"), "{said}");
    assert!(
        said.contains("the newest good copy of module 'theme' of system-wide is 2d old, more than 1d12h"),
        "{said}"
    );
    assert!(!said.contains("copy of module 'core'"), "a partial backup is a good copy of what is whole in it: {said}");
}

#[test]
fn no_secret_of_a_notification_is_shown_and_a_file_that_all_may_read_is_warned_of() {
    let email = "{to: a@b, from: a@b, smtp: {host: h, user: u, password: s3cret}}";
    for literal in [
        "webhook: 'https://u:s3cret@h/s3cret?s3cret'",
        "webhook: 'https://h/', secret: s3cret",
        "slack: 'https://h/s3cret'",
        "healthcheck: 'https://h/s3cret'",
        &format!("email: {email}"),
    ] {
        let app = app(&format!("notifications: [{{{literal}}}]"));
        let quiet = app.run(&["config", "check"]).expect(0);
        std::fs::set_permissions(app.path("backup.yaml"), PermissionsExt::from_mode(0o644)).unwrap();
        let warned = app.run(&["config", "check"]).expect(0);
        assert!(!quiet.stderr.contains("everyone may read it"), "{literal}");
        assert!(warned.stderr.contains("everyone may read it"), "{literal}: {warned:?}");
        let shown = [app.run(&["config", "show"]).expect(0), app.run(&["--json", "config", "show"]).expect(0)];
        assert!(!format!("{shown:?}{warned:?}").contains("s3cret"), "{literal}: {shown:?}");
    }
}
