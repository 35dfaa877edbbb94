//! The database of a business application that nobody here wrote: an ERP of two hundred tables, with its foreign keys,
//! checks, partial indexes and sequences. The application itself says whether it can go on with what was restored.

use super::laboratory::{Shop, into};
use crate::support::postgres::{Database, PASSWORD, Version};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the application is installed.
fn installed() -> PathBuf {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.servers/tryton-7.6");
    let folder = std::env::var_os("BACKUP_TEST_TRYTON").map_or(usual, PathBuf::from);
    let is_there = folder.join("bin/trytond-admin").is_file();
    assert!(is_there, "there is no trytond-admin in {}: run tests/run, or set BACKUP_TEST_TRYTON", folder.display());
    folder
}

/// Lets the application work on a database.
fn administrate(shop: &Shop, database: &Database, arguments: &[&str]) {
    let (settings, password) = (shop.app.path("trytond.conf"), shop.app.path("password"));
    let server = database.server.uri("");
    std::fs::write(&settings, format!("[database]\nuri = {}\n", server.replace("postgres://", "postgresql://")))
        .unwrap();
    std::fs::write(&password, PASSWORD).unwrap();
    let installed = installed();
    let mut admin = Command::new("python3");
    admin.arg(installed.join("bin/trytond-admin")).env("PYTHONPATH", installed);
    admin.arg("-c").arg(settings).args(["-d", &database.name]).args(arguments).env("TRYTONPASSFILE", password);
    let done = admin.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Loads what pg_dump says of one database into another. A definition reads the same after every dump but the first:
/// expressions are written as the server keeps them.
fn dumped_into(shop: &Shop, from: &Database, to: &Database) {
    let programs = shop.version.programs();
    let mut dump = Command::new(programs.join("pg_dump")).arg(from.uri()).stdout(Stdio::piped()).spawn().unwrap();
    let mut load = Command::new(programs.join("psql"));
    load.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &to.uri()]).stdin(dump.stdout.take().unwrap());
    assert!(load.stdout(Stdio::null()).status().unwrap().success());
    assert!(dump.wait().unwrap().success());
}

#[test]
fn an_erp_goes_on_with_its_restored_database() {
    let shop = Shop::new(Version::V15, "", "none");
    let made = shop.beside();
    administrate(&shop, &made, &["-u", "sale", "--activate-dependencies", "--email", "admin@example.com"]);
    dumped_into(&shop, &made, &shop.database);
    shop.app.reconfigure(
        "}\nmodules:\n  core: {required: true, source: shop, collections: [none]}\n",
        ", wholeDatabase: true}\n",
    );
    let manifest = shop.run(&["--json", "create"]).expect(0).json();
    let collections = manifest["components"][0]["collections"].as_array().unwrap();
    assert!(collections.len() > 200, "{}", collections.len());
    assert!(manifest["totals"]["documents"].as_u64().unwrap() > 15_000, "{}", manifest["totals"]);

    let back = shop.copy();
    shop.assert_same(&back);
    administrate(&shop, &back, &["--validate", "res.user", "ir.model.field", "ir.action.act_window", "stock.location"]);

    // What went wrong since is put right again, with all that refers to it.
    back.run("UPDATE ir_model_field SET help = 'lost'; UPDATE res_user SET name = 'nobody'; DELETE FROM ir_translation WHERE id % 3 = 0");
    shop.restore_over(&back, "replace", &[]).expect(0);
    shop.assert_same(&back);
    // One table comes alone, with what it needs.
    let apart = shop.beside();
    shop.run(&["restore", "latest", "--collection", "product_uom", "--into", &into(&apart)]).expect(0);
    assert_eq!(apart.run("SELECT count(*) FROM product_uom"), shop.database.run("SELECT count(*) FROM product_uom"));
}
