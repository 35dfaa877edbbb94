//! Restores that end before they are done, at places where a lock makes them wait: nothing is half there, and a rerun
//! finishes.

use super::laboratory::{Shop, assert_nothing_staged, into, over, physical};
use crate::support::app::{Ended, ended};
use crate::support::mongod::{until, wait};
use crate::support::postgres::{Database, Version};
use crate::support::tracer::{Fault, trace};
use backup::config::{self, Consistency, Ddl, Secret, Timeouts};
use backup::pipeline::Cancel;
use backup::source::postgres::{Postgres, Session};
use std::path::Path;
use std::process::{Child, Command};

/// Whoever writes row 150 waits for whoever holds the lock 42.
const GATED: &str = "
CREATE FUNCTION gate(n int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN IF n = 150 THEN PERFORM pg_advisory_xact_lock_shared(42); END IF; RETURN true; END$$;
CREATE TABLE t (id int PRIMARY KEY CHECK (gate(id)), v text);
CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 300) i; INSERT INTO u SELECT i, i FROM generate_series(1, 300) i";

fn gated() -> Shop {
    let shop = Shop::new(Version::V15, GATED, "t, u");
    // How long a lock is waited for.
    shop.app.reconfigure("engine: postgres,", "engine: postgres, timeouts: {connect: 10m},");
    shop.run(&["create"]).expect(0);
    shop
}

/// Closes the gate of a database until the session is dropped.
pub fn close(database: &Database) -> (Postgres, Session) {
    let source = config::Postgres {
        uri: Secret::new(database.uri()),
        schema: "public".into(),
        ddl: Ddl::None,
        consistency: Consistency::Preferred,
        passfile: None,
        folder: Path::new("/nowhere").into(),
    };
    let holder = Postgres::open_target("holder", &source, Timeouts::default(), Cancel::default()).unwrap();
    let session = holder.session().unwrap();
    wait(session.run("SELECT pg_advisory_lock(42)")).unwrap();
    (holder, session)
}

/// Waits until a statement that begins so waits at the gate; the process that runs it.
fn at_the_gate(database: &Database, statement: &str) -> String {
    let sql = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
         AND wait_event = 'advisory' AND starts_with(query, '{statement}')"
    );
    let mut pid = String::new();
    until("waiting at the gate", || {
        pid = database.run(&sql);
        !pid.is_empty()
    });
    pid
}

fn waited_for(child: Child) -> Ended {
    ended(child.wait_with_output().unwrap())
}

/// How a run is ended, and the exit code of that.
const ENDS: [(&str, i32); 3] = [("the server", 1), ("TERM", 143), ("KILL", 137)];

fn end(how: &str, database: &Database, pid: &str, child: &Child) {
    match how {
        "the server" => assert_eq!(database.run(&format!("SELECT pg_terminate_backend({pid})")), "t"),
        signal => {
            let kill = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
            assert!(kill.success());
        }
    }
}

#[test]
fn a_restore_that_ends_while_it_loads_leaves_nothing_and_a_rerun_makes_all() {
    let shop = gated();
    for (how, code) in ENDS {
        let back = shop.beside();
        let empty = physical(&shop, &back);
        let gate = close(&back);
        let child = shop.spawn(&["restore", "latest", "--into", &into(&back)]);
        let pid = at_the_gate(&back, "COPY \"backup-restore.");
        end(how, &back, &pid, &child);
        let stopped = waited_for(child).expect(code);
        drop(gate);
        if how != "KILL" {
            assert!(physical(&shop, &back) == empty, "{how}: {}", stopped.stderr);
            assert_nothing_staged(&back);
        }
        if how == "the server" {
            assert!(stopped.stderr.contains("table t") && stopped.stderr.contains("57P01"), "{}", stopped.stderr);
        }
        shop.restore_into(&back, &[]).expect(0);
        shop.assert_same(&back);
    }
}

#[test]
fn a_restore_that_ends_in_the_switch_changes_nothing_and_a_rerun_finishes() {
    let shop = gated();
    for (how, code) in ENDS {
        let back = shop.copy();
        back.run(
            "UPDATE t SET v = 'spoilt' WHERE id < 100; DELETE FROM u WHERE id > 200; INSERT INTO t VALUES (999, 'new')",
        );
        let before = physical(&shop, &back);
        let gate = close(&back);
        let into = into(&back);
        let arguments = over(&back, "replace", &into);
        let child = shop.spawn(&arguments);
        let pid = at_the_gate(&back, "INSERT INTO \"public\".\"t\"");
        end(how, &back, &pid, &child);
        let stopped = waited_for(child).expect(code);
        drop(gate);
        // The server may need a moment to see that nobody listens.
        until("rolled back", || {
            back.run("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'backup'") == "0"
        });
        if how == "KILL" {
            // What is staged is there still, and none of it in place.
            assert_eq!(back.run("SELECT count(*), count(*) FILTER (WHERE v = 'spoilt') FROM t"), "301|99");
            assert_eq!(back.run("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'backup-restore.%'"), "1");
        } else {
            assert!(physical(&shop, &back) == before, "{how}: {}", stopped.stderr);
            assert_nothing_staged(&back);
        }
        shop.run(&arguments).expect(0);
        shop.assert_same(&back);
    }
}

#[test]
fn a_restore_killed_right_after_its_commit_is_known_to_be_done_and_keeps_what_was_written_since() {
    let shop = gated();
    let back = shop.copy();
    back.run("UPDATE t SET v = 'spoilt'");
    let into = into(&back);
    let arguments = over(&back, "replace", &into);
    let committed = "SELECT count(*) FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') LIKE '%inPlace%'";
    let journal = shop.app.path("backups");
    let traced = trace(&shop.command(&arguments), &journal, |call| {
        let is_of_journal =
            call.number.is_some() && call.paths.iter().any(|path| path.to_string_lossy().contains("journal/"));
        (is_of_journal && back.run(committed) == "1").then_some(Fault::Kill)
    });
    traced.ended.expect(137);
    assert_eq!(traced.hit.len(), 1, "no write to the journal came after the commit");
    let list = shop.run(&["--json", "list"]).expect(0).json();
    assert_eq!(list["interruptedRestores"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(back.run("SELECT count(*) FROM t WHERE v = 'spoilt'"), "0");
    back.run("INSERT INTO t VALUES (999, 'since')");
    let report = shop.run(&arguments).expect(0).json();
    assert!(report["collections"].as_array().unwrap().iter().all(|c| c["verified"] == true), "{report}");
    assert_eq!(back.run("DELETE FROM t WHERE v = 'since' RETURNING id"), "999");
    shop.assert_same(&back);
    let list = shop.run(&["--json", "list"]).expect(0).json();
    assert_eq!(list["interruptedRestores"], serde_json::json!([]));
}
