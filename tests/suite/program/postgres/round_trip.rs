//! What goes in comes out.

use super::laboratory::Shop;
use crate::support::postgres::Version;

#[test]
fn a_schema_of_everything_comes_back_with_rows_and_definitions_on_every_version() {
    for version in Version::ALL {
        let shop = Shop::rich_with(version, "", "");
        shop.run(&["create"]).expect(0);
        let back = shop.beside();
        let report = shop.restore_into(&back, &["--json"]).expect(0).json();
        assert!(report["collections"].as_array().unwrap().iter().all(|c| c["verified"] == true), "{report}");
        shop.assert_same(&back);
        // Sequences go on where they were.
        let next = "SELECT nextval('users_id_seq'), nextval('invoice'), nextval('orders_id_seq')";
        assert_eq!(shop.database.run(next), back.run(next), "{version:?}");
    }
}

#[test]
fn what_was_restored_backs_up_to_the_same_digests() {
    let shop = Shop::rich();
    let back = shop.copy();
    let first = shop.run(&["--json", "show", "latest"]).expect(0).json();
    shop.app.reconfigure(&shop.database.uri(), &back.uri());
    let second = shop.run(&["--json", "create"]).expect(0).json();
    let digests = |manifest: &serde_json::Value| -> Vec<(String, String, String)> {
        let collections = manifest["components"][0]["collections"].as_array().unwrap();
        let digest =
            |c: &serde_json::Value| (c["name"].to_string(), c["documents"].to_string(), c["recordDigest"].to_string());
        collections.iter().map(digest).collect()
    };
    assert_eq!(digests(&first).len(), 20);
    assert_eq!(digests(&first), digests(&second));
}

#[test]
fn one_table_of_an_archive_comes_back_with_what_it_needs_alone() {
    let shop = Shop::rich();
    let back = shop.beside();
    shop.restore_into(&back, &["--collection", "users"]).expect(0);
    assert_eq!(
        back.run("SELECT count(*), sum(twice) FROM users"),
        shop.database.run("SELECT count(*), sum(twice) FROM users")
    );
    assert_eq!(
        back.run("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"),
        "users"
    );
    // What was there already is used, and the foreign key between both is made now.
    shop.restore_into(&back, &["--collection", "orders"]).expect(0);
    assert_eq!(back.run("SELECT count(*) FROM pg_constraint WHERE conname = 'orders_user_id_fkey'"), "1");
    super::laboratory::assert_nothing_staged(&back);
}
