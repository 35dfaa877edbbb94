//! A backup that is being made: a folder of its own, which becomes a backup by two renames.

use super::durable::{create_file, create_folder, name_unsynced, remove_folder, sync_tree, write_temporary};
use super::{METADATA, Repository, signature};
use crate::config::BackupType;
use crate::error::{Error, Kind, Result};
use crate::keys::SigningKey;
use crate::manifest::Manifest;
use crate::names::BackupId;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Folder of backups in the making.
pub const STAGING: &str = "staging";

/// A folder `<repository>/staging/<id>`. Dropped unpublished, it is removed.
#[derive(Debug)]
pub struct Staging {
    repository: Repository,
    id: BackupId,
    backup_type: BackupType,
    path: PathBuf,
    key: Option<SigningKey>,
    published: bool,
}

impl Staging {
    pub(super) fn begin(repository: &Repository, id: &BackupId, backup_type: BackupType) -> Result<Self> {
        let path = repository.location().join(STAGING).join(id.as_str());
        let taken = repository.manifest_path(id).exists() || repository.folder(id, backup_type).exists();
        if taken || path.exists() {
            return Err(Error::new(Kind::Internal, format!("a backup {id} exists already")));
        }
        let key = repository.signing_key()?;
        create_folder(&path)?;
        Ok(Self { repository: repository.clone(), id: id.clone(), backup_type, path, key, published: false })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file (0600) and its folders (0700). Whoever writes it fsyncs it; its folders are [`Staging::publish`]'s.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(&self, relative: &str) -> Result<File> {
        let path = self.path.join(relative);
        create_folder(path.parent().unwrap_or(&self.path))?;
        create_file(&path)
    }

    /// Removes a file again: an archive that failed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self, relative: &str) -> Result<()> {
        super::durable::remove_file(&self.path.join(relative))
    }

    /// Makes the backup exist: its folders are fsynced, renamed to their place, and then the manifest appears. Returns
    /// it as it was written: signed, where signing is set up.
    ///
    /// # Errors
    /// When the disk refuses. There is no backup then; what is left the scope's next run removes.
    pub fn publish(mut self, mut manifest: Manifest) -> Result<Manifest> {
        let body = signature::write(&mut manifest, self.key.as_ref())?;
        self.check(&manifest)?;
        sync_tree(&self.path)?;
        if let Err(error) = self.commit(&body) {
            // What cannot be made to last must not stay: neither a folder that is no longer where Drop looks, nor a
            // manifest whose last fsync failed.
            return Err(match self.repository.discard(&self.id, self.backup_type) {
                Ok(()) => error,
                Err(left) => error.cause(left),
            });
        }
        self.published = true;
        Ok(manifest)
    }

    fn commit(&self, manifest: &[u8]) -> Result<()> {
        let (location, syncs) = (self.repository.location(), self.repository.syncs());
        let (metadata, name) = (location.join(METADATA), format!("{}.json", self.id));
        let folder = self.repository.folder(&self.id, self.backup_type);
        // The manifest is there, without its name, before the folder is in its place. A folder with neither is no
        // trace of a dead run: it has lost its manifest.
        write_temporary(&metadata, &name, manifest)?;
        syncs.sync(&metadata)?;
        std::fs::rename(&self.path, &folder).map_err(|e| Error::io("rename the backup to", &folder, &e))?;
        syncs.sync(folder.parent().unwrap_or(&folder))?;
        syncs.sync(&location.join(STAGING))?;
        name_unsynced(&metadata, &name)?;
        syncs.sync(&metadata)
    }

    /// What a manifest names must be here, and nothing of another backup: a last look before it is promised.
    fn check(&self, manifest: &Manifest) -> Result<()> {
        let wrong = |what: String| Error::new(Kind::Internal, what);
        if manifest.id != self.id.as_str() || manifest.backup_type != self.backup_type {
            return Err(wrong(format!("the manifest of {} was about to be published as {}", manifest.id, self.id)));
        }
        for component in &manifest.components {
            let Some(archive) = &component.archive else { continue };
            let path = self.path.join(archive);
            let size = path.metadata().map_err(|e| Error::io("read", &path, &e))?.len();
            if size != component.size {
                return Err(wrong(format!("{archive} is {size} bytes, its manifest says {}", component.size)));
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is swept by the scope's next run.
            let _ = remove_folder(&self.path);
        }
    }
}
