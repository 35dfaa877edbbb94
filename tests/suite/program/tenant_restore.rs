//! One tenant back, among many: out of its own backup and out of a system-wide one, in every engine. Whatever is not the
//! tenant's stays as it is, which clients of the tests' own look at.

use super::clinic::{Clinic, Engine, Lines, TENANTS, canary, parted};
use crate::support::app::files_below;
use std::collections::BTreeMap;

#[test]
fn a_tenant_comes_back_as_it_was_and_nobody_else_is_touched() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        let app = &clinic.app;
        let own = app.run(&["--json", "create", "--tenant", "t7"]).expect(0).json()["id"].as_str().unwrap().to_owned();
        let system = app.run(&["--json", "create"]).expect(0).json()["id"].as_str().unwrap().to_owned();
        let before = clinic.picture();
        for (id, existing) in [(&own, "replace"), (&system, "replace"), (&system, "merge"), (&own, "add")] {
            // The tenant loses, changes and gains records; so do others and what is shared, who keep theirs.
            clinic.delete("visits", 70, 72);
            clinic.delete("members", 71, 72);
            clinic.change("policies", 72, "changed");
            clinic.insert("visits", 79, Some(("member", "73")), "new");
            clinic.change("members", 80, "others change");
            clinic.change("countries", 1, "everybody change");
            clinic.app.write("uploads/t7/docs/a.txt", b"changed");
            clinic.app.write("uploads/t8/docs/a.txt", b"others change");
            let now = clinic.picture();
            let planned =
                app.run(&["--json", "restore", id, "--tenant", "t7", "--existing", existing, "--dry-run"]).expect(0);
            let planned = planned.json()["collections"].clone();
            assert_eq!(clinic.picture(), now, "a dry run changed something");
            let done =
                app.run(&["--json", "restore", id, "--tenant", "t7", "--existing", existing, "--yes"]).expect(0).json();
            let (found, was) = (parted(&clinic.picture(), 7), (parted(&before, 7), parted(&now, 7)));
            assert_eq!(found.1, was.1.1, "others, {existing} of {id}");
            let file = std::fs::read(app.path("uploads/t7/docs/a.txt")).unwrap();
            match existing {
                "replace" => {
                    assert_eq!(found.0, was.0.0, "{id}");
                    assert_eq!(file, canary(7).as_bytes());
                    let visits = planned.as_array().unwrap().iter().find(|c| c["name"] == "visits").unwrap().clone();
                    assert_eq!(
                        (&visits["created"], &visits["overwritten"], &visits["deleted"]),
                        (&2.into(), &4.into(), &1.into())
                    );
                    let safety = done["safetyBackup"].as_str().unwrap();
                    assert!(safety.starts_with("tenant-t7-backup-"), "{safety}");
                }
                "merge" => {
                    let mut all: BTreeMap<_, _> = was.1.0.into_iter().collect();
                    all.extend(was.0.0.clone());
                    assert_eq!(found.0, all.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect::<Vec<_>>());
                }
                _ => {
                    let mut all: BTreeMap<_, _> = was.0.0.clone().into_iter().collect();
                    all.extend(was.1.0);
                    assert_eq!(sorted(found.0), all.into_iter().collect::<Vec<_>>());
                    assert_eq!(file, b"changed");
                }
            }
            assert_eq!(std::fs::read(app.path("uploads/t8/docs/a.txt")).unwrap(), b"others change");
            app.run(&["restore", &own, "--tenant", "t7", "--existing", "replace", "--yes"]).expect(0);
        }
    }
}

fn sorted(mut rows: Lines) -> Lines {
    rows.sort();
    rows
}

#[test]
fn a_tenant_that_is_gone_joins_the_others_again_and_one_that_is_there_is_5() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        clinic.app.run(&["create"]).expect(0);
        let before = clinic.picture();
        let refused = clinic.app.run(&["restore", "latest", "--tenant", "t7", "--only", "database"]).expect(5);
        assert!(refused.stderr.contains("db.policies holds 3 records of the tenant"), "{}", refused.stderr);
        assert_eq!(clinic.picture(), before);
        for table in ["visits", "members", "policies"] {
            clinic.delete(table, 70, 80);
        }
        let restored = clinic.app.run(&["restore", "latest", "--tenant", "t7", "--only", "database"]).expect(0);
        assert!(
            restored.stdout.contains("there is no backup of tenant t7: it is taken out of system-wide ones"),
            "{}",
            restored.stdout
        );
        assert_eq!(clinic.picture(), before);
        assert_eq!(clinic.counts_of(7), [3, 6, 6]);
    }
}

