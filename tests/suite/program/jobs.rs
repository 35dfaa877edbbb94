//! Several at once, by `--jobs`: what comes of it is the same as of one after the other.

use crate::support::app::App;
use rusqlite::Connection;
use serde_json::Value;

const MODULES: usize = 6;

/// Each module has a table and files, so two archives.
fn app() -> App {
    let module = |n: usize| format!("  m{n}: {{required: true, collections: [t{n}], fileUploads: [d{n}]}}\n");
    let modules: String = (0..MODULES).map(module).collect();
    let app = App::new(&format!(
        "installation: many\nrepository: {{location: ./backups}}\nsources: {{db: {{engine: sqlite, path: app.db}}}}\n\
         uploads: [{{root: ./uploads, layout: \"{{directory}}\"}}]\nmodules:\n{modules}"
    ));
    let database = Connection::open(app.path("app.db")).unwrap();
    for n in 0..MODULES {
        let sql = format!("CREATE TABLE t{n} (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t{n} VALUES (1, 'of {n}')");
        database.execute_batch(&sql).unwrap();
        app.write(&format!("uploads/d{n}/f.txt"), format!("file of {n}").as_bytes());
    }
    app
}

fn flip(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// The verdict without what the moment says.
fn verdict(app: &App, arguments: &[&str], code: i32) -> Value {
    app.run(&[&["--json", "verify"], arguments].concat()).expect(code).json()
}

#[test]
fn however_many_archives_are_verified_at_once_the_verdict_is_the_same_and_in_the_order_of_the_manifest() {
    let app = app();
    let ids: Vec<String> =
        (0..3).map(|_| app.run(&["--json", "create"]).expect(0).json()["id"].as_str().unwrap().to_owned()).collect();
    let alone = verdict(&app, &["latest", "--jobs", "1"], 0);
    let named = |verdict: &Value| -> Vec<String> {
        let components = verdict[0]["components"].as_array().unwrap();
        components.iter().map(|component| component["archive"].as_str().unwrap().to_owned()).collect()
    };
    let shown = app.run(&["--json", "show", &ids[2]]).expect(0).json();
    let listed = shown["components"].as_array().unwrap().iter().map(|c| c["archive"].as_str().unwrap().to_owned());
    assert_eq!(named(&alone), listed.collect::<Vec<_>>());
    assert_eq!(named(&alone).len(), 2 * MODULES);
    for archive in ["m1/db.tar.gz", "m4/uploads.tar.gz"] {
        flip(&app.backup(&ids[2]).join(archive));
    }
    std::fs::remove_file(app.backup(&ids[0]).join("m5/db.tar.gz")).unwrap();
    let alone = verdict(&app, &[&ids[2], "--jobs", "1"], 4);
    let bad: Vec<_> = alone[0]["components"].as_array().unwrap().iter().filter(|c| c["valid"] == false).collect();
    assert_eq!(bad.len(), 2, "{alone}");
    assert_eq!((&alone[0]["checksumMatch"], &alone[0]["fileExists"]), (&false.into(), &true.into()));
    let all = verdict(&app, &["--all", "--jobs", "1"], 4);
    assert_eq!(all.as_array().unwrap().len(), 3);
    for jobs in ["2", "7", "64"] {
        assert_eq!(verdict(&app, &[&ids[2], "--jobs", jobs], 4), alone, "{jobs}");
        assert_eq!(verdict(&app, &["--all", "--jobs", jobs], 4), all, "{jobs}");
    }
    assert_eq!(verdict(&app, &["--all"], 4), all);
    // One scratch file for each source: several at once would meet in it.
    let restored = verdict(&app, &[&ids[1], "--level", "restored", "--jobs", "8"], 0);
    assert_eq!((&restored[0]["level"], &restored[0]["valid"]), (&"restored".into(), &true.into()));
    for command in ["verify", "restore"] {
        app.run(&[command, "latest", "--jobs", "0"]).expect(2);
    }
}

#[test]
fn a_restore_is_the_same_with_any_number_of_jobs() {
    let app = app();
    app.run(&["create"]).expect(0);
    for jobs in ["1", "2", "8"] {
        let (into, files) = (format!("db=beside-{jobs}.db"), format!("files-{jobs}"));
        let done = app.run(&["--json", "restore", "latest", "--jobs", jobs, "--into", &into, "--files-into", &files]);
        let done = done.expect(0).json();
        assert_eq!(done["files"], MODULES, "{done}");
        let database = Connection::open(app.path(&format!("beside-{jobs}.db"))).unwrap();
        for n in 0..MODULES {
            let v: String = database.query_row(&format!("SELECT v FROM t{n}"), [], |row| row.get(0)).unwrap();
            assert_eq!(v, format!("of {n}"));
        }
    }
}
