//! Tables that are loaded at once, by `--jobs`.

use super::interrupted::close;
use super::laboratory::{Shop, into};
use crate::support::app::ended;
use crate::support::mongod::until;
use crate::support::postgres::Version;

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
