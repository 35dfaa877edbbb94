//! What is stored of tables beside their rows, asked for once a set of tables.

use super::inventory::Relation;
use super::schema::{Schema, StoredColumn, StoredRelation};
use super::view::PgView;
use super::way::holds_rows;
use super::{catalog, needs};
use crate::config::Ddl;
use crate::error::{Error, Kind, Result};
use crate::source::Wanted;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

/// What is to be said where definitions are wanted and there is no snapshot.
pub fn without_snapshot() -> Error {
    Error::new(Kind::Source, "the definitions cannot be had at one moment with the rows")
        .hint("read the primary, or store the rows alone with `ddl: none`")
}

impl PgView<'_> {
    /// What is stored of these beside their rows, asked for once.
    pub(super) fn schema(&self, wanted: &[Wanted]) -> Result<Arc<Schema>> {
        let relations: Vec<_> = wanted.iter().filter_map(|wanted| self.relations.get(&wanted.name)).collect();
        let oids: BTreeSet<u32> = relations.iter().map(|relation| relation.oid).collect();
        // Whoever asks for the same meanwhile waits for it: pg_dump takes long.
        let mut known = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = known.get(&oids) {
            return Ok(Arc::clone(schema));
        }
        let schema = Arc::new(self.define(&relations, &oids)?);
        known.insert(oids, Arc::clone(&schema));
        Ok(schema)
    }

    /// Begins to ask for the definitions of all that is read here: pg_dump takes as long as many rows.
    pub(super) fn define_ahead(&self) -> Result<()> {
        let Some(dumps) = &self.dumps else { return Ok(()) };
        let relations = self.wanted.iter().filter_map(|name| self.relations.get(name));
        self.source.dump_ahead(&self.keeper, dumps, &relations.map(|relation| relation.oid).collect())
    }

    fn define(&self, relations: &[&Relation], oids: &BTreeSet<u32>) -> Result<Schema> {
        let source = self.source;
        let is_whole = self.relations.values().filter(|r| r.is_item()).all(|relation| oids.contains(&relation.oid));
        let mut schema = match source.ddl() {
            Ddl::Dump | Ddl::WithGrants => {
                let dumps = self.dumps.as_ref().ok_or_else(without_snapshot)?;
                source.definitions(&self.keeper, dumps, oids, is_whole)?
            }
            Ddl::None => Schema {
                sequences: source.block(needs::sequences(&self.keeper, &[], oids))?,
                warnings: vec![
                    "no definitions are stored (`ddl: none`): a restore needs the tables to be there".into(),
                ],
                ..Schema::default()
            },
        };
        schema.name.clone_from(&source.schema);
        schema.defined = source.ddl() != Ddl::None;
        for relation in relations {
            let columns = match holds_rows(relation.kind) {
                true => source.block(catalog::columns(&self.keeper, relation.oid))?,
                false => Vec::new(),
            };
            let key = source.block(catalog::primary_key(&self.keeper, relation.oid))?;
            let stored = columns.into_iter().filter(|column| !column.generated);
            let columns = stored.map(|c| StoredColumn { name: c.name, type_name: c.type_name }).collect();
            schema.relations.insert(relation.name.clone(), StoredRelation { oid: relation.oid, columns, key });
        }
        Ok(schema)
    }
}
