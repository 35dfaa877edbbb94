//! What is restored when not all of a backup is chosen, or when the configuration has changed since it was made.

use crate::support::app::App;
use rusqlite::Connection;
use std::fs;

fn config(sources: &str, uploads: &str, modules: &str) -> String {
    format!(
        "installation: test\nrepository: {{location: ./backups}}\nsources: {{db: {{engine: sqlite, path: {sources}}}}}\n\
         uploads: [{{root: ./up, {uploads}}}]\ntenancy: {{field: tenant, tenants: {{acme: {{}}, birch: {{}}}}}}\nmodules:\n{modules}"
    )
}

const FILES: &str = "  core: {required: true, fileUploads: [papers, scans]}\n";

fn file(app: &App, path: &str) {
    let path = app.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, path.to_string_lossy().as_bytes()).unwrap();
}

#[test]
fn each_of_several_chosen_directories_comes_back_and_no_other() {
    let app = App::new(&config(
        "a.db",
        "layout: \"{directory}\"",
        "  core: {required: true, fileUploads: [papers, scans, other]}\n",
    ));
    let paths = ["up/papers/p", "up/papers/scans/x", "up/scans/s", "up/other/o"];
    paths.iter().for_each(|path| file(&app, path));
    app.run(&["create"]).expect(0);
    fs::write(app.path("up/papers/p"), "changed").unwrap();
    file(&app, "up/scans/later");
    let chosen = ["restore", "latest", "--only", "files", "--collection", "papers", "--collection", "scans"];
    app.run(&[&chosen[..], &["--existing", "replace", "--yes"]].concat()).expect(0);
    for path in paths {
        assert_eq!(fs::read_to_string(app.path(path)).unwrap(), app.path(path).to_string_lossy(), "{path}");
    }
    assert!(!app.path("up/scans/later").exists());
    app.run(&["restore", "latest", "--collection", "scans", "--to-directory", "out"]).expect(0);
    let out = |path: &str| app.path("out").join(path).exists();
    let root = fs::read_dir(app.path("out")).unwrap().map(|e| e.unwrap().path()).find(|p| p.is_dir()).unwrap();
    let below = |path: &str| crate::support::app::files_below(&root).keys().any(|found| found.ends_with(path));
    assert!(below("scans/s") && !below("papers/scans/x") && !below("papers/p"), "{}", out(""));
}

#[test]
fn everybodys_database_is_not_restored_into_one_of_a_tenants_own() {
    let app = App::new(&config(
        "data/app.db",
        "layout: \"{directory}\"",
        "  core: {required: true, source: db, collections: [users]}\n",
    ));
    fs::create_dir(app.path("data")).unwrap();
    let all = Connection::open(app.path("data/app.db")).unwrap();
    all.execute_batch(
        "CREATE TABLE users (tenant TEXT, t TEXT); INSERT INTO users VALUES ('acme', 'a'), ('birch', 'SECRET')",
    )
    .unwrap();
    app.run(&["create"]).expect(0);
    app.reconfigure("path: data/app.db", "path: \"data/{tenant}.db\"");
    for more in [&[][..], &["--to-directory", "out"]] {
        let refused = app.run(&[&["restore", "latest", "--tenant", "acme"], more].concat()).expect(2);
        assert!(refused.stderr.contains("everybody's"), "{}", refused.stderr);
    }
    assert!(!app.path("data/acme.db").exists());
}

