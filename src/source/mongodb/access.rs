//! How documents are asked for: of one snapshot or as they are, by UUID or by name, in raw batches.

use super::metadata::Listed;
use super::raw::{self, Builder};
use super::{MongoDb, errors};
use crate::error::{Error, Kind, Result};
use bson::{Binary, Bson, Document, Timestamp, doc, spec::BinarySubtype};
use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::options::SessionOptions;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor, SessionRawBatchCursor};
use std::collections::BTreeMap;

/// A way into a database.
pub struct Access<'a> {
    /// The server.
    pub server: &'a MongoDb,
    /// The moment that is read; none for what is there now.
    pub snapshot: Option<Timestamp>,
    /// What was listed when the way was opened; what is not is asked for by its name.
    pub listed: BTreeMap<String, Listed>,
    /// Whether the user may name collections by UUID.
    pub by_uuid: bool,
    /// What it is when the server answers with a document that was not asked for.
    pub refusal: Kind,
}

impl<'a> Access<'a> {
    /// To what is there now, by name.
    pub fn live(server: &'a MongoDb) -> Self {
        Self { server, snapshot: None, listed: BTreeMap::new(), by_uuid: false, refusal: Kind::Source }
    }

    /// How `find` names a collection: by UUID, because a name may mean another collection than the planned one, and a
    /// snapshot read of a name that was dropped is empty without an error.
    pub fn target(&self, name: &str) -> Bson {
        let uuid = self.listed.get(name).and_then(|listed| listed.uuid.as_ref()).filter(|_| self.by_uuid);
        match uuid.and_then(|hex| bson::Uuid::parse_str(hex).ok()) {
            Some(uuid) => Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: uuid.bytes().to_vec() }),
            None => Bson::String(name.to_owned()),
        }
    }

    /// Whether what is read is what was listed, whatever happens to its name meanwhile: by UUID, of one moment. The server
    /// refuses to read of a snapshot what was dropped since.
    pub fn is_pinned(&self) -> bool {
        self.snapshot.is_some() && self.by_uuid
    }

    /// Asks for the documents of a collection that `filter` covers. A server that looks for a few among many may take long
    /// before it has one: such a reading is `patient`.
    pub async fn find(
        &self,
        name: &str,
        filter: &[u8],
        projection: Option<&Document>,
        batch: u32,
        patient: bool,
    ) -> Result<Replies<'a>> {
        let mut head = doc! {"find": self.target(name), "batchSize": i64::from(batch)};
        if let Some(projection) = projection {
            head.insert("projection", projection.clone());
        }
        let mut command = Builder::of(&head)?;
        command.put("filter", raw::DOCUMENT, filter);
        let run = self.server.database.run_raw_cursor_command(command.command()?).batch_size(batch);
        let run = run.selection_criteria(self.server.members());
        let failed = |e: mongodb::error::Error| errors::collection(&e, "read", name);
        let cursor = match self.session().await? {
            Some(mut session) => {
                let asked = run.session(&mut session).batch();
                let cursor =
                    if patient { self.server.outcome(asked).await } else { self.server.patience.answer(asked).await };
                Cursor::Session(Box::new((cursor.map_err(failed)?, session)))
            }
            None => {
                let asked = run.batch();
                let cursor =
                    if patient { self.server.outcome(asked).await } else { self.server.patience.answer(asked).await };
                Cursor::Plain(Box::new(cursor.map_err(failed)?))
            }
        };
        Ok(Replies { server: self.server, name: name.to_owned(), cursor, patient })
    }

    /// A session of the snapshot: a cursor needs one of its own.
    async fn session(&self) -> Result<Option<ClientSession>> {
        let Some(time) = self.snapshot else { return Ok(None) };
        let options = SessionOptions::builder().snapshot(true).snapshot_time(time).build();
        let asked = self.server.database.client().start_session().with_options(options);
        let session = self.server.patience.answer(asked).await;
        session.map(Some).map_err(|e| errors::collection(&e, "open a session on", &self.server.name))
    }
}

/// The answers to a `find`.
pub struct Replies<'a> {
    server: &'a MongoDb,
    name: String,
    cursor: Cursor,
    patient: bool,
}

enum Cursor {
    Plain(Box<RawBatchCursor>),
    Session(Box<(SessionRawBatchCursor, ClientSession)>),
}

impl Replies<'_> {
    /// The next batch of documents; none at the end.
    ///
    /// # Errors
    /// When the server fails, or the run was cancelled.
    pub async fn next(&mut self) -> Result<Option<RawBatch>> {
        self.server.cancel.check()?;
        let asked = async {
            match &mut self.cursor {
                Cursor::Plain(cursor) => cursor.try_next().await,
                Cursor::Session(both) => {
                    let (cursor, session) = &mut **both;
                    cursor.stream(session).try_next().await
                }
            }
        };
        let reply =
            if self.patient { self.server.outcome(asked).await } else { self.server.patience.answer(asked).await };
        reply.map_err(|e| errors::collection(&e, "read", &self.name))
    }
}

/// Calls `each` with the raw bytes of every document of a reply. The reply's array is walked by lengths alone, so what
/// a document holds does not matter.
pub fn each_document(reply: &RawBatch, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let odd = |e: &dyn std::fmt::Display| Error::new(Kind::Source, "the server's reply is malformed").cause(e);
    let array = reply.doc_slices().map_err(|e| odd(&e))?;
    let mut outcome = Ok(());
    super::records::elements(array.as_bytes(), |_, (kind, raw)| {
        outcome = if kind == 0x03 { each(raw) } else { Err(odd(&"it holds something that is no document")) };
        outcome.is_ok()
    })?;
    outcome
}
