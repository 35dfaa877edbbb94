//! One tenant's rows, by way of their parents: what is read, what a restore changes, and what it leaves as it is.

use super::{opened, shown, source};
use crate::mongodb_engine::laboratory::Memory;
use crate::support::postgres::{Database, Postgres as Server, Version};
use backup::config::{Consistency, IdType, Timeouts};
use backup::error::{Error, Kind, Result};
use backup::modules::{Hop, Ownership, Records};
use backup::pipeline::Cancel;
use backup::source::postgres::Postgres;
use backup::source::{
    Changes, Existing, ItemKind, Level, ReadCollection, Restoring, Source, Staged, StoredCollection, Switched, Target,
    Wanted, scope_totals,
};
use std::fmt::Write as _;

const TENANTS: [&str; 5] = ["acme", "acme2", "birch", "cedar", "ACME"];

/// Policies name their owner, members their policy, visits their member. Every row of another's holds a canary.
pub fn clinic() -> Database {
    let database = Server::shared(Version::V15).database();
    let mut sql = "CREATE TABLE policies (id int PRIMARY KEY, tenant text, number text UNIQUE, v text);
        CREATE INDEX ON policies (tenant);
        CREATE TABLE members (id bigint PRIMARY KEY, policy int REFERENCES policies, v text);
        CREATE INDEX ON members (policy);
        CREATE TABLE visits (id int PRIMARY KEY, member bigint REFERENCES members ON DELETE CASCADE, v text);
        CREATE TABLE audit (v text);
        CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit VALUES (TG_TABLE_NAME); RETURN NULL; END $$;
        CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON policies FOR EACH ROW EXECUTE FUNCTION noted();
        ALTER TABLE policies DISABLE TRIGGER t;"
        .to_owned();
    for (n, tenant) in TENANTS.iter().enumerate() {
        let base = n * 100;
        write!(
            sql,
            "INSERT INTO policies SELECT {base} + g, '{tenant}', '{tenant}-' || g, 'canary-{tenant}' FROM generate_series(1, 4) g;
             INSERT INTO members SELECT {base} + g, {base} + 1 + g % 4, E'canary-{tenant}\\t\\n' FROM generate_series(1, 8) g;
             INSERT INTO visits SELECT {base} + g, {base} + 1 + g % 8, 'canary-{tenant}' FROM generate_series(1, 16) g;"
        )
        .unwrap();
    }
    sql.push_str(
        "INSERT INTO policies VALUES (900, NULL, NULL, 'canary-nobody'); INSERT INTO members VALUES (900, 900, 'canary-nobody'), (901, NULL, 'canary-nobody');
         ALTER TABLE policies ENABLE TRIGGER t",
    );
    database.run(&sql);
    database
}

fn scope(tenant: &str, table: &str) -> Records {
    let hop = |foreign_key: &str, parent: &str| Hop { foreign_key: foreign_key.into(), parent: parent.into() };
    let via = match table {
        "policies" => Vec::new(),
        "members" => vec![hop("policy", "policies")],
        "visits" => vec![hop("member", "members"), hop("policy", "policies")],
        other => panic!("{other}"),
    };
    Records::Owned(Ownership { tenant: tenant.into(), id_type: IdType::String, via, field: "tenant".into() })
}

pub const TABLES: [&str; 3] = ["policies", "members", "visits"];

/// A backup in memory: of everybody, or of one.
pub fn back_up(database: &Database, tenant: Option<&str>, tables: &[&str]) -> (Memory, Vec<Result<ReadCollection>>) {
    let postgres = opened(database);
    let records = |table: &str| tenant.map_or(Records::All { shared: false }, |tenant| scope(tenant, table));
    let want = |table: &&str| Wanted {
        name: (*table).into(),
        kind: ItemKind::Collection,
        identity: None,
        records: records(table),
    };
    let wanted: Vec<_> = tables.iter().map(want).collect();
    let view = postgres.open_view(&wanted, Consistency::Required, Level::Snapshot).unwrap();
    let memory = Memory::default();
    let read =
        wanted.iter().map(|one| view.read(std::slice::from_ref(one), &memory).map(|mut r| r.remove(0))).collect();
    view.describe(&wanted, &memory).unwrap();
    (memory, read)
}

