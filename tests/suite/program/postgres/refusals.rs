//! What stands in the way is told before anything is written.

use super::laboratory::{Shop, assert_nothing_staged, into, over, physical};
use crate::support::app::Ended;
use crate::support::postgres::{Database, Version};

const SIMPLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, NULL);
    CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t); INSERT INTO u VALUES (1, 1)";

fn simple() -> Shop {
    let shop = Shop::new(Version::V15, SIMPLE, "t, u");
    shop.run(&["create"]).expect(0);
    shop
}

/// `restore` refuses, says all of `words`, and nobody wrote anything to `target`.
#[track_caller]
fn refuses(shop: &Shop, target: &Database, code: i32, words: &[&str], restore: impl FnOnce() -> Ended) {
    let before = physical(shop, target);
    let refused = restore().expect(code);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    for word in words {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    assert!(physical(shop, target) == before, "something was written");
    assert_nothing_staged(target);
}

#[test]
fn an_extension_that_is_missing_is_named_with_the_statement_that_makes_it() {
    let sql = "CREATE SCHEMA tools; CREATE EXTENSION citext SCHEMA tools; CREATE TABLE t (id int PRIMARY KEY, v tools.citext); INSERT INTO t VALUES (1, 'A')";
    let shop = Shop::new(Version::V15, sql, "t");
    shop.run(&["create"]).expect(0);
    let back = shop.beside();
    let words = ["citext", r#"CREATE EXTENSION \"citext\" SCHEMA \"tools\""#];
    refuses(&shop, &back, 5, &words, || shop.restore_into(&back, &["--json"]));
    back.run(r#"CREATE SCHEMA "tools"; CREATE EXTENSION "citext" SCHEMA "tools""#);
    shop.restore_into(&back, &[]).expect(0);
    shop.assert_same(&back);
}

#[test]
fn a_table_that_lacks_a_stored_column_or_needs_another_is_named() {
    let shop = simple();
    for (alter, words) in [
        ("ALTER TABLE t RENAME v TO w", ["table t has no column v", "nothing was changed"]),
        (
            "ALTER TABLE t ADD must int NOT NULL DEFAULT 1; ALTER TABLE t ALTER must DROP DEFAULT",
            ["must", "is not stored"],
        ),
        (
            "ALTER TABLE t DROP v, ADD v text GENERATED ALWAYS AS ('x') STORED",
            ["column v of table t is computed there", "nothing"],
        ),
    ] {
        let back = shop.copy();
        back.run(alter);
        refuses(&shop, &back, 5, &words, || shop.restore_over(&back, "replace", &[]));
    }
}

#[test]
fn a_view_where_a_table_is_stored_and_a_table_without_a_key_are_named() {
    let shop = simple();
    let back = shop.copy();
    back.run("DROP TABLE u; CREATE VIEW u AS SELECT 1 AS id, 2 AS t");
    refuses(&shop, &back, 5, &["u is a view there"], || shop.restore_over(&back, "replace", &[]));
    let back = shop.copy();
    back.run("ALTER TABLE u DROP CONSTRAINT u_pkey");
    refuses(&shop, &back, 5, &["table u has no primary key"], || shop.restore_over(&back, "merge", &[]));
}

#[test]
fn rows_alone_are_refused_where_the_tables_are_not_and_restored_where_they_are() {
    let shop = Shop::new(Version::V15, SIMPLE, "t, u");
    shop.app.reconfigure("engine: postgres,", "engine: postgres, ddl: none,");
    shop.run(&["create"]).expect(0);
    let back = shop.beside();
    refuses(&shop, &back, 5, &["table t is not there", "table u is not there", "ddl: none"], || {
        shop.restore_into(&back, &[])
    });
    back.run("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t)");
    shop.restore_into(&back, &[]).expect(0);
    shop.assert_same(&back);
}

#[test]
fn another_schema_is_refused_by_name() {
    let shop = simple();
    shop.app.reconfigure("engine: postgres,", "engine: postgres, schema: other,");
    let back = shop.beside();
    refuses(&shop, &back, 5, &["public", "other"], || shop.restore_into(&back, &[]));
}

#[test]
fn a_user_that_may_not_is_told_what_it_lacks() {
    let shop = simple();
    let back = shop.copy();
    let role = back.role("guest");
    let as_guest = format!("shop={}", back.uri_as(&role));
    let replace = || shop.run(&over(&back, "replace", &as_guest));
    back.run(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"));
    let words = ["a schema to stage in cannot be made", "GRANT CREATE ON DATABASE", "belongs to postgres"];
    refuses(&shop, &back, 5, &words, replace);
    back.run(&format!("GRANT CREATE ON DATABASE {} TO {role}", back.name));
    refuses(&shop, &back, 5, &["table public.u has foreign keys", "belongs to postgres"], replace);
    back.run(&format!("ALTER TABLE t OWNER TO {role}; ALTER TABLE u OWNER TO {role}"));
    back.run("UPDATE t SET v = 'spoilt'");
    replace().expect(0);
    shop.assert_same(&back);
    back.run(&format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn an_owner_that_is_no_superuser_restores_everything_into_a_database_of_its_own() {
    let shop = Shop::rich();
    let back = shop.beside();
    let role = back.role("owner");
    back.run(&format!("ALTER DATABASE {} OWNER TO {role}", back.name));
    let uri = format!("shop={}", back.uri_as(&role));
    shop.run(&["restore", "latest", "--into", &uri]).expect(0);
    shop.assert_same(&back);
    back.run("SET session_replication_role = replica; DELETE FROM users WHERE id < 9");
    shop.run(&over(&back, "replace", &uri)).expect(0);
    back.run(super::existing::FORGET);
    shop.assert_same(&back);
    back.run(&format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_role_whose_sessions_only_read_by_default_may_restore() {
    let shop = simple();
    let back = shop.copy();
    back.run(&format!(
        "UPDATE t SET v = 'spoilt'; ALTER DATABASE {} SET default_transaction_read_only = on",
        back.name
    ));
    shop.restore_over(&back, "replace", &[]).expect(0);
    assert_eq!(back.run("SELECT v FROM t ORDER BY id"), "a");
    assert!(into(&back).contains(&back.name));
}

#[test]
fn a_table_that_holds_rows_is_refused_without_consent_and_an_empty_one_is_not() {
    let shop = simple();
    let back = shop.copy();
    refuses(&shop, &back, 5, &["t holds 2 records", "--existing"], || shop.restore_into(&back, &[]));
    back.run("TRUNCATE t, u");
    shop.restore_into(&back, &[]).expect(0);
    shop.assert_same(&back);
}

#[test]
fn a_key_whose_name_is_taken_is_refused_before_anything_is_written() {
    let sql =
        "CREATE SCHEMA parts; CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int UNIQUE, b int);
        CREATE UNIQUE INDEX t_b ON t (b); INSERT INTO t (a, b) VALUES (1, 2), (2, 3);
        CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE parts.p_1 PARTITION OF p DEFAULT";
    let shop = Shop::new(Version::V15, sql, "t, p");
    shop.run(&["create"]).expect(0);
    for (taken, words) in [
        (
            "CREATE TABLE other (id int CONSTRAINT t_pkey PRIMARY KEY)",
            "table t would lack its key t_pkey: the name is taken by an index of other",
        ),
        ("CREATE TABLE t_a_key (id int)", "table t would lack its key t_a_key: the name is taken by table t_a_key"),
        ("CREATE VIEW t_b AS SELECT 1", "table t would lack its unique index t_b: the name is taken by view t_b"),
        (
            "CREATE TABLE t_id_seq (id int)",
            "table t would lack its identity sequence t_id_seq: the name is taken by table t_id_seq",
        ),
        (
            "CREATE SCHEMA parts; CREATE SEQUENCE parts.p_1_pkey",
            "table parts.p_1 would lack its key parts.p_1_pkey: the name is taken by sequence parts.p_1_pkey",
        ),
    ] {
        let back = shop.beside();
        back.run(taken);
        for more in [&["--dry-run"][..], &[]] {
            refuses(&shop, &back, 5, &[words, "rename what has the name"], || shop.restore_into(&back, more));
        }
        assert_eq!(back.run("SELECT to_regclass('t'), to_regclass('p')"), "|", "{taken}");
    }
}

#[test]
fn two_new_tables_with_one_name_of_an_index_are_refused() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE INDEX same ON t (v); CREATE TABLE u (id int PRIMARY KEY, v text)";
    let shop = Shop::new(Version::V15, sql, "t");
    shop.app.reconfigure("modules:\n", "modules:\n  later: {source: shop, collections: [u]}\n");
    shop.run(&["create", "--module", "core"]).expect(0);
    shop.database.run("DROP INDEX same; CREATE INDEX same ON u (v)");
    shop.run(&["create", "--module", "later"]).expect(0);
    let back = shop.beside();
    let words = [" would lack its index same: the name is taken by a part of table ", "which is new too"];
    refuses(&shop, &back, 5, &words, || shop.restore_into(&back, &[]));
}
