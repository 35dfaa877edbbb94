//! Reads collections: one snapshot for all where the server has it, by UUID, as raw batches.

use super::access::{Access, each_document};
use super::ahead::{Ahead, Asked};
use super::filter::OwnerCheck;
use super::inventory::{count_where, data_name, size};
use super::metadata::{self, Listed};
use super::owned::{Owned, Reading};
use super::{MongoDb, errors, raw, texts};
use crate::config::Consistency;
use crate::error::{Error, Kind, Result, counted};
use crate::pipeline::{BlockBuilder, RecordBlock};
use crate::source::{
    ConsistencyStamp, Coverage, EachText, EntryName, ItemKind, Level, Output, ReadCollection, RecordStream,
    StreamTotals, View, Wanted,
};
use bson::{Document, Timestamp, doc};
use chrono::{DateTime, Utc};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes a batch aims at: below 1 MiB round trips cost, at the default 16 MiB the server stalls between replies.
const BATCH_BYTES: u64 = 2 << 20;

/// Documents in one reply, where a field of each is asked for.
const TEXTS: u32 = 5_000;

/// An open view of a database.
pub struct MongoView<'a> {
    access: Access<'a>,
    stamp: ConsistencyStamp,
    /// Tenant after tenant may be read of one view.
    facts: Mutex<FactsByRule>,
    ahead: Ahead,
}

/// By collection and owner field.
type FactsByRule = HashMap<(String, Option<String>), Arc<Facts>>;