fn text(memory: &Memory, database: &Database, table: &str) -> String {
    let body = memory.entry(&format!("{}/data", database.name), &format!("public.{table}"), ".copy").unwrap();
    String::from_utf8(body).unwrap()
}

/// A stored table, in the scope of one tenant.
fn stored(from: &Database, memory: &Memory, tenant: &str, table: &str) -> Result<StoredCollection> {
    let bare = StoredCollection {
        name: table.into(),
        directory: from.name.clone(),
        records: 0,
        digest: Default::default(),
        scope: scope(tenant, table),
        renaming: None,
    };
    let totals = scope_totals("postgres", &bare, memory)?;
    Ok(StoredCollection { records: totals.records, digest: totals.digest, ..bare })
}

fn target(database: &Database) -> Postgres {
    Postgres::open_target("payroll", &source(&database.uri()), Timeouts::default(), Cancel::default()).unwrap()
}

/// A restore of one tenant's share, as the use case does it.
pub struct Restore<'a> {
    pub from: &'a Database,
    pub memory: &'a Memory,
    pub tenant: &'a str,
    pub tables: &'a [&'a str],
    pub existing: Existing,
}

impl Restore<'_> {
    pub fn run(&self, database: &Database) -> Result<(Vec<Changes>, Vec<Switched>)> {
        let target = target(database);
        let batch: Vec<StoredCollection> =
            self.tables.iter().map(|t| stored(self.from, self.memory, self.tenant, t)).collect::<Result<_>>()?;
        let there = Target::inventory(&target)?;
        let holds = |name: &str| there.items.get(name).is_some_and(|item| item.records > 0);
        let existing = |name: &str| if holds(name) { self.existing } else { Existing::Refuse };
        let changes = batch.iter().filter(|stored| holds(&stored.name));
        let changes = changes.map(|s| target.compare(s, self.memory, existing(&s.name))).collect::<Result<Vec<_>>>()?;
        let restoring: Vec<_> = batch
            .iter()
            .map(|stored| Restoring {
                stored,
                kind: Some(ItemKind::Collection),
                input: self.memory,
                existing: existing(&stored.name),
            })
            .collect();
        target.examine(&restoring)?;
        let done = target.prepare(&restoring, "test").and_then(|_| {
            let stage = |s: &StoredCollection| target.stage(s, self.memory, existing(&s.name), "test");
            let staged: Vec<Staged> = batch.iter().map(stage).collect::<Result<_>>()?;
            target.switch(&staged.iter().map(|staged| (staged, self.memory as _)).collect::<Vec<_>>())
        });
        target.sweep("test").unwrap();
        done.map(|switched| (changes, switched))
    }
}

/// Everything that is not a tenant's, in the server's own words, with where each row is: a row that is written anew moves.
fn others(database: &Database, tenant: &str) -> String {
    database.run(&format!(
        "SELECT 'p', ctid, xmin, * FROM policies WHERE tenant IS DISTINCT FROM '{tenant}' ORDER BY id;
         SELECT 'm', m.ctid, m.xmin, m.* FROM members m LEFT JOIN policies p ON p.id = policy WHERE tenant IS DISTINCT FROM '{tenant}' ORDER BY m.id;
         SELECT 'v', v.ctid, v.xmin, v.* FROM visits v LEFT JOIN members m ON m.id = member LEFT JOIN policies p ON p.id = policy
           WHERE tenant IS DISTINCT FROM '{tenant}' ORDER BY v.id;
         SELECT conname, pg_get_constraintdef(oid), confdeltype FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1;
         SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal; SELECT count(*) FROM audit"
    ))
}

/// A tenant's own rows.
pub fn own(database: &Database, tenant: &str) -> String {
    database.run(&format!(
        "SELECT * FROM policies WHERE tenant = '{tenant}' ORDER BY id;
         SELECT m.* FROM members m JOIN policies p ON p.id = policy WHERE tenant = '{tenant}' ORDER BY m.id;
         SELECT v.* FROM visits v JOIN members m ON m.id = member JOIN policies p ON p.id = policy WHERE tenant = '{tenant}' ORDER BY v.id"
    ))
}

