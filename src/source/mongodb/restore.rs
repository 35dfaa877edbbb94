//! Restores a collection: into a staging collection beside the live one, with indexes, counted and digested as the
//! server has it, then renamed into place. Views and time-series collections cannot be renamed: they are made or
//! rewritten in their place, as are collections whose records stay.

use super::among::Among;
use super::build::{
    ALTERED, NAMESPACE_EXISTS, altered, compare, create, drop_collection, entry, fill, start_expiry, stored_error,
    was_filled,
};
use super::compare::fits;
use super::inventory::data_name;
use super::load::digest;
use super::metadata::{self, Listed, Metadata};
use super::{MongoDb, errors, merge, scope};
use crate::error::{Error, Kind, Result};
use crate::source::{Existing, Input, ItemKind, Staged, StoredCollection, Switched};
use bson::{Document, RawDocumentBuf, doc};
use std::io::Read;

/// A collection's options and its 64 indexes are within the 16 MiB of a document, which Extended JSON makes longer.
const LONGEST_METADATA: u64 = 32 << 20;

/// Prefix of the collections a restore is staged in. They can be dropped when no restore is running.
const STAGING: &str = "backup-restore";

/// What is stored of a collection beside its documents, read and as it is.
pub fn stored_metadata(stored: &StoredCollection, input: &dyn Input) -> Result<(Metadata, Vec<u8>)> {
    // The server's own: users, code that it runs. No backup holds them.
    if stored.name.starts_with("system.") || stored.name.is_empty() || stored.name.contains(['$', '\0']) {
        let what = format!("'{}' is no collection that a backup holds", stored.name.escape_debug());
        return Err(Error::new(Kind::Damaged, what));
    }
    let mut body = Vec::new();
    let mut input = input.open(&entry(stored, &stored.name, ".metadata.json"))?.take(LONGEST_METADATA + 1);
    input.read_to_end(&mut body).map_err(|e| stored_error(stored, e))?;
    if body.len() as u64 > LONGEST_METADATA {
        return Err(Error::new(Kind::Damaged, format!("the metadata of {} is too long to be such", stored.name)));
    }
    Ok((metadata::decode(&stored.name, &body)?, body))
}

/// See [`crate::source::Target::stage`].
pub fn stage(
    server: &MongoDb,
    stored: &StoredCollection,
    input: &dyn Input,
    existing: Existing,
    token: &str,
) -> Result<Staged> {
    let (metadata, body) = stored_metadata(stored, input)?;
    let mut staged = Staged {
        name: stored.name.clone(),
        existing,
        staging_name: None,
        identity: None,
        records: stored.records,
        stored: stored.clone(),
        metadata: body,
        warnings: Vec::new(),
    };
    // A tenant's records are always staged: whether they are put in place whole depends on what is there by then.
    let whole = matches!(existing, Existing::Refuse | Existing::Replace) || stored.scope.ownership().is_some();
    let staging = match metadata.kind {
        ItemKind::Collection if whole => metadata.clone(),
        // Its buckets, for the switch to compare with.
        ItemKind::TimeSeries if existing == Existing::Replace => Metadata::plain(),
        _ => {
            // Only read through, so that damage is known before anything is changed.
            if let Some(mut body) = scope::open(stored, &metadata, input)? {
                compare(stored, super::digest_records(&mut body)?)?;
            }
            return Ok(staged);
        }
    };
    // Another restore, perhaps of another machine, may stage into the same database.
    let name = format!("{}{}", prefix(token), bson::oid::ObjectId::new().to_hex());
    staged.staging_name = Some(name.clone());
    let made = create(server, &name, stored, &staging).and_then(|()| {
        let warnings = fill(server, &name, stored, &staging, scope::open(stored, &metadata, input)?)?;
        let listed = server.block(metadata::list(server, doc! {"name": &name}))?;
        Ok((warnings, listed.into_iter().next().and_then(|listed| listed.uuid)))
    });
    match made {
        Ok((warnings, identity)) => Ok(Staged { warnings, identity, ..staged }),
        Err(error) => match discard(server, &staged) {
            Ok(()) => Err(error),
            Err(left) => Err(error.cause(format!("{name} is left behind: {left}"))),
        },
    }
}

fn prefix(token: &str) -> String {
    format!("{STAGING}.{token}.")
}

/// See [`crate::source::Target::sweep`].
pub fn sweep(server: &MongoDb, token: &str) -> Result<Vec<String>> {
    let listed = server.to_the_end(metadata::list(server, doc! {}))?;
    let left: Vec<_> = listed.into_iter().map(|l| l.name).filter(|name| name.starts_with(&prefix(token))).collect();
    left.iter().try_for_each(|name| server.to_the_end(drop_collection(server, name)))?;
    Ok(left)
}

