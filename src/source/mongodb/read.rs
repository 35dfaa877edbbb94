//! Reads collections: one snapshot for all where the server has it, by UUID, as raw batches.

use super::filter::OwnerCheck;
use super::inventory::{count_where, data_name, size};
use super::metadata::{self, Listed};
use super::{MongoDb, errors};
use crate::config::Consistency;
use crate::error::{Error, Kind, Result};
use crate::pipeline::{BlockBuilder, RecordBlock};
use crate::source::{
    ConsistencyStamp, EntryName, ItemKind, Level, Output, ReadCollection, RecordStream, StreamTotals, View, Wanted,
};
use bson::{Binary, Bson, Document, Timestamp, doc, spec::BinarySubtype};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::options::SessionOptions;
use mongodb::raw_batch_cursor::RawBatch;
use std::collections::BTreeMap;
use std::future::IntoFuture;

/// Bytes a batch aims at: below 1 MiB round trips cost, at the default 16 MiB the server stalls between replies.
const BATCH_BYTES: u64 = 2 << 20;

/// An open view of a database.
pub struct MongoView<'a> {
    server: &'a MongoDb,
    stamp: ConsistencyStamp,
    snapshot: Option<Timestamp>,
    listed: BTreeMap<String, Listed>,
    /// Whether the user may name collections by UUID.
    by_uuid: bool,
}

