//! stub
use super::{FileOutput, FileRecord};
use crate::config::{ExtraFiles, UploadRoot};
use crate::error::Result;
use crate::manifest::Files;
use crate::names::Scope;
use crate::pipeline::Cancel;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What to read: resolved to absolute starting points by [`uploads`] or [`extra`].
#[derive(Debug, Clone)]
pub struct Trees {
    /// They, in order.
    pub trees: Vec<Tree>,
}

/// One starting point: a directory or a single file.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Absolute path on disk.
    pub path: PathBuf,
    /// Path inside the archive under which it is stored: `<root name>/<relative path>`.
    pub stored_as: String,
    /// The upload directory's configured name, or the path as written in `extraFiles`.
    pub directory: String,
    /// The configured root the path is below; resolution of the path must not leave it.
    pub below: PathBuf,
    /// Globs to leave out.
    pub exclude: Vec<String>,
    /// Larger files are left out. Bytes.
    pub max_file_size: Option<u64>,
    /// Lower-case extensions with dot; empty: all.
    pub allowed_extensions: Vec<String>,
}

/// What [`survey`] found.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Directories (configured names) that exist under at least one root.
    pub present: Vec<String>,
    /// Directories that exist under no root.
    pub missing: Vec<String>,
    /// Regular files that will be stored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Starting points of a module's upload directories for a scope.
pub fn uploads(roots: &[UploadRoot], directories: &[String], scope: &Scope) -> Trees {
    let _ = (roots, directories, scope);
    unimplemented!()
}

/// Starting points of an `extraFiles` entry.
pub fn extra(name: &str, files: &ExtraFiles) -> Trees {
    let _ = (name, files);
    unimplemented!()
}

/// Looks what is there, for the plan.
///
/// # Errors
/// When a directory that exists cannot be listed.
pub fn survey(trees: &Trees, cancel: &Cancel) -> Result<Survey> {
    let _ = (trees, cancel);
    unimplemented!()
}

/// Reads the trees into `output`. `progress(path, bytes)` is called once a file. Unreadable, vanished and torn files are counted in `damaged`.
///
/// # Errors
/// When the output fails or the run was cancelled.
pub fn read(
    trees: &Trees,
    output: &mut dyn FileOutput,
    cancel: &Cancel,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Files> {
    let _ = (trees, output, cancel, progress);
    unimplemented!()
}

/// A directory tree that files are restored into; nothing is ever written outside it.
#[derive(Debug)]
pub struct FilesTarget;

impl FilesTarget {
    /// Opens (creating where needed) the directory `root`.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn open(root: &Path) -> Result<Self> {
        let _ = root;
        unimplemented!()
    }

    /// Whether anything is at `path` (relative, raw bytes) already; directories do not count.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damaged`] when the path would leave the root.
    pub fn occupied(&self, path: &[u8]) -> Result<bool> {
        let _ = path;
        unimplemented!()
    }

    /// Writes one entry. Directories' modes and times are set by [`FilesTarget::finish`].
    ///
    /// # Errors
    /// When the path would leave the root, or writing fails.
    pub fn write(&mut self, path: &[u8], size: u64, record: &FileRecord, body: &mut dyn Read) -> Result<()> {
        let _ = (path, size, record, body);
        unimplemented!()
    }

    /// Sets directories' metadata, deepest first, and syncs.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn finish(self) -> Result<()> {
        unimplemented!()
    }
}
