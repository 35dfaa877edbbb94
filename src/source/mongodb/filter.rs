//! Which documents are a tenant's: the filter the server gets, and the check of every document that comes back.
//! A MongoDB equality also matches arrays that hold the value and numbers of other types, so the server's word alone
//! is not enough.

use super::key::{Id, Key, key_of};
use super::raw::{self, Builder};
use super::records::{RawValue, elements};
use crate::config::IdType;
use crate::error::{Error, Kind, Result};
use crate::modules::{Ownership, Records};
use bson::{Binary, Bson, Document, doc, oid::ObjectId, spec::BinarySubtype};
use std::collections::HashSet;

/// The owner rule of one collection, for one tenant.
#[derive(Debug, Clone)]
pub struct OwnerCheck {
    /// As the configuration names it: the owner field, or the foreign key.
    field: String,
    /// Where it is in the stored documents.
    path: String,
    /// What it must hold.
    holds: Holds,
}

#[derive(Debug, Clone)]
enum Holds {
    /// The tenant's id.
    Owner(Bson),
    /// The `_id` of a document of the tenant.
    Parent(Box<Parent>),
}

/// A collection that says whose another's documents are.
#[derive(Debug, Clone)]
pub struct Parent {
    /// Its name.
    pub collection: String,
    /// Which of its documents are the tenant's.
    pub check: OwnerCheck,
}

/// Whose a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The tenant's.
    Own,
    /// Somebody else's, or nobody's.
    Others,
    /// The server takes it for the tenant's, but it does not name the tenant alone.
    Unclear,
}

/// The server's order to compare text byte for byte, whatever the collation of a collection.
pub fn simple_collation() -> Document {
    doc! {"locale": "simple"}
}

