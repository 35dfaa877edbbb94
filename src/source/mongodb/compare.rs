//! Holds what is stored against what is there: what a restore would change, whether it can, and how a definition differs.

use super::among::Among;
use super::inventory::{count_where, data_name};
use super::metadata::{self, Listed, Metadata};
use super::restore::stored_metadata;
use super::{MongoDb, merge, scope};
use crate::error::{Error, Kind, Result};
use crate::source::{Changes, Existing, Input, ItemKind, StoredCollection};
use bson::Document;
use bson::doc;

/// See [`crate::source::Target::compare`].
pub fn compare_with_live(
    server: &MongoDb,
    stored: &StoredCollection,
    input: &dyn Input,
    existing: Existing,
) -> Result<Changes> {
    let (metadata, _) = stored_metadata(stored, input)?;
    let Some(live) = server.block(metadata::list(server, doc! {"name": &stored.name}))?.into_iter().next() else {
        return Ok(Changes::of(existing, stored.records, 0, 0));
    };
    fits(&stored.name, &metadata, &live)?;
    let (Some(data), Some(mut body)) = (data_name(&stored.name, live.kind), scope::open(stored, &metadata, input)?)
    else {
        return Ok(Changes::default());
    };
    if let Some(among) = Among::of(server, stored, &metadata, &live, input)? {
        return among.compare(&mut body, existing);
    }
    let matched = merge::matched(server, &data, stored, &mut body)?;
    let count = server.block(count_where(server, &data, Document::new()))?;
    Ok(Changes::of(existing, stored.records, matched, count))
}

/// What is there must be able to take what is stored: of the same kind and, where it stays, with the options that
/// cannot be changed.
pub fn fits(name: &str, metadata: &Metadata, live: &Listed) -> Result<()> {
    let kind = |kind| match kind {
        ItemKind::Collection => "a collection",
        ItemKind::View => "a view",
        ItemKind::TimeSeries => "a time-series collection",
    };
    let refused =
        |what: String| Error::new(Kind::Refused, what).hint("drop or rename it by hand, or restore beside it");
    if live.kind != metadata.kind {
        let what = format!("{name} is {} there and {} in the backup", kind(live.kind), kind(metadata.kind));
        return Err(refused(what));
    }
    let lasting = |options: &Document| match metadata.kind {
        ItemKind::Collection => None,
        ItemKind::View => options.get("collation").cloned(),
        ItemKind::TimeSeries => options.get("timeseries").cloned(),
    };
    if lasting(&live.options) != lasting(&metadata.options) {
        return Err(refused(format!("{name} is {} with other options than in the backup", kind(live.kind))));
    }
    Ok(())
}

/// See [`crate::source::Target::differences`].
pub fn differences(server: &MongoDb, stored: &StoredCollection, input: &dyn Input) -> Result<Vec<String>> {
    let (metadata, _) = stored_metadata(stored, input)?;
    let Some(live) = server.block(metadata::list(server, doc! {"name": &stored.name}))?.into_iter().next() else {
        return Ok(vec!["it did not come back".into()]);
    };
    let mut found = Vec::new();
    if live.kind != metadata.kind {
        found.push(format!("it came back as {:?}, not as {:?}", live.kind, metadata.kind));
    }
    if live.options != metadata.options {
        found.push(format!("its options came back as {}, not as {}", live.options, metadata.options));
    }
    if metadata.kind != ItemKind::View {
        // Those that make documents expire are built last; otherwise the order is the same.
        let sorted = |mut indexes: Vec<Document>| {
            indexes.sort_by_key(|index| index.get_str("name").unwrap_or_default().to_owned());
            // Old servers wrote the namespace into an index.
            indexes.iter_mut().for_each(|index| drop(index.remove("ns")));
            indexes
        };
        let (live, kept) = (server.block(metadata::indexes(server, &stored.name))?, metadata.indexes);
        let (live, kept) = (sorted(live), sorted(kept));
        let odd = live.iter().filter(|index| !kept.contains(index)).map(|index| format!("an index is {index}"));
        found.extend(odd.chain(kept.iter().filter(|i| !live.contains(i)).map(|i| format!("an index is not {i}"))));
    }
    Ok(found)
}
