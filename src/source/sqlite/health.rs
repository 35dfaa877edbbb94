//! What a backup needs of a SQLite file: writers that do not stop it, room for its copy, indexes.

use super::Sqlite;
use super::way::Way;
use crate::error::Result;
use crate::source::health::{Finding, Needs, missing_index};

/// Looks at all of it.
pub fn diagnose(source: &Sqlite, needs: &Needs<'_>) -> Result<Vec<Finding>> {
    let connection = source.reader()?;
    let failed = |e: rusqlite::Error| source.failed("look at", &e);
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(failed)?;
    let mut found = vec![match mode.as_str() {
        "wal" => Finding::ok("the application may write while a backup reads (WAL)"),
        other => Finding::ok(format!("the application waits with its writes while a backup reads (journal: {other})")),
    }];
    for wanted in needs.owned {
        let Some(ownership) = wanted.records.ownership() else { continue };
        match Way::look(&connection, &|_| String::from("main"), &wanted.name, ownership) {
            Ok(way) => {
                let command = way.missing_index(&connection).map_err(failed)?;
                found.extend(command.map(|command| missing_index(&wanted.name, &command)));
            }
            Err(error) => found.push(Finding::from(&error)),
        }
    }
    found.extend(room(source));
    Ok(found)
}

/// The selected rows are put into a file before they are archived: at most as large as the database.
fn room(source: &Sqlite) -> Option<Finding> {
    let folder = tempfile::env::temp_dir();
    let size = source.path.metadata().ok()?.len();
    let space = rustix::fs::statvfs(&folder).ok()?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let (folder, shown) = (folder.display(), free >> 20);
    Some(if free > size {
        Finding::ok(format!("{folder} has room for the copy that is archived"))
    } else {
        Finding::warning(
            format!("{folder} has {shown} MiB free, and the copy that is archived takes up to {} MiB", size >> 20),
            "free space there, or set TMPDIR to a folder on a larger disk",
        )
    })
}
