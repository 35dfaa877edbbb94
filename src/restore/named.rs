//! Which files of an archive are a tenant's. Of folders of all tenants, in a backup of everybody's, the tenant's records in
//! the same backup say it: read out of their archives as a restore of them would, and of each no more than the field.

use super::choose::Piece;
use super::tenant::{Held, Share};
use super::{Options, layout, proof};
use crate::archive::ArchiveReader;
use crate::config::UploadRoot;
use crate::error::{Context, Error, Kind, Result};
use crate::manifest::ComponentStatus;
use crate::modules::{self, Reference};
use crate::names::BackupId;
use crate::repository::Repository;
use crate::source::files::{Names, Paths, Tally};
use crate::source::{self, FileKind};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Names by upload root.
type ByRoot = BTreeMap<String, Names>;

/// What a tenant's records of some backups name, read once for all archives of files.
pub struct StoredNames<'a> {
    options: &'a Options<'a>,
    repository: &'a Repository,
    by_backup: BTreeMap<String, ByRoot>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Where the files of an archive go.
pub struct Chosen<'p> {
    options: &'p Options<'p>,
    piece: &'p Piece,
    share: Option<&'p Share>,
    /// Of folders of all tenants: the entries that are the tenant's. None where all of them are.
    named: Option<BTreeSet<usize>>,
}

impl Chosen<'_> {
    /// Where entry number `at` goes, which is stored as `path`; none where it is in no chosen directory, or not the
    /// tenant's.
    ///
    /// # Errors
    /// [`Kind::Config`] when that cannot be told: the layout is another one than when the backup was made.
    pub fn place(&self, at: usize, path: &[u8]) -> Result<Option<Vec<u8>>> {
        if !self.is_in_chosen_directory(path) {
            return Ok(None);
        }
        let Some(share) = self.share else { return Ok(Some(path.to_vec())) };
        if share.is_common(path) && self.named.as_ref().is_some_and(|named| !named.contains(&at)) {
            return Ok(None);
        }
        match share.path(path) {
            Some(place) => Ok(Some(place)),
            // All of it is the tenant's, wherever it goes.
            None if share.own && !share.is_renamed() && self.options.files_into.is_some() => Ok(Some(path.to_vec())),
            None if share.own || !(share.is_common(path) || self.is_somebodys(path)) => Err(self.misplaced(path)),
            None => Ok(None),
        }
    }

    /// With `--collection DIRECTORY`, whether a path is of that upload directory.
    fn is_in_chosen_directory(&self, path: &[u8]) -> bool {
        if self.options.collections.is_empty() {
            return true;
        }
        let all: Vec<_> = self.piece.component.collections.iter().map(|directory| &*directory.name).collect();
        let found = layout::directory_of(&self.options.config.uploads, &all, &String::from_utf8_lossy(path));
        found.is_some_and(|found| self.piece.collections.iter().any(|directory| directory.name == found))
    }

    /// Whether it lies in a folder that is some tenant's.
    fn is_somebodys(&self, path: &[u8]) -> bool {
        let (roots, path) = (&self.options.config.uploads, String::from_utf8_lossy(path));
        self.piece.component.collections.iter().any(|directory| layout::lies_in(roots, &directory.name, &path))
    }

    fn misplaced(&self, path: &[u8]) -> Error {
        let (place, path) = (self.piece.place(), String::from_utf8_lossy(path));
        let what =
            format!("{place} holds {}, and by the `layout` of today it is in no tenant's folder", path.escape_debug());
        Error::new(Kind::Config, what).hint(
            "restore with the configuration that the backup was made with; of a tenant's own backup, --files-into DIR takes the files as they are stored",
        )
    }
}

impl<'a> StoredNames<'a> {
    /// Of what is restored.
    pub fn new(options: &'a Options<'a>, repository: &'a Repository) -> Self {
        Self { options, repository, by_backup: BTreeMap::new(), warnings: Vec::new() }
    }

