//! Modules: collections and where they live, owners, relationships, dependencies.

use super::{Resolver, names};
use crate::config::either::Either;
use crate::config::model::{BeforeBackup, Collection, Module, Owner, Relationship, Source, Verification};
use crate::config::node::At;
use crate::config::raw::{
    RawBeforeBackup, RawCollection, RawModule, RawOwnerRule, RawOwnerWord, RawRelationship, RawVerification,
};
use std::collections::{BTreeMap, BTreeSet};

impl Resolver<'_> {
    pub(super) fn modules(
        &mut self,
        raw: BTreeMap<String, RawModule>,
        sources: &BTreeMap<String, Source>,
        field: Option<&str>,
    ) -> BTreeMap<String, Module> {
        let mut made = BTreeMap::new();
        let mut relationships = Vec::new();
        for (name, module) in raw {
            let at = At::root("modules").key(&name);
            self.name(&at, "a module", &name);
            relationships.push((name.clone(), module.relationships));
            if let Some(source) = &module.source {
                self.source(&at.key("source"), source, sources);
            }
            let listed = module.collections;
            let collections = self.collections(&at.key("collections"), listed, module.source, sources, field);
            for (index, directory) in module.file_uploads.iter().enumerate() {
                let at = at.key("fileUploads").index(index);
                if directory.split('/').any(|part| matches!(part, "" | "." | "..")) {
                    self.problem(&at, "must be a relative path without empty, `.` and `..` parts");
                } else if module.file_uploads[..index].contains(directory) {
                    self.problem(&at, format!("'{directory}' is listed twice"));
                }
            }
            let display_name = module.display_name.unwrap_or_else(|| name.clone());
            let resolved = Module {
                display_name,
                required: module.required.unwrap_or(false),
                priority: module.priority.unwrap_or(100),
                license_feature: module.license_feature,
                dependencies: module.dependencies,
                collections,
                file_uploads: module.file_uploads,
                relationships: Vec::new(),
                sealing: self.sealing(&at, module.encrypt, &module.recipients),
            };
            made.insert(name, resolved);
        }
        for (name, listed) in relationships {
            let found = self.relationships(&name, listed, &made);
            if let Some(module) = made.get_mut(&name) {
                module.relationships = found;
            }
        }
        self.dependencies(&made);
        self.parents(&made);
        made
    }

    fn source(&mut self, at: &At, name: &str, sources: &BTreeMap<String, Source>) {
        match sources.get(name) {
            None => self.unknown(at, "source", name, names(sources)),
            Some(source) if source.whole_database => {
                self.problem(at, format!("source '{name}' is wholeDatabase: modules cannot list collections of it"));
            }
            Some(_) => {}
        }
    }

    fn collections(
        &mut self,
        at: &At,
        listed: Vec<Either<String, RawCollection>>,
        default: Option<String>,
        sources: &BTreeMap<String, Source>,
        field: Option<&str>,
    ) -> Vec<Collection> {
        let usable: Vec<&String> = sources.iter().filter(|(_, s)| !s.whole_database).map(|(name, _)| name).collect();
        let mut seen = BTreeSet::new();
        let mut made = Vec::new();
        for (index, entry) in listed.into_iter().enumerate() {
            let at = at.index(index);
            let (name, source, optional, tenant) = match entry {
                Either::Word(name) => (name, None, false, None),
                Either::Map(c) => match c.name {
                    Some(name) => (name, c.source, c.optional.unwrap_or(false), c.tenant),
                    None => continue,
                },
            };
            if name.is_empty() || name.contains('\0') {
                self.problem(&at, "is no name of a collection");
            }
            if let Some(source) = &source {
                self.source(&at.key("source"), source, sources);
            }
            let source = match (source.or_else(|| default.clone()), usable.as_slice()) {
                (Some(source), _) => source,
                (None, [only]) => (*only).clone(),
                (None, []) => {
                    self.problem(&at, "no source can hold it: configure one under `sources`");
                    continue;
                }
                (None, _) => {
                    self.problem(&at, "needs `source`, here or on the module: there are several sources");
                    continue;
                }
            };
            if !seen.insert((source.clone(), name.clone())) {
                self.problem(&at, format!("collection '{}' is listed twice in this module", name.escape_debug()));
            }
            let owner = match tenant {
                None => field.map_or(Owner::Unknown, |field| Owner::Field(field.to_owned())),
                Some(Either::Word(RawOwnerWord::Shared)) => Owner::Shared,
                Some(Either::Word(RawOwnerWord::Excluded)) => Owner::Excluded,
                Some(Either::Map(RawOwnerRule { field: Some(field), via: None, foreign_key: None })) => {
                    Owner::Field(field)
                }
                Some(Either::Map(RawOwnerRule { field: None, via: Some(parent), foreign_key: Some(foreign_key) })) => {
                    Owner::Via { parent, foreign_key }
                }
                Some(Either::Map(_)) => {
                    self.problem(&at.key("tenant"), "must have `field`, or `via` with `foreignKey`");
                    Owner::Unknown
                }
            };
            made.push(Collection { name, source, optional, owner });
        }
        made
    }

    fn relationships(
        &mut self,
        module: &str,
        listed: Vec<RawRelationship>,
        modules: &BTreeMap<String, Module>,
    ) -> Vec<Relationship> {
        let mut made = Vec::new();
        for (index, written) in listed.into_iter().enumerate() {
            let at = At::root("modules").key(module).key("relationships").index(index);
            let (Some(parent), Some(child), Some(foreign_key)) = (written.parent, written.child, written.foreign_key)
            else {
                continue;
            };
            let before = self.problems.len();
            self.collection(&at.key("parent"), &parent, modules);
            self.collection(&at.key("child"), &child, modules);
            // The module's own collections come first: a name may be in several sources.
            let own = modules.get(module).into_iter().flat_map(|module| &module.collections);
            let all = || own.clone().chain(modules.values().flat_map(|module| &module.collections));
            let children = all().filter(|c| c.name == child);
            let holds_parent = |c: &&Collection| all().any(|p| p.name == parent && p.source == c.source);
            match children.clone().find(holds_parent).map(|c| c.source.clone()) {
                Some(source) => made.push(Relationship { parent, child, foreign_key, source }),
                None if self.problems.len() == before => {
                    self.problem(&at, "parent and child are in different sources");
                }
                None => {}
            }
        }
        made
    }

    fn collection(&mut self, at: &At, name: &str, modules: &BTreeMap<String, Module>) {
        let known = modules.values().flat_map(|module| &module.collections).map(|c| c.name.as_str());
        if !known.clone().any(|collection| collection == name) {
            self.unknown(at, "collection", name, known);
        }
    }

    fn dependencies(&mut self, modules: &BTreeMap<String, Module>) {
        for (name, module) in modules {
            let at = At::root("modules").key(name).key("dependencies");
            self.module_names(&at, &module.dependencies, modules);
            let next = |from: &String| modules.get(from).map(|m| m.dependencies.clone()).unwrap_or_default();
            if let Some(cycle) = cycle(name, next) {
                self.problem(&at, format!("the modules depend on each other: {}", cycle.join(" -> ")));
            }
        }
    }

    /// Checks a list of modules.
    pub(super) fn module_names(&mut self, at: &At, listed: &[String], modules: &BTreeMap<String, Module>) {
        for (index, name) in listed.iter().enumerate() {
            if !modules.contains_key(name) {
                self.unknown(&at.index(index), "module", name, names(modules));
            } else if listed[..index].contains(name) {
                self.problem(&at.index(index), format!("'{name}' is listed twice"));
            }
        }
    }

    fn parents(&mut self, modules: &BTreeMap<String, Module>) {
        let mut parents: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for collection in modules.values().flat_map(|module| &module.collections) {
            if let Owner::Via { parent, .. } = &collection.owner {
                parents.entry(collection.name.clone()).or_default().push(parent.clone());
            }
        }
        let next = |from: &String| parents.get(from).cloned().unwrap_or_default();
        for (name, module) in modules {
            for collection in &module.collections {
                let Owner::Via { parent, .. } = &collection.owner else { continue };
                let at = self.written(name, &collection.name).key("tenant").key("via");
                self.collection(&at, parent, modules);
                if let Some(cycle) = cycle(&collection.name, next) {
                    self.problem(&at, format!("owners go round in a circle: {}", cycle.join(" -> ")));
                }
            }
        }
    }

    /// Where a module's collection of this name is written in detail.
    fn written(&self, module: &str, collection: &str) -> At {
        let list = At::root("modules").key(module).key("collections");
        let written = self.root.locate(&list).0.to_json();
        let index = written.as_array().and_then(|items| items.iter().position(|item| item["name"] == collection));
        index.map_or(list.clone(), |index| list.index(index))
    }

    pub(super) fn verification(
        &mut self,
        raw: Option<RawVerification>,
        modules: &BTreeMap<String, Module>,
    ) -> Verification {
        let Some(raw) = raw else { return Verification::default() };
        let at = At::root("verification");
        for (index, name) in raw.critical_collections.iter().enumerate() {
            self.collection(&at.key("criticalCollections").index(index), name, modules);
        }
        for name in raw.minimum_records.keys() {
            self.collection(&at.key("minimumRecords").key(name), name, modules);
        }
        Verification {
            critical_collections: raw.critical_collections,
            minimum_records: raw.minimum_records,
            before_backup: match raw.before_backup {
                Some(RawBeforeBackup::Warn) => BeforeBackup::Warn,
                Some(RawBeforeBackup::Refuse) => BeforeBackup::Refuse,
                Some(RawBeforeBackup::Off) | None => BeforeBackup::Off,
            },
        }
    }
}

/// The way from `start` back to itself, when there is one.
fn cycle(start: &String, next: impl Fn(&String) -> Vec<String>) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start.clone()]];
    while let Some(way) = ways.pop() {
        for to in way.last().map(&next).unwrap_or_default() {
            let mut longer = way.clone();
            longer.push(to.clone());
            if to == *start {
                return Some(longer);
            }
            if seen.insert(to) {
                ways.push(longer);
            }
        }
    }
    None
}
