//! Which documents are a tenant's: the filter the server gets, and the check of every document that comes back.
//! A MongoDB equality also matches arrays that hold the value and numbers of other types, so the server's word alone
//! is not enough.

use super::metadata::Listed;
use super::records::elements;
use crate::config::IdType;
use crate::error::{Error, Kind, Result};
use crate::modules::{Ownership, Records};
use bson::{Binary, Bson, Document, doc, oid::ObjectId, spec::BinarySubtype};

/// The owner rule of one collection in one tenant's run.
#[derive(Debug, Clone)]
pub struct OwnerCheck {
    /// As the configuration names it.
    field: String,
    /// Where it is in the stored documents.
    path: String,
    value: Bson,
}

impl OwnerCheck {
    /// The check for `records`; none where all are covered.
    pub fn of(records: &Records) -> Result<Option<Self>> {
        let Some(Ownership { tenant, id_type, via, field }) = records.ownership() else { return Ok(None) };
        crate::source::not_yet(via, "a collection")?;
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
        Ok(Some(Self { field: field.clone(), path: field.clone(), value }))
    }

    /// The check of a time-series collection's buckets, which keep the meta field as `meta`. A bucket holds
    /// measurements of one meta value, so the owner must be part of it.
    ///
    /// # Errors
    /// [`Kind::Source`] when it is not: a bucket may then mix tenants.
    pub fn within_buckets(mut self, listed: &Listed) -> Result<Self> {
        let options = listed.options.get_document("timeseries").ok();
        let meta = options.and_then(|options| options.get_str("metaField").ok());
        let below = meta.and_then(|meta| self.field.strip_prefix(meta));
        match below {
            Some(below) if below.is_empty() || below.starts_with('.') => {
                self.path = format!("meta{below}");
                Ok(self)
            }
            _ => {
                let (name, field) = (&listed.name, &self.field);
                let meta = meta.map_or_else(|| "it has none".to_owned(), |meta| format!("`{meta}`"));
                let what = format!("{name} cannot be cut by tenant: `{field}` is not in its meta field ({meta})");
                Err(Error::new(Kind::Source, what)
                    .hint("a bucket of a time-series collection may mix tenants; declare the collection `tenant: shared` or `tenant: excluded`, or keep the owner in its meta field"))
            }
        }
    }

    /// The filter for the server.
    pub fn filter(&self) -> Document {
        doc! { &self.path: self.value.clone() }
    }

    /// The filter for documents that name no owner.
    pub fn without_owner(&self) -> Document {
        doc! { &self.path: Bson::Null }
    }

    /// The owner field, as the configuration names it.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Whether a raw document is the tenant's: every occurrence of the field on its path must be exactly the value.
    pub fn owns(&self, document: &[u8]) -> bool {
        let path: Vec<&[u8]> = self.path.split('.').map(str::as_bytes).collect();
        owns(document, &path, &self.value) == Some(true)
    }
}

/// None when the field is not there; a second occurrence with another value is a stranger's.
fn owns(document: &[u8], path: &[&[u8]], value: &Bson) -> Option<bool> {
    let (first, deeper) = path.split_first()?;
    let mut found: Option<bool> = None;
    let walked = elements(document, |key, (kind, raw)| {
        if key == *first {
            let here = match (deeper.is_empty(), kind) {
                (true, _) => equals(kind, raw, value),
                (false, 0x03) => owns(raw, deeper, value) == Some(true),
                (false, _) => false,
            };
            found = Some(found.unwrap_or(true) && here);
        }
        true
    });
    walked.ok().and(found)
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

    fn check(id_type: IdType, field: &str, tenant: &str) -> OwnerCheck {
        let (field, tenant) = (field.into(), tenant.into());
        let records = Records::Owned(Ownership { field, tenant, id_type, via: Vec::new() });
        OwnerCheck::of(&records).unwrap().unwrap()
    }

    fn raw(document: &Document) -> Vec<u8> {
        bson::serialize_to_vec(document).unwrap()
    }

    #[test]
    fn only_the_exact_value_is_the_tenants() {
        let acme = check(IdType::String, "t", "acme");
        assert!(acme.owns(&raw(&doc! {"a": 1, "t": "acme"})));
        for other in [
            doc! {"t": "acme2"},
            doc! {"t": ["acme", "birch"]},
            doc! {"t": {"t": "acme"}},
            doc! {"t": Bson::Null},
            doc! {"a": "acme"},
            doc! {"t": Bson::Symbol("acme".into())},
        ] {
            assert!(!acme.owns(&raw(&other)), "{other}");
        }
        let deep = check(IdType::String, "owner.id", "acme");
        assert!(deep.owns(&raw(&doc! {"owner": {"id": "acme"}})));
        assert!(!deep.owns(&raw(&doc! {"owner": [{"id": "acme"}]})));
    }

    #[test]
    fn numbers_compare_by_value_and_not_within_arrays() {
        let seven = check(IdType::Int, "t", "7");
        for whole in [doc! {"t": 7}, doc! {"t": 7i64}, doc! {"t": 7.0}] {
            assert!(seven.owns(&raw(&whole)), "{whole}");
        }
        for other in [doc! {"t": 7.5}, doc! {"t": "7"}, doc! {"t": [7]}] {
            assert!(!seven.owns(&raw(&other)), "{other}");
        }
    }

    #[test]
    fn a_duplicate_field_with_another_value_is_a_strangers() {
        let (one, two) = (raw(&doc! {"t": "acme"}), raw(&doc! {"t": "birch"}));
        let mut both = Vec::from(&one[..one.len() - 1]);
        both.extend_from_slice(&two[4..]);
        let length = i32::try_from(both.len()).unwrap().to_le_bytes();
        both[..4].copy_from_slice(&length);
        assert!(!check(IdType::String, "t", "acme").owns(&both));
    }
}
