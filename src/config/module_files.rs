//! `modulesFrom`: modules that are written beside their code. Each file is read and checked by itself, and its modules
//! are put among those of the main file, where they keep their places: what is found later is told in their own file.

use super::node::{Entry, Node, Place, Value, join, parse};
use super::problems::Problems;
use super::schema::module_file_schema;
use super::{Environment, check, interpolate};
use globset::GlobBuilder;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

const MODULES: &str = "modules";

/// Puts the modules of all files that `modulesFrom` names below `root`, and the files behind the main one in `files`.
pub(super) fn merge(root: &mut Node, environment: &Environment, files: &mut Vec<PathBuf>, problems: &mut Problems) {
    let Value::Map(sections) = &mut root.value else { return };
    let Some(written) = sections.iter().find(|section| section.key == "modulesFrom") else { return };
    let place = written.key_at;
    let index = sections.iter().position(|section| section.key == MODULES);
    let found = find(&written.node, files, problems);
    let index = index.unwrap_or_else(|| {
        let node = Node { at: place, value: Value::Map(Vec::new()), substituted: false };
        sections.push(Entry { key: MODULES.into(), key_at: place, node });
        sections.len() - 1
    });
    let Value::Map(known) = &mut sections[index].node.value else { return };
    for (named, file) in found {
        files.push(file);
        for module in modules_of(files, &named, environment, problems) {
            match known.iter().find(|other| other.key == module.key) {
                None => known.push(module),
                Some(other) => {
                    let (file, at) = (files[other.key_at.file].display(), other.key_at);
                    let message = format!("is a module of {file}:{}:{} already", at.line, at.column);
                    problems.add(module.key_at, &join(MODULES, &module.key), message);
                }
            }
        }
    }
}

/// Where a pattern is written.
#[derive(Clone)]
struct Named {
    at: Place,
    path: String,
}

/// The files that the patterns match, each with the first that does; not the main file, which is the first of `files`.
fn find(written: &Node, files: &[PathBuf], problems: &mut Problems) -> Vec<(Named, PathBuf)> {
    let patterns: Vec<(Named, &Node)> = match &written.value {
        Value::List(items) => {
            let named = |index| format!("modulesFrom[{index}]");
            items.iter().map(|(index, item)| (Named { at: item.at, path: named(index) }, item)).collect()
        }
        _ => vec![(Named { at: written.at, path: "modulesFrom".into() }, written)],
    };
    if patterns.is_empty() {
        problems.add(written.at, "modulesFrom", "names no file; write a pattern like modules/*/backup.yaml");
    }
    let mut all: Vec<(Named, PathBuf)> = Vec::new();
    for (named, node) in patterns {
        let Value::Text(pattern) = &node.value else { continue };
        match matching(files[0].parent().unwrap_or(Path::new("/")), pattern) {
            Err(message) => problems.add(named.at, &named.path, message),
            Ok(mut found) => {
                found.retain(|file| *file != files[0]);
                if found.is_empty() {
                    problems.add(
                        named.at,
                        &named.path,
                        "matches no file, so modules would be missing from every backup",
                    );
                }
                found.retain(|file| all.iter().all(|(_, other)| other != file));
                all.extend(found.into_iter().map(|file| (named.clone(), file)));
            }
        }
    }
    all
}

/// The files below `base` that match, sorted.
fn matching(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let is_wild = |part: &&str| part.contains(['*', '?', '[', '{', '\\']);
    // The folders before the first wildcard are gone to, not searched for.
    let (fixed, wild) = parts.split_at(parts.iter().position(is_wild).unwrap_or(parts.len()));
    let start = if pattern.starts_with('/') { Path::new("/") } else { base }.join(fixed.join("/"));
    if wild.is_empty() {
        return Ok(if start.is_file() { vec![start] } else { Vec::new() });
    }
    let glob = GlobBuilder::new(&wild.join("/")).literal_separator(true).build();
    let glob = glob.map_err(|_| "is no valid glob".to_owned())?.compile_matcher();
    // Alternatives in braces may be of several depths.
    let bounded = !wild.iter().any(|part| part.contains("**") || part.contains('{'));
    let depth = if bounded { wild.len() } else { usize::MAX };
    let mut found = Vec::new();
    for entry in WalkDir::new(&start).follow_links(true).min_depth(1).max_depth(depth) {
        let matches = |path: &Path| path.strip_prefix(&start).is_ok_and(|relative| glob.is_match(relative));
        match entry {
            Ok(entry) if entry.file_type().is_file() && matches(entry.path()) => found.push(entry.into_path()),
            Ok(_) => {}
            // A folder that is not there holds nothing; a broken link or a circle matters where it is meant.
            Err(error) => {
                let meant = error.path().is_some_and(matches);
                let gone = error.io_error().is_none_or(|error| error.kind() == std::io::ErrorKind::NotFound);
                if meant || !gone {
                    return Err(format!("cannot be searched for: {error}"));
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The modules of the last of `files`.
fn modules_of(files: &[PathBuf], named: &Named, environment: &Environment, problems: &mut Problems) -> Vec<Entry> {
    let Some((number, file)) = files.iter().enumerate().next_back() else { return Vec::new() };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            problems.add(named.at, &named.path, format!("cannot read {}: {error}", file.display()));
            return Vec::new();
        }
    };
    let mut node = match parse(&text, number) {
        Ok(node) => node,
        Err((place, message)) => {
            problems.add(place, "", message);
            return Vec::new();
        }
    };
    interpolate::substitute(&mut node, "", environment, problems);
    check::check(&mut node, &module_file_schema(), problems);
    let Value::Map(sections) = node.value else { return Vec::new() };
    let modules = sections.into_iter().find(|section| section.key == MODULES);
    match modules.map(|section| section.node.value) {
        Some(Value::Map(modules)) => modules,
        _ => Vec::new(),
    }
}
