//! Sends documents to the server as they are stored, raw, and reads back what it holds of them.

use super::records::{Documents, has_zero_timestamp};
use super::{MongoDb, errors};
use crate::error::{Error, Kind, Result};
use crate::pipeline::RecordDigest;
use crate::source::{StoredCollection, StreamTotals};
use bson::{Bson, RawDocumentBuf, doc};
use futures_util::StreamExt;

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

/// The `documents` array of an insert command, built as bytes: its elements are the documents as they were read.
#[derive(Default)]
struct Batch {
    array: Vec<u8>,
    documents: usize,
}

impl Batch {
    fn takes(&self, document: &[u8]) -> bool {
        self.documents == 0 || (self.array.len() + document.len() <= INSERT_BYTES && self.documents < INSERT_DOCUMENTS)
    }

    fn push(&mut self, document: &[u8]) {
        self.array.push(0x03);
        self.array.extend_from_slice(self.documents.to_string().as_bytes());
        self.array.push(0);
        self.array.extend_from_slice(document);
        self.documents += 1;
    }

    fn send(&mut self, server: &MongoDb, name: &str, stored: &StoredCollection) -> Result<()> {
        if self.documents == 0 {
            return Ok(());
        }
        let command = self.command(name)?;
        let reply = server.block(async {
            server.raw_command(command).await.map_err(|e| errors::collection(&e, "insert into", &stored.name))
        })?;
        self.array.clear();
        self.documents = 0;
        let refused = reply.get_array("writeErrors").ok().and_then(|errors| errors.first());
        let refused = refused.or_else(|| reply.get("writeConcernError")).and_then(Bson::as_document);
        match refused {
            Some(error) => {
                let why = error.get_str("errmsg").unwrap_or("no reason given").to_owned();
                Err(Error::new(Kind::Source, format!("the server refused a record of {}", stored.name)).cause(why))
            }
            None => Ok(()),
        }
    }

    fn command(&self, name: &str) -> Result<RawDocumentBuf> {
        let head = doc! {
            "insert": name, "ordered": false, "bypassDocumentValidation": true,
            "writeConcern": {"w": "majority", "j": true},
        };
        let odd = |e: &dyn std::fmt::Display| Error::new(Kind::Internal, "an insert command cannot be built").cause(e);
        let mut bytes = bson::serialize_to_vec(&head).map_err(|e| odd(&e))?;
        bytes.pop();
        bytes.extend_from_slice(b"\x04documents\0");
        let length = i32::try_from(self.array.len() + 5).map_err(|e| odd(&e))?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.array);
        bytes.extend_from_slice(&[0, 0]);
        let length = i32::try_from(bytes.len()).map_err(|e| odd(&e))?;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        RawDocumentBuf::from_bytes(bytes).map_err(|e| odd(&e))
    }
}

/// Counts and digests what the server holds.
pub async fn digest(server: &MongoDb, name: &str) -> Result<StreamTotals> {
    let failed = |e: &mongodb::error::Error| errors::collection(e, "read back", name);
    let mut totals = StreamTotals::default();
    let run = server.database.run_cursor_command(doc! {"find": name, "batchSize": 1000});
    let mut batches = run.batch_size(1000).batch().await.map_err(|e| failed(&e))?;
    while let Some(reply) = batches.next().await {
        super::read::each_document(&reply.map_err(|e| failed(&e))?, |document| {
            totals.records += 1;
            totals.bytes += document.len() as u64;
            totals.digest.add(document);
            Ok(())
        })?;
    }
    Ok(totals)
}
