//! Files of common folders against the records that name them: files that no record names, and records that name files
//! which are not there. Records and files are streamed; of the names no more is held than hashes of a million at once.

use super::compare::Expectation;
use super::{Look, Report, VerificationStatus, wanted};
use crate::config::{Config, Consistency, UploadRoot};
use crate::error::{Context, Result, counted};
use crate::modules::{self, Reference};
use crate::names::Scope;
use crate::pipeline::Cancel;
use crate::source::files::{self, Tally, path_of};
use crate::source::{Level, View, Wanted};
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_128;

/// Names whose hashes are held. Where there are more, records and files are gone through again for each as many.
const AT_ONCE: u64 = 1_000_000;

/// One upload root.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadsReport {
    /// The root's name.
    pub uploads: String,
    /// What its records name.
    pub references: Vec<ReferenceReport>,
    /// Files that no record names; none for a tenant, a few modules, or where not all records could be asked.
    pub unnamed_files: Option<Unnamed>,
}

/// One collection whose records name files.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceReport {
    /// The collection.
    pub collection: String,
    /// The field.
    pub field: String,
    /// How often a file is named.
    pub names: u64,
    /// Names of files that are not there.
    pub absent: Tally,
    /// Names that are not taken: that lead out of the root, or into no module's folder.
    pub refused: Tally,
}

/// Files that no record names.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unnamed {
    /// How many.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The first five.
    pub samples: Vec<String>,
}

/// Looks at every upload root whose files records name. `everything`: not at a few modules alone.
pub(super) fn check(
    look: &mut Look<'_>,
    expectation: &Expectation,
    everything: bool,
    report: &mut Report,
) -> Result<()> {
    let config = look.config;
    let all = match look.tenant {
        Some(tenant) => modules::tenant_references(config, tenant)?,
        None => modules::all_references(config),
    };
    for root in config.uploads.iter().filter(|root| !root.references.is_empty()) {
        let mut is_whole = everything && look.tenant.is_none();
        let mut asked = Vec::new();
        for reference in all.iter().filter(|reference| reference.root == root.name) {
            let rule = &reference.rule;
            let key = (rule.source.clone(), rule.collection.clone());
            let is_known = config.sources.get(&rule.source).is_some_and(|s| !s.per_tenant || look.tenant.is_some());
            if !(is_known && (everything || expectation.expected.contains_key(&key))) {
                is_whole = false;
                continue;
            }
            let live = look.at(&rule.source)?;
            match live.inventory.items.get(&rule.collection) {
                Some(item) => {
                    asked.push((reference, wanted(&rule.collection, item, reference.records.clone()), item.records))
                }
                None if reference.optional => {}
                None => {
                    is_whole = false;
                    let what = format!("which files of '{}' its records name was not checked", root.name);
                    report.find(VerificationStatus::Warning, format!("'{}' does not exist: {what}", rule.collection));
                }
            }
        }
        let mut views = Vec::new();
        for (reference, wanted, _) in &asked {
            let live = look.sources.get(&reference.rule.source);
            let view = live.map(|live| {
                live.source.open_view(std::slice::from_ref(wanted), Consistency::Preferred, Level::Snapshot)
            });
            views.push(view.transpose()?);
        }
        let questions: Vec<Question<'_>> = asked
            .iter()
            .zip(&views)
            .filter_map(|((reference, wanted, _), view)| Some(Question { reference, wanted, view: view.as_deref()? }))
            .collect();
        let found = of_root(config, root, &questions, (is_whole, AT_ONCE), look.cancel)?;
        for (references, (.., records)) in found.references.iter().zip(&asked) {
            tell(root, references, look.tenant.is_none() && *records > 0, report);
        }
        if let Some(unnamed) = found.unnamed_files.as_ref().filter(|unnamed| unnamed.count > 0) {
            let (name, size) = (&root.name, crate::event::bytes(unnamed.bytes));
            let [one, several] = [format!("file of '{name}' ({size}) is"), format!("files of '{name}' ({size}) are")];
            let (files, samples) = (counted(unnamed.count, &one, &several), unnamed.samples.join(", "));
            let finding = format!("{files} named by no record (such as {samples})");
            report.find(VerificationStatus::Warning, finding);
        }
        report.file_references.push(found);
    }
    Ok(())
}

