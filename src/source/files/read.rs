//! Reads trees into an output.

use super::walk::{Met, walk};
use super::{Trees, ahead, beneath};
use crate::error::Result;
use crate::manifest::Files;
use crate::pipeline::{Body, Cancel, Content};
use crate::source::{FileEntry, FileKind, FileOutput, FileRecord};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, readlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;
use xattr::FileExt;

/// How many left-out paths a manifest lists; all are counted.
const SAMPLES: usize = 100;

/// Reads the trees into `output`, in the order of the walk, by so many `readers` at once. `progress(path, bytes)` is
/// called once a file. What cannot be read, vanishes or changes while it is read is counted in `damaged`, and the reading
/// goes on.
///
/// # Errors
/// When the output fails, a rule is malformed or the run was cancelled.
pub fn read(
    trees: &Trees,
    readers: usize,
    output: &mut dyn FileOutput,
    cancel: &Cancel,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Files> {
    let mut store = Store { output, progress, files: Files::default() };
    if readers > 1 {
        ahead::read(trees, readers, cancel, &mut store)?;
        return Ok(store.files);
    }
    for tree in &trees.trees {
        walk(tree, cancel, &mut |met| match Task::of(met) {
            Task::Store(object) => store.read(&object),
            Task::Tell(told) => {
                store.tell(told);
                Ok(())
            }
        })?;
    }
    Ok(store.files)
}

/// What there is to do about something that the walk met.
pub(super) enum Task {
    /// Nothing but to say what it is.
    Tell(Told),
    Store(Object),
}

/// A line of what is not stored.
pub(super) enum Told {
    Excluded(String),
    Missing(String),
    Damaged(String),
}

/// An object that the walk met, and where it can be opened.
pub(super) struct Object {
    folder: Arc<OwnedFd>,
    name: Vec<u8>,
    pub stored_as: Vec<u8>,
    stat: Stat,
}

impl Task {
    pub fn of(met: Met<'_>) -> Self {
        match met {
            Met::Excluded { stored_as, reason } => Self::Tell(Told::Excluded(line(stored_as, &reason))),
            Met::Missing { stored_as, reason } => Self::Tell(Told::Missing(line(stored_as, &reason))),
            Met::Failed { stored_as, reason } => Self::Tell(Told::Damaged(line(stored_as, &reason))),
            Met::Vanished { stored_as } => Self::Tell(Told::Damaged(line(stored_as, "it vanished before it was read"))),
            Met::Object { folder, name, stored_as, stat } => Self::Store(Object {
                folder: folder.clone(),
                name: name.to_vec(),
                stored_as: stored_as.to_vec(),
                stat: *stat,
            }),
        }
    }
}

/// Hands what was read to the output, and counts it.
pub(super) struct Store<'a> {
    output: &'a mut dyn FileOutput,
    progress: &'a mut dyn FnMut(&str, u64),
    files: Files,
}

impl Store<'_> {
    /// Opens and stores an object.
    fn read(&mut self, object: &Object) -> Result<()> {
        match object.open() {
            Err(reason) => self.damaged(&object.stored_as, &reason),
            Ok(opened) => {
                let whole = self.store(&opened.entry, &mut *opened.body())?;
                if let Some(reason) = opened.changed().filter(|_| whole) {
                    self.damaged(&object.stored_as, &reason);
                }
            }
        }
        Ok(())
    }

    /// Stores an object that is read; whether it is whole.
    pub fn store(&mut self, entry: &FileEntry, body: &mut dyn Body) -> Result<bool> {
        let outcome = self.output.file(entry, body)?;
        match entry.record.kind {
            FileKind::File => {
                self.files.files += 1;
                self.files.bytes += entry.size;
                (self.progress)(&String::from_utf8_lossy(&entry.path), entry.size);
            }
            FileKind::Directory => self.files.directories += 1,
            FileKind::Symlink => self.files.symlinks += 1,
        }
        if let Some(reason) = &outcome.torn {
            self.damaged(&entry.path, reason);
        }
        Ok(outcome.torn.is_none())
    }

    /// Something is not stored, or not as it is.
    pub fn damaged(&mut self, stored_as: &[u8], reason: &str) {
        self.files.damaged.push(line(stored_as, reason));
    }

    pub fn tell(&mut self, told: Told) {
        let files = &mut self.files;
        let (count, samples, line) = match told {
            Told::Damaged(line) => return files.damaged.push(line),
            Told::Excluded(line) => (&mut files.excluded, &mut files.excluded_samples, line),
            Told::Missing(line) => (&mut files.missing, &mut files.missing_samples, line),
        };
        *count += 1;
        if samples.len() < SAMPLES {
            samples.push(line);
        }
    }
}

