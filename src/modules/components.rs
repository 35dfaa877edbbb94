//! The archives of a run: what goes into which, in the order they are made.

use super::{CollectionSpec, Component, Content, Hop, Ownership, Records};
use crate::config::{Collection, Config, IdType, Module, Owner};
use crate::error::{Error, Kind, Result};
use crate::names::{Scope, TenantId};
use std::collections::{BTreeMap, BTreeSet};

/// Collects the archives of the selected modules.
pub(super) struct Components<'a> {
    config: &'a Config,
    scope: &'a Scope,
    /// By priority and then name.
    modules: Vec<(&'a str, &'a Module)>,
    made: Vec<Component>,
    notes: Vec<String>,
}

/// A collection is the same one when source and name agree.
type Key<'a> = (&'a str, &'a str);

/// What the selected modules together say about one collection.
struct Listing<'a> {
    owner: &'a Owner,
    optional: bool,
    modules: Vec<&'a str>,
}

impl<'a> Components<'a> {
    pub fn new(config: &'a Config, scope: &'a Scope, modules: &'a [String]) -> Self {
        let modules = modules.iter().filter_map(|name| Some((name.as_str(), config.modules.get(name)?))).collect();
        Self { config, scope, modules, made: Vec::new(), notes: Vec::new() }
    }

    /// One archive a module and source; what several selected modules list goes once into `shared/<source>`.
    pub fn add_collections(&mut self) -> Result<()> {
        check_owners_agree(self.config)?;
        let listings = self.listings();
        let mut findings = Vec::new();
        // Grouped by archive; module None is the shared one, which comes last.
        let mut own: Vec<(&str, &str, Vec<CollectionSpec>)> = Vec::new();
        let mut shared: BTreeMap<&str, Vec<CollectionSpec>> = BTreeMap::new();
        let mut done: BTreeSet<Key<'_>> = BTreeSet::new();
        for (name, module) in self.modules.clone() {
            for collection in &module.collections {
                let key = key(collection);
                let Some(listing) = listings.get(&key) else { continue };
                if !done.insert(key) {
                    continue;
                }
                let records = match self.records(collection, listing.owner) {
                    Ok(Some(records)) => records,
                    Ok(None) => continue,
                    Err(finding) => {
                        findings.push(finding);
                        continue;
                    }
                };
                let spec = CollectionSpec {
                    name: collection.name.clone(),
                    optional: listing.optional,
                    records,
                    modules: listing.modules.iter().map(|&m| m.to_owned()).collect(),
                };
                if listing.modules.len() > 1 {
                    shared.entry(key.0).or_default().push(spec);
                } else if let Some(group) = own.iter_mut().find(|(m, s, _)| (*m, *s) == (name, key.0)) {
                    group.2.push(spec);
                } else {
                    own.push((name, key.0, vec![spec]));
                }
            }
        }
        fail_with(findings)?;
        for (module, source, collections) in own {
            self.push_collections(module, Some(module), source, collections);
        }
        for (source, collections) in shared {
            self.push_collections("shared", None, source, collections);
        }
        Ok(())
    }

    fn push_collections(&mut self, folder: &str, module: Option<&str>, source: &str, list: Vec<CollectionSpec>) {
        self.made.push(Component {
            archive: format!("{folder}/{source}"),
            module: module.map(str::to_owned),
            content: Content::Collections { source: source.to_owned(), collections: list },
        });
    }

    fn listings(&self) -> BTreeMap<Key<'a>, Listing<'a>> {
        let mut listings: BTreeMap<Key<'a>, Listing<'a>> = BTreeMap::new();
        for &(name, module) in &self.modules {
            for collection in &module.collections {
                let fresh = Listing { owner: &collection.owner, optional: true, modules: Vec::new() };
                let listing = listings.entry(key(collection)).or_insert(fresh);
                listing.optional &= collection.optional; // needed as soon as one module needs it
                if !listing.modules.contains(&name) {
                    listing.modules.push(name);
                }
            }
        }
        listings
    }

