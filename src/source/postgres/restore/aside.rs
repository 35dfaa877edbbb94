//! Foreign keys, triggers and rules of tables that are written into: set aside within the transaction, and put back as they
//! were. The keys are checked then, of every row that was touched; nothing cascades, and no trigger of the application sees
//! rows that it has seen before. It takes an owner, and no superuser.

use super::worker::Worker;
use crate::error::Result;

/// Statements that put back what was set aside, in their order.
#[derive(Debug, Default)]
pub struct Aside {
    keys: Vec<String>,
    others: Vec<String>,
}

/// The tables (as SQL names them) with all their partitions.
const TREE: &str = "
WITH tree AS (
  SELECT t.place::regclass::oid AS oid FROM pg_catalog.unnest($1::text[]) t(place)
  UNION SELECT p.relid FROM pg_catalog.unnest($1::text[]) t(place)
  CROSS JOIN LATERAL pg_catalog.pg_partition_tree(t.place::regclass) p)";

/// Sets aside what concerns `tables`. `deletes` says whether rows of them are deleted.
///
/// # Errors
/// When we are not their owner, or not that of a table with a key to them.
pub fn set_aside(worker: &Worker<'_>, tables: &[String], deletes: bool) -> Result<Aside> {
    let mut aside = Aside::default();
    if tables.is_empty() {
        return Ok(aside);
    }
    worker.run("SET CONSTRAINTS ALL DEFERRED", "restore into", "the tables")?;
    set_keys_aside(worker, tables, deletes, &mut aside)?;
    let sql = format!(
        "{TREE} SELECT g.tgrelid::regclass::text, g.tgname::text, g.tgenabled::text, 'TRIGGER' FROM pg_catalog.pg_trigger g
         JOIN tree ON tree.oid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgenabled <> 'D'
         UNION ALL SELECT r.ev_class::regclass::text, r.rulename::text, r.ev_enabled::text, 'RULE'
         FROM pg_catalog.pg_rewrite r JOIN tree ON tree.oid = r.ev_class
         WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D'"
    );
    for row in worker.rows(&sql, &[&tables], "list the triggers of", "the tables")? {
        let (table, name, enabled, kind): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let name = crate::source::postgres::session::quote(&name);
        let how = match enabled.as_str() {
            "R" => "ENABLE REPLICA",
            "A" => "ENABLE ALWAYS",
            _ => "ENABLE",
        };
        // Of rules the grammar knows no ONLY, and they have no partitions.
        let only = if kind == "TRIGGER" { "ONLY " } else { "" };
        worker.run(&format!("ALTER TABLE {only}{table} DISABLE {kind} {name}"), "set aside the triggers of", &table)?;
        aside.others.push(format!("ALTER TABLE {only}{table} {how} {kind} {name}"));
    }
    Ok(aside)
}

/// A key that only forbids waits for the end of the transaction. One that acts on a delete, or on another value of a unique
/// column, cannot wait: it is dropped, and made again as it was.
fn set_keys_aside(worker: &Worker<'_>, tables: &[String], deletes: bool, aside: &mut Aside) -> Result<()> {
    let sql = format!(
        "{TREE} SELECT k.conrelid::regclass::text, k.conname::text, pg_catalog.pg_get_constraintdef(k.oid), k.condeferrable,
                k.condeferred, k.confdeltype = 'a', pg_catalog.obj_description(k.oid, 'pg_constraint'),
                k.confupdtype <> 'a' AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint p WHERE p.conrelid = k.confrelid
                  AND p.contype = 'p' AND p.conkey @> k.confkey AND k.confkey @> p.conkey)
         FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0
         AND (k.conrelid IN (SELECT oid FROM tree) OR k.confrelid IN (SELECT oid FROM tree))
         AND coalesce(pg_catalog.to_jsonb(k) ->> 'conenforced', 'true') = 'true'
         ORDER BY k.oid"
    );
    for row in worker.rows(&sql, &[&tables], "list the foreign keys of", "the tables")? {
        let (table, definition): (String, String) = (row.get(0), row.get(2));
        let (deferrable, deferred, only_forbids): (bool, bool, bool) = (row.get(3), row.get(4), row.get(5));
        let key = crate::source::postgres::session::quote(row.get(1));
        let doing = "set aside a foreign key of";
        // A primary key is what rows are found by, and stays as it is; another unique value may change.
        let acts_on_updates: bool = row.get(7);
        if (deletes && !only_forbids) || acts_on_updates {
            worker.run(&format!("ALTER TABLE {table} DROP CONSTRAINT {key}"), doing, &table)?;
            aside.keys.push(format!("ALTER TABLE {table} ADD CONSTRAINT {key} {definition}"));
            if let Some(comment) = row.get::<_, Option<String>>(6) {
                let comment = comment.replace('\'', "''");
                aside.keys.push(format!("COMMENT ON CONSTRAINT {key} ON {table} IS '{comment}'"));
            }
        } else if !deferrable || !deferred {
            let alter = |how: &str| format!("ALTER TABLE {table} ALTER CONSTRAINT {key} {how}");
            worker.run(&alter("DEFERRABLE INITIALLY DEFERRED"), doing, &table)?;
            let how = if deferrable { "DEFERRABLE INITIALLY IMMEDIATE" } else { "NOT DEFERRABLE" };
            aside.keys.push(alter(how));
        }
    }
    Ok(())
}

impl Aside {
    /// Checks the keys, and puts everything back.
    ///
    /// # Errors
    /// When a row names another that is not there.
    pub fn put_back(&self, worker: &Worker<'_>) -> Result<()> {
        if self.keys.is_empty() && self.others.is_empty() {
            return Ok(());
        }
        worker.run("SET CONSTRAINTS ALL IMMEDIATE", "check the foreign keys of", "the tables")?;
        let all = self.keys.iter().chain(&self.others);
        all.into_iter().try_for_each(|sql| worker.run(sql, "put back what belongs to", "the tables"))
    }
}
