//! Servers that are not there, do not let us in, or are not who they should be: told apart, in time, without a secret.

use super::{open, opened, shown, source};
use crate::support::mongod::wait;
use crate::support::postgres::{PASSWORD, Postgres as Server, Version};
use backup::config::{self, IdType, Timeouts};
use backup::error::{Error, Kind, Result};
use backup::modules::{Ownership, Records};
use backup::pipeline::Cancel;
use backup::source::postgres::Postgres;
use backup::source::{ItemKind, Source, Wanted};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

fn open_as(source: &config::Postgres) -> Result<Postgres> {
    Postgres::open("payroll", source, Timeouts::default(), Cancel::default())
}

#[track_caller]
fn refused(opened: Result<Postgres>, kind: Kind, words: &[&str]) -> Error {
    let error = opened.expect_err("the server let us in");
    assert_eq!(error.kind, kind, "{error:?}");
    assert!(error.hint.is_some(), "{error:?}");
    for word in words {
        assert!(shown(&error).contains(word), "{word} is not in {error:?}");
    }
    assert!(!shown(&error).contains("canary"), "{error:?}");
    error
}

/// The first value that a query of our own session answers.
#[track_caller]
fn ask(postgres: &Postgres, sql: &str) -> String {
    let session = postgres.session().unwrap();
    let rows = wait(session.query(sql, &[])).unwrap();
    rows[0].get(0)
}

fn is_encrypted(postgres: &Postgres) -> bool {
    ask(postgres, "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "true"
}

#[test]
fn every_supported_server_lets_us_in_and_says_its_version() {
    for version in Version::ALL {
        let database = Server::shared(version).database();
        let server = opened(&database).server();
        assert_eq!(server.version, database.run("SHOW server_version"));
        assert_eq!(server.database, database.name);
        assert_eq!(server.address, format!("127.0.0.1:{}", database.server.port));
    }
}

#[test]
fn a_closed_port_and_an_unknown_host_are_told_within_the_time() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let started = Instant::now();
    let closed = format!("postgres://u:canary@127.0.0.1:{port}/d");
    refused(open(&closed), Kind::Connect, &["payroll", &port.to_string(), "refused", "host and port"]);
    refused(open("postgres://u:canary@no-such-host.invalid/d"), Kind::Connect, &["no-such-host.invalid"]);
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_server_that_says_nothing_is_waited_for_as_long_as_is_configured() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("postgres://u:canary@127.0.0.1:{}/d", silent.local_addr().unwrap().port());
    let timeouts = Timeouts { connect: Some(Duration::from_secs(1)), ..Timeouts::default() };
    let opened = Postgres::open("payroll", &source(&uri), timeouts, Cancel::default());
    refused(opened, Kind::Connect, &["source 'payroll' gave no answer for 1s (timeouts.connect)"]);
    refused(open(&format!("{uri}?connect_timeout=2")), Kind::Connect, &["gave no answer for 2s"]);
}

