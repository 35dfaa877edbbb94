//! Writing so that it lasts: fsync of files and folders, and files that appear whole or not at all.

use crate::error::{Error, Result};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes a folder and its parents, 0700; one that exists is fine.
pub fn create_folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|e| Error::io("create the folder", path, &e))
}

/// Makes a file, 0600, that must not exist yet.
pub fn create_file(path: &Path) -> Result<File> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|e| Error::io("create", path, &e))
}

/// Makes a file or the names in a folder last.
pub fn sync(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|opened| opened.sync_all());
    synced.map_err(|e| Error::io("fsync", path, &e))
}

/// Makes the names in a folder and all folders below it last, the deepest first.
pub fn sync_tree(path: &Path) -> Result<()> {
    let failed = |e: &std::io::Error| Error::io("list", path, e);
    for entry in std::fs::read_dir(path).map_err(|e| failed(&e))? {
        let entry = entry.map_err(|e| failed(&e))?;
        if entry.file_type().map_err(|e| failed(&e))?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync(path)
}

/// Writes a file by way of a temporary name in the same folder: after a crash it is the old one or the new one.
pub fn write_file(folder: &Path, name: &str, body: &[u8]) -> Result<()> {
    let written = write_temporary(folder, name, body).and_then(|()| name_file(folder, name));
    if written.is_err() {
        // The first failure is what matters.
        let _ = std::fs::remove_file(temporary(folder, name));
    }
    written
}

/// Writes a file that has not got its name yet, and fsyncs it.
pub fn write_temporary(folder: &Path, name: &str, body: &[u8]) -> Result<()> {
    let path = temporary(folder, name);
    // A leftover of a run that died here is nobody's: whoever writes this name holds its lock.
    remove_file(&path)?;
    let mut file = create_file(&path)?;
    let written = file.write_all(body).and_then(|()| file.sync_all());
    written.map_err(|e| Error::io("write", &folder.join(name), &e))
}

/// Gives a file that was written under its temporary name the final one, and makes that last.
fn name_file(folder: &Path, name: &str) -> Result<()> {
    name_unsynced(folder, name)?;
    sync(folder)
}

/// Gives a file that was written under its temporary name the final one. It lasts once the folder is fsynced.
pub fn name_unsynced(folder: &Path, name: &str) -> Result<()> {
    let path = folder.join(name);
    std::fs::rename(temporary(folder, name), &path).map_err(|e| Error::io("write", &path, &e))
}

/// Takes a file's name away, so that it only has the temporary one, and makes that last. One that is not there is fine.
pub fn unname_file(folder: &Path, name: &str) -> Result<()> {
    let path = folder.join(name);
    match std::fs::rename(&path, temporary(folder, name)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &path, &e)),
        _ => sync(folder),
    }
}

/// Suffix of files that have not got their name yet.
pub const TEMPORARY: &str = ".tmp";

/// Where a file is before it has its name.
pub fn temporary(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}{TEMPORARY}"))
}

/// Removes a file; one that is not there is fine.
pub fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, &e)),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, &e)),
        _ => Ok(()),
    }
}
