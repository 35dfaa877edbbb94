//! Restores files: upload directories and extra files, to where they came from or below another directory.

use super::choose::Piece;
use super::named::StoredNames;
use super::{Existing, Options, Report, claims, proof};
use crate::archive::ArchiveReader;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::event::{Amount, Event};
use crate::names::{Scope, TenantId};
use crate::repository::{Journal, Progress, Repository, Step};
use crate::source::files::{self, FilesTarget, There, Trees};
use crate::source::{Changes, FileKind};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The files of a restore.
pub struct Uploads {
    archives: Vec<Archive>,
    /// It overwrites files of folders of all tenants.
    overwrites_common: bool,
    /// Number of the first archive's step.
    first_step: usize,
}

/// One archive of files.
struct Archive {
    reader: ArchiveReader,
    /// The backup and the archive.
    from: String,
    /// Its directories, for people.
    directories: String,
    /// It is a module's, not an `extraFiles` entry.
    of_uploads: bool,
    placed: Vec<Placed>,
    /// What happens to what is there.
    existing: Existing,
    /// What is there and not stored, the deepest first, and whether it is a directory.
    others: Vec<(PathBuf, Vec<u8>, bool)>,
    changes: Changes,
    /// A dead run was writing here.
    was_interrupted: bool,
    /// An earlier run of this restore has put it in place; the files it wrote.
    done: Option<u64>,
}

/// Where one entry goes.
struct Placed {
    /// Its number among the files of the archive.
    entry: usize,
    kind: FileKind,
    /// The directory nothing may leave.
    root: PathBuf,
    /// Path below it.
    path: Vec<u8>,
    /// What is there.
    there: There,
    /// It is in a folder of all tenants.
    common: bool,
    /// What is there stays: it is what is stored already, or everybody's.
    stays: bool,
}

impl Placed {
    fn show(&self) -> String {
        format!("{}/{}", self.root.display(), String::from_utf8_lossy(&self.path).escape_debug())
    }
}

impl Uploads {
    /// Finds the place of every file.
    pub fn open(
        options: &Options<'_>,
        (config, repository): (&Config, &Repository),
        pieces: &[Piece],
        report: &mut Report,
    ) -> Result<Self> {
        let mut archives = Vec::new();
        let mut names = StoredNames::new(options, repository);
        for piece in pieces.iter().filter(|piece| piece.is_files()) {
            let places = Places::of(options, config, piece)?;
            let reader = piece.open()?;
            let chosen = names.choose(piece, piece.share.as_ref(), &reader)?;
            let mut placed = Vec::new();
            for (at, entry) in reader.files().iter().enumerate() {
                let entry = entry?;
                let raw = entry.raw_path()?;
                let common = piece.share.as_ref().filter(|share| share.is_common(&raw));
                let Some(stored_as) = chosen.place(at, &raw)? else { continue };
                let Some((root, path)) = places.find(&stored_as) else {
                    let what =
                        format!("no configured place for {} of {}", entry.path.escape_debug(), piece.component.name);
                    return Err(Error::new(Kind::Config, what).hint("say where with --files-into DIR"));
                };
                let common = common.is_some() && options.files_into.is_none();
                let Some(kind) = entry.file.as_ref().map(|record| record.kind) else { continue };
                placed.push(Placed { entry: at, kind, root, path, there: There::Nothing, common, stays: false });
            }
            let roots: BTreeSet<_> = placed.iter().map(|p| p.root.display().to_string()).collect();
            report.target.extend(roots.into_iter().filter(|root| !report.target.contains(root)).collect::<Vec<_>>());
            archives.push(Archive {
                reader,
                from: piece.place(),
                directories: directories(piece),
                of_uploads: piece.component.module.is_some(),
                placed,
                existing: options.existing,
                others: Vec::new(),
                changes: Changes::default(),
                was_interrupted: false,
                done: None,
            });
        }
        report.warnings.append(&mut names.warnings);
        Ok(Self { archives, overwrites_common: false, first_step: 0 })
    }

    /// What is put in place, in order.
    pub fn steps(&self) -> impl Iterator<Item = String> {
        self.archives.iter().map(|archive| format!("{}: {}", archive.from, archive.directories))
    }

    /// What is put in place, for people, in order.
    pub fn titles(&self) -> impl Iterator<Item = String> {
        self.archives.iter().map(|archive| format!("files of {} ({})", archive.from, archive.directories))
    }

