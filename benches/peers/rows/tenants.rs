//! A thousand small tenants: a backup of each, beside one of all.

use crate::programs::Ours;
use crate::support::mongod::{Kind, Mongod};
use crate::table::row;
use crate::{Options, data};
use std::fs;

/// How many.
const TENANTS: u64 = 1_000;

/// Their collections.
const COLLECTIONS: [&str; 5] = ["users", "leaves", "policies", "claims", "documents"];

/// Its row.
pub fn rows(options: &Options) {
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    let each = (100.0 * options.size).max(1.0) as u64;
    let bytes = data::mongodb::tenants(&server, "tenants", &COLLECTIONS, TENANTS, each);
    let config = format!(
        "sources: {{hr: {{engine: mongodb, uri: \"{}\", database: tenants}}}}\ntenancy: {{field: tenantId}}\n\
         modules: {{all: {{required: true, collections: [{}]}}}}\n",
        server.uri(),
        COLLECTIONS.join(", ")
    );
    let (one, many) = (Ours::new(options, "tenants-one", &config), Ours::new(options, "tenants-many", &config));
    let list = many.folder.join("tenants");
    fs::write(&list, (0..TENANTS).map(|n| format!("t{n}\n")).collect::<String>()).expect("a list of tenants");
    let all = format!("--tenants-file {}", list.display());
    row(
        options,
        &format!("tenants: {TENANTS} of {each} documents in each of {} collections", COLLECTIONS.len()),
        bytes,
        vec![
            one.tool("create, all in one", || one.create("")),
            many.tool("create --tenants-file", || many.create(&all)),
        ],
    );
}
