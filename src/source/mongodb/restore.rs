//! Restores a collection: into a staging collection beside the live one, with indexes, counted and digested as the
//! server has it, then renamed into place. What cannot be renamed is made in its place by the switch: views,
//! time-series and capped collections.

use super::inventory::data_name;
use super::load::{digest, load};
use super::metadata::{self, Metadata};
use super::{MongoDb, errors};
use crate::error::{Error, Kind, Result};
use crate::source::{EntryName, Input, ItemKind, Staged, StoredCollection, StreamTotals, Switched};
use bson::{Document, RawDocumentBuf, doc};

/// Prefix of the collections a restore is staged in. They can be dropped when no restore is running.
const STAGING: &str = "backup-restore";

/// Makes documents expire: of an index, and of a time-series or clustered collection.
const EXPIRY: &str = "expireAfterSeconds";

/// The server's code when a collection of that name is there already.
const NAMESPACE_EXISTS: i32 = 48;

/// See [`crate::source::Target::stage`].
pub fn stage(server: &MongoDb, stored: &StoredCollection, input: &dyn Input) -> Result<Staged> {
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut input.open(&entry(stored, &stored.name, ".metadata.json"))?, &mut body)
        .map_err(|e| stored_error(stored, e))?;
    let metadata = metadata::decode(&stored.name, &body)?;
    let mut staged = Staged {
        name: stored.name.clone(),
        staging_name: None,
        records: stored.records,
        stored: stored.clone(),
        metadata: body,
        warnings: Vec::new(),
    };
    if !can_be_staged(&metadata) {
        // Only checked here: all of it is read, so that damage is known before anything is changed.
        if let Some(name) = data_entry(stored, &metadata) {
            let found = super::digest_records(&mut input.open(&name)?)?;
            compare(stored, found)?;
        }
        return Ok(staged);
    }
    // Another restore, perhaps of another machine, may stage into the same database.
    let name = format!("{STAGING}.{}", bson::oid::ObjectId::new().to_hex());
    staged.staging_name = Some(name.clone());
    let made = create(server, &name, stored, &metadata);
    match made.and_then(|()| fill(server, &name, stored, &metadata, input)) {
        Ok(warnings) => Ok(Staged { warnings, ..staged }),
        Err(error) => match discard(server, &staged) {
            Ok(()) => Err(error),
            Err(left) => Err(error.cause(format!("{name} is left behind, drop it by hand: {left}"))),
        },
    }
}

/// See [`crate::source::Target::switch`].
pub fn switch(server: &MongoDb, staged: &Staged, input: &dyn Input) -> Result<Switched> {
    let metadata = metadata::decode(&staged.name, &staged.metadata)?;
    let replaces = an_empty_collection_is_there(server, &staged.name)?;
    let mut warnings = staged.warnings.clone();
    match &staged.staging_name {
        Some(staging) => {
            rename(server, staging, &staged.name, replaces)?;
            let expiring = start_expiry(server, &staged.name, &metadata).map_err(|e| e.kind(Kind::TargetChanged));
            warnings.extend(expiring?);
        }
        None => warnings.extend(make_in_place(server, staged, &metadata, input, replaces)?),
    }
    let altered = warnings.iter().any(|warning| warning.contains(ALTERED));
    Ok(Switched { records: staged.stored.records, verified: !altered, warnings })
}

/// Whether an empty collection of that name is there, which may be replaced. Looks for a document: the server's count
/// is wrong after an unclean shutdown.
fn an_empty_collection_is_there(server: &MongoDb, name: &str) -> Result<bool> {
    let existing = server.block(metadata::list(server, doc! {"name": name}))?;
    let Some(existing) = existing.first() else { return Ok(false) };
    let find = async {
        let documents = server.database.collection::<RawDocumentBuf>(name);
        documents.find_one(doc! {}).await.map_err(|e| errors::collection(&e, "read", name))
    };
    // A view or a time-series collection is never empty enough to be replaced unasked.
    if existing.kind == ItemKind::Collection && server.block(find)?.is_none() {
        return Ok(true);
    }
    Err(was_filled(name))
}

fn was_filled(name: &str) -> Error {
    Error::new(Kind::Refused, format!("{name} holds data: it was filled while the restore was under way"))
}

