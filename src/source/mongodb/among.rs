//! One tenant's documents, written among those of a collection that stays. Whose a document is, is asked before it is
//! touched, and the server is told to touch it only while that holds. A batch that was written twice has the effect of
//! one, so a dead run is simply run again.

use super::access::Access;
use super::filter::{OwnerCheck, Parent, Verdict, simple_collation};
use super::inventory::{data_name, size};
use super::key::{Id, Key, id_of, key_of};
use super::merge::{Batch, Written, check, each_batch, each_found, find};
use super::metadata::{Listed, Metadata};
use super::owned::{Owned, Reading};
use super::raw::{self, Builder};
use super::scope::{self, Archive, StoredParents};
use super::unique::Unique;
use super::writes::{BYTES, DELETE, DOCUMENTS, INSERT, UPDATE, Writes, overtaken};
use super::{MongoDb, errors, metadata};
use crate::error::{Error, Kind, Result};
use crate::source::{Changes, Existing, Input, StoredCollection, StreamTotals};
use bson::{Document, doc};
use std::collections::{HashMap, HashSet};
use std::io::Read;

/// Documents in one reply, where they are read whole.
const BATCH: u32 = 1000;

/// Keys of records that are named in a refusal.
const NAMED: usize = 5;

/// A live collection, one tenant's documents of which are restored.
pub struct Among<'a> {
    server: &'a MongoDb,
    access: Access<'a>,
    stored: &'a StoredCollection,
    /// The collection that holds the data.
    live: String,
    check: OwnerCheck,
    archive: Archive<'a>,
    parents: StoredParents<'a>,
    /// Text is not compared byte for byte there unless it is asked for.
    has_collation: bool,
}

/// Those of a batch that are there.
struct There {
    /// The tenant's, with the value by which they name it.
    own: HashMap<Key, Id>,
    /// Somebody else's.
    others: Vec<Id>,
}

impl<'a> Among<'a> {
    /// None where all documents are in scope, or there are none.
    ///
    /// # Errors
    /// [`Kind::Refused`] when a tenant's documents cannot be written there.
    pub fn of(
        server: &'a MongoDb,
        stored: &'a StoredCollection,
        metadata: &Metadata,
        live: &Listed,
        input: &'a dyn Input,
    ) -> Result<Option<Self>> {
        let (Some(check), Some(name)) = (scope::check(stored, metadata)?, data_name(&stored.name, live.kind)) else {
            return Ok(None);
        };
        if live.options.get_bool("capped").unwrap_or(false) {
            let what = format!("{} is capped there: a tenant's records would push out those of others", stored.name);
            return Err(Error::new(Kind::Refused, what).hint("restore the tenant beside it, with `--into SOURCE=URI`"));
        }
        let archive = Archive::of(stored, input);
        Ok(Some(Self {
            server,
            access: Access { refusal: Kind::Refused, ..Access::live(server) },
            stored,
            live: name,
            check,
            parents: StoredParents::new(archive.clone()),
            archive,
            has_collation: live.options.contains_key("collation"),
        }))
    }

    /// What restoring the documents of `body` would change; refused where a key is taken by somebody else's.
    pub fn compare(&self, body: &mut dyn Read, existing: Existing) -> Result<Changes> {
        let unique = self.unique()?;
        let (mut matched, mut taken, mut conflicts) = (0, Vec::new(), 0);
        each_batch(self.stored, body, |batch| {
            let there = self.look(batch)?;
            matched += there.own.len() as u64;
            let mut found = there.others;
            for unique in &unique {
                found.extend(self.taken(unique, batch, &there.own, existing)?);
            }
            conflicts += found.len();
            taken.extend(found);
            taken.truncate(NAMED);
            Ok(())
        })?;
        self.refuse(conflicts, &taken)?;
        Ok(Changes::of(existing, self.stored.records, matched, self.count()?))
    }

