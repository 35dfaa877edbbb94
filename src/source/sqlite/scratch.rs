//! Working copies: a database in the making, or taken out of an archive. SQLite needs a file for either.

use crate::error::{Error, Kind, Result};
use rusqlite::Connection;
use std::path::Path;
use tempfile::NamedTempFile;

/// Files here are memory. Linux has it everywhere; its size is the administrator's business.
const MEMORY: &str = "/dev/shm";

/// The magic number of tmpfs (statfs(2)).
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// Makes an empty file, 0600, that goes when it is dropped. A `sealed` one, whose content is encrypted where it is
/// stored, is kept in memory.
pub fn file(sealed: bool) -> Result<NamedTempFile> {
    if !sealed {
        return NamedTempFile::new().map_err(|e| {
            Error::new(Kind::Io, "cannot create a temporary file")
                .cause(e)
                .hint("free space in $TMPDIR (else /tmp), or set it")
        });
    }
    let folder = Path::new(MEMORY);
    let no = |why: String| {
        Error::new(Kind::Io, format!("cannot keep a database in memory: {why}"))
            .hint(format!("a SQLite database in an encrypted archive is worked on in {MEMORY}, so that none of it is on a disk in clear"))
    };
    let is_memory = rustix::fs::statfs(folder).is_ok_and(|stat| stat.f_type == TMPFS);
    if !is_memory {
        return Err(no(format!("{MEMORY} is no tmpfs")));
    }
    NamedTempFile::new_in(folder).map_err(|e| no(e.to_string()))
}

/// Keeps what SQLite itself puts aside (sorting for an index) in memory too, for a `sealed` file.
pub fn confine(connection: &Connection, sealed: bool) -> rusqlite::Result<()> {
    if sealed { connection.execute_batch("PRAGMA temp_store = MEMORY") } else { Ok(()) }
}
