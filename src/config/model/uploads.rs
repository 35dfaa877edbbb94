//! Files: upload roots, the records that name files, and files of no module.

use super::Config;
use super::Sealing;
use std::path::PathBuf;

/// One entry of `uploads`.
#[derive(Debug, Clone)]
pub struct UploadRoot {
    /// Unique name: first path component inside the archive, and the name to restore by.
    pub name: String,
    /// Absolute path of the root.
    pub root: PathBuf,
    /// Path of a module's directory below the root; holds `{directory}` and, where tenants have their own, `{tenant}`.
    pub layout: String,
    /// Globs of relative paths or names to leave out.
    pub exclude: Vec<String>,
    /// Larger files are left out, counted and listed. Bytes.
    pub max_file_size: Option<u64>,
    /// Lower-case extensions with their dot; anything else is left out, counted and listed. Empty: all.
    pub allowed_extensions: Vec<String>,
    /// The records that say whose the files are, where no folder does.
    pub references: Vec<FileReferences>,
    /// A restore that writes to it must be allowed to by name.
    pub protected: bool,
}

impl UploadRoot {
    /// Whether it can be told of a file whose it is: by its folder, or by the records that name it.
    pub fn tells_tenants(&self) -> bool {
        self.has_folders_of_tenants() || !self.references.is_empty()
    }

    /// The folders below the root that modules have there, where its layout names no tenant.
    pub fn folders(&self, config: &Config) -> Vec<String> {
        let directories = config.modules.values().flat_map(|module| &module.file_uploads);
        directories.map(|directory| self.layout.replace("{directory}", directory)).collect()
    }

    /// Whether each tenant has folders of its own.
    pub fn has_folders_of_tenants(&self) -> bool {
        self.layout.contains("{tenant}")
    }
}

/// One entry of `fileReferences`: records that name files of an upload root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReferences {
    /// The source that holds the collection.
    pub source: String,
    /// The collection.
    pub collection: String,
    /// The field that holds names; dots lead deeper.
    pub field: String,
    /// The upload directory that names are relative to; none: the root itself.
    pub directory: Option<String>,
    /// Its folder below the root; empty: the root itself.
    pub below: String,
    /// What is taken off the beginning of a name.
    pub prefix: String,
    /// Where it is written, for people: file, line, column and key.
    pub written: String,
}

/// One entry of `extraFiles`.
#[derive(Debug, Clone)]
pub struct ExtraFiles {
    /// Absolute paths, and each as it was written.
    pub paths: Vec<(PathBuf, String)>,
    /// Globs of relative paths or names to leave out.
    pub exclude: Vec<String>,
    /// Need not exist.
    pub optional: bool,
    /// How the archive is encrypted.
    pub sealing: Sealing,
}
