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
    let directories = directories(options.config);
    found.push(may_be_read(options, &files::uploads(std::slice::from_ref(root), &directories, &Scope::SystemWide)));
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

/// Looks for the folder of every module, which some root must have, as a backup does.
pub(super) fn look_for_folders(config: &Config) -> Vec<Finding> {
    if config.uploads.iter().all(UploadRoot::has_folders_of_tenants) {
        // A folder of a tenant's own need not be there yet.
        return Vec::new();
    }
    let lacks = |directory: &&String| {
        let trees = files::uploads(&config.uploads, std::slice::from_ref(*directory), &Scope::SystemWide).trees;
        trees.iter().all(|tree| tree.path.symlink_metadata().is_err())
    };
    let told = |directory: &String| Finding::failed(format!("no upload root has a folder for '{directory}'"), MOUNT);
    directories(config).iter().filter(lacks).map(told).collect()
}

/// The upload directories of all modules, each once.
fn directories(config: &Config) -> Vec<String> {
    let all: BTreeSet<_> = config.modules.values().flat_map(|module| &module.file_uploads).collect();
    all.into_iter().cloned().collect()
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
