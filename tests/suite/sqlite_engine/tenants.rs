//! One tenant's rows, by way of their parents: what is read, what a restore changes, and what it leaves as it is.

use super::laboratory::{Backup, Lab, wanted};
use backup::config::IdType;
use backup::error::{Error, Kind, Result};
use backup::modules::{Hop, Ownership, Records};
use backup::source::{Changes, Existing, Input, Source, Staged, StoredCollection, Switched, Target, scope_totals};
use std::fmt::Write as _;

const TENANTS: [&str; 5] = ["acme", "acme2", "birch", "cedar", "ACME"];
const TABLES: [&str; 3] = ["policies", "members", "visits"];
/// Parents and children in archives of their own.
const APART: [&[&str]; 3] = [&["visits"], &["policies"], &["members"]];

/// Policies name their owner, members their policy, visits their member. Every row of another's holds a canary.
fn clinic() -> Lab {
    let mut sql = "CREATE TABLE policies (id INTEGER PRIMARY KEY, tenant TEXT, number TEXT UNIQUE ON CONFLICT REPLACE, v BLOB);
        CREATE INDEX policies_tenant ON policies (tenant);
        CREATE TABLE members (id TEXT PRIMARY KEY, policy INTEGER REFERENCES policies, v TEXT) WITHOUT ROWID;
        CREATE INDEX members_policy ON members (policy);
        CREATE TABLE visits (id INTEGER PRIMARY KEY AUTOINCREMENT, member TEXT REFERENCES members ON DELETE CASCADE, v TEXT);
        CREATE TABLE audit (v TEXT);"
        .to_owned();
    for (n, tenant) in TENANTS.iter().enumerate() {
        let base = n * 100;
        for g in 1..=4 {
            write!(
                sql,
                "INSERT INTO policies VALUES ({}, '{tenant}', '{tenant}-{g}', CAST('canary-{tenant}' AS BLOB));",
                base + g
            )
            .unwrap();
        }
        for g in 1..=8 {
            write!(sql, "INSERT INTO members VALUES ('m{}', {}, 'canary-{tenant}');", base + g, base + 1 + g % 4)
                .unwrap();
        }
        for g in 1..=16 {
            write!(sql, "INSERT INTO visits VALUES ({}, 'm{}', 'canary-{tenant}');", base + g, base + 1 + g % 8)
                .unwrap();
        }
    }
    sql.push_str(
        "INSERT INTO policies VALUES (900, NULL, NULL, 'canary-nobody'); INSERT INTO members VALUES ('m900', 900, 'canary-nobody'), ('m901', NULL, 'canary-nobody');
         CREATE TRIGGER noted AFTER DELETE ON policies BEGIN INSERT INTO audit VALUES (old.id); END;",
    );
    Lab::new(&sql)
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

fn all(_: &str) -> Records {
    Records::All { shared: false }
}

fn stored_bare(table: &str) -> StoredCollection {
    StoredCollection {
        name: table.into(),
        directory: "clinic".into(),
        records: 0,
        digest: Default::default(),
        scope: scope("acme", table),
        renaming: None,
    }
}

fn stored(backup: &Backup, tenant: &str, table: &str) -> Result<StoredCollection> {
    let bare = StoredCollection { scope: scope(tenant, table), ..stored_bare(table) };
    let totals = scope_totals("sqlite", &bare, &backup.input(table))?;
    Ok(StoredCollection { records: totals.records, digest: totals.digest, ..bare })
}

/// A restore of one tenant's share, as the use case does it.
fn restore(lab: &Lab, backup: &Backup, tables: &[&str], existing: Existing) -> Result<(Vec<Changes>, Vec<Switched>)> {
    let target = lab.target();
    let there = Target::inventory(&target)?;
    let inputs: Vec<_> = tables.iter().map(|table| backup.input(table)).collect();
    let (mut changes, mut staged): (Vec<Changes>, Vec<Staged>) = (Vec::new(), Vec::new());
    for (table, input) in tables.iter().zip(&inputs) {
        let stored = stored(backup, "acme", table)?;
        let holds = there.items.get(*table).is_some_and(|item| item.records > 0);
        let existing = if holds { existing } else { Existing::Refuse };
        if holds {
            changes.push(target.compare(&stored, input, existing)?);
        }
        staged.push(target.stage(&stored, input, existing, "test")?);
    }
    let batch: Vec<(&Staged, &dyn Input)> = staged.iter().zip(&inputs).map(|(s, i)| (s, i as &dyn Input)).collect();
    Ok((changes, target.switch(&batch)?))
}

const OWN: &str = "policies.tenant = 'acme'";

/// Rows of all tables that are (not) the tenant's.
fn share(lab: &Lab, of: &str) -> Vec<String> {
    [
        format!("SELECT rowid, * FROM policies WHERE ({OWN}) {of} ORDER BY id"),
        format!("SELECT members.* FROM members LEFT JOIN policies ON policies.id = policy WHERE ({OWN}) {of} ORDER BY members.id"),
        format!("SELECT visits.* FROM visits LEFT JOIN members ON members.id = member LEFT JOIN policies ON policies.id = policy WHERE ({OWN}) {of} ORDER BY visits.id"),
        "SELECT * FROM audit UNION ALL SELECT sql FROM sqlite_master".into(),
    ]
    .iter()
    .flat_map(|sql| lab.rows(sql))
    .collect()
}

fn own(lab: &Lab) -> Vec<String> {
    share(lab, "IS TRUE")
}

fn others(lab: &Lab) -> Vec<String> {
    share(lab, "IS NOT TRUE")
}

/// What happens after the backup: rows change, go and come.
const LATER: &str = "UPDATE policies SET v = 'changed' WHERE id = 1; UPDATE members SET policy = 2 WHERE id = 'm3'; DELETE FROM visits WHERE id = 5;
    DELETE FROM visits WHERE member = 'm8'; DELETE FROM members WHERE id = 'm8';
    INSERT INTO policies VALUES (50, 'acme', 'new', 'new'); INSERT INTO members VALUES ('m50', 50, 'new'); INSERT INTO visits VALUES (50, 'm50', 'new');
    UPDATE policies SET v = 'later' WHERE tenant = 'birch';";

fn shown(error: &Error) -> String {
    format!("{error:?} {error} {:?}", error.details)
}

#[test]
fn a_tenants_backup_by_way_of_parents_holds_its_rows_alone_and_counts_nobodys() {
    let lab = clinic();
    for groups in [&[&TABLES[..]][..], &APART] {
        let (backup, read) = lab.back_up(groups, &|table| scope("acme", table)).unwrap();
        for (_, archive) in &backup.0 {
            assert!(archive.holds("canary-acme"));
            for other in ["canary-acme2", "canary-birch", "canary-cedar", "canary-ACME", "canary-nobody"] {
                assert!(!archive.holds(other), "{other}");
            }
        }
        let mut counts: Vec<_> = read.iter().map(|r| (r.name.as_str(), r.records, r.without_owner)).collect();
        counts.sort_unstable();
        assert_eq!(counts, [("members", 8, 2), ("policies", 4, 1), ("visits", 16, 0)]);
        for read in &read {
            let totals = stored(&backup, "acme", &read.name).unwrap();
            assert_eq!((totals.records, totals.digest), (read.records, read.digest));
        }
        let visits = read.iter().find(|read| read.name == "visits").unwrap();
        let advice = "CREATE INDEX \"visits_member\" ON \"visits\" (\"member\")";
        assert!(visits.warnings.iter().any(|warning| warning.contains(advice)), "{:?}", visits.warnings);
    }
    let count = |table: &&str| lab.source().count(&wanted(table, scope("acme", table))).unwrap().unwrap();
    assert_eq!(TABLES.iter().map(count).collect::<Vec<_>>(), [4, 8, 16]);
}

#[test]
fn rows_that_only_a_loose_comparison_takes_for_the_tenants_stop_the_collection_by_name() {
    let lab = Lab::new(
        "CREATE TABLE direct (id INTEGER PRIMARY KEY, tenant TEXT COLLATE NOCASE); INSERT INTO direct VALUES (1, 'acme'), (2, 'ACME');
         CREATE TABLE child (id INTEGER PRIMARY KEY, up INTEGER); INSERT INTO child VALUES (1, 1), (2, 2);
         CREATE TABLE named (id TEXT COLLATE NOCASE PRIMARY KEY, tenant TEXT); INSERT INTO named VALUES ('k', 'acme');
         CREATE TABLE under (up TEXT); INSERT INTO under VALUES ('K');
         CREATE TABLE blobs (id INTEGER PRIMARY KEY, tenant TEXT); INSERT INTO blobs VALUES (1, x'61636d65'), (2, 'acme');
         CREATE TABLE numbers (id INTEGER PRIMARY KEY, tenant NUMERIC); INSERT INTO numbers VALUES (1, 7);
         CREATE TABLE pair (a, b, tenant TEXT, PRIMARY KEY (a, b)); CREATE TABLE of_pair (up INTEGER)",
    );
    let owned = |tenant: &str, via: Vec<Hop>| {
        Records::Owned(Ownership { tenant: tenant.into(), id_type: IdType::String, via, field: "tenant".into() })
    };
    let by = |parent: &str| owned("acme", vec![Hop { foreign_key: "up".into(), parent: parent.into() }]);
    for (table, records, why) in [
        ("direct", owned("acme", Vec::new()), "a row of direct matches the tenant's id but is not exactly it"),
        ("child", by("direct"), "a row of child matches the tenant's id but is not exactly it"),
        ("under", by("named"), "a row of under names its parent in other letters"),
        ("numbers", owned("7", Vec::new()), "a row of numbers matches"),
        ("of_pair", by("pair"), "table pair says who owns rows, and has no primary key of one column"),
        ("of_pair", by("gone"), "table gone, which says who owns rows, is not there"),
        ("under", owned("acme", Vec::new()), "table under has no column `tenant`"),
    ] {
        let error = lab.back_up(&[&[table]], &|_| records.clone()).map(drop).unwrap_err();
        assert!(shown(&error).contains(why), "{}", shown(&error));
    }
    // A blob of the same letters is nobody's id: another type is not even taken for it.
    let (_, read) = lab.back_up(&[&["blobs"]], &|_| owned("acme", Vec::new())).unwrap();
    assert_eq!(read[0].records, 1);
}

#[test]
fn a_tenants_share_is_replaced_out_of_everybodys_backup_and_nothing_of_others_changes() {
    for groups in [&[&TABLES[..]][..], &APART] {
        let lab = clinic();
        let (backup, _) = lab.back_up(groups, &all).unwrap();
        let was = own(&lab);
        lab.run(LATER);
        let before = others(&lab);
        let (planned, switched) = restore(&lab, &backup, &TABLES, Existing::Replace).unwrap();
        assert_eq!(others(&lab), before);
        assert_eq!(own(&lab)[..28], was[..28]);
        let expected = [
            Changes { created: 0, overwritten: 4, deleted: 1 },
            Changes { created: 1, overwritten: 7, deleted: 1 },
            Changes { created: 3, overwritten: 13, deleted: 1 },
        ];
        assert_eq!(planned, expected);
        let done: Vec<_> = switched.iter().map(|s| (s.changes.unwrap(), s.verified, s.records)).collect();
        assert_eq!(done, [(expected[0], true, 4), (expected[1], true, 8), (expected[2], true, 16)]);
        // A run that died behind its COMMIT finds every table in place; and a second one changes nothing.
        let target = lab.target();
        for table in TABLES {
            let stored = stored(&backup, "acme", table).unwrap();
            assert!(target.resume(&stored, &backup.input(table), None).unwrap().is_some(), "{table}");
        }
        restore(&lab, &backup, &TABLES, Existing::Replace).unwrap();
        assert_eq!((own(&lab)[..28].to_vec(), others(&lab)), (was[..28].to_vec(), before));
    }
}

#[test]
fn add_and_merge_write_the_tenants_rows_alone() {
    for existing in [Existing::Add, Existing::Merge] {
        let lab = clinic();
        let (backup, _) = lab.back_up(&APART, &all).unwrap();
        lab.run(LATER);
        let before = others(&lab);
        let (_, switched) = restore(&lab, &backup, &TABLES, existing).unwrap();
        assert!(switched.iter().all(|switched| switched.verified));
        assert_eq!(others(&lab), before);
        let counts = lab.rows("SELECT (SELECT count(*) FROM policies WHERE tenant = 'acme'), (SELECT count(*) FROM members WHERE v IN ('canary-acme', 'new')), (SELECT count(*) FROM visits WHERE id < 100)");
        assert_eq!(counts, ["Integer(5)|Integer(9)|Integer(17)"]);
        let changed = if existing == Existing::Add { "changed" } else { "canary-acme" };
        assert_eq!(
            lab.rows(&format!("SELECT count(*) FROM policies WHERE id = 1 AND CAST(v AS TEXT) = '{changed}'")),
            ["Integer(1)"]
        );
    }
}

#[test]
fn a_stored_row_in_the_place_of_anothers_is_refused_by_its_key_and_nothing_is_changed() {
    for (theft, table, why) in [
        (
            "UPDATE policies SET tenant = 'birch' WHERE id = 2",
            "policies",
            "(\\\"id\\\") that is there of rows which are not the tenant's: 2",
        ),
        ("UPDATE policies SET tenant = NULL WHERE id = 2", "policies", "not the tenant's: 2"),
        ("UPDATE policies SET tenant = 'ACME' WHERE id = 2", "policies", "not the tenant's: 2"),
        ("UPDATE members SET policy = 201 WHERE id = 'm3'", "members", "not the tenant's: m3"),
        ("UPDATE members SET policy = NULL WHERE id = 'm3'", "members", "not the tenant's: m3"),
        // The table's own clause would have the row of the other removed for ours.
        (
            "DELETE FROM policies WHERE id = 2; UPDATE policies SET number = 'acme-2' WHERE id = 203",
            "policies",
            "(\\\"number\\\") that is there of rows which are not the tenant's: acme-2",
        ),
    ] {
        let lab = clinic();
        let (backup, _) = lab.back_up(&APART, &all).unwrap();
        let stored = stored(&backup, "acme", table).unwrap();
        let input = backup.input(table);
        for existing in [Existing::Replace, Existing::Add, Existing::Merge] {
            let target = lab.target();
            // Also where it came after it was looked: the transaction looks again.
            let staged = target.stage(&stored, &input, existing, "late").unwrap();
            lab.run(&format!("PRAGMA foreign_keys = OFF; {theft}"));
            let before = (own(&lab), others(&lab));
            let refused = target.compare(&stored, &input, existing).unwrap_err();
            let late = target.switch(&[(&staged, &input)]).unwrap_err();
            for error in [refused, late] {
                assert_eq!(error.kind, Kind::Refused);
                assert!(shown(&error).contains(why) && shown(&error).contains(table), "{}", shown(&error));
            }
            assert_eq!((own(&lab), others(&lab)), before);
        }
    }
}

#[test]
fn a_child_whose_parent_is_anothers_now_is_never_given_to_it() {
    let lab = clinic();
    let (backup, _) = lab.back_up(&APART, &all).unwrap();
    // Its own policy is birch's now, and its members are gone, so that no key is in the way.
    lab.run("DELETE FROM members WHERE policy = 2; UPDATE policies SET tenant = 'birch' WHERE id = 2");
    let before = lab.rows("SELECT * FROM members");
    for existing in [Existing::Replace, Existing::Add, Existing::Merge] {
        let error = restore(&lab, &backup, &["members"], existing).unwrap_err();
        assert!(shown(&error).contains("members: not all rows would be the tenant's"), "{}", shown(&error));
        assert_eq!(lab.rows("SELECT * FROM members"), before);
    }
    lab.run("DELETE FROM members");
    let error = restore(&lab, &backup, &["members"], Existing::Replace).unwrap_err();
    assert!(shown(&error).contains("members: not all rows would be the tenant's"), "{}", shown(&error));
    assert_eq!(lab.rows("SELECT * FROM members"), Vec::<String>::new());
}

/// One table whose rows name their owner, restored over what came later.
fn restored_over(lab: &Lab, later: &str, existing: Existing) -> Result<Vec<Switched>> {
    let (backup, _) = lab.back_up(&[&["t"]], &all).unwrap();
    lab.run(later);
    let bare = StoredCollection { name: "t".into(), ..stored_bare("policies") };
    let totals = scope_totals("sqlite", &bare, &backup.input("t")).unwrap();
    let stored = StoredCollection { records: totals.records, digest: totals.digest, ..bare };
    let (target, input) = (lab.target(), backup.input("t"));
    target.compare(&stored, &input, existing)?;
    let staged = target.stage(&stored, &input, existing, "test")?;
    target.switch(&[(&staged, &input)])
}

#[test]
fn a_tenant_of_other_letters_that_came_later_is_another_tenant() {
    let lab = Lab::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, tenant TEXT COLLATE NOCASE); INSERT INTO t VALUES (1, 'acme')",
    );
    let later = "UPDATE t SET id = 2; INSERT INTO t VALUES (3, 'ACME'), (4, x'61636d65')";
    restored_over(&lab, later, Existing::Replace).unwrap();
    assert_eq!(lab.rows("SELECT id FROM t"), ["Integer(1)", "Integer(3)", "Integer(4)"]);
}

