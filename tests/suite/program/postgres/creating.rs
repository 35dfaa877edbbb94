//! Backups while something happens to the server, and of what cannot be backed up.

use super::laboratory::Shop;
use crate::support::app::{Ended, ended};
use crate::support::mongod::until;
use crate::support::postgres::Version;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Child;

/// A table that takes a while to read, and a small one.
const LARGE: &str = "CREATE TABLE large (id int, t text); CREATE TABLE small (id int PRIMARY KEY, v text);
    INSERT INTO large SELECT i, (SELECT string_agg(md5(random()::text || i || j), '') FROM generate_series(1, 32) j) FROM generate_series(1, 40000) i;
    INSERT INTO small VALUES (1, 'a'), (2, 'b')";

fn large() -> Shop {
    let shop = Shop::new(Version::V15, LARGE, "small");
    shop.app.reconfigure("modules:\n", "modules:\n  heavy: {required: true, source: shop, collections: [large]}\n");
    shop
}

/// A backup that stands still while it reads `large`, and the server's process that gives the rows.
fn amid_reading(shop: &Shop) -> (Child, String) {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY \"public\".\"large\"%' AND state = 'active'";
    for _ in 0..10 {
        let child = shop.spawn(&["create"]);
        let process = Pid::from_raw(child.id() as i32);
        let mut pid = String::new();
        until("reading", || {
            pid = shop.database.run(sql);
            !pid.is_empty()
        });
        kill(process, Signal::SIGSTOP).unwrap();
        if shop.database.run(sql) == pid {
            return (child, pid);
        }
        kill(process, Signal::SIGCONT).unwrap();
        go_on(child);
    }
    panic!("no backup was stopped while it reads");
}

fn go_on(child: Child) -> Ended {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGCONT).unwrap();
    ended(child.wait_with_output().unwrap())
}

#[test]
fn a_reader_that_the_server_ends_fails_its_table_and_no_other() {
    let shop = large();
    let (child, pid) = amid_reading(&shop);
    assert_eq!(shop.database.run(&format!("SELECT pg_terminate_backend({pid})")), "t");
    let partial = go_on(child).expect(3);
    assert!(partial.stderr.contains("large"), "{}", partial.stderr);
    let list = shop.run(&["--json", "list"]).expect(0).json();
    assert_eq!(list["backups"][0]["modules"], serde_json::json!({"heavy": "failed", "core": "complete"}));
    let back = shop.beside();
    shop.restore_into(&back, &["--module", "core"]).expect(0);
    assert_eq!(back.run("SELECT * FROM small ORDER BY id"), "1|a\n2|b");
    // Of a module that failed there is no good copy.
    shop.restore_into(&back, &["--module", "heavy"]).expect(10);
}

#[test]
fn while_tables_are_read_nobody_truncates_drops_or_alters_them() {
    let shop = large();
    let (child, _) = amid_reading(&shop);
    for change in ["TRUNCATE small", "DROP TABLE small", "ALTER TABLE small ADD n int", "TRUNCATE large"] {
        shop.database.run(&format!(
            "DO $$BEGIN SET LOCAL lock_timeout = '100ms'; {change}; RAISE EXCEPTION 'it is not locked';
             EXCEPTION WHEN lock_not_available THEN NULL; END$$"
        ));
    }
    // What is written meanwhile belongs to a later moment.
    shop.database.run("INSERT INTO small VALUES (3, 'later'); UPDATE large SET t = 'later' WHERE id % 2 = 0");
    go_on(child).expect(0);
    let back = shop.copy();
    assert_eq!(
        back.run(
            "SELECT count(*), (SELECT count(*) FROM large), (SELECT count(*) FROM large WHERE t = 'later') FROM small"
        ),
        "2|40000|0"
    );
}

const VALUES: &str = "CREATE TABLE t (id int PRIMARY KEY, f float8, d date, ts timestamptz, iv interval, b bytea, t text);
    INSERT INTO t VALUES (1, 0.1::float8 + 0.2, '2024-03-01', '2024-03-01 12:00+00', '1 year 2 mons 3 days 04:05:06', '\\x00ff5c', 'ü'),
      (2, '1e-310', 'infinity', '-infinity', '-1 day', '', E'a\\tb\\\\')";

