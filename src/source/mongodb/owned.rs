//! One tenant's documents of a collection, each checked again as it comes. Where documents do not name their owner, the
//! `_id`s of the parents that are the tenant's are read first, batch by batch, and the children of each batch asked for.

use super::access::{Access, Replies, each_document};
use super::filter::{OwnerCheck, Parent, Verdict};
use super::key::{Id, Key, id_of, key_of};
use super::raw;
use super::scope::{Archive, Scoped};
use crate::error::{Error, Kind, Result};
use bson::Document;
use std::collections::{HashSet, VecDeque};

/// Parents whose children are asked for at once: without an index on the foreign key the server looks at every child
/// each time.
const PARENTS: usize = 20_000;

/// Bytes of their `_id`s.
const PARENT_BYTES: usize = 2 << 20;

/// Keys in one reply of the server.
const KEYS: u32 = 10_000;

/// What of a collection is wanted.
pub struct Reading {
    /// The collection that holds the data.
    pub name: String,
    /// Its name for people.
    pub shown: String,
    /// Whose documents.
    pub check: OwnerCheck,
    /// Which parts of them.
    pub projection: Option<Document>,
    /// Documents in one reply.
    pub batch: u32,
}

/// A tenant's documents, as they come.
pub struct Owned<'a> {
    access: &'a Access<'a>,
    reading: Reading,
    replies: Option<Replies<'a>>,
    /// Of the parents that are being asked about.
    keys: HashSet<Key>,
    parents: Option<Box<Parents<'a>>>,
    began: bool,
}

impl<'a> Owned<'a> {
    /// Begins. With an `archive`, parents that are stored there and are not in the database count as the tenant's too: a
    /// restore puts children in place before them.
    pub fn new(access: &'a Access<'a>, reading: Reading, archive: Option<Archive<'a>>) -> Self {
        let parents = reading.check.parent().map(|parent| Box::new(Parents::new(access, parent, archive)));
        Self { access, reading, replies: None, keys: HashSet::new(), parents, began: false }
    }

    /// Calls `each` with the documents of one reply; false at the end.
    ///
    /// # Errors
    /// [`Kind::Source`] when the server answers with a document that is not the tenant's, and what `each` returns.
    pub async fn next(&mut self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        loop {
            if let Some(replies) = &mut self.replies {
                if let Some(reply) = replies.next().await? {
                    let (reading, keys, refusal) = (&self.reading, &self.keys, self.access.refusal);
                    each_document(&reply, |document| match reading.check.verdict(document, keys) {
                        Verdict::Own => each(document),
                        _ => Err(stranger(&reading.shown, &reading.check, document).kind(refusal)),
                    })?;
                    return Ok(true);
                }
                self.replies = None;
            }
            let ids = match &mut self.parents {
                None if self.began => return Ok(false),
                None => Vec::new(),
                Some(parents) => match Box::pin(parents.next()).await? {
                    ids if ids.is_empty() => return Ok(false),
                    ids => ids,
                },
            };
            self.began = true;
            self.keys = ids.iter().filter_map(|(kind, id)| key_of((*kind, id))).collect();
            let filter = self.reading.check.filter(ids.iter().map(|(kind, id)| (*kind, &id[..])))?;
            let Reading { name, projection, batch, .. } = &self.reading;
            self.replies = Some(self.access.find(name, &filter, projection.as_ref(), *batch, true).await?);
        }
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// As [`Owned::next`].
    pub async fn each(mut self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while self.next(&mut each).await? {}
        Ok(())
    }
}

/// The `_id`s of the parents that are a tenant's, a batch at a time.
pub struct Parents<'a> {
    access: &'a Access<'a>,
    parent: Parent,
    live: Option<Owned<'a>>,
    archive: Option<Archive<'a>>,
    stored: Option<Scoped<'a>>,
    waiting: VecDeque<Id>,
    bytes: usize,
}