impl OwnerCheck {
    /// The check for `records`; none where all are covered.
    pub fn of(records: &Records) -> Result<Option<Self>> {
        let Some(Ownership { tenant, id_type, via, field }) = records.ownership() else { return Ok(None) };
        let wrong =
            |what: &str| Error::new(Kind::Config, format!("tenant id '{tenant}' is no {what} (tenancy.idType)"));
        let value = match id_type {
            IdType::String => Bson::String(tenant.clone()),
            IdType::ObjectId => Bson::ObjectId(ObjectId::parse_str(tenant).map_err(|_| wrong("ObjectId"))?),
            IdType::Int => Bson::Int64(tenant.parse().map_err(|_| wrong("whole number"))?),
            IdType::Uuid => {
                let uuid = bson::Uuid::parse_str(tenant).map_err(|_| wrong("UUID"))?;
                Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: uuid.bytes().to_vec() })
            }
        };
        let named = |field: &String, holds| Self { field: field.clone(), path: field.clone(), holds };
        // From the collection that names the owner down to the one in question.
        let down = via.iter().rev().fold(named(field, Holds::Owner(value)), |check, hop| {
            let parent = Parent { collection: hop.parent.clone(), check };
            named(&hop.foreign_key, Holds::Parent(Box::new(parent)))
        });
        Ok(Some(down))
    }

    /// The check of a time-series collection's buckets, which keep the meta field as `meta`. A bucket holds
    /// measurements of one meta value, so the owner must be part of it.
    ///
    /// # Errors
    /// [`Kind::Source`] when it is not: a bucket may then mix tenants.
    pub fn within_buckets(mut self, name: &str, options: &Document) -> Result<Self> {
        let options = options.get_document("timeseries").ok();
        let meta = options.and_then(|options| options.get_str("metaField").ok());
        let below = meta.and_then(|meta| self.field.strip_prefix(meta));
        match below {
            Some(below) if below.is_empty() || below.starts_with('.') => {
                self.path = format!("meta{below}");
                Ok(self)
            }
            _ => {
                let field = &self.field;
                let meta = meta.map_or_else(|| "it has none".to_owned(), |meta| format!("`{meta}`"));
                let what = format!("{name} cannot be cut by tenant: `{field}` is not in its meta field ({meta})");
                Err(Error::new(Kind::Source, what)
                    .hint("a bucket of a time-series collection may mix tenants; declare the collection `tenant: shared` or `tenant: excluded`, or keep the owner in its meta field"))
            }
        }
    }

    /// The collection that says whose the documents are, where they do not say it themselves.
    pub fn parent(&self) -> Option<&Parent> {
        match &self.holds {
            Holds::Owner(_) => None,
            Holds::Parent(parent) => Some(parent),
        }
    }

    /// The collections on the way to the owner, from parent to parent.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.parent(), |parent| parent.check.parent()).map(|parent| parent.collection.as_str())
    }

    /// The filter for the server: documents that name the tenant, or one of the parents with these `_id`s.
    pub fn filter<'i>(&self, ids: impl IntoIterator<Item = RawValue<'i>>) -> Result<Vec<u8>> {
        match &self.holds {
            Holds::Owner(value) => Builder::of(&doc! { &self.path: value.clone() })?.finish(),
            Holds::Parent(_) => raw::among(&self.path, ids),
        }
    }

    /// The filter for documents that name no owner.
    pub fn without_owner(&self) -> Document {
        doc! { &self.path: Bson::Null }
    }

    /// What of a document is needed to tell its key and its owner.
    pub fn projection(&self) -> Document {
        let mut wanted = doc! {"_id": 1};
        if self.path != "_id" && !self.path.starts_with("_id.") {
            wanted.insert(&self.path, 1);
        }
        wanted
    }

    /// The id that the documents name, where they do it themselves.
    pub fn owner(&self) -> Option<&Bson> {
        match &self.holds {
            Holds::Owner(owner) => Some(owner),
            Holds::Parent(_) => None,
        }
    }

    /// The field that is looked at, as the configuration names it.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Where it is in the stored documents.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whose a raw document is: every occurrence of the field on its path must be exactly the tenant's id, or the `_id` of
    /// one of the parents whose keys are given.
    pub fn verdict(&self, document: &[u8], parents: &HashSet<Key>) -> Verdict {
        let (mut exact, mut named, mut resembles) = (true, false, false);
        let walked = each_value(document, &split(&self.path), true, &mut |value, is_direct| match value {
            Some(value) => {
                let is = self.is_expected(value, parents);
                resembles |= is || self.resembles(value);
                named |= is_direct;
                exact &= is || !is_direct;
            }
            None => exact = false,
        });
        match walked {
            Ok(()) if named && exact => Verdict::Own,
            Ok(()) if !resembles => Verdict::Others,
            _ => Verdict::Unclear,
        }
    }

    /// The value by which a document names its owner or its parent; none where it has none, or several.
    pub fn value_of(&self, document: &[u8]) -> Option<Id> {
        value_at(document, &self.path).flatten().filter(|(kind, _)| !matches!(kind, 0x06 | 0x0A))
    }

    fn is_expected(&self, value: RawValue<'_>, parents: &HashSet<Key>) -> bool {
        match &self.holds {
            Holds::Owner(owner) => equals(value.0, value.1, owner),
            Holds::Parent(_) => key_of(value).is_some_and(|key| parents.contains(&key)),
        }
    }

    /// Whether the server may take it for the tenant's id.
    fn resembles(&self, value: RawValue<'_>) -> bool {
        match &self.holds {
            Holds::Owner(owner) => raw::key(owner).is_some_and(|owner| key_of(value) == Some(owner)),
            Holds::Parent(_) => false,
        }
    }
}

/// The one value at a path, if there is any; none where there are several, or an array or a value is in the way.
pub fn value_at(document: &[u8], path: &str) -> Option<Option<Id>> {
    let (mut found, mut values, mut is_plain) = (None, 0, true);
    let walked = each_value(document, &split(path), true, &mut |value, is_direct| {
        values += 1;
        is_plain &= is_direct && value.is_some_and(|(kind, _)| kind != 0x04);
        found = value.map(|(kind, raw)| (kind, raw.to_vec()));
    });
    (walked.is_ok() && is_plain && values <= 1).then_some(found)
}

fn split(path: &str) -> Vec<&[u8]> {
    path.split('.').map(str::as_bytes).collect()
}

