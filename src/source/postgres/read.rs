//! Reads a table by COPY, as bytes.

use super::Postgres;
use super::catalog::{self, Column};
use super::errors::{self, Failure};
use super::inventory::{Relation, RelationKind};
use super::pieces;
use super::reader::Reader;
use super::session::{Session, quote};
use super::view::PgView;
use crate::error::{Error, Kind, Result};
use crate::pipeline::Idle;
use crate::source::{ItemKind, Output, ReadCollection, StreamTotals, Wanted};

impl PgView<'_> {
    /// Reads one table, with the help of idle readers where it is large.
    pub(super) fn read_one(&self, wanted: &Wanted, output: &dyn Output, idle: &dyn Idle) -> Result<ReadCollection> {
        if wanted.kind == ItemKind::View {
            return Ok(read(wanted));
        }
        self.with_reader(wanted, |reader, relation| self.copy(reader, relation, wanted, output, idle))
    }

    fn copy(
        &self,
        reader: &Reader,
        relation: &Relation,
        wanted: &Wanted,
        output: &dyn Output,
        idle: &dyn Idle,
    ) -> Result<ReadCollection> {
        let source = self.source;
        let columns = source.block(self.checked(&reader.session, relation, wanted))?;
        let way = self.way(reader, wanted)?;
        let mut done = read(wanted);
        if let Some(way) = &way {
            let coverage = self.coverage_of(reader, relation, way)?;
            (done.without_owner, done.warnings) = (coverage.without_owner, coverage.remarks);
        }
        let names: Vec<_> = columns.iter().map(|column| quote(&column.name)).collect();
        let names_list = names.join(", ");
        let sql = match &way {
            Some(way) => way.copy(&names, false),
            None => statement(source, relation, &names_list),
        };
        let pieces = match way {
            Some(_) => Vec::new(),
            None => pieces::of(self, reader, relation, &names_list)?,
        };
        let name = source.rows_of(&wanted.name);
        let mut stream = output.stream(&name)?;
        let keep = |row: &[u8]| way.as_ref().map_or(Ok(row.len()), |way| way.checked(row));
        let place = source.place(&wanted.name);
        let told = match pieces.len() {
            0 => reader.copy(source, &sql, &place, keep, |block| stream.write(block))?,
            _ => pieces::read(self, reader, &place, pieces, idle, &mut *stream)?,
        };
        let totals = stream.finish()?;
        if told != totals.records {
            let what = format!("{} rows of table {} arrived, the server says {told}", totals.records, wanted.name);
            return Err(Error::new(Kind::Source, what));
        }
        (done.records, done.bytes, done.digest) = (totals.records, totals.bytes, totals.digest);
        Ok(done)
    }

    /// The columns to read, once it is certain that this is the table that was planned, and all of it.
    pub(super) async fn checked(&self, session: &Session, relation: &Relation, wanted: &Wanted) -> Result<Vec<Column>> {
        let name = &wanted.name;
        let failed = |e: Failure| errors::relation(&e, "look at table", name);
        let sql = "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1::text::name AND c.relname = $2::text::name";
        let found = session.query(sql, &[&self.source.schema, name]).await.map_err(failed)?;
        let oid: Option<u32> = found.first().map(|row| row.get(0));
        if oid != Some(relation.oid) || wanted.identity.as_ref().is_some_and(|was| *was != relation.oid.to_string()) {
            let what = format!("table {name} was dropped, or made anew, since the run was planned");
            return Err(Error::new(Kind::Missing, what));
        }
        let place = format!("{}.{name}", self.source.schema);
        let is_child = |r: &&Relation| r.kind == RelationKind::Inherited && r.parents.contains(&place);
        let children: Vec<_> = self.relations.values().filter(is_child).map(|r| r.name.as_str()).collect();
        let missing: Vec<_> = children.into_iter().filter(|child| !self.wanted.contains(*child)).collect();
        if !missing.is_empty() {
            let what = format!("table {name} has rows in tables that inherit from it: {}", missing.join(", "));
            return Err(Error::new(Kind::Source, what).hint("list those too"));
        }
        let columns = catalog::columns(session, relation.oid).await?;
        if let Some(column) = columns.iter().find(|column| column.large_object)
            && self.has_large_objects(session).await?
        {
            let what =
                format!("column {} of table {name} may hold large objects, which are not backed up", column.name);
            return Err(
                Error::new(Kind::Source, what).hint("keep such data in columns of type bytea, or exclude the table")
            );
        }
        Ok(columns.into_iter().filter(|column| !column.generated).collect())
    }

    async fn has_large_objects(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)";
        let found = session.query(sql, &[]).await;
        let found = found.map_err(|e| errors::relation(&e, "look for", "large objects"))?;
        Ok(found.first().is_some_and(|row| row.get(0)))
    }
}

/// Nothing read yet.
fn read(wanted: &Wanted) -> ReadCollection {
    let StreamTotals { records, bytes, digest } = StreamTotals::default();
    ReadCollection { name: wanted.name.clone(), records, bytes, digest, without_owner: 0, warnings: Vec::new() }
}

/// The COPY that reads a whole table.
fn statement(source: &Postgres, relation: &Relation, names: &str) -> String {
    let table = source.place(&relation.name);
    match relation.kind {
        RelationKind::Partitioned => format!("COPY (SELECT {names} FROM {table}) TO STDOUT"),
        // A table may have no columns, and rows all the same.
        _ if names.is_empty() => format!("COPY {table} TO STDOUT"),
        _ => format!("COPY {table} ({names}) TO STDOUT"),
    }
}