/// What happens to a tenant after its backup: rows change, go and come.
const LATER: &str = "ALTER TABLE policies DISABLE TRIGGER t;
    UPDATE policies SET v = 'changed' WHERE id = 1; UPDATE members SET policy = 2 WHERE id = 3; DELETE FROM visits WHERE id = 5;
    DELETE FROM visits WHERE member = 8; DELETE FROM members WHERE id = 8;
    INSERT INTO policies VALUES (50, 'acme', 'new', 'new'); INSERT INTO members VALUES (50, 50, 'new'); INSERT INTO visits VALUES (50, 50, 'new');
    UPDATE policies SET v = 'later' WHERE tenant = 'birch'; ALTER TABLE policies ENABLE TRIGGER t;";

#[test]
fn a_tenants_backup_by_way_of_parents_holds_its_rows_alone_and_counts_nobodys() {
    let database = clinic();
    let (memory, read) = back_up(&database, Some("acme"), &TABLES);
    let read: Vec<_> = read.into_iter().map(|read| read.unwrap()).collect();
    let counts: Vec<_> = read.iter().map(|read| (read.records, read.without_owner)).collect();
    assert_eq!(counts, [(4, 1), (8, 2), (16, 0)]);
    for (table, read) in TABLES.iter().zip(&read) {
        let text = text(&memory, &database, table);
        assert_eq!(text.lines().count() as u64, read.records);
        assert!(text.lines().all(|line| line.contains("canary-acme") && !line.contains("canary-acme2")), "{text}");
        let psql = database.run(&format!("COPY {table} TO STDOUT"));
        assert!(text.lines().all(|line| psql.lines().any(|row| row == line)), "{table} has other columns");
        let totals = scope_totals("postgres", &stored(&database, &memory, "acme", table).unwrap(), &memory).unwrap();
        assert_eq!((totals.records, totals.digest), (read.records, read.digest));
    }
    let nobodys = "2 rows have no `policy` that leads to an owner and are in no tenant's backup";
    assert_eq!(read[1].warnings, [nobodys]);
    let advice = "`member` has no index, so every row is read: CREATE INDEX ON \"public\".\"visits\" (\"member\")";
    assert_eq!(read[2].warnings, [advice]);
    let postgres = opened(&database);
    let wanted = |table: &str| Wanted {
        name: table.into(),
        kind: ItemKind::Collection,
        identity: None,
        records: scope("acme", table),
    };
    assert_eq!(TABLES.map(|table| postgres.count(&wanted(table)).unwrap().unwrap()), [4, 8, 16]);
}

#[test]
fn rows_that_only_a_loose_comparison_takes_for_the_tenants_stop_the_collection_by_name() {
    let database = Server::shared(Version::V15).database();
    database.run(
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE direct (id int PRIMARY KEY, tenant text COLLATE loose); INSERT INTO direct VALUES (1, 'acme'), (2, 'ACME');
         CREATE TABLE child (id int PRIMARY KEY, up int); INSERT INTO child VALUES (1, 1), (2, 2);
         CREATE TABLE named (id text COLLATE loose PRIMARY KEY, tenant text); INSERT INTO named VALUES ('k', 'acme');
         CREATE TABLE under (up text); INSERT INTO under VALUES ('K');
         CREATE TABLE wide (tenant char(10), v text); INSERT INTO wide VALUES ('acme', 'x'), ('acme2', 'canary');
         CREATE TABLE pair (a int, b int, tenant text, PRIMARY KEY (a, b)); CREATE TABLE of_pair (up int);",
    );
    let direct = |via: Vec<Hop>| {
        Records::Owned(Ownership { tenant: "acme".into(), id_type: IdType::String, via, field: "tenant".into() })
    };
    let by = |parent: &str| direct(vec![Hop { foreign_key: "up".into(), parent: parent.into() }]);
    let read = |table: &str, records: Records| {
        let wanted = Wanted { name: table.into(), kind: ItemKind::Collection, identity: None, records };
        let postgres = opened(&database);
        let view = postgres.open_view(std::slice::from_ref(&wanted), Consistency::Required, Level::Snapshot).unwrap();
        let memory = Memory::default();
        let read = view.read(&[wanted], &memory).map(|mut read| read.remove(0));
        (read, memory)
    };
    for (table, records, why) in [
        ("direct", direct(Vec::new()), "direct that is not acme's"),
        ("child", by("direct"), "child that is not acme's"),
        ("under", by("named"), "table under names its parent in other letters"),
        ("of_pair", by("pair"), "pair says who owns rows, and has no primary key of one column"),
        ("of_pair", by("gone"), "table gone, which says who owns rows, is not there"),
    ] {
        let (read, memory) = read(table, records);
        let error: Error = read.unwrap_err();
        assert!(shown(&error).contains(why), "{}", shown(&error));
        assert_eq!(memory.entry(&format!("{}/data", database.name), &format!("public.{table}"), ".copy"), None);
    }
    let (wide, memory) = read("wide", direct(Vec::new()));
    assert_eq!(wide.unwrap().records, 1);
    assert_eq!(text(&memory, &database, "wide"), "acme      \tx\n");
}

