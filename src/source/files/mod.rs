//! Upload directories and extra files. Nothing outside the configured roots is ever read, nothing outside the target
//! ever written: every path is opened component by component below a folder that is already open, and no symbolic link
//! is followed on the way.

mod ahead;
mod beneath;
mod compare;
mod named;
mod read;
mod readable;
mod survey;
mod target;
#[cfg(test)]
mod tests;
mod trees;
mod walk;

pub use named::{Look, Names, Paths, Tally, path_of};
pub use read::read;
pub use readable::readable;
pub use survey::{each_file, list, survey};
pub use target::{FilesTarget, There};
pub use trees::{below, extra, uploads};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

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
    /// Of a folder of all tenants: the files that the tenant's records name, which alone are read. None: all.
    pub named: Option<Arc<Names>>,
}

impl Trees {
    /// With the files that records name, by the name of the root.
    #[must_use]
    pub fn with_names(mut self, names: &BTreeMap<String, Arc<Names>>) -> Self {
        for tree in self.trees.iter_mut().filter(|tree| tree.named.is_some()) {
            let found = names.iter().find(|(name, _)| name.as_bytes() == tree.root());
            tree.named = Some(found.map(|(_, names)| Arc::clone(names)).unwrap_or_default());
        }
        self
    }
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
