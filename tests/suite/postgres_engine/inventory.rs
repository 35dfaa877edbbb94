//! What a schema holds, by kind; what is no collection is told by name.

use super::{open, opened};
use crate::support::mongod::wait;
use crate::support::postgres::{Postgres as Server, Version};
use backup::error::Kind;
use backup::source::postgres::{Postgres, Relation, RelationKind, Session, catalog};
use backup::source::{ItemKind, Source};
use std::collections::BTreeMap;

/// One relation of each kind, and rows whose number is known.
const KINDS: &str = "
CREATE SCHEMA attic;
CREATE TABLE plain (id serial PRIMARY KEY, v text);
INSERT INTO plain (v) SELECT 'x' FROM generate_series(1, 1000);
CREATE TABLE untouched (id int);
CREATE TABLE \"Odd \"\"name\" (id int);
INSERT INTO \"Odd \"\"name\" VALUES (1);
CREATE TABLE events (at date, n int) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (n);
CREATE TABLE events_2025_1 PARTITION OF events_2025 FOR VALUES IN (1);
CREATE TABLE attic.events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO events SELECT '2025-05-05', 1 FROM generate_series(1, 30);
INSERT INTO events SELECT '2024-05-05', 1 FROM generate_series(1, 12);
CREATE TABLE child (extra int) INHERITS (untouched);
INSERT INTO child VALUES (1, 2);
CREATE VIEW seen AS SELECT * FROM plain;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM plain;
CREATE SEQUENCE invoice_number;
CREATE TYPE money_in AS (amount numeric, currency text);
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE remote (v int) SERVER far;
CREATE UNLOGGED TABLE scratch (v int);
CREATE TABLE of_extension (v int); ALTER EXTENSION plpgsql ADD TABLE of_extension;
ANALYZE plain, events, attic.events_2024, events_2025_1;
";

fn kinds(version: Version) -> (crate::support::postgres::Database, Postgres) {
    let database = Server::shared(version).database();
    database.run(KINDS);
    let postgres = opened(&database);
    (database, postgres)
}

fn by_name(postgres: &Postgres) -> BTreeMap<String, Relation> {
    postgres.relations().unwrap().into_iter().map(|relation| (relation.name.clone(), relation)).collect()
}

#[test]
fn every_relation_is_there_with_its_kind_and_its_rows() {
    for version in Version::ALL {
        let (database, postgres) = kinds(version);
        let relations = by_name(&postgres);
        let expected = [
            ("Odd \"name", RelationKind::Table, 1),
            ("child", RelationKind::Inherited, 1),
            ("counted", RelationKind::MaterializedView, 1),
            ("events", RelationKind::Partitioned, 42),
            ("events_2025", RelationKind::Partition, 30),
            ("events_2025_1", RelationKind::Partition, 30),
            ("invoice_number", RelationKind::Sequence, 0),
            ("money_in", RelationKind::CompositeType, 0),
            ("of_extension", RelationKind::Table, 0),
            ("plain", RelationKind::Table, 1000),
            ("plain_id_seq", RelationKind::Sequence, 0),
            ("remote", RelationKind::Foreign, 0),
            ("scratch", RelationKind::Table, 0),
            ("seen", RelationKind::View, 0),
            ("untouched", RelationKind::Table, 0),
        ];
        let found: Vec<_> = relations.values().map(|r| (r.name.as_str(), r.kind, r.rows)).collect();
        assert_eq!(found, expected, "{version:?}");
        let listed = database.run("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'I', 't') ORDER BY relname COLLATE \"C\"");
        assert_eq!(listed, found.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join("\n"));
        assert_eq!(relations["plain_id_seq"].owned_by.as_deref(), Some("public.plain.id"));
        assert_eq!(relations["invoice_number"].owned_by, None);
        assert_eq!(relations["events_2025_1"].parents, ["public.events_2025"]);
        assert_eq!(relations["child"].parents, ["public.untouched"]);
        assert_eq!(relations["of_extension"].extension.as_deref(), Some("plpgsql"));
        let plain: u64 = database.run("SELECT pg_relation_size('plain')").parse().unwrap();
        assert_eq!(relations["plain"].bytes, plain);
        assert!(relations["events"].bytes >= 2 * 8192);
    }
}

#[test]
fn the_collections_are_what_has_rows_or_a_definition_of_its_own() {
    let (database, postgres) = kinds(Version::V15);
    let items = postgres.inventory().unwrap().items;
    let of = |kind: ItemKind| items.iter().filter(|(_, i)| i.kind == kind).map(|(n, _)| n.as_str()).collect::<Vec<_>>();
    assert_eq!(of(ItemKind::Collection), ["Odd \"name", "child", "events", "plain", "scratch", "untouched"]);
    assert_eq!(of(ItemKind::View), ["counted", "seen"]);
    assert_eq!(items["plain"].identity, Some(database.run("SELECT 'plain'::regclass::oid")));
    // A namesake made since is another table.
    database.run("DROP TABLE scratch; CREATE TABLE scratch (v int)");
    assert_ne!(postgres.inventory().unwrap().items["scratch"].identity, items["scratch"].identity);
}

