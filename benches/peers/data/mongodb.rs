//! Documents: of an application, of many tenants, and such that do not compress.

use super::Random;
use crate::support::mongod::{Mongod, wait};
use mongodb::IndexModel;
use mongodb::bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
use std::future::IntoFuture;

/// Collections: name, documents at size 1, bytes of text in each.
const COLLECTIONS: [(&str, u64, usize); 13] = [
    ("attendances", 2_400_000, 40),
    ("leaverequests", 400_000, 120),
    ("notifications", 900_000, 90),
    ("audit", 800_000, 150),
    ("users", 120_000, 500),
    ("departments", 2_000, 300),
    ("positions", 4_000, 200),
    ("policies", 120_000, 900),
    ("claims", 160_000, 700),
    ("familymembers", 240_000, 200),
    ("tasks", 200_000, 600),
    ("documents", 24_000, 4_000),
    ("reports", 9_000, 15_000),
];

/// Names of the collections.
pub fn collections() -> Vec<&'static str> {
    COLLECTIONS.iter().map(|(name, ..)| *name).collect()
}

/// Fills a database with the collections of an application; its bytes of BSON.
pub fn application(server: &Mongod, name: &str, size: f64) -> u64 {
    let mut random = Random(7);
    let database = server.client().database(name);
    let mut bytes = 0;
    for (collection, documents, text) in COLLECTIONS {
        let documents = (documents as f64 * size) as u64;
        let mut batch: Vec<Document> = Vec::new();
        let target = database.collection::<Document>(collection);
        wait(target.insert_one(doc! {"_id": -1, "tenantId": "t0"}).into_future()).expect("insert");
        for number in 0..documents {
            let mut document = doc! {
                "_id": i64::try_from(number).unwrap_or(0),
                "tenantId": format!("t{}", random.below(200)),
                "employeeId": Binary { subtype: BinarySubtype::Generic, bytes: random.noise(12) },
                "at": DateTime::from_millis(1_600_000_000_000 + number as i64 * 60_000),
                "status": (["open", "approved", "closed"][random.below(3) as usize]),
                "amount": random.below(100_000) as f64 / 100.0,
                "text": random.text(text),
            };
            if number % 4 == 0 {
                document.insert("tags", vec!["a", "b", "c"]);
            }
            batch.push(document);
            if batch.len() * (text + 200) > 4 << 20 || number + 1 == documents {
                wait(target.insert_many(std::mem::take(&mut batch)).ordered(false).into_future()).expect("insert");
            }
        }
        for index in [doc! {"tenantId": 1}, doc! {"status": 1, "at": -1}] {
            wait(target.create_index(IndexModel::builder().keys(index).build()).into_future()).expect("index");
        }
        bytes += size_of(server, name, collection);
    }
    bytes
}

/// Bytes of BSON in a collection, as the server counts.
fn size_of(server: &Mongod, name: &str, collection: &str) -> u64 {
    let stats = server.command(name, doc! {"collStats": collection});
    let bytes = stats.get_i32("size").map(i64::from).or_else(|_| stats.get_i64("size"));
    bytes.unwrap_or(0).unsigned_abs()
}

/// Fills collections with `each` documents of every tenant, `t0` to the last, the owner indexed; their bytes of BSON.
pub fn tenants(server: &Mongod, name: &str, collections: &[&str], tenants: u64, each: u64) -> u64 {
    let mut random = Random(17);
    let database = server.client().database(name);
    let mut bytes = 0;
    for collection in collections {
        let target = database.collection::<Document>(collection);
        // As time brings them: the tenants in turn.
        for _ in 0..each {
            let of = |tenant| doc! {"tenantId": format!("t{tenant}"), "amount": 1.5, "text": random.text(120)};
            let batch: Vec<Document> = (0..tenants).map(of).collect();
            wait(target.insert_many(batch).ordered(false).into_future()).expect("insert");
        }
        let index = IndexModel::builder().keys(doc! {"tenantId": 1}).build();
        wait(target.create_index(index).into_future()).expect("index");
        bytes += size_of(server, name, collection);
    }
    bytes
}

/// Fills collections with documents that do not compress, 1 GB in all at size 1; their bytes.
pub fn noise(server: &Mongod, name: &str, collections: &[&str], size: f64) -> u64 {
    let mut random = Random(13);
    let database = server.client().database(name);
    let each = (1e9 * size) as usize / collections.len() / 8_000;
    for collection in collections {
        let target = database.collection::<Document>(collection);
        let mut left = each.max(1);
        while left > 0 {
            let now = left.min(500);
            let document = |_| doc! {"x": Binary { subtype: BinarySubtype::Generic, bytes: random.noise(8_000) }};
            let batch: Vec<Document> = (0..now).map(document).collect();
            wait(target.insert_many(batch).ordered(false).into_future()).expect("insert");
            left -= now;
        }
    }
    (each * collections.len() * 8_000) as u64
}
