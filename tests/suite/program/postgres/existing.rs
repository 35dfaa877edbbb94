//! Restores over tables that hold something: exact rows, nothing of the application runs, and definitions stay.

use super::laboratory::{Shop, assert_nothing_staged, physical, rows};
use crate::support::postgres::{Database, Version};

/// Changes rows of `database` behind the back of its triggers and keys.
fn spoil(database: &Database, sql: &str) {
    database.run(&format!("SET session_replication_role = replica; {sql}"));
}

const CHANGES: &str = r#"
DELETE FROM orders WHERE id % 2 = 0; UPDATE users SET name = 'spoilt', a = NULL WHERE id < 10; DELETE FROM users WHERE id = 50;
INSERT INTO users (name, tenant) VALUES ('new', 't9'); INSERT INTO audit (what) VALUES ('new'); DELETE FROM log WHERE n = 1;
INSERT INTO log VALUES ('2030-01-01', 7, 'new'); DELETE FROM base WHERE a = 1; INSERT INTO child VALUES (9, 'z', 9);
DELETE FROM nothing; INSERT INTO empty VALUES (1, 'new'); UPDATE vals SET big = NULL, j = NULL;
DELETE FROM "Odd ""na'me"" %20ü/x"; INSERT INTO rooms VALUES ('[20,30)'); DELETE FROM volatile; UPDATE guarded SET owner = 'x';
INSERT INTO documents VALUES ('<new/>'); UPDATE lines SET what = 'spoilt ' || o; REFRESH MATERIALIZED VIEW sums;"#;

/// Sequences as they were: what was changed has moved them on.
pub const FORGET: &str = "SELECT setval('orders_id_seq', 300), setval('audit_id_seq', 538), setval('users_id_seq', 90)";

#[test]
fn a_replaced_database_equals_the_backup_and_no_trigger_rule_or_cascade_ran() {
    let shop = Shop::rich();
    let back = shop.copy();
    // Sequences that went on stay there: what they gave is in use elsewhere.
    spoil(&back, &format!("{CHANGES} SELECT setval('orders_id_seq', 5000); SELECT setval('users_id_seq', 3)"));
    let report = shop.restore_over(&back, "replace", &[]).expect(0).json();
    assert!(report["collections"].as_array().unwrap().iter().all(|c| c["verified"] == true), "{report}");
    let standing = "SELECT (SELECT last_value FROM orders_id_seq), (SELECT last_value FROM users_id_seq)";
    assert_eq!(back.run(standing), "5000|90");
    back.run(FORGET);
    shop.assert_same(&back);
}

#[test]
fn a_merge_overwrites_what_is_stored_and_keeps_what_is_not() {
    let shop = Shop::rich();
    let back = shop.copy();
    let keyed = ["users", "orders", "lines", "log", "later"].map(|name| ["--collection", name]).concat();
    spoil(&back, CHANGES);
    let audited = back.run("SELECT count(*) FROM audit");
    let report = shop.restore_over(&back, "merge", &keyed).expect(0).json();
    let users = report["collections"].as_array().unwrap().iter().find(|c| c["name"] == "users").unwrap().clone();
    assert_eq!(
        (&users["created"], &users["overwritten"], &users["deleted"], &users["verified"]),
        (&1.into(), &89.into(), &0.into(), &true.into())
    );
    assert_eq!(back.run("SELECT count(*) FROM audit"), audited, "a trigger or rule ran");
    assert_eq!(back.run("SELECT string_agg(name, ',') FROM users WHERE id > 90"), "new");
    assert_eq!(back.run("SELECT count(*) FROM log WHERE line = 'new'"), "1");
    back.run(
        "SET session_replication_role = replica; DELETE FROM users WHERE id > 90; DELETE FROM log WHERE line = 'new'",
    );
    for table in ["users", "orders", "lines", "log", "later"] {
        let all = format!("SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t");
        assert_eq!(back.run(&all), shop.database.run(&all), "{table}");
    }
    assert_eq!(shop.definitions(&back), shop.definitions(&shop.database));
    assert_nothing_staged(&back);
}

