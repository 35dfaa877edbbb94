//! MongoDB beside mongodump and mongorestore.

use crate::measure::{is_installed, shell};
use crate::programs::{Ours, peer, peer_after};
use crate::support::mongod::{Kind, Mongod};
use crate::table::row;
use crate::{Options, data};

/// Its rows.
pub fn rows(options: &Options) {
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    let cache = mongodb::bson::doc! {"setParameter": 1, "wiredTigerEngineRuntimeConfig": "cache_size=3GB"};
    server.command("admin", cache);
    let bytes = data::mongodb::application(&server, "bench", options.size);
    let names = data::mongodb::collections().join(", ");
    let config = |compression: &str| {
        format!(
            "compression: {compression}\n\
             sources: {{hr: {{engine: mongodb, uri: \"{}\", database: bench}}}}\ntenancy: {{field: tenantId}}\n\
             modules: {{all: {{required: true, collections: [{names}]}}}}\n",
            server.uri()
        )
    };
    let (plain, fast) =
        (Ours::new(options, "mongo", &config("default")), Ours::new(options, "mongo-fast", &config("fast")));
    let zstd = Ours::new(options, "mongo-zstd", &config("{algorithm: zstd}"));
    let out = options.folder.join("mongodump");
    let dump = |more: &str| format!("mongodump --quiet --uri '{}' --db bench {more}", server.uri());
    row(
        options,
        "create mongodb",
        bytes,
        vec![
            peer(
                "mongodump",
                "mongodump --archive --gzip",
                dump(&format!("--gzip --archive={}", out.display())),
                out.clone(),
            ),
            peer(
                "mongodump",
                "mongodump --gzip -j4",
                dump(&format!("--gzip -j4 --out {}", out.display())),
                out.clone(),
            ),
            zstd.tool("create, zstd", || zstd.create("")),
            fast.tool("create, fast", || fast.create("")),
            plain.tool("create", || plain.create("")),
        ],
    );
    plain.create("");
    let drop = |name: &str| drop(server.command(name, mongodb::bson::doc! {"dropDatabase": 1}));
    let into = server.uri().replace("/?", "/restored?");
    let restore = format!(
        "mongorestore --quiet --uri '{}' --nsFrom 'bench.*' --nsTo 'restored.*' --gzip -j4 --dir {}",
        server.uri(),
        out.display()
    );
    let prepared = is_installed("mongodump").then(|| shell(&dump(&format!("--gzip --out {}", out.display())), None));
    let nothing = options.folder.join("nothing");
    row(
        options,
        "restore mongodb, indexes included",
        bytes,
        vec![
            peer_after("mongorestore", "mongorestore -j4", restore, nothing, || {
                let _ = prepared;
                drop("restored");
            }),
            plain.tool("restore", || {
                drop("restored");
                plain.run(&format!("restore latest --into 'hr={into}'"))
            }),
        ],
    );
}
