//! One tenant out of a backup, its own or a system-wide one: which records of which collections, and which files, are
//! its. The rules are those of the configuration as it is now: of what it does not know any more nobody can say whose it
//! is. What is restored as another tenant's is told by the rules too, and becomes that one's as it is read.

use super::Options;
use super::choose::{Choice, Piece};
use crate::archive::ArchiveReader;
use crate::config::{Config, Discovery, IdType, UploadRoot};
use crate::error::{Error, Kind, Result};
use crate::modules::{self, Ownership, Records};
use crate::names::TenantId;
use crate::repository::Repository;
use crate::source::{self, EntryName, Input, Renaming, StoredCollection, StreamTotals};
use std::collections::BTreeMap;
use std::io::Read;

/// What of a piece is the tenant's.
#[derive(Debug, Clone)]
pub struct Share {
    /// The tenant whose it is in the target.
    pub tenant: TenantId,
    /// The tenant whose it is as it is stored: the same, unless it is restored as another's.
    stored_as: TenantId,
    /// The piece is of a backup of its own, in which nobody else's records may be.
    pub own: bool,
    /// Of each collection, in the target.
    records: BTreeMap<String, Records>,
    /// Of each collection that becomes another tenant's.
    renamings: BTreeMap<String, Renaming>,
    /// Of files: paths in the archive at and below which they are the tenant's, and what these become.
    paths: Vec<(String, String)>,
    /// Upload roots whose files are told apart by the records that name them.
    common: Vec<String>,
}

impl Share {
    fn new(options: &Options<'_>, piece: &Piece, tenant: &TenantId, own: bool) -> Self {
        let becomes = options.as_tenant.as_ref().unwrap_or(tenant);
        let stored = paths(options.config, piece, tenant);
        Self {
            tenant: becomes.clone(),
            stored_as: tenant.clone(),
            own,
            records: BTreeMap::new(),
            renamings: BTreeMap::new(),
            paths: stored.into_iter().zip(paths(options.config, piece, becomes)).collect(),
            common: common(options.config, piece),
        }
    }

    /// Whether a stored file lies in a folder of all tenants.
    pub fn is_common(&self, path: &[u8]) -> bool {
        let root = path.split(|byte| *byte == b'/').next().unwrap_or_default();
        self.common.iter().any(|common| common.as_bytes() == root)
    }

    /// Notes what of a collection is the tenant's; false where nothing is.
    fn add(&mut self, config: &Config, source: &str, name: &str) -> Result<bool, String> {
        let Some(records) = modules::tenant_records(config, &self.tenant, source, name)? else { return Ok(false) };
        if !self.own && records == (Records::All { shared: false }) {
            return Err(format!(
                "collection '{source}.{name}' is in a database of each tenant's own by the configuration of today, and everybody's \
                 is in this backup: restore with the configuration that it was made with"
            ));
        }
        let named = |tenant| modules::named_owner(config, tenant, source, name);
        let is_shared = records == Records::All { shared: true };
        if let (true, Some(old), Some(new)) =
            (self.is_renamed() && !is_shared, named(&self.stored_as), named(&self.tenant))
        {
            let is_whole = records.ownership().is_none();
            self.renamings.insert(name.to_owned(), Renaming { old, new, is_whole });
        }
        self.records.insert(name.to_owned(), records);
        Ok(true)
    }

    /// Which records of a collection, in the target.
    pub fn of(&self, collection: &str) -> Records {
        self.records.get(collection).cloned().unwrap_or(Records::All { shared: true })
    }

    /// The tenant whose it is as it is stored.
    pub fn stored_as(&self) -> &TenantId {
        &self.stored_as
    }

    /// It becomes another tenant's.
    pub fn is_renamed(&self) -> bool {
        self.tenant != self.stored_as
    }

    /// A collection is not restored with all its bytes as they are stored.
    pub fn is_cut(&self, collection: &str) -> bool {
        let is_owned = !self.own && self.of(collection).ownership().is_some();
        is_owned || self.renamings.contains_key(collection)
    }

    /// How its steps differ from those of other tenants' restores.
    pub fn describe(&self) -> String {
        let becomes = if self.is_renamed() { format!(" as {}", self.tenant) } else { String::new() };
        format!("tenant {}{becomes}", self.stored_as)
    }

    /// What of a stored collection is the tenant's, with its bytes. In a backup of its own nothing else may be. Where it
    /// becomes another's, all of it has to.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when something else is, or when what is stored is damaged.
    pub fn cut(&self, piece: &Piece, whole: &StoredCollection, held: &Held) -> Result<(StoredCollection, u64)> {
        let engine = &piece.component.engine;
        let renaming = self.renamings.get(&whole.name);
        let as_stored = StoredCollection {
            scope: renaming.map_or_else(|| self.of(&whole.name), Renaming::stored),
            ..whole.clone()
        };
        let mut found = match as_stored.scope.ownership() {
            None => StreamTotals { records: whole.records, digest: whole.digest, bytes: 0 },
            Some(_) => source::scope_totals(engine, &as_stored, held)?,
        };
        if self.own && (found.records != whole.records || found.digest != whole.digest) {
            let rule = as_stored.scope.describe();
            let what = format!(
                "{} holds {} records of {}, of which {} are tenant {}'s by the rule {rule}",
                piece.place(),
                whole.records,
                whole.name,
                found.records,
                self.stored_as
            );
            return Err(Error::new(Kind::Damaged, what).hint(
                "the owner rule has changed since the backup was made, or somebody else's data is in it: look at it with --to-directory",
            ));
        }
        let stored = StoredCollection { scope: self.of(&whole.name), renaming: renaming.cloned(), ..whole.clone() };
        if renaming.is_some() {
            let renamed = source::scope_totals(engine, &stored, held)?;
            if renamed.records != found.records {
                let (name, before, after) = (&whole.name, found.records, renamed.records);
                let what = format!("of {before} stored records of {name} only {after} can be {}'s", self.tenant);
                return Err(Error::new(Kind::Damaged, what));
            }
            found = renamed;
        }
        Ok((StoredCollection { records: found.records, digest: found.digest, ..stored }, found.bytes))
    }

