//! The programs of PostgreSQL that definitions are read with: missing, and run where connections are sealed.

use super::laboratory::Shop;
use crate::support::app::{Ended, ended};
use crate::support::postgres::{PASSWORD, Postgres as Server, Version};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs the binary where no program of PostgreSQL is installed: none on the path, none where Debian keeps them.
pub fn without_programs(shop: &Shop, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let real = shop.app.command(arguments);
    let mut command = Command::new("unshare");
    let hide = r#"[ ! -d /usr/lib/postgresql ] || mount --bind "$0" /usr/lib/postgresql && PATH="$0" exec "$@""#;
    command.args(["--map-root-user", "--mount", "sh", "-c", hide]).arg(folder.path());
    command.arg(real.get_program()).args(real.get_args());
    command.current_dir(real.get_current_dir().unwrap()).env_clear().env("PATH", "/usr/bin:/bin");
    ended(command.output().unwrap())
}

#[test]
fn without_pg_dump_the_package_is_named_and_rows_alone_are_backed_up_all_the_same() {
    let shop = Shop::new(Version::V15, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)", "t");
    let failed = without_programs(&shop, &["create"]).expect(1);
    for word in ["pg_dump is not installed", "postgresql-client-15", "ddl: none"] {
        assert!(failed.stderr.contains(word), "{word}: {}", failed.stderr);
    }
    assert_eq!(shop.app.ids(), Vec::<String>::new());
    shop.app.reconfigure("engine: postgres,", "engine: postgres, ddl: none,");
    without_programs(&shop, &["create"]).expect(0);
    let back = shop.beside();
    back.run("CREATE TABLE t (id int PRIMARY KEY)");
    without_programs(&shop, &["restore", "latest", "--into", &super::laboratory::into(&back)]).expect(0);
    assert_eq!(back.run("SELECT id FROM t ORDER BY id"), "1\n2");
}

