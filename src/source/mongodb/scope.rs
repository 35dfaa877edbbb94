//! One tenant's records, among those that are stored: cut out as they are read. Where documents do not name their owner,
//! the keys of the parents that are the tenant's are held, as many as memory allows; for each lot of them the
//! children are read once.

use super::build::data_entry;
use super::filter::{OwnerCheck, Verdict};
use super::key::{Key, id_of, key_of};
use super::metadata::Metadata;
use super::records::{Documents, digest_records, id_type};
use super::rename::Renamer;
use super::restore::stored_metadata;
use super::texts::of_document;
use crate::error::{Context, Error, Kind, Result};
use crate::modules::Records;
use crate::source::{EachText, EntryName, Input, ItemKind, Renaming, StoredCollection, Stream, StreamTotals};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::io::Read;

/// Keys of parents that are held at once: some 32 MB. Few in this file's tests.
const KEYS: usize = if cfg!(test) { 3 } else { 1_000_000 };

/// See [`crate::source::scope_totals`].
pub fn scope_totals(stored: &StoredCollection, input: &dyn Input) -> Result<StreamTotals> {
    let (metadata, _) = stored_metadata(stored, input)?;
    match open(stored, &metadata, input)? {
        Some(mut body) => digest_records(&mut body),
        None => Ok(StreamTotals::default()),
    }
}

/// See [`crate::source::scoped`].
pub fn scoped<'a>(stored: &StoredCollection, input: &'a dyn Input) -> Result<Option<Stream<'a>>> {
    let (metadata, _) = stored_metadata(stored, input)?;
    let Some(name) = data_entry(stored, &metadata) else { return Ok(None) };
    Ok(open(stored, &metadata, input)?.map(|body| (name, body)))
}

/// See [`crate::source::stored_texts`].
pub fn stored_texts(stored: &StoredCollection, input: &dyn Input, field: &str, each: &mut EachText<'_>) -> Result<()> {
    let (metadata, _) = stored_metadata(stored, input)?;
    if metadata.kind == ItemKind::TimeSeries {
        let what = format!("{} is a time series: which files its stored buckets name cannot be told", stored.name);
        return Err(Error::new(Kind::Refused, what).hint("take the files from a backup of the tenant's own"));
    }
    let path: Vec<&[u8]> = field.split('.').map(str::as_bytes).collect();
    let Some(body) = open(stored, &metadata, input)? else { return Ok(()) };
    let mut documents = Documents::new(body);
    while let Some(document) = documents.next()? {
        of_document(document, &path, each)?;
    }
    Ok(())
}

/// The check of a collection that is stored, or there; none where all its documents are in scope.
pub fn check(stored: &StoredCollection, metadata: &Metadata) -> Result<Option<OwnerCheck>> {
    check_of(&stored.scope, stored, metadata)
}

fn check_of(records: &Records, stored: &StoredCollection, metadata: &Metadata) -> Result<Option<OwnerCheck>> {
    OwnerCheck::of(records)?.map(|check| placed(check, stored, metadata)).transpose()
}

/// The check as it is done on documents that are stored so.
fn placed(check: OwnerCheck, stored: &StoredCollection, metadata: &Metadata) -> Result<OwnerCheck> {
    match metadata.kind {
        ItemKind::TimeSeries => {
            check.within_buckets(&stored.name, &metadata.options).map_err(|e| e.kind(Kind::Refused))
        }
        _ => Ok(check),
    }
}

/// The stored documents that a restore is about; none where the collection has no documents.
pub fn open<'a>(
    stored: &StoredCollection,
    metadata: &Metadata,
    input: &'a dyn Input,
) -> Result<Option<Box<dyn Read + Send + 'a>>> {
    let Some(data) = data_entry(stored, metadata) else { return Ok(None) };
    let check = check_of(&stored.stored_scope(), stored, metadata)?;
    let renamer = stored.renaming.as_ref().map(|renaming| Renamer::of(renaming, |c| placed(c, stored, metadata)));
    let renamer = renamer.transpose()?.flatten();
    Ok(Some(match check.is_none() && renamer.is_none() {
        true => input.open(&data)?,
        false => {
            let archive = Archive::of(stored, input).as_stored();
            Box::new(Scoped::new(archive, input, (&stored.name, data.stem), check, renamer)?)
        }
    }))
}

/// What a backup holds of a source.
#[derive(Clone)]
pub struct Archive<'a> {
    directory: String,
    input: &'a dyn Input,
    renaming: Option<Renaming>,
}

impl<'a> Archive<'a> {
    /// The backup that holds `stored`.
    pub fn of(stored: &StoredCollection, input: &'a dyn Input) -> Self {
        Self { directory: stored.directory.clone(), input, renaming: stored.renaming.clone() }
    }

