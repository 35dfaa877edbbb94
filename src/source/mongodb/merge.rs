//! Stored documents and live ones, matched by `_id`: which are there, and writing the others among them. Every batch is
//! read back and compared. A batch that was written twice has the effect of one, so a dead run is simply run again.

use super::access::each_document;
use super::key::{Id, id_of};
use super::load::{insert, refused, write};
use super::raw::{self, Builder};
use super::records::{Documents, has_zero_timestamp};
use super::{MongoDb, errors};
use crate::error::{Error, Kind, Result};
use crate::pipeline::RecordDigest;
use crate::source::{Changes, Existing, StoredCollection};
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use std::collections::HashSet;

/// Documents that are looked up at once.
const BATCH_DOCUMENTS: usize = 1000;

/// Bytes of documents that are held at once.
const BATCH_BYTES: usize = 2 << 20;

/// The server's code for a key that is taken.
const DUPLICATE_KEY: i32 = 11000;

/// What writing among live documents did.
#[derive(Debug, Default)]
pub struct Written {
    /// Counted as it happened.
    pub changes: Changes,
    /// Every document that was written read back as it is stored.
    pub verified: bool,
    /// Documents the server alters as it takes them.
    pub altered: u64,
}

/// How many documents of `body` are in the collection `live` already: all, and those.
pub fn matched(server: &MongoDb, live: &str, stored: &StoredCollection, body: &mut dyn std::io::Read) -> Result<u64> {
    let mut matched = 0;
    each_batch(stored, body, |batch| {
        matched += find(server, live, &batch.ids, &stored.name)?.len() as u64;
        Ok(())
    })?;
    Ok(matched)
}

/// Writes the documents of `body` among those of the collection `live`: with [`Existing::Add`] those that are not
/// there, else all.
pub fn write_among(
    server: &MongoDb,
    live: &str,
    stored: &StoredCollection,
    body: &mut dyn std::io::Read,
    existing: Existing,
) -> Result<Written> {
    let mut written = Written { verified: true, ..Written::default() };
    each_batch(stored, body, |batch| {
        let there = find(server, live, &batch.ids, &stored.name)?;
        let absent = |id: &Id| !there.contains(id);
        if existing == Existing::Add {
            let added = add(server, live, stored, batch.only(absent))?;
            written.changes.created += added.ids.len() as u64;
            return check(server, live, stored, &added, &mut written);
        }
        let created = overwrite(server, live, stored, batch)?;
        written.changes.created += created;
        written.changes.overwritten += batch.ids.len() as u64 - created;
        check(server, live, stored, batch, &mut written)
    })?;
    Ok(written)
}

