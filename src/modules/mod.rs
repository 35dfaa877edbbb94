//! Which modules, collections, upload directories and tenant scope one run covers, and why the rest is left out.
//! Pure: knows the configuration, opens nothing.

mod close_names;
mod components;
mod enablement;
mod grant;
mod list;
mod references;
mod selection;
mod tenants;

pub use components::{anybodys_records, named_owner, tenant_records};
pub use enablement::{Chosen, choose};
pub use grant::{Grant, GrantState, Grants};
pub use list::list;
pub use references::{Reference, all_references, tenant_references};
pub use selection::select;
pub use tenants::{check_type as check_tenant_type, require as require_tenant, unknown as unknown_tenant};

pub use crate::config::Only;
use crate::config::{BackupType, ExtraFiles, IdType};
use crate::names::Scope;

/// How the reason begins for which a module is out of a run over a few modules.
pub const NOT_ASKED_FOR: &str = "not asked for";

/// What was asked for on the command line or by a job.
#[derive(Debug, Clone)]
pub struct Request {
    /// The whole installation or one tenant.
    pub scope: Scope,
    /// Only these modules; empty: every enabled one.
    pub modules: Vec<String>,
    /// Only databases or only files.
    pub only: Option<Only>,
    /// Retention class of the backup.
    pub backup_type: BackupType,
}

/// What one run covers: its archives-to-be, and a reason for every module left out.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The whole installation or one tenant.
    pub scope: Scope,
    /// Names of the modules that are in, by priority and then name.
    pub modules: Vec<String>,
    /// Modules that are out, by name, with the reason.
    pub excluded: Vec<Excluded>,
    /// What the licences granted.
    pub grants: Grants,
    /// One per archive, in the order they are made.
    pub components: Vec<Component>,
    /// What says which files of common folders are the tenant's.
    pub references: Vec<Reference>,
    /// Things the operator should know (a collection left out of a tenant's backup by its own rule, say).
    pub notes: Vec<String>,
}

/// A module that is left out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Excluded {
    /// The module.
    pub module: String,
    /// Why, as a phrase: "feature 'x' is not licensed".
    pub reason: String,
}

/// One archive of the backup.
#[derive(Debug, Clone)]
pub struct Component {
    /// Path of the archive in the backup's folder without its extension: `hr-core/hrms`, `shared/hrms`, `licenses`.
    pub archive: String,
    /// The module it belongs to; none for shared, whole-database and extra archives.
    pub module: Option<String>,
    /// What it holds.
    pub content: Content,
}

/// What an archive holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Collections of one database source.
    Collections {
        /// The source's name.
        source: String,
        /// They, without repetition, in the order of the file.
        collections: Vec<CollectionSpec>,
    },
    /// Every collection of one database source.
    WholeDatabase {
        /// The source's name.
        source: String,
    },
    /// A module's upload directories, looked for under every upload root.
    Uploads {
        /// Names of the directories.
        directories: Vec<String>,
    },
    /// An `extraFiles` archive.
    Extra {
        /// Its name.
        name: String,
        /// What it holds.
        files: ExtraFiles,
    },
}

/// One collection to be backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionSpec {
    /// Name in the database.
    pub name: String,
    /// Need not exist.
    pub optional: bool,
    /// Which of its records.
    pub records: Records,
    /// Every selected module that lists it.
    pub modules: Vec<String>,
}

/// Which records of a collection are covered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// All of them: a system-wide run, or a collection declared shared.
    All {
        /// Declared `tenant: shared`.
        shared: bool,
    },
    /// One tenant's.
    Owned(Ownership),
}

/// Which records of a collection are one tenant's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ownership {
    /// Tenant id as text.
    pub tenant: String,
    /// Its type inside the records.
    pub id_type: IdType,
    /// The way to the collection whose records name their owner, from parent to parent; empty: it is this one.
    pub via: Vec<Hop>,
    /// The field of that collection which names the owner; dots reach into sub-documents.
    pub field: String,
}

/// One step from a record to the record that owns it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hop {
    /// Field of the child that holds the parent's `_id`, or primary key.
    pub foreign_key: String,
    /// Collection of the parent, in the same source.
    pub parent: String,
}

impl Records {
    /// How the manifest and the plan describe it: `all`, `shared`, `tenantId = acme`,
    /// `policyId in policies where tenantId = acme`.
    pub fn describe(&self) -> String {
        match self {
            Records::All { shared: false } => "all".into(),
            Records::All { shared: true } => "shared".into(),
            Records::Owned(Ownership { tenant, via, field, .. }) => {
                let hops = via.iter().map(|hop| format!("{} in {} where ", hop.foreign_key, hop.parent));
                format!("{}{field} = {tenant}", hops.collect::<String>())
            }
        }
    }

    /// Whose they are, where they are one tenant's.
    pub fn ownership(&self) -> Option<&Ownership> {
        match self {
            Records::All { .. } => None,
            Records::Owned(ownership) => Some(ownership),
        }
    }
}

/// A module's state, for `list-modules`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Always in.
    Required,
    /// In: licensed or needing no licence, and the tenant's.
    Enabled,
    /// Out.
    Excluded,
}

/// One module as `list-modules` shows it. Field names are a contract.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedModule {
    /// Name in the configuration.
    pub name: String,
    /// Name for people.
    pub display_name: String,
    /// In or out.
    pub state: State,
    /// Why, as a phrase.
    pub reason: String,
    /// The feature it needs.
    pub license_feature: Option<String>,
    /// Lower first.
    pub priority: i64,
    /// Source of its first collection; none when it has no collections.
    pub source: Option<String>,
    /// Its collections.
    pub collections: Vec<ListedCollection>,
    /// Its upload directories.
    pub file_uploads: Vec<String>,
}

/// One collection of a listed module.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedCollection {
    /// Name in the database.
    pub name: String,
    /// The source that holds it.
    pub source: String,
    /// Need not exist.
    pub optional: bool,
    /// How records are owned: `field tenantId`, `via policies.policyId`, `shared`, `excluded`, `unknown`.
    pub owner: String,
}
