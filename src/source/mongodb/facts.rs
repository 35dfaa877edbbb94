//! What is the same for whoever's documents of a collection are read: asked for once, and not for each tenant.

use super::filter::OwnerCheck;
use super::inventory::{count_where, size};
use super::metadata::{self, Listed};
use super::view::MongoView;
use crate::error::{Result, counted};
use crate::source::{Coverage, Wanted};
use bson::Document;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

/// Bytes a batch aims at: below 1 MiB round trips cost, at the default 16 MiB the server stalls between replies.
const BATCH_BYTES: u64 = 2 << 20;

/// By collection and owner field.
pub(super) type FactsByRule = HashMap<(String, Option<String>), Arc<Facts>>;

/// What is the same for whoever's documents of a collection are read.
pub(super) struct Facts {
    pub indexes: Vec<Document>,
    /// Bytes of a document.
    pub average: u64,
    /// Documents that name no owner.
    pub without_owner: u64,
}

impl MongoView<'_> {
    pub(super) async fn facts(&self, wanted: &Wanted, data: &Listed, owner: Option<&OwnerCheck>) -> Result<Arc<Facts>> {
        let key = (wanted.name.clone(), owner.map(|owner| owner.field().to_owned()));
        if let Some(facts) = self.facts.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(facts));
        }
        let server = self.access.server;
        let indexes = metadata::indexes(server, &wanted.name).await?;
        // The names of what a snapshot is read of by UUID are looked at here, once, and not again for each tenant.
        if self.access.is_pinned() {
            self.require_same(wanted).await?;
        }
        let without_owner = match owner {
            Some(owner) => count_where(server, &data.name, owner.without_owner()).await?,
            None => 0,
        };
        let (count, bytes) = size(server, &data.name).await?;
        let average = bytes.checked_div(count).unwrap_or(0).max(16);
        let facts = Arc::new(Facts { indexes, average, without_owner });
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&facts));
        Ok(facts)
    }
}

impl Facts {
    /// Documents in one reply.
    pub fn batch(&self) -> u32 {
        u32::try_from((BATCH_BYTES / self.average).clamp(1, 100_000)).unwrap_or(1000)
    }
}

/// Documents that are nobody's, and the index that is missing.
pub fn coverage(wanted: &Wanted, owner: &OwnerCheck, facts: &Facts) -> Coverage {
    let field = owner.field();
    let count = facts.without_owner;
    let mut coverage = Coverage { without_owner: count, ..Coverage::default() };
    if count > 0 {
        coverage.remarks.push(format!(
            "{} in no tenant's backup",
            counted(
                count,
                &format!("document has no `{field}` and is"),
                &format!("documents have no `{field}` and are")
            )
        ));
    }
    coverage.index = missing_index(&wanted.name, field, &facts.indexes);
    if let Some(command) = &coverage.index {
        coverage.remarks.push(format!("`{field}` has no index, so every document is read: {command}"));
    }
    coverage
}

/// What makes the index on `field`, where none of `indexes` serves.
pub fn missing_index(collection: &str, field: &str, indexes: &[Document]) -> Option<String> {
    let serves = |index: &Document| {
        let first_key = index.get_document("key").ok().and_then(|key| key.keys().next());
        first_key.is_some_and(|key| key == field)
            && !index.contains_key("partialFilterExpression")
            && !index.get_bool("hidden").unwrap_or(false)
    };
    if indexes.iter().any(serves) {
        return None;
    }
    let name = collection.replace('\\', "\\\\").replace('"', "\\\"");
    Some(format!("db.getCollection(\"{name}\").createIndex({{ \"{field}\": 1 }})"))
}
