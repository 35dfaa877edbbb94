//! PostgreSQL beside pg_dump and pg_restore.

use crate::measure::shell;
use crate::programs::{Ours, peer, peer_after};
use crate::support::postgres::{Database, Postgres, Version};
use crate::table::row;
use crate::{Options, data};
use std::fs;
use std::sync::OnceLock;

/// The server of all rows, with a cache that the data fits into. It writes to disk as one that people work with.
pub fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    let settings = ["shared_buffers=1GB", "maintenance_work_mem=256MB", "max_wal_size=4GB", "fsync=on"];
    SERVER.get_or_init(|| Postgres::start(Version::V15, &settings))
}

/// Its rows.
pub fn rows(options: &Options) {
    let server = server();
    let database: Database = server.database();
    let bytes = data::postgres::application(&database, options.size);
    let config = |compression: &str| {
        format!(
            "compression: {compression}\n\
             sources: {{pay: {{engine: postgres, uri: \"{}\"}}}}\n\
             modules: {{all: {{required: true, collections: [narrow, wide, notes]}}}}\n",
            database.uri()
        )
    };
    let (plain, fast) =
        (Ours::new(options, "postgres", &config("default")), Ours::new(options, "postgres-fast", &config("fast")));
    let zstd = Ours::new(options, "postgres-zstd", &config("{algorithm: zstd}"));
    let zstd_1 = Ours::new(options, "postgres-zstd-1", &config("{algorithm: zstd, level: 1}"));
    let out = options.folder.join("pg_dump");
    let programs = Version::V15.programs();
    let program = |name: &str| programs.join(name).display().to_string();
    let dump = |more: &str| format!("{} -d '{}' {more} -f {}", program("pg_dump"), database.uri(), out.display());
    row(
        options,
        "create postgresql",
        bytes,
        vec![
            peer(&program("pg_dump"), "pg_dump -Fc", dump("-Fc"), out.clone()),
            peer(&program("pg_dump"), "pg_dump -Fd -j2", dump("-Fd -j2"), out.clone()),
            zstd.tool("create, zstd", || zstd.create("")),
            zstd_1.tool("create, zstd level 1", || zstd_1.create("")),
            fast.tool("create, fast", || fast.create("")),
            plain.tool("create", || plain.create("")),
        ],
    );
    plain.create("");
    let _ = fs::remove_dir_all(&out);
    shell(&dump("-Fd -j2"), None);
    let fresh = |name: &str| {
        server.psql("postgres", &format!("DROP DATABASE IF EXISTS {name}"));
        server.psql("postgres", &format!("CREATE DATABASE {name}"));
    };
    let theirs = format!("{} -j2 -d '{}' {}", program("pg_restore"), server.uri("theirs"), out.display());
    let nothing = options.folder.join("nothing");
    row(
        options,
        "restore postgresql, indexes included",
        bytes,
        vec![
            peer_after(&program("pg_restore"), "pg_restore -j2", theirs, nothing, || fresh("theirs")),
            plain.tool("restore", || {
                fresh("ours");
                plain.run(&format!("restore latest --into 'pay={}'", server.uri("ours")))
            }),
        ],
    );
}