/// Makes a collection that cannot be renamed under its own name. On failure it is dropped again.
fn make_in_place(
    server: &MongoDb,
    staged: &Staged,
    metadata: &Metadata,
    input: &dyn Input,
    replaces: bool,
) -> Result<Vec<String>> {
    let name = &staged.name;
    let changed = |error: Error| if replaces { error.kind(Kind::TargetChanged) } else { error };
    if replaces {
        server.block(drop_collection(server, name))?;
    }
    create(server, name, &staged.stored, metadata).map_err(changed)?;
    let made = fill(server, name, &staged.stored, metadata, input).and_then(|mut warnings| {
        warnings.extend(start_expiry(server, name, metadata)?);
        Ok(warnings)
    });
    made.map_err(|error| match server.to_the_end(drop_collection(server, name)) {
        Ok(()) => changed(error),
        Err(left) => error.kind(Kind::TargetChanged).cause(format!("and {name} could not be dropped: {left}")),
    })
}

/// See [`crate::source::Target::discard`].
pub fn discard(server: &MongoDb, staged: &Staged) -> Result<()> {
    match &staged.staging_name {
        Some(name) => server.to_the_end(drop_collection(server, name)),
        None => Ok(()),
    }
}

const ALTERED: &str = "Timestamp(0,0)";

fn can_be_staged(metadata: &Metadata) -> bool {
    metadata.kind == ItemKind::Collection && !metadata.options.get_bool("capped").unwrap_or(false)
}

fn entry(stored: &StoredCollection, stem: &str, suffix: &str) -> EntryName {
    EntryName::new(&stored.directory, stem, suffix)
}

fn data_entry(stored: &StoredCollection, metadata: &Metadata) -> Option<EntryName> {
    data_name(&stored.name, metadata.kind).map(|stem| entry(stored, &stem, ".bson"))
}

fn stored_error(stored: &StoredCollection, error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(other) => Error::new(Kind::Damaged, format!("the stored {} cannot be read", stored.name)).cause(other),
    }
}

fn compare(stored: &StoredCollection, found: StreamTotals) -> Result<()> {
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
fn create(server: &MongoDb, name: &str, stored: &StoredCollection, metadata: &Metadata) -> Result<()> {
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
fn fill(
    server: &MongoDb,
    name: &str,
    stored: &StoredCollection,
    metadata: &Metadata,
    input: &dyn Input,
) -> Result<Vec<String>> {
    let (Some(data), Some(holder)) = (data_entry(stored, metadata), data_name(name, metadata.kind)) else {
        return Ok(Vec::new());
    };
    let mut body = input.open(&data)?;
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
    let count = loaded.altered;
    Ok(vec![format!(
        "{count} documents have a {ALTERED} at their top level, which the server replaces by the time of insertion"
    )])
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
    server.block(async {
        server.command(command).await.map_err(|e| errors::collection(&e, "build the indexes of", shown))
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
fn start_expiry(server: &MongoDb, name: &str, metadata: &Metadata) -> Result<Option<String>> {
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

/// Renames. A target that must be replaced is dropped with it; any other that has come up meanwhile is kept.
fn rename(server: &MongoDb, from: &str, to: &str, replaces: bool) -> Result<()> {
    let database = server.database.name();
    let command = doc! {
        "renameCollection": format!("{database}.{from}"), "to": format!("{database}.{to}"), "dropTarget": replaces,
        "writeConcern": {"w": "majority"},
    };
    let admin = server.database.client().database("admin");
    server.to_the_end(async {
        match admin.run_command(command).await {
            Ok(_) => Ok(()),
            Err(e) if errors::code(&e) == Some(NAMESPACE_EXISTS) => Err(was_filled(to)),
            Err(e) => Err(errors::collection(&e, "put in place", to)),
        }
    })
}

async fn drop_collection(server: &MongoDb, name: &str) -> Result<()> {
    match server.command(doc! {"drop": name}).await {
        Ok(_) => Ok(()),
        Err(e) if errors::code(&e) == Some(26) => Ok(()),
        Err(e) => Err(errors::collection(&e, "drop", name)),
    }
}
