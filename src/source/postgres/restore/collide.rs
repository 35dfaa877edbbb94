//! Rows whose unique values (of another key than the primary one) a table has under another primary key. A server checks
//! each row as it is written, so that what only changes places has to make room first; what would stay in the place of a
//! stored row is refused before anything is written.

use super::unique::Unique;
use super::worker::Worker;
use crate::error::{Error, Kind, Result};
use crate::source::Existing;
use crate::source::postgres::catalog::Column;
use crate::source::postgres::session::quote;

/// Where rows make room, within the session.
const MOVED: &str = "pg_temp.backup_restore_moved";

/// The stored rows of a table that is there, in a table beside it.
pub struct Collisions<'a> {
    worker: &'a Worker<'a>,
    name: &'a str,
    /// The table alone, where others inherit from it.
    only: &'a str,
    /// Where the stored rows are, or their keys.
    staged: &'a str,
    /// Columns of the primary key.
    key: &'a [String],
    /// The others.
    uniques: Vec<&'a Unique>,
}

impl<'a> Collisions<'a> {
    /// Of these unique keys of a table, as far as `stored` columns say what they are.
    pub fn new(
        worker: &'a Worker<'a>,
        (name, only, staged): (&'a str, &'a str, &'a str),
        key: &'a [String],
        uniques: &'a [Unique],
        stored: &[String],
    ) -> Self {
        let uniques = uniques.iter().filter(|unique| !unique.is_primary && unique.is_of(stored)).collect();
        Self { worker, name, only, staged, key, uniques }
    }

    /// Refuses an addition or a merge of rows whose unique values belong to rows that will still be there.
    ///
    /// # Errors
    /// [`Kind::Refused`] with the values.
    pub fn require_free(&self, existing: Existing) -> Result<()> {
        let stays = match existing {
            // A row whose key is there is not written.
            Existing::Add => format!("NOT EXISTS (SELECT FROM {} t WHERE {})", self.only, self.same("t", "s")),
            // One that is stored gets other values itself.
            Existing::Merge => format!("NOT EXISTS (SELECT FROM {} t WHERE {})", self.staged, self.same("t", "l")),
            Existing::Refuse | Existing::Replace => return Ok(()),
        };
        let mut found = Vec::new();
        for unique in &self.uniques {
            let pairs = unique.pairs(self.staged, self.only, self.key);
            let sql = format!(
                "SELECT count(*), coalesce((pg_catalog.array_agg(s.shown))[1:5], '{{}}') FROM {pairs} AND {stays}"
            );
            let rows = self.worker.rows(&sql, &[], "compare the unique values of", self.name)?;
            let Some(row) = rows.first() else { continue };
            let (count, samples): (i64, Vec<String>) = (row.get(0), row.get(1));
            if count > 0 {
                let (name, columns, samples) = (self.name, unique.columns(), samples.join(", "));
                found.push(format!(
                    "table {name}: {count} stored rows have a value ({columns}) that another row has there: {samples}"
                ));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Refused, format!("rows that would stay are in the place of stored rows of {}", self.name))
            .details(found)
            .hint("change or delete these rows by hand, replace the table (`--existing replace`), or restore into another database with --into"))
    }

    /// Whether rows change places, so that some have to make room.
    ///
    /// # Errors
    /// When the server fails.
    pub fn any_moves(&self) -> Result<bool> {
        let Some(holders) = self.holders() else { return Ok(false) };
        let sql = format!("SELECT count(*) FROM (SELECT FROM ({holders}) h LIMIT 1) r");
        Ok(self.worker.count(&sql, self.name)? > 0)
    }

    /// Deletes the rows that have to make room, and keeps what is not stored of them (`others`: columns). To be followed by
    /// [`Collisions::bring_back`], when all other rows have their values.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn make_room(&self, others: &[Column]) -> Result<bool> {
        if !self.any_moves()? {
            return Ok(false);
        }
        let holders = self.holders().unwrap_or_default();
        let kept: String =
            self.key.iter().chain(others.iter().map(|c| &c.name)).map(|c| format!(", l.{}", quote(c))).collect();
        let sql = format!(
            "CREATE TEMPORARY TABLE backup_restore_moved ON COMMIT DROP AS SELECT {} FROM {} l
             WHERE EXISTS (SELECT FROM ({holders}) h WHERE {})",
            kept.trim_start_matches(", "),
            self.only,
            self.same("l", "h")
        );
        self.worker.run(&sql, "make room in table", self.name)?;
        let sql = format!("DELETE FROM {} l USING {MOVED} h WHERE {}", self.only, self.same("l", "h"));
        self.worker.execute(&sql, "make room in table", self.name)?;
        Ok(true)
    }

    /// Inserts what has made room as it is stored: into `live`, of the columns `stored` and, as they were, `others`.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn bring_back(&self, live: &str, stored: &[String], others: &[Column]) -> Result<()> {
        let others: Vec<&String> = others.iter().map(|column| &column.name).collect();
        let list = |alias: &str, columns: &mut dyn Iterator<Item = &String>| {
            columns.map(|column| format!(", {alias}{}", quote(column))).collect::<String>()
        };
        let into = list("", &mut stored.iter().chain(others.iter().copied()));
        let of = list("s.", &mut stored.iter()) + &list("h.", &mut others.iter().copied());
        let sql = format!(
            "INSERT INTO {live} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} s JOIN {MOVED} h ON {}",
            into.trim_start_matches(", "),
            of.trim_start_matches(", "),
            self.staged,
            self.same("s", "h")
        );
        self.worker.execute(&sql, "overwrite rows of table", self.name)?;
        self.worker.run(&format!("DROP TABLE {MOVED}"), "overwrite rows of table", self.name)
    }

    /// Keys of rows that are stored, and have unique values now that another stored row gets; none where nothing is unique.
    fn holders(&self) -> Option<String> {
        let keys: Vec<_> =
            self.key.iter().enumerate().map(|(at, column)| format!("l.p{at} AS {}", quote(column))).collect();
        let is_stored = format!("EXISTS (SELECT FROM {} t WHERE {})", self.staged, self.same("t", "l"));
        let each = self.uniques.iter().map(|unique| {
            let pairs = unique.pairs(self.staged, self.only, self.key);
            format!("SELECT {} FROM {pairs} AND {is_stored}", keys.join(", "))
        });
        Some(each.collect::<Vec<_>>().join(" UNION ALL ")).filter(|sql| !sql.is_empty())
    }

    /// That two rows have the same primary key. Those of [`Unique::pairs`] (`l`, `s`) name it their own way.
    fn same(&self, one: &str, other: &str) -> String {
        let each = self.key.iter().enumerate().map(|(at, column)| {
            let column = quote(column);
            match (one, other) {
                ("t", _) => format!("t.{column} = {other}.p{at}"),
                _ => format!("{one}.{column} = {other}.{column}"),
            }
        });
        each.collect::<Vec<_>>().join(" AND ")
    }
}