    /// Where a stored file goes; none where it is not the tenant's. Components match whole: `12` is not `123`.
    pub fn path(&self, stored: &[u8]) -> Option<Vec<u8>> {
        self.paths.iter().find_map(|(own, becomes)| {
            let rest = stored.strip_prefix(own.as_bytes()).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))?;
            Some([becomes.as_bytes(), rest].concat())
        })
    }
}

/// Cuts what was chosen down to a tenant.
///
/// # Errors
/// [`Kind::Config`] naming every collection without a rule; as [`require`].
pub fn cut(options: &Options<'_>, choice: &mut Choice, tenant: &TenantId) -> Result<()> {
    choice.warnings.extend(require(options, tenant)?);
    let own = choice.tenant.is_some();
    let mut findings = Vec::new();
    for piece in &mut choice.pieces {
        let mut share = Share::new(options, piece, tenant, own);
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
                match share.add(options.config, &source, &collection.name) {
                    Ok(is_held) => return is_held,
                    // Into a folder of one's own nobody is harmed by a rule that is not there any more.
                    Err(_) if own && options.to_directory.is_some() && !share.is_renamed() => {}
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

/// Makes sure that the tenant can be one, and the one it becomes. Of a customer who was renamed the old id may be unknown by
/// now. Returns what the operator should know.
///
/// # Errors
/// [`Kind::NotFound`] when one is not known, [`Kind::Config`] when an id is not of its type, or both are the same.
fn require(options: &Options<'_>, tenant: &TenantId) -> Result<Option<String>> {
    let tenancy = &options.config.tenancy;
    let Some(becomes) = &options.as_tenant else {
        return modules::require_tenant(options.config, tenant).map(|()| None);
    };
    modules::check_tenant_type(tenant, tenancy.id_type)?;
    modules::check_tenant_type(becomes, tenancy.id_type)?;
    if same_id(tenant, becomes, tenancy.id_type) {
        let what = format!("--as-tenant {becomes}: the backup is that tenant's already");
        return Err(Error::new(Kind::Config, what).hint("leave out --as-tenant"));
    }
    if tenancy.tenants.contains_key(becomes) {
        return Ok(None);
    }
    match &tenancy.discover {
        Some(Discovery { source, collection, .. }) => Ok(Some(format!(
            "whether {source}.{collection} has a record of tenant {becomes} was not looked up: without one no backup is made of its data"
        ))),
        None if tenancy.tenants.is_empty() => Ok(None),
        None => Err(Error::new(Kind::NotFound, format!("there is no tenant '{becomes}' to become"))
            .hint(format!("add it to the configuration first: `tenancy: {{tenants: {{{becomes}: {{…}}}}}}`"))),
    }
}

/// Whether two ids are one in the records.
fn same_id(one: &TenantId, other: &TenantId, id_type: IdType) -> bool {
    match id_type {
        IdType::String => one == other,
        IdType::Int => one.as_str().parse::<i64>().ok() == other.as_str().parse::<i64>().ok(),
        IdType::ObjectId | IdType::Uuid => one.as_str().eq_ignore_ascii_case(other.as_str()),
    }
}

/// Where the tenant's files are in an archive. In a backup of its own all of a common folder's are, else those that its
/// records name.
fn paths(config: &Config, piece: &Piece, tenant: &TenantId) -> Vec<String> {
    let roots = config.uploads.iter().filter(|root| root.tells_tenants());
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
        let records = piece.share.iter().flat_map(|share| share.records.values());
        let renamed = piece.share.iter().flat_map(|share| share.renamings.values()).map(|renaming| &renaming.old);
        let hops = records.filter_map(Records::ownership).chain(renamed).flat_map(|Ownership { via, .. }| via);
        Self::with_parents(options, repository, piece, hops.map(|hop| hop.parent.as_str()))
    }

    /// Opens the archive of a piece, and the archives of these collections.
    pub fn with_parents<'p>(
        options: &Options<'_>,
        repository: &Repository,
        piece: &Piece,
        wanted: impl Iterator<Item = &'p str>,
    ) -> Result<Self> {
        let reader = piece.open()?;
        let mut parents = BTreeMap::new();
        for parent in wanted {
            let is_here = piece.component.collections.iter().any(|collection| collection.name == parent);
            if is_here || parents.contains_key(parent) {
                continue;
            }
            if let Some(beside) = piece.beside(options, repository, parent)? {
                parents.insert(parent.to_owned(), beside.open()?);
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