    /// Writes the documents of `body`. Those of the tenant that are not in `staging` go first, where the scope is replaced:
    /// what is stored may need their unique keys.
    ///
    /// # Errors
    /// [`Kind::TargetChanged`] when it failed after changing something.
    pub fn write(&self, body: &mut dyn Read, staging: Option<&str>, existing: Existing) -> Result<Written> {
        let together = self.fits_a_transaction(staging)?;
        let mut writes = Writes::new(self.server, &self.live, &self.stored.name, together);
        let written = self.write_all(body, staging, existing, &mut writes);
        written.map_err(|error| if writes.touched() { error.kind(Kind::TargetChanged) } else { error })
    }

    fn write_all(
        &self,
        body: &mut dyn Read,
        staging: Option<&str>,
        existing: Existing,
        writes: &mut Writes<'_>,
    ) -> Result<Written> {
        let mut written = Written { verified: true, ..Written::default() };
        // In a transaction few are written, and nothing is there to be read back before its end.
        let mut unread = Vec::new();
        if let (Existing::Replace, Some(staging)) = (existing, staging) {
            written.changes.deleted = self.delete_others(staging, writes)?;
        }
        each_batch(self.stored, body, |batch| {
            let there = self.look(batch)?;
            self.refuse(there.others.len(), &there.others)?;
            let (known, new) = batch.split(|id| there.own.contains_key(&key_of_id(id)));
            self.add(&new, writes)?;
            written.changes.created += new.ids.len() as u64;
            let mut done = vec![new];
            if existing != Existing::Add {
                self.overwrite(&known, &there.own, writes)?;
                written.changes.overwritten += known.ids.len() as u64;
                done.push(known);
            }
            if writes.are_together() {
                unread.extend(done);
                return Ok(());
            }
            done.iter().try_for_each(|done| check(self.server, &self.live, self.stored, done, &mut written))
        })?;
        writes.commit()?;
        unread.iter().try_for_each(|done| check(self.server, &self.live, self.stored, done, &mut written))?;
        if existing == Existing::Replace {
            let found = self.digest()?;
            written.verified &= found.records == self.stored.records && found.digest == self.stored.digest;
        }
        Ok(written)
    }

    /// Whether few enough documents are concerned for one transaction, and the server has such. Buckets are no documents
    /// that a transaction may write.
    fn fits_a_transaction(&self, staging: Option<&str>) -> Result<bool> {
        let Some(staging) = staging.filter(|_| self.live == self.stored.name) else { return Ok(false) };
        let hello = self.server.block(async {
            let answer = self.server.command(doc! {"hello": 1}).await;
            answer.map_err(|e| errors::collection(&e, "ask for the kind of server of", &self.stored.name))
        })?;
        if !hello.contains_key("setName") {
            return Ok(false);
        }
        let (_, bytes) = self.server.block(size(self.server, staging))?;
        Ok(self.stored.records < DOCUMENTS && bytes < BYTES && self.count()? < DOCUMENTS)
    }

    /// Counts the tenant's documents that are there.
    fn count(&self) -> Result<u64> {
        let mut count = 0;
        self.server.block(self.owned(true).each(|_| {
            count += 1;
            Ok(())
        }))?;
        Ok(count)
    }

    /// Counts and digests the tenant's documents that are there.
    fn digest(&self) -> Result<StreamTotals> {
        let mut totals = StreamTotals::default();
        self.server.block(self.owned(false).each(|document| {
            totals.records += 1;
            totals.bytes += document.len() as u64;
            totals.digest.add(document);
            Ok(())
        }))?;
        Ok(totals)
    }

