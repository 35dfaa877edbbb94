//! Reads that do not come to their end: each says what was read, and which limit ended it.

use super::postgres::laboratory::Shop;
use super::stalls::soon;
use crate::support::app::App;
use crate::support::mongod::{Kind, Mongod, fresh_database, until};
use crate::support::postgres::Version;
use crate::support::proxy::Proxy;
use mongodb::bson::doc;

/// A shop of a table of some megabytes, and a small one in a module of its own.
fn shop(megabytes: u32) -> Shop {
    let rows = megabytes * 1024;
    let shop = Shop::new(
        Version::V15,
        &format!(
            "CREATE TABLE large AS SELECT i, repeat(md5(i::text), 32) AS pad FROM generate_series(1, {rows}) i;
             CREATE TABLE small AS SELECT 1 AS i"
        ),
        "large",
    );
    shop.app.reconfigure("modules:\n", "modules:\n  other: {source: shop, collections: [small]}\n");
    shop
}

#[test]
fn a_read_that_a_server_that_answers_never_ends_is_ended_by_the_limit_of_a_collection() {
    let server = Mongod::start(Kind::ReplicaSet, &["--setParameter", "enableTestCommands=1"]);
    let name = fresh_database();
    super::round_trip::seed(&server, &name, 8);
    let app = App::new(&super::round_trip::config(&server, &name));
    app.write("uploads/acme/documents/a.pdf", b"one");
    // A tenant's documents may be far between, so that they are waited for as long as the server answers to its name.
    app.reconfigure(&format!("{name}}}"), &format!("{name}, timeouts: {{idle: 1s, collection: 5s}}}}"));
    let hang = doc! {"failCommands": ["getMore"], "blockConnection": true, "blockTimeMS": 600_000, "appName": "backup"};
    server.command("admin", doc! {"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": hang});
    let child = app.spawn(&["--json", "create", "--tenant", "acme"]);
    server.command("admin", doc! {"waitForFailPoint": "failCommand", "timesEntered": 1, "maxTimeMS": 60_000});
    let made = soon(child).expect(3).json();
    let errors = made["errors"].to_string();
    for word in ["cannot read claims", "source 'hrms' took more than 5s for one collection", "timeouts.collection"] {
        assert!(errors.contains(word), "{word}: {errors}");
    }
    let core = made["components"].as_array().unwrap().iter().find(|c| c["module"] == "core").unwrap();
    assert_eq!(core["status"], "complete");
}

#[test]
fn a_table_that_takes_longer_than_one_may_fails_alone_and_its_session_ends() {
    let shop = shop(30);
    shop.app.reconfigure("shop: {engine: postgres", "shop: {timeouts: {collection: 8s}, engine: postgres");
    // At this rate it takes half a minute.
    let failed = shop.run(&["--json", "create", "--rate-limit", "1MiB"]).expect(3).json();
    let errors = failed["errors"].to_string();
    for word in ["large", "source 'shop' took more than 8s for one collection", "timeouts.collection"] {
        assert!(errors.contains(word), "{word}: {errors}");
    }
    let of = |module: &str| failed["components"].as_array().unwrap().iter().find(|c| c["module"] == module).unwrap();
    assert_eq!((&of("core")["status"], &of("other")["status"]), (&"failed".into(), &"complete".into()));
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backup' AND datname = current_database()";
    until("its sessions to be ended", || shop.database.run(sessions) == "0");
    // The limit is one of each table, and not of all.
    shop.run(&["-q", "create"]).expect(0);
}

#[test]
fn a_table_whose_rows_stop_coming_is_named_with_the_limit_of_silence() {
    let shop = shop(8);
    let port = shop.database.server.port;
    let proxy = Proxy::before(port);
    shop.app.reconfigure(&format!(":{port}/"), &format!(":{}/", proxy.port));
    shop.app.reconfigure("shop: {engine: postgres", "shop: {timeouts: {idle: 2s}, engine: postgres");
    proxy.hold_after(3 << 20);
    let child = shop.spawn(&["--json", "create"]);
    proxy.await_held();
    let made = soon(child).expect(3).json();
    proxy.release();
    let errors = made["errors"].to_string();
    for word in ["cannot read table", "large", "source 'shop' gave no answer for 2s (timeouts.idle)"] {
        assert!(errors.contains(word), "{word}: {errors}");
    }
}
