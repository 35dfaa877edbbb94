//! Restores of one tenant that are killed: at every line of the journal, and while a server is at work. Whatever was, the
//! others are as they were, and a rerun of the same command makes it right.

use super::clinic::{Clinic, Engine, TABLES, parted};
use super::postgres::interrupted::close;
use crate::support::mongod::{Kind, Mongod, fresh_database, until};
use crate::support::postgres::{Postgres, Version};
use crate::support::proxy::Proxy;
use crate::support::tracer::{Call, Fault, trace};
use mongodb::bson::doc;
use std::process::Child;

/// The tenant's records as they must not stay.
fn spoil(clinic: &Clinic) {
    clinic.delete("visits", 70, 72);
    clinic.delete("members", 71, 72);
    clinic.change("policies", 72, "changed");
    clinic.change("visits", 73, "changed");
    clinic.insert("visits", 79, Some(("member", "73")), "new");
}

/// Backups of the tenant's own and of all.
fn backups(clinic: &Clinic) -> [String; 2] {
    [["--tenant", "t7"].as_slice(), &[]].map(|scope| {
        let made = clinic.app.run(&[&["--json", "create"], scope].concat()).expect(0);
        made.json()["id"].as_str().unwrap().to_owned()
    })
}

fn arguments(id: &str) -> Vec<&str> {
    let replaced = ["--only", "database", "--existing", "replace", "--yes", "--no-safety-backup"];
    [&["restore", id, "--tenant", "t7"], &replaced[..]].concat()
}

/// Runs the same restore again, after which nothing tells of the kill.
fn assert_a_rerun_finishes(clinic: &Clinic, id: &str, what: &str) {
    let again = clinic.app.run(&arguments(id));
    assert_eq!(again.code, 0, "{what}: {}", again.stderr);
    let journals = std::fs::read_dir(clinic.app.path("backups/journal")).unwrap().count();
    assert_eq!(journals, 0, "{what}");
    match &clinic.engine {
        Engine::Sqlite => {}
        Engine::Postgres(database) => {
            let left = database.run("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'backup-restore%'");
            assert_eq!(left, "0", "{what}");
        }
        Engine::Mongo(server, name) => {
            let listed = server.command(name, doc! {"listCollections": 1, "nameOnly": true});
            assert!(!listed.to_string().contains("backup-restore"), "{what}: {listed}");
        }
    }
}

/// A call that changes the journal of a restore.
fn is_on_the_journal(call: &Call) -> bool {
    let is_journal = |path: &std::path::PathBuf| path.to_string_lossy().contains("/journal/");
    call.number.is_some() && call.paths.iter().any(is_journal)
}

