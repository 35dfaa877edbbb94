//! Rows: of an application, and such that do not compress.

use crate::support::postgres::Database;

/// Fills a database of PostgreSQL with a wide, a narrow and a text table; its bytes of rows.
pub fn application(database: &Database, size: f64) -> u64 {
    let rows = |at_one: f64| (at_one * size) as u64;
    database.run(&format!(
        "SELECT setseed(0.5);
         CREATE TABLE narrow (id bigint PRIMARY KEY, employee int NOT NULL, at timestamptz NOT NULL, amount numeric(12,2));
         INSERT INTO narrow SELECT i, (random() * 100000)::int, '2020-01-01'::timestamptz + i * interval '1 minute',
           (random() * 100000)::numeric(12,2) FROM generate_series(1, {}) i;
         CREATE TABLE wide AS SELECT i::bigint AS id, md5(i::text) AS a, md5((i + 1)::text) AS b, random() AS c, random() AS d,
           (random() * 1000)::int AS e, now() AS f, 'status ' || i % 7 AS g, i % 2 = 0 AS h, repeat('x', i % 40) AS j
           FROM generate_series(1, {}) i;
         ALTER TABLE wide ADD PRIMARY KEY (id);
         CREATE INDEX ON wide (g, id);
         CREATE TABLE notes AS SELECT i AS id, (i * 7 % {})::bigint AS wide_id,
           (SELECT string_agg(w, ' ') FROM (SELECT (ARRAY['employee','contract','leave','approved','department','claim','note'])
             [1 + (hashtext(i::text || k::text) & 2147483647) % 7] AS w FROM generate_series(1, 120) k) s) AS body
           FROM generate_series(1, {}) i;
         ALTER TABLE notes ADD PRIMARY KEY (id);
         ANALYZE;",
        rows(8_000_000.0),
        rows(1_800_000.0),
        rows(1_800_000.0).max(1),
        rows(160_000.0),
    ));
    let bytes =
        database.run("SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relname IN ('narrow', 'wide', 'notes')");
    bytes.trim().parse().unwrap_or(0)
}

/// Fills tables with rows of text that hardly compresses (base64 of hashes), 1 GB in all at size 1; their bytes.
pub fn noise(database: &Database, tables: &[&str], size: f64) -> u64 {
    let rows = ((1e9 * size) as u64 / tables.len() as u64 / 2_080).max(1);
    for table in tables {
        database.run(&format!(
            "CREATE TABLE {table} AS SELECT i AS id, translate(encode(decode((SELECT string_agg(md5('{table}' || i || ' ' || k), '')
               FROM generate_series(1, 96) k), 'hex'), 'base64'), E'\\n', '') AS x FROM generate_series(1, {rows}) i;
             ALTER TABLE {table} ADD PRIMARY KEY (id); ANALYZE {table};"
        ));
    }
    rows * tables.len() as u64 * 2_080
}
