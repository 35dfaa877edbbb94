//! Sends documents to the server as they are stored, raw, and reads back what it holds of them.

use super::raw::{self, Builder};
use super::records::{Documents, has_zero_timestamp};
use super::{MongoDb, errors};
use crate::error::{Error, Kind, Result};
use crate::pipeline::RecordDigest;
use crate::source::{StoredCollection, StreamTotals};
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;

/// Bytes of documents in one insert command: larger ones wait longer than they save.
const INSERT_BYTES: usize = 2 << 20;

/// Documents in one insert command; the server takes no more.
const INSERT_DOCUMENTS: usize = 100_000;

/// What was sent to the server.
pub struct Loaded {
    /// Count, bytes and digest.
    pub totals: StreamTotals,
    /// Documents the server alters as it takes them.
    pub altered: u64,
}

/// Inserts every document of `body`, raw.
pub fn load(server: &MongoDb, name: &str, stored: &StoredCollection, body: &mut dyn std::io::Read) -> Result<Loaded> {
    let mut documents = Documents::new(body);
    let mut loaded =
        Loaded { totals: StreamTotals { records: 0, bytes: 0, digest: RecordDigest::default() }, altered: 0 };
    let mut batch = Batch::default();
    while let Some(document) = documents.next()? {
        if !batch.takes(document) {
            batch.send(server, name, stored)?;
        }
        loaded.altered += u64::from(has_zero_timestamp(document));
        loaded.totals.records += 1;
        loaded.totals.bytes += document.len() as u64;
        loaded.totals.digest.add(document);
        batch.push(document);
    }
    batch.send(server, name, stored)?;
    Ok(loaded)
}

/// Documents on their way to an insert command.
#[derive(Default)]
struct Batch(Builder);

impl Batch {
    fn takes(&self, document: &[u8]) -> bool {
        let fits = self.0.size() + document.len() <= INSERT_BYTES && self.0.len() < INSERT_DOCUMENTS;
        self.0.len() == 0 || fits
    }

    fn push(&mut self, document: &[u8]) {
        self.0.push(raw::DOCUMENT, document);
    }

    fn send(&mut self, server: &MongoDb, name: &str, stored: &StoredCollection) -> Result<()> {
        let documents = std::mem::take(&mut self.0);
        if documents.len() == 0 {
            return Ok(());
        }
        let reply = insert(server, name, &stored.name, &documents)?;
        refused(&reply, &stored.name, |_| false)
    }
}

/// Sends one insert command; `shown` is the collection's name for people.
pub fn insert(server: &MongoDb, name: &str, shown: &str, documents: &Builder) -> Result<Document> {
    write(server, doc! {"insert": name}, "documents", documents, shown, "insert into")
}

/// Sends a write command whose statements are `array`, and waits until a majority has it on disk.
pub fn write(
    server: &MongoDb,
    mut head: Document,
    key: &str,
    array: &Builder,
    shown: &str,
    doing: &str,
) -> Result<Document> {
    head.extend(doc! {"ordered": false, "writeConcern": {"w": "majority", "j": true}});
    if key != "deletes" {
        head.insert("bypassDocumentValidation", true);
    }
    let mut command = Builder::of(&head)?;
    command.put(key, raw::ARRAY, &array.finish()?);
    let command = command.command()?;
    server.cancel.check()?;
    // What is being written is waited for: a collection that is dropped under an insert is made anew by it.
    server.to_the_end(async { server.raw_command(command).await.map_err(|e| errors::collection(&e, doing, shown)) })
}

/// Whether the server took everything, but for what `pardons` says.
pub fn refused(reply: &Document, shown: &str, mut pardons: impl FnMut(&Document) -> bool) -> Result<()> {
    let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let errors = errors.iter().chain(reply.get("writeConcernError")).filter_map(Bson::as_document);
    match errors.into_iter().find(|error| !pardons(error)) {
        Some(error) => {
            let why = error.get_str("errmsg").unwrap_or("no reason given").to_owned();
            Err(Error::new(Kind::Source, format!("the server refused a record of {shown}")).cause(why))
        }
        None => Ok(()),
    }
}

/// Counts and digests what the server holds.
pub async fn digest(server: &MongoDb, name: &str) -> Result<StreamTotals> {
    let failed = |e: &mongodb::error::Error| errors::collection(e, "read back", name);
    let mut totals = StreamTotals::default();
    let run = server.database.run_cursor_command(doc! {"find": name, "batchSize": 1000});
    let mut batches = server.patience.answer(run.batch_size(1000).batch()).await.map_err(|e| failed(&e))?;
    while let Some(reply) = server.patience.answer(batches.try_next()).await.map_err(|e| failed(&e))? {
        super::access::each_document(&reply, |document| {
            totals.add(document);
            Ok(())
        })?;
    }
    Ok(totals)
}