impl<'a> MongoView<'a> {
    /// Opens the view and reads one document of every wanted collection, so that a missing privilege is found before
    /// the first byte is written.
    pub async fn open(
        server: &'a MongoDb,
        wanted: &[Wanted],
        consistency: Consistency,
        at_most: Level,
    ) -> Result<MongoView<'a>> {
        let listed = metadata::list(server, doc! {}).await?.into_iter().map(|l| (l.name.clone(), l)).collect();
        let stamp = ConsistencyStamp { level: Level::Collection, at: Utc::now(), reason: None };
        let mut view = Self { server, stamp, snapshot: None, listed, by_uuid: true };
        view.probe(wanted).await?;
        if at_most == Level::Collection {
            view.stamp.reason = Some("its snapshot was lost".into());
            return Ok(view);
        }
        match view.snapshot_time(wanted).await? {
            Ok(time) => {
                view.snapshot = Some(time);
                let at = DateTime::from_timestamp(i64::from(time.time), 0).unwrap_or(view.stamp.at);
                view.stamp = ConsistencyStamp { level: Level::Snapshot, at, reason: None };
                Ok(view)
            }
            Err(reason) if consistency == Consistency::Required => {
                let what =
                    format!("source '{}' requires one snapshot of all collections, and cannot have it", server.name);
                Err(Error::new(Kind::Source, what)
                    .cause(reason)
                    .hint("use a replica set of MongoDB 5.0 or newer, or `consistency: preferred`"))
            }
            Err(reason) => {
                view.stamp.reason = Some(reason);
                Ok(view)
            }
        }
    }

    /// The time of a new snapshot, or why there can be none.
    async fn snapshot_time(&self, wanted: &[Wanted]) -> Result<Result<Timestamp, String>> {
        let capped = wanted
            .iter()
            .find(|w| self.listed.get(&w.name).is_some_and(|l| l.options.get_bool("capped").unwrap_or(false)));
        if let Some(capped) = capped {
            return Ok(Err(format!("{} is capped, and capped collections have no snapshots", capped.name)));
        }
        for first in wanted.iter().filter_map(|w| self.data_of(w)) {
            let mut session =
                match self.server.patience.answer(self.server.database.client().start_session().snapshot(true)).await {
                    Ok(session) => session,
                    Err(e) => return Ok(Err(format!("the server has no sessions: {e}"))),
                };
            let command = doc! {"find": self.target(first), "limit": 1, "batchSize": 1, "singleBatch": true};
            let asked = self.server.database.run_cursor_command(command).session(&mut session);
            let found = self.server.patience.answer(asked.batch()).await;
            return match found {
                Ok(_) => Ok(session.snapshot_time().ok_or_else(|| "the server gave no snapshot time".to_owned())),
                // Dropped since it was listed: reading it will say so, and the others still have a moment.
                Err(e) if matches!(errors::code(&e), Some(26 | 246)) => continue,
                Err(e) if errors::has_no_snapshots(&e) => {
                    Ok(Err("the server is not part of a replica set of MongoDB 5.0 or newer".into()))
                }
                Err(e) => Err(errors::collection(&e, "begin a snapshot with", &first.name)),
            };
        }
        Ok(Err("there is no collection with data to take it of".into()))
    }

    async fn probe(&mut self, wanted: &[Wanted]) -> Result<()> {
        for data in wanted.iter().filter_map(|w| self.data_of(w)).cloned().collect::<Vec<_>>() {
            let read = self.read_one(&data).await;
            let read = match read {
                // Naming a collection by UUID is a privilege of its own (`useUUID`, in the `backup` role).
                Err(e) if errors::code(&e) == Some(13) && self.by_uuid => {
                    self.by_uuid = false;
                    self.read_one(&data).await
                }
                read => read,
            };
            match read {
                // Dropped since it was listed: reading it will say so, for that collection alone.
                Err(e) if errors::code(&e) == Some(26) => {}
                Err(e) => return Err(errors::collection(&e, "read", &data.name)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn read_one(&self, data: &Listed) -> mongodb::error::Result<()> {
        let command = doc! {"find": self.target(data), "limit": 1, "batchSize": 1, "singleBatch": true};
        self.server.patience.answer(self.server.database.run_cursor_command(command).batch()).await.map(drop)
    }

    /// The collection that holds the data; none for views and what does not exist.
    fn data_of(&self, wanted: &Wanted) -> Option<&Listed> {
        self.listed.get(&data_name(&wanted.name, wanted.kind)?)
    }

    /// How `find` names a collection: by UUID, because a name may mean another collection than the planned one, and a
    /// snapshot read of a name that was dropped is empty without an error.
    fn target(&self, listed: &Listed) -> Bson {
        let uuid = listed.uuid.as_ref().filter(|_| self.by_uuid).and_then(|hex| bson::Uuid::parse_str(hex).ok());
        match uuid {
            Some(uuid) => Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: uuid.bytes().to_vec() }),
            None => Bson::String(listed.name.clone()),
        }
    }

    async fn session(&self) -> Result<Option<ClientSession>> {
        let Some(time) = self.snapshot else { return Ok(None) };
        let options = SessionOptions::builder().snapshot(true).snapshot_time(time).build();
        let asked = self.server.database.client().start_session().with_options(options);
        let session = self.server.patience.answer(asked).await;
        session.map(Some).map_err(|e| errors::collection(&e, "open a session on", &self.server.name))
    }

    async fn read_collection(&self, wanted: &Wanted, output: &dyn Output) -> Result<ReadCollection> {
        let missing = |what: &str| Error::new(Kind::Missing, format!("{} {what}", wanted.name));
        let listed = self.listed.get(&wanted.name).ok_or_else(|| missing("does not exist any more"))?;
        if listed.kind != wanted.kind {
            return Err(missing("was replaced by another kind of thing since the plan was made"));
        }
        let identity = self.data_of(wanted).and_then(|data| data.uuid.as_ref());
        if wanted.identity.is_some() && identity != wanted.identity.as_ref() {
            return Err(missing("was dropped and made anew since the plan was made"));
        }
        let indexes = match wanted.kind {
            ItemKind::View => Vec::new(),
            _ => metadata::indexes(self.server, &wanted.name).await?,
        };
        let mut done = ReadCollection {
            name: wanted.name.clone(),
            records: 0,
            bytes: 0,
            digest: crate::pipeline::RecordDigest::default(),
            without_owner: 0,
            warnings: Vec::new(),
        };
        let database = self.server.database.name();
        if wanted.kind != ItemKind::View {
            let data = self.data_of(wanted).ok_or_else(|| missing("has lost the collection that holds its data"))?;
            let owner = match OwnerCheck::of(&wanted.records)? {
                Some(owner) if wanted.kind == ItemKind::TimeSeries => Some(owner.within_buckets(listed)?),
                owner => owner,
            };
            if let Some(owner) = &owner {
                self.report_ownership(wanted, data, owner, &indexes, &mut done).await?;
            }
            let stream = output.stream(&EntryName::new(database, &data.name, ".bson"))?;
            let totals = self.copy(wanted, data, owner.as_ref(), stream).await?;
            (done.records, done.bytes, done.digest) = (totals.records, totals.bytes, totals.digest);
        }
        self.check_identity(wanted).await?;
        let body = metadata::encode(listed, &indexes)?;
        output.document(&EntryName::new(database, &wanted.name, ".metadata.json"), &body)?;
        Ok(done)
    }

    /// Waits for a batch. A server that looks for one owner's documents may look at many before it has one.
    async fn batch<T>(
        &self,
        owner: Option<&OwnerCheck>,
        asked: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> mongodb::error::Result<T> {
        match owner {
            Some(_) => self.server.outcome(asked).await,
            None => self.server.patience.answer(asked).await,
        }
    }

    /// Copies every document of a collection, raw, and checks each one's owner.
    async fn copy(
        &self,
        wanted: &Wanted,
        data: &Listed,
        owner: Option<&OwnerCheck>,
        mut stream: Box<dyn RecordStream + '_>,
    ) -> Result<StreamTotals> {
        let failed = |e: &mongodb::error::Error| errors::collection(e, "read", &wanted.name);
        let (count, bytes) = size(self.server, &data.name).await?;
        let average = bytes.checked_div(count).unwrap_or(0).max(16);
        let batch = u32::try_from((BATCH_BYTES / average).clamp(1, 100_000)).unwrap_or(1000);
        let filter = owner.map_or_else(Document::new, OwnerCheck::filter);
        let command = doc! {"find": self.target(data), "filter": filter, "batchSize": i64::from(batch)};
        let mut builder = BlockBuilder::default();
        let mut take = |reply: RawBatch, stream: &mut dyn RecordStream| -> Result<()> {
            self.server.cancel.check()?;
            each_document(&reply, |document| {
                if let Some(owner) = owner.filter(|owner| !owner.owns(document)) {
                    return Err(stranger(&wanted.name, owner, document));
                }
                builder.push(document).map_or(Ok(()), |block: RecordBlock| stream.write(block))
            })
        };
        let database = &self.server.database;
        match self.session().await? {
            Some(mut session) => {
                let run = database.run_cursor_command(command).batch_size(batch).session(&mut session);
                let mut cursor = self.batch(owner, run.batch()).await.map_err(|e| failed(&e))?;
                let mut batches = cursor.stream(&mut session);
                while let Some(reply) = self.batch(owner, batches.try_next()).await.map_err(|e| failed(&e))? {
                    take(reply, stream.as_mut())?;
                }
            }
            None => {
                let run = database.run_cursor_command(command).batch_size(batch);
                let mut batches = self.batch(owner, run.batch()).await.map_err(|e| failed(&e))?;
                while let Some(reply) = self.batch(owner, batches.try_next()).await.map_err(|e| failed(&e))? {
                    take(reply, stream.as_mut())?;
                }
            }
        }
        if let Some(last) = builder.finish() {
            stream.write(last)?;
        }
        stream.finish()
    }

    /// The collection must still be the one that was listed: what was dropped or renamed under the reader is not whole.
    async fn check_identity(&self, wanted: &Wanted) -> Result<()> {
        let mut names = vec![wanted.name.clone()];
        names.extend(data_name(&wanted.name, wanted.kind).filter(|data| *data != wanted.name));
        let now = metadata::list(self.server, doc! {"name": {"$in": &names}}).await?;
        let same = |name: &String| {
            let (was, is) = (self.listed.get(name), now.iter().find(|now| now.name == *name));
            was.zip(is).is_some_and(|(was, is)| was.uuid == is.uuid && was.kind == is.kind)
        };
        if names.iter().all(same) {
            return Ok(());
        }
        Err(Error::new(Kind::Missing, format!("{} was dropped, renamed or made anew while it was read", wanted.name)))
    }

    /// What the operator should know of a tenant's collection: records nobody owns, and a missing index.
    async fn report_ownership(
        &self,
        wanted: &Wanted,
        data: &Listed,
        owner: &OwnerCheck,
        indexes: &[Document],
        done: &mut ReadCollection,
    ) -> Result<()> {
        let field = owner.field();
        done.without_owner = count_where(self.server, &data.name, owner.without_owner()).await?;
        if done.without_owner > 0 {
            let count = done.without_owner;
            done.warnings.push(format!("{count} documents have no `{field}` and are in no tenant's backup"));
        }
        let serves = |index: &Document| {
            let first_key = index.get_document("key").ok().and_then(|key| key.keys().next());
            first_key.is_some_and(|key| key == field)
                && !index.contains_key("partialFilterExpression")
                && !index.get_bool("hidden").unwrap_or(false)
        };
        if !indexes.iter().any(serves) {
            let name = wanted.name.replace('\\', "\\\\").replace('"', "\\\"");
            let command = format!("db.getCollection(\"{name}\").createIndex({{ \"{field}\": 1 }})");
            done.warnings.push(format!("`{field}` has no index, so every document is read: {command}"));
        }
        Ok(())
    }
}

/// Calls `each` with the raw bytes of every document of a reply. The reply's array is walked by lengths alone, so what
/// a document holds does not matter.
pub(super) fn each_document(reply: &RawBatch, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let odd = |e: &dyn std::fmt::Display| Error::new(Kind::Source, "the server's reply is malformed").cause(e);
    let array = reply.doc_slices().map_err(|e| odd(&e))?;
    let mut outcome = Ok(());
    super::records::elements(array.as_bytes(), |_, (kind, raw)| {
        outcome = if kind == 0x03 { each(raw) } else { Err(odd(&"it holds something that is no document")) };
        outcome.is_ok()
    })?;
    outcome
}

/// Names the document by the type of its `_id` alone: the value may be somebody's data.
fn stranger(name: &str, owner: &OwnerCheck, document: &[u8]) -> Error {
    let field = owner.field();
    let id = super::records::id_type(document).unwrap_or("missing");
    let what = format!(
        "the server answered with a document of {name} (its _id is {id}) whose `{field}` is not exactly the tenant's id"
    );
    Error::new(Kind::Source, what).hint(format!(
        "a MongoDB equality also matches arrays: look for documents of {name} whose `{field}` is an array or is there twice"
    ))
}

impl View for MongoView<'_> {
    fn consistency(&self) -> ConsistencyStamp {
        self.stamp.clone()
    }

    fn read(&self, unit: &[Wanted], output: &dyn Output) -> Result<Vec<ReadCollection>> {
        unit.iter().map(|wanted| self.server.block(self.read_collection(wanted, output))).collect()
    }
}