    /// With every document as it is stored.
    fn as_stored(&self) -> Self {
        Self { renaming: None, ..self.clone() }
    }

    /// The stored documents of a collection that are the tenant's, or become so.
    pub fn documents(&self, collection: &str, check: OwnerCheck) -> Result<Scoped<'a>> {
        let input = self.input.holding(collection).ok_or_else(|| {
            let what = format!("the backup holds no {collection}, which says whose records are");
            Error::new(Kind::Refused, what).hint("choose a backup that holds both, of the same moment")
        })?;
        let renaming = self.renaming.as_ref().and_then(|renaming| renaming.of_parent(collection));
        let (check, renamer) = match renaming {
            Some(renaming) => (OwnerCheck::of(&renaming.stored())?, Renamer::of(&renaming, Ok)?),
            None => (Some(check), None),
        };
        Scoped::new(self.as_stored(), input, (collection, collection.to_owned()), check, renamer)
    }
}

/// A tenant's stored documents, one after the other. As bytes it is a stream of documents like the one it is cut from.
pub struct Scoped<'a> {
    archive: Archive<'a>,
    input: &'a dyn Input,
    name: String,
    stem: String,
    /// None where all are.
    check: Option<OwnerCheck>,
    renamer: Option<Renamer>,
    parents: Option<Box<Scoped<'a>>>,
    keys: HashSet<Key>,
    documents: Option<Documents<Box<dyn Read + Send + 'a>>>,
    began: bool,
    current: Vec<u8>,
    /// Bytes of the current document that were read as a stream.
    read: usize,
}

impl<'a> Scoped<'a> {
    fn new(
        archive: Archive<'a>,
        input: &'a dyn Input,
        (name, stem): (&str, String),
        check: Option<OwnerCheck>,
        renamer: Option<Renamer>,
    ) -> Result<Self> {
        let parents = match check.as_ref().and_then(OwnerCheck::parent) {
            Some(parent) => Some(Box::new(archive.documents(&parent.collection, parent.check.clone())?)),
            None => None,
        };
        Ok(Self {
            archive,
            input,
            name: name.to_owned(),
            stem,
            check,
            renamer,
            parents,
            keys: HashSet::new(),
            documents: None,
            began: false,
            current: Vec::new(),
            read: 0,
        })
    }

    /// The document it stands at.
    pub fn current(&self) -> &[u8] {
        &self.current
    }

    /// Goes on to the next document; false at the end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when what is stored is, and [`Kind::Refused`] when it cannot be told whose a document is.
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            let Some(documents) = &mut self.documents else {
                if !self.begin()? {
                    return Ok(false);
                }
                continue;
            };
            let Some(document) = documents.next()? else {
                self.documents = None;
                continue;
            };
            if let Some(check) = &self.check {
                match check.verdict(document, &self.keys) {
                    Verdict::Others => continue,
                    Verdict::Unclear => return Err(unclear(&self.name, check, document)),
                    Verdict::Own => {}
                }
            }
            self.current.clear();
            self.read = 0;
            match &self.renamer {
                Some(renamer) => {
                    self.current.extend_from_slice(&renamer.rename(document).context(|| self.name.clone())?)
                }
                None => self.current.extend_from_slice(document),
            }
            return Ok(true);
        }
    }

    /// Opens the entry: once, or for the next lot of parents.
    fn begin(&mut self) -> Result<bool> {
        match &mut self.parents {
            None if self.began => return Ok(false),
            None => {}
            Some(parents) => {
                self.keys.clear();
                while self.keys.len() < KEYS && parents.advance()? {
                    self.keys.extend(id_of(parents.current())?.and_then(|(kind, id)| key_of((kind, &id))));
                }
                if self.keys.is_empty() {
                    return Ok(false);
                }
            }
        }
        self.began = true;
        let name = EntryName::new(&self.archive.directory, &self.stem, ".bson");
        self.documents = Some(Documents::new(self.input.open(&name)?));
        Ok(true)
    }
}

impl Read for Scoped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.current.len() && !self.advance().map_err(std::io::Error::other)? {
            return Ok(0);
        }
        let rest = &self.current[self.read..];
        let size = rest.len().min(buffer.len());
        buffer[..size].copy_from_slice(&rest[..size]);
        self.read += size;
        Ok(size)
    }
}

/// The stored parents of a tenant, asked for by their keys. Held in memory where they are few enough.
pub struct StoredParents<'a> {
    archive: Archive<'a>,
    held: RefCell<BTreeMap<String, Option<HashSet<Key>>>>,
}

impl<'a> StoredParents<'a> {
    pub fn new(archive: Archive<'a>) -> Self {
        Self { archive, held: RefCell::default() }
    }

