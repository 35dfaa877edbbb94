//! One tenant's stored records as another's: the id by which a record names its owner is rewritten as it is read, and
//! nothing else of it. Records that are owned by way of a parent keep their foreign keys, for their parents keep their
//! keys; but where the tenant's id is itself the parent's key, the children name it too.

use crate::error::Result;
use crate::modules::{Hop, Ownership, Records};

/// From whom to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renaming {
    /// How the stored records name their owner.
    pub old: Ownership,
    /// How they are to name him.
    pub new: Ownership,
    /// All that is stored is the tenant's, whether a record names him or not: it is out of a database of his own.
    pub is_whole: bool,
}

impl Renaming {
    /// Which of the stored records it is about.
    pub fn stored(&self) -> Records {
        if self.is_whole { Records::All { shared: false } } else { Records::Owned(self.old.clone()) }
    }

    /// The same for a parent on the way to the owner; none for what is not on it.
    pub fn of_parent(&self, collection: &str) -> Option<Self> {
        let at = self.old.via.iter().position(|hop| hop.parent == collection)?;
        let rest = |ownership: &Ownership| Ownership { via: ownership.via[at + 1..].to_vec(), ..ownership.clone() };
        Some(Self { old: rest(&self.old), new: rest(&self.new), is_whole: self.is_whole })
    }

    /// The field of the records themselves that holds the tenant's id; none where they name a parent by another key.
    /// `below_key` says what of a parent's field is below its key: nothing where it is the key, none where it is not.
    ///
    /// # Errors
    /// When `below_key` fails.
    pub fn field(&self, below_key: &dyn Fn(&Hop, &str) -> Result<Option<String>>) -> Result<Option<String>> {
        let mut field = self.old.field.clone();
        for hop in self.old.via.iter().rev() {
            match below_key(hop, &field)? {
                Some(below) => field = format!("{}{below}", hop.foreign_key),
                None => return Ok(None),
            }
        }
        Ok(Some(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IdType;

    fn renaming(field: &str, via: &[(&str, &str)]) -> Renaming {
        let hop = |(key, parent): &(&str, &str)| Hop { foreign_key: (*key).into(), parent: (*parent).into() };
        let of = |tenant: &str| Ownership {
            tenant: tenant.into(),
            id_type: IdType::String,
            via: via.iter().map(hop).collect(),
            field: field.into(),
        };
        Renaming { old: of("acme"), new: of("birch"), is_whole: false }
    }

    #[test]
    fn only_a_parents_key_that_is_the_tenants_id_is_rewritten_in_its_children() {
        let below = |_: &Hop, field: &str| Ok((field == "id").then(String::new));
        let field = |field: &str, via: &[(&str, &str)]| renaming(field, via).field(&below).unwrap();
        assert_eq!(field("t", &[]).as_deref(), Some("t"));
        assert_eq!(field("t", &[("policy", "policies")]), None);
        assert_eq!(field("id", &[("tenant", "tenants")]).as_deref(), Some("tenant"));
        assert_eq!(field("id", &[("policy", "policies"), ("tenant", "tenants")]), None);
        // A record that has its parent's key for its own passes it on.
        assert_eq!(field("id", &[("of", "details"), ("id", "tenants")]).as_deref(), Some("of"));
    }

    #[test]
    fn a_parent_on_the_way_is_renamed_by_what_is_left_of_it() {
        let all = renaming("t", &[("member", "members"), ("policy", "policies")]);
        assert_eq!(all.of_parent("members").unwrap().old.via, all.old.via[1..]);
        assert!(all.of_parent("policies").unwrap().new.via.is_empty());
        assert_eq!(all.of_parent("countries"), None);
    }
}