#[test]
fn a_parent_that_is_truncated_meanwhile_keeps_the_backup_waiting_and_not_empty() {
    let database = clinic();
    database.run("ALTER TABLE members DROP CONSTRAINT members_policy_fkey");
    let postgres = opened(&database);
    let wanted = [Wanted {
        name: "members".into(),
        kind: ItemKind::Collection,
        identity: None,
        records: scope("acme", "members"),
    }];
    let view = postgres.open_view(&wanted, Consistency::Required, Level::Snapshot).unwrap();
    let kept_out = database.run(
        "DO $$ BEGIN SET LOCAL lock_timeout = '50ms'; TRUNCATE policies; EXCEPTION WHEN lock_not_available THEN NULL; END $$;
         SELECT count(*) FROM policies",
    );
    assert_eq!(kept_out, "21");
    assert_eq!(view.read(&wanted, &Memory::default()).unwrap()[0].records, 8);
}

#[test]
fn a_tenants_share_is_replaced_out_of_everybodys_backup_and_nothing_of_others_moves() {
    let database = clinic();
    let (memory, read) = back_up(&database, None, &TABLES);
    assert!(read.iter().all(Result::is_ok));
    let was = own(&database, "acme");
    database.run(LATER);
    let before = others(&database, "acme");
    let restore =
        Restore { from: &database, memory: &memory, tenant: "acme", tables: &TABLES, existing: Existing::Replace };
    let (planned, switched) = restore.run(&database).unwrap();
    assert_eq!(own(&database, "acme"), was);
    assert_eq!(others(&database, "acme"), before);
    let expected = [
        Changes { created: 0, overwritten: 4, deleted: 1 },
        Changes { created: 1, overwritten: 7, deleted: 1 },
        Changes { created: 3, overwritten: 13, deleted: 1 },
    ];
    assert_eq!(planned, expected);
    let done: Vec<_> = switched.iter().map(|s| (s.changes.unwrap(), s.verified, s.records)).collect();
    assert_eq!(done, [(expected[0], true, 4), (expected[1], true, 8), (expected[2], true, 16)]);
    // Again, and out of the tenant's own backup: nothing changes.
    restore.run(&database).unwrap();
    let (memory, _) = back_up(&database, Some("acme"), &TABLES);
    Restore { memory: &memory, ..restore }.run(&database).unwrap();
    assert_eq!((own(&database, "acme"), others(&database, "acme")), (was, before));
    assert_eq!(database.run("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'backup-restore%'"), "0");
}

