//! Walks a tree in the byte order of names, one folder at a time, without following links.

use super::{Names, Tree, beneath};
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use globset::{Glob, GlobSet, GlobSetBuilder};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// What the walk meets.
pub enum Met<'a> {
    /// Something to store: where it can be opened, and what it was a moment ago.
    Object {
        /// The folder that holds it.
        folder: &'a Arc<OwnedFd>,
        /// Its name there.
        name: &'a [u8],
        /// Path inside the archive.
        stored_as: &'a [u8],
        /// What it was a moment ago.
        stat: &'a Stat,
    },
    /// Something a rule leaves out.
    Excluded { stored_as: &'a [u8], reason: String },
    /// Something that a record names, and that is no file that is there.
    Missing { stored_as: &'a [u8], reason: String },
    /// Something that was there a moment ago.
    Vanished { stored_as: &'a [u8] },
    /// Something that cannot be read.
    Failed { stored_as: &'a [u8], reason: String },
}

/// Whether the tree's starting point exists (links do not count).
pub fn exists(tree: &Tree) -> bool {
    start(tree).is_ok()
}

/// The folder that holds the starting point, its name there, and what it is.
fn start(tree: &Tree) -> std::result::Result<(Arc<OwnedFd>, Vec<u8>, Stat), Errno> {
    find(tree, &tree.relative())
}

/// The folder that holds what is at a path below the tree's root, its name there, and what it is.
fn find(tree: &Tree, relative: &[u8]) -> std::result::Result<(Arc<OwnedFd>, Vec<u8>, Stat), Errno> {
    let root = openat(CWD, &tree.below, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let (folder, name) = match relative.iter().rposition(|b| *b == b'/') {
        Some(at) => {
            (beneath::open(&root, &relative[..at], OFlags::DIRECTORY, Mode::empty())?, relative[at + 1..].to_vec())
        }
        None => (root, relative.to_vec()),
    };
    let stat = statat(&folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((Arc::new(folder), name, stat))
}

/// Walks a tree; a starting point that does not exist is nothing.
///
/// # Errors
/// When `each` fails, the run is cancelled, or a rule is malformed.
pub fn walk(tree: &Tree, cancel: &Cancel, each: &mut dyn FnMut(Met<'_>) -> Result<()>) -> Result<()> {
    let rules = Rules::new(tree)?;
    if let Some(names) = &tree.named {
        return walk_names(tree, names, &rules, cancel, each);
    }
    let (folder, name, stat) = match start(tree) {
        Ok(start) => start,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return each(Met::Failed { stored_as: &tree.stored_as, reason: reason(e) }),
    };
    let below_root = tree.stored_as.clone();
    let mut walker = Walker { rules, cancel, each };
    walker.visit(&folder, &name, &stat, &below_root, b"")
}

/// Meets the files that are named, and the folders on the way to them, each once; nothing else is looked at.
fn walk_names(
    tree: &Tree,
    names: &Names,
    rules: &Rules,
    cancel: &Cancel,
    each: &mut dyn FnMut(Met<'_>) -> Result<()>,
) -> Result<()> {
    let base = tree.relative();
    let prefix = tree.stored_as.strip_suffix(base.as_slice()).unwrap_or_default();
    // The folders that were met and the file is in.
    let mut open: Vec<Vec<u8>> = Vec::new();
    for path in names.below(&base) {
        cancel.check()?;
        let stored_as = [prefix, path].concat();
        let stored_as = stored_as.as_slice();
        let steps = (base.len()..=path.len()).filter(|end| *end == path.len() || path[*end] == b'/');
        let met = steps.map(|end| &path[..end]).try_for_each(|step| {
            let (folder, name, stat) = match find(tree, step) {
                Ok(found) => found,
                Err(e) => return Err(Stop::of(e)),
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            let below = step.get(base.len() + 1..).unwrap_or_default();
            if let Some(reason) = rules.excludes(kind, &name, below, &stat) {
                return Err(Stop::Excluded(reason));
            }
            match (kind, step.len() == path.len()) {
                (FileType::Directory, false) if open.iter().any(|open| open == step) => Ok(()),
                (FileType::Directory, false) => {
                    open.retain(|open| step.starts_with(open) && step.get(open.len()) == Some(&b'/'));
                    open.push(step.to_vec());
                    let stored_as = &stored_as[..prefix.len() + step.len()];
                    each(Met::Object { folder: &folder, name: &name, stored_as, stat: &stat }).map_err(Stop::Error)
                }
                (FileType::RegularFile, true) => {
                    each(Met::Object { folder: &folder, name: &name, stored_as, stat: &stat }).map_err(Stop::Error)
                }
                (FileType::Symlink, _) => Err(Stop::Missing("a symbolic link, which is not followed".into())),
                (FileType::Directory, true) => Err(Stop::Missing("a folder, not a file".into())),
                _ => Err(Stop::Missing("it is no file".into())),
            }
        });
        match met {
            Ok(()) => {}
            Err(Stop::Missing(reason)) => each(Met::Missing { stored_as, reason })?,
            Err(Stop::Excluded(reason)) => each(Met::Excluded { stored_as, reason })?,
            Err(Stop::Failed(reason)) => each(Met::Failed { stored_as, reason })?,
            Err(Stop::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Why a file that is named is not met.
enum Stop {
    Missing(String),
    Excluded(String),
    Failed(String),
    Error(Error),
}

impl Stop {
    fn of(e: Errno) -> Self {
        match e {
            Errno::NOENT => Self::Missing("there is no such file".into()),
            Errno::LOOP | Errno::NOTDIR | Errno::XDEV => Self::Missing("a folder on the way is none".into()),
            Errno::NAMETOOLONG => Self::Missing("no file has so long a name".into()),
            e => Self::Failed(reason(e)),
        }
    }
}

fn reason(e: Errno) -> String {
    std::io::Error::from(e).to_string()
}

struct Walker<'a> {
    rules: Rules,
    cancel: &'a Cancel,
    each: &'a mut dyn FnMut(Met<'_>) -> Result<()>,
}

/// Folders nested deeper than this are refused: each holds a descriptor open while it is walked.
const DEEPEST: usize = 200;

impl Walker<'_> {
    fn visit(&mut self, folder: &Arc<OwnedFd>, name: &[u8], stat: &Stat, stored_as: &[u8], below: &[u8]) -> Result<()> {
        self.cancel.check()?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if let Some(reason) = self.rules.excludes(kind, name, below, stat) {
            return (self.each)(Met::Excluded { stored_as, reason });
        }
        (self.each)(Met::Object { folder, name, stored_as, stat })?;
        if kind != FileType::Directory {
            return Ok(());
        }
        if stored_as.iter().filter(|b| **b == b'/').count() > DEEPEST {
            return (self.each)(Met::Failed { stored_as, reason: format!("nested deeper than {DEEPEST} folders") });
        }
        let opened = beneath::open(folder, name, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty());
        let listed = opened.and_then(|folder| names(&folder).map(|names| (Arc::new(folder), names)));
        let (folder, names) = match listed {
            Ok(listed) => listed,
            Err(Errno::NOENT) => return (self.each)(Met::Vanished { stored_as }),
            Err(e) => return (self.each)(Met::Failed { stored_as, reason: reason(e) }),
        };
        for name in names {
            let stored_as = [stored_as, b"/", &name].concat();
            let below = if below.is_empty() { name.clone() } else { [below, b"/", &name].concat() };
            match statat(&folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => self.visit(&folder, &name, &stat, &stored_as, &below)?,
                Err(Errno::NOENT) => (self.each)(Met::Vanished { stored_as: &stored_as })?,
                Err(e) => (self.each)(Met::Failed { stored_as: &stored_as, reason: reason(e) })?,
            }
        }
        Ok(())
    }
}

fn names(folder: &OwnedFd) -> std::result::Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder.as_fd())? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What is left out.
struct Rules {
    exclude: GlobSet,
    max_file_size: Option<u64>,
    allowed_extensions: Vec<String>,
}

impl Rules {
    fn new(tree: &Tree) -> Result<Self> {
        let bad = |e: globset::Error| Error::new(Kind::Config, "an `exclude` pattern is malformed").cause(e);
        let mut set = GlobSetBuilder::new();
        for pattern in &tree.exclude {
            set.add(Glob::new(pattern.trim_end_matches('/')).map_err(bad)?);
        }
        Ok(Self {
            exclude: set.build().map_err(bad)?,
            max_file_size: tree.max_file_size,
            allowed_extensions: tree.allowed_extensions.clone(),
        })
    }

    fn excludes(&self, kind: FileType, name: &[u8], below: &[u8], stat: &Stat) -> Option<String> {
        let matches = |path: &[u8]| self.exclude.is_match(Path::new(OsStr::from_bytes(path)));
        if !below.is_empty() && (matches(name) || matches(below)) {
            return Some("excluded by `exclude`".into());
        }
        match kind {
            FileType::Directory | FileType::Symlink => return None,
            FileType::RegularFile => {}
            _ => return Some("a socket, pipe or device is no data".into()),
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if let Some(max) = self.max_file_size.filter(|max| size > *max) {
            return Some(format!("{size} bytes, more than `maxFileSize` of {max}"));
        }
        let extension = Path::new(OsStr::from_bytes(name)).extension().map(|e| e.to_string_lossy().to_lowercase());
        let allowed = |e: &String| self.allowed_extensions.iter().any(|a| a.trim_start_matches('.') == e);
        if !self.allowed_extensions.is_empty() && !extension.as_ref().is_some_and(allowed) {
            return Some("its extension is not in `allowedExtensions`".into());
        }
        None
    }
}