/// Calls `each` with every value on the path, and whether it is reached without passing through an array, as the
/// server passes through them; with none where something else is in the way.
fn each_value(
    document: &[u8],
    path: &[&[u8]],
    is_direct: bool,
    each: &mut dyn FnMut(Option<RawValue<'_>>, bool),
) -> Result<()> {
    let Some((first, deeper)) = path.split_first() else { return Ok(()) };
    let mut failed = Ok(());
    elements(document, |key, (kind, raw)| {
        if key != *first {
            return true;
        }
        let walked = match (deeper.is_empty(), kind) {
            (false, 0x03) => each_value(raw, deeper, is_direct, each),
            (true, 0x04) => {
                each(Some((kind, raw)), is_direct);
                elements(raw, |_, within| {
                    each(Some(within), false);
                    true
                })
            }
            (true, _) => {
                each(Some((kind, raw)), is_direct);
                Ok(())
            }
            (false, 0x04) => {
                each(None, is_direct);
                let mut within = Ok(());
                elements(raw, |_, (kind, raw)| {
                    if kind == 0x03 {
                        within = each_value(raw, deeper, false, each);
                    }
                    within.is_ok()
                })
                .and(within)
            }
            (false, _) => {
                each(None, is_direct);
                Ok(())
            }
        };
        failed = walked;
        failed.is_ok()
    })?;
    failed
}

fn equals(kind: u8, raw: &[u8], value: &Bson) -> bool {
    match (kind, value) {
        (0x02, Bson::String(text)) => raw.get(4..raw.len().saturating_sub(1)) == Some(text.as_bytes()),
        (0x07, Bson::ObjectId(id)) => raw == id.bytes(),
        (0x05, Bson::Binary(binary)) => raw.get(4) == Some(&4) && raw.get(5..) == Some(&binary.bytes[..]),
        (0x10, Bson::Int64(number)) => raw.first_chunk().is_some_and(|b| i64::from(i32::from_le_bytes(*b)) == *number),
        (0x12, Bson::Int64(number)) => raw.first_chunk().is_some_and(|b| i64::from_le_bytes(*b) == *number),
        // Shells and JavaScript drivers store whole numbers as doubles; up to 2^53 they are exact.
        (0x01, Bson::Int64(number)) => raw.first_chunk().is_some_and(|b| {
            let double = f64::from_le_bytes(*b);
            number.unsigned_abs() <= 1 << 53 && double == *number as f64
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::Hop;

    fn check(id_type: IdType, field: &str, tenant: &str) -> OwnerCheck {
        check_via(id_type, field, tenant, Vec::new())
    }

    fn check_via(id_type: IdType, field: &str, tenant: &str, via: Vec<Hop>) -> OwnerCheck {
        let (field, tenant) = (field.into(), tenant.into());
        OwnerCheck::of(&Records::Owned(Ownership { field, tenant, id_type, via })).unwrap().unwrap()
    }

    fn owns(check: &OwnerCheck, document: &[u8]) -> bool {
        check.verdict(document, &HashSet::new()) == Verdict::Own
    }

    fn raw(document: &Document) -> Vec<u8> {
        bson::serialize_to_vec(document).unwrap()
    }

    #[test]
    fn only_the_exact_value_is_the_tenants() {
        let acme = check(IdType::String, "t", "acme");
        assert!(owns(&acme, &raw(&doc! {"a": 1, "t": "acme"})));
        for other in [
            doc! {"t": "acme2"},
            doc! {"t": ["acme", "birch"]},
            doc! {"t": {"t": "acme"}},
            doc! {"t": Bson::Null},
            doc! {"a": "acme"},
            doc! {"t": Bson::Symbol("acme".into())},
        ] {
            assert!(!owns(&acme, &raw(&other)), "{other}");
        }
        let deep = check(IdType::String, "owner.id", "acme");
        assert!(owns(&deep, &raw(&doc! {"owner": {"id": "acme"}})));
        assert!(!owns(&deep, &raw(&doc! {"owner": [{"id": "acme"}]})));
    }

    #[test]
    fn numbers_compare_by_value_and_not_within_arrays() {
        let seven = check(IdType::Int, "t", "7");
        for whole in [doc! {"t": 7}, doc! {"t": 7i64}, doc! {"t": 7.0}] {
            assert!(owns(&seven, &raw(&whole)), "{whole}");
        }
        for other in [doc! {"t": 7.5}, doc! {"t": "7"}, doc! {"t": [7]}] {
            assert!(!owns(&seven, &raw(&other)), "{other}");
        }
    }

    #[test]
    fn a_duplicate_field_with_another_value_is_a_strangers() {
        let (one, two) = (raw(&doc! {"t": "acme"}), raw(&doc! {"t": "birch"}));
        let mut both = Vec::from(&one[..one.len() - 1]);
        both.extend_from_slice(&two[4..]);
        let length = i32::try_from(both.len()).unwrap().to_le_bytes();
        both[..4].copy_from_slice(&length);
        assert!(!owns(&check(IdType::String, "t", "acme"), &both));
    }
}