#[test]
fn an_addition_changes_no_row_that_is_there() {
    let shop = Shop::rich();
    let back = shop.copy();
    let keyed = ["users", "orders", "lines", "log"].map(|name| ["--collection", name]).concat();
    spoil(&back, CHANGES);
    let place = "SELECT id, ctid, xmin FROM users WHERE id <> 50 ORDER BY id";
    let before = back.run(place);
    shop.restore_over(&back, "add", &keyed).expect(0);
    assert_eq!(back.run(place), before);
    let sql = "SELECT (SELECT name FROM users WHERE id = 50), (SELECT count(*) FROM users), (SELECT count(*) FROM users WHERE name = 'spoilt'),
        (SELECT count(*) FROM orders), (SELECT count(*) FROM log)";
    assert_eq!(back.run(sql), "u50|91|9|300|401");
    assert_eq!(shop.definitions(&back), shop.definitions(&shop.database));
}

#[test]
fn a_table_that_others_inherit_from_is_replaced_without_touching_their_rows() {
    let shop = Shop::rich();
    let back = shop.copy();
    back.run("DELETE FROM ONLY base WHERE a = 1; INSERT INTO child VALUES (7, 'since', 7)");
    let theirs = "SELECT ctid, xmin, * FROM child";
    let before = back.run(theirs);
    shop.restore_over(&back, "replace", &["--collection", "base"]).expect(0);
    assert_eq!(back.run(theirs), before);
    assert_eq!(back.run("SELECT a FROM ONLY base ORDER BY a"), "1\n2");
}

/// Seats with unique places, and who sits there: those go with their seat.
fn seats() -> Shop {
    let shop = Shop::new(
        Version::V15,
        "CREATE TABLE seats (id int PRIMARY KEY, place text NOT NULL UNIQUE, mail text);
         CREATE UNIQUE INDEX ON seats (lower(mail)) WHERE id < 100;
         CREATE TABLE guests (id int PRIMARY KEY, seat int REFERENCES seats ON DELETE CASCADE);
         INSERT INTO seats VALUES (1, 'a', 'A@x'), (2, 'b', NULL), (3, 'c', NULL); INSERT INTO guests VALUES (1, 1), (2, 2)",
        "seats",
    );
    shop.run(&["create"]).expect(0);
    // Since the backup there is more to a seat.
    shop.database.run("ALTER TABLE seats ADD since int; UPDATE seats SET since = id * 10");
    shop
}

#[test]
fn values_of_a_unique_column_may_change_places() {
    let around = "UPDATE seats SET place = 'x' WHERE id = 1; UPDATE seats SET place = 'a', mail = NULL WHERE id = 2;
        UPDATE seats SET place = 'b' WHERE id = 1; DELETE FROM seats WHERE id = 3; INSERT INTO seats VALUES (4, 'd', NULL, 40)";
    for existing in ["replace", "merge"] {
        let shop = seats();
        // One that is not there gets its value from one that has it now.
        let gone = "UPDATE seats SET place = 'c' WHERE id = 2; UPDATE seats SET place = 'a', mail = 'a@X' WHERE id = 1";
        for spoil in [around.to_owned(), format!("{around}; {gone}")] {
            shop.database.run(&spoil);
            let (guests, definitions) =
                (shop.database.run("SELECT ctid, xmin, * FROM guests"), shop.definitions(&shop.database));
            let report = shop.restore_over(&shop.database, existing, &[]).expect(0).json();
            let there = shop.database.run("SELECT id, place, mail, since FROM seats ORDER BY id");
            let expected = match existing {
                "replace" => "1|a|A@x|\n2|b||\n3|c||",
                _ => "1|a|A@x|10\n2|b||20\n3|c||\n4|d||40",
            };
            assert_eq!(there, expected, "{existing}");
            assert_eq!(report["collections"][0]["verified"], true, "{report}");
            assert_eq!(shop.database.run("SELECT ctid, xmin, * FROM guests"), guests, "{existing}");
            assert_eq!(shop.definitions(&shop.database), definitions, "{existing}");
            assert_nothing_staged(&shop.database);
            shop.database.run("DELETE FROM seats WHERE id = 4; UPDATE seats SET since = id * 10 WHERE id < 3");
        }
    }
}

