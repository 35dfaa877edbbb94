//! Records that name the files of an upload root.

use super::Resolver;
use super::tenancy::is_path;
use crate::config::either::Several;
use crate::config::model::{Collection, FileReferences, Module, UploadRoot};
use crate::config::node::{At, Value};
use crate::config::raw::RawFileReferences;
use std::collections::BTreeMap;
use std::path::Path;

impl Resolver<'_> {
    /// Gives each of `uploads` what the file says of its files' owners. `file` is the file it says it in.
    pub(super) fn file_references(
        &mut self,
        file: &Path,
        written: Vec<Option<Several<RawFileReferences>>>,
        uploads: &mut [UploadRoot],
        modules: &BTreeMap<String, Module>,
    ) {
        // One without a root is a mistake already, and the others are not where they were.
        if written.len() != uploads.len() {
            return;
        }
        for (index, (listed, upload)) in written.into_iter().zip(uploads).enumerate() {
            let Some(Several(listed)) = listed else { continue };
            let at = At::root("uploads").index(index).key("fileReferences");
            if upload.has_folders_of_tenants() && !listed.is_empty() {
                self.problem(&at, "does not go with `{tenant}` in `layout`: the folders say already whose files are");
            }
            let is_list = matches!(self.root.locate(&at).0.value, Value::List(_));
            for (index, one) in listed.into_iter().enumerate() {
                let at = if is_list { at.index(index) } else { at.clone() };
                let references = self.one_reference(file, &at, one, upload, modules);
                upload.references.extend(references);
            }
        }
    }

    fn one_reference(
        &mut self,
        file: &Path,
        at: &At,
        raw: RawFileReferences,
        upload: &UploadRoot,
        modules: &BTreeMap<String, Module>,
    ) -> Option<FileReferences> {
        // What is missing has been said already.
        let (collection, field) = (raw.collection?, raw.field?);
        if !is_path(&field) {
            self.problem(&at.key("field"), "must be names of fields with dots between them");
        }
        let below = match &raw.directory {
            None => String::new(),
            Some(directory) => {
                let known = || modules.values().flat_map(|module| &module.file_uploads).map(String::as_str);
                if !known().any(|known| known == directory) {
                    self.unknown(&at.key("directory"), "upload directory", directory, known());
                }
                upload.layout.replace("{directory}", directory)
            }
        };
        let source = self.holder(at, &collection, raw.source, modules)?;
        let (node, path) = self.root.locate(at);
        let written = format!("{}:{}:{}: {path}", file.display(), node.at.line, node.at.column);
        let prefix = raw.prefix.unwrap_or_default();
        Some(FileReferences { source, collection, field, directory: raw.directory, below, prefix, written })
    }

    /// The source of a collection that a module lists.
    fn holder(
        &mut self,
        at: &At,
        name: &str,
        source: Option<String>,
        modules: &BTreeMap<String, Module>,
    ) -> Option<String> {
        let all: Vec<&Collection> = modules.values().flat_map(|module| &module.collections).collect();
        let mut sources: Vec<&str> = all.iter().filter(|c| c.name == name).map(|c| c.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        match (source, sources.as_slice()) {
            (_, []) => self.unknown(&at.key("collection"), "collection", name, all.iter().map(|c| c.name.as_str())),
            (Some(source), sources) if sources.contains(&source.as_str()) => return Some(source),
            (Some(source), _) => {
                let what = format!("no module lists '{name}' of source '{}'", source.escape_debug());
                self.problem(&at.key("source"), what);
            }
            (None, [only]) => return Some((*only).to_owned()),
            (None, several) => {
                let what = format!("needs `source`: '{name}' is in {}", several.join(" and "));
                self.problem(at, what);
            }
        }
        None
    }
}
