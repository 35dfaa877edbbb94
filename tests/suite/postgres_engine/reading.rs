//! Reading: exactly the rows of one moment, as COPY gives them, or an error that names the table.

use super::{open, opened, shown};
use crate::mongodb_engine::laboratory::Memory;
use crate::support::postgres::{Database, Postgres as Server, Version};
use backup::config::{self, Consistency, Ddl, IdType, Timeouts};
use backup::error::{Kind, Result};
use backup::modules::{Ownership, Records};
use backup::pipeline::{Cancel, Idle};
use backup::source::postgres::Postgres;
use backup::source::{ItemKind, Level, ReadCollection, Source, View, Wanted};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

fn database(sql: &str) -> Database {
    let database = Server::shared(Version::V15).database();
    database.run(sql);
    database
}

fn wanted(postgres: &Postgres, names: &[&str], records: &Records) -> Vec<Wanted> {
    let inventory = Source::inventory(postgres).unwrap();
    let want = |name: &&str| Wanted {
        name: (*name).to_owned(),
        kind: inventory.items.get(*name).map_or(ItemKind::Collection, |item| item.kind),
        identity: inventory.items.get(*name).and_then(|item| item.identity.clone()),
        records: records.clone(),
    };
    names.iter().map(want).collect()
}

const ALL: Records = Records::All { shared: false };

fn of_tenant(tenant: &str, id_type: IdType) -> Records {
    Records::Owned(Ownership { field: "tenant".into(), tenant: tenant.into(), id_type, via: Vec::new() })
}

/// Reads every table; one result each.
fn read(view: &dyn View, wanted: &[Wanted], memory: &Memory) -> Vec<Result<ReadCollection>> {
    wanted.iter().map(|one| view.read(std::slice::from_ref(one), memory).map(|mut read| read.remove(0))).collect()
}

fn view<'a>(postgres: &'a Postgres, wanted: &[Wanted]) -> Box<dyn View + 'a> {
    postgres.open_view(wanted, Consistency::Required, Level::Snapshot).unwrap()
}

/// The stored rows of a table, sorted.
fn rows(memory: &Memory, database: &Database, table: &str) -> Vec<String> {
    let body = memory.entry(&format!("{}/data", database.name), &format!("public.{table}"), ".copy").unwrap();
    let text = String::from_utf8(body).unwrap();
    let mut rows: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    rows.sort();
    rows
}

/// What psql copies, in the session settings that are pinned.
fn copied(database: &Database, query: &str) -> Vec<String> {
    let pinned =
        "SET DateStyle = 'ISO, MDY'; SET IntervalStyle = postgres; SET extra_float_digits = 3; SET TimeZone = UTC;";
    let text = database.run(&format!("{pinned} COPY ({query}) TO STDOUT"));
    let mut rows: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    rows.sort();
    rows
}

#[test]
fn extreme_values_are_read_as_the_server_writes_them() {
    let database = database(
        r#"CREATE TABLE t (id int, f float8, n numeric, b bytea, a int[], s text, ts timestamptz, d date, i interval, j jsonb,
            g int GENERATED ALWAYS AS (id + 1) STORED, dropped int);
          ALTER TABLE t DROP COLUMN dropped;
          INSERT INTO t (id, f, n, b, a, s, ts, d, i, j) VALUES
            (1, 'Infinity', 'NaN', '\x00ff0a09', '[2:3]={1,2}', E'tab\tnew\nline\\back', 'infinity', '-infinity', '1 year -3 days 04:05:06.789', '{"a": [1, null]}'),
            (2, '-0', '-12345678901234567890.123456789', '', '{}', '', '0044-03-15 12:00:00 BC', '5874897-12-31', '-178000000 years', '"\\N"'),
            (3, 4.9e-324, 1e-100, NULL, '{NULL,1}', NULL, '1999-01-08 04:05:06.123456+05', NULL, NULL, NULL),
            (4, 0.1, 0, '\x5c4e', NULL, E'\\N', now(), 'today', '0', 'null');"#,
    );
    let postgres = opened(&database);
    let wanted = wanted(&postgres, &["t"], &ALL);
    let memory = Memory::default();
    let read = read(view(&postgres, &wanted).as_ref(), &wanted, &memory).remove(0).unwrap();
    assert_eq!(read.records, 4);
    assert_eq!(rows(&memory, &database, "t"), copied(&database, "SELECT id, f, n, b, a, s, ts, d, i, j FROM t"));
}

