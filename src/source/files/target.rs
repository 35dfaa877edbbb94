//! Writes files below a root, and nowhere else.

use super::beneath;
use crate::error::{Error, Kind, Result};
use crate::source::{FileKind, FileRecord};
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid, chownat, fchmod, mkdirat,
    openat, renameat_with, statat, symlinkat, syncfs, unlinkat, utimensat,
};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use xattr::FileExt;

/// A directory tree that files are restored into.
#[derive(Debug)]
pub struct FilesTarget {
    root: OwnedFd,
    shown: PathBuf,
    /// Directories' metadata, set last: a directory that is read-only from the start cannot be filled, and filling it
    /// changes its time.
    directories: BTreeMap<Vec<u8>, FileRecord>,
    as_root: bool,
}

/// Name of a file in the making, in its own folder.
const TEMPORARY: &[u8] = b".backup-restore.tmp";

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory,
    /// A file, a link or something else that is no directory.
    File,
    /// On the way to it something is no directory.
    InTheWay,
}

/// Attributes that lend out rights, as a set-user-id bit does.
const PRIVILEGES: [&str; 2] = ["security.capability", "security.ima"];

/// Blocks of zeros this long become holes.
const HOLE: usize = 64 << 10;

impl FilesTarget {
    /// Opens (creating where needed) the directory `root`.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn open(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(|e| Error::io("create", root, &e))?;
        let opened = openat(CWD, root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let opened = opened.map_err(|e| Error::io("open", root, &e.into()))?;
        let as_root = rustix::process::geteuid().is_root();
        Ok(Self { root: opened, shown: root.to_owned(), directories: BTreeMap::new(), as_root })
    }

