//! How definitions are read: by pg_dump and pg_restore, at one moment, without a secret, and what stands in their way.

use super::definitions::{RICH, all, named, taken_before};
use super::{open, opened, shown};
use crate::support::mongod::wait;
use crate::support::postgres::{Database, PASSWORD, Postgres as Server, Version};
use backup::error::{Error, Kind, Result};
use backup::source::postgres::Postgres;
use backup::source::postgres::schema::{Schema, Section};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Runs [`in_a_process_of_its_own`], with these programs first on its path.
pub fn in_another_process(database: &Database, wanted: &BTreeSet<u32>, programs: &Path) -> Schema {
    let out = tempfile::NamedTempFile::new().unwrap();
    let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "postgres_engine::dumping::in_a_process_of_its_own", "--ignored"]);
    test.env("BACKUP_TEST_URI", database.uri()).env("BACKUP_TEST_WANTED", wanted.join(" "));
    test.env("BACKUP_TEST_OUT", out.path()).env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    let done = test.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    serde_json::from_slice(&fs::read(out.path()).unwrap()).unwrap_or_else(|e| panic!("{e}: {said}"))
}

#[test]
#[ignore = "the other half of tests that change the path or the environment"]
fn in_a_process_of_its_own() {
    // Where all tests are asked for, it has nobody that it is half of.
    let Ok(uri) = std::env::var("BACKUP_TEST_URI") else { return };
    let var = |name| std::env::var(name).unwrap();
    let wanted = var("BACKUP_TEST_WANTED").split(' ').map(|oid| oid.parse().unwrap()).collect();
    let schema = taken_before(&open(&uri).unwrap(), &wanted, || {}).unwrap();
    fs::write(var("BACKUP_TEST_OUT"), serde_json::to_vec(&schema).unwrap()).unwrap();
}

/// Programs that write down what can be seen of them, and then are the real ones.
fn recording(folder: &Path) {
    for program in ["pg_dump", "pg_restore"] {
        let real = Version::V15.programs().join(program);
        let log = folder.join("seen");
        let script = format!(
            "#!/bin/sh\n{{ tr '\\0' '\\n' < /proc/$$/cmdline; tr '\\0' '\\n' < /proc/$$/environ; }} >> {}\nexec {} \"$@\"\n",
            log.display(),
            real.display()
        );
        fs::write(folder.join(program), script).unwrap();
        fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn no_secret_is_in_the_arguments_or_the_environment_of_the_programs() {
    let database = Server::shared(Version::V15).database();
    database.run("CREATE SCHEMA app; CREATE TABLE app.t (v int)");
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    // The other process has the URI, password and all, in its own environment.
    let schema = in_another_process(&database, &all(&database), folder.path());
    assert!(schema.pre_data().contains("CREATE TABLE app.t"));
    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    assert!(seen.contains("--schema-only") && seen.contains("--use-list") && seen.contains("PATH="), "{seen}");
    assert!(seen.contains("passfile='/proc/"), "{seen}");
    assert!(!seen.contains(PASSWORD) && !seen.contains("BACKUP_TEST"), "{seen}");
}

#[test]
fn a_body_that_looks_like_the_head_of_an_entry_stays_whole() {
    let database = Server::shared(Version::V15).database();
    database.run(RICH);
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let schema = in_another_process(&database, &named(&database, &["orders"]), folder.path());
    let runs = fs::read_to_string(folder.path().join("seen")).unwrap().matches("--use-list").count();
    assert!(runs > 2, "one script was cut in {runs} runs: nothing in it was hard to tell");
    let tricky = schema.entries.iter().find(|d| d.entry.rest.contains("tricky()")).unwrap();
    assert_eq!(tricky.section, Section::PreData);
    assert!(tricky.sql.contains("-- Name: x; Type: TABLE") && tricky.sql.ends_with("$$;\n"), "{}", tricky.sql);
}

#[test]
fn definitions_are_those_of_the_snapshot() {
    let database = Server::shared(Version::V15).database();
    database.run(RICH);
    let wanted = named(&database, &["base"]);
    let later = || drop(database.run("ALTER TABLE app.base ADD COLUMN later int; CREATE INDEX later ON app.base (a)"));
    let schema = taken_before(&opened(&database), &wanted, later).unwrap();
    assert!(schema.pre_data().contains("CREATE TABLE app.base"));
    assert!(!format!("{}{}", schema.pre_data(), schema.post_data()).contains("later"));
}

#[track_caller]
fn refused(result: Result<Schema>, kind: Kind, words: &[&str]) -> Error {
    let error = result.expect_err("it was not refused");
    assert_eq!(error.kind, kind, "{error:?}");
    for word in words {
        assert!(shown(&error).contains(word), "{word} is not in {error:?}");
    }
    assert!(!shown(&error).contains("canary"), "{error:?}");
    error
}

#[test]
fn a_pg_dump_that_is_older_than_the_server_is_refused_with_the_package_to_install() {
    let database = Server::shared(Version::V18).database();
    database.run("CREATE SCHEMA app; CREATE TABLE app.t (v int)");
    let dumped = taken_before(&opened(&database), &all(&database), || {});
    refused(dumped, Kind::Source, &["older than the server (18)", "postgresql-client-18", "ddl: none"]);
}

#[test]
fn a_table_that_is_closed_to_us_is_told_with_the_privilege() {
    let database = Server::shared(Version::V15).database();
    let role = database.role("reader");
    database.run(&format!(
        "CREATE SCHEMA app; CREATE TABLE app.t (v int); CREATE TABLE app.closed (v int);
         GRANT USAGE ON SCHEMA app TO {role}; GRANT SELECT ON app.t TO {role}"
    ));
    let postgres = open(&database.uri_as(&role)).unwrap();
    let dumped = taken_before(&postgres, &named(&database, &["t"]), || {});
    refused(dumped, Kind::Connect, &["permission denied for table closed", "grant SELECT on all of them"]);
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_lock_of_another_session_is_waited_for_as_long_as_any_and_then_told() {
    let database = Server::shared(Version::V15).database();
    database.run("CREATE SCHEMA app; CREATE TABLE app.t (v int)");
    let timeouts = backup::config::Timeouts { connect: Some(std::time::Duration::from_secs(2)), ..Default::default() };
    let source = super::source(&database.uri());
    let postgres = Postgres::open("payroll", &source, timeouts, backup::pipeline::Cancel::default()).unwrap();
    let other = opened(&database);
    let (wanted, session) = (all(&database), other.session().unwrap());
    let lock = "SET default_transaction_read_only = off; BEGIN READ WRITE; LOCK TABLE app.t IN ACCESS EXCLUSIVE MODE";
    let dumped = taken_before(&postgres, &wanted, || wait(session.run(lock)).unwrap());
    refused(dumped, Kind::Source, &["LOCK TABLE app.t", "timeouts.connect"]);
}