#[test]
fn add_and_merge_write_the_tenants_rows_alone() {
    for existing in [Existing::Add, Existing::Merge] {
        let database = clinic();
        let (memory, _) = back_up(&database, None, &TABLES);
        database.run(LATER);
        let before = others(&database, "acme");
        let restore = Restore { from: &database, memory: &memory, tenant: "acme", tables: &TABLES, existing };
        let (_, switched) = restore.run(&database).unwrap();
        assert!(switched.iter().all(|switched| switched.verified));
        assert_eq!(others(&database, "acme"), before);
        let counts = database.run("SELECT (SELECT count(*) FROM policies WHERE tenant = 'acme'), (SELECT count(*) FROM members WHERE id < 100), (SELECT count(*) FROM visits WHERE id < 100)");
        assert_eq!(counts, "5|9|17");
        let changed = if existing == Existing::Add { "changed" } else { "canary-acme" };
        assert_eq!(database.run("SELECT v FROM policies WHERE id = 1"), changed);
    }
}

#[test]
fn a_stored_row_in_the_place_of_anothers_is_refused_by_its_key_and_nothing_is_changed() {
    let database = clinic();
    let (memory, _) = back_up(&database, None, &TABLES);
    for (theft, table, why) in [
        ("UPDATE policies SET tenant = 'birch' WHERE id = 2", "policies", "(id) that is there of rows which are not the tenant's: 2"),
        ("UPDATE policies SET tenant = NULL WHERE id = 2", "policies", "not the tenant's: 2"),
        ("UPDATE members SET policy = 201 WHERE id = 3", "members", "(id) that is there of rows which are not the tenant's: 3"),
        ("UPDATE members SET policy = NULL WHERE id = 3", "members", "not the tenant's: 3"),
        ("DELETE FROM visits WHERE member IN (SELECT id FROM members WHERE policy = 2); DELETE FROM members WHERE policy = 2;
          DELETE FROM policies WHERE id = 2; UPDATE policies SET number = 'acme-2' WHERE id = 203", "policies", "(number) that is there of rows which are not the tenant's: acme-2"),
    ] {
        let state = "SELECT * FROM policies ORDER BY id; SELECT * FROM members ORDER BY id; SELECT * FROM visits ORDER BY id";
        let copy = Server::shared(Version::V15).database();
        copy.server.psql("postgres", &format!("DROP DATABASE {0}; CREATE DATABASE {0} TEMPLATE {1}", copy.name, database.name));
        copy.run(&format!("ALTER TABLE policies DISABLE TRIGGER t; {theft}"));
        let before = copy.run(state);
        for existing in [Existing::Replace, Existing::Add, Existing::Merge] {
            let target = target(&copy);
            let stored = stored(&database, &memory, "acme", table).unwrap();
            let refused = target.compare(&stored, &memory, existing).unwrap_err();
            assert_eq!(refused.kind, Kind::Refused);
            let details = format!("{} {:?}", shown(&refused), refused.details);
            assert!(details.contains(why) && details.contains(table), "{details}");
            // Also where it came after it was looked: the transaction looks again.
            let restoring = [Restoring { stored: &stored, kind: None, input: &memory, existing }];
            target.prepare(&restoring, "late").unwrap();
            let staged = target.stage(&stored, &memory, existing, "late").unwrap();
            let late = target.switch(&[(&staged, &memory)]).unwrap_err();
            assert_eq!(late.kind, Kind::Refused, "{late:?}");
            target.sweep("late").unwrap();
            assert_eq!(copy.run(state), before);
        }
    }
}

#[test]
fn a_child_whose_parent_is_anothers_now_is_never_given_to_it() {
    let database = clinic();
    let (memory, _) = back_up(&database, None, &TABLES);
    // Its own policy is birch's now, and its members are gone, so that no key is in the way.
    database.run("ALTER TABLE policies DISABLE TRIGGER t; DELETE FROM visits WHERE member < 100; DELETE FROM members WHERE policy = 2; UPDATE policies SET tenant = 'birch' WHERE id = 2");
    let state = "SELECT * FROM members ORDER BY id";
    let before = database.run(state);
    for existing in [Existing::Replace, Existing::Add, Existing::Merge] {
        let restore = Restore { from: &database, memory: &memory, tenant: "acme", tables: &["members"], existing };
        let error = restore.run(&database).unwrap_err();
        assert!(shown(&error).contains("members: ") && shown(&error).contains("of 8"), "{}", shown(&error));
        assert_eq!(database.run(state), before);
    }
}

#[test]
fn a_restore_that_dies_in_the_middle_leaves_everything_and_the_next_one_finishes() {
    let database = clinic();
    let (memory, _) = back_up(&database, None, &TABLES);
    let was = own(&database, "acme");
    database.run(LATER);
    let changed = own(&database, "acme");
    // Whatever writes a visit waits for a lock that the test holds: rows are deleted and written by then.
    database.run(
        "CREATE FUNCTION gate(v text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN true; END $$;
         ALTER TABLE visits ADD CONSTRAINT gate CHECK (gate(v)) NOT VALID",
    );
    let before = (changed, others(&database, "acme"));
    let restore =
        Restore { from: &database, memory: &memory, tenant: "acme", tables: &TABLES, existing: Existing::Replace };
    let holder = opened(&database);
    let session = holder.session().unwrap();
    crate::support::mongod::wait(async { session.client.batch_execute("SELECT pg_advisory_lock(7)").await.unwrap() });
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| restore.run(&database));
        let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE locktype = 'advisory' AND NOT granted AND application_name = 'backup' AND a.datname = current_database()";
        while database.run(waiting) == "0" {
            assert!(!running.is_finished(), "{:?}", running.join());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let ended = database.run("SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())");
        assert_eq!(ended, "1");
        running.join().unwrap().unwrap_err()
    });
    assert_eq!((own(&database, "acme"), others(&database, "acme")), before, "{error:?}");
    drop((session, holder));
    database.run("ALTER TABLE visits DROP CONSTRAINT gate");
    let before = others(&database, "acme");
    restore.run(&database).unwrap();
    assert_eq!((own(&database, "acme"), others(&database, "acme")), (was, before));
}

