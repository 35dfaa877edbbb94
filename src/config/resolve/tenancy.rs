//! Who the tenants are, and where they are written.

use super::{Resolver, names};
use crate::config::License;
use crate::config::model::{Discovery, IdType, Module, Source, Tenancy, Tenant};
use crate::config::node::At;
use crate::config::raw::{RawDiscovery, RawIdType, RawTenancy};
use crate::names::TenantId;
use std::collections::BTreeMap;

impl Resolver<'_> {
    pub(super) fn tenancy(
        &mut self,
        raw: Option<RawTenancy>,
        modules: &BTreeMap<String, Module>,
        sources: &BTreeMap<String, Source>,
        license: &License,
    ) -> Tenancy {
        let (field, id_type, listed, discover) = raw.map_or((None, None, BTreeMap::new(), None), |tenancy| {
            (tenancy.field, tenancy.id_type, tenancy.tenants, tenancy.discover)
        });
        let discover = discover.and_then(|raw| self.discovery(raw, sources));
        let id_type = match id_type {
            None | Some(RawIdType::String) => IdType::String,
            Some(RawIdType::ObjectId) => IdType::ObjectId,
            Some(RawIdType::Int) => IdType::Int,
            Some(RawIdType::Uuid) => IdType::Uuid,
        };
        if field.as_ref().is_some_and(String::is_empty) {
            self.problem(&At::root("tenancy").key("field"), "must not be empty");
        }
        let mut tenants = BTreeMap::new();
        for (id, tenant) in listed {
            let at = At::root("tenancy").key("tenants").key(&id);
            self.module_names(&at.key("modules"), tenant.modules.as_deref().unwrap_or_default(), modules);
            let license = match (tenant.license, tenant.features) {
                (Some(_), Some(_)) => {
                    self.problem(&at, "must have one of `license` and `features`, not both");
                    None
                }
                (Some(raw), None) => Some(self.license(&at.key("license"), raw, license)),
                (None, features) => features.map(License::plain),
            };
            match TenantId::parse(&id) {
                Ok(id) => {
                    tenants.insert(id, Tenant { modules: tenant.modules, license });
                }
                Err(error) => self.problem(&at, error.message),
            }
        }
        Tenancy { field, id_type, tenants, discover }
    }

    fn discovery(&mut self, raw: RawDiscovery, sources: &BTreeMap<String, Source>) -> Option<Discovery> {
        let at = At::root("tenancy").key("discover");
        // What is missing has been said already.
        let (source, collection, id) = (raw.source?, raw.collection?, raw.id?);
        match sources.get(&source) {
            None => self.unknown(&at.key("source"), "source", &source, names(sources)),
            Some(found) if found.per_tenant => {
                self.problem(&at.key("source"), "is each tenant's own: who they are must be known before it is opened");
            }
            Some(_) => {}
        }
        let paths = [("id", Some(&id)), ("modules", raw.modules.as_ref()), ("features", raw.features.as_ref())];
        for (key, path) in paths {
            if path.is_some_and(|path| !is_path(path)) {
                self.problem(&at.key(key), "must be names of fields with dots between them");
            }
        }
        for path in raw.filter.keys().filter(|path| !is_path(path)) {
            self.problem(&at.key("where").key(path), "must be names of fields with dots between them");
        }
        if collection.is_empty() || collection.contains('\0') {
            self.problem(&at.key("collection"), "is no name of a collection");
        }
        let filter = raw.filter.into_iter().map(|(path, value)| (path, value.0)).collect();
        Some(Discovery { source, collection, id, modules: raw.modules, features: raw.features, filter })
    }
}

/// A `$` would be an operator of MongoDB's.
pub(super) fn is_path(path: &str) -> bool {
    path.split('.').all(|name| !name.is_empty() && !name.starts_with('$') && !name.contains('\0'))
}
