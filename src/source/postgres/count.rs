//! Counts rows: those that are covered, those that lead to no owner, those whose parent is not there.

use super::errors::{self, Failure};
use super::inventory::{self, Relation, RelationKind};
use super::reader::Reader;
use super::session::{Session, quote};
use super::view::PgView;
use super::way::{Way, holds_rows};
use super::{Postgres, catalog};
use crate::config::Relationship;
use crate::error::{Error, Kind, Result, counted};
use crate::modules::Records;
use crate::source::{Coverage, Orphans, Wanted};
use std::sync::PoisonError;

impl PgView<'_> {
    /// Rows that lead to no owner, and the index that is missing: the same for every tenant, and so asked for once.
    pub(super) fn coverage_of(&self, reader: &Reader, relation: &Relation, way: &Way) -> Result<Coverage> {
        let question = way.without_owner();
        if let Some(known) = self.coverages.lock().unwrap_or_else(PoisonError::into_inner).get(&question) {
            return Ok(known.clone());
        }
        let nobodys = self.source.block(number(&reader.session, &question, &relation.name))?;
        let mut coverage = Coverage { without_owner: nobodys, ..Coverage::default() };
        if nobodys > 0 {
            let [one, several] = [("row has", "is"), ("rows have", "are")]
                .map(|(has, is)| format!("{has} no `{}` that leads to an owner and {is}", way.first()));
            coverage.remarks.push(format!("{} in no tenant's backup", counted(nobodys, &one, &several)));
        }
        coverage.index = self.source.block(way.missing_index(&reader.session, relation.oid))?;
        if let Some(command) = &coverage.index {
            coverage.remarks.push(format!("`{}` has no index, so every row is read: {command}", way.first()));
        }
        self.coverages.lock().unwrap_or_else(PoisonError::into_inner).insert(question, coverage.clone());
        Ok(coverage)
    }
}

async fn number(session: &Session, sql: &str, table: &str) -> Result<u64> {
    let rows = session.query(sql, &[]).await.map_err(|e| errors::relation(&e, "count the rows of", table))?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
}

/// How many rows are covered.
pub fn count(source: &Postgres, wanted: &Wanted) -> Result<Option<u64>> {
    let session = source.session()?;
    source.block(async {
        let relations = inventory::relations(&session, &source.schema).await?;
        let relation = |name: &str| relations.iter().find(|relation| relation.name == name);
        let Some(ownership) = wanted.records.ownership() else {
            let Some(found) = relation(&wanted.name).filter(|found| holds_rows(found.kind)) else { return Ok(None) };
            // Rows of tables that inherit from it are theirs.
            let only = if found.kind == RelationKind::Partitioned { "" } else { "ONLY " };
            let place = source.place(&wanted.name);
            return number(&session, &format!("SELECT count(*) FROM {only}{place}"), &place).await.map(Some);
        };
        let way = Way::look(&session, &source.schema, relation, &wanted.name, ownership).await?;
        number(&session, &way.count(), &source.place(&wanted.name)).await.map(Some)
    })
}

/// Children whose foreign key names no parent.
pub fn orphans(source: &Postgres, relationship: &Relationship, children: &Records) -> Result<Orphans> {
    let session = source.session()?;
    source.block(async {
        let failed = |e: Failure| errors::relation(&e, "check the keys of", &relationship.child);
        let sql = "SELECT $1::text::regclass::oid";
        let parent = source.place(&relationship.parent);
        let found = session.query(sql, &[&parent]).await.map_err(failed)?;
        let oid: u32 = found.first().map(|row| row.get(0)).unwrap_or_default();
        let key = catalog::primary_key(&session, oid).await?;
        let [key] = key.as_slice() else {
            let what = format!("table {} has no primary key of one column", relationship.parent);
            return Err(Error::new(Kind::Source, what));
        };
        let (child, foreign, key) = (source.place(&relationship.child), quote(&relationship.foreign_key), quote(key));
        let covered = match children.ownership() {
            None => "true".to_owned(),
            Some(ownership) => {
                let relations = inventory::relations(&session, &source.schema).await?;
                let relation = |name: &str| relations.iter().find(|relation| relation.name == name);
                Way::look(&session, &source.schema, relation, &relationship.child, ownership).await?.condition("c")
            }
        };
        let lost = format!(
            "FROM {child} c WHERE c.{foreign} IS NOT NULL AND {covered}
             AND NOT EXISTS (SELECT FROM {parent} p WHERE p.{key}::text = c.{foreign}::text)"
        );
        let count = session.query(&format!("SELECT count(*) {lost}"), &[]).await.map_err(failed)?;
        let samples = session.query(&format!("SELECT DISTINCT c.{foreign}::text {lost} LIMIT 5"), &[]).await;
        Ok(Orphans {
            count: count.first().map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)),
            samples: samples.map_err(failed)?.iter().map(|row| row.get(0)).collect(),
        })
    })
}