#[test]
fn a_table_that_holds_a_row_never_counts_as_empty() {
    let database = Server::shared(Version::V15).database();
    database.run("CREATE TABLE young (v int); CREATE TABLE stale (v int); ANALYZE stale");
    database.run("INSERT INTO young VALUES (1); INSERT INTO stale VALUES (1)");
    database.run("CREATE TABLE emptied (v int); INSERT INTO emptied VALUES (1); DELETE FROM emptied");
    let role = database.role("reader");
    database.run(&format!("GRANT SELECT ON emptied TO {role}"));
    let rows = |postgres: &Postgres| by_name(postgres).values().map(|r| r.rows).collect::<Vec<_>>();
    assert_eq!(rows(&opened(&database)), [0, 1, 1]);
    // Of what it may not look into it must fear that there is something.
    assert_eq!(rows(&open(&database.uri_as(&role)).unwrap()), [0, 1, 1]);
}

#[test]
fn what_cannot_be_backed_up_by_its_name_is_refused_by_its_name() {
    let (database, postgres) = kinds(Version::V15);
    assert!(postgres.require_readable(&["plain", "events", "child", "seen", "counted"]).is_ok());
    for (name, words) in [
        ("events_2025", "list public.events"),
        ("invoice_number", "a sequence"),
        ("money_in", "a composite type"),
        ("remote", "a foreign table"),
    ] {
        let refused = postgres.require_readable(&["plain", name]).unwrap_err();
        assert_eq!(refused.kind, Kind::Source);
        let text = format!("{refused} {:?}", refused.hint);
        assert!(text.contains(name) && text.contains(words), "{text}");
    }
    database.run("SET allow_system_table_mods = on; UPDATE pg_class SET relkind = 'q' WHERE relname = 'scratch'");
    assert_eq!(postgres.inventory().unwrap().items["scratch"].kind, ItemKind::Collection);
    let refused = postgres.require_readable(&["scratch"]).unwrap_err();
    assert_eq!(refused.kind, Kind::Source);
    assert!(refused.to_string().contains("scratch") && refused.to_string().contains("relkind 'q'"), "{refused}");
    database.run("SET allow_system_table_mods = on; UPDATE pg_class SET relkind = 'r' WHERE relname = 'scratch'");
}

#[test]
fn a_missing_privilege_is_named_with_its_table_and_the_grant() {
    let database = Server::shared(Version::V15).database();
    database.run("CREATE TABLE open (v int); CREATE TABLE \"Closed\" (v int); CREATE TABLE shut (v int)");
    let role = database.role("half");
    database.run(&format!("GRANT SELECT ON open TO {role}"));
    let postgres = open(&database.uri_as(&role)).unwrap();
    assert!(postgres.require_readable(&["open"]).is_ok());
    let refused = postgres.require_readable(&["open", "Closed", "shut"]).unwrap_err();
    assert_eq!(refused.kind, Kind::Connect);
    let grant = refused.hint.unwrap();
    assert!(
        grant.contains(&format!("GRANT SELECT ON \"public\".\"Closed\", \"public\".\"shut\" TO \"{role}\"")),
        "{grant}"
    );
    database.run(grant.split(';').next().unwrap());
    assert!(postgres.require_readable(&["open", "Closed", "shut"]).is_ok());
}

