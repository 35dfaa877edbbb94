//! Taking away: whole backups, and what dead runs left.

use super::durable::{TEMPORARY, remove_file, remove_folder, sync, temporary, unname_file};
use super::{Interrupted, METADATA, Repository, catalog, lock};
use crate::config::BackupType;
use crate::error::Result;
use crate::names::{BackupId, Scope};
use std::path::Path;

impl Repository {
    /// Removes a backup and its facts. Returns the bytes freed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self, id: &BackupId, backup_type: BackupType) -> Result<u64> {
        let freed = bytes_below(&self.folder(id, backup_type));
        // Facts go first: those of a backup that is gone would stay for good.
        for fact in ["verified", "held"] {
            remove_file(&self.facts().join(format!("{id}.{fact}.json")))?;
        }
        sync(&self.facts())?;
        self.discard(id, backup_type)?;
        Ok(freed)
    }

    /// Removes a backup's manifest and bytes, or what there is of them. The manifest first loses its name, so that the
    /// backup no longer exists. Without its name it stays until the bytes are gone: after a kill it says that they are
    /// dead, and the next sweep removes both.
    pub(super) fn discard(&self, id: &BackupId, backup_type: BackupType) -> Result<()> {
        let (metadata, name) = (self.location().join(METADATA), format!("{id}.json"));
        unname_file(&metadata, &name)?;
        let folder = self.folder(id, backup_type);
        remove_folder(&folder)?;
        sync(folder.parent().unwrap_or(&folder))?;
        remove_file(&temporary(&metadata, &name))
    }

    /// Removes what dead runs of `scope` left, and facts that have not got their name; the caller holds its lock.
    /// Returns what was done, a line each. A backup that has lost its manifest is left alone.
    ///
    /// # Errors
    /// When the repository cannot be listed or the disk refuses.
    pub fn sweep(&self, scope: &Scope) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for leftover in catalog::leftovers(self)?.iter().filter(|leftover| leftover.scope() == *scope) {
            if leftover.lost {
                lines.push(format!("{} has no manifest any more and was left alone", leftover.path));
            } else {
                self.remove_leftover(leftover)?;
                lines.push(format!("removed what an interrupted run had left: {}", leftover.path));
            }
        }
        self.sweep_facts()?;
        Ok(lines)
    }

    /// Facts are written by runs that share the repository. Whoever holds their lock knows that nobody is writing one.
    fn sweep_facts(&self) -> Result<()> {
        let mut unnamed = catalog::names_in(&self.facts())?;
        unnamed.retain(|name| name.ends_with(TEMPORARY));
        if unnamed.is_empty() {
            return Ok(());
        }
        let Some(_lock) = lock::facts_now(self.location())? else { return Ok(()) };
        unnamed.iter().try_for_each(|name| remove_file(&self.facts().join(name)))
    }

    /// Removes one leftover. The caller makes sure that nobody is working on it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove_leftover(&self, leftover: &Interrupted) -> Result<()> {
        let path = self.location().join(&leftover.path);
        if !path.is_dir() {
            return remove_file(&path);
        }
        remove_folder(&path)?;
        // The manifest without a name, which says that it is dead, goes next: it must not be gone earlier.
        sync(path.parent().unwrap_or(&path))
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(std::result::Result::ok);
    files.filter_map(|file| file.metadata().ok()).filter(std::fs::Metadata::is_file).map(|m| m.len()).sum()
}