#[test]
fn all_tables_are_of_one_moment_and_many_rows_come_once_each() {
    let database = database(
        "CREATE TABLE a AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 200000) g;
         CREATE TABLE b AS SELECT 1 AS id; CREATE TABLE none ();",
    );
    let postgres = opened(&database);
    let wanted = wanted(&postgres, &["a", "b", "none"], &ALL);
    let open = view(&postgres, &wanted);
    database.run("DELETE FROM a WHERE id > 5; INSERT INTO b SELECT generate_series(2, 100);");
    let memory = Memory::default();
    let read = read(open.as_ref(), &wanted, &memory);
    assert_eq!(open.consistency().level, Level::Snapshot);
    let counts: Vec<_> = read.iter().map(|r| r.as_ref().unwrap().records).collect();
    assert_eq!(counts, [200_000, 1, 0]);
    assert_eq!(
        rows(&memory, &database, "a"),
        copied(&database, "SELECT g, md5(g::text) FROM generate_series(1, 200000) g")
    );
}

#[test]
fn a_table_in_the_view_can_be_neither_truncated_nor_dropped_and_one_made_anew_is_noticed() {
    let database = database("CREATE TABLE a AS SELECT 1 AS id; CREATE TABLE b AS SELECT 1 AS id");
    let postgres = opened(&database);
    let planned = wanted(&postgres, &["a", "b"], &ALL);
    database.run("DROP TABLE b; CREATE TABLE b AS SELECT 1 AS id");
    let open = view(&postgres, &planned);
    let refused = database.run(
        "SET lock_timeout = '100ms'; DO $$ BEGIN TRUNCATE a; EXCEPTION WHEN lock_not_available THEN RAISE NOTICE 'kept out'; END $$;
         SELECT count(*) FROM a",
    );
    assert_eq!(refused, "1");
    let read = read(open.as_ref(), &planned, &Memory::default());
    assert_eq!(read[0].as_ref().unwrap().records, 1);
    let gone = read[1].as_ref().unwrap_err();
    assert_eq!(gone.kind, Kind::Missing);
    assert!(shown(gone).contains("table b was dropped, or made anew"), "{}", shown(gone));
}

#[test]
fn a_table_whose_lock_a_migration_holds_fails_alone_and_says_so() {
    let database = database("CREATE TABLE a AS SELECT 1 AS id; CREATE TABLE b AS SELECT 1 AS id");
    let uri = database.uri();
    let postgres = Postgres::open(
        "payroll",
        &super::source(&uri),
        Timeouts { connect: Some(std::time::Duration::from_secs(3)), ..Default::default() },
        Cancel::default(),
    )
    .unwrap();
    let wanted = wanted(&postgres, &["a", "b"], &ALL);
    // A session of our own engine holds the lock: it lasts as long as its transaction.
    let migration = opened(&database);
    let holder = migration.session().unwrap();
    crate::support::mongod::wait(async {
        holder
            .client
            .batch_execute("SET default_transaction_read_only = off; BEGIN READ WRITE; LOCK TABLE public.a")
            .await
            .unwrap();
    });
    let read = read(view(&postgres, &wanted).as_ref(), &wanted, &Memory::default());
    let locked = read[0].as_ref().unwrap_err();
    assert!(shown(locked).contains("\"a\"") && shown(locked).contains("migration"), "{}", shown(locked));
    assert_eq!(read[1].as_ref().unwrap().records, 1);
}

#[test]
fn a_reader_that_the_server_ends_fails_its_table_and_no_other() {
    let database = database(
        "CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 30) AS v FROM generate_series(1, 100000) g;
         CREATE TABLE small AS SELECT 1 AS id",
    );
    let postgres = opened(&database);
    let wanted = wanted(&postgres, &["big", "small"], &ALL);
    let (server, name) = (database.server, database.name.clone());
    let memory = Memory::with_hook(move || {
        let ended = server.psql(
            "postgres",
            &format!(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'COPY%big%' AND state = 'active'"
            ),
        );
        assert_eq!(ended, "1");
    });
    let read = read(view(&postgres, &wanted).as_ref(), &wanted, &memory);
    assert!(memory.hook_ran());
    let lost = read[0].as_ref().unwrap_err();
    assert!(shown(lost).contains("big"), "{}", shown(lost));
    assert_eq!(memory.entry(&format!("{}/data", database.name), "public.big", ".copy"), None);
    assert_eq!(read[1].as_ref().unwrap().records, 1);
}