#[test]
fn a_tenant_of_other_letters_that_came_later_is_another_tenant() {
    let database = Server::shared(Version::V15).database();
    database.run(
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE policies (id int PRIMARY KEY, tenant text COLLATE loose); INSERT INTO policies VALUES (1, 'acme')",
    );
    let (memory, _) = back_up(&database, None, &["policies"]);
    database.run("UPDATE policies SET id = 2; INSERT INTO policies VALUES (3, 'ACME')");
    let tables = &["policies"];
    Restore { from: &database, memory: &memory, tenant: "acme", tables, existing: Existing::Replace }
        .run(&database)
        .unwrap();
    assert_eq!(database.run("SELECT * FROM policies ORDER BY id"), "1|acme\n3|ACME");
}

#[test]
fn a_tenant_comes_alone_into_a_database_that_holds_nothing() {
    let database = clinic();
    let (memory, _) = back_up(&database, None, &TABLES);
    let empty = Server::shared(Version::V15).database();
    let restore =
        Restore { from: &database, memory: &memory, tenant: "acme", tables: &TABLES, existing: Existing::Refuse };
    restore.run(&empty).unwrap();
    assert_eq!(own(&empty, "acme"), own(&database, "acme"));
    let counts =
        "SELECT (SELECT count(*) FROM policies), (SELECT count(*) FROM members), (SELECT count(*) FROM visits)";
    assert_eq!(empty.run(counts), "4|8|16");
}

#[test]
fn whose_rows_are_cannot_be_known_without_the_parents_and_is_told() {
    let database = clinic();
    struct Alone<'a>(&'a Memory);
    impl backup::source::Input for Alone<'_> {
        fn identity(&self) -> String {
            self.0.identity()
        }
        fn is_sealed(&self) -> bool {
            false
        }
        fn open(&self, name: &backup::source::EntryName) -> Result<Box<dyn std::io::Read + Send + '_>> {
            self.0.open(name)
        }
        fn holding(&self, _: &str) -> Option<&dyn backup::source::Input> {
            None
        }
    }

    let (memory, _) = back_up(&database, None, &["members"]);
    let bare = StoredCollection {
        name: "members".into(),
        directory: database.name.clone(),
        records: 0,
        digest: Default::default(),
        scope: scope("acme", "members"),
        renaming: None,
    };
    let error = scope_totals("postgres", &bare, &Alone(&memory)).unwrap_err();
    assert!(shown(&error).contains("owned by way of policies, which this backup does not hold"), "{}", shown(&error));
}
