//! Files of keys: 0600, written whole or not at all, a new one never over an old one.

use crate::error::{Error, Kind, Result};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes a new file that only its owner can read.
///
/// # Errors
/// [`Kind::Refused`] when `path` exists: a key that is overwritten is data that is lost.
pub fn write_new(path: &Path, text: &str) -> Result<()> {
    let file = written(path, text)?;
    file.persist_noclobber(path).map_err(|e| match e.error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::new(Kind::Refused, format!("{} exists already", path.display()))
            .hint("a key that is overwritten cannot open its backups any more: choose another name"),
        _ => Error::io("write", path, &e.error),
    })?;
    sync_parent(path)
}

/// Writes a file that may exist; after a crash it is the old one or the new one.
///
/// # Errors
/// When the disk refuses.
pub fn write_over(path: &Path, text: &str) -> Result<()> {
    let file = written(path, text)?;
    file.persist(path).map_err(|e| Error::io("write", path, &e.error))?;
    sync_parent(path)
}

/// Whether nobody but its owner can read it.
pub fn is_private(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 == 0)
}

fn written(path: &Path, text: &str) -> Result<NamedTempFile> {
    let folder = parent(path);
    let failed = |e: &std::io::Error| Error::io("write a file in", folder, e);
    let mut file = NamedTempFile::new_in(folder).map_err(|e| failed(&e))?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(|e| failed(&e))?;
    Ok(file)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_parent(path: &Path) -> Result<()> {
    let folder = parent(path);
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io("fsync the folder", folder, &e))
}
