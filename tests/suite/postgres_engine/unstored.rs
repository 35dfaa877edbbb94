//! Columns that came after a tenant's backup: nothing is stored of them, also where they must be unique.

use super::tenants::{Restore, TABLES, back_up, clinic, own};
use backup::source::Existing;

#[test]
fn unique_columns_that_are_not_stored_do_not_stop_a_tenants_restore() {
    for existing in [Existing::Replace, Existing::Merge, Existing::Add] {
        let database = clinic();
        let (memory, _) = back_up(&database, None, &TABLES);
        let was = own(&database, "acme");
        database.run(
            "ALTER TABLE policies DISABLE TRIGGER t; DELETE FROM visits WHERE id = 5;
             ALTER TABLE visits ADD code text UNIQUE, ADD upper text UNIQUE GENERATED ALWAYS AS (v || id) STORED;
             CREATE UNIQUE INDEX ON visits (id, lower(code)); UPDATE visits SET code = 'c' || id",
        );
        let others = "SELECT * FROM visits WHERE id > 100 ORDER BY id";
        let before = database.run(others);
        Restore { from: &database, memory: &memory, tenant: "acme", tables: &TABLES, existing }.run(&database).unwrap();
        assert_eq!(database.run(others), before);
        database.run("ALTER TABLE visits DROP code, DROP upper");
        assert_eq!(own(&database, "acme"), was, "{existing:?}");
    }
}
