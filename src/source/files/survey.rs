//! Looks what is there, by the rules by which it is read.

use super::read::line;
use super::walk::{Met, exists, walk};
use super::{Survey, Trees};
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use rustix::fs::FileType;

/// Looks what is there, for the plan.
///
/// # Errors
/// When a rule is malformed or the run was cancelled.
pub fn survey(trees: &Trees, cancel: &Cancel) -> Result<Survey> {
    let mut survey = Survey::default();
    for tree in &trees.trees {
        if exists(tree) && !survey.present.contains(&tree.directory) {
            survey.present.push(tree.directory.clone());
        }
        if tree.named.is_some() {
            // A share that is not known yet: better no estimate than everybody's.
            continue;
        }
        walk(tree, cancel, &mut |met| {
            if let Met::Object { stat, .. } = met
                && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            {
                survey.files += 1;
                survey.bytes += u64::try_from(stat.st_size).unwrap_or(0);
            }
            Ok(())
        })?;
    }
    Ok(survey)
}

/// Calls `each` with the path (inside the archive) and size of every regular file that is there to be stored, as it goes.
///
/// # Errors
/// As [`list`].
pub fn each_file(trees: &Trees, cancel: &Cancel, each: &mut dyn FnMut(&[u8], u64)) -> Result<()> {
    trees.trees.iter().try_for_each(|tree| {
        walk(tree, cancel, &mut |met| match met {
            Met::Object { stored_as, stat, .. } if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                each(stored_as, u64::try_from(stat.st_size).unwrap_or(0));
                Ok(())
            }
            Met::Failed { stored_as, reason } => {
                Err(Error::new(Kind::Io, format!("cannot look at {}", line(stored_as, &reason))))
            }
            _ => Ok(()),
        })
    })
}

/// Paths (inside the archive) of everything that is there to be stored, and whether it is a directory; a directory
/// comes before what is in it.
///
/// # Errors
/// When something cannot be looked at, a rule is malformed or the run was cancelled.
pub fn list(trees: &Trees, cancel: &Cancel) -> Result<Vec<(Vec<u8>, bool)>> {
    let mut found = Vec::new();
    for tree in &trees.trees {
        walk(tree, cancel, &mut |met| {
            match met {
                Met::Object { stored_as, stat, .. } => {
                    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                    found.push((stored_as.to_vec(), directory));
                }
                Met::Failed { stored_as, reason } => {
                    let what = format!("cannot look at {}", line(stored_as, &reason));
                    return Err(Error::new(Kind::Io, what));
                }
                Met::Excluded { .. } | Met::Missing { .. } | Met::Vanished { .. } => {}
            }
            Ok(())
        })?;
    }
    Ok(found)
}
