//! Where files go: from paths in an archive to places on disk.

use super::super::Options;
use super::super::choose::Piece;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::names::Scope;
use crate::source::files::{self, Trees};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where the files of a piece are read from, and so what a replacement covers.
pub fn trees(config: &Config, piece: &Piece) -> Trees {
    match (&piece.component.module, config.extra_files.get(&piece.component.name)) {
        (Some(_), _) => {
            let directories: Vec<_> = piece.collections.iter().map(|directory| directory.name.clone()).collect();
            let scope = piece.share.as_ref().map_or(Scope::SystemWide, |share| Scope::Tenant(share.tenant.clone()));
            files::uploads(&config.uploads, &directories, &scope)
        }
        (None, Some(extra)) => files::extra(&piece.component.name, extra),
        (None, None) => Trees { trees: Vec::new() },
    }
}

/// From stored paths to places on disk.
pub struct Places(Vec<(Vec<u8>, PathBuf, Vec<u8>)>);

impl Places {
    pub fn of(options: &Options<'_>, config: &Config, piece: &Piece) -> Result<Self> {
        if let Some(directory) = &options.files_into {
            let all = (Vec::new(), directory.clone(), Vec::new());
            return Ok(Self(vec![all]));
        }
        if piece.component.name == "uploads" && piece.component.module.is_some() {
            let roots = config.uploads.iter();
            return Ok(Self(roots.map(|r| (r.name.clone().into_bytes(), r.root.clone(), Vec::new())).collect()));
        }
        Self::of_extra(config, &piece.component.name)
    }

    /// Every path of an `extraFiles` entry goes back to where it was, below the directory that held it.
    fn of_extra(config: &Config, name: &str) -> Result<Self> {
        let unknown = || {
            Error::new(Kind::Config, format!("the backup holds extraFiles '{name}', which is not configured"))
                .hint("say where with --files-into DIR")
        };
        let trees = files::extra(name, config.extra_files.get(name).ok_or_else(unknown)?);
        let place = |tree: files::Tree| {
            let parent = tree.path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
            let base = tree.path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
            (tree.stored_as, parent, base)
        };
        Ok(Self(trees.trees.into_iter().map(place).collect()))
    }

    /// Root and path below it for a stored path.
    pub fn find(&self, stored: &[u8]) -> Option<(PathBuf, Vec<u8>)> {
        self.0.iter().find_map(|(prefix, root, base)| {
            let rest = if prefix.is_empty() {
                stored
            } else {
                let rest = stored.strip_prefix(prefix.as_slice())?;
                if rest.is_empty() { rest } else { rest.strip_prefix(b"/")? }
            };
            let mut path = base.clone();
            if !path.is_empty() && !rest.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(rest);
            Some((root.clone(), path))
        })
    }
}
