//! Options and indexes of a collection as mongodump writes them: canonical Extended JSON, so every number keeps its type.

use super::{MongoDb, errors};
use crate::error::{Error, Kind, Result};
use crate::source::ItemKind;
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;

/// One line of `listCollections`.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Name.
    pub name: String,
    /// Collection, view or time-series.
    pub kind: ItemKind,
    /// Options, verbatim.
    pub options: Document,
    /// UUID in hexadecimal; views have none, and of a time-series collection only its buckets have one.
    pub uuid: Option<String>,
}

/// Lists every collection of the database, those of the system too.
pub async fn list(server: &MongoDb, filter: Document) -> Result<Vec<Listed>> {
    let failed = |e: &mongodb::error::Error| errors::collection(e, "list the collections of", server.database.name());
    let command = doc! {"listCollections": 1, "filter": filter, "cursor": {}};
    let asked = server.database.run_cursor_command(command);
    let cursor = server.patience.answer(asked).await.map_err(|e| failed(&e))?;
    let documents: Vec<Document> = server.patience.answer(cursor.try_collect()).await.map_err(|e| failed(&e))?;
    documents.into_iter().map(parse).collect()
}

fn parse(document: Document) -> Result<Listed> {
    let odd = || Error::new(Kind::Source, format!("the server lists a collection in an unknown way: {document}"));
    let kind = match document.get_str("type") {
        Ok("collection") => ItemKind::Collection,
        Ok("view") => ItemKind::View,
        Ok("timeseries") => ItemKind::TimeSeries,
        _ => return Err(odd()),
    };
    let uuid = match document.get_document("info").ok().and_then(|info| info.get("uuid")) {
        Some(Bson::Binary(uuid)) => Some(uuid.bytes.iter().map(|b| format!("{b:02x}")).collect()),
        _ => None,
    };
    Ok(Listed {
        name: document.get_str("name").map_err(|_| odd())?.to_owned(),
        kind,
        options: document.get_document("options").cloned().unwrap_or_default(),
        uuid,
    })
}

/// The indexes of a collection, verbatim.
pub async fn indexes(server: &MongoDb, name: &str) -> Result<Vec<Document>> {
    let failed = |e: &mongodb::error::Error| errors::collection(e, "list the indexes of", name);
    let command = doc! {"listIndexes": name, "cursor": {}};
    let asked = server.database.run_cursor_command(command);
    let cursor = server.patience.answer(asked).await.map_err(|e| failed(&e))?;
    server.patience.answer(cursor.try_collect()).await.map_err(|e| failed(&e))
}

/// The body of a `.metadata.json`.
///
/// # Errors
/// [`Kind::Source`] when Extended JSON cannot express it: a key such as `$oid` inside a view's pipeline, say, would
/// read back as something else.
pub fn encode(listed: &Listed, indexes: &[Document]) -> Result<Vec<u8>> {
    let kind = match listed.kind {
        ItemKind::Collection => "collection",
        ItemKind::View => "view",
        ItemKind::TimeSeries => "timeseries",
    };
    let mut body = doc! {
        "options": listed.options.clone(),
        "indexes": indexes.iter().cloned().map(Bson::Document).collect::<Vec<_>>(),
    };
    if let Some(uuid) = &listed.uuid {
        body.insert("uuid", uuid);
    }
    body.insert("collectionName", &listed.name);
    body.insert("type", kind);
    let json = serde_json::to_vec(&Bson::Document(body.clone()).into_canonical_extjson());
    let json = json.map_err(|e| Error::new(Kind::Internal, "metadata cannot be written").cause(e))?;
    let same = parse_json(&json).ok().is_some_and(|read| bytes(&read).is_some() && bytes(&read) == bytes(&body));
    if !same {
        let what = format!("options or indexes of {} hold what Extended JSON cannot express", listed.name);
        return Err(Error::new(Kind::Source, what).hint("look for keys such as `$oid` or `$date` in its definition"));
    }
    Ok(json)
}