#[test]
fn hidden_rows_are_an_error_and_no_smaller_backup() {
    let database = database(
        "CREATE TABLE secret (id int, owner text); INSERT INTO secret VALUES (1, 'me'), (2, 'you');
         ALTER TABLE secret ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON secret USING (owner = 'me');",
    );
    let role = database.role("reader");
    database.run(&format!("GRANT SELECT ON secret TO {role}"));
    let postgres = open(&database.uri_as(&role)).unwrap();
    let wanted = wanted(&postgres, &["secret"], &ALL);
    let hidden = read(view(&postgres, &wanted).as_ref(), &wanted, &Memory::default()).remove(0).unwrap_err();
    assert!(shown(&hidden).contains("secret") && shown(&hidden).contains("security"), "{}", shown(&hidden));
}

#[test]
fn partitions_come_once_and_inherited_rows_are_never_left_out_in_silence() {
    let database = database(
        "CREATE TABLE events (at date, n int) PARTITION BY RANGE (at);
         CREATE TABLE e25 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
         CREATE TABLE e24 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
         INSERT INTO events VALUES ('2025-02-02', 1), ('2024-02-02', 2), ('2024-03-03', 3);
         CREATE TABLE parent (id int); CREATE TABLE child (extra int) INHERITS (parent);
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3);",
    );
    let postgres = opened(&database);
    let with_child = wanted(&postgres, &["events", "parent", "child"], &ALL);
    let memory = Memory::default();
    let counts: Vec<_> = read(view(&postgres, &with_child).as_ref(), &with_child, &memory)
        .into_iter()
        .map(|read| read.unwrap().records)
        .collect();
    assert_eq!(counts, [3, 1, 1]);
    let alone = wanted(&postgres, &["parent"], &ALL);
    let refused = read(view(&postgres, &alone).as_ref(), &alone, &Memory::default()).remove(0).unwrap_err();
    assert!(shown(&refused).contains("inherit from it: child"), "{}", shown(&refused));
}

#[test]
fn exactly_the_tenants_rows_are_read_by_the_type_of_its_id_and_those_without_an_owner_counted() {
    let database = database(
        "CREATE TABLE t (tenant text, v text); INSERT INTO t VALUES ('acme', 'a'), ('acme2', 'b'), (NULL, 'c'), ('ACME', 'd'), (E'o''x\\\\', 'e');
         CREATE TABLE n (v text, tenant int); INSERT INTO n VALUES ('a', 7), ('b', 77), ('c', NULL), ('d', NULL);
         CREATE TABLE u (tenant uuid); INSERT INTO u VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11');
         CREATE TABLE x (v int)",
    );
    let postgres = opened(&database);
    for (table, tenant, id_type, kept, nobodys) in [
        ("t", "acme", IdType::String, vec!["acme\ta"], 1),
        ("t", "o'x\\", IdType::String, vec!["o'x\\\\\te"], 1),
        ("n", "7", IdType::Int, vec!["a\t7"], 2),
        ("u", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", IdType::Uuid, vec!["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], 0),
    ] {
        let wanted = wanted(&postgres, &[table], &of_tenant(tenant, id_type));
        let memory = Memory::default();
        let read = read(view(&postgres, &wanted).as_ref(), &wanted, &memory).remove(0).unwrap();
        assert_eq!(rows(&memory, &database, table), kept);
        assert_eq!((read.records, read.without_owner), (1, nobodys), "{table}");
        assert_eq!(postgres.count(&wanted[0]).unwrap(), Some(1));
    }
    let wanted = wanted(&postgres, &["x"], &of_tenant("acme", IdType::String));
    let refused = read(view(&postgres, &wanted).as_ref(), &wanted, &Memory::default()).remove(0).unwrap_err();
    assert!(shown(&refused).contains("no column tenant"), "{}", shown(&refused));
}

