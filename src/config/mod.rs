//! The configuration: loading, validation, secrets, schema. Knows no engine and opens no connection.
//!
//! A file passes through these steps, each of which collects mistakes instead of stopping at the first:
//! `node` (YAML with places) → `interpolate` (variables) → `check` (against the schema of `raw`) → `module_files`
//! (the same steps for each, then all in one tree) → `resolve` (meaning). `raw` is what a file may hold, `model` what the
//! rest of the program works with, `resolve` the way from one to the other; each has a file for a part of the configuration.

mod check;
mod conninfo;
mod duration;
mod either;
mod environment;
mod interpolate;
mod model;
mod module_files;
mod node;
mod outline;
mod problems;
mod raw;
mod resolve;
mod schema;
mod secret;
mod show;
mod size;
mod template;
#[cfg(test)]
mod tests;

pub use conninfo::key_values;
pub use duration::{parse_duration, show_duration};
pub use environment::{Environment, find};
pub use model::*;
pub use outline::{Outline, outline};
pub use schema::{module_file_schema, schema};
pub use secret::{Secret, SecretSource, mask_uri};
pub use show::{show, show_yaml};
pub use size::{parse_rate, parse_size};

use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// The annotated sample that `backup config init` writes.
pub const SAMPLE: &str = include_str!("sample.yaml");

/// Loads and checks the configuration at `path`, with the module files it names.
///
/// # Errors
/// [`Kind::Config`] with every mistake of the files in `details`.
pub fn load(path: &Path, environment: &Environment) -> Result<Config> {
    let file = std::path::absolute(path).map_err(|error| Error::io("find", path, &error).kind(Kind::Config))?;
    let text = std::fs::read_to_string(&file).map_err(|error| Error::io("read", &file, &error).kind(Kind::Config))?;
    let mut files = vec![file.clone()];
    let mut problems = problems::Problems::default();
    let mut root = match node::parse(&text, 0) {
        Ok(root) => root,
        Err((place, message)) => {
            problems.add(place, "", message);
            return Err(failure(&files, problems));
        }
    };
    let literal = holds_literal_secret(&root);
    interpolate::substitute(&mut root, "", environment, &mut problems);
    check::check(&mut root, &schema(), &mut problems);
    module_files::merge(&mut root, environment, &mut files, &mut problems);
    let base = file.parent().unwrap_or(Path::new("/")).to_owned();
    let raw: raw::RawConfig = match serde_json::from_value(root.to_json()) {
        Ok(raw) => raw,
        Err(_) if problems.len() > 0 => return Err(failure(&files, problems)),
        // What serde says may quote a value, so it is not passed on.
        Err(_) => return Err(Error::new(Kind::Internal, "a checked configuration does not fit its own schema")),
    };
    let mut resolver = resolve::Resolver { root: &root, base: &base, environment, problems, warnings: Vec::new() };
    let mut config = resolve::resolve(raw, &file, &mut resolver);
    if resolver.problems.len() > 0 {
        return Err(failure(&files, resolver.problems));
    }
    config.module_files = files.split_off(1);
    if literal && world_readable(&file) {
        let file = file.display();
        config.warnings.push(format!("{file} holds a password and everyone may read it; run `chmod 600 {file}`"));
    }
    Ok(config)
}

fn failure(files: &[PathBuf], problems: problems::Problems) -> Error {
    let details = problems.lines(files);
    let count = if details.len() == 1 { "1 mistake".into() } else { format!("{} mistakes", details.len()) };
    let and = if files.len() > 1 { " and its module files" } else { "" };
    let place = files.first().map(|file| file.display().to_string()).unwrap_or_default();
    Error::new(Kind::Config, format!("{count} in {place}{and}"))
        .details(details)
        .hint("`backup config schema` prints the schema for editors; `backup config init` writes an annotated sample")
}

/// Whether a source's URI has its password in the file itself, or a notification its URL or password.
fn holds_literal_secret(root: &node::Node) -> bool {
    let json = root.to_json();
    let notifiers = json["notifications"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |notifier: &serde_json::Value| {
        let secrets = ["/webhook", "/slack", "/healthcheck", "/secret", "/email/smtp/password"];
        let mut texts = secrets.iter().filter_map(|place| notifier.pointer(place)?.as_str());
        texts.any(|text| !text.contains("${"))
    };
    if notifiers.iter().any(of) {
        return true;
    }
    let sources = json["sources"].as_object();
    let mut uris = sources.into_iter().flat_map(|sources| sources.values()).filter_map(|source| source["uri"].as_str());
    uris.any(|uri| !uri.contains("${") && secret::holds_secret(uri))
}

fn world_readable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