#[test]
fn a_row_that_would_stay_in_the_place_of_a_stored_one_is_told_before_anything_is_written() {
    for (existing, spoil, words) in [
        (
            "merge",
            "DELETE FROM seats WHERE id = 3; INSERT INTO seats VALUES (9, 'c')",
            "a value (place) that another row has there: c",
        ),
        (
            "add",
            "DELETE FROM seats WHERE id = 3; INSERT INTO seats VALUES (9, 'c')",
            "a value (place) that another row has there: c",
        ),
        (
            "add",
            "DELETE FROM seats WHERE id = 3; UPDATE seats SET place = 'c' WHERE id = 1",
            "that another row has there: c",
        ),
        (
            "add",
            "DELETE FROM seats WHERE id = 1; INSERT INTO seats VALUES (9, 'z', 'a@X')",
            "a value (lower(mail)) that another row has there: a@x",
        ),
        (
            "merge",
            "UPDATE seats SET mail = NULL; INSERT INTO seats VALUES (9, 'z', 'a@X')",
            "a value (lower(mail)) that another row has there: a@x",
        ),
    ] {
        let shop = seats();
        shop.database.run(spoil);
        let before = physical(&shop, &shop.database);
        for more in [&["--dry-run"][..], &[]] {
            let refused = shop.restore_over(&shop.database, existing, more).expect(5);
            let said = format!("{}{}", refused.stdout, refused.stderr);
            assert!(said.contains(words), "{said}");
        }
        assert!(physical(&shop, &shop.database) == before, "{existing}: {spoil}");
        assert_nothing_staged(&shop.database);
    }
    // What has a value of its own is in nobody's way.
    let shop = seats();
    shop.database.run("DELETE FROM seats WHERE id = 3; INSERT INTO seats VALUES (101, 'z', 'a@X')");
    for existing in ["add", "merge"] {
        shop.restore_over(&shop.database, existing, &[]).expect(0);
        assert_eq!(shop.database.run("SELECT string_agg(place, '' ORDER BY id) FROM seats"), "abcz", "{existing}");
    }
}

/// Parents that are backed up, and children that are not.
fn family(action: &str) -> Shop {
    let shop = Shop::new(
        Version::V15,
        &format!(
            "CREATE TABLE parents (id int PRIMARY KEY, name text); INSERT INTO parents SELECT i, 'p' || i FROM generate_series(1, 5) i;
             CREATE TABLE children (id int PRIMARY KEY, parent int CONSTRAINT whose REFERENCES parents {action});
             COMMENT ON CONSTRAINT whose ON children IS 'o''clock'; INSERT INTO children VALUES (1, 1), (2, 5), (3, NULL)"
        ),
        "parents",
    );
    shop.run(&["create"]).expect(0);
    shop
}

#[test]
fn children_outside_of_a_restore_keep_their_rows_when_the_parents_come_back() {
    for action in [
        "",
        "ON DELETE CASCADE",
        "ON DELETE SET NULL ON UPDATE CASCADE",
        "ON DELETE RESTRICT DEFERRABLE",
        "DEFERRABLE INITIALLY DEFERRED",
    ] {
        let shop = family(action);
        shop.database.run("UPDATE parents SET name = 'spoilt'");
        let (children, definitions) =
            (shop.database.run("SELECT ctid, xmin, * FROM children"), shop.definitions(&shop.database));
        shop.restore_over(&shop.database, "replace", &[]).expect(0);
        assert_eq!(shop.database.run("SELECT ctid, xmin, * FROM children"), children, "{action}");
        assert_eq!(shop.definitions(&shop.database), definitions, "{action}");
        assert_eq!(shop.database.run("SELECT string_agg(name, '' ORDER BY id) FROM parents"), "p1p2p3p4p5", "{action}");
    }
}