#[test]
fn large_objects_are_refused_by_name() {
    let database =
        database("CREATE TABLE files (id int, content oid); INSERT INTO files VALUES (1, lo_from_bytea(0, 'x'))");
    let postgres = opened(&database);
    let wanted = wanted(&postgres, &["files"], &ALL);
    let refused = read(view(&postgres, &wanted).as_ref(), &wanted, &Memory::default()).remove(0).unwrap_err();
    assert!(shown(&refused).contains("column content of table files"), "{}", shown(&refused));
}

#[test]
fn orphans_are_counted_and_sampled() {
    let database = database(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p_id int); INSERT INTO p VALUES (1);
         INSERT INTO c VALUES (1), (2), (2), (3), (NULL)",
    );
    let relationship = config::Relationship {
        parent: "p".into(),
        child: "c".into(),
        foreign_key: "p_id".into(),
        source: "payroll".into(),
    };
    let mut orphans = opened(&database).orphans(&relationship, &Records::All { shared: false }).unwrap();
    orphans.samples.sort();
    assert_eq!((orphans.count, orphans.samples), (3, vec!["2".to_owned(), "3".to_owned()]));
}

/// Says that a reader is idle whenever it is asked, and notes that it was.
#[derive(Default)]
struct AlwaysIdle(AtomicUsize);

impl Idle for AlwaysIdle {
    fn take(&self) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst) < 3
    }

    fn give_back(&self) {}
}

#[test]
fn without_a_snapshot_one_session_reads_a_table_however_large_it_is() {
    let database = database(
        "CREATE TABLE large (id int, v text) WITH (autovacuum_enabled = off);
         ALTER TABLE large ALTER v SET STORAGE EXTERNAL;
         INSERT INTO large SELECT n, repeat('x', 7000) FROM generate_series(1, 12000) n",
    );
    let settings = config::Postgres { ddl: Ddl::None, ..super::source(&database.uri()) };
    let postgres = Postgres::open("payroll", &settings, Timeouts::default(), Cancel::default()).unwrap();
    let wanted = wanted(&postgres, &["large"], &ALL);
    let asked = |at_most| {
        let (view, idle) =
            (postgres.open_view(&wanted, Consistency::Preferred, at_most).unwrap(), AlwaysIdle::default());
        let read = view.read_helped(&wanted, &Memory::default(), &idle).unwrap();
        assert_eq!(read[0].records, 12_000);
        idle.0.into_inner()
    };
    assert!(asked(Level::Snapshot) > 0, "it is large enough to be read in pieces");
    // Each session would see another moment of it.
    assert_eq!(asked(Level::Collection), 0);
}

#[test]
fn definitions_that_cannot_be_of_the_moment_of_the_rows_are_refused_before_any_row_is_read() {
    let database = database("CREATE TABLE a (id int)");
    let postgres = opened(&database);
    let wanted = wanted(&postgres, &["a"], &ALL);
    let refused = postgres.open_view(&wanted, Consistency::Preferred, Level::Collection).err().unwrap();
    assert!(shown(&refused).contains("ddl: none"), "{}", shown(&refused));
}

/// A way to a server whose answers arrive in crumbs: what is read of them ends in the midst of messages.
fn in_crumbs(server: &'static Server) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (mut server, mut client) = (TcpStream::connect(("127.0.0.1", server.port)).unwrap(), client);
            client.set_nodelay(true).unwrap();
            let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || drop(std::io::copy(&mut asks, &mut asked)));
            std::thread::spawn(move || {
                let mut crumb = [0; 3];
                while let Ok(n @ 1..) = server.read(&mut crumb) {
                    if client.write_all(&crumb[..n]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn answers_that_arrive_in_crumbs_are_read_as_well() {
    let database = database("CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 100)");
    let port = in_crumbs(database.server);
    let uri = database.uri().replace(&format!(":{}", database.server.port), &format!(":{port}"));
    assert!(uri.contains(&port.to_string()), "{uri}");
    let postgres = open(&uri).unwrap();
    let wanted = wanted(&postgres, &["a"], &ALL);
    let view = view(&postgres, &wanted);
    for _ in 0..20 {
        let read = view.read(&wanted, &Memory::default()).unwrap();
        assert_eq!(read[0].records, 100);
    }
}