    /// Which records of a collection the scope covers; none when it is left out by its own rule.
    fn records(&mut self, collection: &Collection, owner: &Owner) -> std::result::Result<Option<Records>, String> {
        let Some(tenant) = self.scope.tenant() else {
            if is_own(self.config, &collection.source) {
                let source = &collection.source;
                let note =
                    format!("source '{source}' is left out: each tenant has its own, which the tenant's backup holds");
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
                return Ok(None);
            }
            return Ok(Some(Records::All { shared: matches!(owner, Owner::Shared) }));
        };
        let Collection { name, source, .. } = collection;
        let records = records_of(self.config, tenant, source, name, owner)?;
        if records.is_none() {
            self.notes.push(format!("collection '{source}.{name}' is left out of tenant backups (tenant: excluded)"));
        }
        Ok(records)
    }

    /// Databases outside the modules. They belong to no tenant.
    pub fn add_whole_databases(&mut self) {
        if self.scope.tenant().is_some() {
            return;
        }
        for (name, _) in self.config.sources.iter().filter(|(_, source)| source.whole_database) {
            let content = Content::WholeDatabase { source: name.clone() };
            self.made.push(Component { archive: name.clone(), module: None, content });
        }
    }

    /// Upload directories. A tenant has only what lies under a root that tells whose files are: by its layout, or by the
    /// records that name them.
    pub fn add_uploads(&mut self) {
        let modules: Vec<_> = self.modules.iter().filter(|(_, m)| !m.file_uploads.is_empty()).copied().collect();
        if modules.is_empty() {
            return;
        }
        if self.scope.tenant().is_some() {
            let (own, common): (Vec<_>, Vec<_>) = self.config.uploads.iter().partition(|root| root.tells_tenants());
            for root in common {
                let note = format!(
                    "upload root '{}' is left out: its layout has no {{tenant}}, and no fileReferences say whose its files are",
                    root.name
                );
                self.notes.push(note);
            }
            if own.is_empty() {
                return;
            }
        }
        for (name, module) in modules {
            let mut seen = BTreeSet::new();
            let directories = module.file_uploads.iter().filter(|d| seen.insert(d.as_str())).cloned().collect();
            self.made.push(Component {
                archive: format!("{name}/uploads"),
                module: Some(name.to_owned()),
                content: Content::Uploads { directories },
            });
        }
    }

    /// The `extraFiles` archives. They belong to no tenant.
    pub fn add_extra_files(&mut self) {
        if self.scope.tenant().is_some() {
            return;
        }
        for (name, files) in &self.config.extra_files {
            let content = Content::Extra { name: name.clone(), files: files.clone() };
            self.made.push(Component { archive: name.clone(), module: None, content });
        }
    }

    /// The archives and notes.
    ///
    /// # Errors
    /// [`Kind::Config`] when two archives would have one path: the second would overwrite the first.
    pub fn finish(self) -> Result<(Vec<Component>, Vec<String>)> {
        let mut paths = BTreeSet::new();
        for component in &self.made {
            if !paths.insert(&component.archive) {
                return Err(Error::new(Kind::Config, format!("two archives would be named '{}'", component.archive))
                    .hint("rename the module, source or `extraFiles` entry; `shared` and `uploads` are taken"));
            }
        }
        Ok((self.made, self.notes))
    }
}

/// Whether each tenant has a source of this name of its own.
fn is_own(config: &Config, source: &str) -> bool {
    config.sources.get(source).is_some_and(|source| source.per_tenant)
}

fn key(collection: &Collection) -> Key<'_> {
    (&collection.source, &collection.name)
}

/// Which records of a collection are a tenant's; none when it is in no tenant's backup.
///
/// # Errors
/// Why that cannot be told, for people.
pub fn tenant_records(
    config: &Config,
    tenant: &TenantId,
    source: &str,
    name: &str,
) -> std::result::Result<Option<Records>, String> {
    match find(config, source, name) {
        Some(collection) => records_of(config, tenant, source, name, &collection.owner),
        None => {
            Err(format!("collection '{source}.{name}' is in no module of the configuration, so it has no owner rule"))
        }
    }
}

/// The records of a collection that are somebody's, by whatever id: to ask how well they say whose they are. None where
/// its records are not told apart by owner.
///
/// # Errors
/// As [`tenant_records`].
pub fn anybodys_records(config: &Config, source: &str, name: &str) -> std::result::Result<Option<Records>, String> {
    let id = match config.tenancy.id_type {
        IdType::String | IdType::Int => "0",
        IdType::ObjectId => "000000000000000000000000",
        IdType::Uuid => "00000000-0000-0000-0000-000000000000",
    };
    let tenant = TenantId::parse(id).map_err(|e| e.to_string())?;
    Ok(tenant_records(config, &tenant, source, name)?.filter(|records| records.ownership().is_some()))
}

