//! One collection that is restored.

use super::super::{Existing, RestoredCollection};
use crate::error::{Context, Error, Kind, Result};
use crate::source::{Changes, Input, ItemKind, Staged, StoredCollection, Target};

/// One collection on its way.
pub(super) struct Work {
    /// Its number in the journal.
    pub step: usize,
    /// Why it stays as it is, where no earlier run of this restore has put it there.
    pub stays: Option<&'static str>,
    pub source: String,
    /// The backup and archive it is from.
    pub from: String,
    pub archive: usize,
    pub kind: Option<ItemKind>,
    pub stored: StoredCollection,
    /// All of the collection that is stored, where that is more than what is restored.
    pub whole: StoredCollection,
    /// What happens to what is there; nothing may be, where nothing is.
    pub existing: Existing,
    pub changes: Changes,
    pub staged: Option<Staged>,
    /// An earlier run of this restore has put it in place.
    pub done: Option<RestoredCollection>,
}

impl Work {
    pub fn report(&self, changes: Changes, documents: u64, verified: bool) -> RestoredCollection {
        let Changes { created, overwritten, deleted } = changes;
        let (source, name) = (self.source.clone(), self.stored.name.clone());
        RestoredCollection { source, name, created, overwritten, deleted, documents, verified }
    }

    /// Of a tenant that may have nothing there: its records join those of the others. How many it has there already.
    pub fn beside_others(&mut self, target: &dyn Target, input: &dyn Input) -> Result<u64> {
        let found = target
            .compare(&self.stored, input, Existing::Replace)
            .context(|| format!("cannot restore {} into source '{}'", self.stored.name, self.source))?;
        if found.overwritten + found.deleted == 0 {
            self.existing = Existing::Add;
            self.changes = Changes { created: found.created, ..Changes::default() };
        }
        Ok(found.overwritten + found.deleted)
    }

    /// Of what becomes another tenant's: a line on what stands in its way. Any other error stays one.
    pub fn is_taken(&self, error: Error) -> Result<String> {
        match self.stored.renaming.is_some() && error.kind == Kind::Refused {
            true => Ok(std::iter::once(error.to_string()).chain(error.details).collect::<Vec<_>>().join(": ")),
            false => Err(error),
        }
    }

    pub fn is_view(&self) -> bool {
        self.kind == Some(ItemKind::View)
    }

    /// Steps from its records to those that name their owner.
    pub fn depth(&self) -> usize {
        self.stored.scope.ownership().map_or(0, |ownership| ownership.via.len())
    }

    pub fn title(&self) -> String {
        format!("{}.{}", self.source, self.stored.name)
    }

    /// As the journal knows it.
    pub fn describe(&self) -> String {
        let of = self.stored.scope.ownership().map(|_| format!(" where {}", self.stored.scope.describe()));
        let was = self.stored.renaming.as_ref().map(|renaming| format!(", stored as {}'s", renaming.old.tenant));
        let (of, was) = (of.unwrap_or_default(), was.unwrap_or_default());
        format!("{} {} to {}{of}{was}", self.from, self.stored.name, self.source)
    }
}