/// Programs that note their arguments and what of their environment others could see, and then are the real ones.
fn recording(folder: &Path) {
    for program in ["pg_dump", "pg_restore"] {
        let (real, log) = (Version::V15.programs().join(program), folder.join("seen"));
        let note = format!("{{ echo {program}; tr '\\0' '\\n' < /proc/$$/cmdline; env; }} >> {}", log.display());
        let path = folder.join(program);
        fs::write(&path, format!("#!/bin/sh\n{note}\nexec {} \"$@\"\n", real.display())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
}

/// Has the recording pg_dump do this first, each time that it is to dump.
fn before_dumping(folder: &Path, commands: &str) {
    let pg_dump = folder.join("pg_dump");
    let first = format!("#!/bin/sh\ncase \"$*\" in *--schema-only*) {commands};; esac\n");
    let script = fs::read_to_string(&pg_dump).unwrap().replacen("#!/bin/sh\n", &first, 1);
    fs::write(&pg_dump, script).unwrap();
}

/// Runs the binary, which finds programs here first.
fn run_with(folder: &Path, shop: &Shop, arguments: &[&str]) -> Ended {
    let mut command = shop.app.command(arguments);
    ended(command.env("PATH", format!("{}:/usr/bin:/bin", folder.display())).output().unwrap())
}

#[test]
fn pg_dump_asks_for_the_same_certificate_and_gets_the_password_of_a_file_in_no_argument() {
    let server = Server::with_tls();
    let shop = Shop::on(server, Version::V15, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", "t");
    let (port, name) = (server.port, &shop.database.name);
    let ca = server.folder.join("ca.crt").display().to_string();
    let passwords = shop.app.path("passwords").display().to_string();
    let uri = format!(
        "postgres://postgres@localhost:{port}/{name}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={ca}&passfile={passwords}"
    );
    shop.app.reconfigure(&shop.database.uri(), &uri);
    shop.app.write("passwords", format!("localhost:{port}:{name}:postgres:{PASSWORD}\n").as_bytes());
    fs::set_permissions(shop.app.path("passwords"), Permissions::from_mode(0o600)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    shop.database.run("ALTER SYSTEM SET log_connections = on; SELECT pg_reload_conf()");

    let made = run_with(folder.path(), &shop, &["create"]).expect(0);

    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    assert!(seen.contains("pg_dump\n") && seen.contains("pg_restore\n"), "{seen}");
    assert!(seen.contains("sslmode='verify-full'") && seen.contains(&format!("sslrootcert='{ca}'")), "{seen}");
    for text in [&seen, &made.stdout, &made.stderr] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    // The server's own word: nobody of ours came in clear.
    let log = fs::read_to_string(server.folder.join("log")).unwrap();
    let of_ours = |line: &&str| line.contains("authorized") && line.contains(name.as_str()) && line.contains("=backup");
    let came: Vec<_> = log.lines().filter(of_ours).collect();
    assert!(came.len() > 1 && came.iter().all(|line| line.contains("SSL enabled")), "{came:?}");
    let back = server.database();
    shop.restore_into(&back, &[]).expect(0);
    shop.assert_same(&back);
}

#[test]
fn many_tenants_out_of_one_snapshot_take_one_run_of_pg_dump() {
    let table = |name: &str| {
        format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, tenant text); INSERT INTO {name} SELECT i, 't' || i % 6 FROM generate_series(1, 60) i;"
        )
    };
    let shop = Shop::new(Version::V15, &[table("a"), table("b")].concat(), "a, b");
    let tenants: String = (0..6).map(|n| format!("t{n}: {{}}, ")).collect();
    shop.app.reconfigure("modules:\n", &format!("tenancy: {{field: tenant, tenants: {{{tenants}}}}}\nmodules:\n"));
    shop.database.run("INSERT INTO a VALUES (99, NULL)");
    recording(shop.app.path(".").as_path());
    let made = run_with(&shop.app.path("."), &shop, &["--json", "create", "--all-tenants"]).expect(0);
    let seen = fs::read_to_string(shop.app.path("seen")).unwrap();
    assert_eq!(seen.lines().filter(|line| *line == "--schema-only").count(), 1, "{}", made.stdout);
    // Each has the definitions, and the remarks on what is the same for all.
    for id in shop.app.ids() {
        let shown = shop.app.run(&["--json", "show", &id]).expect(0).stdout;
        for remark in ["1 row has no `tenant`", "`tenant` has no index"] {
            assert!(shown.contains(remark), "{remark}: {shown}");
        }
    }
    let back = shop.beside();
    shop.run(&["restore", "latest", "--tenant", "t3", "--into", &super::laboratory::into(&back)]).expect(0);
    assert_eq!(back.run("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"), "10|10");
}

#[test]
fn archives_of_several_modules_take_one_run_of_pg_dump_and_it_runs_while_rows_are_read() {
    let table = |name: &str| {
        format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, text text); INSERT INTO {name} SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i;"
        )
    };
    let shop = Shop::new(Version::V15, &[table("a"), table("b")].concat(), "a");
    shop.app.reconfigure("modules:\n", "modules:\n  more: {required: true, collections: [b]}\n");
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let began = folder.path().join("began");
    before_dumping(folder.path(), &format!("date +%s%3N > {}", began.display()));
    run_with(folder.path(), &shop, &["create", "--rate-limit", "1MiB"]).expect(0);
    let ended_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    assert_eq!(seen.lines().filter(|line| *line == "--schema-only").count(), 1, "{seen}");
    // Four million bytes take more than three seconds at this rate, however fast the machine is.
    let began_at: u128 = fs::read_to_string(began).unwrap().trim().parse().unwrap();
    assert!(ended_at - began_at > 3000, "{began_at} {ended_at}");
    let back = shop.beside();
    shop.run(&["restore", "latest", "--into", &super::laboratory::into(&back)]).expect(0);
    assert_eq!(back.run("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"), "2000|2000");
}

#[test]
fn a_wrapper_that_chooses_a_version_each_time_is_passed_over() {
    let shop = Shop::new(Version::V15, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", "t");
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let wrapper = folder.path().join("pg_wrapper");
    fs::rename(folder.path().join("pg_dump"), &wrapper).unwrap();
    std::os::unix::fs::symlink(&wrapper, folder.path().join("pg_dump")).unwrap();
    run_with(folder.path(), &shop, &["create"]).expect(0);
    assert!(!folder.path().join("seen").exists());
}

#[test]
fn a_pg_dump_that_failed_while_rows_were_read_is_run_again_after_them() {
    let shop = Shop::new(Version::V15, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", "t");
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path());
    let (once, seen) = (folder.path().join("once"), folder.path().join("seen"));
    let fail = format!("mkdir {} 2>/dev/null && echo failed >> {} && exit 1", once.display(), seen.display());
    before_dumping(folder.path(), &fail);
    run_with(folder.path(), &shop, &["create"]).expect(0);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("failed\n") && seen.contains("--schema-only"), "{seen}");
    let back = shop.beside();
    shop.run(&["restore", "latest", "--into", &super::laboratory::into(&back)]).expect(0);
    assert_eq!(back.run("SELECT id FROM t"), "1");
}