/// As bytes, so that the order of keys and the types of numbers count.
fn bytes(document: &Document) -> Option<Vec<u8>> {
    bson::serialize_to_vec(document).ok()
}

fn parse_json(body: &[u8]) -> Result<Document> {
    let damaged = |what: &str| Error::new(Kind::Damaged, format!("a metadata entry {what}"));
    let json: serde_json::Value = serde_json::from_slice(body).map_err(|e| damaged("is no JSON").cause(e))?;
    match Bson::try_from(json).map_err(|e| damaged("is no Extended JSON").cause(e))? {
        Bson::Document(document) => Ok(document),
        _ => Err(damaged("is no object")),
    }
}

/// What a `.metadata.json` says.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Kind of the collection.
    pub kind: ItemKind,
    /// Options, verbatim.
    pub options: Document,
    /// Indexes, verbatim.
    pub indexes: Vec<Document>,
}

impl Metadata {
    /// A collection without options or indexes of its own.
    pub fn plain() -> Self {
        Self { kind: ItemKind::Collection, options: Document::new(), indexes: Vec::new() }
    }
}

/// Reads the body of the `.metadata.json` of the collection `name`.
///
/// # Errors
/// [`Kind::Damaged`] when it is malformed or another collection's.
pub fn decode(name: &str, body: &[u8]) -> Result<Metadata> {
    let damaged = |what: &str| Error::new(Kind::Damaged, format!("the metadata of {name} {what}"));
    let document = parse_json(body).map_err(|e| e.context(format!("the metadata of {name} cannot be read")))?;
    if document.get_str("collectionName").is_ok_and(|stored| stored != name) {
        return Err(damaged("belongs to another collection"));
    }
    let indexes = document.get_array("indexes").map_err(|_| damaged("has no indexes"))?;
    let indexes: Option<Vec<_>> = indexes.iter().map(|index| index.as_document().cloned()).collect();
    Ok(Metadata {
        kind: match document.get_str("type") {
            Ok("view") => ItemKind::View,
            Ok("timeseries") => ItemKind::TimeSeries,
            _ => ItemKind::Collection,
        },
        options: document.get_document("options").cloned().map_err(|_| damaged("has no options"))?,
        indexes: indexes.ok_or_else(|| damaged("has an index that is no object"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(options: Document) -> Listed {
        Listed { name: "a".into(), kind: ItemKind::View, options, uuid: None }
    }

    #[test]
    fn operators_types_and_the_order_of_keys_survive() {
        let options = doc! {
            "pipeline": [{"$match": {"s": {"$regex": "^a", "$options": "i"}, "n": {"$gt": 5i64, "$lt": 7.0, "$ne": 6}}}],
            "z": bson::Regex { pattern: "a".try_into().unwrap(), options: "i".try_into().unwrap() },
            "a": {"$type": "int"}, "nan": f64::NAN, "date": bson::DateTime::from_millis(-5),
        };
        let indexes = [doc! {"key": {"b": 1, "a": -1i64, "c": 1.0}, "name": "x"}];
        let read = decode("a", &encode(&listed(options.clone()), &indexes).unwrap()).unwrap();
        assert_eq!(bytes(&read.options), bytes(&options));
        assert_eq!(bytes(&read.indexes[0]), bytes(&indexes[0]));
        assert_eq!(read.kind, ItemKind::View);
    }

    #[test]
    fn what_extended_json_would_change_is_refused_by_name() {
        let refused = encode(&listed(doc! {"x": {"$numberInt": "5"}}), &[]).unwrap_err();
        assert_eq!(refused.kind, Kind::Source);
        assert!(refused.message.contains(" a "));
    }

    #[test]
    fn damaged_metadata_is_damage() {
        for body in [&b""[..], b"[]", b"{}", b"{\"options\":{}}", b"{\"options\":{},\"indexes\":[1]}"] {
            assert_eq!(decode("a", body).unwrap_err().kind, Kind::Damaged);
        }
        let other = encode(&listed(doc! {}), &[]).unwrap();
        assert_eq!(decode("b", &other).unwrap_err().kind, Kind::Damaged);
    }
}
