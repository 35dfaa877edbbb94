//! Collects every mistake of the files, to show them all at once.

use super::node::{At, Node, Place};
use std::path::PathBuf;

/// Mistakes found so far.
#[derive(Default)]
pub(super) struct Problems(Vec<(Place, String)>);

impl Problems {
    /// Adds a mistake at `place`; `path` is the way to it in the file.
    pub fn add(&mut self, place: Place, path: &str, message: impl AsRef<str>) {
        let message = message.as_ref();
        self.0.push((place, if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") }));
    }

    /// Adds a mistake where `at` leads to.
    pub fn add_at(&mut self, root: &Node, at: &At, message: impl AsRef<str>) {
        let (node, path) = root.locate(at);
        self.add(node.at, &path, message);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One line for each mistake, in the order of the files.
    pub fn lines(mut self, files: &[PathBuf]) -> Vec<String> {
        self.0.sort();
        self.0.dedup();
        let line = |(at, text): (Place, String)| {
            let file = files.get(at.file).map(|file| file.display().to_string()).unwrap_or_default();
            format!("{file}:{}:{}: {text}", at.line, at.column)
        };
        self.0.into_iter().map(line).collect()
    }
}

/// `; did you mean …?` when one of `known` is close to `written`, else nothing.
pub(super) fn suggestion<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let lower = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count().max(written.chars().count()) / 4)
        .min()
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}
