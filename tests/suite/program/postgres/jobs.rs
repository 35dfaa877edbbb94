//! What is read and loaded at once, by `--jobs`.

use super::interrupted::close;
use super::laboratory::{Shop, into};
use crate::support::app::ended;
use crate::support::mongod::until;
use crate::support::postgres::{Postgres as Server, Version};
use std::collections::BTreeSet;
use std::fs;

/// Whoever writes into a table waits for whoever holds the lock 42.
const GATE: &str = "CREATE FUNCTION gate(n int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN true; END$$;";

#[test]
fn as_many_tables_are_loaded_at_once_as_jobs_are_asked_for() {
    let table =
        |n: i32| format!("CREATE TABLE t{n} (id int PRIMARY KEY CHECK (gate(id))); INSERT INTO t{n} VALUES (1);");
    let sql: String = std::iter::once(GATE.to_owned()).chain((0..5).map(table)).collect();
    let shop = Shop::new(Version::V15, &sql, "t0, t1, t2, t3, t4");
    shop.app.reconfigure("engine: postgres,", "engine: postgres, timeouts: {connect: 10m},");
    shop.run(&["create"]).expect(0);
    for jobs in ["1", "4"] {
        let beside = shop.beside();
        let closed = close(&beside);
        let running = shop.spawn(&["restore", "latest", "--jobs", jobs, "--into", &into(&beside)]);
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' AND query LIKE 'COPY%'";
        until("as many wait at the gate as there are jobs", || beside.run(waiting) == jobs);
        drop(closed);
        ended(running.wait_with_output().unwrap()).expect(0);
        shop.assert_same(&beside);
    }
}

/// A small table, and three pieces of 32 MiB of one with some dead rows, of `rows` that fill `percent` of a block; on a
/// server of its own, which logs who runs what.
fn large(rows: u32, width: u32, percent: u32) -> Shop {
    let sql = format!(
        "CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1);
         CREATE TABLE large (id int, v text) WITH (fillfactor = {percent}, autovacuum_enabled = false);
         INSERT INTO large SELECT i, repeat(md5(i::text), {width}) FROM generate_series(1, {rows}) i;
         UPDATE large SET v = 'moved' WHERE id % 1000 = 0; DELETE FROM large WHERE id % 7 = 0"
    );
    let settings = ["log_statement=all", "log_line_prefix=%a %p "];
    let server: &'static Server = Box::leak(Box::new(Server::start(Version::V15, &settings)));
    let shop = Shop::on(server, Version::V15, &sql, "large");
    shop.app.reconfigure("modules:\n", "modules:\n  light: {required: true, source: shop, collections: [small]}\n");
    shop
}

/// The sessions of ours that the server has logged with a statement that holds these words, and the statements.
fn logged(shop: &Shop, words: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let log = fs::read_to_string(shop.database.server.folder.join("log")).unwrap();
    let lines = log.lines().filter(|line| line.starts_with("backup ") && line.contains(words));
    let lines = lines.filter_map(|line| line.strip_prefix("backup ")?.split_once(' '));
    lines.map(|(pid, line)| (pid.to_owned(), line.rsplit(": ").next().unwrap_or_default().to_owned())).unzip()
}

#[test]
fn a_large_table_is_read_in_pieces_by_as_many_sessions_as_there_are_jobs() {
    for (jobs, sessions) in [("1", 1), ("3", 3)] {
        let shop = large(100_000, 2, 10);
        shop.run(&["create", "--module", "core", "--jobs", jobs]).expect(0);
        let (_, pieces) = logged(&shop, "COPY (SELECT \"id\", \"v\" FROM ONLY \"public\".\"large\" WHERE ctid");
        assert_eq!(pieces.len(), 3, "{pieces:?}");
        let (at_the_moment, _) = logged(&shop, "SET TRANSACTION SNAPSHOT");
        // One of them is pg_dump's.
        assert_eq!(at_the_moment.len(), sessions + 1, "--jobs {jobs}");
        let back = shop.beside();
        shop.restore_into(&back, &["--module", "core"]).expect(0);
        let all = "SELECT count(*), md5(string_agg(id || v, ',' ORDER BY id)) FROM large";
        assert_eq!(back.run(all), shop.database.run(all));
    }
}

#[test]
fn who_reads_a_piece_and_is_ended_fails_the_table_and_no_other() {
    // More than the system keeps between server and client.
    let shop = large(100_000, 30, 100);
    // A second a block: all of them are there when one is ended.
    let running = shop.spawn(&["create", "--jobs", "2", "--rate-limit", "1MiB"]);
    let readers = "FROM pg_stat_activity WHERE application_name = 'backup' AND query LIKE 'COPY (SELECT%ctid%' AND state = 'active'";
    until("two read", || shop.database.run(&format!("SELECT count(*) {readers}")) == "2");
    let ended_one =
        shop.database.run(&format!("SELECT pg_terminate_backend(pid) FROM (SELECT max(pid) AS pid {readers}) r"));
    assert_eq!(ended_one, "t");
    let partial = ended(running.wait_with_output().unwrap()).expect(3);
    // What the server says last is lost where it cannot write any more.
    assert!(partial.stderr.contains("large"), "{}", partial.stderr);
    let list = shop.run(&["--json", "list"]).expect(0).json();
    assert_eq!(list["backups"][0]["modules"], serde_json::json!({"light": "complete", "core": "failed"}));
}
