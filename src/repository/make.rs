//! Making a repository: it appears whole, or not at all.

use super::durable::{create_folder, remove_folder, sync, write_file};
use super::open::{FACTS, FAILED, METADATA, Repository, SENTINEL, Sentinel};
use super::staging::STAGING;
use super::{catalog, journal, lock};
use crate::config::{self, BackupType};
use crate::error::{Error, Kind, Result};
use crate::manifest::FORMAT_VERSION;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
impl Repository {
    /// Opens, or makes the repository where its location does not exist and no id is expected. True when it was made.
    ///
    /// # Errors
    /// As [`Repository::open`], and when it cannot be made.
    pub fn open_or_create(settings: &config::Repository) -> Result<(Self, bool)> {
        let location = settings.location.as_path();
        if settings.id.is_some() || location.symlink_metadata().is_ok() {
            return Self::open(settings).map(|repository| (repository, false));
        }
        let parent = location.parent().unwrap_or(Path::new("/"));
        create_folder(parent)?;
        // Built under another name and renamed: a repository appears whole, also when several runs make it at once.
        let prefix = building_prefix(location);
        let building = tempfile::Builder::new()
            .prefix(&prefix)
            .rand_bytes(BUILDING_RANDOM)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(|e| Error::io("create a folder in", parent, &e))?;
        let made = lay_out(building.path()).and_then(|()| {
            let renamed = renameat_with(CWD, building.path(), CWD, location, RenameFlags::NOREPLACE);
            renamed.map_err(|e| Error::io("create the repository", location, &e.into()))
        });
        if let Err(error) = made {
            // Another run was first, and has removed what we were building.
            let exists = location.symlink_metadata().is_ok();
            return if exists { Self::open(settings).map(|repository| (repository, false)) } else { Err(error) };
        }
        // It has another name now; there is nothing left to remove.
        let _ = building.keep();
        sync(parent)?;
        remove_unfinished(parent, &prefix);
        Self::open(settings).map(|repository| (repository, true))
    }
}

/// Random characters at the end of the name under which a repository is built.
const BUILDING_RANDOM: usize = 6;

/// The name under which the repository at `location` is built, up to the random characters.
fn building_prefix(location: &Path) -> String {
    format!(".backup-repository-{}-", location.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what other runs built of a repository that is there now: they are dead, or will see that it is.
fn remove_unfinished(parent: &Path, prefix: &str) {
    let names = catalog::names_in(parent).unwrap_or_default();
    for name in names.iter().filter(|name| name.starts_with(prefix) && name.len() == prefix.len() + BUILDING_RANDOM) {
        // Nothing depends on it.
        let _ = remove_folder(&parent.join(name));
    }
}

/// The folders of an empty repository and its sentinel, fsynced.
fn lay_out(folder: &Path) -> Result<()> {
    for name in BackupType::ALL.iter().map(|t| t.as_str()).chain([STAGING, lock::LOCKS, journal::JOURNAL, METADATA]) {
        create_folder(&folder.join(name))?;
    }
    for name in [FACTS, FAILED] {
        create_folder(&folder.join(METADATA).join(name))?;
    }
    sync(&folder.join(METADATA))?;
    let sentinel = Sentinel { id: random_id()?, format_version: FORMAT_VERSION };
    let body = serde_json::to_vec_pretty(&sentinel)
        .map_err(|e| Error::new(Kind::Internal, "the sentinel cannot be written").cause(e))?;
    write_file(folder, SENTINEL, &body)
}

/// A random UUID (version 4, RFC 9562) from the kernel.
fn random_id() -> Result<String> {
    let mut bytes = [0u8; 16];
    let source = Path::new("/dev/urandom");
    std::fs::File::open(source)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
        .map_err(|e| Error::io("read", source, &e))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
