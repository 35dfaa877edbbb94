//! A tenant's stored documents as another's: of a raw document the value that names the owner is replaced, and the lengths
//! of what it is in; all else stays byte for byte.

use super::filter::{OwnerCheck, Verdict};
use super::key::{Id, id_of};
use super::records::{RawValue, elements};
use crate::error::{Error, Kind, Result};
use crate::modules::{Hop, Ownership, Records};
use crate::source::Renaming;
use bson::{Bson, doc};
use std::borrow::Cow;
use std::collections::HashSet;

/// Renames the owner in documents of one collection.
pub struct Renamer {
    old: OwnerCheck,
    new: OwnerCheck,
    value: Bson,
    is_whole: bool,
}

impl Renamer {
    /// None where the documents do not hold the tenant's id. `placed` finds the field in documents as they are stored.
    ///
    /// # Errors
    /// [`Kind::Config`] when an id is not of its type; as `placed`.
    pub fn of(renaming: &Renaming, placed: impl Fn(OwnerCheck) -> Result<OwnerCheck>) -> Result<Option<Self>> {
        let below_id = |_: &Hop, field: &str| {
            let below = field.strip_prefix("_id").filter(|below| below.is_empty() || below.starts_with('.'));
            Ok(below.map(ToOwned::to_owned))
        };
        let Some(field) = renaming.field(&below_id)? else { return Ok(None) };
        let check = |ownership: &Ownership| {
            let named = Ownership { field: field.clone(), via: Vec::new(), ..ownership.clone() };
            OwnerCheck::of(&Records::Owned(named))?.map(&placed).transpose()
        };
        let (Some(old), Some(new)) = (check(&renaming.old)?, check(&renaming.new)?) else { return Ok(None) };
        let value = new.owner().clone();
        Ok(Some(Self { old, new, value, is_whole: renaming.is_whole }))
    }

    /// The document as the other tenant's.
    ///
    /// # Errors
    /// [`Kind::Refused`] when it does not name the tenant alone: in a database of his own it may name nobody.
    pub fn rename<'d>(&self, document: &'d [u8]) -> Result<Cow<'d, [u8]>> {
        let nobody = HashSet::new();
        match self.old.verdict(document, &nobody) {
            Verdict::Own => {}
            Verdict::Others if self.is_whole => return Ok(document.into()),
            _ => return Err(self.odd("does not name the stored tenant alone")),
        }
        let path: Vec<&[u8]> = self.old.path().split('.').map(str::as_bytes).collect();
        let renamed = replaced(document, &path, &|kind| self.value_as(kind))?;
        match self.new.verdict(&renamed, &nobody) {
            Verdict::Own => Ok(renamed.into()),
            _ => Err(self.odd("would not name the other tenant alone")),
        }
    }

    /// The new id, in the type of number that the old one has where it fits.
    fn value_as(&self, kind: u8) -> Result<Id> {
        const EXACT: u64 = 1 << 53;
        let value = match (&self.value, kind) {
            (Bson::Int64(number), 0x10) => i32::try_from(*number).map_or(self.value.clone(), Bson::Int32),
            (Bson::Int64(number), 0x01) if number.unsigned_abs() <= EXACT => Bson::Double(*number as f64),
            (value, _) => value.clone(),
        };
        let failed = || Error::new(Kind::Internal, "a tenant's id cannot be written");
        let document = bson::serialize_to_vec(&doc! {"_id": value}).map_err(|e| failed().cause(e))?;
        id_of(&document)?.ok_or_else(failed)
    }

    fn odd(&self, what: &str) -> Error {
        Error::new(Kind::Refused, format!("a stored document {what} (`{}`)", self.old.field()))
            .hint("look at it with --to-directory, without --as-tenant")
    }
}

