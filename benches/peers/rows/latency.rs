//! How long others wait for a database that is backed up.

use super::postgres::server;
use crate::foreground::{Beside, CLIENTS, row};
use crate::measure::{is_installed, shell};
use crate::programs::Ours;
use crate::support::mongod::{Kind, Mongod, wait};
use crate::support::postgres::{Database, Version};
use crate::{Options, data};
use mongodb::bson::{Document, doc};
use std::fs;
use std::future::IntoFuture;
use tokio_postgres::NoTls;

/// Every so manieth question is an insert, the others are reads of one record.
const INSERT: u64 = 4;

/// Its rows.
pub fn rows(options: &Options) {
    if options.wants("latency mongodb") {
        mongodb(options);
    }
    if options.wants("latency postgresql") {
        postgres(options);
    }
}

/// What is tried of ours.
fn ours(backup: &Ours) -> Vec<Beside<'_>> {
    vec![
        Beside::backup(backup, "", ""),
        Beside::backup(backup, "", "--jobs 1"),
        Beside::backup(backup, "nice -n 19", ""),
        Beside::backup(backup, "", "--rate-limit 20MiB"),
    ]
}

/// Any of `count` keys, in no order.
fn key(client: usize, number: u64, count: u64) -> u64 {
    data::Random(number * CLIENTS as u64 + client as u64).below(count)
}

fn mongodb(options: &Options) {
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    data::mongodb::application(&server, "bench", options.size);
    let config = format!(
        "sources: {{hr: {{engine: mongodb, uri: \"{}\", database: bench}}}}\n\
         modules: {{all: {{required: true, collections: [{}]}}}}\n",
        server.uri(),
        data::mongodb::collections().join(", ")
    );
    let backup = Ours::new(options, "latency-mongodb", &config);
    let database = server.client().database("bench");
    let users = database.collection::<Document>("users");
    let inserted = database.collection::<Document>("foreground");
    let count = wait(users.estimated_document_count().into_future()).expect("a count") - 1;
    let ask = |client: usize, number: u64| {
        if number.is_multiple_of(INSERT) {
            wait(inserted.insert_one(doc! {"at": number.cast_signed(), "text": "a note"}).into_future())
                .expect("insert");
        } else {
            let id = key(client, number, count).cast_signed();
            wait(users.find_one(doc! {"_id": id}).into_future()).expect("find").expect("a document");
        }
    };
    let mut all = vec![Beside::nobody()];
    if is_installed("mongodump") {
        let out = options.folder.join("latency-mongodump");
        let dump = format!("mongodump --quiet --uri '{}' --db bench --gzip --out {}", server.uri(), out.display());
        all.push(Beside::peer("mongodump --gzip", move || shell(&dump, None)));
    }
    all.extend(ours(&backup));
    row(options, "latency mongodb", all, ask);
}

fn postgres(options: &Options) {
    let database: Database = server().database();
    data::postgres::application(&database, options.size);
    database.run("CREATE TABLE foreground (id bigint GENERATED ALWAYS AS IDENTITY, at bigint, text text)");
    let config = format!(
        "sources: {{pay: {{engine: postgres, uri: \"{}\"}}}}\n\
         modules: {{all: {{required: true, collections: [narrow, wide, notes]}}}}\n",
        database.uri()
    );
    let backup = Ours::new(options, "latency-postgres", &config);
    let count: u64 = database.run("SELECT count(*) FROM narrow").parse().expect("a count");
    let clients = [(); CLIENTS].map(|()| {
        wait(async {
            let (client, connection) = tokio_postgres::connect(&database.uri(), NoTls).await.expect("a connection");
            tokio::spawn(connection);
            let find = client.prepare("SELECT * FROM narrow WHERE id = $1").await.expect("a statement");
            let insert = "INSERT INTO foreground (at, text) VALUES ($1, 'a note')";
            let insert = client.prepare(insert).await.expect("a statement");
            (client, find, insert)
        })
    });
    let ask = |client: usize, number: u64| {
        let (connection, find, insert) = &clients[client];
        if number.is_multiple_of(INSERT) {
            wait(connection.execute(insert, &[&number.cast_signed()])).expect("insert");
        } else {
            let id = (1 + key(client, number, count)).cast_signed();
            wait(connection.query_one(find, &[&id])).expect("a row");
        }
    };
    let out = options.folder.join("latency-pg_dump");
    let program = Version::V15.programs().join("pg_dump");
    let dump = format!("{} -d '{}' -Fd -j2 -f {}", program.display(), database.uri(), out.display());
    let peer = Beside::peer("pg_dump -Fd -j2", || {
        let _ = fs::remove_dir_all(&out);
        shell(&dump, None)
    });
    let mut all = vec![Beside::nobody(), peer];
    all.extend(ours(&backup));
    row(options, "latency postgresql", all, ask);
}
