//! Reads trees into an output, and surveys them for the plan by the same rules.

use super::walk::{Met, exists, walk};
use super::{Survey, Trees, beneath};
use crate::error::{Error, Kind, Result};
use crate::manifest::Files;
use crate::pipeline::Cancel;
use crate::source::{FileEntry, FileKind, FileOutput, FileRecord};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, readlinkat};
use rustix::io::Errno;
use std::fs::File;
use xattr::FileExt;

/// How many left-out paths a manifest lists; all are counted.
const SAMPLES: usize = 100;

/// Looks what is there, for the plan.
///
/// # Errors
/// When a rule is malformed or the run was cancelled.
pub fn survey(trees: &Trees, cancel: &Cancel) -> Result<Survey> {
    let mut survey = Survey::default();
    for tree in &trees.trees {
        if exists(tree) && !survey.present.contains(&tree.directory) {
            survey.present.push(tree.directory.clone());
        }
        if tree.named.is_some() {
            // A share that is not known yet: better no estimate than everybody's.
            continue;
        }
        walk(tree, cancel, &mut |met| {
            if let Met::Object { stat, .. } = met
                && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            {
                survey.files += 1;
                survey.bytes += u64::try_from(stat.st_size).unwrap_or(0);
            }
            Ok(())
        })?;
    }
    Ok(survey)
}

/// Calls `each` with the path (inside the archive) and size of every regular file that is there to be stored, as it goes.
///
/// # Errors
/// As [`list`].
pub fn each_file(trees: &Trees, cancel: &Cancel, each: &mut dyn FnMut(&[u8], u64)) -> Result<()> {
    trees.trees.iter().try_for_each(|tree| {
        walk(tree, cancel, &mut |met| match met {
            Met::Object { stored_as, stat, .. } if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                each(stored_as, u64::try_from(stat.st_size).unwrap_or(0));
                Ok(())
            }
            Met::Failed { stored_as, reason } => {
                Err(Error::new(Kind::Io, format!("cannot look at {}", line(stored_as, &reason))))
            }
            _ => Ok(()),
        })
    })
}