#[test]
fn whoever_is_not_let_in_is_told_why_and_what_to_do() {
    let database = Server::shared(Version::V15).database();
    let (server, name) = (database.server, &database.name);
    let as_user = |user: &str, password: &str| open(&server.uri_as(user, password, name));
    refused(as_user("postgres", "wrong-canary"), Kind::Connect, &["28P01", "check user and password"]);
    refused(as_user("nobody-here", "wrong-canary"), Kind::Connect, &["28P01"]);
    let none = format!("postgres://postgres@127.0.0.1:{}/{name}", server.port);
    refused(open(&none), Kind::Connect, &["asks for a password", ".pgpass"]);
    refused(open(&server.uri("no_such_db")), Kind::Connect, &["3D000", "no_such_db", "check the name"]);

    let full = database.role("full");
    database.run(&format!("ALTER ROLE {full} CONNECTION LIMIT 0"));
    refused(open(&database.uri_as(&full)), Kind::Connect, &["53300", "CONNECTION LIMIT"]);

    let outside = database.role("outside");
    database.run(&format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"));
    refused(open(&database.uri_as(&outside)), Kind::Connect, &["42501", "GRANT CONNECT"]);
}

#[test]
fn a_schema_that_is_not_there_or_closed_is_named_with_the_grant() {
    let database = Server::shared(Version::V15).database();
    let mut absent = source(&database.uri());
    absent.schema = "t_acme".into();
    refused(open_as(&absent), Kind::Connect, &[&database.name, "has no schema t_acme"]);

    database.run("CREATE SCHEMA t_acme");
    let role = database.role("outside");
    let closed = config::Postgres { uri: config::Secret::new(database.uri_as(&role)), ..absent.clone() };
    refused(open_as(&closed), Kind::Connect, &[&format!("GRANT USAGE ON SCHEMA \"t_acme\" TO \"{role}\"")]);
    database.run(&format!("GRANT USAGE ON SCHEMA t_acme TO {role}"));
    assert!(open_as(&closed).is_ok());
}

#[test]
fn a_uri_that_cannot_be_used_is_refused_without_showing_any_of_it() {
    for (uri, word) in [
        ("mysql://u:canary@h/d", "postgres://"),
        ("canary", "postgres://"),
        ("postgres://u:can/ary@h/d", "percent-encoded"),
        ("postgres://u:canary@h:99999/d", "`port`"),
        ("postgres://u:canary@h", "no database"),
        ("postgres://:canary@h/d", "no user"),
        ("postgres://u:canary@/d", "no host"),
        ("postgres://u:canary@h/d?sslmode=ful", "sslmode"),
        ("postgres://u:canary@h/d?canary=1", "do not know"),
        ("postgres://u:canary@h/d?service=canary", "`service` is not supported"),
        ("host=h dbname=d user=u password=canary port=", ""),
    ] {
        let Err(error) = open(uri) else { panic!("{uri}") };
        assert!(!shown(&error).contains("canary"), "{uri}: {error:?}");
        assert!(word.is_empty() || error.kind == Kind::Config, "{uri}: {error:?}");
        assert!(shown(&error).contains(word), "{uri}: {error:?}");
    }
}

#[test]
fn a_string_of_keys_and_values_and_a_socket_are_understood() {
    let database = Server::shared(Version::V15).database();
    let (port, name, folder) = (database.server.port, &database.name, database.server.folder.display());
    let keys = format!("host=127.0.0.1 port={port} user=postgres password='{PASSWORD}' dbname = {name}");
    assert_eq!(ask(&open(&keys).unwrap(), "SELECT current_database()::text"), *name);
    // What asks for TLS is not asked of a socket in the file system, as libpq does not.
    let socket = format!("host={folder} port={port} user=postgres dbname={name} sslmode=verify-full");
    assert_eq!(ask(&open(&socket).unwrap(), "SELECT (inet_server_addr() IS NULL)::text"), "true");
    let encoded = folder.to_string().replace('/', "%2F");
    assert!(open(&format!("postgresql://postgres@{encoded}:{port}/{name}")).is_ok());
    let several = format!("postgres://postgres:{PASSWORD}@127.0.0.1:1,127.0.0.1:{port}/{name}");
    assert!(open(&several).is_ok());
}

#[test]
fn the_password_file_is_used_unless_others_may_read_it_or_a_password_is_given() {
    let database = Server::shared(Version::V15).database();
    let (port, name) = (database.server.port, &database.name);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pgpass");
    std::fs::write(&file, format!("127.0.0.1:{port}:{name}:postgres:{PASSWORD}\n")).unwrap();
    let mode = |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    let uri = format!("postgres://postgres@127.0.0.1:{port}/{name}");
    let with_file = config::Postgres { passfile: Some(file.clone()), ..source(&uri) };
    mode(0o600);
    assert!(open_as(&with_file).is_ok());
    assert!(open(&format!("{uri}?passfile={}", file.display())).is_ok());
    let given =
        config::Postgres { passfile: Some(file.clone()), ..source(&database.server.uri_as("postgres", "x", name)) };
    refused(open_as(&given), Kind::Connect, &["28P01"]);
    mode(0o644);
    refused(open_as(&with_file), Kind::Connect, &["is not used", "chmod 600", &file.display().to_string()]);
}

#[test]
fn verify_full_wants_an_authority_and_the_hosts_own_name() {
    let server = Server::with_tls();
    let ca = server.folder.join("ca.crt").display().to_string();
    let other = server.folder.join("other.crt").display().to_string();
    let by_name = |options: &str| {
        let port = server.port;
        open(&format!("postgres://postgres:{PASSWORD}@localhost:{port}/postgres?hostaddr=127.0.0.1&{options}"))
    };
    let by_address = |options: &str| open(&format!("{}?{options}", server.uri("postgres")));
    let in_tls = |opened: Result<Postgres>| assert!(is_encrypted(&opened.unwrap()));

    in_tls(by_name(&format!("sslmode=verify-full&sslrootcert={ca}")));
    // The certificate is made out to localhost.
    refused(
        by_address(&format!("sslmode=verify-full&sslrootcert={ca}")),
        Kind::Connect,
        &["not valid for", "must name"],
    );
    in_tls(by_address(&format!("sslmode=verify-ca&sslrootcert={ca}")));
    for mode in ["verify-full", "verify-ca", "require"] {
        refused(by_name(&format!("sslmode={mode}&sslrootcert={other}")), Kind::Connect, &["certificate"]);
    }
    // Of this machine's own authorities none has signed it.
    refused(by_name("sslmode=verify-full"), Kind::Connect, &["certificate"]);
    refused(by_name("sslmode=verify-ca"), Kind::Config, &["sslrootcert"]);
    refused(by_name("sslmode=verify-ca&sslrootcert=system"), Kind::Config, &["verify-full"]);
    refused(by_name("sslmode=verify-full&sslrootcert=/nowhere/ca.crt"), Kind::Config, &["/nowhere/ca.crt"]);
    // The server's own certificate may stand for its authority.
    let own = server.folder.join("server.crt").display().to_string();
    in_tls(by_name(&format!("sslmode=verify-full&sslrootcert={own}")));
    refused(by_address(&format!("sslmode=verify-full&sslrootcert={own}")), Kind::Connect, &["not valid for"]);
}

#[test]
fn what_asks_for_tls_never_goes_in_clear() {
    let (tls, plain) = (Server::with_tls(), Server::shared(Version::V16));
    let with = |server: &Server, options: &str| open(&format!("{}?{options}", server.uri("postgres")));
    for mode in ["require", "verify-full"] {
        refused(with(plain, &format!("sslmode={mode}")), Kind::Connect, &["does not support TLS", "speaks TLS"]);
    }
    assert!(is_encrypted(&with(tls, "sslmode=require").unwrap()));
    // What may go either way goes by TLS where there is one.
    assert!(is_encrypted(&with(tls, "sslmode=prefer").unwrap()));
    assert!(is_encrypted(&with(tls, "").unwrap()));
    assert!(!is_encrypted(&with(tls, "sslmode=disable").unwrap()));
    assert!(!is_encrypted(&with(plain, "sslmode=prefer").unwrap()));
    assert!(is_encrypted(&with(tls, "sslmode=require&channel_binding=require").unwrap()));
    refused(with(tls, "sslmode=disable&channel_binding=require"), Kind::Connect, &["channel binding"]);
}

#[test]
fn a_certificate_lets_us_in_unless_its_key_lies_open() {
    let server = Server::with_tls();
    let mut certified = source(&format!(
        "postgres://certified@127.0.0.1:{}/postgres?sslmode=require&sslcert=client.crt&sslkey=client.key",
        server.port
    ));
    certified.folder = server.folder.clone();
    let postgres = open_as(&certified).unwrap();
    assert_eq!(ask(&postgres, "SELECT current_user::text"), "certified");

    let folder = tempfile::tempdir().unwrap();
    for file in ["client.crt", "client.key"] {
        std::fs::copy(server.folder.join(file), folder.path().join(file)).unwrap();
    }
    std::fs::set_permissions(folder.path().join("client.key"), Permissions::from_mode(0o644)).unwrap();
    certified.folder = folder.path().to_owned();
    refused(open_as(&certified), Kind::Config, &["client.key", "chmod 600"]);
}

#[test]
fn what_a_role_or_database_sets_does_not_change_what_we_read() {
    for version in Version::ALL {
        let database = Server::shared(version).database();
        let role = database.role("hostile");
        let hostile = [
            ("DateStyle", "'SQL, DMY'", "ISO, MDY"),
            ("IntervalStyle", "sql_standard", "postgres"),
            ("client_encoding", "LATIN1", "UTF8"),
            ("extra_float_digits", "-3", "3"),
            ("bytea_output", "escape", "hex"),
            ("TimeZone", "'America/New_York'", "UTC"),
            ("search_path", "public", "\"\""),
            ("standard_conforming_strings", "off", "on"),
            ("row_security", "on", "off"),
            ("synchronize_seqscans", "on", "off"),
            ("array_nulls", "off", "on"),
            ("xmloption", "document", "content"),
            ("transform_null_equals", "on", "off"),
            ("default_transaction_isolation", "serializable", "read committed"),
            ("default_transaction_read_only", "off", "on"),
            ("statement_timeout", "60000", "0"),
            ("lock_timeout", "1", "10s"),
            ("idle_in_transaction_session_timeout", "60000", "0"),
            ("application_name", "hostile", "backup"),
        ];
        for (setting, value, _) in hostile.iter().filter(|(name, ..)| *name != "application_name") {
            database.run(&format!("ALTER ROLE {role} SET {setting} = {value}"));
            database.run(&format!("ALTER DATABASE {} SET {setting} = {value}", database.name));
        }
        let postgres = open(&database.uri_as(&role)).unwrap();
        for (setting, _, expected) in hostile {
            assert_eq!(ask(&postgres, &format!("SHOW {setting}")), expected, "{setting} on {version:?}");
        }
        if version != Version::V15 {
            assert_eq!(ask(&postgres, "SHOW client_connection_check_interval"), "2s");
        }
        if version == Version::V18 {
            assert_eq!(ask(&postgres, "SHOW transaction_timeout"), "0");
        }
        assert_eq!(ask(&postgres, "SELECT '2026-11-21'::date::text"), "2026-11-21");

        // To restore, the same but for writing.
        database.run(&format!("ALTER ROLE {role} SET default_transaction_read_only = on"));
        let uri = database.uri_as(&role);
        let target = Postgres::open_target("payroll", &source(&uri), Timeouts::default(), Cancel::default()).unwrap();
        assert_eq!(ask(&target, "SHOW default_transaction_read_only"), "off");
        assert_eq!(ask(&target, "SHOW DateStyle"), "ISO, MDY");
    }
}

#[test]
fn whoever_reads_cannot_write() {
    let database = Server::shared(Version::V15).database();
    database.run("CREATE TABLE t (v int)");
    let postgres = opened(&database);
    let session = postgres.session().unwrap();
    let refused = wait(session.run("INSERT INTO public.t VALUES (1)")).unwrap_err();
    assert_eq!(refused.state().map(|state| state.code()), Some("25006"));
    assert_eq!(database.run("SELECT count(*) FROM t"), "0");
}

#[test]
fn a_lock_of_a_migration_is_waited_for_as_long_as_is_configured_and_named() {
    let database = Server::shared(Version::V15).database();
    database.run("CREATE TABLE t (v int); INSERT INTO t VALUES (1)");
    let migration =
        Postgres::open_target("m", &source(&database.uri()), Timeouts::default(), Cancel::default()).unwrap();
    let holder = migration.session().unwrap();
    wait(holder.run("BEGIN; LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE")).unwrap();
    let timeouts = Timeouts { connect: Some(Duration::from_secs(3)), ..Timeouts::default() };
    let reader = Postgres::open("payroll", &source(&database.uri()), timeouts, Cancel::default()).unwrap();
    assert_eq!(ask(&reader, "SHOW lock_timeout"), "3s");
    // It is listed all the same, and not taken for an empty one.
    assert_eq!(reader.inventory().unwrap().items["t"].records, 1);
    let of_tenant =
        Records::Owned(Ownership { field: "v".into(), tenant: "1".into(), id_type: IdType::Int, via: Vec::new() });
    let wanted = Wanted { name: "t".into(), kind: ItemKind::Collection, identity: None, records: of_tenant };
    let failed = reader.count(&wanted).unwrap_err();
    assert!(shown(&failed).contains("55P03") && failed.hint.unwrap().contains("migration"));
    wait(holder.run("ROLLBACK")).unwrap();
    assert_eq!(reader.count(&wanted).unwrap(), Some(1));
}

#[test]
fn a_server_that_falls_silent_ends_the_wait_within_the_time() {
    let database = Server::shared(Version::V15).database();
    let timeouts = Timeouts { idle: Duration::from_secs(1), ..Timeouts::default() };
    let postgres = Postgres::open("payroll", &source(&database.uri()), timeouts, Cancel::default()).unwrap();
    let session = postgres.session().unwrap();
    let pid: i32 = wait(session.query("SELECT pg_backend_pid()", &[])).unwrap()[0].get(0);
    let kill = |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    kill(nix::sys::signal::Signal::SIGSTOP);
    let silent = wait(session.query("SELECT 1", &[]));
    kill(nix::sys::signal::Signal::SIGCONT);
    assert!(format!("{:?}", silent.unwrap_err()).contains("Stalled"));
}

#[test]
fn a_server_that_is_too_old_is_refused_by_its_version() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("postgres://u:canary@127.0.0.1:{}/d?sslmode=disable", listener.local_addr().unwrap().port());
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let message = |from: &mut std::net::TcpStream, tagged: bool| {
            let mut head = [0; 5];
            let head = if tagged { &mut head[..] } else { &mut head[1..] };
            from.read_exact(head).unwrap();
            let length = u32::from_be_bytes(head[head.len() - 4..].try_into().unwrap());
            let mut body = vec![0; length as usize - 4];
            from.read_exact(&mut body).unwrap();
            body
        };
        message(&mut client, false);
        client.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").unwrap();
        let asked = message(&mut client, true);
        client.write_all(b"T\0\0\0\x20\0\x01version\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0").unwrap_or(());
        client.write_all(b"D\0\0\0\x10\0\x01\0\0\0\x06110022C\0\0\0\x09SHOW\0Z\0\0\0\x05I").unwrap();
        asked
    });
    refused(open(&uri), Kind::Connect, &["PostgreSQL 11.22", "older than 12"]);
    assert_eq!(server.join().unwrap(), b"SHOW server_version_num\0");
}