/// See [`crate::source::Target::switch`].
pub fn switch(server: &MongoDb, staged: &Staged, input: &dyn Input) -> Result<Switched> {
    let metadata = metadata::decode(&staged.name, &staged.metadata)?;
    let is_there = server.block(metadata::list(server, doc! {"name": &staged.name}))?.into_iter().next();
    let mut switched =
        Switched { records: staged.stored.records, changes: None, verified: true, warnings: staged.warnings.clone() };
    let is_owned = staged.stored.scope.ownership().is_some();
    let among = staged.existing != Existing::Refuse && is_there.is_some();
    match (metadata.kind, &staged.staging_name) {
        // What is everybody's stays: a view's definition, and a collection that holds others' records, or soon may.
        (ItemKind::View, _) if is_owned && among => {}
        (ItemKind::Collection | ItemKind::TimeSeries, _) if is_owned && let Some(live) = &is_there => {
            let written = write_owned(server, staged, &metadata, live, input)?;
            switched.changes = Some(written.changes);
            switched.verified = written.verified;
            switched.warnings.extend((written.altered > 0).then(|| altered(written.altered)));
            discard(server, staged).map_err(|error| error.kind(Kind::TargetChanged))?;
        }
        (ItemKind::Collection, Some(staging)) => {
            let replaces = !is_owned
                && (staged.existing == Existing::Replace || an_empty_collection_is_there(server, &staged.name)?);
            rename(server, staging, &staged.name, replaces)?;
            let expiring = start_expiry(server, &staged.name, &metadata).map_err(|e| e.kind(Kind::TargetChanged));
            switched.warnings.extend(expiring?);
        }
        (ItemKind::View, _) if among => redefine(server, staged, &metadata)?,
        (ItemKind::Collection | ItemKind::TimeSeries, _) if among => {
            let written = write_among(server, staged, &metadata, input);
            let written = written.map_err(|error| error.kind(Kind::TargetChanged))?;
            switched.changes = Some(written.changes);
            switched.verified = written.verified;
            switched.warnings.extend((written.altered > 0).then(|| altered(written.altered)));
            if staged.existing == Existing::Replace {
                switched.warnings.extend(start_expiry(server, &staged.name, &metadata)?);
            }
        }
        _ => {
            let replaces = an_empty_collection_is_there(server, &staged.name)?;
            switched.warnings.extend(make_in_place(server, staged, &metadata, input, replaces)?);
        }
    }
    switched.verified &= !switched.warnings.iter().any(|warning| warning.contains(ALTERED));
    if metadata.kind == ItemKind::TimeSeries {
        discard(server, staged)?;
    }
    Ok(switched)
}

/// Writes a tenant's records into a collection that stays, with its options and indexes.
fn write_owned(
    server: &MongoDb,
    staged: &Staged,
    metadata: &Metadata,
    live: &Listed,
    input: &dyn Input,
) -> Result<merge::Written> {
    fits(&staged.name, metadata, live)?;
    let existing = match staged.existing {
        Existing::Refuse => an_empty_collection_is_there(server, &staged.name).map(|_| Existing::Add)?,
        existing => existing,
    };
    let (Some(among), Some(mut body)) =
        (Among::of(server, &staged.stored, metadata, live, input)?, scope::open(&staged.stored, metadata, input)?)
    else {
        return Ok(merge::Written::default());
    };
    among.write(&mut body, staged.staging_name.as_deref(), existing)
}

/// Writes into a collection that stays. A time-series collection cannot be renamed: what is stored is written first and
/// what is not stored deleted last, so that no record of both is ever missing.
fn write_among(server: &MongoDb, staged: &Staged, metadata: &Metadata, input: &dyn Input) -> Result<merge::Written> {
    let stored = &staged.stored;
    let (Some(mut body), Some(live)) = (scope::open(stored, metadata, input)?, data_name(&staged.name, metadata.kind))
    else {
        return Ok(merge::Written::default());
    };
    let mut written = merge::write_among(server, &live, stored, &mut body, staged.existing)?;
    if let (Existing::Replace, Some(staging)) = (staged.existing, &staged.staging_name) {
        written.changes.deleted = merge::delete_others(server, &live, staging, &staged.name)?;
        let found = server.block(digest(server, &live))?;
        written.verified &= found.records == stored.records && found.digest == stored.digest;
    }
    Ok(written)
}

/// Gives a view its stored definition.
fn redefine(server: &MongoDb, staged: &Staged, metadata: &Metadata) -> Result<()> {
    if staged.existing == Existing::Add {
        return Ok(());
    }
    let mut command = doc! {"collMod": &staged.name};
    command.extend(definition(&metadata.options));
    let redefined = server.to_the_end(async {
        let done = server.command(command).await;
        done.map(drop).map_err(|e| refusal(&e, "redefine the view", &staged.name))
    });
    redefined.map_err(unanswered)
}