/// Paths (inside the archive) of everything that is there to be stored, and whether it is a directory; a directory
/// comes before what is in it.
///
/// # Errors
/// When something cannot be looked at, a rule is malformed or the run was cancelled.
pub fn list(trees: &Trees, cancel: &Cancel) -> Result<Vec<(Vec<u8>, bool)>> {
    let mut found = Vec::new();
    for tree in &trees.trees {
        walk(tree, cancel, &mut |met| {
            match met {
                Met::Object { stored_as, stat, .. } => {
                    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                    found.push((stored_as.to_vec(), directory));
                }
                Met::Failed { stored_as, reason } => {
                    let what = format!("cannot look at {}", line(stored_as, &reason));
                    return Err(Error::new(Kind::Io, what));
                }
                Met::Excluded { .. } | Met::Missing { .. } | Met::Vanished { .. } => {}
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Reads the trees into `output`. `progress(path, bytes)` is called once a file. What cannot be read, vanishes or
/// changes while it is read is counted in `damaged`, and the reading goes on.
///
/// # Errors
/// When the output fails, a rule is malformed or the run was cancelled.
pub fn read(
    trees: &Trees,
    output: &mut dyn FileOutput,
    cancel: &Cancel,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Files> {
    let mut files = Files::default();
    for tree in &trees.trees {
        walk(tree, cancel, &mut |met| match met {
            Met::Excluded { stored_as, reason } => {
                files.excluded += 1;
                if files.excluded_samples.len() < SAMPLES {
                    files.excluded_samples.push(line(stored_as, &reason));
                }
                Ok(())
            }
            Met::Missing { stored_as, reason } => {
                files.missing += 1;
                if files.missing_samples.len() < SAMPLES {
                    files.missing_samples.push(line(stored_as, &reason));
                }
                Ok(())
            }
            Met::Failed { stored_as, reason } => {
                files.damaged.push(line(stored_as, &reason));
                Ok(())
            }
            Met::Vanished { stored_as } => {
                files.damaged.push(line(stored_as, "it vanished before it was read"));
                Ok(())
            }
            Met::Object { folder, name, stored_as, stat } => {
                let stored = match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => store_file(folder, name, stored_as, output, &mut files, progress)?,
                    FileType::Directory => store_directory(folder, name, stored_as, output, &mut files)?,
                    _ => store_link(folder, name, stored_as, stat, output, &mut files)?,
                };
                if let Err(reason) = stored {
                    files.damaged.push(line(stored_as, &reason));
                }
                Ok(())
            }
        })?;
    }
    Ok(files)
}

/// Whether it was stored in full, or why not.
type Stored = std::result::Result<(), String>;

fn line(path: &[u8], reason: &str) -> String {
    format!("{}: {reason}", String::from_utf8_lossy(path).escape_debug())
}

fn why(e: Errno) -> String {
    match e {
        Errno::NOENT => "it vanished before it was read".into(),
        Errno::LOOP => "it became a symbolic link before it was read".into(),
        e => std::io::Error::from(e).to_string(),
    }
}

fn store_file(
    folder: &OwnedFd,
    name: &[u8],
    stored_as: &[u8],
    output: &mut dyn FileOutput,
    files: &mut Files,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Stored> {
    // NONBLOCK: a pipe that took the file's place must not hang the run.
    let opened = beneath::open(folder, name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty());
    let opened = opened.and_then(|fd| fstat(&fd).map(|stat| (File::from(fd), stat)));
    let (mut file, before) = match opened {
        Ok(opened) => opened,
        Err(e) => return Ok(Err(why(e))),
    };
    if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
        return Ok(Err("it became something else before it was read".into()));
    }
    let size = u64::try_from(before.st_size).unwrap_or(0);
    let record = record(FileKind::File, &before, xattrs(&file), None);
    let outcome = output.file(&FileEntry { path: stored_as.to_vec(), size, record }, &mut file)?;
    files.files += 1;
    files.bytes += size;
    progress(&String::from_utf8_lossy(stored_as), size);
    if let Some(reason) = outcome.torn {
        return Ok(Err(reason));
    }
    let changed = match fstat(&file) {
        Ok(after) => {
            let seen = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
            (seen(&before) != seen(&after)).then(|| "it changed while it was read".to_owned())
        }
        Err(e) => Some(why(e)),
    };
    Ok(changed.map_or(Ok(()), Err))
}

fn store_directory(
    folder: &OwnedFd,
    name: &[u8],
    stored_as: &[u8],
    output: &mut dyn FileOutput,
    files: &mut Files,
) -> Result<Stored> {
    let opened = beneath::open(folder, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
    let (directory, stat) = match opened.and_then(|fd| fstat(&fd).map(|stat| (File::from(fd), stat))) {
        Ok(opened) => opened,
        Err(e) => return Ok(Err(why(e))),
    };
    let record = record(FileKind::Directory, &stat, xattrs(&directory), None);
    output.file(&FileEntry { path: stored_as.to_vec(), size: 0, record }, &mut std::io::empty())?;
    files.directories += 1;
    Ok(Ok(()))
}

fn store_link(
    folder: &OwnedFd,
    name: &[u8],
    stored_as: &[u8],
    stat: &Stat,
    output: &mut dyn FileOutput,
    files: &mut Files,
) -> Result<Stored> {
    let link = match readlinkat(folder, name, Vec::new()) {
        Ok(link) => link,
        Err(e) => return Ok(Err(why(e))),
    };
    let record = record(FileKind::Symlink, stat, Vec::new(), Some(hex(link.as_bytes())));
    output.file(&FileEntry { path: stored_as.to_vec(), size: 0, record }, &mut std::io::empty())?;
    files.symlinks += 1;
    Ok(Ok(()))
}

fn record(kind: FileKind, stat: &Stat, xattrs: Vec<(String, String)>, link: Option<String>) -> FileRecord {
    FileRecord {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        link,
        xattrs,
        torn: false,
    }
}

/// Extended attributes as far as they can be read; a file system without them has none. SELinux labels belong to the
/// machine, not to the data.
fn xattrs(file: &File) -> Vec<(String, String)> {
    let names = file.list_xattr().into_iter().flatten();
    let named = names.filter_map(|name| name.into_string().ok()).filter(|name| name != "security.selinux");
    let mut found: Vec<_> =
        named.filter_map(|name| file.get_xattr(&name).ok().flatten().map(|value| (name, hex(&value)))).collect();
    found.sort();
    found
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
