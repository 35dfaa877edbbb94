//! A database to experiment on, and an archive in memory, so that these tests know the engine alone.

use crate::support::mongod::{Mongod, fresh_database, wait};
use backup::config::{Consistency, Secret, Timeouts};
use backup::error::{Error, Kind, Result};
use backup::modules::Records;
use backup::pipeline::{Cancel, RecordBlock, RecordDigest};
use backup::source::mongodb::MongoDb;
use backup::source::{
    EntryName, Existing, Input, ItemKind, Level, Output, ReadCollection, RecordStream, Source, Staged,
    StoredCollection, StreamTotals, Switched, Target, View, Wanted,
};
use futures_util::StreamExt;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;

/// A fresh database on a server, removed at the end.
pub struct Lab {
    pub server: &'static Mongod,
    pub name: String,
}

impl Lab {
    pub fn replica_set() -> Self {
        Self { server: Mongod::replica_set(), name: fresh_database() }
    }

    pub fn standalone() -> Self {
        Self { server: Mongod::standalone(), name: fresh_database() }
    }

    pub fn run(&self, command: Document) -> Document {
        self.server.command(&self.name, command)
    }

    /// Inserts documents as the driver would.
    pub fn insert(&self, collection: &str, documents: &[Document]) {
        let collection = self.server.client().database(&self.name).collection::<Document>(collection);
        wait(collection.insert_many(documents).into_future()).unwrap();
    }

    /// Inserts `{_id, v}` for each number.
    pub fn insert_numbers(&self, collection: &str, numbers: std::ops::Range<i32>) {
        let padding = "x".repeat(1000);
        let documents: Vec<_> = numbers.map(|n| doc! {"_id": n, "v": &padding}).collect();
        self.insert(collection, &documents);
    }

    /// Inserts a document given as bytes, past the driver's own types.
    pub fn insert_raw(&self, collection: &str, document: &[u8]) {
        let mut array = vec![0x03, b'0', 0];
        array.extend_from_slice(document);
        let mut command = bson::serialize_to_vec(&doc! {"insert": collection}).unwrap();
        command.pop();
        command.extend_from_slice(b"\x04documents\0");
        command.extend_from_slice(&i32::try_from(array.len() + 5).unwrap().to_le_bytes());
        command.extend_from_slice(&array);
        command.extend_from_slice(&[0, 0]);
        let length = i32::try_from(command.len()).unwrap().to_le_bytes();
        command[..4].copy_from_slice(&length);
        let command = RawDocumentBuf::from_bytes(command).unwrap();
        let database = self.server.client().database(&self.name);
        let reply = wait(database.run_raw_command(command).into_future()).unwrap();
        assert!(!reply.contains_key("writeErrors"), "{reply}");
    }

    /// Every document of a collection as raw bytes, in the order of the bytes.
    pub fn raw(&self, collection: &str) -> Vec<Vec<u8>> {
        let database = self.server.client().database(&self.name);
        let command = doc! {"find": collection};
        let mut found = Vec::new();
        wait(async {
            let mut batches = database.run_cursor_command(command).batch().await.unwrap();
            while let Some(batch) = batches.next().await {
                let batch = batch.unwrap();
                for document in batch.doc_slices().unwrap() {
                    found.push(document.unwrap().as_document().unwrap().as_bytes().to_vec());
                }
            }
        });
        found.sort();
        found
    }

    /// Names of all collections, sorted.
    pub fn collections(&self) -> Vec<String> {
        self.first_batch(doc! {"listCollections": 1}).iter().map(|d| d.get_str("name").unwrap().to_owned()).collect()
    }

    /// What the server says of a collection, without its UUID.
    pub fn description(&self, collection: &str) -> Document {
        let mut found = self.first_batch(doc! {"listCollections": 1, "filter": {"name": collection}});
        let mut description = found.pop().unwrap_or_else(|| panic!("there is no {collection}"));
        description.get_document_mut("info").unwrap().remove("uuid");
        description
    }

    /// What makes a collection itself: a namesake has another.
    pub fn server_uuid(&self, collection: &str) -> String {
        let found = self.first_batch(doc! {"listCollections": 1, "filter": {"name": collection}});
        found[0].get_document("info").unwrap().get("uuid").unwrap().to_string()
    }

