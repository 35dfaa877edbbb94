//! One archive of files, on the way to its places.

use super::super::{Existing, Options, Report};
use super::places::Places;
use crate::archive::ArchiveReader;
use crate::error::Result;
use crate::event::{Amount, Event};
use crate::source::files::{self, FilesTarget, There, Trees};
use crate::source::{Changes, FileKind};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

/// One archive of files.
pub struct Archive {
    pub reader: ArchiveReader,
    /// The backup and the archive.
    pub from: String,
    /// Its directories, for people.
    pub directories: String,
    /// It is a module's, not an `extraFiles` entry.
    pub of_uploads: bool,
    pub placed: Vec<Placed>,
    /// What happens to what is there.
    pub existing: Existing,
    /// What is there and not stored, the deepest first, and whether it is a directory.
    pub others: Vec<(PathBuf, Vec<u8>, bool)>,
    pub changes: Changes,
    /// A dead run was writing here.
    pub was_interrupted: bool,
    /// An earlier run of this restore has put it in place; the files it wrote.
    pub done: Option<u64>,
}

/// Where one entry goes.
pub struct Placed {
    /// Its number among the files of the archive.
    pub entry: usize,
    pub kind: FileKind,
    /// The directory nothing may leave.
    pub root: PathBuf,
    /// Path below it.
    pub path: Vec<u8>,
    /// What is there.
    pub there: There,
    /// It is in a folder of all tenants.
    pub common: bool,
    /// What is there stays: it is what is stored already, or everybody's.
    pub stays: bool,
}

impl Placed {
    fn show(&self) -> String {
        format!("{}/{}", self.root.display(), String::from_utf8_lossy(&self.path).escape_debug())
    }
}

/// What is open of the places files go to.
type Targets<'a> = BTreeMap<&'a Path, FilesTarget>;

fn opened<'t, 'a>(targets: &'t mut Targets<'a>, root: &'a Path) -> Result<&'t mut FilesTarget> {
    use std::collections::btree_map::Entry;
    Ok(match targets.entry(root) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(FilesTarget::open(root)?),
    })
}

impl Archive {
    /// Looks what is at every place. `others`: what would be overwritten and may be another tenant's.
    pub fn look(&mut self, refused: &mut Vec<String>, others: &mut BTreeMap<PathBuf, BTreeSet<Vec<u8>>>) -> Result<()> {
        let mut roots: BTreeMap<PathBuf, Option<FilesTarget>> = BTreeMap::new();
        for place in &mut self.placed {
            if !roots.contains_key(&place.root) {
                let target = if place.root.exists() { Some(FilesTarget::open(&place.root)?) } else { None };
                roots.insert(place.root.clone(), target);
            }
            let Some(Some(target)) = roots.get(&place.root) else { continue };
            place.there = target.there(&place.path)?;
            let entry = self.reader.files().get(place.entry)?;
            let Some(record) = entry.file.as_ref().filter(|_| place.common) else { continue };
            let is_changed = matches!(self.existing, Existing::Merge | Existing::Replace);
            place.stays = match place.there {
                There::Directory => true,
                There::File => is_changed && target.holds(&place.path, record, &entry.sha256)?,
                There::Nothing | There::InTheWay => false,
            };
            if place.there == There::File && is_changed && !place.stays {
                others.entry(place.root.clone()).or_default().insert(place.path.clone());
            }
        }
        for place in &self.placed {
            let directory = place.kind == FileKind::Directory;
            match (place.there, directory) {
                (There::Nothing, true) | (There::Directory, true) => {}
                (There::Nothing, false) => self.changes.created += 1,
                (There::File, false) if self.existing == Existing::Refuse => refused.push(place.show()),
                (There::File, false) if self.existing == Existing::Add || place.stays => {}
                (There::File, false) => self.changes.overwritten += 1,
                (There::InTheWay | There::File, true) | (There::InTheWay | There::Directory, false) => {
                    refused.push(format!("{} is there, and is something else in the backup", place.show()));
                }
            }
        }
        Ok(())
    }

    /// What is there by the rules of the configuration, and not in the backup.
    pub fn find_others(&mut self, options: &Options<'_>, trees: &Trees, places: &Places) -> Result<()> {
        let stored: BTreeSet<(&Path, &[u8])> =
            self.placed.iter().map(|p| (p.root.as_path(), p.path.strip_suffix(b"/").unwrap_or(&p.path))).collect();
        let mut others = Vec::new();
        for (stored_as, directory) in files::list(trees, &options.cancel)? {
            let Some((root, path)) = places.find(&stored_as) else { continue };
            if !stored.contains(&(root.as_path(), path.as_slice())) {
                others.push((root, path, directory));
            }
        }
        others.reverse();
        self.changes.deleted = others.iter().filter(|(_, _, directory)| !directory).count() as u64;
        self.others = others;
        Ok(())
    }

    pub fn write(&self, options: &Options<'_>, report: &mut Report) -> Result<()> {
        let mut targets = Targets::new();
        let item = self.from.clone();
        options.events.emit(Event::Started { item: item.clone(), total: 0 });
        let mut swept: HashSet<&[u8]> = HashSet::new();
        for place in &self.placed {
            options.cancel.check()?;
            let entry = self.reader.files().get(place.entry)?;
            let Some(record) = &entry.file else { continue };
            let target = opened(&mut targets, &place.root)?;
            let folder = place.path.rsplitn(2, |b| *b == b'/').nth(1).unwrap_or_default();
            if self.was_interrupted && swept.insert(folder) {
                target.sweep(&place.path)?;
            }
            let there = place.there != There::Nothing;
            // A dead run made its directories, but did not give them their mode and time.
            let unfinished = self.was_interrupted && record.kind == FileKind::Directory;
            if place.stays || (there && self.existing == Existing::Add && !unfinished) {
                continue;
            }
            let mut body = self.reader.entry(&entry);
            if there {
                target.overwrite(&place.path, entry.size, record, &mut body)?;
            } else {
                target.write(&place.path, entry.size, record, &mut body)?;
            }
            report.files += u64::from(record.kind == FileKind::File);
            options.events.emit(Event::Advanced { item: item.clone(), bytes: entry.size, records: 1 });
        }
        for (root, path, directory) in &self.others {
            options.cancel.check()?;
            opened(&mut targets, root)?.remove(path, *directory)?;
        }
        targets.into_values().try_for_each(FilesTarget::finish)?;
        report.file_changes.created += self.changes.created;
        report.file_changes.overwritten += self.changes.overwritten;
        report.file_changes.deleted += self.changes.deleted;
        let done = Amount { files: Some(self.count()), ..Amount::default() };
        options.events.emit(Event::Finished { item, done, error: None });
        Ok(())
    }

    /// Regular files that will be written.
    pub fn count(&self) -> u64 {
        let written = |p: &&Placed| !p.stays && (p.there == There::Nothing || self.existing != Existing::Add);
        self.placed.iter().filter(written).filter(|place| place.kind == FileKind::File).count() as u64
    }
}
