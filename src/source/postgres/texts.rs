//! Texts that a column of the rows holds: asked for as JSON, in which texts, lists and JSON columns are alike.

use super::copy::{all_of_it, value};
use super::inventory::Relation;

use super::reader::Reader;
use super::session::quote;
use super::view::PgView;
use crate::error::{Error, Kind, Result};
use crate::source::texts::{no_column, of_json};
use crate::source::{EachText, Wanted};

impl PgView<'_> {
    /// Calls `each` with them. Of a row no more than the column, and what says whose it is, is asked for.
    pub(super) fn read_texts(
        &self,
        reader: &Reader,
        relation: &Relation,
        wanted: &Wanted,
        field: &str,
        each: &mut EachText<'_>,
    ) -> Result<()> {
        let source = self.source;
        let path: Vec<&str> = field.split('.').collect();
        let columns = source.block(self.checked(&reader.session, relation, wanted))?;
        if !columns.iter().any(|column| column.name == path[0]) {
            return Err(no_column(&wanted.name, path[0]));
        }
        let (column, place) = (quote(path[0]), source.place(&wanted.name));
        let way = self.way(reader, wanted)?;
        let sql = match &way {
            Some(way) => way.copy_json(&column),
            None => format!("COPY (SELECT pg_catalog.to_jsonb({column})::text FROM {place}) TO STDOUT"),
        };
        let keep = |row: &[u8]| way.as_ref().map_or_else(|| all_of_it(row), |way| way.checked(row));
        reader.copy(source, &sql, &place, keep, |block| {
            block.bytes.split_inclusive(|byte| *byte == b'\n').try_for_each(|row| {
                let Some(json) = value(row, 0) else { return Ok(()) };
                let json = serde_json::from_slice(&json).map_err(|e| {
                    let what = format!("the server's JSON of column {} of table {} is none", path[0], wanted.name);
                    Error::new(Kind::Source, what).cause(e)
                })?;
                of_json(&json, &path[1..], each)
            })
        })?;
        Ok(())
    }
}