    /// The opened root.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// What is at `path` (relative, raw bytes) already.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the path would leave the root.
    pub fn there(&self, path: &[u8]) -> Result<There> {
        check(path)?;
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let (parent, name) = split(path);
        let found = match parent {
            [] => statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW),
            parent => beneath::open(&self.root, parent, OFlags::DIRECTORY, Mode::empty())
                .and_then(|folder| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)),
        };
        match found {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(There::Directory),
            Ok(_) => Ok(There::File),
            Err(Errno::NOENT) => Ok(There::Nothing),
            // A link or a file where a folder should be is something that is there, too.
            Err(Errno::LOOP | Errno::NOTDIR | Errno::XDEV) => Ok(There::InTheWay),
            Err(e) => Err(self.failed("look at", path, e)),
        }
    }

    /// Writes one entry, where nothing is. Directories get their mode and time from [`FilesTarget::finish`].
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the path would leave the root or the body is short, [`Kind::Refused`] when something is
    /// there already, [`Kind::Io`] when writing fails.
    pub fn write(&mut self, path: &[u8], size: u64, record: &FileRecord, body: &mut dyn Read) -> Result<()> {
        self.put(path, size, record, body, RenameFlags::NOREPLACE)
    }

    /// Writes one entry, in the place of a file or link that is there: until the end the old one stays.
    ///
    /// # Errors
    /// As [`FilesTarget::write`], but what is there is no error.
    pub fn overwrite(&mut self, path: &[u8], size: u64, record: &FileRecord, body: &mut dyn Read) -> Result<()> {
        self.put(path, size, record, body, RenameFlags::empty())
    }

    fn put(
        &mut self,
        path: &[u8],
        size: u64,
        record: &FileRecord,
        body: &mut dyn Read,
        replacing: RenameFlags,
    ) -> Result<()> {
        check(path)?;
        let path = path.strip_suffix(b"/").unwrap_or(path);
        if record.kind == FileKind::Directory {
            self.folder(path)?;
            self.directories.insert(path.to_vec(), record.clone());
            return Ok(());
        }
        let (parent, name) = split(path);
        let folder = self.folder(parent)?;
        // Left by a run that was killed, it is nobody's.
        self.unlink(&folder, TEMPORARY, path)?;
        let written = match record.kind {
            FileKind::Symlink => self.write_link(&folder, path, record),
            _ => self.write_file(&folder, path, size, record, body),
        };
        let written = written.and_then(|()| {
            let placed = renameat_with(&folder, TEMPORARY, &folder, name, replacing);
            placed.map_err(|e| match e {
                Errno::EXIST => Error::new(Kind::Refused, format!("{} exists", self.show(path))),
                e => self.failed("put in place", path, e),
            })
        });
        if written.is_err() {
            // The first failure is what matters.
            let _ = unlinkat(&folder, TEMPORARY, AtFlags::empty());
        }
        written
    }

    /// Removes a file, a link or an empty directory.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the path would leave the root, [`Kind::Io`] when the file system refuses.
    pub fn remove(&mut self, path: &[u8], directory: bool) -> Result<()> {
        check(path)?;
        let (parent, name) = split(path);
        let folder = self.folder(parent)?;
        if !directory {
            return self.unlink(&folder, name, path);
        }
        match unlinkat(&folder, name, AtFlags::REMOVEDIR) {
            // What a rule kept out of the backup stays, and its folder with it.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(e) => Err(self.failed("remove", path, e)),
        }
    }

    /// Removes what a killed run may have left in the folder of `path`.
    ///
    /// # Errors
    /// [`Kind::Io`] when the file system refuses.
    pub fn sweep(&self, path: &[u8]) -> Result<()> {
        check(path)?;
        let (parent, _) = split(path.strip_suffix(b"/").unwrap_or(path));
        match beneath::open(&self.root, if parent.is_empty() { b"." } else { parent }, OFlags::DIRECTORY, Mode::empty())
        {
            Ok(folder) => self.unlink(&folder, TEMPORARY, path),
            Err(_) => Ok(()),
        }
    }

    fn unlink(&self, folder: &OwnedFd, name: &[u8], path: &[u8]) -> Result<()> {
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.failed("remove", path, e)),
        }
    }

    /// Sets the directories' metadata, deepest first, and makes everything last.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn finish(self) -> Result<()> {
        for (path, record) in self.directories.iter().rev() {
            let folder = File::from(self.folder(path)?);
            self.dress(&folder, path, record)?;
        }
        syncfs(&self.root).map_err(|e| self.failed("sync", b"", e))
    }

    /// Opens a folder below the root, making what is lacking, 0700.
    fn folder(&self, path: &[u8]) -> Result<OwnedFd> {
        let mut at = self.root.try_clone().map_err(|e| Error::io("open", &self.shown, &e))?;
        for part in path.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
            match mkdirat(&at, part, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(self.failed("create", path, e)),
            }
            at = beneath::open(&at, part, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).map_err(|e| match e {
                Errno::LOOP | Errno::NOTDIR => {
                    let what = format!("{} leads through something that is no folder", self.show(path));
                    Error::new(Kind::Refused, what)
                }
                e => self.failed("open", path, e),
            })?;
        }
        Ok(at)
    }

    fn write_file(
        &self,
        folder: &OwnedFd,
        path: &[u8],
        size: u64,
        record: &FileRecord,
        body: &mut dyn Read,
    ) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = beneath::open(folder, TEMPORARY, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(file.map_err(|e| self.failed("create", path, e))?);
        self.fill(&mut file, path, size, body)?;
        self.dress(&file, path, record)
    }

    fn write_link(&self, folder: &OwnedFd, path: &[u8], record: &FileRecord) -> Result<()> {
        let target = unhex(record.link.as_deref().unwrap_or_default())?;
        symlinkat(target.as_slice(), folder, TEMPORARY).map_err(|e| self.failed("create the link", path, e))?;
        if self.as_root {
            let owner = (Some(Uid::from_raw(record.uid)), Some(Gid::from_raw(record.gid)));
            chownat(folder, TEMPORARY, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| self.failed("give its owner to", path, e))?;
        }
        utimensat(folder, TEMPORARY, &times(record), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| self.failed("set the time of", path, e))
    }

    fn fill(&self, file: &mut File, path: &[u8], size: u64, body: &mut dyn Read) -> Result<()> {
        let failed = |e: &std::io::Error| Error::io("write", Path::new(&self.show(path)), e);
        let mut buffer = vec![0; HOLE];
        let mut left = size;
        loop {
            let mut filled = 0;
            while filled < buffer.len() {
                match body.read(&mut buffer[filled..]) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(Error::unreadable(e, "a stored file cannot be read")),
                }
            }
            if filled == 0 {
                break;
            }
            left = left.checked_sub(filled as u64).ok_or_else(|| self.wrong_size(path, "more"))?;
            if filled == HOLE && buffer.iter().all(|b| *b == 0) {
                file.seek(SeekFrom::Current(HOLE as i64)).map_err(|e| failed(&e))?;
            } else {
                file.write_all(&buffer[..filled]).map_err(|e| failed(&e))?;
            }
        }
        if left > 0 {
            return Err(self.wrong_size(path, "less"));
        }
        file.set_len(size).map_err(|e| failed(&e))
    }

    fn wrong_size(&self, path: &[u8], how: &str) -> Error {
        Error::new(Kind::Damaged, format!("{} holds {how} than its header says", self.show(path)))
    }

    /// Owner, mode, attributes and time, in the order in which each does not undo the one before.
    fn dress(&self, file: &File, path: &[u8], record: &FileRecord) -> Result<()> {
        let mut mode = record.mode & 0o7777;
        if record.kind == FileKind::File {
            // Whoever made the archive would choose what runs as root.
            mode &= 0o1777;
        }
        if self.as_root {
            let owner = (Some(Uid::from_raw(record.uid)), Some(Gid::from_raw(record.gid)));
            rustix::fs::fchown(file, owner.0, owner.1).map_err(|e| self.failed("give its owner to", path, e))?;
        } else {
            // Without its owner, a set-user-id bit would lend out ours.
            mode &= 0o1777;
        }
        for (name, value) in record.xattrs.iter().filter(|(name, _)| !PRIVILEGES.contains(&name.as_str())) {
            match file.set_xattr(name, &unhex(value)?) {
                // A file system without attributes, or one of another name space: the data is whole without it.
                Err(e) if matches!(e.raw_os_error(), Some(95 | 1)) => {}
                Err(e) => return Err(Error::io("set an attribute of", Path::new(&self.show(path)), &e)),
                Ok(()) => {}
            }
        }
        fchmod(file, Mode::from_raw_mode(mode)).map_err(|e| self.failed("set the mode of", path, e))?;
        rustix::fs::futimens(file, &times(record)).map_err(|e| self.failed("set the time of", path, e))
    }

    fn show(&self, path: &[u8]) -> String {
        format!("{}/{}", self.shown.display(), String::from_utf8_lossy(path).escape_debug())
    }

    fn failed(&self, doing: &str, path: &[u8], e: Errno) -> Error {
        Error::io(doing, Path::new(&self.show(path)), &e.into())
    }
}

fn times(record: &FileRecord) -> Timestamps {
    let time = Timespec { tv_sec: record.mtime.0, tv_nsec: record.mtime.1.min(999_999_999).into() };
    Timestamps { last_access: time, last_modification: time }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// A stored path is input: it must stay below the root by its text alone, whatever the kernel would say.
fn check(path: &[u8]) -> Result<()> {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let bad = |part: &[u8]| part.is_empty() || part == b"." || part == b".." || part.contains(&0);
    if trimmed.split(|b| *b == b'/').any(bad) {
        let what =
            format!("the stored path '{}' does not stay in its folder", String::from_utf8_lossy(path).escape_debug());
        return Err(Error::new(Kind::Damaged, what));
    }
    Ok(())
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let bad = || Error::new(Kind::Damaged, "a hexadecimal field of the index is no hexadecimal text");
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad())).collect()
}
