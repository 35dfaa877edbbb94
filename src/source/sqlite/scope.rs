//! One tenant's records, among those that are stored.

use crate::error::{Error, Kind, Result};
use crate::source::{Input, StoredCollection, StreamTotals};

/// See [`crate::source::scope_totals`].
pub fn scope_totals(stored: &StoredCollection, _input: &dyn Input) -> Result<StreamTotals> {
    Err(Error::new(Kind::Internal, format!("{}: a tenant's records cannot be told apart yet", stored.name)))
}
