//! Upload directories and extra files. Nothing outside the configured roots is ever read, nothing outside the target
//! ever written: every path is opened component by component below a folder that is already open, and no symbolic link
//! is followed on the way.

mod beneath;
mod compare;
mod read;
mod target;
#[cfg(test)]
mod tests;
mod trees;
mod walk;

pub use read::{list, read, survey};
pub use target::{FilesTarget, There};
pub use trees::{below, extra, uploads};

use std::path::PathBuf;

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
    /// Path inside the archive under which it is stored: `<root name>/<relative path>`, raw bytes.
    pub stored_as: Vec<u8>,
    /// The upload directory's configured name, or the path as written in `extraFiles`.
    pub directory: String,
    /// The configured root the path is below; resolving the path never leaves it.
    pub below: PathBuf,
    /// Globs to leave out: of names, of paths below the tree, of paths below the root.
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
    /// Regular files that will be stored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}