/// Deletes the documents of `live` that are not in `staged`; returns how many.
pub fn delete_others(server: &MongoDb, live: &str, staged: &str, shown: &str) -> Result<u64> {
    let mut deleted = 0;
    each_id_batch(server, live, shown, |ids| {
        let kept = find(server, staged, &ids, shown)?;
        let gone: Vec<_> = ids.into_iter().filter(|id| !kept.contains(id)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let mut statement = Builder::of(&doc! {"limit": 0})?;
        statement.put("q", raw::DOCUMENT, &among(&gone)?);
        let mut deletes = Builder::default();
        deletes.push(raw::DOCUMENT, &statement.finish()?);
        let reply = write(server, doc! {"delete": live}, "deletes", &deletes, shown, "delete from")?;
        refused(&reply, shown, |_| false)?;
        deleted += count_of(&reply, "n");
        Ok(())
    })?;
    Ok(deleted)
}

/// Documents and their `_id`s.
#[derive(Default)]
pub struct Batch {
    /// As they are stored.
    pub documents: Vec<Vec<u8>>,
    /// Of each.
    pub ids: Vec<Id>,
    bytes: usize,
}

impl Batch {
    /// Those that are wanted.
    pub fn only(&self, wanted: impl Fn(&Id) -> bool) -> Self {
        let mut batch = Self::default();
        for (document, id) in self.documents.iter().zip(&self.ids).filter(|(_, id)| wanted(id)) {
            batch.documents.push(document.clone());
            batch.ids.push(id.clone());
        }
        batch
    }

    /// Those for which it holds, and the others.
    pub fn split(&self, holds: impl Fn(&Id) -> bool) -> (Self, Self) {
        (self.only(&holds), self.only(|id| !holds(id)))
    }
}

/// Calls `each` with the documents of `body`, as many at once as memory allows.
pub fn each_batch(
    stored: &StoredCollection,
    body: &mut dyn std::io::Read,
    mut each: impl FnMut(&Batch) -> Result<()>,
) -> Result<()> {
    let mut documents = Documents::new(body);
    let mut batch = Batch::default();
    while let Some(document) = documents.next()? {
        if batch.ids.len() == BATCH_DOCUMENTS || batch.bytes + document.len() > BATCH_BYTES && !batch.ids.is_empty() {
            each(&batch)?;
            batch = Batch::default();
        }
        let id = id_of(document)?.ok_or_else(|| {
            let what = format!("a document of {} has no _id, so it cannot be matched with what is there", stored.name);
            Error::new(Kind::Refused, what).hint("restore the collection into an empty target")
        })?;
        batch.bytes += document.len();
        batch.documents.push(document.to_vec());
        batch.ids.push(id);
    }
    if batch.ids.is_empty() { Ok(()) } else { each(&batch) }
}

/// `{_id: {$in: ids}}`.
fn among(ids: &[Id]) -> Result<Vec<u8>> {
    let mut list = Builder::default();
    for (kind, value) in ids {
        list.push(*kind, value);
    }
    raw::single("_id", raw::DOCUMENT, &raw::single("$in", raw::ARRAY, &list.finish()?)?)
}

/// Calls `each` with every document of `ids` that is in the collection.
pub fn each_found(
    server: &MongoDb,
    name: &str,
    ids: &[Id],
    projection: Document,
    shown: &str,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut command = Builder::of(&doc! {"find": name, "projection": projection, "batchSize": BATCH_DOCUMENTS as i64})?;
    command.put("filter", raw::DOCUMENT, &among(ids)?);
    let command = command.command()?;
    let failed = |e: &mongodb::error::Error| errors::collection(e, "look into", shown);
    server.block(async {
        let cursor = server.database.run_raw_cursor_command(command).batch_size(BATCH_DOCUMENTS as u32);
        let mut replies = server.patience.answer(cursor.batch()).await.map_err(|e| failed(&e))?;
        while let Some(reply) = server.patience.answer(replies.try_next()).await.map_err(|e| failed(&e))? {
            each_document(&reply, &mut each)?;
        }
        Ok(())
    })
}

/// Those of `ids` that are in the collection. The server takes numbers of different types for the same `_id`; what it
/// found under another type is not among the answer, and its insertion fails as a duplicate.
pub fn find(server: &MongoDb, name: &str, ids: &[Id], shown: &str) -> Result<HashSet<Id>> {
    let mut found = HashSet::new();
    each_found(server, name, ids, doc! {"_id": 1}, shown, |document| {
        found.extend(id_of(document)?);
        Ok(())
    })?;
    Ok(found)
}

/// Calls `each` with the `_id`s of all documents of a collection, a batch at a time.
fn each_id_batch(server: &MongoDb, name: &str, shown: &str, mut each: impl FnMut(Vec<Id>) -> Result<()>) -> Result<()> {
    let failed = |e: &mongodb::error::Error| errors::collection(e, "look into", shown);
    let command = doc! {"find": name, "projection": {"_id": 1}, "batchSize": BATCH_DOCUMENTS as i64};
    let cursor = server.database.run_cursor_command(command).batch_size(BATCH_DOCUMENTS as u32);
    let patience = &server.patience;
    let mut replies = server.block(async { patience.answer(cursor.batch()).await.map_err(|e| failed(&e)) })?;
    while let Some(reply) = server.block(async { patience.answer(replies.try_next()).await.map_err(|e| failed(&e)) })? {
        let mut ids = Vec::new();
        each_document(&reply, |document| {
            ids.extend(id_of(document)?);
            Ok(())
        })?;
        each(ids)?;
    }
    Ok(())
}

/// Inserts documents that were not there a moment ago; returns them. One that has come since stays as it is.
fn add(server: &MongoDb, live: &str, stored: &StoredCollection, batch: Batch) -> Result<Batch> {
    if batch.ids.is_empty() {
        return Ok(batch);
    }
    let mut documents = Builder::default();
    batch.documents.iter().for_each(|document| documents.push(raw::DOCUMENT, document));
    let reply = insert(server, live, &stored.name, &documents)?;
    let mut taken = HashSet::new();
    refused(&reply, &stored.name, |error| {
        let by_id = error.get_document("keyPattern").is_ok_and(|key| key.len() == 1 && key.contains_key("_id"));
        let at = error.get_i32("index").ok().and_then(|at| batch.ids.get(usize::try_from(at).ok()?));
        taken.extend(at.cloned());
        error.get_i32("code").is_ok_and(|code| code == DUPLICATE_KEY) && by_id
    })?;
    Ok(if taken.is_empty() { batch } else { batch.only(|id| !taken.contains(id)) })
}

/// Puts documents in the place of those with their `_id`, or among the others; returns how many were new.
fn overwrite(server: &MongoDb, live: &str, stored: &StoredCollection, batch: &Batch) -> Result<u64> {
    let mut updates = Builder::default();
    for (document, (kind, value)) in batch.documents.iter().zip(&batch.ids) {
        let mut statement = Builder::of(&doc! {"upsert": true})?;
        statement.put("q", raw::DOCUMENT, &raw::single("_id", *kind, value)?);
        statement.put("u", raw::DOCUMENT, document);
        updates.push(raw::DOCUMENT, &statement.finish()?);
    }
    let reply = write(server, doc! {"update": live}, "updates", &updates, &stored.name, "write to")?;
    refused(&reply, &stored.name, |_| false)?;
    Ok(reply.get_array("upserted").map_or(0, |upserted| upserted.len() as u64))
}

/// Reads back what was written.
pub fn check(
    server: &MongoDb,
    live: &str,
    stored: &StoredCollection,
    batch: &Batch,
    written: &mut Written,
) -> Result<()> {
    let altered = batch.documents.iter().filter(|document| has_zero_timestamp(document)).count() as u64;
    written.altered += altered;
    let (mut sent, mut found) = (RecordDigest::default(), RecordDigest::default());
    batch.documents.iter().for_each(|document| sent.add(document));
    each_found(server, live, &batch.ids, doc! {}, &stored.name, |document| {
        found.add(document);
        Ok(())
    })?;
    written.verified &= altered > 0 || sent == found;
    Ok(())
}

pub fn count_of(reply: &Document, key: &str) -> u64 {
    match reply.get(key) {
        Some(Bson::Int32(n)) => u64::try_from(*n).unwrap_or(0),
        Some(Bson::Int64(n)) => u64::try_from(*n).unwrap_or(0),
        _ => 0,
    }
}