/// How the records of a collection name their owner, also in a database of the tenant's own, where they need not; none
/// where no rule says it.
pub fn named_owner(config: &Config, tenant: &TenantId, source: &str, name: &str) -> Option<Ownership> {
    let rule = &find(config, source, name)?.owner;
    owned(config, tenant, source, name, rule).ok()?.ownership().cloned()
}

fn find<'c>(config: &'c Config, source: &str, name: &str) -> Option<&'c Collection> {
    let mut all = config.modules.values().flat_map(|module| &module.collections);
    all.find(|collection| collection.source == source && collection.name == name)
}

fn records_of(
    config: &Config,
    tenant: &TenantId,
    source: &str,
    name: &str,
    owner: &Owner,
) -> std::result::Result<Option<Records>, String> {
    match owner {
        Owner::Excluded => Ok(None),
        // All that is in a database of the tenant's own is the tenant's.
        _ if is_own(config, source) => Ok(Some(Records::All { shared: false })),
        Owner::Shared => Ok(Some(Records::All { shared: true })),
        Owner::Unknown => Err(format!(
            "collection '{source}.{name}' has no owner rule: write `{{name: {name}, tenant: {{field: …}}}}`, \
             `tenant: shared` or `tenant: excluded`, or set `tenancy.field`"
        )),
        Owner::Field(_) | Owner::Via { .. } => owned(config, tenant, source, name, owner).map(Some),
    }
}

/// Follows the way to the collection whose records name their owner. That it ends is checked with the configuration.
fn owned(
    config: &Config,
    tenant: &TenantId,
    source: &str,
    name: &str,
    owner: &Owner,
) -> std::result::Result<Records, String> {
    let mut via: Vec<Hop> = Vec::new();
    let mut rule = owner;
    loop {
        match rule {
            Owner::Field(field) => {
                let (tenant, field, id_type) = (tenant.as_str().to_owned(), field.clone(), config.tenancy.id_type);
                return Ok(Records::Owned(Ownership { tenant, id_type, via, field }));
            }
            Owner::Via { parent, foreign_key } => {
                via.push(Hop { foreign_key: foreign_key.clone(), parent: parent.clone() });
                let elsewhere = || {
                    format!(
                        "collection '{source}.{name}' is owned via '{parent}', which is not in source '{source}': \
                         records of several sources cannot be told to belong together"
                    )
                };
                rule = &find(config, source, parent).ok_or_else(elsewhere)?.owner;
            }
            Owner::Shared | Owner::Excluded | Owner::Unknown => {
                let parent = via.last().map(|hop| hop.parent.as_str()).unwrap_or_default();
                return Err(format!(
                    "collection '{source}.{name}' is owned via '{parent}', whose records name no tenant: \
                     give '{parent}' an owner field, or declare '{name}' shared or excluded too"
                ));
            }
        }
    }
}

/// Two modules must say the same of a collection's owner, also when one of them is excluded: a licence change must
/// not change whose data a tenant's backup holds.
fn check_owners_agree(config: &Config) -> Result<()> {
    let mut first: BTreeMap<Key<'_>, (&str, &Owner)> = BTreeMap::new();
    let mut findings = Vec::new();
    for (module, collection) in config.modules.iter().flat_map(|(n, m)| m.collections.iter().map(move |c| (n, c))) {
        let (other, owner) = *first.entry(key(collection)).or_insert((module, &collection.owner));
        if owner != &collection.owner {
            findings.push(format!(
                "modules '{other}' and '{module}' give collection '{}.{}' different `tenant` rules: write the same in both",
                collection.source, collection.name
            ));
        }
    }
    fail_with(findings)
}

/// One finding is the message; several are listed below a count.
fn fail_with(mut findings: Vec<String>) -> Result<()> {
    match findings.len() {
        0 => Ok(()),
        1 => Err(Error::new(Kind::Config, findings.remove(0))),
        n => Err(Error::new(Kind::Config, format!("{n} collections have no usable owner rule")).details(findings)),
    }
}