#[test]
fn a_clone_is_renamed_also_where_its_parents_are_in_another_module() {
    let modules = "  a: {required: true, source: db, collections: [{name: tenants, tenant: {field: id}}]}\n  \
         b: {required: true, source: db, collections: [{name: contacts, tenant: {via: tenants, foreignKey: tenant_id}}]}\n";
    let app = App::new(&config("\"data/{tenant}.db\"", "layout: \"{directory}\"", modules));
    fs::create_dir(app.path("data")).unwrap();
    let own = Connection::open(app.path("data/acme.db")).unwrap();
    own.execute_batch(
        "CREATE TABLE tenants (id TEXT PRIMARY KEY); INSERT INTO tenants VALUES ('acme');
        CREATE TABLE contacts (id INTEGER PRIMARY KEY, tenant_id TEXT); INSERT INTO contacts VALUES (1, 'acme')",
    )
    .unwrap();
    app.run(&["create", "--tenant", "acme"]).expect(0);
    app.run(&["restore", "latest", "--tenant", "acme", "--as-tenant", "birch"]).expect(0);
    let birch = Connection::open(app.path("data/birch.db")).unwrap();
    let text = |sql: &str| birch.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(
        (text("SELECT id FROM tenants"), text("SELECT tenant_id FROM contacts")),
        ("birch".into(), "birch".into())
    );
    // Without the parents it cannot be told whose id the children hold.
    app.run(&["create", "--tenant", "acme", "--module", "b"]).expect(0);
    fs::remove_file(app.path("data/birch.db")).unwrap();
    let refused = app.run(&["restore", &app.ids()[0], "--as-tenant", "birch", "--tenant", "acme"]).expect(5);
    assert!(refused.stderr.contains("tenants"), "{}", refused.stderr);
}

#[test]
fn files_that_the_layout_of_today_does_not_place_are_never_passed_over() {
    let app = App::new(&config("a.db", "layout: \"{tenant}/{directory}\"", FILES));
    file(&app, "up/acme/scans/s");
    app.run(&["create", "--tenant", "acme"]).expect(0);
    app.run(&["create"]).expect(0);
    app.reconfigure("{tenant}/{directory}", "{directory}/{tenant}");
    fs::remove_dir_all(app.path("up/acme")).unwrap();
    for id in app.ids() {
        let refused = app.run(&["restore", &id, "--tenant", "acme", "--only", "files"]).expect(2);
        assert!(refused.stderr.contains("layout"), "{}", refused.stderr);
    }
    let own = app.ids().into_iter().find(|id| id.starts_with("tenant-")).unwrap();
    app.run(&["restore", &own, "--tenant", "acme", "--only", "files", "--files-into", "back"]).expect(0);
    assert!(crate::support::app::files_below(&app.path("back")).keys().any(|path| path.ends_with("acme/scans/s")));
}

#[test]
fn a_folder_of_named_files_that_is_gone_is_no_good_copy() {
    let uploads = "layout: \"{directory}\", fileReferences: {collection: notes, field: file, directory: papers}";
    let modules = "  core: {required: true, source: db, collections: [notes], fileUploads: [papers]}\n";
    let app = App::new(&config("a.db", uploads, modules));
    let notes = Connection::open(app.path("a.db")).unwrap();
    notes
        .execute_batch(
            "CREATE TABLE notes (tenant TEXT, file TEXT, doc TEXT); INSERT INTO notes VALUES ('acme', 'p', '{}')",
        )
        .unwrap();
    file(&app, "up/papers/p");
    let create = || app.run(&["--json", "create", "--tenant", "acme"]);
    let whole = create().expect(0).json();
    assert_eq!(whole["totals"]["files"], 1);
    fs::remove_file(app.path("up/papers/p")).unwrap();
    let empty = create().expect(3);
    assert!(empty.json()["errors"].to_string().contains("is the disk mounted"), "{}", empty.stderr);
    fs::remove_dir(app.path("up/papers")).unwrap();
    let gone = create().expect(3);
    assert!(gone.json()["errors"].to_string().contains("records name 1 file in it"), "{}", gone.stdout);
    // One file that is gone among others is a warning: records outlive files.
    file(&app, "up/papers/of-another");
    create().expect(0);
    app.reconfigure("field: file", "field: doc.fiel");
    let silent = create().expect(0).json();
    assert!(silent["warnings"].to_string().contains("no record of notes (1 in all) has a `doc.fiel`"), "{silent}");
}
