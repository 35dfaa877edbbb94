//! Reading files of the repository that anybody may have written.

use std::fs::File;
use std::io::{Error, Read, Result};
use std::path::Path;

/// No manifest, fact or journal is longer. A manifest of 100,000 collections is 40 MiB.
pub const LONGEST: u64 = 64 << 20;

/// Reads a file that is one, and no longer than [`LONGEST`]. A pipe in its place would keep its reader waiting for ever.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    use rustix::fs::{Mode, OFlags, open};
    let file = File::from(open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?);
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(Error::other("it is no file"));
    }
    let mut body = Vec::with_capacity(usize::try_from(about.len().min(LONGEST)).unwrap_or(0));
    file.take(LONGEST + 1).read_to_end(&mut body)?;
    if body.len() as u64 > LONGEST { Err(Error::other("it is too long to be what it should")) } else { Ok(body) }
}
