//! Who else has the database file open: a program that goes on writing into what is restored loses what it wrote.

use super::Sqlite;
use crate::error::{Error, Kind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Other processes that have the file open, each a line, as far as this one may look.
pub fn others(target: &Sqlite) -> Result<Vec<String>> {
    let Ok(file) = target.path.metadata() else { return Ok(Vec::new()) };
    let unknown = |why: &str| Error::new(Kind::Source, why.to_owned());
    let processes = std::fs::read_dir("/proc").map_err(|_| unknown("there is no /proc to look at"))?;
    let (mut found, mut hidden) = (Vec::new(), 0);
    for process in processes.filter_map(std::result::Result::ok) {
        let id = process.file_name().to_string_lossy().into_owned();
        if id.parse::<u32>().map_or(true, |number| number == std::process::id()) {
            continue;
        }
        let Ok(open) = std::fs::read_dir(process.path().join("fd")) else {
            // One that has ended since is no secret.
            hidden += u64::from(process.path().exists());
            continue;
        };
        let same = |path: &Path| path.metadata().is_ok_and(|m| (m.dev(), m.ino()) == (file.dev(), file.ino()));
        if open.filter_map(std::result::Result::ok).any(|descriptor| same(&descriptor.path())) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(format!("process {id} ({}) has {} open", name.trim(), target.path.display()));
        }
    }
    if found.is_empty() && hidden > 0 {
        return Err(unknown("this user may not look at the processes of others"));
    }
    Ok(found)
}
