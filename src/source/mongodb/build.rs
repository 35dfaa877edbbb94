//! Builds a collection: creates it, loads it, indexes it, and compares what the server holds of it with what is stored.

use super::inventory::data_name;
use super::load::{digest, load};
use super::metadata::Metadata;
use super::{MongoDb, errors};
use crate::error::{Error, Kind, Result, counted};
use crate::source::{EntryName, StoredCollection, StreamTotals};
use bson::{Document, doc};

/// Makes documents expire: of an index, and of a time-series or clustered collection.
const EXPIRY: &str = "expireAfterSeconds";

/// The server's code when a collection of that name is there already.
pub const NAMESPACE_EXISTS: i32 = 48;

/// What a warning about altered documents names.
pub const ALTERED: &str = "Timestamp(0,0)";

pub fn altered(count: u64) -> String {
    let documents = counted(count, "document has", "documents have");
    format!("{documents} a {ALTERED} at the top level, which the server replaces by the time of insertion")
}

pub fn entry(stored: &StoredCollection, stem: &str, suffix: &str) -> EntryName {
    EntryName::new(&stored.directory, stem, suffix)
}

pub fn data_entry(stored: &StoredCollection, metadata: &Metadata) -> Option<EntryName> {
    data_name(&stored.name, metadata.kind).map(|stem| entry(stored, &stem, ".bson"))
}

pub fn stored_error(stored: &StoredCollection, error: std::io::Error) -> Error {
    Error::unreadable(error, format!("the stored {} cannot be read", stored.name))
}

pub fn compare(stored: &StoredCollection, found: StreamTotals) -> Result<()> {
    if found.records == stored.records && found.digest == stored.digest {
        return Ok(());
    }
    let what = format!(
        "{}: {} records were stored, {} were found, or they differ",
        stored.name, stored.records, found.records
    );
    Err(Error::new(Kind::Damaged, what))
}

/// Makes an empty collection with all options but those that make documents expire.
pub fn create(server: &MongoDb, name: &str, stored: &StoredCollection, metadata: &Metadata) -> Result<()> {
    let mut create = doc! {"create": name};
    create.extend(metadata.options.iter().filter(|(key, _)| *key != EXPIRY).map(|(k, v)| (k.clone(), v.clone())));
    server.to_the_end(async {
        match server.command(create).await {
            Ok(_) => Ok(()),
            Err(e) if errors::code(&e) == Some(NAMESPACE_EXISTS) => Err(was_filled(&stored.name)),
            Err(e) => Err(errors::collection(&e, "create", &stored.name)),
        }
    })
}

/// Loads documents and indexes (all but TTL), then compares what the server holds.
pub fn fill(
    server: &MongoDb,
    name: &str,
    stored: &StoredCollection,
    metadata: &Metadata,
    body: Option<Box<dyn std::io::Read + Send + '_>>,
) -> Result<Vec<String>> {
    let (Some(mut body), Some(holder)) = (body, data_name(name, metadata.kind)) else {
        return Ok(Vec::new());
    };
    let loaded = load(server, &holder, stored, &mut body)?;
    compare(stored, loaded.totals)?;
    let indexes = metadata.indexes.iter().filter(|index| !is_ttl(index)).cloned().collect();
    create_indexes(server, name, &stored.name, indexes)?;
    let found = server.block(digest(server, &holder))?;
    if loaded.altered == 0 {
        compare(stored, found)
            .map_err(|e| e.kind(Kind::Source).context("the server holds something else than was sent"))?;
        return Ok(Vec::new());
    }
    if found.records != stored.records {
        return Err(Error::new(Kind::Source, format!("{}: the server lost records", stored.name)));
    }
    Ok(vec![altered(loaded.altered)])
}

/// The index on `_id`, and the key of a clustered collection, come with the collection.
fn is_made_with_the_collection(index: &Document) -> bool {
    index.get_str("name").is_ok_and(|name| name == "_id_") || index.get_bool("clustered").unwrap_or(false)
}

fn is_ttl(index: &Document) -> bool {
    index.contains_key(EXPIRY) && !is_made_with_the_collection(index)
}

fn create_indexes(server: &MongoDb, name: &str, shown: &str, indexes: Vec<Document>) -> Result<()> {
    let wanted: Vec<_> = indexes.into_iter().filter(|index| !is_made_with_the_collection(index)).map(spec).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let command = doc! {"createIndexes": name, "indexes": wanted};
    // Given up while it is on its way, it could arrive behind the drop of its collection, and make that anew.
    server.to_the_end(async {
        server.long_command(command).await.map_err(|e| errors::collection(&e, "build the indexes of", shown))
    })?;
    Ok(())
}

/// An index as `createIndexes` takes it: without the namespace that old servers wrote into it.
fn spec(mut index: Document) -> Document {
    index.remove("ns");
    index
}

/// TTL indexes, and the expiry of time-series and clustered collections, come last, in the collection's place: from
/// then on the server removes what has expired. Returns what the operator should know.
pub fn start_expiry(server: &MongoDb, name: &str, metadata: &Metadata) -> Result<Option<String>> {
    let indexes: Vec<_> = metadata.indexes.iter().filter(|index| is_ttl(index)).cloned().collect();
    let expiry = metadata.options.get(EXPIRY);
    if indexes.is_empty() && expiry.is_none() {
        return Ok(None);
    }
    create_indexes(server, name, name, indexes)?;
    if let Some(seconds) = expiry {
        let command = doc! {"collMod": name, EXPIRY: seconds.clone()};
        server.block(async {
            server.command(command).await.map_err(|e| errors::collection(&e, "set the expiry of", name))
        })?;
    }
    Ok(Some(format!("{name} has a TTL: the server will now remove the records that have expired")))
}

pub async fn drop_collection(server: &MongoDb, name: &str) -> Result<()> {
    match server.command(doc! {"drop": name}).await {
        Ok(_) => Ok(()),
        Err(e) if errors::code(&e) == Some(26) => Ok(()),
        Err(e) => Err(errors::collection(&e, "drop", name)),
    }
}

pub fn was_filled(name: &str) -> Error {
    Error::new(Kind::Refused, format!("{name} holds data: it was filled while the restore was under way"))
}
