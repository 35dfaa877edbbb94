//! The index: one JSON object a line, the last entry of every archive. It maps what is stored to where it is.

use super::tar_header::{from_hex, to_hex};
use crate::error::Result;
use crate::pipeline::RecordDigest;
use crate::source::{EntryName, FileRecord};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An index never reads longer than this for `stored` bytes of it. Lines of files differ in path and digest, and compress
/// to a tenth; what compresses to nothing is no list of files, but made to fill the memory of whoever reads it.
pub fn longest(stored: u64) -> u64 {
    stored.saturating_mul(100).saturating_add(32 << 20)
}

/// One stored entry (one tar entry), as a line of `.index.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexEntry {
    /// Path of the tar entry; bytes that are not UTF-8 are given in `path_bytes`.
    pub path: String,
    /// The path's bytes in hexadecimal, where `path` could not hold them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// What an engine calls it; none for files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<EntryName>,
    /// Part number from 1; none when the entry is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// On the last part: how many parts there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    /// What kind of file system object; none for data of engines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileRecord>,
    /// Offset in the archive of the member in which the data begins.
    pub offset: u64,
    /// Bytes to skip in that member's raw data.
    pub skip: u64,
    /// Bytes of data.
    pub size: u64,
    /// Records in the data; none where it is not records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Digest of those records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_digest: Option<RecordDigest>,
    /// SHA-256 of the data, hexadecimal.
    pub sha256: String,
}

impl IndexEntry {
    /// An entry for `body` at a place; the other fields are empty.
    pub(super) fn new(path: &str, offset: u64, skip: u64, body: &[u8]) -> Self {
        Self {
            path: path.to_owned(),
            path_bytes: None,
            name: None,
            part: None,
            parts: None,
            file: None,
            offset,
            skip,
            size: body.len() as u64,
            records: None,
            record_digest: None,
            sha256: to_hex(&Sha256::digest(body)),
        }
    }

    /// Sets the path from bytes that may not be UTF-8.
    pub(super) fn set_path(&mut self, bytes: &[u8]) {
        self.path = String::from_utf8_lossy(bytes).into_owned();
        self.path_bytes = (self.path.as_bytes() != bytes).then(|| to_hex(bytes));
    }

    /// The path's bytes.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when they are not given as they must.
    pub fn raw_path(&self) -> Result<Vec<u8>> {
        self.path_bytes.as_deref().map_or_else(|| Ok(self.path.clone().into_bytes()), from_hex)
    }
}