#[test]
fn no_clause_of_the_tables_own_removes_anothers_row() {
    let lab = Lab::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, tenant TEXT, number TEXT, UNIQUE (number COLLATE NOCASE) ON CONFLICT REPLACE);
         INSERT INTO t VALUES (1, 'acme', 'n')",
    );
    let later = "DELETE FROM t; INSERT INTO t VALUES (2, 'birch', 'N'), (3, 'acme', 'other')";
    let error = restored_over(&lab, later, Existing::Merge).unwrap_err();
    assert!(shown(&error).contains("UNIQUE constraint failed"), "{}", shown(&error));
    assert_eq!(lab.rows("SELECT id FROM t"), ["Integer(2)", "Integer(3)"]);
}

#[test]
fn what_fails_in_the_last_table_leaves_the_first_as_it_was_and_the_next_run_finishes() {
    let lab = clinic();
    let (backup, _) = lab.back_up(&APART, &all).unwrap();
    let was = own(&lab);
    lab.run(LATER);
    // An index that no comparison of keys sees, and that the second of the stored visits breaks.
    lab.run(
        "DELETE FROM visits WHERE v = 'canary-acme'; CREATE UNIQUE INDEX gate ON visits (v) WHERE v = 'canary-acme'",
    );
    let before = (own(&lab), others(&lab));
    let error = restore(&lab, &backup, &TABLES, Existing::Replace).unwrap_err();
    assert!(shown(&error).contains("UNIQUE constraint failed"), "{}", shown(&error));
    assert_eq!((own(&lab), others(&lab)), before);
    lab.run("DROP INDEX gate");
    let before = others(&lab);
    restore(&lab, &backup, &TABLES, Existing::Replace).unwrap();
    assert_eq!((own(&lab)[..28].to_vec(), others(&lab)), (was[..28].to_vec(), before));
}

#[test]
fn a_tenant_comes_alone_into_a_database_that_holds_nothing() {
    let lab = clinic();
    let (backup, _) = lab.back_up(&APART, &all).unwrap();
    let empty = Lab::new("");
    restore(&empty, &backup, &TABLES, Existing::Refuse).unwrap();
    for table in TABLES {
        let sql = format!("SELECT count(*), sum(CAST(v AS TEXT) = 'canary-acme') FROM {table}");
        let count = stored(&backup, "acme", table).unwrap().records;
        assert_eq!(empty.rows(&sql), [format!("Integer({count})|Integer({count})")]);
    }
    assert!(!std::fs::read(empty.path()).unwrap().windows(12).any(|window| window == b"canary-birch"));
}

#[test]
fn whose_rows_are_cannot_be_known_without_the_parents_and_is_told() {
    let (backup, _) = clinic().back_up(&[&["members"]], &all).unwrap();
    let error = stored(&backup, "acme", "members").unwrap_err();
    assert!(shown(&error).contains("owned by way of policies, which this backup does not hold"), "{}", shown(&error));
}
