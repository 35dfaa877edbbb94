//! What a database holds, counts, and foreign keys that name nothing.

use super::filter::OwnerCheck;
use super::metadata::list;
use super::{MongoDb, errors};
use crate::config::Relationship;
use crate::error::Result;
use crate::source::{Inventory, Item, ItemKind, Orphans, Wanted};
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;

/// Prefix of the collections that hold the data of time-series collections.
pub const BUCKETS: &str = "system.buckets.";

/// Everything but system collections; time-series data is counted with its collection.
pub async fn inventory(server: &MongoDb) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    for listed in list(server, doc! {}).await? {
        if listed.name.starts_with("system.") {
            continue;
        }
        let (records, bytes) = match listed.kind {
            ItemKind::View => (0, 0),
            ItemKind::Collection => size(server, &listed.name).await?,
            ItemKind::TimeSeries => size(server, &format!("{BUCKETS}{}", listed.name)).await?,
        };
        inventory.items.insert(listed.name, Item { kind: listed.kind, identity: listed.uuid, records, bytes });
    }
    Ok(inventory)
}

/// Documents and bytes of a collection, by the server's own books: cheap, and right but after an unclean shutdown.
/// A user who may read but not ask for statistics gets a count alone.
pub async fn size(server: &MongoDb, name: &str) -> Result<(u64, u64)> {
    match server.command(doc! {"collStats": name}).await {
        Ok(stats) => {
            // Of a time-series collection the server counts buckets, elsewhere.
            let buckets = stats.get_document("timeseries").map_or(0, |buckets| number(buckets, "bucketCount"));
            Ok((number(&stats, "count").max(buckets), number(&stats, "size")))
        }
        Err(e) if errors::code(&e) == Some(13) => {
            let counted = server.command(doc! {"count": name}).await;
            let counted = counted.map_err(|e| errors::collection(&e, "count", name))?;
            Ok((number(&counted, "n"), 0))
        }
        // Dropped since it was listed.
        Err(e) if errors::code(&e) == Some(26) => Ok((0, 0)),
        Err(e) => Err(errors::collection(&e, "read the statistics of", name)),
    }
}

fn number(document: &Document, key: &str) -> u64 {
    match document.get(key) {
        Some(Bson::Int32(n)) => u64::try_from(*n).unwrap_or(0),
        Some(Bson::Int64(n)) => u64::try_from(*n).unwrap_or(0),
        Some(Bson::Double(n)) => *n as u64,
        _ => 0,
    }
}

/// How many documents are covered, exactly.
pub async fn count(server: &MongoDb, wanted: &Wanted) -> Result<u64> {
    let filter = OwnerCheck::of(&wanted.records)?.map_or_else(Document::new, |check| check.filter());
    count_where(server, &wanted.name, filter).await
}

/// How many documents match, exactly.
pub async fn count_where(server: &MongoDb, name: &str, filter: Document) -> Result<u64> {
    let collection = server.database.collection::<Document>(name);
    collection.count_documents(filter).await.map_err(|e| errors::collection(&e, "count", name))
}

/// Children whose foreign key is the `_id` of no parent; a missing or null key is no orphan.
pub async fn orphans(server: &MongoDb, relationship: &Relationship) -> Result<Orphans> {
    let key = &relationship.foreign_key;
    let pipeline = [
        doc! {"$match": {key: {"$ne": Bson::Null}}},
        doc! {"$lookup": {"from": &relationship.parent, "localField": key, "foreignField": "_id", "as": "p"}},
        doc! {"$match": {"p": {"$size": 0}}},
        doc! {"$facet": {
            "count": [{"$count": "n"}],
            "samples": [{"$limit": 5}, {"$project": {"_id": 0, "k": format!("${key}")}}],
        }},
    ];
    let failed = |e: &mongodb::error::Error| errors::collection(e, "check the relationships of", &relationship.child);
    let collection = server.database.collection::<Document>(&relationship.child);
    let cursor = collection.aggregate(pipeline).allow_disk_use(true).await.map_err(|e| failed(&e))?;
    let found: Vec<Document> = cursor.try_collect().await.map_err(|e| failed(&e))?;
    let Some(found) = found.into_iter().next() else { return Ok(Orphans::default()) };
    let first = |key: &str| found.get_array(key).ok().and_then(|array| array.first()).and_then(Bson::as_document);
    let samples = found.get_array("samples").cloned().unwrap_or_default();
    let text = |sample: &Bson| sample.as_document().and_then(|d| d.get("k")).map(ToString::to_string);
    Ok(Orphans {
        count: first("count").map_or(0, |count| number(count, "n")),
        samples: samples.iter().filter_map(text).collect(),
    })
}
