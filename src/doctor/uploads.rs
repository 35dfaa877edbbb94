//! Upload roots and further files: are they there, may they be read, and are they those of before?

use super::{Finding, Options, Stored};
use crate::config::{Config, ExtraFiles, UploadRoot};
use crate::error::Error;
use crate::manifest::ComponentStatus;
use crate::names::Scope;
use crate::source::files::{self, Trees};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::slice;

/// Files and folders of a root that are tried. The backup itself tells of the others.
const SAMPLE: usize = 10_000;

const MOUNT: &str = "is the disk mounted (`findmnt --target` says what is there), and the path right?";

/// Looks at one upload root.
pub(super) fn look(options: &Options<'_>, stored: &Stored, root: &UploadRoot) -> Vec<Finding> {
    let path = &root.root;
    let mut found = match is_folder(path) {
        Ok(()) => {
            vec![Finding::ok(format!("{} is there, on the disk mounted at {}", path.display(), mounted_at(path)))]
        }
        Err(finding) => return vec![finding],
    };
    if !root.has_folders_of_tenants() {
        for folder in folders(options.config, root) {
            found.extend(is_folder(&path.join(folder)).err());
        }
    }
    let directories: BTreeSet<_> = options.config.modules.values().flat_map(|module| &module.file_uploads).collect();
    let directories: Vec<_> = directories.into_iter().cloned().collect();
    found.push(may_be_read(options, &files::uploads(slice::from_ref(root), &directories, &Scope::SystemWide)));
    if is_empty(path) && held_files(stored) {
        found
            .push(Finding::warning(format!("{} is empty, and the newest backup holds uploads", path.display()), MOUNT));
    }
    found
}

/// Looks at one archive of files beside the modules.
pub(super) fn look_extra(options: &Options<'_>, name: &str, extra: &ExtraFiles) -> Vec<Finding> {
    let absent = |path: &Path| match path.symlink_metadata() {
        Ok(_) => None,
        Err(_) if extra.optional => Some(Finding::ok(format!("{} is not there, and need not be", path.display()))),
        Err(error) => Some(missing(path, &error)),
    };
    let mut found: Vec<_> = extra.paths.iter().filter_map(|(path, _)| absent(path)).collect();
    if found.len() < extra.paths.len() {
        found.push(may_be_read(options, &files::extra(name, extra)));
    }
    found
}

/// The folders of modules below a root, each once.
fn folders(config: &Config, root: &UploadRoot) -> Vec<String> {
    let mut folders = root.folders(config);
    folders.sort();
    folders.dedup();
    folders
}

fn is_folder(path: &Path) -> Result<(), Finding> {
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Finding::failed(format!("{} is no folder", path.display()), MOUNT)),
        Err(error) => Err(missing(path, &error)),
    }
}

fn missing(path: &Path, error: &std::io::Error) -> Finding {
    let error = Error::io("look at", path, error).hint(MOUNT);
    Finding::from(&error)
}

/// Whether what a backup would read may be read, as far as the first files tell.
fn may_be_read(options: &Options<'_>, trees: &Trees) -> Finding {
    let found = match files::readable(trees, SAMPLE, &options.cancel) {
        Ok(found) => found,
        Err(error) => return Finding::from(&error),
    };
    let Some(first) = found.first else {
        let of = if found.more { "the first " } else { "" };
        return Finding::ok(format!("files and folders may be read ({of}{} looked at)", found.tried));
    };
    let others = match found.refused {
        1 => String::new(),
        2 => ", nor another".to_owned(),
        more => format!(", nor {} others", more - 1),
    };
    Finding::failed(
        format!("{first} may not be read{others}"),
        "let the user who makes backups read it (chmod, chgrp or setfacl), or leave it out by `exclude`",
    )
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Whether the newest system-wide backup holds files of modules.
fn held_files(stored: &Stored) -> bool {
    let Ok(catalog) = &stored.catalog else { return false };
    let newest = catalog.candidates(&Scope::SystemWide, None).into_iter().next();
    newest.is_some_and(|entry| {
        let uploads = entry.summary.components.iter().filter(|component| component.module.is_some());
        uploads.filter(|component| component.status != ComponentStatus::Absent).any(|component| component.files > 0)
    })
}

/// The mount point that a path is below: a disk that is not mounted is seen at a glance.
fn mounted_at(path: &Path) -> String {
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let above = path.ancestors().take_while(|above| device(above) == device(path)).last();
    above.unwrap_or(path).display().to_string()
}