/// What a view shows.
fn definition(options: &Document) -> Document {
    let parts = options.iter().filter(|(key, _)| matches!(key.as_str(), "viewOn" | "pipeline"));
    parts.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// See [`crate::source::Target::resume`].
pub fn resume(
    server: &MongoDb,
    stored: &StoredCollection,
    input: &dyn Input,
    identity: Option<&str>,
) -> Result<Option<Switched>> {
    let (metadata, _) = stored_metadata(stored, input)?;
    let live = server.block(metadata::list(server, doc! {"name": &stored.name}))?.into_iter().next();
    let Some(live) = live.filter(|live| live.kind == metadata.kind) else { return Ok(None) };
    let done = match metadata.kind {
        // A rename keeps the UUID.
        ItemKind::Collection => identity.is_some() && live.uuid.as_deref() == identity,
        ItemKind::View => definition(&live.options) == definition(&metadata.options),
        ItemKind::TimeSeries => false,
    };
    if !done {
        return Ok(None);
    }
    let warnings = start_expiry(server, &stored.name, &metadata)?.into_iter().collect();
    Ok(Some(Switched { records: stored.records, changes: None, verified: true, warnings }))
}

/// Whether an empty collection of that name is there, which may be replaced. Looks for a document: the server's count
/// is wrong after an unclean shutdown.
fn an_empty_collection_is_there(server: &MongoDb, name: &str) -> Result<bool> {
    let existing = server.block(metadata::list(server, doc! {"name": name}))?;
    let Some(existing) = existing.first() else { return Ok(false) };
    let find = async {
        let documents = server.database.collection::<RawDocumentBuf>(name);
        server.patience.answer(documents.find_one(doc! {})).await.map_err(|e| errors::collection(&e, "read", name))
    };
    // A view or a time-series collection is never empty enough to be replaced unasked.
    if existing.kind == ItemKind::Collection && server.block(find)?.is_none() {
        return Ok(true);
    }
    Err(was_filled(name))
}

/// Makes a collection that cannot be renamed under its own name. On failure it is dropped again.
fn make_in_place(
    server: &MongoDb,
    staged: &Staged,
    metadata: &Metadata,
    input: &dyn Input,
    replaces: bool,
) -> Result<Vec<String>> {
    let name = &staged.name;
    let changed = |error: Error| if replaces { error.kind(Kind::TargetChanged) } else { error };
    if replaces {
        server.block(drop_collection(server, name))?;
    }
    create(server, name, &staged.stored, metadata).map_err(changed)?;
    let body = scope::open(&staged.stored, metadata, input);
    let made = body.and_then(|body| fill(server, name, &staged.stored, metadata, body)).and_then(|mut warnings| {
        warnings.extend(start_expiry(server, name, metadata)?);
        Ok(warnings)
    });
    // By now it may hold what others have written; a rerun finishes it.
    if staged.stored.scope.ownership().is_some() {
        return made.map_err(|error| error.kind(Kind::TargetChanged));
    }
    made.map_err(|error| match server.to_the_end(drop_collection(server, name)) {
        Ok(()) => changed(error),
        Err(left) => error.kind(Kind::TargetChanged).cause(format!("and {name} could not be dropped: {left}")),
    })
}

/// See [`crate::source::Target::discard`].
fn discard(server: &MongoDb, staged: &Staged) -> Result<()> {
    match &staged.staging_name {
        Some(name) => server.to_the_end(drop_collection(server, name)),
        None => Ok(()),
    }
}

/// Renames. A target that must be replaced is dropped with it; any other that has come up meanwhile is kept.
fn rename(server: &MongoDb, from: &str, to: &str, replaces: bool) -> Result<()> {
    let database = server.database.name();
    let command = doc! {
        "renameCollection": format!("{database}.{from}"), "to": format!("{database}.{to}"), "dropTarget": replaces,
        "writeConcern": {"w": "majority"},
    };
    let admin = server.database.client().database("admin");
    let renamed = server.to_the_end(async {
        match server.patience.answer(admin.run_command(command)).await {
            Ok(_) => Ok(()),
            Err(e) if errors::code(&e) == Some(NAMESPACE_EXISTS) => Err(was_filled(to)),
            Err(e) => Err(refusal(&e, "put in place", to)),
        }
    });
    renamed.map_err(unanswered)
}

/// The server's refusal of a change; without an answer from it the change may have been made.
fn refusal(error: &mongodb::error::Error, doing: &str, name: &str) -> Error {
    let made = errors::collection(error, doing, name);
    if errors::code(error).is_some() { made } else { made.kind(Kind::TargetChanged) }
}

/// As [`refusal`], when a signal ended the wait for the answer.
fn unanswered(error: Error) -> Error {
    if matches!(error.kind, Kind::Signal(_)) { error.kind(Kind::TargetChanged) } else { error }
}
