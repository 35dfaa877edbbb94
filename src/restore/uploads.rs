//! Restores files: upload directories and extra files, to where they came from or below another directory.

use super::choose::Piece;
use super::{Options, Report};
use crate::archive::{ArchiveReader, IndexEntry, from_io};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::source::FileKind;
use crate::source::files::{self, FilesTarget};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The files of a restore, checked and ready.
pub struct Uploads {
    archives: Vec<(ArchiveReader, Vec<Placed>)>,
}

/// Where one entry goes.
struct Placed {
    /// Position in the archive's index.
    entry: usize,
    /// The directory nothing may leave.
    root: PathBuf,
    /// Path below it.
    path: Vec<u8>,
}

impl Uploads {
    /// Finds the place of every file and refuses to replace any.
    pub fn prepare(options: &Options<'_>, pieces: &[Piece], report: &mut Report) -> Result<Self> {
        let mut archives = Vec::new();
        let mut taken = Vec::new();
        for piece in pieces.iter().filter(|piece| piece.is_files()) {
            let places = Places::of(options, piece)?;
            let archive = piece.open()?;
            let mut placed = Vec::new();
            for (at, entry) in archive.index().iter().enumerate().filter(|(_, entry)| entry.file.is_some()) {
                let Some((root, path)) = places.find(&entry.raw_path()?) else {
                    let what =
                        format!("no configured place for {} of {}", entry.path.escape_debug(), piece.component.name);
                    return Err(Error::new(Kind::Config, what).hint("say where with --files-into DIR"));
                };
                if !in_chosen_directory(options, piece, entry) {
                    continue;
                }
                placed.push(Placed { entry: at, root, path });
            }
            taken.extend(occupied(&archive, &placed)?);
            let roots: std::collections::BTreeSet<_> = placed.iter().map(|p| p.root.display().to_string()).collect();
            report.target.extend(roots.into_iter().filter(|root| !report.target.contains(root)).collect::<Vec<_>>());
            if options.dry_run {
                report.files += count(&archive, &placed);
            }
            archives.push((archive, placed));
        }
        if taken.is_empty() {
            return Ok(Self { archives });
        }
        let error = Error::new(Kind::Refused, "files exist where they would be restored, and nothing was changed");
        Err(error.details(taken).hint("restore beside them with `--files-into DIR` or `--to-directory DIR`"))
    }

    /// Reads every file through, so that damage is known before anything is written.
    pub fn prove(&self, options: &Options<'_>) -> Result<()> {
        for (archive, placed) in &self.archives {
            for place in placed {
                options.cancel.check()?;
                std::io::copy(&mut archive.entry(&archive.index()[place.entry]), &mut std::io::sink())
                    .map_err(|e| from_io(e, "a stored file is damaged"))?;
            }
        }
        Ok(())
    }

    /// Writes every file.
    pub fn write(&mut self, options: &Options<'_>, report: &mut Report) -> Result<()> {
        let before = report.files;
        let written = self.write_all(options, report);
        let changed = report.files > before || !report.collections.is_empty();
        written.map_err(|error| {
            let kind = if changed { Kind::TargetChanged } else { error.kind };
            error.kind(kind).context(format!("the restore of files stopped after {} files", report.files - before))
        })
    }

    fn write_all(&self, options: &Options<'_>, report: &mut Report) -> Result<()> {
        let mut targets: BTreeMap<&Path, FilesTarget> = BTreeMap::new();
        for (archive, placed) in &self.archives {
            let item = archive.path().display().to_string();
            options.events.emit(Event::Started { item: item.clone(), total: 0 });
            for place in placed {
                options.cancel.check()?;
                let entry = &archive.index()[place.entry];
                let Some(record) = &entry.file else { continue };
                if !targets.contains_key(place.root.as_path()) {
                    targets.insert(&place.root, FilesTarget::open(&place.root)?);
                }
                if let Some(target) = targets.get_mut(place.root.as_path()) {
                    target.write(&place.path, entry.size, record, &mut archive.entry(entry))?;
                }
                report.files += u64::from(record.kind == FileKind::File);
                options.events.emit(Event::Advanced { item: item.clone(), bytes: entry.size, records: 1 });
            }
            let records = count(archive, placed);
            options.events.emit(Event::Finished { item, records, bytes: 0, error: None });
        }
        targets.into_values().try_for_each(FilesTarget::finish)
    }
}

fn count(archive: &ArchiveReader, placed: &[Placed]) -> u64 {
    let files = placed.iter().filter_map(|p| archive.index()[p.entry].file.as_ref());
    files.filter(|record| record.kind == FileKind::File).count() as u64
}

fn occupied(archive: &ArchiveReader, placed: &[Placed]) -> Result<Vec<String>> {
    let mut taken = Vec::new();
    for place in placed {
        let entry = &archive.index()[place.entry];
        let directory = entry.file.as_ref().is_some_and(|record| record.kind == FileKind::Directory);
        if directory || !place.root.exists() || !FilesTarget::open(&place.root)?.occupied(&place.path)? {
            continue;
        }
        if taken.len() == 10 {
            taken.push("… and more".into());
            break;
        }
        taken.push(format!("{}/{}", place.root.display(), String::from_utf8_lossy(&place.path).escape_debug()));
    }
    Ok(taken)
}

/// With `--collection DIRECTORY`, only entries of that upload directory.
fn in_chosen_directory(options: &Options<'_>, piece: &Piece, entry: &IndexEntry) -> bool {
    if options.collections.is_empty() {
        return true;
    }
    let mut components = entry.path.split('/');
    piece.collections.iter().any(|directory| components.any(|component| component == directory.name))
}

/// From stored paths to places on disk.
struct Places(Vec<(Vec<u8>, PathBuf, Vec<u8>)>);

impl Places {
    fn of(options: &Options<'_>, piece: &Piece) -> Result<Self> {
        if let Some(directory) = &options.files_into {
            let all = (Vec::new(), directory.clone(), Vec::new());
            return Ok(Self(vec![all]));
        }
        if piece.component.name == "uploads" && piece.component.module.is_some() {
            let roots = options.config.uploads.iter();
            return Ok(Self(roots.map(|r| (r.name.clone().into_bytes(), r.root.clone(), Vec::new())).collect()));
        }
        Self::of_extra(options.config, &piece.component.name)
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
