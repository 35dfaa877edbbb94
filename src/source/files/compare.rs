//! Whether a file that was written is what is stored: read again, beside the record it was written from.

use super::beneath;
use super::target::FilesTarget;
use crate::error::{Error, Kind, Result};
use crate::source::{FileKind, FileRecord};
use rustix::fs::{Mode, OFlags, Stat, fstat, readlinkat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;

impl FilesTarget {
    /// How the file or link at `path` differs from what is stored, in content, mode or time. Directories get theirs
    /// only at the end, and are not looked at.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be read.
    pub fn differs(&self, path: &[u8], record: &FileRecord, sha256: &str) -> Result<Option<String>> {
        let failed = |e: std::io::Error| Error::new(Kind::Io, "what was restored cannot be read").cause(e);
        match record.kind {
            FileKind::Directory => Ok(None),
            FileKind::Symlink => {
                let opened = beneath::open(self.root(), path, OFlags::PATH, Mode::empty());
                let link = opened.and_then(|link| readlinkat(link, "", Vec::new())).map_err(|e| failed(e.into()))?;
                let points = hex(link.as_bytes());
                Ok((record.link.as_deref() != Some(&points)).then(|| "the link points elsewhere".into()))
            }
            FileKind::File => {
                let opened = beneath::open(self.root(), path, OFlags::RDONLY, Mode::empty());
                let mut file = File::from(opened.map_err(|e| failed(e.into()))?);
                let mut hash = Sha256::new();
                let mut buffer = vec![0; 64 << 10];
                loop {
                    match file.read(&mut buffer).map_err(failed)? {
                        0 => break,
                        n => hash.update(&buffer[..n]),
                    }
                }
                if hex(&hash.finalize()) != sha256 {
                    return Ok(Some("it came back with other content".into()));
                }
                let stat = fstat(&file).map_err(|e| failed(e.into()))?;
                Ok(metadata(&stat, record))
            }
        }
    }
}

fn metadata(stat: &Stat, record: &FileRecord) -> Option<String> {
    // Who is not root cannot give a file away, and does not lend out the bits that act for its owner.
    let (is, was) = (stat.st_mode & 0o777, record.mode & 0o777);
    if is != was {
        return Some(format!("it came back with mode {is:o}, not {was:o}"));
    }
    let seconds: i64 = stat.st_mtime;
    (seconds != record.mtime.0).then(|| "it came back with another time".into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
