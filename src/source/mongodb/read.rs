//! Reads collections of a view, as raw batches.

use super::access::each_document;
use super::facts::coverage;
use super::filter::OwnerCheck;
use super::inventory::data_name;
use super::metadata::{self, Listed};
use super::owned::{Owned, Reading};
use super::view::MongoView;
use super::{errors, raw, texts};
use crate::error::{Error, Kind, Result};
use crate::pipeline::{BlockBuilder, RecordBlock};
use crate::source::{EachText, EntryName, ItemKind, Output, ReadCollection, RecordStream, StreamTotals, Wanted};
use bson::doc;

/// Documents in one reply, where a field of each is asked for.
const TEXTS: u32 = 5_000;

impl MongoView<'_> {
    pub(super) async fn read_collection(&self, wanted: &Wanted, output: &dyn Output) -> Result<ReadCollection> {
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
    pub(super) fn within_its_limit<T>(&self, name: &str, reading: impl Future<Output = Result<T>>) -> Result<T> {
        let server = self.access.server;
        server.block(async {
            let patience = server.patience.for_one_collection();
            let read = patience.within(async { Ok(reading.await) }).await;
            read.map_err(|e| errors::collection(&e, "read", name))?
        })
    }

    /// The texts that a field holds. Of a document no more than that, and what says whose it is, is asked for.
    pub(super) async fn read_texts(&self, wanted: &Wanted, field: &str, each: &mut EachText<'_>) -> Result<()> {
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
    pub(super) async fn require_same(&self, wanted: &Wanted) -> Result<()> {
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
}
