//! Keys and indexes that are made before the transaction that puts everything in place.

use super::laboratory::{Shop, assert_nothing_staged, into, over};
use crate::support::postgres::{Database, Version};

/// Plain keys and indexes, of odd names too, and one over a function that reads another table.
const INDEXED: &str =
    "CREATE TABLE rates (code text PRIMARY KEY, rate int NOT NULL); INSERT INTO rates VALUES ('a', 2), ('b', 3);
  CREATE FUNCTION rated(c text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$DECLARE r int; BEGIN SELECT rate INTO STRICT r FROM public.rates WHERE code = c; RETURN r; END$$;
  CREATE TABLE sales (id int PRIMARY KEY, code text, \"a on b\" int, UNIQUE (code, id));
  INSERT INTO sales SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, i FROM generate_series(1, 900) i;
  CREATE INDEX \"odd. on\" ON sales (\"a on b\");
  CREATE INDEX sales_code ON sales (code) WHERE id > 10;
  CREATE INDEX sales_rated ON sales (rated(code));
  CREATE TABLE days (day date, n int, PRIMARY KEY (day, n)) PARTITION BY RANGE (day);
  CREATE TABLE days_old PARTITION OF days FOR VALUES FROM ('2020-01-01') TO ('2024-01-01');
  CREATE TABLE days_rest PARTITION OF days DEFAULT;
  CREATE INDEX days_n ON days (n);
  INSERT INTO days SELECT '2023-12-01'::date + i, i FROM generate_series(1, 60) i";

/// Notes every index that is made: where, and by which transaction.
const WATCH: &str = "CREATE SCHEMA watch; CREATE TABLE watch.made (what text, is_staged bool, at xid8);
  CREATE FUNCTION watch.note() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO watch.made
    SELECT object_identity, schema_name LIKE 'backup-restore.%', pg_current_xact_id() FROM pg_event_trigger_ddl_commands(); END$$;
  CREATE EVENT TRIGGER noted ON ddl_command_end WHEN TAG IN ('CREATE INDEX', 'ALTER TABLE') EXECUTE FUNCTION watch.note()";

fn indexed() -> Shop {
    let shop = Shop::new(Version::V15, INDEXED, "rates, sales, days");
    shop.run(&["create"]).expect(0);
    shop
}

fn indexes(database: &Database) -> String {
    database.run("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
}

#[test]
fn keys_and_indexes_are_made_where_a_table_is_staged_but_for_those_that_may_read_others() {
    let shop = indexed();
    let back = shop.beside();
    back.run(WATCH);
    shop.restore_into(&back, &[]).expect(0);
    assert_eq!(indexes(&back), indexes(&shop.database));
    let made = |condition: &str| {
        let sql = "SELECT string_agg(regexp_replace(what, '^.*\\.(?=[a-z])|\"backup-restore[^\"]*\"\\.', ''), ' ' ORDER BY 1)";
        back.run(&format!("{sql} FROM (SELECT DISTINCT what FROM watch.made WHERE what !~ '(sales|rates|days|days_old|days_rest)$' AND {condition}) m"))
    };
    assert_eq!(made("NOT is_staged"), "sales_rated");
    for index in ["sales_code", "\"odd. on\"", "days_old_n_idx"] {
        assert!(made("is_staged").contains(index), "{}", made("is_staged"));
    }
    // What is in place together is put there by one transaction, and statistics have come along.
    let keys =
        "SELECT count(*) FROM pg_constraint WHERE contype IN ('p', 'u') AND connamespace = 'public'::regnamespace";
    assert_eq!(back.run(keys), shop.database.run(keys));
    let together = "SELECT count(DISTINCT at), count(DISTINCT what) FROM watch.made WHERE NOT is_staged AND what ~ '(sales|sales_rated)$'";
    assert_eq!(back.run(together), "1|2");
    let known = "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'public' ORDER BY 1";
    assert_eq!(back.run(known), "days\ndays_old\ndays_rest\nrates\nsales\nsales_rated");
    assert_nothing_staged(&back);
}

#[test]
fn a_plain_index_whose_name_is_taken_is_left_out_and_told_once() {
    let shop = indexed();
    let back = shop.beside();
    back.run("CREATE TABLE other (id int); CREATE INDEX sales_code ON other (id)");
    let words = "table sales lacks index sales_code: the name is taken by an index of other";
    for more in [&["--dry-run"][..], &[]] {
        let done = shop.restore_into(&back, more).expect(0);
        assert_eq!([done.stdout, done.stderr].concat().matches(words).count(), 1, "{more:?}");
    }
    assert_eq!(back.run("SELECT tablename FROM pg_indexes WHERE indexname = 'sales_code'"), "other");
    assert_eq!(back.run("SELECT count(*) FROM sales"), "900");
}

#[test]
fn a_name_that_is_taken_while_a_restore_is_under_way_is_seen() {
    let shop = indexed();
    for (name, code, words) in [
        ("sales_pkey", 5, "table sales would lack its key sales_pkey: the name is taken by table sales_pkey"),
        ("sales_code", 0, "table sales lacks index sales_code: the name is taken by table sales_code"),
    ] {
        let back = shop.beside();
        // Made with the schema to stage in, after the target was looked at.
        back.run(&format!(
            "CREATE FUNCTION take() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN CREATE TABLE public.{name} (id int); END$$;
             CREATE EVENT TRIGGER take ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION take()"
        ));
        let done = shop.restore_into(&back, &[]).expect(code);
        assert_eq!([done.stdout, done.stderr].concat().matches(words).count(), 1, "{name}");
        let restored = back.run("SELECT to_regclass('sales') IS NOT NULL");
        assert_eq!(restored, if code == 0 { "t" } else { "f" });
        assert_nothing_staged(&back);
    }
}

#[test]
fn of_what_cannot_be_indexed_nothing_is_in_place_and_a_rerun_makes_all() {
    let shop = indexed();
    let back = shop.beside();
    // Whoever makes that index is refused, as by a server that is short of space for it.
    back.run(
        "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
           IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '%sales_code') THEN
             RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'no space for it'; END IF; END$$;
         CREATE EVENT TRIGGER no ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION no()",
    );
    let failed = shop.restore_into(&back, &[]).expect(1);
    for word in ["sales_code", "no space for it", "nothing in the target was changed"] {
        assert!(failed.stderr.contains(word), "{word}: {}", failed.stderr);
    }
    assert_eq!(back.run("SELECT to_regclass('sales'), to_regclass('rates'), to_regclass('days')"), "||");
    assert_nothing_staged(&back);
    back.run("DROP EVENT TRIGGER no; DROP FUNCTION no()");
    shop.restore_into(&back, &[]).expect(0);
    shop.assert_same(&back);
    let into = into(&back);
    shop.run(&over(&back, "replace", &into)).expect(0);
    shop.assert_same(&back);
}

/// Partitions in other schemas: of the same name and without a key, of other names and with one, indexed alone.
const SCATTERED: &str = "CREATE SCHEMA y2024;
  CREATE TABLE ev (id int NOT NULL, at date NOT NULL, v text) PARTITION BY RANGE (at);
  CREATE TABLE y2024.ev PARTITION OF ev FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
  CREATE TABLE ev_2025 PARTITION OF ev FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE UNIQUE INDEX ev_only ON y2024.ev (id, at);
  CREATE INDEX ev_here ON ev_2025 (v);
  INSERT INTO ev SELECT i, '2024-06-01'::date + i, 'x' || i FROM generate_series(1, 400) i";
const KEYED: &str = "CREATE SCHEMA parts;
  CREATE TABLE keyed (id int NOT NULL, at date NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  CREATE TABLE parts.keyed_2024 PARTITION OF keyed FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
  CREATE TABLE parts.\"keyed. 2025\" PARTITION OF keyed FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE TABLE keyed_2026 PARTITION OF keyed FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  CREATE INDEX keyed_v ON keyed (v);
  CREATE INDEX keyed_leaf ON parts.keyed_2024 (v, id);
  INSERT INTO keyed SELECT i, '2024-06-01'::date + i, 'x' || i FROM generate_series(1, 800) i";

/// What is made of this again is what was there, index by index.
#[track_caller]
fn comes_back(sql: &str, table: &str) {
    let shop = Shop::new(Version::V15, sql, table);
    shop.run(&["create"]).expect(0);
    let back = shop.beside();
    shop.restore_into(&back, &[]).expect(0);
    let of_table =
        "SELECT schemaname, tablename, indexname FROM pg_indexes WHERE schemaname !~ '^pg_' ORDER BY 1, 2, 3";
    assert_eq!(back.run(of_table), shop.database.run(of_table));
    shop.assert_same(&back);
}

#[test]
fn an_index_of_a_partition_in_another_schema_stays_with_that_partition() {
    comes_back(SCATTERED, "ev");
}

#[test]
fn a_key_whose_partitions_are_in_another_schema_comes_back_whole() {
    comes_back(KEYED, "keyed");
}

#[test]
fn statistics_tell_of_columns_together_and_of_what_inherits() {
    let sql = "CREATE TABLE pairs (id int PRIMARY KEY, a int, b int); CREATE STATISTICS together (dependencies, mcv) ON a, b FROM pairs;
        INSERT INTO pairs SELECT i, i % 10, i % 10 FROM generate_series(1, 3000) i;
        CREATE TABLE parent (id int, v int); CREATE TABLE zz_child () INHERITS (parent);
        INSERT INTO parent SELECT i, 1 FROM generate_series(1, 100) i; INSERT INTO zz_child SELECT i, i FROM generate_series(1, 5000) i;
        CREATE TABLE large (id int, v int); CREATE TABLE a_child () INHERITS (large);
        INSERT INTO large SELECT i, 1 FROM generate_series(1, 5000) i; INSERT INTO a_child SELECT i, i FROM generate_series(1, 100) i;
        CREATE TABLE days (day date, a int, b int) PARTITION BY RANGE (day); CREATE TABLE days_all PARTITION OF days DEFAULT;
        CREATE STATISTICS of_leaf ON a, b FROM days_all; INSERT INTO days SELECT '2024-01-01', i % 7, i % 7 FROM generate_series(1, 700) i;
        CREATE TABLE plain (id int PRIMARY KEY); INSERT INTO plain SELECT generate_series(1, 100)";
    let shop = Shop::new(Version::V15, sql, "pairs, parent, zz_child, large, a_child, days, plain");
    shop.run(&["create"]).expect(0);
    let back = shop.beside();
    shop.restore_into(&back, &["--jobs", "1"]).expect(0);
    shop.database.run("ANALYZE");
    for known in [
        "SELECT statistics_name, n_distinct, dependencies, most_common_vals IS NULL FROM pg_stats_ext ORDER BY 1",
        "SELECT tablename, attname, inherited, n_distinct FROM pg_stats WHERE schemaname = 'public' ORDER BY 1, 2, 3",
    ] {
        assert_eq!(back.run(known), shop.database.run(known));
    }
}
