//! What came of a component: its record in the manifest, and the verdict.

use crate::error::{Error, Result, counted};
use crate::manifest::{Collection, Component, ComponentStatus, Files};
use crate::plan::{PlannedComponent, PlannedItem};
use crate::source::ReadCollection;
use chrono::{DateTime, Utc};

/// A component as the manifest will have it, and what the operator should know of it.
#[derive(Debug)]
pub struct Stored {
    /// The record.
    pub component: Component,
    /// In the order in which it came to light.
    pub warnings: Vec<String>,
}

/// A component of which nothing is stored so far.
pub fn nothing_yet(planned: &PlannedComponent, now: DateTime<Utc>) -> Component {
    Component {
        engine: planned.engine.clone(),
        name: planned.name.clone(),
        module: planned.module.clone(),
        shared_by: planned.shared_by.clone(),
        database: None,
        status: ComponentStatus::Failed,
        error: None,
        archive: None,
        size: 0,
        sha256: None,
        index: None,
        encrypted: !planned.encrypted_to.is_empty(),
        encrypted_to: planned.encrypted_to.names(),
        module_aware: true,
        collections_included: Vec::new(),
        consistency: None,
        server: None,
        collections: Vec::new(),
        files: None,
        timestamp: now,
    }
}

/// Which files are not stored in full.
pub fn damaged_files(files: &Files) -> String {
    let count = counted(files.damaged.len() as u64, "file", "files");
    format!("{count} could not be stored in full, the first: {}", files.damaged[0])
}

/// A component of which nothing exists: absent when all of it is optional, else failed; never zero.
pub fn nothing_there(component: &mut Component, planned: &PlannedComponent) {
    component.collections = planned.items.iter().map(|item| collection_record(item, None).0).collect();
    judge(component);
    if planned.items.is_empty() {
        component.status = ComponentStatus::Failed;
        component.error = Some("the database holds no collections, or does not exist".into());
    }
}

/// A component of which nothing could be had.
pub fn fail_all(component: &mut Component, planned: &PlannedComponent, error: &Error) {
    component.collections =
        planned.items.iter().map(|item| collection_record(item, Some(&Err(error.clone()))).0).collect();
    component.error = Some(error.to_string());
    judge(component);
}

/// The record of a collection of which this was read, and what to warn of.
pub fn collection_record(item: &PlannedItem, result: Option<&Result<ReadCollection>>) -> (Collection, Vec<String>) {
    let mut record = Collection {
        name: item.name.clone(),
        kind: item.kind,
        status: ComponentStatus::Failed,
        error: None,
        documents: 0,
        bytes: 0,
        record_digest: None,
        tenant_rule: item.records.describe(),
    };
    match result {
        Some(Ok(read)) => {
            record.status = ComponentStatus::Complete;
            (record.documents, record.bytes, record.record_digest) = (read.records, read.bytes, Some(read.digest));
            return (record, read.warnings.clone());
        }
        Some(Err(error)) => record.error = Some(error.to_string()),
        None if item.exists => record.error = Some("its reader died".into()),
        // It is no use to make it optional: it would be left out for ever.
        None if item.instead.is_some() => record.error.clone_from(&item.instead),
        None if item.optional => record.status = ComponentStatus::Absent,
        None => record.error = Some("does not exist (declare it `optional: true` if that is right)".into()),
    }
    (record, Vec::new())
}

/// The record of an upload directory before it is read.
pub fn directory_record(item: &PlannedItem) -> Collection {
    let (mut record, _) = collection_record(item, None);
    if item.exists {
        (record.status, record.error) = (ComponentStatus::Complete, None);
    } else if record.status == ComponentStatus::Failed {
        record.error = Some("does not exist: is the disk mounted, and the path right?".into());
    }
    record
}

/// A component is failed when anything in it is, absent when all of it is, complete otherwise.
pub fn judge(component: &mut Component) {
    let of = |status| component.collections.iter().filter(move |c| c.status == status);
    component.collections_included = of(ComponentStatus::Complete).map(|c| c.name.clone()).collect();
    component.status = if component.error.is_some() || of(ComponentStatus::Failed).next().is_some() {
        ComponentStatus::Failed
    } else if component.collections_included.is_empty() {
        ComponentStatus::Absent
    } else {
        ComponentStatus::Complete
    };
    if component.status == ComponentStatus::Failed && component.error.is_none() {
        let failed: Vec<_> = of(ComponentStatus::Failed).map(|c| c.name.as_str()).collect();
        component.error = Some(format!("not stored in full: {}", failed.join(", ")));
    }
}
