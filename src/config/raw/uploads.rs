//! Files: upload roots, the records that name files, and files of no module.

use super::RawEncrypt;
use crate::config::either::Several;
use crate::config::either::Size;
use schemars::JsonSchema;
use serde::Deserialize;

section! {
/// A directory tree of uploads.
RawUpload {
    /// Unique name; default: last part of `root`.
    name: Option<String>,
    /// The directory.
    #[schemars(required)]
    root: Option<String>,
    /// Path of a module's directory below the root, with `{directory}` and maybe `{tenant}`; default `{directory}`.
    layout: Option<String>,
    /// Globs of names or relative paths to leave out.
    #[serde(default)]
    exclude: Vec<String>,
    /// Larger files are left out and listed: `100MiB`, `5GB`, or bytes.
    max_file_size: Option<Size>,
    /// Only files with these extensions; others are left out and listed.
    #[serde(default)]
    allowed_extensions: Vec<String>,
    /// Whose the files are that lie in folders of all tenants: the records that name them, or several such. Only where
    /// `layout` has no `{tenant}`.
    file_references: Option<Several<RawFileReferences>>,
    /// A restore that writes to it wants `--allow-protected NAME`.
    protected: Option<bool>,
}}

section! {
/// Records that name files of an upload root: a tenant's files are those that the tenant's records name.
RawFileReferences {
    /// The collection or table whose records name files. A module must list it.
    #[schemars(required)]
    collection: Option<String>,
    /// The field that holds the names: a text, or a list of texts; dots lead into sub-documents, lists and JSON columns.
    #[schemars(required)]
    field: Option<String>,
    /// The source that holds the collection, where several have one of that name.
    source: Option<String>,
    /// The upload directory that names are relative to; default: they are relative to the root.
    directory: Option<String>,
    /// What names begin with before the path, and is taken off: `/uploads/`.
    prefix: Option<String>,
}}

section! {
/// Files that belong to no module.
RawExtraFiles {
    /// Files and directories, relative to this file.
    #[schemars(required)]
    paths: Option<Vec<String>>,
    /// Globs of names or relative paths to leave out.
    #[serde(default)]
    exclude: Vec<String>,
    /// Need not exist.
    optional: Option<bool>,
    /// `required`: never written in clear, even if nobody to encrypt it to is configured.
    encrypt: Option<RawEncrypt>,
    /// Public keys (`age1…`) this is encrypted to, instead of those of `repository.encryption`.
    #[serde(default)]
    recipients: Vec<String>,
}}