    /// What of an archive of files is in `share`; all of it, where there is none.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the backup does not say what the tenant's records name, [`Kind::Damaged`] when they are.
    pub fn choose<'p>(
        &mut self,
        piece: &'p Piece,
        share: Option<&'p Share>,
        archive: &ArchiveReader,
    ) -> Result<Chosen<'p>>
    where
        'a: 'p,
    {
        let options = self.options;
        let Some(of_all) = share.filter(|share| !share.own) else {
            return Ok(Chosen { options, piece, share, named: None });
        };
        let mut common = Vec::new();
        for (at, entry) in archive.files().iter().enumerate() {
            let entry = entry?;
            if let Some(record) = &entry.file {
                let path = entry.raw_path()?;
                if of_all.is_common(&path) {
                    common.push((at, path, record.kind));
                }
            }
        }
        if common.is_empty() {
            return Ok(Chosen { options, piece, share, named: None });
        }
        if !self.by_backup.contains_key(&piece.backup) {
            let names = self.read(piece, of_all).context(|| {
                format!("which files of common folders in {} are {}'s cannot be told", piece.place(), of_all.tenant)
            })?;
            self.by_backup.insert(piece.backup.clone(), names);
        }
        let names = &self.by_backup[&piece.backup];
        let is_named =
            |path: &[u8]| split(path).is_some_and(|(root, rest)| names.get(root).is_some_and(|n| n.holds(rest)));
        let files: HashSet<&[u8]> = common
            .iter()
            .filter(|(_, path, kind)| *kind == FileKind::File && is_named(path))
            .map(|(_, path, _)| path.as_slice())
            .collect();
        let mut folders: HashSet<&[u8]> = HashSet::new();
        for path in &files {
            let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            folders.extend(slashes.map(|(at, _)| &path[..at]));
        }
        let is_its = |path: &[u8], kind: FileKind| match kind {
            FileKind::File => files.contains(path),
            FileKind::Directory => folders.contains(path.strip_suffix(b"/").unwrap_or(path)),
            // Whose a link is no record says.
            FileKind::Symlink => false,
        };
        let named = common.iter().filter(|(_, path, kind)| is_its(path, *kind)).map(|(at, ..)| *at).collect();
        self.warnings.extend(missing(self.options, piece, names, &files));
        Ok(Chosen { options, piece, share, named: Some(named) })
    }

    /// Reads what the tenant's records of a backup name.
    fn read(&mut self, files: &Piece, share: &Share) -> Result<ByRoot> {
        let mut names = ByRoot::new();
        for reference in modules::tenant_references(self.options.config, share.stored_as())? {
            let of_root = names.entry(reference.root.clone()).or_default();
            let root = self.options.config.uploads.iter().find(|root| root.name == reference.root);
            let Some(refused) = root.map(|root| self.read_one(files, root, &reference, of_root)).transpose()? else {
                continue;
            };
            if refused.count > 0 {
                let (rule, root, samples) = (&reference.rule, &reference.root, refused.samples.join(", "));
                self.warnings.push(format!(
                    "{} stored names in `{}` of {} are no files of upload root '{root}': {samples}",
                    refused.count, rule.field, rule.collection
                ));
            }
        }
        Ok(names)
    }

    /// Adds the names of one collection's records; what is not taken.
    fn read_one(&self, files: &Piece, root: &UploadRoot, reference: &Reference, names: &mut Names) -> Result<Tally> {
        let (options, rule, mut refused) = (self.options, &reference.rule, Tally::default());
        let Some(piece) = files.of_source(options, self.repository, &rule.source, &rule.collection)? else {
            return if self.is_absent(files, reference)? { Ok(refused) } else { Err(not_held(reference)) };
        };
        let via = reference.records.ownership().map(|ownership| ownership.via.as_slice()).unwrap_or_default();
        let held = Held::with_parents(options, self.repository, &piece, via.iter().map(|hop| hop.parent.as_str()))?;
        let Some(collection) = piece.collections.iter().find(|c| c.name == rule.collection) else {
            return Err(not_held(reference));
        };
        let whole = collection.stored_in(&piece.component.database.clone().unwrap_or_default());
        // What is damaged would name other files.
        proof::prove(options, &held.reader, &[(&whole, collection.kind)])?;
        let paths = Paths::new(rule, root.folders(options.config));
        let stored = source::StoredCollection { scope: reference.records.clone(), ..whole };
        source::stored_texts(&piece.component.engine, &stored, &held, &rule.field, &mut |text| {
            options.cancel.check()?;
            paths.of(text, &mut refused).map_or(Ok(()), |path| names.add(path))
        })
        .context(|| rule.written.clone())?;
        Ok(refused)
    }

    /// Whether the collection was not there when the backup was made, and need not have been.
    fn is_absent(&self, files: &Piece, reference: &Reference) -> Result<bool> {
        let manifest = self.repository.manifest(&BackupId::parse(&files.backup)?)?;
        let mut of_source = manifest.components.iter().filter(|component| component.name == reference.rule.source);
        Ok(of_source.any(|component| {
            let mut absent = component.collections.iter().filter(|c| c.status == ComponentStatus::Absent);
            absent.any(|collection| collection.name == reference.rule.collection)
        }))
    }
}

/// Says which files that records name are not in the archive.
fn missing(options: &Options<'_>, piece: &Piece, names: &ByRoot, files: &HashSet<&[u8]>) -> Option<String> {
    let mut missing = Tally::default();
    for root in &options.config.uploads {
        let below = |directory: &str| format!("{}/", root.layout.replace("{directory}", directory)).into_bytes();
        let folders: Vec<_> = piece.collections.iter().map(|directory| below(&directory.name)).collect();
        let mut named: Vec<&[u8]> = names.get(&root.name).into_iter().flat_map(Names::iter).collect();
        named.retain(|path| folders.iter().any(|folder| path.starts_with(folder)));
        named.retain(|path| !files.contains([root.name.as_bytes(), b"/", path].concat().as_slice()));
        named.sort_unstable();
        named.into_iter().for_each(|path| missing.add(path, ""));
    }
    let (count, samples) = (missing.count, missing.samples.join(", "));
    let place = piece.place();
    (count > 0).then(|| format!("{place}: the tenant's records name {count} files that it does not hold: {samples}"))
}

/// The upload root of a stored path, and the path below it.
fn split(path: &[u8]) -> Option<(&str, &[u8])> {
    let at = path.iter().position(|byte| *byte == b'/')?;
    Some((std::str::from_utf8(&path[..at]).ok()?, &path[at + 1..]))
}

fn not_held(reference: &Reference) -> Error {
    let rule = &reference.rule;
    let what = format!(
        "the backup does not hold {}.{} whole, whose records name files of '{}'",
        rule.source, rule.collection, reference.root
    );
    Error::new(Kind::Refused, what)
        .cause(&rule.written)
        .hint("take the files from a backup of the tenant's own, or from one that holds these records; without files restore with --only database")
}
