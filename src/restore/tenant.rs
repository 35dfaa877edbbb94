//! One tenant out of a backup, its own or a system-wide one: which records of which collections, and which files, are
//! its. The rules are those of the configuration as it is now: of what it does not know any more nobody can say whose it
//! is.

use super::Options;
use super::choose::{Choice, Piece};
use crate::archive::ArchiveReader;
use crate::config::{Config, UploadRoot};
use crate::error::{Error, Kind, Result};
use crate::modules::{self, Ownership, Records};
use crate::names::TenantId;
use crate::repository::Repository;
use crate::source::{self, EntryName, Input, StoredCollection};
use std::collections::BTreeMap;
use std::io::Read;

/// What of a piece is the tenant's.
#[derive(Debug, Clone)]
pub struct Share {
    /// The tenant.
    pub tenant: TenantId,
    /// The piece is of a backup of its own, in which nobody else's records may be.
    pub own: bool,
    /// Of each collection.
    records: BTreeMap<String, Records>,
    /// Of files: paths in the archive at and below which they are the tenant's.
    paths: Vec<String>,
    /// Upload roots whose files are told apart by the records that name them.
    common: Vec<String>,
}

impl Share {
    /// Whether a stored file lies in a folder of all tenants.
    pub fn is_common(&self, path: &[u8]) -> bool {
        let root = path.split(|byte| *byte == b'/').next().unwrap_or_default();
        self.common.iter().any(|common| common.as_bytes() == root)
    }

    /// Which records of a collection.
    pub fn of(&self, collection: &str) -> Records {
        self.records.get(collection).cloned().unwrap_or(Records::All { shared: true })
    }

    /// What of a stored collection is the tenant's, with its bytes. In a backup of its own nothing else may be.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when something else is, or when what is stored is damaged.
    pub fn cut(&self, piece: &Piece, whole: &StoredCollection, held: &Held) -> Result<(StoredCollection, u64)> {
        let stored = StoredCollection { scope: self.of(&whole.name), ..whole.clone() };
        if stored.scope.ownership().is_none() {
            return Ok((stored, 0));
        }
        let found = source::scope_totals(&piece.component.engine, &stored, held)?;
        if self.own && (found.records != whole.records || found.digest != whole.digest) {
            let rule = stored.scope.describe();
            let what = format!(
                "{} holds {} records of {}, of which {} are tenant {}'s by the rule {rule}",
                piece.place(),
                whole.records,
                whole.name,
                found.records,
                self.tenant
            );
            return Err(Error::new(Kind::Damaged, what).hint(
                "the owner rule has changed since the backup was made, or somebody else's data is in it: look at it with --to-directory",
            ));
        }
        Ok((StoredCollection { records: found.records, digest: found.digest, ..stored }, found.bytes))
    }

    /// Whether a stored file is the tenant's. Components match whole: `12` is not `123`.
    pub fn holds_path(&self, path: &[u8]) -> bool {
        self.paths
            .iter()
            .any(|own| path.strip_prefix(own.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
    }
}

/// Cuts what was chosen down to a tenant.
///
/// # Errors
/// [`Kind::Config`] naming every collection without a rule.
pub fn cut(options: &Options<'_>, choice: &mut Choice, tenant: &TenantId) -> Result<()> {
    modules::require_tenant(options.config, tenant)?;
    let own = choice.tenant.is_some();
    let mut findings = Vec::new();
    for piece in &mut choice.pieces {
        let mut share = Share {
            tenant: tenant.clone(),
            own,
            records: BTreeMap::new(),
            common: common(options.config, piece),
            paths: paths(options.config, piece, tenant, own),
        };
        if piece.is_files() {
            // Extra files belong to the installation.
            if piece.component.module.is_none() {
                piece.collections.clear();
            }
        } else if piece.component.module.is_none() && piece.component.shared_by.is_empty() {
            // A whole database outside of the modules.
            piece.collections.clear();
        } else {
            let source = piece.component.name.clone();
            piece.collections.retain(|collection| {
                match modules::tenant_records(options.config, tenant, &source, &collection.name) {
                    Ok(Some(records)) => drop(share.records.insert(collection.name.clone(), records)),
                    Ok(None) => return false,
                    // Into a folder of one's own nobody is harmed by a rule that is not there any more.
                    Err(_) if own && options.to_directory.is_some() => {}
                    Err(finding) => findings.push(finding),
                }
                true
            });
        }
        piece.share = Some(share);
    }
    choice.pieces.retain(|piece| !piece.collections.is_empty());
    if findings.is_empty() {
        return Ok(());
    }
    let what = format!("what of {} is tenant {tenant}'s cannot be told", choice.id);
    Err(Error::new(Kind::Config, what).details(findings))
}

/// Upload roots whose files no folder tells apart.
fn common(config: &Config, piece: &Piece) -> Vec<String> {
    let roots = config.uploads.iter().filter(|root| !root.has_folders_of_tenants() && root.tells_tenants());
    if piece.component.module.is_some() { roots.map(|root| root.name.clone()).collect() } else { Vec::new() }
}

/// Where the tenant's files are in an archive. In a backup of its own all of a common folder's are.
fn paths(config: &Config, piece: &Piece, tenant: &TenantId, own: bool) -> Vec<String> {
    let is_its = |root: &&UploadRoot| root.has_folders_of_tenants() || (own && root.tells_tenants());
    let roots = config.uploads.iter().filter(is_its);
    let below = |root: &UploadRoot, directory: &str| {
        let path = root.layout.replace("{tenant}", tenant.as_str()).replace("{directory}", directory);
        format!("{}/{path}", root.name)
    };
    let of_root = |root| piece.collections.iter().map(move |directory| below(root, &directory.name));
    if piece.is_files() { roots.flat_map(of_root).collect() } else { Vec::new() }
}

/// An archive, and those of the same backup that say whose its records are.
pub struct Held {
    /// The archive.
    pub reader: ArchiveReader,
    parents: BTreeMap<String, ArchiveReader>,
}

impl Held {
    /// Opens the archive of a piece, and the archives of the collections that its records are owned by way of.
    pub fn open(options: &Options<'_>, repository: &Repository, piece: &Piece) -> Result<Self> {
        let reader = piece.open()?;
        let mut parents = BTreeMap::new();
        let records = piece.share.iter().flat_map(|share| share.records.values());
        let hops = records.filter_map(Records::ownership).flat_map(|Ownership { via, .. }| via);
        for parent in hops.map(|hop| hop.parent.clone()) {
            let is_here = piece.component.collections.iter().any(|collection| collection.name == parent);
            if is_here || parents.contains_key(&parent) {
                continue;
            }
            if let Some(beside) = piece.beside(options, repository, &parent)? {
                parents.insert(parent, beside.open()?);
            }
        }
        Ok(Self { reader, parents })
    }
}

impl Input for Held {
    fn identity(&self) -> String {
        self.reader.identity()
    }

    fn is_sealed(&self) -> bool {
        self.reader.is_sealed()
    }

    fn open(&self, name: &EntryName) -> Result<Box<dyn Read + Send + '_>> {
        self.reader.open(name)
    }

    fn holding(&self, collection: &str) -> Option<&dyn Input> {
        Some(self.parents.get(collection).unwrap_or(&self.reader))
    }
}
