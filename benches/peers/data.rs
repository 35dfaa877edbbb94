//! The data: seeded, so that it is the same each time; about half of what real data compresses to.

use crate::support::mongod::{Mongod, wait};
use crate::support::postgres::Database;
use mongodb::bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
use std::fs;
use std::future::IntoFuture;
use std::path::Path;

/// A small generator, the same on every machine (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Words, as people write them.
    fn text(&mut self, bytes: usize) -> String {
        const WORDS: [&str; 24] = [
            "employee",
            "contract",
            "leave",
            "approved",
            "department",
            "the",
            "of",
            "and",
            "insurance",
            "policy",
            "claim",
            "monthly",
            "salary",
            "review",
            "by",
            "manager",
            "document",
            "uploaded",
            "2024",
            "pending",
            "Cairo",
            "clinic",
            "visit",
            "note",
        ];
        let mut text = String::with_capacity(bytes + 12);
        while text.len() < bytes {
            text.push_str(WORDS[self.below(24) as usize]);
            text.push(if self.below(9) == 0 { '\n' } else { ' ' });
        }
        text.truncate(bytes);
        text
    }

    /// Bytes that do not compress.
    fn noise(&mut self, bytes: usize) -> Vec<u8> {
        let mut noise = Vec::with_capacity(bytes + 8);
        while noise.len() < bytes {
            noise.extend_from_slice(&self.next().to_le_bytes());
        }
        noise.truncate(bytes);
        noise
    }
}

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

/// Fills a database of MongoDB, every record of one of `tenants`; its bytes of BSON.
pub fn mongodb(server: &Mongod, name: &str, size: f64, tenants: u64) -> u64 {
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
                "tenantId": format!("t{}", random.below(tenants)),
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
            wait(target.create_index(mongodb::IndexModel::builder().keys(index).build()).into_future()).expect("index");
        }
        let stats = server.command(name, doc! {"collStats": collection});
        bytes += stats.get_i32("size").map(i64::from).or_else(|_| stats.get_i64("size")).unwrap_or(0);
    }
    bytes.unsigned_abs()
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

/// Fills a database of PostgreSQL with a wide, a narrow and a text table; its bytes of rows.
pub fn postgres(database: &Database, size: f64) -> u64 {
    let rows = |at_one: f64| (at_one * size) as u64;
    database.run(&format!(
        "SELECT setseed(0.5);
         CREATE TABLE narrow (id bigint PRIMARY KEY, employee int NOT NULL, at timestamptz NOT NULL, amount numeric(12,2));
         INSERT INTO narrow SELECT i, (random() * 100000)::int, '2020-01-01'::timestamptz + i * interval '1 minute',
           (random() * 100000)::numeric(12,2) FROM generate_series(1, {}) i;
         CREATE TABLE wide AS SELECT i::bigint AS id, md5(i::text) AS a, md5((i + 1)::text) AS b, random() AS c, random() AS d,
           (random() * 1000)::int AS e, now() AS f, 'status ' || i % 7 AS g, i % 2 = 0 AS h, repeat('x', i % 40) AS j
           FROM generate_series(1, {}) i;
         ALTER TABLE wide ADD PRIMARY KEY (id);
         CREATE INDEX ON wide (g, id);
         CREATE TABLE notes AS SELECT i AS id, (i * 7 % {})::bigint AS wide_id,
           (SELECT string_agg(w, ' ') FROM (SELECT (ARRAY['employee','contract','leave','approved','department','claim','note'])
             [1 + (hashtext(i::text || k::text) & 2147483647) % 7] AS w FROM generate_series(1, 120) k) s) AS body
           FROM generate_series(1, {}) i;
         ALTER TABLE notes ADD PRIMARY KEY (id);
         ANALYZE;",
        rows(8_000_000.0),
        rows(1_800_000.0),
        rows(1_800_000.0).max(1),
        rows(160_000.0),
    ));
    let bytes =
        database.run("SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relname IN ('narrow', 'wide', 'notes')");
    bytes.trim().parse().unwrap_or(0)
}

/// Small files and some large ones, half of them incompressible; their bytes.
pub fn uploads(folder: &Path, size: f64) -> u64 {
    let mut random = Random(11);
    let mut bytes = 0u64;
    let mut write = |path: &Path, body: &[u8]| {
        bytes += body.len() as u64;
        fs::write(path, body).expect("write a file");
    };
    for number in 0..(20_000.0 * size) as u64 {
        let below = folder.join(format!("documents/{:03}", number / 100));
        fs::create_dir_all(&below).expect("make a folder");
        let length = 500 + random.below(50_000) as usize;
        let body = if number % 2 == 0 { random.noise(length) } else { random.text(length).into_bytes() };
        write(&below.join(format!("{number}.bin")), &body);
    }
    for number in 0..7 {
        let length = (70e6 * size) as usize;
        let body = if number % 2 == 0 { random.noise(length) } else { random.text(length).into_bytes() };
        write(&folder.join(format!("documents/large-{number}.bin")), &body);
    }
    bytes
}
