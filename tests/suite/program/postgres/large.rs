//! Data that takes a while: that of pgbench, and more than memory may hold.

use super::laboratory::{Shop, into};
use crate::support::app::ended;
use crate::support::postgres::Version;
use std::process::Command;
use std::time::Duration;

#[test]
#[ignore = "long: a million rows"]
fn a_database_that_pgbench_made_comes_back() {
    let shop = Shop::new(Version::V15, "", "pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers");
    let pgbench = |arguments: &[&str]| {
        let mut pgbench = Command::new(shop.version.programs().join("pgbench"));
        pgbench.args(arguments).args(["-q", "-h"]).arg(&shop.database.server.folder);
        pgbench.args(["-p", &shop.database.server.port.to_string(), "-U", "postgres", &shop.database.name]);
        let done = pgbench.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    pgbench(&["-i", "-s", "10", "--foreign-keys"]);
    shop.database.run(
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) SELECT 1, 1, i, i, now() FROM generate_series(1, 1000) i",
    );
    assert_eq!(shop.database.run("SELECT count(*) FROM pgbench_accounts"), "1000000");
    shop.run(&["-q", "create"]).expect(0);
    let back = shop.copy();
    shop.assert_same(&back);
    back.run("UPDATE pgbench_accounts SET abalance = 1 WHERE aid % 7 = 0; TRUNCATE pgbench_history");
    shop.restore_over(&back, "replace", &[]).expect(0);
    shop.assert_same(&back);
}

/// What a process has used: memory at most, and bytes written to disks, both as last seen before it ended.
#[derive(Debug, Default)]
struct Used {
    memory: u64,
    written: u64,
}

/// Runs to the end, and looks on.
fn watched(shop: &Shop, arguments: &[&str]) -> Used {
    let mut child = shop.spawn(arguments);
    let (mut used, mut looks) = (Used::default(), 0);
    let pid = child.id();
    let number = |file: &str, key: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    loop {
        // A process that has ended says nothing of these.
        if let (Some(memory), Some(written)) = (number("status", "VmHWM:"), number("io", "write_bytes:")) {
            used = Used { memory: memory << 10, written };
            looks += 1;
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    ended(child.wait_with_output().unwrap()).expect(0);
    assert!(looks > 50, "it was over after {looks} looks");
    eprintln!("{arguments:?}: {used:?}");
    used
}

#[test]
#[ignore = "long: a gigabyte"]
fn a_gigabyte_passes_through_little_memory_and_no_temporary_file() {
    // Two tables are read at once, with rows of a megabyte in one; of a debug build, a third of it its own text.
    const BOUND: u64 = 128 << 20;
    let sql = "CREATE TABLE large (id int PRIMARY KEY, t text); ALTER TABLE large ALTER t SET STORAGE EXTERNAL;
        INSERT INTO large SELECT i, (SELECT string_agg(md5(i * 1000 + j || ''), '') FROM generate_series(1, 32) j) FROM generate_series(1, 800000) i;
        CREATE TABLE wide (id int PRIMARY KEY, t text); INSERT INTO wide SELECT i, repeat(md5(i || ''), 31250) FROM generate_series(1, 192) i";
    let shop = Shop::new(Version::V15, sql, "large, wide");
    let size: u64 = shop
        .database
        .run("SELECT sum(length(t)) FROM (SELECT t FROM large UNION ALL SELECT t FROM wide) r")
        .parse()
        .unwrap();
    assert!(size > 1_000_000_000, "{size} bytes");
    let made = watched(&shop, &["create"]);
    let stored = std::fs::metadata(shop.app.backup(&shop.app.ids()[0]).join("core/shop.tar.gz")).unwrap().len();
    assert!(made.memory < BOUND, "{made:?}");
    assert!(made.written < stored + (8 << 20), "{made:?}, {stored} bytes are stored");
    let back = shop.beside();
    let restored = watched(&shop, &["restore", "latest", "--into", &into(&back)]);
    assert!(restored.memory < BOUND && restored.written < 8 << 20, "{restored:?}");
    assert_eq!(
        back.run("SELECT count(*), sum(hashtext(t)) FROM large"),
        shop.database.run("SELECT count(*), sum(hashtext(t)) FROM large")
    );
    assert_eq!(
        back.run("SELECT md5(string_agg(t, '' ORDER BY id)) FROM wide"),
        shop.database.run("SELECT md5(string_agg(t, '' ORDER BY id)) FROM wide")
    );
}