#[test]
fn what_a_role_or_database_is_set_to_changes_no_stored_row() {
    let shop = Shop::new(Version::V15, VALUES, "t");
    let digest =
        || shop.run(&["--json", "create"]).expect(0).json()["components"][0]["collections"][0]["recordDigest"].clone();
    let plain = digest();
    let role = shop.database.role("hostile");
    shop.database.run(&format!("GRANT SELECT ON t TO {role}"));
    shop.app.reconfigure(&shop.database.uri(), &shop.database.uri_as(&role));
    for (number, setting) in [
        "DateStyle = 'German, DMY'",
        "search_path = pg_temp",
        "extra_float_digits = -15",
        "client_encoding = 'LATIN1'",
        "statement_timeout = 1",
        "row_security = on",
        "default_transaction_isolation = 'serializable'",
        "IntervalStyle = iso_8601",
        "bytea_output = escape",
        "TimeZone = 'Asia/Kathmandu'",
        "default_transaction_read_only = on",
        "standard_conforming_strings = off",
        "idle_in_transaction_session_timeout = 1",
    ]
    .into_iter()
    .enumerate()
    {
        let of = if number % 2 == 0 { format!("ROLE {role}") } else { format!("DATABASE {}", shop.database.name) };
        shop.database.run(&format!("ALTER {of} SET {setting}"));
    }
    assert_eq!(digest(), plain);
    shop.database
        .run(&format!("ALTER DATABASE {} RESET ALL; DROP OWNED BY {role}; DROP ROLE {role}", shop.database.name));
}

#[test]
fn a_role_that_sees_a_part_of_the_rows_gets_no_backup() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, owner text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
        ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = 'a')";
    let shop = Shop::new(Version::V15, sql, "t");
    let role = shop.database.role("limited");
    shop.database.run(&format!("GRANT SELECT ON t TO {role}"));
    shop.app.reconfigure(&shop.database.uri(), &shop.database.uri_as(&role));
    let failed = shop.run(&["create"]).expect(1);
    assert!(failed.stderr.contains('t') && failed.stderr.contains("row-level security"), "{}", failed.stderr);
    assert_eq!(shop.app.ids(), Vec::<String>::new());
    shop.database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn what_is_no_table_is_refused_by_its_name() {
    let sql = "CREATE TABLE log (n int) PARTITION BY LIST (n); CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1);
        CREATE SEQUENCE numbers; CREATE TYPE pair AS (a int, b int); CREATE TABLE scans (id int PRIMARY KEY, image oid);
        CREATE TABLE good (id int PRIMARY KEY); SELECT lo_create(0);
        CREATE FOREIGN DATA WRAPPER wrapper; CREATE SERVER other FOREIGN DATA WRAPPER wrapper; CREATE FOREIGN TABLE far (id int) SERVER other";
    for (name, words) in [
        ("log_1", "log_1: it is a partition of public.log (list public.log: its partitions come with it)"),
        ("numbers", "numbers: it is a sequence (take it out of the configuration"),
        ("pair", "pair: it is a composite type"),
        ("scans", "column image of table scans may hold large objects"),
        ("far", "far: it is a foreign table: its rows are on another server (make that server a source"),
        ("ghost", "ghost"),
    ] {
        let shop = Shop::new(Version::V15, sql, "good");
        let heavy = format!("modules:\n  other: {{required: true, source: shop, collections: [{name}]}}\n");
        shop.app.reconfigure("modules:\n", &heavy);
        let ended = shop.run(&["create"]).expect(3);
        assert!(
            format!("{}{}", ended.stdout, ended.stderr).contains(words),
            "{name}: {} {}",
            ended.stdout,
            ended.stderr
        );
    }
}

#[test]
fn a_server_newer_than_every_pg_dump_is_told_with_the_package_before_anything_is_read() {
    let shop = Shop::new(Version::V18, "CREATE TABLE t (id int PRIMARY KEY)", "t");
    // Debian's pg_dump alone.
    let failed = ended(shop.app.command(&["create"]).env("PATH", "/usr/bin:/bin").output().unwrap()).expect(1);
    for word in ["older than the server (18)", "postgresql-client-18", "ddl: none"] {
        assert!(failed.stderr.contains(word), "{word}: {}", failed.stderr);
    }
    assert_eq!(shop.app.ids(), Vec::<String>::new());
    shop.app.reconfigure("engine: postgres,", "engine: postgres, ddl: none,");
    ended(shop.app.command(&["create"]).env("PATH", "/usr/bin:/bin").output().unwrap()).expect(0);
}