/// Says what is wrong with the names that one collection's records hold.
fn tell(root: &UploadRoot, found: &ReferenceReport, should_name: bool, report: &mut Report) {
    let ReferenceReport { collection, field, names, absent, refused } = found;
    let place = format!("`{field}` of '{collection}'");
    let mut find = |finding| report.find(VerificationStatus::Warning, finding);
    if absent.count > 0 {
        let [one, several] = [format!("name in {place} leads"), format!("names in {place} lead")];
        let (names, samples) = (counted(absent.count, &one, &several), absent.samples.join(", "));
        find(format!("{names} to no file of '{}' (such as {samples})", root.name));
    }
    if refused.count > 0 {
        let [one, several] = [format!("value in {place} is no path"), format!("values in {place} are no paths")];
        let (values, samples) = (counted(refused.count, &one, &several), refused.samples.join(", "));
        find(format!("{values} in '{}' (such as {samples})", root.name));
    }
    if should_name && *names == 0 && refused.count == 0 {
        find(format!("no record of '{collection}' names a file in `{field}`: is that the right field?"));
    }
}

/// Records to be asked.
struct Question<'a> {
    reference: &'a Reference,
    wanted: &'a Wanted,
    view: &'a dyn View,
}

fn of_root(
    config: &Config,
    root: &UploadRoot,
    questions: &[Question<'_>],
    (is_whole, at_once): (bool, u64),
    cancel: &Cancel,
) -> Result<UploadsReport> {
    let mut lot = Lot { limit: at_once, ..Lot::default() };
    let references = ask(config, root, questions, &mut lot, cancel)?;
    let mut unnamed = Unnamed::default();
    if is_whole {
        let total: u64 = references.iter().map(|reference| reference.names).sum();
        // Where all fitted, the first lot is the only one.
        let lots = if lot.overflowed { total / at_once + 1 } else { 1 };
        for number in 0..lots {
            if lot.overflowed || number > 0 {
                lot = Lot { number, lots, ..Lot::default() };
                ask(config, root, questions, &mut lot, cancel)?;
            }
            pass(config, root, &lot, &mut unnamed, cancel)?;
            lot.overflowed = false;
        }
    }
    Ok(UploadsReport { uploads: root.name.clone(), references, unnamed_files: is_whole.then_some(unnamed) })
}

/// Hashes of some of the names: of those that fall into this lot.
struct Lot {
    number: u64,
    lots: u64,
    limit: u64,
    hashes: HashSet<u128>,
    overflowed: bool,
}

impl Default for Lot {
    fn default() -> Self {
        Self { number: 0, lots: 1, limit: u64::MAX, hashes: HashSet::new(), overflowed: false }
    }
}

impl Lot {
    /// The hash of a path, where it falls into this lot.
    fn hash(&self, path: &[u8]) -> Option<u128> {
        let hash = xxh3_128(path);
        (hash % u128::from(self.lots) == u128::from(self.number)).then_some(hash)
    }

    fn add(&mut self, path: &[u8]) {
        if self.hashes.len() as u64 >= self.limit {
            self.overflowed = true;
        } else if let Some(hash) = self.hash(path) {
            self.hashes.insert(hash);
        }
    }
}

/// Goes through the records once.
fn ask(
    config: &Config,
    root: &UploadRoot,
    questions: &[Question<'_>],
    lot: &mut Lot,
    cancel: &Cancel,
) -> Result<Vec<ReferenceReport>> {
    let there = files::Look::at(root)?;
    let folders = root.folders(config);
    let mut found = Vec::new();
    for Question { reference, wanted, view } in questions {
        let rule = &reference.rule;
        let (mut names, mut absent, mut refused) = (0, Tally::default(), Tally::default());
        let is_within = |path: &[u8]| {
            let mut rests = folders.iter().filter_map(|folder| path.strip_prefix(folder.as_bytes()));
            rests.any(|rest| rest.starts_with(b"/"))
        };
        view.texts(wanted, &rule.field, &mut |text| {
            cancel.check()?;
            let Some(text) = text else {
                refused.add(b"a value that is no text", "");
                return Ok(());
            };
            match path_of(rule, text) {
                Ok(None) => {}
                Ok(Some(path)) if is_within(&path) => {
                    names += 1;
                    if let Some(reason) = there.lacks(&path) {
                        absent.add(&path, &reason);
                    }
                    lot.add(&path);
                }
                Ok(Some(_)) => refused.add(text, "in no module's upload directory"),
                Err(reason) => refused.add(text, reason),
            }
            Ok(())
        })
        .context(|| format!("{}: which files the records name", rule.written))?;
        let (collection, field) = (rule.collection.clone(), rule.field.clone());
        found.push(ReferenceReport { collection, field, names, absent, refused });
    }
    Ok(found)
}

/// Goes through the files once.
fn pass(config: &Config, root: &UploadRoot, lot: &Lot, unnamed: &mut Unnamed, cancel: &Cancel) -> Result<()> {
    let mut directories: Vec<_> = config.modules.values().flat_map(|m| &m.file_uploads).cloned().collect();
    directories.sort();
    directories.dedup();
    let trees = files::uploads(std::slice::from_ref(root), &directories, &Scope::SystemWide);
    let mut samples = Tally { count: unnamed.count, samples: std::mem::take(&mut unnamed.samples) };
    files::each_file(&trees, cancel, &mut |stored_as, size| {
        // Behind the root's name.
        let path = stored_as.get(root.name.len() + 1..).unwrap_or_default();
        if lot.hash(path).is_some_and(|hash| !lot.hashes.contains(&hash)) {
            samples.add(path, "");
            unnamed.bytes += size;
        }
    })?;
    (unnamed.count, unnamed.samples) = (samples.count, samples.samples);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::modules::Records;
    use crate::source::{ConsistencyStamp, Coverage, EachText, ItemKind, Output, ReadCollection};

    /// Records that name `papers/0` and on, each twice.
    struct Papers(u32);

    impl View for Papers {
        fn consistency(&self) -> ConsistencyStamp {
            ConsistencyStamp { level: Level::Snapshot, at: chrono::DateTime::default(), reason: None }
        }

        fn read(&self, _: &[Wanted], _: &dyn Output) -> Result<Vec<ReadCollection>> {
            Ok(Vec::new())
        }

        fn texts(&self, _: &Wanted, _: &str, each: &mut EachText<'_>) -> Result<()> {
            (0..self.0 * 2).try_for_each(|at| each(Some(format!("papers/{}", at / 2).as_bytes())))
        }

        fn coverage(&self, _: &Wanted) -> Result<Option<Coverage>> {
            Ok(None)
        }
    }

    #[test]
    fn however_few_names_are_held_at_once_the_same_files_are_found_to_be_named_by_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup.yaml");
        let text = "installation: a\nrepository: {location: b}\nsources: {s: {engine: sqlite, path: s.db}}\n\
            uploads: [{root: up, fileReferences: {collection: c, field: f}}]\n\
            modules: {m: {collections: [c], fileUploads: [papers]}}\n";
        std::fs::write(&file, text).unwrap();
        let config = crate::config::load(&file, &Environment::fixed(folder.path(), [])).unwrap();
        std::fs::create_dir_all(folder.path().join("up/papers")).unwrap();
        for at in 10..110 {
            std::fs::write(folder.path().join(format!("up/papers/{at}")), b"123").unwrap();
        }
        let reference = &modules::all_references(&config)[0];
        let records = Records::All { shared: false };
        let wanted = &Wanted { name: "c".into(), kind: ItemKind::Collection, identity: None, records };
        let question = [Question { reference, wanted, view: &Papers(100) }];
        for at_once in [1, 7, 50, 99, 100, 1_000_000] {
            let cancel = Cancel::default();
            let found = of_root(&config, &config.uploads[0], &question, (true, at_once), &cancel).unwrap();
            let unnamed = found.unnamed_files.unwrap();
            assert_eq!((unnamed.count, unnamed.bytes, unnamed.samples.len()), (10, 30, 5), "{at_once}");
            let names = &found.references[0];
            assert_eq!((names.names, names.absent.count, names.refused.count), (200, 20, 0), "{at_once}");
        }
    }
}