#[test]
fn a_key_that_another_tenant_has_taken_meanwhile_is_found_before_anything_is_written() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        clinic.app.run(&["create"]).expect(0);
        clinic.delete("policies", 71, 72);
        clinic.insert("policies", 71, Some(("tenant", "'t8'")), "taken");
        let before = clinic.picture();
        let arguments = ["restore", "latest", "--tenant", "t7", "--only", "database", "--existing", "replace"];
        for more in [["--dry-run"].as_slice(), &["--yes"]] {
            let refused = clinic.app.run(&[&arguments, more].concat()).expect(5);
            // What hangs on a policy of another's is another's too.
            assert!(refused.stderr.contains("71"), "{}", refused.stderr);
            assert_eq!(clinic.picture(), before);
        }
    }
}

#[test]
fn no_byte_of_another_tenant_is_in_a_tenants_backup_or_in_what_is_taken_out_of_a_system_wide_one() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        let own =
            clinic.app.run(&["--json", "create", "--tenant", "t1"]).expect(0).json()["id"].as_str().unwrap().to_owned();
        let system = clinic.app.run(&["--json", "create"]).expect(0).json()["id"].as_str().unwrap().to_owned();
        let stored = clinic.app.backup(&own);
        let clear = clinic.app.path("clear");
        let unpack = "mkdir -p \"$1\" && cd \"$0\" && find . -name '*.tar.gz' | while read -r a; do gzip -dc \"$a\" > \"$1/$(echo \"$a\" | tr / _).tar\"; done";
        let done = std::process::Command::new("sh").args(["-c", unpack]).arg(&stored).arg(&clear).status().unwrap();
        assert!(done.success());
        clinic.app.run(&["restore", &own, "--to-directory", "own"]).expect(0);
        clinic.app.run(&["restore", &system, "--tenant", "t1", "--to-directory", "out"]).expect(0);
        for folder in ["clear", "own", "out"] {
            let files = files_below(&clinic.app.path(folder));
            let all: Vec<u8> = files.values().flatten().copied().collect();
            let holds = |tenant: i64| all.windows(canary(tenant).len()).any(|w| w == canary(tenant).as_bytes());
            assert!(holds(1), "{folder}: {:?}", files.keys());
            let strangers: Vec<_> = (0..TENANTS as i64).filter(|tenant| *tenant != 1 && holds(*tenant)).collect();
            assert!(strangers.is_empty(), "{folder} holds canaries of {strangers:?}: {:?}", files.keys());
            assert!(!all.windows(8).any(|w| w == b"nobody's"), "{folder} holds what is excluded");
        }
    }
}

#[test]
fn a_backup_of_one_tenant_is_not_restored_as_anothers() {
    let clinic = Clinic::new(Engine::Sqlite);
    let made = clinic.app.run(&["--json", "create", "--tenant", "t7"]).expect(0).json();
    let id = made["id"].as_str().unwrap();
    let refused = clinic.app.run(&["restore", id, "--tenant", "t8"]).expect(10);
    assert!(refused.stderr.contains("is a backup of tenant t7, not of t8"), "{}", refused.stderr);
    let none = clinic.app.run(&["restore", "latest", "--tenant", "t8", "--to-directory", "x"]).expect(10);
    assert!(none.stderr.contains("no good backup of tenant t8"), "{}", none.stderr);
    // A rule that has changed since makes others' records of what was the tenant's.
    clinic.app.reconfigure("tenancy: {field: tenant}", "tenancy: {field: v}");
    let wrong = clinic.app.run(&["restore", id, "--existing", "replace", "--yes"]).expect(4);
    assert!(wrong.stderr.contains("of which 0 are tenant t7's by the rule "), "{}", wrong.stderr);
}

#[test]
fn three_generations_in_three_archives_come_back_together() {
    for engine in Engine::all() {
        let clinic = Clinic::new(engine);
        let members = "{name: members, tenant: {via: policies, foreignKey: policy}}";
        clinic.app.reconfigure(&format!("{members}, "), "");
        clinic.app.reconfigure("  clinic:\n", &format!("  people:\n    collections: [{members}]\n  clinic:\n"));
        clinic.app.run(&["create"]).expect(0);
        let before = clinic.picture();
        for table in ["visits", "members"] {
            clinic.delete(table, 70, 72);
        }
        clinic.change("policies", 72, "changed");
        clinic.change("visits", 80, "others change");
        let now = clinic.picture();
        let restore = ["restore", "latest", "--tenant", "t7", "--only", "database", "--existing", "replace", "--yes"];
        clinic.app.run(&restore).expect(0);
        let found = parted(&clinic.picture(), 7);
        assert_eq!(found, (parted(&before, 7).0, parted(&now, 7).1));
        // The archive of the middle one alone does not say whose its rows are.
        clinic.app.run(&["restore", "latest", "--tenant", "t7", "--to-directory", "out"]).expect(0);
    }
}
