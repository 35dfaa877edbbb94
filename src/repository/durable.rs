//! Writing so that it lasts: fsync of files and folders, and files that appear whole or not at all.

use crate::error::{Error, Result};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

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

/// Makes the names in a folder last.
pub fn sync_folder(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|e| Error::io("fsync the folder", path, &e))
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
    sync_folder(path)
}

/// Writes a file by way of a temporary name in the same folder: after a crash it is the old one or the new one.
pub fn write_file(folder: &Path, name: &str, body: &[u8]) -> Result<()> {
    let temporary = folder.join(format!(".{name}{TEMPORARY}"));
    let path = folder.join(name);
    // A leftover of a run that died here is nobody's: whoever writes this name holds its lock.
    remove_file(&temporary)?;
    let mut file = create_file(&temporary)?;
    let written = file.write_all(body).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| std::fs::rename(&temporary, &path));
    if let Err(e) = renamed {
        // The first failure is what matters.
        let _ = std::fs::remove_file(&temporary);
        return Err(Error::io("write", &path, &e));
    }
    sync_folder(folder)
}

/// Suffix of files that have not got their name yet.
pub const TEMPORARY: &str = ".tmp";

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
