//! What a database holds, counts, and foreign keys that name nothing.

use super::access::Access;
use super::filter::OwnerCheck;
use super::key::Id;
use super::metadata::list;
use super::owned::Parents;
use super::{MongoDb, errors};
use crate::config::Relationship;
use crate::error::{Error, Kind, Result};
use crate::modules::{Ownership, Records};
use crate::source::{Inventory, Item, ItemKind, Orphans, Wanted};
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::options::Collation;
use std::collections::BTreeMap;

/// Prefix of the collections that hold the data of time-series collections.
pub const BUCKETS: &str = "system.buckets.";

/// The collection that holds the data of one; views have none.
pub fn data_name(name: &str, kind: ItemKind) -> Option<String> {
    match kind {
        ItemKind::View => None,
        ItemKind::Collection => Some(name.to_owned()),
        ItemKind::TimeSeries => Some(format!("{BUCKETS}{name}")),
    }
}

/// Everything but system collections; time-series data is counted with its collection.
pub async fn inventory(server: &MongoDb) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    let all = list(server, doc! {}).await?;
    let uuids: BTreeMap<_, _> = all.iter().filter_map(|l| Some((l.name.clone(), l.uuid.clone()?))).collect();
    for listed in all {
        if listed.name.starts_with("system.") {
            continue;
        }
        let data = data_name(&listed.name, listed.kind);
        let (records, bytes) = match &data {
            Some(data) => size(server, data).await?,
            None => (0, 0),
        };
        let identity = data.and_then(|data| uuids.get(&data).cloned());
        inventory.items.insert(listed.name, Item { kind: listed.kind, identity, records, bytes });
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

/// How many documents are covered, exactly; none where reading will say that they cannot be told apart.
pub async fn count(server: &MongoDb, wanted: &Wanted) -> Result<Option<u64>> {
    let Some(data) = data_name(&wanted.name, wanted.kind) else { return Ok(None) };
    let check = match OwnerCheck::of(&wanted.records)? {
        None => return count_where(server, &data, Document::new()).await.map(Some),
        Some(check) if wanted.kind == ItemKind::TimeSeries => {
            let listed = list(server, doc! {"name": &wanted.name}).await?;
            match listed.first().and_then(|l| check.within_buckets(&l.name, &l.options).ok()) {
                Some(check) => check,
                None => return Ok(None),
            }
        }
        Some(check) => check,
    };
    let filter = |ids: &[Id]| {
        let filter = check.filter(ids.iter().map(|(kind, id)| (*kind, &id[..])))?;
        bson::deserialize_from_slice(&filter).map_err(|e| Error::new(Kind::Internal, "a filter is none").cause(e))
    };
    let Some(parent) = check.parent() else { return count_where(server, &data, filter(&[])?).await.map(Some) };
    let access = Access::live(server);
    let mut parents = Parents::new(&access, parent, None);
    let mut count = 0;
    loop {
        match parents.next().await {
            Ok(ids) if ids.is_empty() => return Ok(Some(count)),
            Ok(ids) => count += count_where(server, &data, filter(&ids)?).await?,
            // A document that is not the tenant's alone: reading will name it.
            Err(error) if error.kind == Kind::Source => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// How many documents match, exactly.
pub async fn count_where(server: &MongoDb, name: &str, filter: Document) -> Result<u64> {
    let collection = server.database.collection::<Document>(name);
    let counted = server.outcome(collection.count_documents(filter)).await;
    counted.map_err(|e| errors::collection(&e, "count", name))
}

/// Children whose foreign key is the `_id` of no parent; a missing or null key is no orphan.
pub async fn orphans(server: &MongoDb, relationship: &Relationship, children: &Records) -> Result<Orphans> {
    let key = &relationship.foreign_key;
    let mut pipeline = vec![doc! {"$match": {key: {"$ne": Bson::Null}}}];
    pipeline.extend(covered(children)?);
    pipeline.extend([
        doc! {"$lookup": {"from": &relationship.parent, "localField": key, "foreignField": "_id", "as": "p"}},
        doc! {"$match": {"p": {"$size": 0}}},
        doc! {"$facet": {
            "count": [{"$count": "n"}],
            "samples": [{"$limit": 5}, {"$project": {"_id": 0, "k": format!("${key}")}}],
        }},
    ]);
    let failed = |e: &mongodb::error::Error| errors::collection(e, "check the relationships of", &relationship.child);
    let collection = server.database.collection::<Document>(&relationship.child);
    let asked =
        collection.aggregate(pipeline).allow_disk_use(true).collation(Collation::builder().locale("simple").build());
    let cursor = server.outcome(asked).await.map_err(|e| failed(&e))?;
    let found: Vec<Document> = server.patience.answer(cursor.try_collect()).await.map_err(|e| failed(&e))?;
    let Some(found) = found.into_iter().next() else { return Ok(Orphans::default()) };
    let first = |key: &str| found.get_array(key).ok().and_then(|array| array.first()).and_then(Bson::as_document);
    let samples = found.get_array("samples").cloned().unwrap_or_default();
    let text = |sample: &Bson| sample.as_document().and_then(|d| d.get("k")).map(ToString::to_string);
    Ok(Orphans {
        count: first("count").map_or(0, |count| number(count, "n")),
        samples: samples.iter().filter_map(text).collect(),
    })
}

/// The stages that leave a tenant's documents, each by exactly the tenant's id: an equality alone also matches lists.
fn covered(children: &Records) -> Result<Vec<Document>> {
    let (Some(check), Some(ownership)) = (OwnerCheck::of(children)?, children.ownership()) else {
        return Ok(Vec::new());
    };
    let owner = check.owner();
    let Ownership { via, field, .. } = ownership;
    let mut stages = Vec::new();
    let mut prefix = String::new();
    for (at, hop) in via.iter().enumerate() {
        let found = format!("backupOwner{at}");
        let local = format!("{prefix}{}", hop.foreign_key);
        stages.push(doc! {"$lookup": {"from": &hop.parent, "localField": local, "foreignField": "_id", "as": &found}});
        prefix = format!("{found}.");
    }
    let path = format!("{prefix}{field}");
    // Of what was looked up, the values are a list.
    let exactly = if via.is_empty() { owner.clone() } else { Bson::Array(vec![owner.clone()]) };
    let exactly = doc! {"$eq": [format!("${path}"), {"$literal": exactly}]};
    stages.push(doc! {"$match": {&path: owner.clone(), "$expr": exactly}});
    Ok(stages)
}
