//! What a backup needs of a MongoDB server: privileges, snapshots that last long enough, indexes, a clock.

use super::filter::OwnerCheck;
use super::inventory::data_name;
use super::{MongoDb, errors, facts, metadata};
use crate::config::Consistency;
use crate::error::Result;
use crate::source::health::{Finding, Needs, clock, missing_index, readable};
use bson::{Bson, Document, doc};
use std::time::Duration;

/// What a server keeps of the past, unless it is told otherwise.
const WINDOW: Duration = Duration::from_secs(300);

/// Since 5.0 a replica set answers reads as of one moment: wire version 13.
const SNAPSHOTS: i32 = 13;

/// Looks at all of it. What cannot be asked is a finding, too.
pub async fn diagnose(server: &MongoDb, needs: &Needs<'_>) -> Result<Vec<Finding>> {
    let mut found = privileges(server, needs).await?;
    let hello = server.command(doc! {"hello": 1}).await;
    let here = (needs.now)();
    match hello {
        Ok(hello) => {
            found.push(snapshots(server, &hello, needs).await);
            if let Ok(time) = hello.get_datetime("localTime") {
                found.extend(chrono::DateTime::from_timestamp_millis(time.timestamp_millis()).map(|t| clock(t, here)));
            }
        }
        Err(error) => found.push(Finding::from(&errors::collection(&error, "ask for the state of", &server.name))),
    }
    for wanted in needs.owned {
        server.cancel.check()?;
        let Some(owner) = OwnerCheck::of(&wanted.records)? else { continue };
        // Of a time-series collection the owner is looked for in its buckets, which `verify-collections` does.
        if wanted.kind != crate::source::ItemKind::Collection {
            continue;
        }
        let indexes = metadata::indexes(server, &wanted.name).await?;
        if let Some(command) = facts::missing_index(&wanted.name, owner.field(), &indexes) {
            found.push(missing_index(&wanted.name, &command));
        }
    }
    Ok(found)
}

/// Asks each collection for one document: the server alone knows what its roles add up to.
async fn privileges(server: &MongoDb, needs: &Needs<'_>) -> Result<Vec<Finding>> {
    let mut closed = Vec::new();
    let mut found = Vec::new();
    for wanted in needs.wanted {
        server.cancel.check()?;
        let Some(data) = data_name(&wanted.name, wanted.kind) else { continue };
        let asked = doc! {"find": &data, "limit": 1, "singleBatch": true, "projection": {"_id": 1}};
        match server.command(asked).await {
            Ok(_) => {}
            Err(error) if errors::code(&error) == Some(13) => closed.push(wanted.name.clone()),
            Err(error) => found.push(Finding::from(&errors::collection(&error, "read", &wanted.name))),
        }
    }
    let database = server.database.name();
    found.push(match closed.as_slice() {
        [] => readable(needs.wanted.len(), "collection", "collections"),
        closed => Finding::failed(
            format!("the user may not read {}", closed.join(", ")),
            format!("db.grantRolesToUser(USER, [{{role: \"read\", db: \"{database}\"}}]), or the role `backup`"),
        ),
    });
    Ok(found)
}

/// Whether all can be read as of one moment, for as long as that takes.
async fn snapshots(server: &MongoDb, hello: &Document, needs: &Needs<'_>) -> Finding {
    let is_set = hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
    if !is_set || hello.get_i32("maxWireVersion").unwrap_or(0) < SNAPSHOTS {
        let why = if is_set { "the server is older than 5.0" } else { "the server is no replica set" };
        let message = format!("{why}: collections are read one after another, each at its own moment");
        let advice = "make it a replica set of one (`replication.replSetName`, then rs.initiate()) of 5.0 or newer";
        return match needs.consistency {
            Consistency::Required => {
                Finding::failed(format!("{message}, and `consistency: required` asks for one"), advice)
            }
            Consistency::Preferred => Finding::warning(message, advice),
        };
    }
    let admin = server.database.client().database("admin");
    let asked = admin.run_command(doc! {"getParameter": 1, "minSnapshotHistoryWindowInSeconds": 1});
    let answer = server.patience.answer(asked).await.ok();
    let told = answer.as_ref().and_then(|answer| seconds(answer.get("minSnapshotHistoryWindowInSeconds")?));
    let window = told.unwrap_or(WINDOW);
    let kept = match told {
        Some(window) => format!("the server keeps {} s of the past", window.as_secs()),
        // The user may not ask.
        None => format!("the server keeps {} s of the past unless it was told otherwise", window.as_secs()),
    };
    match needs.last_run {
        Some(last) if last >= window => Finding::warning(
            format!("{kept}, and the last backup took {} s: its snapshot may be lost midway", last.as_secs()),
            format!(
                "db.adminCommand({{setParameter: 1, minSnapshotHistoryWindowInSeconds: {}}}), or run when it is less busy",
                last.as_secs().saturating_mul(2)
            ),
        ),
        Some(last) => {
            Finding::ok(format!("one snapshot for all: {kept}, and the last backup took {} s", last.as_secs()))
        }
        None => Finding::ok(format!("one snapshot for all: {kept}")),
    }
}

fn seconds(value: &Bson) -> Option<Duration> {
    let seconds = match value {
        Bson::Int32(n) => u64::try_from(*n).ok()?,
        Bson::Int64(n) => u64::try_from(*n).ok()?,
        Bson::Double(n) => *n as u64,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}