#[test]
fn a_child_whose_parent_would_be_gone_stops_the_restore_and_nothing_is_changed() {
    for action in ["", "ON DELETE CASCADE", "ON DELETE RESTRICT", "DEFERRABLE INITIALLY DEFERRED"] {
        let shop = family(action);
        shop.database.run("INSERT INTO parents VALUES (6, 'since'); INSERT INTO children VALUES (4, 6)");
        let before = physical(&shop, &shop.database);
        let stopped = shop.restore_over(&shop.database, "replace", &[]).expect(1);
        assert!(
            stopped.stdout.contains("whose") && stopped.stdout.contains("children"),
            "{action}: {}",
            stopped.stdout
        );
        assert!(physical(&shop, &shop.database) == before, "{action}");
        assert_nothing_staged(&shop.database);
    }
}

#[test]
fn a_row_that_the_table_now_forbids_stops_the_restore_and_nothing_is_changed() {
    let shop = Shop::rich();
    let back = shop.copy();
    spoil(&back, CHANGES);
    back.run("ALTER TABLE orders ADD CONSTRAINT small CHECK (id < 200) NOT VALID");
    let before = physical(&shop, &back);
    let stopped = shop.restore_over(&back, "replace", &[]).expect(1);
    assert!(stopped.stdout.contains("small") && stopped.stdout.contains("orders"), "{}", stopped.stdout);
    assert!(physical(&shop, &back) == before);
    assert_nothing_staged(&back);
    back.run("ALTER TABLE orders DROP CONSTRAINT small");
    shop.restore_over(&back, "replace", &[]).expect(0);
    back.run(FORGET);
    shop.assert_same(&back);
}

#[test]
fn a_column_that_would_round_values_stops_the_restore() {
    let shop =
        Shop::new(Version::V15, "CREATE TABLE t (id int PRIMARY KEY, n numeric); INSERT INTO t VALUES (1, 1.25)", "t");
    shop.run(&["create"]).expect(0);
    let back = shop.copy();
    back.run("ALTER TABLE t ALTER n TYPE numeric(3, 1)");
    let before = physical(&shop, &back);
    let stopped = shop.restore_over(&back, "replace", &[]).expect(1);
    assert!(stopped.stdout.contains("something else than was stored"), "{}", stopped.stdout);
    assert!(physical(&shop, &back) == before);
    assert_nothing_staged(&back);
}

#[test]
fn a_safety_backup_brings_back_what_was_replaced() {
    let shop = Shop::rich();
    // What breaks its own keys can be made again nowhere.
    shop.database.run("UPDATE users SET name = 'spoilt' WHERE id < 10; INSERT INTO users (name) VALUES ('new'); DELETE FROM orders WHERE id > 200;
         REFRESH MATERIALIZED VIEW sums");
    let spoilt = rows(&shop.database);
    let arguments =
        ["--json", "restore", "latest", "--existing", "replace", "--yes", "--target-name", &shop.database.name];
    let report = shop.run(&arguments).expect(0).json();
    assert!(rows(&shop.database) != spoilt);
    let back = shop.beside();
    let safety = report["safetyBackup"].as_str().unwrap();
    shop.run(&["restore", safety, "--into", &super::laboratory::into(&back)]).expect(0);
    // It holds what was replaced, and no more: not the table that was empty, nor the sequence that belongs to none.
    let other = |row: &String| ["_seq|", "ONLY empty|", "invoice|"].iter().any(|name| row.contains(name));
    let tables = |rows: Vec<String>| rows.into_iter().filter(|row| !other(row)).collect::<Vec<_>>();
    assert_eq!(tables(rows(&back)), tables(spoilt));
}