/// An object that is open: what is stored of it. A link has no file.
pub(super) struct Opened {
    pub entry: FileEntry,
    file: Option<(File, Stat)>,
}

impl Object {
    /// Bytes of its content, as they were a moment ago.
    pub fn size(&self) -> u64 {
        let is_file = FileType::from_raw_mode(self.stat.st_mode) == FileType::RegularFile;
        if is_file { u64::try_from(self.stat.st_size).unwrap_or(0) } else { 0 }
    }

    /// Opens it; else says why not.
    pub fn open(&self) -> Result<Opened, String> {
        let (kind, flags) = match FileType::from_raw_mode(self.stat.st_mode) {
            // NONBLOCK: a pipe that took the file's place must not hang the run.
            FileType::RegularFile => (FileKind::File, OFlags::NONBLOCK),
            FileType::Directory => (FileKind::Directory, OFlags::DIRECTORY),
            _ => return self.open_link(),
        };
        let opened = beneath::open(&self.folder, &self.name, OFlags::RDONLY | flags, Mode::empty());
        let opened = opened.and_then(|fd| fstat(&fd).map(|stat| (File::from(fd), stat)));
        let (file, stat) = opened.map_err(why)?;
        if kind == FileKind::File && FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err("it became something else before it was read".into());
        }
        let size = if kind == FileKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
        let record = record(kind, &stat, xattrs(&file), None);
        let entry = FileEntry { path: self.stored_as.clone(), size, record };
        Ok(Opened { entry, file: Some((file, stat)) })
    }

    fn open_link(&self) -> Result<Opened, String> {
        let link = readlinkat(&self.folder, self.name.as_slice(), Vec::new()).map_err(why)?;
        let record = record(FileKind::Symlink, &self.stat, Vec::new(), Some(hex(link.as_bytes())));
        Ok(Opened { entry: FileEntry { path: self.stored_as.clone(), size: 0, record }, file: None })
    }
}

impl Opened {
    /// Its content; nothing of what is no file.
    pub fn body(&self) -> Box<dyn Body + '_> {
        match &self.file {
            Some((file, _)) => Box::new(Content::new(file, self.entry.size)),
            None => Box::new(Content::new(std::io::empty(), 0)),
        }
    }

    /// Once a file was read: whether it is another now than when it was opened, and how.
    pub fn changed(&self) -> Option<String> {
        let (file, before) = self.file.as_ref().filter(|_| self.entry.record.kind == FileKind::File)?;
        let seen = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        match fstat(file) {
            Ok(after) => (seen(before) != seen(&after)).then(|| "it changed while it was read".to_owned()),
            Err(e) => Some(why(e)),
        }
    }
}

pub(super) fn line(path: &[u8], reason: &str) -> String {
    format!("{}: {reason}", String::from_utf8_lossy(path).escape_debug())
}

fn why(e: Errno) -> String {
    match e {
        Errno::NOENT => "it vanished before it was read".into(),
        Errno::LOOP => "it became a symbolic link before it was read".into(),
        e => std::io::Error::from(e).to_string(),
    }
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