/// The document with another value wherever `path` leads.
fn replaced(document: &[u8], path: &[&[u8]], value: &dyn Fn(u8) -> Result<Id>) -> Result<Vec<u8>> {
    let Some((first, deeper)) = path.split_first() else { return Ok(document.to_vec()) };
    let mut out = vec![0; 4];
    let mut failed = Ok(());
    elements(document, |key, (kind, raw): RawValue<'_>| {
        let element = match kind {
            _ if key != *first => Ok((kind, raw.to_vec())),
            0x03 if !deeper.is_empty() => replaced(raw, deeper, value).map(|inner| (kind, inner)),
            _ if deeper.is_empty() => value(kind),
            _ => Ok((kind, raw.to_vec())),
        };
        match element {
            Ok((kind, raw)) => {
                out.push(kind);
                out.extend_from_slice(key);
                out.push(0);
                out.extend_from_slice(&raw);
            }
            Err(error) => failed = Err(error),
        }
        failed.is_ok()
    })?;
    failed?;
    out.push(0);
    let length = i32::try_from(out.len()).map_err(|e| Error::new(Kind::Refused, "a document is too long").cause(e))?;
    out[..4].copy_from_slice(&length.to_le_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IdType;
    use bson::{Document, oid::ObjectId};

    fn renamer(id_type: IdType, field: &str, (old, new): (&str, &str), is_whole: bool) -> Renamer {
        let of = |tenant: &str| Ownership { tenant: tenant.into(), id_type, via: Vec::new(), field: field.into() };
        let renaming = Renaming { old: of(old), new: of(new), is_whole };
        Renamer::of(&renaming, Ok).unwrap().unwrap()
    }

    fn raw(document: &Document) -> Vec<u8> {
        bson::serialize_to_vec(document).unwrap()
    }

    #[test]
    fn only_the_owner_changes_and_every_length_around_it() {
        let acme = renamer(IdType::String, "owner.in.id", ("acme", "a-longer-name"), false);
        let of = |id: &str| {
            raw(
                &doc! {"_id": 1, "id": id, "owner": {"a": [1, "acme"], "in": {"id": id, "x": "acme"}, "z": 1.5}, "end": "acme"},
            )
        };
        let mut expected: Document = bson::deserialize_from_slice(&of("acme")).unwrap();
        expected.get_document_mut("owner").unwrap().get_document_mut("in").unwrap().insert("id", "a-longer-name");
        assert_eq!(acme.rename(&of("acme")).unwrap(), raw(&expected));
        assert!(acme.rename(&of("birch")).is_err());
        // What no decoder would keep passes as it is: text that is no UTF-8.
        let mut odd = of("acme");
        let at = odd.len() - 4;
        odd[at] = 0xFF;
        let mut renamed = raw(&expected);
        let at = renamed.len() - 4;
        renamed[at] = 0xFF;
        assert_eq!(acme.rename(&odd).unwrap(), renamed);
    }

    #[test]
    fn an_id_keeps_the_type_it_is_stored_in() {
        let seven = renamer(IdType::Int, "t", ("7", "8"), false);
        for (old, new) in
            [(doc! {"t": 7}, doc! {"t": 8}), (doc! {"t": 7i64}, doc! {"t": 8i64}), (doc! {"t": 7.0}, doc! {"t": 8.0})]
        {
            assert_eq!(seven.rename(&raw(&old)).unwrap(), raw(&new));
        }
        let large = renamer(IdType::Int, "t", ("7", "9007199254740993"), false);
        for old in [doc! {"t": 7}, doc! {"t": 7.0}] {
            assert_eq!(large.rename(&raw(&old)).unwrap(), raw(&doc! {"t": 9_007_199_254_740_993i64}));
        }
        let ids = ("507f1f77bcf86cd799439011", "507f1f77bcf86cd799439012");
        let object = renamer(IdType::ObjectId, "_id.t", ids, false);
        let of = |id: &str| raw(&doc! {"_id": {"n": 1, "t": ObjectId::parse_str(id).unwrap()}});
        assert_eq!(object.rename(&of(ids.0)).unwrap(), of(ids.1));
    }

    #[test]
    fn what_does_not_name_the_tenant_alone_is_refused_and_passes_only_where_all_is_his() {
        let both = raw(&doc! {"t": ["acme", "birch"]});
        let nobodys = raw(&doc! {"a": 1});
        for is_whole in [false, true] {
            let acme = renamer(IdType::String, "t", ("acme", "birch"), is_whole);
            assert!(acme.rename(&both).is_err());
            assert_eq!(acme.rename(&nobodys).is_ok_and(|same| same == nobodys), is_whole);
        }
    }
}