    /// The directories it writes to; a replacement deletes below every root.
    pub fn roots<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = PathBuf> + 'a {
        let placed = self.archives.iter().flat_map(|archive| &archive.placed).map(|place| place.root.clone());
        let replaced = self.archives.iter().any(|archive| archive.existing == Existing::Replace && archive.of_uploads);
        placed.chain(config.uploads.iter().filter(move |_| replaced).map(|upload| upload.root.clone()))
    }

    /// Looks what is there, counts, and refuses what was not allowed. `first_step` numbers the first archive.
    pub fn plan(
        &mut self,
        options: &Options<'_>,
        config: &Config,
        pieces: &[Piece],
        (progress, first_step): (&Progress, usize),
        report: &mut Report,
    ) -> Result<()> {
        self.first_step = first_step;
        let (mut refused, mut others) = (Vec::new(), BTreeMap::new());
        for (at, piece) in pieces.iter().filter(|piece| piece.is_files()).enumerate() {
            let Some(archive) = self.archives.get_mut(at) else { continue };
            match progress.step(first_step + at) {
                Step::Old => {}
                Step::Switching { .. } => archive.was_interrupted = true,
                Step::Switched { outcome } => archive.done = outcome.as_u64(),
            }
            if archive.done.is_some() {
                continue;
            }
            // What a dead run of this restore has written is whole, and nothing was there before.
            if archive.was_interrupted && archive.existing == Existing::Refuse {
                archive.existing = Existing::Add;
            }
            archive.look(&mut refused, &mut others)?;
            if archive.existing == Existing::Replace {
                archive.find_others(options, &trees(config, piece), &Places::of(options, config, piece)?)?;
            }
            report.file_changes.created += archive.changes.created;
            report.file_changes.overwritten += archive.changes.overwritten;
            report.file_changes.deleted += archive.changes.deleted;
            if options.dry_run {
                report.files += archive.count();
            }
        }
        let tenant = pieces.iter().find_map(|piece| piece.share.as_ref()).map(|share| &share.tenant);
        if let Some(tenant) = tenant.filter(|_| !others.is_empty()) {
            self.overwrites_common = true;
            require_own(options, tenant, others)?;
        }
        if refused.is_empty() {
            return Ok(());
        }
        let error = Error::new(Kind::Refused, "files exist where they would be restored, and nothing was changed");
        Err(error.details(shown(refused)).hint("say what happens to them with --existing add|merge|replace, or restore beside them with `--files-into DIR` or `--to-directory DIR`"))
    }

    /// Whether the restore of an archive overwrites or deletes files.
    pub fn changes(&self, piece: &Piece) -> bool {
        let changes = |archive: &Archive| archive.changes.overwritten + archive.changes.deleted > 0;
        self.archives.iter().any(|archive| archive.from == piece.place() && archive.done.is_none() && changes(archive))
    }

    /// Whether it overwrites files that only records tell apart.
    pub fn overwrites_common(&self) -> bool {
        self.overwrites_common
    }

    /// Reads every file through, so that damage is known before anything is written.
    pub fn prove(&self, options: &Options<'_>) -> Result<()> {
        for archive in self.archives.iter().filter(|archive| archive.done.is_none()) {
            let files = archive.placed.iter().map(|place| place.entry).collect();
            proof::prove_files(options, &archive.reader, files)?;
        }
        Ok(())
    }

    /// Writes every file.
    pub fn write(&self, options: &Options<'_>, journal: &mut Journal, report: &mut Report) -> Result<()> {
        for (at, archive) in self.archives.iter().enumerate() {
            let step = self.first_step + at;
            if let Some(files) = archive.done {
                report.files += files;
                continue;
            }
            let before = report.files;
            journal.switching(step, None)?;
            archive
                .write(options, report)
                .and_then(|()| journal.switched(step, (report.files - before).into()))
                .map_err(|error| {
                    let what = format!("the restore of files stopped after {} files", report.files - before);
                    error.kind(Kind::TargetChanged).context(what)
                })?;
        }
        Ok(())
    }
}