impl<'a> Parents<'a> {
    /// Begins; `archive` as in [`Owned::new`].
    pub fn new(access: &'a Access<'a>, parent: &Parent, archive: Option<Archive<'a>>) -> Self {
        let reading = Reading {
            name: parent.collection.clone(),
            shown: parent.collection.clone(),
            check: parent.check.clone(),
            projection: Some(parent.check.projection()),
            batch: KEYS,
        };
        let live = Some(Owned::new(access, reading, archive.clone()));
        Self { access, parent: parent.clone(), live, archive, stored: None, waiting: VecDeque::new(), bytes: 0 }
    }

    /// The next batch; empty at the end.
    pub async fn next(&mut self) -> Result<Vec<Id>> {
        while self.waiting.len() < PARENTS && self.bytes < PARENT_BYTES && self.fill().await? {}
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < PARENTS && bytes < PARENT_BYTES {
            let Some(id) = self.waiting.pop_front() else { break };
            bytes += id.1.len();
            batch.push(id);
        }
        self.bytes -= bytes;
        Ok(batch)
    }

    /// Takes more of them; false when there are none.
    async fn fill(&mut self) -> Result<bool> {
        if let Some(live) = &mut self.live {
            let (waiting, bytes) = (&mut self.waiting, &mut self.bytes);
            let more = live.next(|document| {
                // Null is the key of no child: a child that has none would match it.
                let id = id_of(document)?.filter(|(kind, id)| key_of((*kind, id)).is_some());
                *bytes += id.as_ref().map_or(0, |(_, id)| id.len());
                waiting.extend(id);
                Ok(())
            });
            if more.await? {
                return Ok(true);
            }
            self.live = None;
            if let Some(archive) = &self.archive {
                self.stored = Some(archive.documents(&self.parent.collection, self.parent.check.clone())?);
            }
        }
        let Some(stored) = &mut self.stored else { return Ok(false) };
        let mut ids = Vec::new();
        while ids.len() < KEYS as usize && stored.advance()? {
            ids.extend(id_of(stored.current())?.filter(|(kind, id)| key_of((*kind, id)).is_some()));
        }
        if ids.is_empty() {
            return Ok(false);
        }
        let there = self.there(&ids).await?;
        for id in ids.into_iter().filter(|(kind, id)| key_of((*kind, id)).is_some_and(|key| !there.contains(&key))) {
            self.bytes += id.1.len();
            self.waiting.push_back(id);
        }
        Ok(true)
    }

    /// Those that are in the database: what is there says whose it is.
    async fn there(&self, ids: &[Id]) -> Result<HashSet<Key>> {
        let filter = raw::among("_id", ids.iter().map(|(kind, id)| (*kind, &id[..])))?;
        let projection = bson::doc! {"_id": 1};
        let mut replies = self.access.find(&self.parent.collection, &filter, Some(&projection), KEYS, false).await?;
        let mut there = HashSet::new();
        while let Some(reply) = replies.next().await? {
            each_document(&reply, |document| {
                there.extend(id_of(document)?.and_then(|(kind, id)| key_of((kind, &id))));
                Ok(())
            })?;
        }
        Ok(there)
    }
}

/// Names the document by the type of its `_id` alone: the value may be somebody's data.
fn stranger(name: &str, check: &OwnerCheck, document: &[u8]) -> Error {
    let field = check.field();
    let id = super::records::id_type(document).unwrap_or("missing");
    let what = match check.parent() {
        None => "is not exactly the tenant's id".to_owned(),
        Some(parent) => format!("is not exactly the _id of one of the tenant's {}", parent.collection),
    };
    let what = format!("the server answered with a document of {name} (its _id is {id}) whose `{field}` {what}");
    Error::new(Kind::Source, what).hint(format!(
        "a MongoDB equality also matches arrays, and what a collation makes equal: look for documents of {name} whose `{field}` is an array, is there twice or differs in case"
    ))
}
