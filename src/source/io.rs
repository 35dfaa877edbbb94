//! What passes between engines and the archive: names, streams of records, files. Engines write to an [`Output`] or
//! a [`FileOutput`] and read from an [`Input`]; what is behind them is the archive's business.

use crate::error::Result;
use crate::pipeline::{Body, RecordBlock, RecordDigest};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// Names one thing an engine stores. `<directory>/<stem><suffix>` becomes the entry's path, escaped where needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryName {
    /// First folder: the database.
    pub directory: String,
    /// True name of what is stored, usually a collection.
    pub stem: String,
    /// What follows, with its dot: `.bson`, `.metadata.json`, `.db`.
    pub suffix: String,
}

impl EntryName {
    /// A name of its three parts.
    pub fn new(directory: &str, stem: &str, suffix: &str) -> Self {
        Self { directory: directory.into(), stem: stem.into(), suffix: suffix.into() }
    }
}

/// Where an engine puts what it reads. May be shared by threads.
pub trait Output: Sync {
    /// What is stored is encrypted: nothing of it may lie on a disk in clear on the way.
    fn is_sealed(&self) -> bool;

    /// Where an entry is in the unpacked archive, its parts joined: for scripts that name it.
    fn path(&self, name: &EntryName) -> String;

    /// Opens a stream of records whose length is not known. It is cut into parts as it grows; dropping the stream
    /// without [`RecordStream::finish`] makes all of it void.
    ///
    /// # Errors
    /// When the archive cannot be written.
    fn stream(&self, name: &EntryName) -> Result<Box<dyn RecordStream + '_>>;

    /// Stores a small body in one piece.
    ///
    /// # Errors
    /// When the archive cannot be written.
    fn document(&self, name: &EntryName, body: &[u8]) -> Result<()>;

    /// Stores `size` bytes of `body` as one entry of known size, without cutting it.
    ///
    /// # Errors
    /// When the archive cannot be written, or `body` fails or ends early.
    fn sized(&self, name: &EntryName, size: u64, body: &mut dyn Read) -> Result<()>;
}

/// A growing stream of records.
pub trait RecordStream {
    /// Adds a block of whole records, at best about 1 MiB.
    ///
    /// # Errors
    /// When the archive cannot be written or the run was cancelled.
    fn write(&mut self, block: RecordBlock) -> Result<()>;

    /// Ends the stream; returns totals over all its blocks.
    ///
    /// # Errors
    /// When the archive cannot be written.
    fn finish(self: Box<Self>) -> Result<StreamTotals>;
}

/// Totals of a finished stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamTotals {
    /// Records written.
    pub records: u64,
    /// Bytes written, before compression.
    pub bytes: u64,
    /// Their digest.
    pub digest: RecordDigest,
}

impl StreamTotals {
    /// Counts one more record.
    pub fn add(&mut self, record: &[u8]) {
        self.records += 1;
        self.bytes += record.len() as u64;
        self.digest.add(record);
    }

    /// Counts a block of records.
    pub fn add_block(&mut self, block: &RecordBlock) {
        self.merge(&Self { records: block.records, bytes: block.bytes.len() as u64, digest: block.digest });
    }

    /// Counts what another stream holds.
    pub fn merge(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.digest.merge(other.digest);
    }
}

/// What an engine restores from: stored entries by name, parts joined.
pub trait Input: Sync {
    /// What it is, unlike any other input: what an engine has once taken out of it need not be taken out again.
    fn identity(&self) -> String;

    /// It is encrypted where it is stored: nothing of it may lie on a disk in clear on the way.
    fn is_sealed(&self) -> bool;

    /// Opens an entry; its parts read as one stream. Digests are checked as it is read, and reading to the end
    /// fails unless they match.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damaged`] when there is no such entry.
    fn open(&self, name: &EntryName) -> Result<Box<dyn Read + Send + '_>>;

    /// What holds another collection of the same source, of the same backup: this, or another archive of it. To find out
    /// whose a record is, when its parent says so. None where it is not stored.
    fn holding(&self, collection: &str) -> Option<&dyn Input>;
}

/// Where the files engine puts what it reads. Entries are stored in the order of the calls.
pub trait FileOutput {
    /// Stores a file system object. `body` gives `entry.size` bytes; that what it lacked is zeros, the outcome says.
    ///
    /// # Errors
    /// When the archive cannot be written or the run was cancelled.
    fn file(&mut self, entry: &FileEntry, body: &mut dyn Body) -> Result<FileOutcome>;
}

/// A file system object to be stored.
#[derive(Debug, Clone)]
pub struct FileEntry {
    /// Path inside the archive: bytes as the file system has them, relative, `/` between components.
    pub path: Vec<u8>,
    /// Content bytes; 0 for anything but a regular file.
    pub size: u64,
    /// Kind and metadata.
    pub record: FileRecord,
}

/// How storing a file went.
#[derive(Debug, Clone, Default)]
pub struct FileOutcome {
    /// Why the content is not whole; it was padded with zeros to its announced size.
    pub torn: Option<String>,
}

/// A file system object and its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileRecord {
    /// `file`, `directory` or `symlink`.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Where a link points, bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Extended attributes: name, and value in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(String, String)>,
    /// The file changed or failed while it was read; what follows the break is zeros.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub torn: bool,
}

/// Kinds of file system objects that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}
