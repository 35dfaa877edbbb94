//! Unique indexes: which documents that are there have what a stored one is about to bring.

use super::access::each_document;
use super::filter::{simple_collation, value_at};
use super::key::{Id, Key, id_of, key_of};
use super::merge::Batch;
use super::raw::{self, Builder};
use super::{MongoDb, errors};
use crate::error::Result;
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use std::collections::HashMap;

/// A unique index that looks at plain values.
pub struct Unique {
    fields: Vec<String>,
    collation: Document,
    sparse: bool,
}

impl Unique {
    /// None where the index is not unique, is the one on `_id`, or covers some documents alone by a condition that only
    /// the server can judge: then the server's refusal ends the restore.
    pub fn of(index: &Document) -> Option<Self> {
        let key = index.get_document("key").ok()?;
        let is_plain = |direction: &Bson| !matches!(direction, Bson::String(_));
        let is = |option: &str| index.get_bool(option).unwrap_or(false);
        let is_whole = !index.contains_key("partialFilterExpression");
        let is_id = key.len() == 1 && key.contains_key("_id");
        (is("unique") && is_whole && !is_id && key.values().all(is_plain)).then(|| Self {
            fields: key.keys().cloned().collect(),
            collation: index.get_document("collation").cloned().unwrap_or_else(|_| simple_collation()),
            sparse: is("sparse"),
        })
    }

    /// The documents that are there and stand in the way of `batch`.
    pub fn taken(&self, server: &MongoDb, live: &str, shown: &str, batch: &Batch) -> Result<Vec<Vec<u8>>> {
        let mut wanted = Builder::default();
        let mut bringing: HashMap<Vec<Key>, Key> = HashMap::new();
        for (document, id) in batch.documents.iter().zip(&batch.ids) {
            let Some(values) = self.values(document) else { continue };
            let mut filter = Builder::default();
            for (field, (kind, value)) in self.fields.iter().zip(&values) {
                filter.put(field, raw::DOCUMENT, &raw::single("$eq", *kind, value)?);
            }
            wanted.push(raw::DOCUMENT, &filter.finish()?);
            bringing.insert(keys(&values), key(id));
        }
        let mut taken = Vec::new();
        if wanted.len() == 0 {
            return Ok(taken);
        }
        let head = doc! {"find": live, "collation": self.collation.clone(), "batchSize": 1000};
        let mut command = Builder::of(&head)?;
        command.put("filter", raw::DOCUMENT, &raw::single("$or", raw::ARRAY, &wanted.finish()?)?);
        let command = command.command()?;
        let ids: Vec<Key> = batch.ids.iter().map(key).collect();
        let failed = |e: &mongodb::error::Error| errors::collection(e, "look into", shown);
        server.block(async {
            let cursor = server.database.run_raw_cursor_command(command).batch_size(1000);
            let mut replies = server.outcome(cursor.batch()).await.map_err(|e| failed(&e))?;
            while let Some(reply) = server.outcome(replies.try_next()).await.map_err(|e| failed(&e))? {
                each_document(&reply, |document| {
                    let id = id_of(document)?.map(|id| key(&id)).unwrap_or_default();
                    let brought = self.values(document).and_then(|values| bringing.get(&keys(&values)));
                    // Its own twin brings the same.
                    if brought.map_or(!ids.contains(&id), |by| *by != id) {
                        taken.push(document.to_vec());
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        Ok(taken)
    }

    /// What the index keeps of a document; none where it keeps nothing, or more than one entry.
    fn values(&self, document: &[u8]) -> Option<Vec<Id>> {
        let mut values = Vec::new();
        let mut named = 0;
        for field in &self.fields {
            let value = value_at(document, field)?;
            named += usize::from(value.is_some());
            values.push(value.unwrap_or((0x0A, Vec::new())));
        }
        (named > 0 || !self.sparse).then_some(values)
    }
}

fn key((kind, id): &Id) -> Key {
    key_of((*kind, id)).unwrap_or_default()
}

fn keys(values: &[Id]) -> Vec<Key> {
    values.iter().map(key).collect()
}
