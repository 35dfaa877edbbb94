//! The names in a configuration, for completing them: no secret is read, no program started, and a mistake elsewhere in
//! the file costs nothing but what is wrong.

use super::{Environment, interpolate, module_files, node, problems};
use std::path::{Path, PathBuf};

/// The names that may be typed.
#[derive(Debug, Default)]
pub struct Outline {
    /// Where the repository is.
    pub repository: Option<PathBuf>,
    /// Of modules.
    pub modules: Vec<String>,
    /// Of collections, of all modules.
    pub collections: Vec<String>,
    /// Of the tenants that are configured.
    pub tenants: Vec<String>,
    /// Of jobs.
    pub jobs: Vec<String>,
    /// Of sources.
    pub sources: Vec<String>,
}

/// Reads what can be read of the configuration at `path`; nothing where that is nothing.
pub fn outline(path: &Path, environment: &Environment) -> Outline {
    let Ok(file) = std::path::absolute(path) else { return Outline::default() };
    let Some(mut root) = std::fs::read_to_string(&file).ok().and_then(|text| node::parse(&text, 0).ok()) else {
        return Outline::default();
    };
    let mut ignored = problems::Problems::default();
    interpolate::substitute(&mut root, "", environment, &mut ignored);
    module_files::merge(&mut root, environment, &mut vec![file.clone()], &mut ignored);
    let json = root.to_json();
    let keys = |section: &serde_json::Value| -> Vec<String> {
        section.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect()
    };
    let all = json["modules"].as_object().into_iter().flat_map(|modules| modules.values());
    let listed = all.flat_map(|module| module["collections"].as_array().into_iter().flatten());
    let named = listed.filter_map(|collection| collection.as_str().or(collection["name"].as_str()).map(str::to_owned));
    let mut collections: Vec<_> = named.collect();
    collections.sort();
    collections.dedup();
    let location = json["repository"]["location"].as_str();
    Outline {
        repository: location.map(|location| file.parent().unwrap_or(Path::new("/")).join(location)),
        modules: keys(&json["modules"]),
        collections,
        tenants: keys(&json["tenancy"]["tenants"]),
        jobs: keys(&json["jobs"]),
        sources: keys(&json["sources"]),
    }
}