    /// The tenant's documents that are there, whole or as far as their keys and owners go.
    fn owned(&self, keys_alone: bool) -> Owned<'_> {
        let reading = Reading {
            name: self.live.clone(),
            shown: self.stored.name.clone(),
            check: self.check.clone(),
            projection: keys_alone.then(|| self.check.projection()),
            batch: BATCH,
        };
        Owned::new(&self.access, reading, Some(self.archive.clone()))
    }

    /// Which of a batch's keys are there, and whose.
    fn look(&self, batch: &Batch) -> Result<There> {
        let found = self.found(&self.live, &batch.ids, &self.check)?;
        let wanted: HashSet<Key> = batch.ids.iter().map(key_of_id).collect();
        let verdicts = self.verdicts(&self.check, &found)?;
        let mut there = There { own: HashMap::new(), others: Vec::new() };
        for (document, verdict) in found.iter().zip(verdicts) {
            let Some(id) = id_of(document)? else { continue };
            let key = key_of_id(&id);
            match self.check.value_of(document).filter(|_| verdict == Verdict::Own && wanted.contains(&key)) {
                Some(value) => drop(there.own.insert(key, value)),
                None => there.others.push(id),
            }
        }
        Ok(there)
    }

    fn found(&self, name: &str, ids: &[Id], check: &OwnerCheck) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        each_found(self.server, name, ids, check.projection(), name, |document| {
            found.push(document.to_vec());
            Ok(())
        })?;
        Ok(found)
    }

    /// Whose documents are that are there.
    fn verdicts(&self, check: &OwnerCheck, documents: &[Vec<u8>]) -> Result<Vec<Verdict>> {
        let keys = match check.parent() {
            Some(parent) => self.own_parents(check, parent, documents)?,
            None => HashSet::new(),
        };
        Ok(documents.iter().map(|document| check.verdict(document, &keys)).collect())
    }

    /// The keys of those documents' parents that are the tenant's. What is there says whose it is; a parent that is not
    /// there is the tenant's if it is stored as such.
    fn own_parents(&self, check: &OwnerCheck, parent: &Parent, documents: &[Vec<u8>]) -> Result<HashSet<Key>> {
        let named: HashMap<Key, Id> =
            documents.iter().filter_map(|document| check.value_of(document)).map(|id| (key_of_id(&id), id)).collect();
        let ids: Vec<Id> = named.values().cloned().collect();
        let found = self.found(&parent.collection, &ids, &parent.check)?;
        let verdicts = self.verdicts(&parent.check, &found)?;
        let (mut own, mut absent): (HashSet<Key>, HashSet<Key>) = (HashSet::new(), named.into_keys().collect());
        for (document, verdict) in found.iter().zip(verdicts) {
            let Some(key) = id_of(document)?.map(|id| key_of_id(&id)) else { continue };
            absent.remove(&key);
            own.extend((verdict == Verdict::Own).then_some(key));
        }
        if !absent.is_empty() {
            own.extend(self.parents.among(&parent.collection, &parent.check, &absent)?);
        }
        Ok(own)
    }

    fn unique(&self) -> Result<Vec<Unique>> {
        let indexes = self.server.block(metadata::indexes(self.server, &self.live))?;
        Ok(indexes.iter().filter_map(Unique::of).collect())
    }

    /// Documents that are there and have what a unique index allows once, under another `_id` than a stored one has it.
    fn taken(&self, unique: &Unique, batch: &Batch, own: &HashMap<Key, Id>, existing: Existing) -> Result<Vec<Id>> {
        let comes = |id: &Id| existing != Existing::Add || !own.contains_key(&key_of_id(id));
        let found = unique.taken(self.server, &self.live, &self.stored.name, &batch.only(comes))?;
        let verdicts = self.verdicts(&self.check, &found)?;
        let stays = |verdict: Verdict| verdict != Verdict::Own || existing != Existing::Replace;
        let staying = found.iter().zip(verdicts).filter(|(_, verdict)| stays(*verdict));
        let ids = staying.filter_map(|(document, _)| id_of(document).transpose());
        ids.collect()
    }

    fn refuse(&self, conflicts: usize, taken: &[Id]) -> Result<()> {
        if conflicts == 0 {
            return Ok(());
        }
        let keys: Vec<_> = taken.iter().take(NAMED).map(raw::show).collect();
        let more = if conflicts > keys.len() { ", …" } else { "" };
        let what = format!(
            "{}: {conflicts} records that are there stand in the way of the tenant's: they are not the tenant's, or have a unique value under another _id",
            self.stored.name
        );
        let cause = format!("the records with _id {}{more}", keys.join(", "));
        Err(Error::new(Kind::Refused, what)
            .cause(cause)
            .hint("nobody else's record is ever overwritten; look at whose they are, or restore the tenant beside with `--into SOURCE=URI`"))
    }

    /// Inserts documents whose `_id` was free a moment ago. One that has come since is an error: it may be anybody's.
    fn add(&self, batch: &Batch, writes: &mut Writes<'_>) -> Result<()> {
        let mut documents = Builder::default();
        batch.documents.iter().for_each(|document| documents.push(raw::DOCUMENT, document));
        writes.send(INSERT, documents).map(drop)
    }

    /// Puts documents in the place of the tenant's with their `_id`.
    fn overwrite(&self, batch: &Batch, own: &HashMap<Key, Id>, writes: &mut Writes<'_>) -> Result<()> {
        let mut updates = Builder::default();
        for (document, id) in batch.documents.iter().zip(&batch.ids) {
            let Some(value) = own.get(&key_of_id(id)) else { continue };
            let mut statement = self.statement(doc! {"multi": false, "upsert": false}, id, value)?;
            statement.put("u", raw::DOCUMENT, document);
            updates.push(raw::DOCUMENT, &statement.finish()?);
        }
        let asked = updates.len() as u64;
        match writes.send(UPDATE, updates)? {
            changed if changed == asked => Ok(()),
            changed => Err(overtaken(&self.stored.name, asked.saturating_sub(changed))),
        }
    }

    /// Deletes the tenant's documents that are not in `staging`; returns how many.
    fn delete_others(&self, staging: &str, writes: &mut Writes<'_>) -> Result<u64> {
        let (mut deleted, mut owned) = (0, self.owned(true));
        loop {
            let mut there = Vec::new();
            let more = self.server.block(owned.next(|document| {
                there.extend(id_of(document)?.zip(self.check.value_of(document)));
                Ok(())
            }))?;
            if !more {
                return Ok(deleted);
            }
            let ids: Vec<Id> = there.iter().map(|(id, _)| id.clone()).collect();
            let kept = find(self.server, staging, &ids, &self.stored.name)?;
            let kept: HashSet<Key> = kept.iter().map(key_of_id).collect();
            let mut deletes = Builder::default();
            for (id, value) in there.iter().filter(|(id, _)| !kept.contains(&key_of_id(id))) {
                deletes.push(raw::DOCUMENT, &self.statement(doc! {"limit": 1}, id, value)?.finish()?);
            }
            deleted += writes.send(DELETE, deletes)?;
        }
    }

    /// A statement about one document, for as long as it names its owner by `value`.
    fn statement(&self, mut head: Document, (kind, id): &Id, value: &Id) -> Result<Builder> {
        if self.has_collation {
            head.insert("collation", simple_collation());
        }
        let mut filter = Builder::default();
        filter.put("_id", *kind, id);
        let path = self.check.path();
        if path != "_id" && !path.starts_with("_id.") {
            let mut owned = Builder::of(&doc! {"$not": {"$type": "array"}})?;
            owned.put("$eq", value.0, &value.1);
            filter.put(path, raw::DOCUMENT, &owned.finish()?);
        }
        let mut statement = Builder::of(&head)?;
        statement.put("q", raw::DOCUMENT, &filter.finish()?);
        Ok(statement)
    }
}

/// Of an `_id`, which may be null.
fn key_of_id((kind, id): &Id) -> Key {
    key_of((*kind, id)).unwrap_or_default()
}
