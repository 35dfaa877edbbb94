//! Reads a stored file again, from the disk and not from memory, and says what it is.

use super::storage::open_file;
use super::tar_header::to_hex;
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// Bytes read at once.
const LARGEST_READ: usize = 1 << 20;

/// What a stored file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// Hashes the file at `path` as the disk has it: its pages are dropped from the cache first.
///
/// # Errors
/// When it cannot be read.
pub fn digest_file(path: &Path, cancel: &Cancel) -> Result<Stored> {
    let failed = |e: &std::io::Error| Error::io("read", path, e);
    let mut file = open_file(path)?;
    // Advice: where a file system does not take it, the read is merely a weaker proof.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    let _ = fadvise(&file, 0, None, Advice::Sequential);
    let mut hash = Sha256::new();
    let length = file.metadata().map_err(|e| failed(&e))?.len();
    // No larger than the file: many are small.
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(LARGEST_READ).clamp(1, LARGEST_READ)];
    let mut size = 0;
    loop {
        cancel.check()?;
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(&buffer[..n]);
                size += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(&e)),
        }
    }
    // Pages read once for a proof should not push the application's own out of memory.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    Ok(Stored { size, sha256: to_hex(&hash.finalize()) })
}

/// Proves that the file at `path`, already fsynced, is on the disk as it was written.
///
/// # Errors
/// [`Kind::Damaged`] when it is not.
pub fn prove(path: &Path, size: u64, sha256: &str, cancel: &Cancel) -> Result<()> {
    let stored = digest_file(path, cancel)?;
    if stored.size == size && stored.sha256 == sha256 {
        return Ok(());
    }
    let what = format!("{} was written but reads back different", path.display());
    Err(Error::new(Kind::Damaged, what).hint("the disk, its controller or memory is faulty: check the kernel log"))
}