#[test]
fn the_catalog_says_what_reading_and_restoring_need() {
    for version in Version::ALL {
        let database = Server::shared(version).database();
        database.run(
            "CREATE DOMAIN lo AS oid;
            CREATE TABLE parent (a int, b text, PRIMARY KEY (b, a));
            CREATE TABLE t (
                id bigint GENERATED ALWAYS AS IDENTITY, gone int, other int GENERATED BY DEFAULT AS IDENTITY,
                amount numeric(10, 2) NOT NULL, doubled numeric GENERATED ALWAYS AS (amount * 2) STORED,
                picture lo, ref oid, tenant text, pa int, pb text,
                CONSTRAINT to_parent FOREIGN KEY (pb, pa) REFERENCES parent (b, a));
            ALTER TABLE t DROP COLUMN gone;
            CREATE INDEX ON t (tenant, amount); CREATE INDEX ON t (pa) WHERE pa > 1;
            CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER audit BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
            ALTER TABLE t DISABLE TRIGGER audit;
            SELECT lo_create(0);",
        );
        let postgres = opened(&database);
        let session = postgres.session().unwrap();
        let oid = |name: &str| by_name(&postgres)[name].oid;
        let (t, parent) = (oid("t"), oid("parent"));

        let columns = wait(catalog::columns(&session, t)).unwrap();
        let text: Vec<_> = columns.iter().map(|c| format!("{} {}", c.name, c.type_name)).collect();
        assert_eq!(text[..4], ["id bigint", "other integer", "amount numeric(10,2)", "doubled numeric"]);
        assert_eq!(text[4..], ["picture public.lo", "ref oid", "tenant text", "pa integer", "pb text"]);
        let named = |wanted: fn(&catalog::Column) -> bool| -> String {
            columns.iter().filter(|c| wanted(c)).map(|c| c.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named(|c| c.generated), "doubled");
        assert_eq!(named(|c| c.identity == Some(catalog::Identity::Always)), "id");
        assert_eq!(named(|c| c.identity == Some(catalog::Identity::ByDefault)), "other");
        assert_eq!(named(|c| c.not_null), "id other amount");
        assert_eq!(named(|c| c.large_object), "picture ref");

        assert_eq!(wait(catalog::primary_key(&session, parent)).unwrap(), ["b", "a"]);
        assert!(wait(catalog::primary_key(&session, t)).unwrap().is_empty());
        let indexed = |column: &str| wait(catalog::is_indexed(&session, t, column)).unwrap();
        assert!(indexed("tenant") && !indexed("amount") && !indexed("pa") && !indexed("nothing"));
        let keys = wait(catalog::foreign_keys(&session, "public")).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].child.as_str(), keys[0].parent.as_str()), ("public.t", "public.parent"));
        assert_eq!(
            (&keys[0].columns, &keys[0].parent_columns),
            (&vec!["pb".into(), "pa".into()], &vec!["b".into(), "a".into()])
        );
        let triggers = wait(catalog::triggers(&session, t)).unwrap();
        assert_eq!((triggers.len(), triggers[0].name.as_str(), triggers[0].enabled), (1, "audit", 'D'));
        assert!(triggers[0].definition.starts_with("CREATE TRIGGER audit"));
        assert_eq!(wait(catalog::large_objects(&session)).unwrap(), 1);
        assert!(wait(catalog::extensions(&session)).unwrap().is_empty());
    }
}

#[test]
fn leaves_of_a_partitioned_table_and_children_of_another_are_told_apart() {
    let (_database, postgres) = kinds(Version::V15);
    let session = postgres.session().unwrap();
    let relations = by_name(&postgres);
    let names = |tables: Vec<catalog::Table>| -> Vec<_> {
        tables.into_iter().map(|table| format!("{}.{}", table.schema, table.name)).collect()
    };
    let leaves = wait(catalog::leaves(&session, relations["events"].oid)).unwrap();
    assert_eq!(names(leaves), ["attic.events_2024", "public.events_2025_1"]);
    let children = |name: &str| names(wait(catalog::children(&session, relations[name].oid)).unwrap());
    assert_eq!(children("untouched"), ["public.child"]);
    assert!(children("events").is_empty() && children("child").is_empty());
}

#[test]
fn row_security_is_against_whoever_the_server_would_hide_rows_from() {
    let database = Server::shared(Version::V15).database();
    let (owner, reader, bypass) = (database.role("owner"), database.role("reader"), database.role("bypass"));
    database.run(&format!("ALTER ROLE {bypass} BYPASSRLS"));
    database.run("CREATE TABLE free (v int); CREATE TABLE guarded (v int); CREATE TABLE forced (v int)");
    database.run("INSERT INTO guarded VALUES (1); INSERT INTO forced VALUES (1)");
    database.run("ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
    for table in ["free", "guarded", "forced"] {
        database.run(&format!("ALTER TABLE {table} OWNER TO {owner}; GRANT SELECT ON {table} TO {reader}, {bypass}"));
    }
    for (uri, expected) in [
        (database.uri(), [false, false, false]),
        (database.uri_as(&bypass), [false, false, false]),
        (database.uri_as(&owner), [true, false, false]),
        (database.uri_as(&reader), [true, false, true]),
    ] {
        let postgres = open(&uri).unwrap();
        let session = postgres.session().unwrap();
        let relations = by_name(&postgres);
        let against = |name: &str| wait(catalog::row_security(&session, relations[name].oid)).unwrap().against_us;
        assert_eq!(["forced", "free", "guarded"].map(against), expected, "{uri}");
        // The server agrees: with `row_security` off it refuses to hide rows.
        let refuses = |name: &str| refuses(&session, name);
        assert_eq!(["forced", "free", "guarded"].map(refuses), expected, "{uri}");
    }
}

fn refuses(session: &Session, table: &str) -> bool {
    match wait(session.query(&format!("SELECT * FROM public.{table}"), &[])) {
        Ok(_) => false,
        Err(failure) => {
            assert_eq!(failure.state().map(|state| state.code()), Some("42501"), "{failure:?}");
            true
        }
    }
}