    /// Its indexes, as bytes: the order of keys and the types of numbers count.
    pub fn indexes(&self, collection: &str) -> Vec<Vec<u8>> {
        let mut indexes: Vec<_> = self
            .first_batch(doc! {"listIndexes": collection})
            .iter()
            .map(|index| bson::serialize_to_vec(index).unwrap())
            .collect();
        indexes.sort();
        indexes
    }

    fn first_batch(&self, command: Document) -> Vec<Document> {
        let reply = self.run(command);
        let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        let mut batch: Vec<_> = batch.iter().map(|d| d.as_document().unwrap().clone()).collect();
        batch.sort_by_key(|d| d.get_str("name").unwrap().to_owned());
        batch
    }

    pub fn open(&self) -> MongoDb {
        MongoDb::open("hrms", &Secret::new(self.server.uri()), &self.name, Timeouts::default(), Cancel::default())
            .unwrap()
    }

    /// What a plan over all records of `names` wants.
    pub fn wanted(&self, source: &MongoDb, names: &[&str]) -> Vec<Wanted> {
        let inventory = Source::inventory(source).unwrap();
        let want = |name: &&str| {
            let item = inventory.items.get(*name);
            Wanted {
                name: (*name).to_owned(),
                kind: item.map_or(ItemKind::Collection, |item| item.kind),
                identity: item.and_then(|item| item.identity.clone()),
                records: Records::All { shared: false },
            }
        };
        names.iter().map(want).collect()
    }

    /// Backs up whole collections.
    pub fn back_up(&self, names: &[&str]) -> (Memory, Vec<ReadCollection>) {
        let source = self.open();
        let wanted = self.wanted(&source, names);
        let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
        let memory = Memory::default();
        let read = read_all(view.as_ref(), &wanted, &memory).unwrap();
        (memory, read)
    }

    /// Restores what was backed up from `from` into this database.
    pub fn restore(&self, from: &Lab, memory: &Memory, read: &ReadCollection) -> Result<Switched> {
        self.restore_over(from, memory, read, Existing::Refuse)
    }

    /// Restores what was backed up from `from` into this database, over what is there.
    pub fn restore_over(&self, from: &Lab, memory: &Memory, read: &ReadCollection, how: Existing) -> Result<Switched> {
        let target = self.open();
        let staged = target.stage(&stored(from, read), memory, how, "test")?;
        Ok(target.switch(&[(&staged, memory)])?.remove(0))
    }

    pub fn stage(&self, target: &MongoDb, memory: &Memory, read: &ReadCollection) -> Result<Staged> {
        target.stage(&stored(self, read), memory, Existing::Refuse, "test")
    }

    /// Backs up `names`, restores them into a fresh database and proves them equal: documents, options, indexes.
    pub fn round_trip(&self, names: &[&str]) -> (Lab, Vec<Switched>) {
        let (memory, read) = self.back_up(names);
        let copy = Lab { server: self.server, name: fresh_database() };
        let mut switched = Vec::new();
        for read in &read {
            let name = &read.name;
            switched.push(copy.restore(self, &memory, read).unwrap_or_else(|e| panic!("{name}: {e:?}")));
            let (was, is) = (self.description(name), copy.description(name));
            assert_eq!(bson::serialize_to_vec(&was).unwrap(), bson::serialize_to_vec(&is).unwrap(), "{was} {is}");
            if was.get_str("type").unwrap() != "view" {
                assert_eq!(self.indexes(name), copy.indexes(name), "{name}");
            }
            assert!(self.raw(name) == copy.raw(name), "{name}: the documents differ");
        }
        assert_eq!(leftovers(&copy), Vec::<String>::new());
        (copy, switched)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.server.try_command(&self.name, doc! {"dropDatabase": 1});
    }
}

/// Staging collections that were left behind.
pub fn leftovers(lab: &Lab) -> Vec<String> {
    lab.collections().into_iter().filter(|name| name.starts_with("backup-restore")).collect()
}

pub fn stored(from: &Lab, read: &ReadCollection) -> StoredCollection {
    StoredCollection {
        name: read.name.clone(),
        directory: from.name.clone(),
        records: read.records,
        digest: read.digest,
        scope: Records::All { shared: false },
        renaming: None,
    }
}

