//! `audit.jsonl`: who did what, with what result. Only ever appended to.

use super::syncs::Syncs;
use crate::error::{Error, Kind, Result};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

#[derive(serde::Serialize)]
struct Line<'a> {
    at: chrono::DateTime<chrono::Utc>,
    uid: u32,
    host: String,
    action: &'a str,
    subject: &'a str,
    result: &'a str,
}

/// Appends one line, in one write, and makes it last.
pub fn append(location: &Path, syncs: &Syncs, action: &str, subject: &str, result: &str) -> Result<()> {
    let line = Line {
        at: chrono::Utc::now(),
        uid: rustix::process::getuid().as_raw(),
        host: super::lock::host(),
        action,
        subject,
        result,
    };
    let mut body = serde_json::to_vec(&line).map_err(|e| Error::new(Kind::Internal, "an audit line").cause(e))?;
    body.push(b'\n');
    let path = location.join("audit.jsonl");
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    opened.and_then(|mut file| file.write_all(&body)).map_err(|e| Error::io("write", &path, &e))?;
    syncs.sync(&path)
}
