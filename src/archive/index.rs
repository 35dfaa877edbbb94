//! The index: one JSON object a line, the last entry of every archive. It maps what is stored to where it is.

use crate::pipeline::RecordDigest;
use crate::source::{EntryName, FileRecord};
use serde::{Deserialize, Serialize};

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
    /// Offset in the archive of the gzip member in which the data begins.
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
