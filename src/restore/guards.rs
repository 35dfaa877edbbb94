//! What is protected, and whether this restore may write to it all the same.

use super::Options;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::source;
use std::path::{Path, PathBuf};

/// Names of the protected sources and upload roots that a restore would write to. It goes to the `sources` and
/// directories of `redirected`; that it was sent there by another name does not count as elsewhere.
pub fn protected<'a>(
    config: &Config,
    redirected: &Config,
    sources: impl Iterator<Item = &'a str>,
    roots: impl Iterator<Item = PathBuf>,
) -> Vec<String> {
    let places: Vec<_> = sources.filter_map(|name| redirected.sources.get(name)).collect();
    let mut protected: Vec<String> = Vec::new();
    for (name, source) in config.sources.iter().filter(|(_, source)| source.protected) {
        if places.iter().any(|place| source::same_place(place, source)) {
            protected.push(name.clone());
        }
    }
    let roots: Vec<_> = roots.map(|root| real(&root)).collect();
    for upload in config.uploads.iter().filter(|upload| upload.protected) {
        let kept = real(&upload.root);
        if roots.iter().any(|root| root.starts_with(&kept) || kept.starts_with(root)) {
            protected.push(upload.name.clone());
        }
    }
    protected
}

/// Without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let known = path.ancestors().find_map(|part| Some((part.canonicalize().ok()?, path.strip_prefix(part).ok()?)));
    known.map_or_else(|| path.to_owned(), |(real, rest)| real.join(rest))
}

/// Refuses to write to what is protected and was not named.
pub fn allow(options: &Options<'_>, protected: &[String]) -> Result<()> {
    let config = options.config;
    let named = config.sources.iter().filter(|(_, source)| source.protected).map(|(name, _)| name);
    let named: Vec<_> = named.chain(config.uploads.iter().filter(|u| u.protected).map(|u| &u.name)).collect();
    if let Some(unknown) = options.allow_protected.iter().find(|name| !named.contains(name)) {
        let what = format!("--allow-protected {}: nothing of that name is protected", unknown.escape_debug());
        let names: Vec<_> = named.iter().map(|name| name.as_str()).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::new(Kind::Config, what).hint(format!("protected are: {there}")));
    }
    let refused: Vec<_> = protected.iter().filter(|name| !options.allow_protected.contains(name)).collect();
    if refused.is_empty() || options.dry_run {
        return Ok(());
    }
    let flags: Vec<_> = refused.iter().map(|name| format!("--allow-protected {name}")).collect();
    let names: Vec<_> = refused.iter().map(|name| name.as_str()).collect();
    let what = format!("{} is protected, and nothing was changed", names.join(", "));
    Err(Error::new(Kind::Refused, what).hint(format!(
        "restore beside it with --into, --files-into or --to-directory; to write to it all the same: {}",
        flags.join(" ")
    )))
}