/// Makes sure that files of common folders, which would be overwritten, are the tenant's alone.
fn require_own(options: &Options<'_>, tenant: &TenantId, files: BTreeMap<PathBuf, BTreeSet<Vec<u8>>>) -> Result<()> {
    let mut kept = Vec::new();
    let mut unknown = None;
    for (place, files) in files {
        let show = |file: &[u8]| format!("{}/{}", place.display(), String::from_utf8_lossy(file).escape_debug());
        let root = options.config.uploads.iter().find(|root| root.root == place);
        match root.map(|root| claims::ask(options, tenant, root, &files)) {
            Some(Ok(claims)) => kept.extend(
                claims.iter().filter_map(|(file, claim)| Some(format!("{}: {}", show(file), claim.objection()?))),
            ),
            asked => {
                unknown = asked.and_then(Result::err).or(unknown);
                kept.extend(files.iter().map(|file| format!("{}: another tenant's records may name it", show(file))));
            }
        }
    }
    if kept.is_empty() {
        return Ok(());
    }
    let what = "files in folders of all tenants are there with other content, and nothing was changed";
    let error = Error::new(Kind::Refused, what)
        .details(shown(kept))
        .hint("keep what is there with --existing add, or restore beside it with --files-into DIR");
    Err(unknown.into_iter().fold(error, |error, why| error.cause(why)))
}

/// The directories of an archive that are restored, and whose.
fn directories(piece: &Piece) -> String {
    let names: Vec<_> = piece.collections.iter().map(|directory| directory.name.as_str()).collect();
    let of = piece.share.as_ref().map(|share| format!(" of {}", share.describe()));
    format!("{}{}", names.join(", "), of.unwrap_or_default())
}

/// Files in the way that are named.
const SHOWN: usize = 10;

fn shown(mut names: Vec<String>) -> Vec<String> {
    if names.len() > SHOWN {
        names.truncate(SHOWN);
        names.push("… and more".into());
    }
    names
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
    fn look(&mut self, refused: &mut Vec<String>, others: &mut BTreeMap<PathBuf, BTreeSet<Vec<u8>>>) -> Result<()> {
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
    fn find_others(&mut self, options: &Options<'_>, trees: &Trees, places: &Places) -> Result<()> {
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

    fn write(&self, options: &Options<'_>, report: &mut Report) -> Result<()> {
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
    fn count(&self) -> u64 {
        let written = |p: &&Placed| !p.stays && (p.there == There::Nothing || self.existing != Existing::Add);
        self.placed.iter().filter(written).filter(|place| place.kind == FileKind::File).count() as u64
    }
}

/// Where the files of a piece are read from, and so what a replacement covers.
fn trees(config: &Config, piece: &Piece) -> Trees {
    match (&piece.component.module, config.extra_files.get(&piece.component.name)) {
        (Some(_), _) => {
            let directories: Vec<_> = piece.collections.iter().map(|directory| directory.name.clone()).collect();
            let scope = piece.share.as_ref().map_or(Scope::SystemWide, |share| Scope::Tenant(share.tenant.clone()));
            files::uploads(&config.uploads, &directories, &scope)
        }
        (None, Some(extra)) => files::extra(&piece.component.name, extra),
        (None, None) => Trees { trees: Vec::new() },
    }
}

/// From stored paths to places on disk.
struct Places(Vec<(Vec<u8>, PathBuf, Vec<u8>)>);

impl Places {
    fn of(options: &Options<'_>, config: &Config, piece: &Piece) -> Result<Self> {
        if let Some(directory) = &options.files_into {
            let all = (Vec::new(), directory.clone(), Vec::new());
            return Ok(Self(vec![all]));
        }
        if piece.component.name == "uploads" && piece.component.module.is_some() {
            let roots = config.uploads.iter();
            return Ok(Self(roots.map(|r| (r.name.clone().into_bytes(), r.root.clone(), Vec::new())).collect()));
        }
        Self::of_extra(config, &piece.component.name)
    }

    /// Every path of an `extraFiles` entry goes back to where it was, below the directory that held it.
    fn of_extra(config: &Config, name: &str) -> Result<Self> {
        let unknown = || {
            Error::new(Kind::Config, format!("the backup holds extraFiles '{name}', which is not configured"))
                .hint("say where with --files-into DIR")
        };
        let trees = files::extra(name, config.extra_files.get(name).ok_or_else(unknown)?);
        let place = |tree: files::Tree| {
            let parent = tree.path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
            let base = tree.path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
            (tree.stored_as, parent, base)
        };
        Ok(Self(trees.trees.into_iter().map(place).collect()))
    }

    /// Root and path below it for a stored path.
    fn find(&self, stored: &[u8]) -> Option<(PathBuf, Vec<u8>)> {
        self.0.iter().find_map(|(prefix, root, base)| {
            let rest = if prefix.is_empty() {
                stored
            } else {
                let rest = stored.strip_prefix(prefix.as_slice())?;
                if rest.is_empty() { rest } else { rest.strip_prefix(b"/")? }
            };
            let mut path = base.clone();
            if !path.is_empty() && !rest.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(rest);
            Some((root.clone(), path))
        })
    }
}