pub fn read_all(view: &dyn View, wanted: &[Wanted], memory: &Memory) -> Result<Vec<ReadCollection>> {
    let mut all = Vec::new();
    for unit in view.units(wanted) {
        all.extend(view.read(&unit, memory)?);
    }
    Ok(all)
}

type Hook = Box<dyn FnMut() + Send>;

/// An archive in memory.
#[derive(Default)]
pub struct Memory {
    entries: Mutex<BTreeMap<EntryName, Vec<u8>>>,
    hook: Mutex<Option<Hook>>,
}

impl Memory {
    /// Calls `hook` once, when the first block of data comes: in the midst of reading.
    pub fn with_hook(hook: impl FnMut() + Send + 'static) -> Self {
        Self { entries: Mutex::default(), hook: Mutex::new(Some(Box::new(hook))) }
    }

    pub fn hook_ran(&self) -> bool {
        self.hook.lock().unwrap().is_none()
    }

    pub fn entry(&self, directory: &str, stem: &str, suffix: &str) -> Option<Vec<u8>> {
        self.entries.lock().unwrap().get(&EntryName::new(directory, stem, suffix)).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        self.entries.lock().unwrap().keys().map(|name| format!("{}{}", name.stem, name.suffix)).collect()
    }

    pub fn replace(&self, directory: &str, stem: &str, suffix: &str, body: Vec<u8>) {
        self.entries.lock().unwrap().insert(EntryName::new(directory, stem, suffix), body);
    }
}

struct MemoryStream<'m> {
    memory: &'m Memory,
    name: EntryName,
    body: Vec<u8>,
    totals: StreamTotals,
}

impl Output for Memory {
    fn path(&self, name: &EntryName) -> String {
        format!("{}/{}{}", name.directory, name.stem, name.suffix)
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn stream(&self, name: &EntryName) -> Result<Box<dyn RecordStream + '_>> {
        let totals = StreamTotals { records: 0, bytes: 0, digest: RecordDigest::default() };
        Ok(Box::new(MemoryStream { memory: self, name: name.clone(), body: Vec::new(), totals }))
    }

    fn document(&self, name: &EntryName, body: &[u8]) -> Result<()> {
        self.entries.lock().unwrap().insert(name.clone(), body.to_vec());
        Ok(())
    }

    fn sized(&self, _: &EntryName, _: u64, _: &mut dyn Read) -> Result<()> {
        panic!("the engine stores nothing of known size");
    }
}

impl RecordStream for MemoryStream<'_> {
    fn write(&mut self, block: RecordBlock) -> Result<()> {
        let hook = self.memory.hook.lock().unwrap().take();
        if let Some(mut hook) = hook {
            // On a thread of its own: this one drives the driver's runtime, which cannot be entered twice.
            std::thread::scope(|scope| scope.spawn(&mut hook).join().unwrap());
        }
        self.totals.records += block.records;
        self.totals.bytes += block.bytes.len() as u64;
        self.totals.digest.merge(block.digest);
        self.body.extend_from_slice(&block.bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<StreamTotals> {
        self.memory.entries.lock().unwrap().insert(self.name, self.body);
        Ok(self.totals)
    }
}

impl Input for Memory {
    fn is_sealed(&self) -> bool {
        false
    }

    fn identity(&self) -> String {
        format!("{:p}", self)
    }

    fn open(&self, name: &EntryName) -> Result<Box<dyn Read + Send + '_>> {
        let body = self.entries.lock().unwrap().get(name).cloned();
        let body = body.ok_or_else(|| Error::new(Kind::Damaged, format!("there is no {name:?}")))?;
        Ok(Box::new(std::io::Cursor::new(body)))
    }

    fn holding(&self, _: &str) -> Option<&dyn Input> {
        Some(self)
    }
}

/// The documents of a stored entry, in the order of their bytes.
pub fn documents(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !body.is_empty() {
        let length = usize::try_from(i32::from_le_bytes(body[..4].try_into().unwrap())).unwrap();
        found.push(body[..length].to_vec());
        body = &body[length..];
    }
    found.sort();
    found
}