/// What is the same for whoever's documents of a collection are read.
struct Facts {
    indexes: Vec<Document>,
    /// Bytes of a document.
    average: u64,
    /// Documents that name no owner.
    without_owner: u64,
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
        let mut view = Self {
            access: Access { listed, by_uuid: true, ..Access::live(server) },
            stamp,
            facts: Mutex::default(),
            ahead: Ahead::default(),
        };
        view.probe(wanted).await?;
        if at_most == Level::Collection {
            view.stamp.reason = Some("its snapshot was lost".into());
            return Ok(view);
        }
        match view.snapshot_time(wanted).await? {
            Ok(time) => {
                view.access.snapshot = Some(time);
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
        let read = self.read_for(wanted)?;
        let capped = read.iter().find(|listed| listed.options.get_bool("capped").unwrap_or(false));
        if let Some(capped) = capped {
            return Ok(Err(format!("{} is capped, and capped collections have no snapshots", capped.name)));
        }
        let mut reason = "there is no collection with data to take it of".to_owned();
        for first in read {
            let mut session = match self
                .access
                .server
                .patience
                .answer(self.access.server.database.client().start_session().snapshot(true))
                .await
            {
                Ok(session) => session,
                Err(e) => return Ok(Err(format!("the server has no sessions: {e}"))),
            };
            let command =
                doc! {"find": self.access.target(&first.name), "limit": 1, "batchSize": 1, "singleBatch": true};
            let server = self.access.server;
            let asked = server.database.run_cursor_command(command).selection_criteria(server.members());
            let found = server.patience.answer(asked.session(&mut session).batch()).await;
            return match found {
                Ok(_) => Ok(session.snapshot_time().ok_or_else(|| "the server gave no snapshot time".to_owned())),
                // Dropped since it was listed: reading it will say so, and the others still have a moment.
                Err(e) if errors::code(&e) == Some(26) => continue,
                // Made a moment ago: a secondary does not know yet that a majority has it.
                Err(e) if errors::code(&e) == Some(246) => {
                    reason = format!("{} was made or changed a moment ago", first.name);
                    continue;
                }
                Err(e) if errors::has_no_snapshots(&e) => {
                    Ok(Err("the server is not part of a replica set of MongoDB 5.0 or newer".into()))
                }
                Err(e) => Err(errors::collection(&e, "begin a snapshot with", &first.name)),
            };
        }
        Ok(Err(reason))
    }

    async fn probe(&mut self, wanted: &[Wanted]) -> Result<()> {
        for data in self.read_for(wanted)?.into_iter().cloned().collect::<Vec<_>>() {
            let read = self.read_one(&data).await;
            let read = match read {
                // Naming a collection by UUID is a privilege of its own (`useUUID`, in the `backup` role).
                Err(e) if errors::code(&e) == Some(13) && self.access.by_uuid => {
                    self.access.by_uuid = false;
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
        let command = doc! {"find": self.access.target(&data.name), "limit": 1, "batchSize": 1, "singleBatch": true};
        let server = self.access.server;
        let asked = server.database.run_cursor_command(command).selection_criteria(server.members());
        server.patience.answer(asked.batch()).await.map(drop)
    }

    /// The collection that holds the data; none for views and what does not exist.
    fn data_of(&self, wanted: &Wanted) -> Option<&Listed> {
        self.access.listed.get(&data_name(&wanted.name, wanted.kind)?)
    }

    /// The collections that are read for those that are wanted: their data, and the parents that say whose it is.
    fn read_for(&self, wanted: &[Wanted]) -> Result<Vec<&Listed>> {
        let mut read: Vec<&Listed> = wanted.iter().filter_map(|w| self.data_of(w)).collect();
        for wanted in wanted {
            let check = OwnerCheck::of(&wanted.records)?;
            let parents = check.iter().flat_map(OwnerCheck::parents);
            read.extend(parents.filter_map(|parent| self.access.listed.get(parent)).filter(|l| l.uuid.is_some()));
        }
        let mut seen = BTreeSet::new();
        read.retain(|listed| seen.insert(&listed.name));
        Ok(read)
    }

    async fn read_collection(&self, wanted: &Wanted, output: &dyn Output) -> Result<ReadCollection> {
        let missing = |what: &str| Error::new(Kind::Missing, format!("{} {what}", wanted.name));
        let listed = self.access.listed.get(&wanted.name).ok_or_else(|| missing("does not exist any more"))?;
        if listed.kind != wanted.kind {
            return Err(missing("was replaced by another kind of thing since the plan was made"));
        }
        let identity = self.data_of(wanted).and_then(|data| data.uuid.as_ref());
        if wanted.identity.is_some() && identity != wanted.identity.as_ref() {
            return Err(missing("was dropped and made anew since the plan was made"));
        }
        let mut indexes = Vec::new();
        let mut done = ReadCollection {
            name: wanted.name.clone(),
            records: 0,
            bytes: 0,
            digest: crate::pipeline::RecordDigest::default(),
            without_owner: 0,
            warnings: Vec::new(),
        };
        let database = self.access.server.database.name();
        if wanted.kind != ItemKind::View {
            let data = self.data_of(wanted).ok_or_else(|| missing("has lost the collection that holds its data"))?;
            let owner = match OwnerCheck::of(&wanted.records)? {
                Some(owner) if wanted.kind == ItemKind::TimeSeries => {
                    Some(owner.within_buckets(&listed.name, &listed.options)?)
                }
                owner => owner,
            };
            if let Some(owner) = &owner {
                self.check_parents(wanted, owner)?;
            }
            let facts = self.facts(wanted, data, owner.as_ref()).await?;
            if let Some(owner) = &owner {
                let coverage = coverage(wanted, owner, &facts);
                (done.without_owner, done.warnings) = (coverage.without_owner, coverage.remarks);
            }
            indexes.clone_from(&facts.indexes);
            let mut stream = output.stream(&EntryName::new(database, &data.name, ".bson"))?;
            let ahead = wanted.records.ownership().and_then(|ownership| self.ahead.take(&wanted.name, ownership));
            let totals = match ahead {
                Some(share) => {
                    share.blocks.into_iter().try_for_each(|block| stream.write(block))?;
                    stream.finish()?
                }
                None => self.copy(wanted, data, owner, facts.batch(), stream).await?,
            };
            (done.records, done.bytes, done.digest) = (totals.records, totals.bytes, totals.digest);
        }
        if !self.access.is_pinned() {
            self.require_same(wanted).await?;
        }
        let body = metadata::encode(listed, &indexes)?;
        output.document(&EntryName::new(database, &wanted.name, ".metadata.json"), &body)?;
        Ok(done)
    }

    /// Reads a collection to its end, unless it takes longer than one may.
    fn within_its_limit<T>(&self, name: &str, reading: impl Future<Output = Result<T>>) -> Result<T> {
        let server = self.access.server;
        server.block(async {
            let patience = server.patience.for_one_collection();
            let read = patience.within(async { Ok(reading.await) }).await;
            read.map_err(|e| errors::collection(&e, "read", name))?
        })
    }

    /// The texts that a field holds. Of a document no more than that, and what says whose it is, is asked for.
    async fn read_texts(&self, wanted: &Wanted, field: &str, each: &mut EachText<'_>) -> Result<()> {
        if wanted.kind != ItemKind::Collection {
            let what = format!("{} is a view or a time-series collection, whose fields are not read", wanted.name);
            return Err(Error::new(Kind::Config, what));
        }
        let missing = || Error::new(Kind::Missing, format!("{} does not exist any more", wanted.name));
        let data = self.data_of(wanted).ok_or_else(missing)?;
        let path: Vec<&[u8]> = field.split('.').map(str::as_bytes).collect();
        // Of two paths of which one leads on from the other the server takes neither: their first fields hold both.
        let first = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
        let mut projection = doc! {"_id": 1, first(field): 1};
        let mut take = |document: &[u8]| texts::of_document(document, &path, each);
        match OwnerCheck::of(&wanted.records)? {
            Some(check) => {
                self.check_parents(wanted, &check)?;
                projection.insert(first(check.path()), 1);
                let (name, shown, projection) = (data.name.clone(), wanted.name.clone(), Some(projection));
                let reading = Reading { name, shown, check, projection, batch: TEXTS };
                Owned::new(&self.access, reading, None).each(&mut take).await?;
            }
            None => {
                let everything = raw::EVERYTHING;
                let mut replies = self.access.find(&data.name, everything, Some(&projection), TEXTS, false).await?;
                while let Some(reply) = replies.next().await? {
                    each_document(&reply, &mut take)?;
                }
            }
        }
        if self.access.is_pinned() { Ok(()) } else { self.require_same(wanted).await }
    }

    /// Whose a document is must be told by collections that are there, each with `_id`s of its own.
    fn check_parents(&self, wanted: &Wanted, owner: &OwnerCheck) -> Result<()> {
        for parent in owner.parents() {
            let says = format!("{parent}, which says whose the records of {} are,", wanted.name);
            match self.access.listed.get(parent) {
                None => return Err(Error::new(Kind::Missing, format!("{says} does not exist"))),
                Some(listed) if listed.kind != ItemKind::Collection => {
                    return Err(Error::new(Kind::Source, format!("{says} is a view or a time-series collection"))
                        .hint("name the collection that holds its documents in the `via` rule"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Copies every document of a collection, raw, and checks each one's owner.
    async fn copy(
        &self,
        wanted: &Wanted,
        data: &Listed,
        owner: Option<OwnerCheck>,
        batch: u32,
        mut stream: Box<dyn RecordStream + '_>,
    ) -> Result<StreamTotals> {
        let mut builder = BlockBuilder::default();
        let mut take =
            |document: &[u8]| builder.push(document).map_or(Ok(()), |block: RecordBlock| stream.write(block));
        match owner {
            Some(check) => {
                let (name, shown) = (data.name.clone(), wanted.name.clone());
                let reading = Reading { name, shown, check, projection: None, batch };
                Owned::new(&self.access, reading, None).each(&mut take).await?;
            }
            None => {
                let everything = raw::EVERYTHING;
                let mut replies = self.access.find(&data.name, everything, None, batch, false).await?;
                while let Some(reply) = replies.next().await? {
                    each_document(&reply, &mut take)?;
                }
            }
        }
        if let Some(last) = builder.finish() {
            stream.write(last)?;
        }
        stream.finish()
    }

    /// The collection must still be the one that was listed: what was dropped or renamed under the reader is not whole.
    async fn require_same(&self, wanted: &Wanted) -> Result<()> {
        let mut names = vec![wanted.name.clone()];
        names.extend(data_name(&wanted.name, wanted.kind).filter(|data| *data != wanted.name));
        let parents = OwnerCheck::of(&wanted.records)?;
        names.extend(parents.iter().flat_map(OwnerCheck::parents).map(ToOwned::to_owned));
        let now = metadata::list(self.access.server, doc! {"name": {"$in": &names}}).await?;
        let changed = names.iter().find(|name| {
            let (was, is) = (self.access.listed.get(*name), now.iter().find(|now| now.name == **name));
            !was.zip(is).is_some_and(|(was, is)| was.uuid == is.uuid && was.kind == is.kind)
        });
        match changed {
            None => Ok(()),
            Some(name) => {
                let what = format!("{name} was dropped, renamed or made anew while {} was read", wanted.name);
                Err(Error::new(Kind::Missing, what))
            }
        }
    }

    /// Reads ahead what several tenants will be asked for, collection by collection.
    async fn gather(&self, wanted: &[Wanted]) -> Result<()> {
        // Else it would be of another moment than what is read of the tenant beside it, or of a namesake.
        if !self.access.is_pinned() {
            return Ok(());
        }
        let names: BTreeSet<_> = wanted.iter().map(|wanted| &wanted.name).collect();
        for name in names.into_iter().filter(|name| self.ahead.is_useful(name)) {
            let of: Vec<_> = wanted.iter().filter(|wanted| wanted.name == *name).collect();
            let [first, _, ..] = of[..] else { continue };
            let Some(data) = self.data_of(first).filter(|data| data.kind == ItemKind::Collection) else { continue };
            let is_listed = |wanted: &Wanted| wanted.identity.is_none() || wanted.identity == data.uuid;
            let mut asked: Vec<Asked> = Vec::new();
            for wanted in of.into_iter().filter(|wanted| is_listed(wanted)) {
                let (Some(ownership), Ok(Some(check))) = (wanted.records.ownership(), OwnerCheck::of(&wanted.records))
                else {
                    continue;
                };
                if check.parent().is_none() && asked.iter().all(|others| others.check.path() == check.path()) {
                    asked.push(Asked { ownership: ownership.clone(), check });
                }
            }
            let Some(one) = asked.first() else { continue };
            let facts = self.facts(first, data, Some(&one.check)).await?;
            match self.ahead.read(&self.access, &data.name, asked, facts.batch()).await {
                Ok(Some(shares)) => self.ahead.keep(name, shares),
                // It would be so the next time too.
                Ok(None) | Err(_) => self.ahead.leave(name),
            }
        }
        Ok(())
    }

    async fn facts(&self, wanted: &Wanted, data: &Listed, owner: Option<&OwnerCheck>) -> Result<Arc<Facts>> {
        let key = (wanted.name.clone(), owner.map(|owner| owner.field().to_owned()));
        if let Some(facts) = self.facts.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(facts));
        }
        let server = self.access.server;
        let indexes = metadata::indexes(server, &wanted.name).await?;
        // The names of what a snapshot is read of by UUID are looked at here, once, and not again for each tenant.
        if self.access.is_pinned() {
            self.require_same(wanted).await?;
        }
        let without_owner = match owner {
            Some(owner) => count_where(server, &data.name, owner.without_owner()).await?,
            None => 0,
        };
        let (count, bytes) = size(server, &data.name).await?;
        let average = bytes.checked_div(count).unwrap_or(0).max(16);
        let facts = Arc::new(Facts { indexes, average, without_owner });
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&facts));
        Ok(facts)
    }
}

impl Facts {
    /// Documents in one reply.
    fn batch(&self) -> u32 {
        u32::try_from((BATCH_BYTES / self.average).clamp(1, 100_000)).unwrap_or(1000)
    }
}

/// Documents that are nobody's, and the index that is missing.
fn coverage(wanted: &Wanted, owner: &OwnerCheck, facts: &Facts) -> Coverage {
    let field = owner.field();
    let count = facts.without_owner;
    let mut coverage = Coverage { without_owner: count, ..Coverage::default() };
    if count > 0 {
        coverage.remarks.push(format!(
            "{} in no tenant's backup",
            counted(
                count,
                &format!("document has no `{field}` and is"),
                &format!("documents have no `{field}` and are")
            )
        ));
    }
    coverage.index = missing_index(&wanted.name, field, &facts.indexes);
    if let Some(command) = &coverage.index {
        coverage.remarks.push(format!("`{field}` has no index, so every document is read: {command}"));
    }
    coverage
}

/// What makes the index on `field`, where none of `indexes` serves.
pub fn missing_index(collection: &str, field: &str, indexes: &[Document]) -> Option<String> {
    let serves = |index: &Document| {
        let first_key = index.get_document("key").ok().and_then(|key| key.keys().next());
        first_key.is_some_and(|key| key == field)
            && !index.contains_key("partialFilterExpression")
            && !index.get_bool("hidden").unwrap_or(false)
    };
    if indexes.iter().any(serves) {
        return None;
    }
    let name = collection.replace('\\', "\\\\").replace('"', "\\\"");
    Some(format!("db.getCollection(\"{name}\").createIndex({{ \"{field}\": 1 }})"))
}

impl View for MongoView<'_> {
    fn consistency(&self) -> ConsistencyStamp {
        self.stamp.clone()
    }

    fn read(&self, unit: &[Wanted], output: &dyn Output) -> Result<Vec<ReadCollection>> {
        unit.iter().map(|wanted| self.within_its_limit(&wanted.name, self.read_collection(wanted, output))).collect()
    }

    fn read_ahead(&self, wanted: &[Wanted]) {
        // What fails here fails again where it can be said whose it is.
        let _ = self.access.server.block(self.gather(wanted));
    }

    fn texts(&self, wanted: &Wanted, field: &str, each: &mut EachText<'_>) -> Result<()> {
        self.within_its_limit(&wanted.name, self.read_texts(wanted, field, each))
    }

    fn coverage(&self, wanted: &Wanted) -> Result<Option<Coverage>> {
        let Some(owner) = OwnerCheck::of(&wanted.records)? else { return Ok(None) };
        let Some(data) = self.data_of(wanted) else { return Ok(None) };
        let owner = match (wanted.kind, self.access.listed.get(&wanted.name)) {
            (ItemKind::TimeSeries, Some(listed)) => owner.within_buckets(&listed.name, &listed.options)?,
            _ => owner,
        };
        let facts = self.access.server.block(self.facts(wanted, data, Some(&owner)))?;
        Ok(Some(coverage(wanted, &owner, &facts)))
    }
}
