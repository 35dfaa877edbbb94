//! Who else is connected to the server: an application that goes on writing into what is restored loses what it wrote.

use super::{MongoDb, errors};
use crate::error::{Error, Kind, Result};
use bson::{Document, doc};
use futures_util::TryStreamExt;
use std::collections::BTreeMap;

/// Drivers of the servers' own connections to each other.
const INTERNAL: [&str; 2] = ["NetworkInterfaceTL", "MongoDB Internal Client"];

/// Other programs that are connected, each a line with its name, host and number of connections, and whether one of
/// them is using the database now. A connection that idles does not say which database it uses.
pub async fn others(server: &MongoDb) -> Result<Vec<String>> {
    let client = server.database.client();
    let failed = |e: &mongodb::error::Error| match errors::code(e) {
        Some(13) => Error::new(Kind::Connect, "the user lacks the privilege `inprog` (role `clusterMonitor`)"),
        _ => errors::collection(e, "ask for the connections to", server.database.name()),
    };
    let admin = client.database("admin");
    let asked = server.patience.answer(admin.run_command(doc! {"whatsmyuri": 1})).await.map_err(|e| failed(&e))?;
    let ours = host(asked.get_str("you").unwrap_or_default()).to_owned();
    let stages = [doc! {"$currentOp": {"allUsers": true, "idleConnections": true}}];
    let asked = admin.aggregate(stages);
    let cursor = server.patience.answer(asked).await.map_err(|e| failed(&e))?;
    let operations: Vec<Document> = server.patience.answer(cursor.try_collect()).await.map_err(|e| failed(&e))?;
    let mut found: BTreeMap<(String, String), (u64, bool)> = BTreeMap::new();
    for operation in operations {
        let Ok(address) = operation.get_str("client") else { continue };
        let metadata = operation.get_document("clientMetadata").cloned().unwrap_or_default();
        let named = |key: &str| metadata.get_document(key).and_then(|part| part.get_str("name")).ok();
        if named("driver").is_some_and(|driver| INTERNAL.iter().any(|internal| driver.starts_with(internal))) {
            continue;
        }
        let program = operation.get_str("appName").ok().or(named("application")).or(named("driver"));
        let program = program.unwrap_or("a program without a name").to_owned();
        if program == server.app_name && host(address) == ours {
            continue;
        }
        let (connections, at_work) = found.entry((program, host(address).to_owned())).or_default();
        *connections += 1;
        let database = operation.get_str("ns").ok().and_then(|ns| ns.split('.').next());
        *at_work |= operation.get_bool("active").unwrap_or(false) && database == Some(server.database.name());
    }
    let line = |((program, host), (connections, at_work)): ((String, String), (u64, bool))| {
        let now = if at_work { ", using the database now" } else { "" };
        format!("{program} on {host} has {connections} connections to the server{now}")
    };
    Ok(found.into_iter().map(line).collect())
}

/// An address without its port.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}
