//! Whether files may be read, found out without reading them.

use super::Trees;
use super::walk::{Met, walk};
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use rustix::fs::{Access, AtFlags, FileType, accessat};

/// What was found of the first files and folders that a backup would store.
#[derive(Debug, Default)]
pub struct Readable {
    /// How many were tried.
    pub tried: usize,
    /// How many of them may not be read.
    pub refused: usize,
    /// The first of these, as it would be stored.
    pub first: Option<String>,
    /// There are more than were tried.
    pub more: bool,
}

/// Tries at most `most` files and folders.
///
/// # Errors
/// When the run is cancelled, or a rule is malformed.
pub fn readable(trees: &Trees, most: usize, cancel: &Cancel) -> Result<Readable> {
    let mut found = Readable::default();
    for tree in &trees.trees {
        let walked = walk(tree, cancel, &mut |met| {
            if found.tried == most {
                found.more = true;
                // A walk is ended by an error alone.
                return Err(Error::new(Kind::Internal, "enough was tried"));
            }
            let refused = match met {
                Met::Object { folder, name, stored_as, stat } => {
                    found.tried += 1;
                    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                    let is_refused = is_file && accessat(folder, name, Access::READ_OK, AtFlags::empty()).is_err();
                    is_refused.then_some(stored_as)
                }
                Met::Failed { stored_as, .. } => Some(stored_as),
                Met::Excluded { .. } | Met::Missing { .. } | Met::Vanished { .. } => None,
            };
            if let Some(stored_as) = refused {
                found.refused += 1;
                found.first.get_or_insert_with(|| String::from_utf8_lossy(stored_as).into_owned());
            }
            Ok(())
        });
        match walked {
            Err(_) if found.more => break,
            walked => walked?,
        }
    }
    Ok(found)
}
