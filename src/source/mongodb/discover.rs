//! Tenants that are documents of a collection.

use super::metadata::list;
use super::{MongoDb, errors};
use crate::config::{Discovery, IdType, Plain};
use crate::error::{Error, Kind, Result};
use crate::source::NamedTenant;
use bson::{Bson, Document, doc, spec::BinarySubtype};
use futures_util::TryStreamExt;
use serde_json::Value;

/// The tenants that the documents are. Of each, no more than the named fields is asked for.
pub async fn tenants(server: &MongoDb, discovery: &Discovery) -> Result<Vec<NamedTenant>> {
    let name = discovery.collection.as_str();
    if list(server, doc! {"name": name}).await?.is_empty() {
        let what = format!("there is no collection {name} in database {} to find tenants in", server.database.name());
        return Err(Error::new(Kind::NotFound, what).hint("check `source` and `collection` of `tenancy.discover`"));
    }
    let failed = |e: &mongodb::error::Error| errors::collection(e, "read the tenants in", name);
    let collection = server.database.collection::<Document>(name);
    let find = collection.find(filter(discovery)).projection(projection(discovery));
    let mut cursor = server.outcome(find).await.map_err(|e| failed(&e))?;
    let mut found = Vec::new();
    while let Some(document) = server.outcome(cursor.try_next()).await.map_err(|e| failed(&e))? {
        server.cancel.check()?;
        // An equality also matches an array that holds the value.
        if discovery.filter.iter().all(|(path, value)| is(reached(&document, path), value)) {
            found.push(named(&document, discovery));
        }
    }
    Ok(found)
}

fn filter(discovery: &Discovery) -> Document {
    let value = |value: &Plain| match value {
        Plain::Text(text) => Bson::String(text.clone()),
        Plain::Bool(on) => Bson::Boolean(*on),
        Plain::Int(number) => Bson::Int64(*number),
    };
    discovery.filter.iter().map(|(path, plain)| (path.clone(), value(plain))).collect()
}

/// The fields, each once: of two paths of which one leads on from the other, the shorter gives both.
fn projection(discovery: &Discovery) -> Document {
    let optional = [&discovery.modules, &discovery.features];
    let mut paths: Vec<&String> =
        std::iter::once(&discovery.id).chain(optional.into_iter().flatten()).chain(discovery.filter.keys()).collect();
    paths.sort();
    let mut projection = Document::new();
    for path in &paths {
        let within = |other: &&&String| path.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('.'));
        if !paths.iter().any(|other| within(&other)) {
            projection.insert(path.as_str(), 1);
        }
    }
    if !paths.iter().any(|path| *path == "_id" || path.starts_with("_id.")) {
        projection.insert("_id", 0);
    }
    projection
}

fn named(document: &Document, discovery: &Discovery) -> NamedTenant {
    let (id, id_type) = match reached(document, &discovery.id) {
        Some(Bson::String(text)) => (text.clone(), Some(IdType::String)),
        Some(Bson::Int32(number)) => (number.to_string(), Some(IdType::Int)),
        Some(Bson::Int64(number)) => (number.to_string(), Some(IdType::Int)),
        // Shells store whole numbers as doubles; up to 2^53 they are exact.
        Some(Bson::Double(number)) if number.fract() == 0.0 && number.abs() <= 2f64.powi(53) => {
            (format!("{number:.0}"), Some(IdType::Int))
        }
        Some(Bson::ObjectId(id)) => (id.to_hex(), Some(IdType::ObjectId)),
        Some(Bson::Binary(binary)) if binary.subtype == BinarySubtype::Uuid => {
            let uuid = binary.to_uuid().map(|uuid| uuid.to_string());
            uuid.map_or(("binary".into(), None), |uuid| (uuid, Some(IdType::Uuid)))
        }
        Some(Bson::Null) | None => ("nothing".into(), None),
        Some(other) => (format!("{:?}", other.element_type()), None),
    };
    let json = |path: &Option<String>| {
        path.as_ref()
            .and_then(|path| reached(document, path))
            .map_or(Value::Null, |value| value.clone().into_relaxed_extjson())
    };
    NamedTenant { id, id_type, modules: json(&discovery.modules), features: json(&discovery.features) }
}

fn reached<'d>(document: &'d Document, path: &str) -> Option<&'d Bson> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (document.get(first)?, rest) {
        (value, None) => Some(value),
        (Bson::Document(below), Some(rest)) => reached(below, rest),
        _ => None,
    }
}

fn is(value: Option<&Bson>, wanted: &Plain) -> bool {
    match (value, wanted) {
        (Some(Bson::String(text)), Plain::Text(wanted)) => text == wanted,
        (Some(Bson::Boolean(on)), Plain::Bool(wanted)) => on == wanted,
        (Some(Bson::Int32(number)), Plain::Int(wanted)) => i64::from(*number) == *wanted,
        (Some(Bson::Int64(number)), Plain::Int(wanted)) => number == wanted,
        (Some(Bson::Double(number)), Plain::Int(wanted)) => *number == *wanted as f64,
        _ => false,
    }
}