    /// Those of `wanted` that are stored as the tenant's.
    pub fn among(&self, collection: &str, check: &OwnerCheck, wanted: &HashSet<Key>) -> Result<HashSet<Key>> {
        if let Some(Some(held)) = self.held.borrow().get(collection) {
            return Ok(held.intersection(wanted).copied().collect());
        }
        let (mut found, mut all) = (HashSet::new(), Some(HashSet::new()));
        let mut stored = self.archive.documents(collection, check.clone())?;
        while stored.advance()? {
            let Some(key) = id_of(stored.current())?.and_then(|(kind, id)| key_of((kind, &id))) else { continue };
            found.extend(wanted.contains(&key).then_some(key));
            all = all.filter(|all: &HashSet<Key>| all.len() < KEYS);
            if let Some(all) = &mut all {
                all.insert(key);
            }
        }
        self.held.borrow_mut().insert(collection.to_owned(), all);
        Ok(found)
    }
}

/// Names the document by the type of its `_id` alone: the value may be somebody's data.
fn unclear(name: &str, check: &OwnerCheck, document: &[u8]) -> Error {
    let (id, field) = (id_type(document).unwrap_or("missing"), check.field());
    let what = format!(
        "a stored document of {name} (its _id is {id}) has several owners: its `{field}` is an array, or there twice"
    );
    Error::new(Kind::Refused, what)
        .hint("it cannot be told whose it is: restore all of the collection beside the live one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IdType;
    use crate::modules::{Hop, Ownership, Records};
    use bson::{Document, doc};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// `policies` and `members` of one database; counts how often members are read.
    struct Two {
        policies: Vec<u8>,
        members: Vec<u8>,
        readings: AtomicUsize,
    }

    impl Input for Two {
        fn identity(&self) -> String {
            "two".into()
        }

        fn is_sealed(&self) -> bool {
            false
        }

        fn open(&self, name: &EntryName) -> Result<Box<dyn Read + Send + '_>> {
            if name.stem == "policies" {
                return Ok(Box::new(&self.policies[..]));
            }
            self.readings.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(&self.members[..]))
        }

        fn holding(&self, collection: &str) -> Option<&dyn Input> {
            (collection != "gone").then_some(self)
        }
    }

    fn bytes(documents: impl Iterator<Item = Document>) -> Vec<u8> {
        documents.flat_map(|document| bson::serialize_to_vec(&document).unwrap()).collect()
    }

    fn check(parent: &str) -> OwnerCheck {
        let via = vec![Hop { foreign_key: "p".into(), parent: parent.into() }];
        let owned = Ownership { tenant: "acme".into(), id_type: IdType::String, via, field: "t".into() };
        OwnerCheck::of(&Records::Owned(owned)).unwrap().unwrap()
    }

    fn archive(two: &Two) -> Archive<'_> {
        Archive { directory: "d".into(), input: two, renaming: None }
    }

    #[test]
    fn more_parents_than_are_held_are_taken_in_lots_and_each_child_comes_once() {
        let tenant = |n: i32| if n % 3 == 0 { "birch" } else { "acme" };
        let two = Two {
            policies: bytes((0..15).map(|n| doc! {"_id": n, "t": tenant(n)})),
            members: bytes((0..60).map(|n| doc! {"_id": n, "p": n % 20})),
            readings: AtomicUsize::new(0),
        };
        let mut members = archive(&two).documents("members", check("policies")).unwrap();
        let mut found = Vec::new();
        while members.advance().unwrap() {
            let member: Document = bson::deserialize_from_slice(members.current()).unwrap();
            found.push(member.get_i32("_id").unwrap());
        }
        found.sort_unstable();
        let expected: Vec<_> = (0..60).filter(|n| n % 20 < 15 && n % 20 % 3 != 0).collect();
        assert_eq!(found, expected);
        assert_eq!(two.readings.load(Ordering::Relaxed), 4);
        // Asked for by key, they are found though not all are held.
        let parent = check("policies").parent().unwrap().check.clone();
        let parents = StoredParents::new(archive(&two));
        let keys = |ids: &[i32]| ids.iter().map(|id| super::super::raw::key(&(*id).into()).unwrap()).collect();
        for _ in 0..2 {
            let among = parents.among("policies", &parent, &keys(&[1, 3, 14, 99])).unwrap();
            assert_eq!(among, keys(&[1, 14]));
        }
    }

    #[test]
    fn a_backup_without_the_parents_cannot_tell_whose_the_children_are() {
        let two = Two { policies: Vec::new(), members: Vec::new(), readings: AtomicUsize::new(0) };
        let refused = archive(&two).documents("members", check("gone")).err().unwrap();
        assert_eq!(refused.kind, Kind::Refused);
        assert!(refused.message.contains("gone"));
    }
}
