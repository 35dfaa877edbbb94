//! Whether a file that was written is what is stored: read again, beside the record it was written from.

use super::beneath;
use super::target::FilesTarget;
use crate::error::{Error, Kind, Result};
use crate::source::{FileKind, FileRecord};
use rustix::fs::{Mode, OFlags, Stat, fstat, readlinkat};
use rustix::io::Errno;
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
                let (file, found) = self.hashed(path).map_err(failed)?;
                if found != sha256 {
                    return Ok(Some("it came back with other content".into()));
                }
                let stat = fstat(&file).map_err(|e| failed(e.into()))?;
                Ok(metadata(&stat, record))
            }
        }
    }

    /// Whether what is at `path` is a file with the content that is stored; its mode and time do not matter.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be read.
    pub fn holds(&self, path: &[u8], record: &FileRecord, sha256: &str) -> Result<bool> {
        if record.kind != FileKind::File {
            return Ok(false);
        }
        match self.hashed(path) {
            Ok((_, found)) => Ok(found == sha256),
            // A symbolic link, which is not followed.
            Err(e) if e.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Ok(false),
            Err(e) => Err(Error::new(Kind::Io, "what is there cannot be read").cause(e)),
        }
    }

    fn hashed(&self, path: &[u8]) -> std::io::Result<(File, String)> {
        // NONBLOCK: a pipe must not hang the run.
        let opened = beneath::open(self.root(), path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
        let mut file = File::from(opened);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => hash.update(&buffer[..n]),
            }
        }
        Ok((file, hex(&hash.finalize())))
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
