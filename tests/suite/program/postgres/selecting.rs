//! Parts of an application: a tenant's rows, modules of several databases, files instead of a database.

use super::laboratory::{Shop, into};
use crate::program::round_trip::picture;
use crate::support::app::files_below;
use crate::support::mongod::{Mongod, fresh_database};
use crate::support::postgres::Version;
use mongodb::bson::doc;
use std::process::{Command, Stdio};

#[test]
fn a_tenants_backup_holds_that_tenants_rows_and_no_others_bytes() {
    let sql = "CREATE TABLE claims (id int PRIMARY KEY, tenant text, what text); CREATE INDEX ON claims (tenant);
        INSERT INTO claims SELECT i, (ARRAY['acme', 'birch', 'acme2'])[1 + i % 3], 'of-' || (ARRAY['acme', 'canary', 'canary'])[1 + i % 3] FROM generate_series(1, 300) i;
        INSERT INTO claims VALUES (999, NULL, 'canary'), (1000, 'ACME', 'canary');
        CREATE TABLE log (tenant text, n int) PARTITION BY LIST (n); CREATE TABLE log_1 PARTITION OF log DEFAULT;
        INSERT INTO log VALUES ('acme', 1), ('birch', 2); CREATE TABLE countries (code text PRIMARY KEY); INSERT INTO countries VALUES ('at')";
    let shop = Shop::new(Version::V15, sql, "claims, log, {name: countries, tenant: shared}");
    shop.app.reconfigure("modules:\n", "tenancy: {field: tenant, tenants: {acme: {}, birch: {}}}\nmodules:\n");
    let made = shop.run(&["--json", "create", "--tenant", "acme"]).expect(0).json();
    let warnings = made["warnings"].as_array().unwrap();
    let told = |words: &str| warnings.iter().filter(|line| line.as_str().unwrap().contains(words)).count();
    assert_eq!(told("1 row has no `tenant`"), 1, "{warnings:?}");
    // One of both tables has an index.
    assert_eq!(told("CREATE INDEX ON \"public\".\"log\" (\"tenant\")"), 1, "{warnings:?}");
    assert_eq!(told("CREATE INDEX"), 1, "{warnings:?}");
    let archive = shop.app.backup(made["id"].as_str().unwrap()).join("core/shop.tar.gz");
    let plain = Command::new("gzip").arg("-dc").arg(archive).output().unwrap().stdout;
    assert!(plain.windows(7).any(|w| w == b"of-acme"));
    for canary in [&b"canary"[..], b"birch", b"acme2"] {
        assert!(!plain.windows(canary.len()).any(|w| w == canary), "{}", String::from_utf8_lossy(canary));
    }
    let back = shop.beside();
    shop.restore_into(&back, &["--tenant", "acme"]).expect(0);
    let counted = "SELECT (SELECT count(*) FROM claims WHERE tenant = 'acme'), (SELECT count(*) FROM claims), (SELECT count(*) FROM log), (SELECT count(*) FROM countries)";
    assert_eq!(back.run(counted), "100|100|1|1");
}

#[test]
fn one_backup_of_two_databases_restores_both_or_one_module() {
    let (server, name) = (Mongod::standalone(), fresh_database());
    let users: Vec<_> = (0..50).map(|n| doc! {"_id": n, "name": format!("u{n}")}).collect();
    server.command(&name, doc! {"insert": "users", "documents": users});
    let shop = Shop::new(
        Version::V15,
        "CREATE TABLE payouts (id int PRIMARY KEY, n numeric(9, 2)); INSERT INTO payouts SELECT i, i FROM generate_series(1, 70) i",
        "payouts",
    );
    shop.app.reconfigure(
        "sources:\n",
        &format!("sources:\n  hrms: {{engine: mongodb, uri: \"{}\", database: {name}}}\n", server.uri()),
    );
    shop.app.reconfigure("modules:\n", "modules:\n  hr-core: {required: true, source: hrms, collections: [users]}\n");
    let made = shop.run(&["--json", "create"]).expect(0).json();
    assert_eq!(made["components"].as_array().unwrap().len(), 2);
    assert_eq!(made["totals"]["documents"], 120);
    let back = shop.beside();
    let fresh = fresh_database();
    let other = format!("hrms={}", mongo_at(server, &fresh));
    shop.restore_into(&back, &["--into", &other]).expect(0);
    shop.assert_same(&back);
    assert!(picture(server, &fresh) == picture(server, &name));
    let alone = shop.beside();
    shop.run(&["restore", "latest", "--module", "core", "--into", &into(&alone)]).expect(0);
    shop.assert_same(&alone);
}

fn mongo_at(server: &Mongod, database: &str) -> String {
    let uri = server.uri();
    match uri.split_once("/?") {
        Some((head, options)) => format!("{head}/{database}?{options}"),
        None => format!("{}/{database}", uri.trim_end_matches('/')),
    }
}

#[test]
fn a_folder_of_chosen_tables_holds_scripts_that_psql_runs() {
    let shop = Shop::rich();
    shop.run(&[
        "restore",
        "latest",
        "--collection",
        "users",
        "--collection",
        "orders",
        "--collection",
        "nothing",
        "--to-directory",
        "out",
    ])
    .expect(0);
    let folder = shop.app.path("out/core/shop").join(&shop.database.name);
    let files = files_below(&folder);
    assert!(files.contains_key("pre-data.sql") && files.contains_key("post-data.sql"), "{:?}", files.keys());
    let back = shop.beside();
    // Paths in it are from where the folder of the database is.
    let mut psql = Command::new(shop.version.programs().join("psql"));
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).arg("-d").arg(back.uri()).current_dir(folder.parent().unwrap());
    for script in ["pre-data.sql", "load.sql", "post-data.sql"] {
        psql.arg("-f").arg(folder.join(script));
    }
    let done = psql.stdout(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for table in ["users", "orders", "nothing"] {
        let all = format!("SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t");
        assert_eq!(back.run(&all), shop.database.run(&all), "{table}");
    }
    let tables = "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace";
    assert_eq!(back.run(tables), "nothing,orders,users");
}
