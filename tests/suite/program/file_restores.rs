//! One tenant's files back into folders of all tenants: whose they are, the stored records say; what may be overwritten,
//! the live ones. On every engine.

use super::file_references::{Clinic, ENGINES};
use crate::support::app::files_below;
use serde_json::{Value, json};
use std::process::Command;

/// What a restore of acme's files says when it is done, or why it is not.
fn restore(clinic: &Clinic, id: &str, existing: &str, code: i32) -> (Value, String) {
    let arguments = ["--json", "restore", id, "--tenant", "acme", "--only", "files", "--existing", existing, "--yes"];
    let ended = clinic.app.run(&arguments).expect(code);
    (ended.json(), ended.stdout + &ended.stderr)
}

fn id_of(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_restore_of_one_tenant_neither_deletes_nor_overwrites_what_may_be_anothers() {
    for engine in ENGINES {
        let clinic = Clinic::new(engine);
        let app = &clinic.app;
        for id in [id_of(&clinic.create(&["--tenant", "acme"])), id_of(&clinic.create(&[]))] {
            std::fs::remove_file(app.path("uploads/papers/a.txt")).unwrap();
            app.write("uploads/papers/new.txt", b"of birch");
            app.write("uploads/papers/both.txt", b"<canary papers/both>");
            let mut expected = files_below(&app.path("uploads"));
            restore(&clinic, &id, "replace", 0);
            expected.insert("papers/a.txt".into(), b"<canary papers/a>".to_vec());
            assert_eq!(files_below(&app.path("uploads")), expected, "{engine:?}");
            // What another's record names stays as it is, unless somebody says so elsewhere.
            app.write("uploads/papers/both.txt", b"birch has written this");
            let before = files_below(&app.path("uploads"));
            for existing in ["replace", "merge"] {
                let (_, refused) = restore(&clinic, &id, existing, 5);
                for part in ["papers/both.txt: another tenant's records name it too", "--files-into"] {
                    assert!(refused.contains(part), "{part}\n{refused}");
                }
            }
            restore(&clinic, &id, "add", 0);
            assert_eq!(files_below(&app.path("uploads")), before, "{engine:?}");
            let beside =
                ["restore", &id, "--tenant", "acme", "--only", "files", "--files-into", &format!("beside-{id}")];
            app.run(&beside).expect(0);
            let beside = files_below(&app.path(&format!("beside-{id}")));
            assert_eq!(beside["uploads/papers/both.txt"], b"<canary papers/both>");
            assert_eq!(beside.len(), 3, "{engine:?} {:?}", beside.keys());
        }
    }
}

#[test]
fn out_of_a_backup_of_all_a_tenant_gets_the_files_that_its_stored_records_name_and_no_others() {
    for engine in ENGINES {
        let clinic = Clinic::hostile(engine);
        let app = &clinic.app;
        let id = id_of(&clinic.create(&[]));
        // What is live does not matter: the tenant may have lost its records too.
        clinic.delete("claims", 1);
        clinic.delete("notes", 1);
        let mut expected = files_below(&app.path("uploads"));
        for name in
            ["papers/a.txt", "papers/b.txt", "papers/both.txt", "notes/n1.txt", "notes/n2.txt", "papers/unnamed.txt"]
        {
            std::fs::remove_file(app.path("uploads").join(name)).unwrap();
        }
        let (done, _) = restore(&clinic, &id, "replace", 0);
        for others in ["papers/b.txt", "notes/n2.txt", "papers/unnamed.txt"] {
            expected.remove(others);
        }
        assert_eq!(files_below(&app.path("uploads")), expected, "{engine:?}");
        let warnings = done["warnings"].to_string();
        for told in [
            "name 4 files that it does not hold: papers/folder, papers/gone.txt, papers/link",
            "../secret.txt: it leads out",
        ] {
            assert!(warnings.contains(told), "{engine:?} {told}\n{warnings}");
        }
        app.run(&["restore", &id, "--tenant", "acme", "--to-directory", "out"]).expect(0);
        let out = files_below(&app.path("out"));
        let files: Vec<_> = out.keys().filter_map(|name| name.strip_prefix("uploads/")).collect();
        assert_eq!(files, ["notes/n1.txt", "papers/a.txt", "papers/both.txt"], "{engine:?} {:?}", out.keys());
        for (name, bytes) in &out {
            for others in ["<canary papers/b>", "<canary notes/n2>", "<canary unnamed>", "<canary secret>"] {
                assert!(
                    !bytes.windows(others.len()).any(|window| window == others.as_bytes()),
                    "{engine:?} {name} {others}"
                );
            }
        }
    }
}

#[test]
fn a_tenants_own_damaged_file_comes_back_and_what_was_there_is_put_aside() {
    for engine in ENGINES {
        let clinic = Clinic::new(engine);
        let app = &clinic.app;
        for id in [id_of(&clinic.create(&[])), id_of(&clinic.create(&["--tenant", "acme"]))] {
            app.write("uploads/papers/a.txt", b"<damaged>");
            app.write("uploads/papers/b.txt", b"of birch, changed");
            let (done, _) = restore(&clinic, &id, "replace", 0);
            let files = files_below(&app.path("uploads"));
            assert_eq!(files["papers/a.txt"], b"<canary papers/a>", "{engine:?}");
            assert_eq!(files["papers/b.txt"], b"of birch, changed");
            assert_eq!((&done["fileChanges"]["overwritten"], &done["fileChanges"]["deleted"]), (&json!(1), &json!(0)));
            let aside = app.backup(done["safetyBackup"].as_str().unwrap()).join("core/uploads.tar.gz");
            let aside = Command::new("tar").args(["-xzOf"]).arg(aside).arg("uploads/papers/a.txt").output().unwrap();
            assert_eq!(aside.stdout, b"<damaged>", "{engine:?}");
        }
        // Named by nobody now, it would be put aside by nobody.
        let id = id_of(&clinic.create(&[]));
        app.write("uploads/papers/a.txt", b"<damaged>");
        clinic.delete("notes", 1);
        clinic.delete("claims", 1);
        let (_, refused) = restore(&clinic, &id, "replace", 5);
        assert!(refused.contains("papers/a.txt: no record names it now"), "{refused}");
        app.run(&["restore", &id, "--tenant", "acme", "--only", "database", "--existing", "merge", "--yes"]).expect(0);
        restore(&clinic, &id, "replace", 0);
        // Shared records name everybody's files.
        app.write("uploads/papers/a.txt", b"<damaged>");
        app.reconfigure("collections: [claims,", "collections: [{name: claims, tenant: shared},");
        app.reconfigure("{name: notes, tenant: {via: claims, foreignKey: claim}}", "{name: notes, tenant: shared}");
        let (_, refused) = restore(&clinic, &id, "replace", 5);
        assert!(refused.contains("papers/a.txt: another tenant's records name it too"), "{refused}");
    }
}

#[test]
fn without_the_records_of_the_same_backup_no_file_of_a_common_folder_is_anybodys() {
    for engine in ENGINES {
        let clinic = Clinic::new(engine);
        let id = id_of(&clinic.create(&["--only", "files"]));
        std::fs::remove_file(clinic.app.path("uploads/papers/a.txt")).unwrap();
        let before = files_below(&clinic.app.path("uploads"));
        let (_, refused) = restore(&clinic, &id, "replace", 5);
        assert!(refused.contains("does not hold clinic.claims whole"), "{refused}");
        assert_eq!(files_below(&clinic.app.path("uploads")), before);
    }
}
