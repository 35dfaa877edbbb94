//! Who the tenants are.

use super::License;
use crate::names::TenantId;
use std::collections::BTreeMap;

/// The `tenancy` section.
#[derive(Debug, Clone)]
pub struct Tenancy {
    /// Default owner field of every collection; none: a collection needs its own rule in a tenant run.
    pub field: Option<String>,
    /// The type of tenant ids inside records.
    pub id_type: IdType,
    /// Static tenants.
    pub tenants: BTreeMap<TenantId, Tenant>,
    /// Where the other tenants are written; none: there are no others.
    pub discover: Option<Discovery>,
}

impl Tenancy {
    /// Whether a tenant may exist that is not among [`Tenancy::tenants`]: they are not all known here, or none is listed.
    pub fn is_open(&self) -> bool {
        self.discover.is_some() || self.tenants.is_empty()
    }
}

/// The `tenancy.discover` section: a collection whose records are the tenants. Dots reach into what a field holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// The source that holds it.
    pub source: String,
    /// Its name.
    pub collection: String,
    /// Field with the tenant's id.
    pub id: String,
    /// Field with the tenant's modules, a list of names or a map of switches; none: every enabled one.
    pub modules: Option<String>,
    /// Field with the features the tenant is licensed for, in the same forms; none: the installation's licence decides.
    pub features: Option<String>,
    /// Only records whose fields hold these values.
    pub filter: BTreeMap<String, Plain>,
}

/// A value that a record is chosen by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
}

/// The type of tenant ids inside records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IdType {
    /// A string.
    #[default]
    String,
    /// A MongoDB ObjectId, written as 24 hexadecimal digits.
    ObjectId,
    /// A whole number.
    Int,
    /// A UUID.
    Uuid,
}

/// One static tenant.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    /// Modules this tenant uses; none: every module that is enabled.
    pub modules: Option<Vec<String>>,
    /// This tenant's own licence; none: the installation's decides.
    pub license: Option<License>,
}