#[test]
fn a_tenants_restore_that_is_killed_at_any_line_of_its_journal_is_finished_by_a_rerun() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        let ids = backups(&clinic);
        let before = clinic.picture();
        for n in 1.. {
            let id = &ids[n % 2];
            spoil(&clinic);
            let spoilt = clinic.picture();
            let (command, mut calls) = (clinic.app.command(&arguments(id)), 0);
            let traced = trace(&command, &clinic.app.path("backups"), |call| {
                calls += usize::from(is_on_the_journal(call));
                (is_on_the_journal(call) && calls == n).then_some(Fault::Kill)
            });
            if traced.hit.is_empty() {
                traced.ended.expect(0);
                // Begin, and two lines for each of three collections; each written and synced.
                assert!(n > 14, "only {n} kills");
                break;
            }
            let what = format!("killed at call {n}, {:?}, of {id}", traced.hit);
            assert_eq!(traced.ended.code, 137, "{what}");
            let found = clinic.picture();
            assert_eq!(parted(&found, 7).1, parted(&before, 7).1, "{what}");
            for table in TABLES {
                assert!(found[table] == before[table] || found[table] == spoilt[table], "{what}: {table} is between");
            }
            assert_a_rerun_finishes(&clinic, id, &what);
            assert_eq!(clinic.picture(), before, "{what}");
        }
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_tenants_restore_that_is_killed_between_writes_to_mongodb_is_finished_by_a_rerun() {
    // A transaction that a dead run has left is waited for, and goes after a minute unless the server is told otherwise.
    let soon = ["--setParameter", "transactionLifetimeLimitSeconds=2"];
    let replicated: &'static Mongod = Box::leak(Box::new(Mongod::start(Kind::ReplicaSet, &soon)));
    for server in [Mongod::standalone(), replicated] {
        let clinic = Clinic::new(Engine::Mongo(server, fresh_database()));
        let ids = backups(&clinic);
        let before = clinic.picture();
        let address = server.uri();
        let port = address.rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        let proxy = Proxy::before(port.parse().unwrap());
        clinic.app.reconfigure(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{}", proxy.port));
        let is_replicated = address == replicated.uri();
        let words = if is_replicated {
            vec!["documents", "deletes", "updates", "commitTransaction"]
        } else {
            vec!["documents", "deletes", "updates"]
        };
        for (word, id) in words.into_iter().flat_map(|word| ids.iter().map(move |id| (word, id))) {
            spoil(&clinic);
            proxy.hold_request(word);
            let child = clinic.app.spawn(&arguments(id));
            proxy.await_held();
            kill(child);
            proxy.release();
            let what = format!("killed at {word} of {id}");
            assert_eq!(parted(&clinic.picture(), 7).1, parted(&before, 7).1, "{what}");
            assert_a_rerun_finishes(&clinic, id, &what);
            assert_eq!(clinic.picture(), before, "{what}");
        }
    }
}

#[test]
fn a_tenants_restore_that_is_killed_while_it_waits_in_postgresql_is_finished_by_a_rerun() {
    let clinic = Clinic::new(Engine::Postgres(Postgres::shared(Version::V15).database()));
    let Engine::Postgres(database) = &clinic.engine else { unreachable!() };
    let ids = backups(&clinic);
    let before = clinic.picture();
    // What is written to each of them waits for whoever holds the lock 42.
    database.run(
        "CREATE FUNCTION gate(n int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
           $$BEGIN IF n = 72 THEN PERFORM pg_advisory_xact_lock_shared(42); END IF; RETURN true; END$$",
    );
    for (table, id) in ["visits", "members", "policies"].into_iter().flat_map(|t| ids.iter().map(move |id| (t, id))) {
        spoil(&clinic);
        database.run(&format!("ALTER TABLE {table} ADD CONSTRAINT gated CHECK (gate(id)) NOT VALID"));
        let what = format!("killed in {table} of {id}");
        let held = close(database);
        let child = clinic.app.spawn(&arguments(id));
        let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event = 'advisory' AND application_name = 'backup'";
        until("waiting at the gate", || database.run(waits) == "t");
        kill(child);
        drop(held);
        until("rolled back", || {
            database.run("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'backup'") == "0"
        });
        database.run(&format!("ALTER TABLE {table} DROP CONSTRAINT gated"));
        assert_eq!(parted(&clinic.picture(), 7).1, parted(&before, 7).1, "{what}");
        assert_a_rerun_finishes(&clinic, id, &what);
        assert_eq!(clinic.picture(), before, "{what}");
    }
}

#[test]
fn a_tenants_restore_that_is_killed_at_any_write_of_sqlite_is_finished_by_a_rerun() {
    let clinic = Clinic::new(Engine::Sqlite);
    let ids = backups(&clinic);
    let before = clinic.picture();
    let is_on_it = |call: &Call| {
        let name = |path: &std::path::PathBuf| path.to_string_lossy().contains("/clinic.db");
        call.number.is_some() && call.paths.iter().any(name)
    };
    for n in 1.. {
        let id = &ids[n % 2];
        spoil(&clinic);
        let (command, mut calls) = (clinic.app.command(&arguments(id)), 0);
        let traced = trace(&command, clinic.app.path("backups").parent().unwrap(), |call| {
            calls += usize::from(is_on_it(call));
            (is_on_it(call) && calls == n).then_some(Fault::Kill)
        });
        if traced.hit.is_empty() {
            traced.ended.expect(0);
            assert!(n > 5, "only {n} kills");
            break;
        }
        let what = format!("killed at call {n}, {:?}, of {id}", traced.hit);
        assert_eq!(parted(&clinic.picture(), 7).1, parted(&before, 7).1, "{what}");
        assert_a_rerun_finishes(&clinic, id, &what);
        assert_eq!(clinic.picture(), before, "{what}");
    }
}

#[test]
fn what_was_begun_as_another_tenant_is_not_gone_on_with_as_the_tenant_itself() {
    let clinic = Clinic::new(Engine::Sqlite);
    let [own, _] = backups(&clinic);
    let into = format!("db={}", clinic.app.path("beside.db").display());
    let common = ["restore", own.as_str(), "--tenant", "t7", "--only", "database", "--into", &into];
    let clone = [&common[..], &["--as-tenant", "t99"]].concat();
    let owners = || -> String {
        let connection = rusqlite::Connection::open(clinic.app.path("beside.db")).unwrap();
        connection.query_row("SELECT group_concat(DISTINCT tenant) FROM policies", [], |row| row.get(0)).unwrap()
    };
    // Everything is in place, and the journal still there.
    let (command, mut journal) = (clinic.app.command(&clone), None);
    let traced = trace(&command, &clinic.app.path("backups"), |call| {
        let is_end = call.name.starts_with("unlink") && is_on_the_journal(call);
        journal = journal.take().or_else(|| is_end.then(|| call.paths.clone()));
        is_end.then_some(Fault::Kill)
    });
    assert_eq!(traced.hit.len(), 1);
    assert_eq!(owners(), "t99");
    let refused = clinic.app.run(&[&common[..], &["--dry-run"]].concat()).expect(5).stderr;
    assert!(refused.contains("stand in the way") || refused.contains("key"), "{refused}");
    clinic.app.run(&clone).expect(0);
    assert_eq!(owners(), "t99");
}
