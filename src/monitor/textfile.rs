//! The file of metrics: replaced whole, and read again by the next run, which carries on what only this one knew.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::fs::{File, Permissions, TryLockError};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A file of metrics takes milliseconds to write; who holds the folder for longer is no run of ours, or a stopped one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Larger is no file of ours.
const LARGEST: u64 = 16 << 20;

/// Puts `body` in the place of a file: whoever reads it sees all of the old or all of the new.
///
/// # Errors
/// When its folder is not there or cannot be written to.
pub fn replace(path: &Path, body: &[u8], mode: u32) -> Result<()> {
    let folder = folder(path)?;
    let failed = |e: &std::io::Error| Error::io("write", path, e);
    let mut file =
        tempfile::Builder::new().prefix(".backup-").suffix(".tmp").tempfile_in(folder).map_err(|e| failed(&e))?;
    let written = file.write_all(body).and_then(|()| {
        // The umask, which keeps backups to their owner, is not to apply here.
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()
    });
    written.map_err(|e| failed(&e))?;
    file.persist(path).map(drop).map_err(|e| failed(&e.error))
}

fn folder(path: &Path) -> Result<&Path> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(folder) => Ok(folder),
        None => Err(Error::new(Kind::Io, format!("{} is no file", path.display()))),
    }
}

/// Replaces a file by what `next` makes of the values that it has. Runs that end at once do so one after the other.
///
/// # Errors
/// As [`replace`], and when the folder is held by somebody else for seconds.
pub fn update(path: &Path, mode: u32, next: impl FnOnce(&Values) -> String) -> Result<()> {
    let folder = folder(path)?;
    // The folder itself is what is locked: a file beside would be one more for the collector to look at.
    let opened = File::open(folder).map_err(|e| Error::io("write", path, &e))?;
    let since = Instant::now();
    while let Err(TryLockError::WouldBlock) = opened.try_lock() {
        if since.elapsed() > PATIENCE {
            return Err(Error::new(Kind::Io, format!("cannot write {}", path.display()))
                .cause(format!("{} is locked by another program", folder.display())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    replace(path, next(&Values::read(path)).as_bytes(), mode)
}

/// The values of a file, by name and labels as they are written. A file that is not there has none, nor one that is not ours.
#[derive(Debug, Default)]
pub struct Values(BTreeMap<String, f64>);

impl Values {
    fn read(path: &Path) -> Self {
        let is_small = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST);
        let text = if is_small { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok().filter(|value: &f64| value.is_finite())?))
        });
        Self(values.collect())
    }

    /// Every series, as it is written.
    pub fn series(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of a series: `backup_runs_total{operation="create"}`.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }
}
