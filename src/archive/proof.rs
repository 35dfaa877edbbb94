//! Reads what was stored again, from the disk and not from memory, and says what it is: a stored file as a whole, and an
//! archive while it is still written, stretch by stretch, each fsynced before it is read.

use super::storage::open_file;
use super::tar_header::to_hex;
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use xxhash_rust::xxh3::Xxh3;

/// Bytes read at once.
const LARGEST_READ: u64 = 1 << 20;

/// So many bytes of an archive are fsynced and read again together while what follows is still written: enough that an
/// fsync is rare, few enough that little is left to do when the archive ends. Whole pages, which can be dropped.
pub const STRETCH: u64 = 16 << 20;

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
    let (mut hash, mut size) = (Sha256::new(), 0);
    read(&mut open_file(path)?, path, (0, None), cancel, |bytes| {
        hash.update(bytes);
        size += bytes.len() as u64;
    })?;
    Ok(Stored { size, sha256: to_hex(&hash.finalize()) })
}

/// A sum of bytes one after the other, by which what was written is compared with what is read again: chance makes no two
/// alike, and it takes a tenth of the time of SHA-256, which is there against somebody's will.
#[derive(Clone, Default)]
pub struct Sum {
    size: u64,
    hash: Xxh3,
}

impl Sum {
    /// Adds what follows.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn is(&self, other: &Self) -> bool {
        self.size == other.size && self.hash.digest128() == other.hash.digest128()
    }

    /// Reads on in a file, to `end` or else as far as the file goes.
    fn go_on(&mut self, file: &mut File, path: &Path, end: Option<u64>, cancel: &Cancel) -> Result<()> {
        read(file, path, (self.size, end), cancel, |bytes| self.add(bytes))
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum({} bytes, {:032x})", self.size, self.hash.digest128())
    }
}

/// Proves that the file at `path`, already fsynced, is on the disk as it was `written`. What its first bytes are was
/// `reread` before.
///
/// # Errors
/// [`Kind::Damaged`] when it is not.
pub fn prove(path: &Path, written: &Sum, mut reread: Sum, cancel: &Cancel) -> Result<()> {
    reread.go_on(&mut open_file(path)?, path, None, cancel)?;
    if reread.is(written) {
        return Ok(());
    }
    let what = format!("{} was written but reads back different", path.display());
    Err(Error::new(Kind::Damaged, what).hint("the disk, its controller or memory is faulty: check the kernel log"))
}

/// Reads a stretch of a file, from the disk; to the file's end, where it says none.
fn read(
    file: &mut File,
    path: &Path,
    (from, end): (u64, Option<u64>),
    cancel: &Cancel,
    mut each: impl FnMut(&[u8]),
) -> Result<()> {
    let failed = |e: &std::io::Error| Error::io("read", path, e);
    let length = end.map_or_else(|| file.metadata().map(|found| found.len()), Ok).map_err(|e| failed(&e))?;
    let pages = end.and_then(|end| NonZeroU64::new(end.saturating_sub(from)));
    // Advice: where a file system does not take it, the read is merely a weaker proof.
    let _ = fadvise(&*file, from, pages, Advice::DontNeed);
    let _ = fadvise(&*file, from, pages, Advice::Sequential);
    if from > 0 {
        file.seek(SeekFrom::Start(from)).map_err(|e| failed(&e))?;
    }
    // No larger than the file: many are small.
    let room = length.saturating_sub(from).clamp(1, LARGEST_READ);
    let mut buffer = vec![0; usize::try_from(room).unwrap_or_default()];
    let mut stretch = file.take(end.map_or(u64::MAX, |end| end.saturating_sub(from)));
    loop {
        cancel.check()?;
        match stretch.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                each(&buffer[..n]);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(&e)),
        }
    }
    // Pages read once for a proof should not push the application's own out of memory.
    let _ = fadvise(&*stretch.into_inner(), from, pages, Advice::DontNeed);
    Ok(())
}

/// Reads an archive again behind whoever writes it. A thread of its own, once the archive is longer than a stretch.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    cancel: Cancel,
    /// Up to where it was told to read.
    told: u64,
    at_work: Option<(Sender<u64>, JoinHandle<Result<Sum>>)>,
}

impl Follower {
    /// Of the archive at `path`.
    pub fn new(path: PathBuf, cancel: Cancel) -> Self {
        Self { path, cancel, told: 0, at_work: None }
    }

    /// `size` bytes are written by now.
    ///
    /// # Errors
    /// When the disk failed with what was written before: what follows need not be read.
    pub fn written(&mut self, size: u64) -> std::io::Result<()> {
        let end = size - size % STRETCH;
        if end == self.told {
            return Ok(());
        }
        self.told = end;
        if self.at_work.is_none() {
            let (path, cancel) = (self.path.clone(), self.cancel.clone());
            let (ends, told) = unbounded();
            let thread = std::thread::Builder::new().name("archive-proof".into());
            // Without a thread it takes longer: all is read at the end.
            self.at_work = thread.spawn(move || follow(&path, &told, &cancel)).ok().map(|thread| (ends, thread));
        }
        match &self.at_work {
            // It is gone where it failed.
            Some((ends, _)) if ends.send(end).is_err() => self.end().map(drop).map_err(std::io::Error::other),
            _ => Ok(()),
        }
    }

    /// What was read by now; waits until all that it was told of is.
    ///
    /// # Errors
    /// When the disk failed.
    pub fn end(&mut self) -> Result<Sum> {
        let Some((ends, thread)) = self.at_work.take() else { return Ok(Sum::default()) };
        drop(ends);
        thread.join().unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the thread that reads back died")))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // The archive was given up: what is wrong with it no longer matters, but nobody may read on in it.
        let _ = self.end();
    }
}

fn follow(path: &Path, told: &Receiver<u64>, cancel: &Cancel) -> Result<Sum> {
    let mut file = open_file(path)?;
    let mut reread = Sum::default();
    while let Ok(end) = told.recv() {
        // Whoever is late takes several stretches at once.
        let end = told.try_iter().last().unwrap_or(end);
        // By a descriptor of its own: an error that it is told of here, the writer's is told of too.
        file.sync_data().map_err(|e| Error::io("fsync", path, &e))?;
        reread.go_on(&mut file, path, Some(end), cancel)?;
    }
    Ok(reread)
}
