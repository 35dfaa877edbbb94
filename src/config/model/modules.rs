//! Modules, their collections, and whose records are.

use super::Sealing;

/// One module.
#[derive(Debug, Clone)]
pub struct Module {
    /// Name for people.
    pub display_name: String,
    /// Always enabled, needs no licence.
    pub required: bool,
    /// Lower first.
    pub priority: i64,
    /// The feature a licence must grant.
    pub license_feature: Option<String>,
    /// Modules that must be enabled too.
    pub dependencies: Vec<String>,
    /// Its collections.
    pub collections: Vec<Collection>,
    /// Its upload directories.
    pub file_uploads: Vec<String>,
    /// Foreign keys between collections.
    pub relationships: Vec<Relationship>,
    /// How its own archives are encrypted.
    pub sealing: Sealing,
}

/// One collection of a module. The source is resolved from the collection, the module, or the only source there is.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Name in the database.
    pub name: String,
    /// The source that holds it.
    pub source: String,
    /// Need not exist.
    pub optional: bool,
    /// Who owns its records.
    pub owner: Owner,
}

/// Who owns the records of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The tenant named by this field (dots reach into sub-documents).
    Field(String),
    /// The owner of the parent record that this foreign key names.
    Via {
        /// Parent collection.
        parent: String,
        /// Field of the child that holds the parent's id.
        foreign_key: String,
    },
    /// Everyone: part of every tenant's backup, never written by a tenant's restore.
    Shared,
    /// No tenant: left out of every tenant's backup.
    Excluded,
    /// Nothing is said and there is no default.
    Unknown,
}

/// A foreign key to check.
#[derive(Debug, Clone)]
pub struct Relationship {
    /// The collection that is pointed at, by its `_id` or primary key.
    pub parent: String,
    /// The collection that points.
    pub child: String,
    /// The pointing field.
    pub foreign_key: String,
    /// The source that holds both.
    pub source: String,
}
