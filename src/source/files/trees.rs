//! From configured directories to starting points on disk.

use super::{Tree, Trees};
use crate::config::{ExtraFiles, UploadRoot};
use crate::names::Scope;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Starting points of a module's upload directories for a scope. Below a root whose layout has no `{tenant}` a tenant has
/// the files that its records name ([`Trees::with_names`]), else nothing; a system-wide run takes every tenant's folder.
pub fn uploads(roots: &[UploadRoot], directories: &[String], scope: &Scope) -> Trees {
    let mut trees = Vec::new();
    for root in roots {
        for directory in directories {
            for relative in places(root, directory, scope) {
                trees.push(Tree {
                    path: root.root.join(&relative),
                    stored_as: [root.name.as_bytes(), b"/", relative.as_os_str().as_bytes()].concat(),
                    directory: directory.clone(),
                    below: root.root.clone(),
                    exclude: root.exclude.clone(),
                    max_file_size: root.max_file_size,
                    allowed_extensions: root.allowed_extensions.clone(),
                    named: (scope.tenant().is_some() && !root.has_folders_of_tenants()).then(Arc::default),
                });
            }
        }
    }
    Trees { trees }
}

/// Paths below a root that a layout gives for a directory.
fn places(root: &UploadRoot, directory: &str, scope: &Scope) -> Vec<PathBuf> {
    let layout = root.layout.replace("{directory}", directory);
    if !layout.contains("{tenant}") {
        let is_known = scope.tenant().is_none() || root.tells_tenants();
        return if is_known { vec![PathBuf::from(layout)] } else { Vec::new() };
    }
    if let Some(tenant) = scope.tenant() {
        return vec![PathBuf::from(layout.replace("{tenant}", tenant.as_str()))];
    }
    let mut found = vec![PathBuf::new()];
    for part in layout.split('/').filter(|part| !part.is_empty() && *part != ".") {
        found = found.into_iter().flat_map(|path| step(&root.root, &path, part)).collect();
    }
    found
}

/// Every folder `path/part` below `root`, with `{tenant}` in `part` standing for anything.
fn step(root: &Path, path: &Path, part: &str) -> Vec<PathBuf> {
    let Some((before, after)) = part.split_once("{tenant}") else { return vec![path.join(part)] };
    let entries = std::fs::read_dir(root.join(path)).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<OsString> = entries
        // A link is not followed: what it points at may be another tenant's, or nobody's.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name())
        .filter(|name| {
            let bytes = name.as_bytes();
            bytes.len() > before.len() + after.len()
                && bytes.starts_with(before.as_bytes())
                && bytes.ends_with(after.as_bytes())
        })
        .collect();
    names.sort();
    names.into_iter().map(|name| path.join(name)).collect()
}

/// Starting points of an `extraFiles` entry. A path inside the configuration's folder is stored as written; any other by
/// its absolute path without the leading slash.
pub fn extra(_name: &str, files: &ExtraFiles) -> Trees {
    let trees = files.paths.iter().map(|(path, written)| {
        let inside = Path::new(written).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        let shown = if inside { Path::new(written) } else { path.as_path() };
        let normal = shown.components().filter_map(|c| match c {
            Component::Normal(name) => Some(name.as_bytes()),
            _ => None,
        });
        Tree {
            path: path.clone(),
            stored_as: normal.collect::<Vec<_>>().join(&b'/'),
            directory: written.clone(),
            below: path.parent().unwrap_or(Path::new("/")).to_owned(),
            exclude: files.exclude.clone(),
            max_file_size: None,
            allowed_extensions: Vec::new(),
            named: None,
        }
    });
    Trees { trees: trees.collect() }
}

/// An `extraFiles` entry as it would be if its paths were below `directory`, each where it is stored.
pub fn below(files: &ExtraFiles, directory: &Path) -> ExtraFiles {
    let place = |tree: Tree| directory.join(Path::new(OsStr::from_bytes(&tree.stored_as)));
    let paths =
        extra("", files).trees.into_iter().map(place).zip(files.paths.iter().map(|(_, written)| written.clone()));
    ExtraFiles { paths: paths.collect(), ..files.clone() }
}

impl Trees {
    /// How many files are named in a directory, where records tell whose files are.
    pub fn named_in(&self, directory: &str) -> usize {
        let named = self.trees.iter().filter(|tree| tree.directory == directory);
        named.filter_map(|tree| tree.named.as_ref().map(|names| names.below(&tree.relative()).len())).sum()
    }

    /// Whether there is nothing at all in the directories.
    pub fn are_empty(&self) -> bool {
        let is_empty = |tree: &Tree| std::fs::read_dir(&tree.path).is_ok_and(|mut entries| entries.next().is_none());
        self.trees.iter().all(is_empty)
    }
}

impl Tree {
    /// The name of the upload root.
    pub fn root(&self) -> &[u8] {
        self.stored_as.split(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// The path of the tree below its root, as bytes.
    pub(super) fn relative(&self) -> Vec<u8> {
        let relative = self.path.strip_prefix(&self.below).unwrap_or(&self.path);
        relative.as_os_str().to_owned().into_vec()
    }
}
