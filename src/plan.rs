//! A selection resolved against live sources: what will be read, how it is filtered, where it goes.

use crate::config::{Algorithm, Config, Sealing, UploadRoot};
use crate::error::{Context, Error, Kind, Result};
use crate::keys::Recipients;
use crate::modules::{self, CollectionSpec, Content, Excluded, Grant, Records, Reference, Selection};
use crate::names::Scope;
use crate::pipeline::Cancel;
use crate::source::files::{self, Trees};
use crate::source::{self, Inventory, ItemKind, Source, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a run will do. `create --dry-run` shows it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The scope.
    #[serde(serialize_with = "scope_text")]
    pub scope: Scope,
    /// Modules that are in, by priority.
    pub modules: Vec<String>,
    /// Modules that are out.
    pub excluded: Vec<Excluded>,
    /// What the installation's licence grants.
    pub license: Grant,
    /// What the tenant's own grants, where it has one.
    pub tenant_license: Option<Grant>,
    /// One per archive.
    pub components: Vec<PlannedComponent>,
    /// What says which files of common folders are the tenant's.
    #[serde(skip)]
    pub references: Vec<PlannedReference>,
    /// Estimated bytes before compression.
    pub bytes: u64,
    /// Bytes free in the repository; none when it does not exist yet.
    pub free_space: Option<u64>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

fn scope_text<S: serde::Serializer>(scope: &Scope, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(scope)
}

/// One archive that will be made.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedComponent {
    /// Path in the backup's folder without its extension.
    pub archive: String,
    /// The module.
    pub module: Option<String>,
    /// Engine.
    pub engine: String,
    /// Source name, `uploads`, or the `extraFiles` name.
    pub name: String,
    /// Collections, or upload directories.
    pub items: Vec<PlannedItem>,
    /// Estimated bytes before compression.
    pub bytes: u64,
    /// Files found; 0 for databases.
    pub files: u64,
    /// Modules that share the archive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared_by: Vec<String>,
    /// To whom it is encrypted; nobody: it is in clear.
    pub encrypted_to: Recipients,
    /// It may not be written in clear, but nobody to encrypt it to is configured.
    pub refused: bool,
    /// Starting points of a files component.
    #[serde(skip)]
    pub trees: Option<Trees>,
}

/// Records that will be asked which files they name.
#[derive(Debug, Clone)]
pub struct PlannedReference {
    /// Which.
    pub reference: Reference,
    /// What to ask an engine for; none when the collection does not exist.
    pub wanted: Option<Wanted>,
}

/// One collection or directory that will be read.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedItem {
    /// True name.
    pub name: String,
    /// What it is; none when it does not exist, or for directories.
    pub kind: Option<ItemKind>,
    /// It is there.
    pub exists: bool,
    /// It need not be.
    pub optional: bool,
    /// Something else of that name is there: what, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// Which records.
    #[serde(serialize_with = "records_text")]
    pub records: Records,
    /// Estimated (whole collections) or exact (tenant runs) number of records.
    pub documents: u64,
    /// Estimated bytes.
    pub bytes: u64,
    /// Identity at planning time.
    #[serde(skip)]
    pub identity: Option<String>,
}

fn records_text<S: serde::Serializer>(records: &Records, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&records.describe())
}

/// The live databases of a run, by name. One of a tenant's own that does not exist yet is not among them.
pub type Sources = BTreeMap<String, Arc<dyn Source>>;

/// What they hold, by name.
pub type Inventories = BTreeMap<String, Inventory>;

/// Connects to every database the selection needs and that `open` does not have.
///
/// # Errors
/// When one cannot be reached: nothing is begun unless all are there.
pub fn connect(config: &Config, selection: &Selection, open: &Sources, cancel: &Cancel) -> Result<Sources> {
    let mut sources = Sources::new();
    let stored = selection.components.iter().filter_map(|c| Some((c.content.source()?, c.archive.as_str())));
    let asked = selection.references.iter().map(|r| (r.rule.source.as_str(), "uploads"));
    for (name, component) in stored.chain(asked) {
        if sources.contains_key(name) {
            continue;
        }
        let opened = match open.get(name) {
            Some(source) => Some(source.clone()),
            None => open_one(config, name, cancel)
                .context(|| format!("cannot open source '{name}' (component {component})"))?,
        };
        sources.extend(opened.map(|opened| (name.to_owned(), opened)));
    }
    Ok(sources)
}

/// Connects to one database. None where it is a tenant's own and does not exist yet.
///
/// # Errors
/// When it cannot be reached.
pub fn open_one(config: &Config, name: &str, cancel: &Cancel) -> Result<Option<Arc<dyn Source>>> {
    let unknown = || Error::new(Kind::Internal, format!("source '{name}' is selected but not configured"));
    let source = config.sources.get(name).ok_or_else(unknown)?;
    let opened = if source.per_tenant {
        source::open_own(name, source, cancel)?
    } else {
        Some(source::open(name, source, cancel)?)
    };
    Ok(opened.map(Arc::from))
}

/// Lists what sources hold.
///
/// # Errors
/// When one cannot be listed.
pub fn inventories(sources: &Sources) -> Result<Inventories> {
    let listed = |(name, source): (&String, &Arc<dyn Source>)| {
        Ok((name.clone(), source.inventory().context(|| format!("cannot list source '{name}'"))?))
    };
    sources.iter().map(listed).collect()
}

/// Resolves `selection` against what the sources hold now. What is in `known` is neither listed nor counted again.
///
/// # Errors
/// When a source cannot be listed.
pub fn resolve(
    config: &Config,
    selection: &Selection,
    sources: &Sources,
    known: &Inventories,
    cancel: &Cancel,
) -> Result<Plan> {
    let unlisted = sources.iter().filter(|(name, _)| !known.contains_key(*name));
    let listed = inventories(&unlisted.map(|(name, source)| (name.clone(), source.clone())).collect())?;
    let nothing = Inventory::default();
    let inventory_of = |name: &str| {
        let found = known.get(name).or_else(|| listed.get(name));
        found.or_else(|| config.sources.get(name)?.per_tenant.then_some(&nothing))
    };
    let mut plan = Plan {
        scope: selection.scope.clone(),
        modules: selection.modules.clone(),
        excluded: selection.excluded.clone(),
        license: selection.grants.installation.clone(),
        tenant_license: selection.grants.tenant.clone(),
        components: Vec::new(),
        references: Vec::new(),
        bytes: 0,
        free_space: None,
        warnings: config.warnings.iter().chain(&selection.notes).cloned().collect(),
    };
    for component in &selection.components {
        let sealing = sealing(config, component);
        let mut planned = PlannedComponent {
            archive: component.archive.clone(),
            module: component.module.clone(),
            engine: component.content.engine(config).to_owned(),
            name: component.content.name().to_owned(),
            items: Vec::new(),
            bytes: 0,
            files: 0,
            shared_by: component.content.shared_by(component.module.as_deref()),
            refused: sealing.required && sealing.recipients.is_empty(),
            encrypted_to: sealing.recipients,
            trees: None,
        };
        match (&component.content, component.content.source().and_then(inventory_of)) {
            (Content::Collections { source, collections }, Some(inventory)) => {
                // A tenant has no database of its own before it has written something.
                let is_new = inventory.items.is_empty() && config.sources.get(source).is_some_and(|s| s.per_tenant);
                // Of many tenants, each collection of each would be counted.
                let counting = sources.get(source).filter(|_| !known.contains_key(source)).map(AsRef::as_ref);
                for spec in collections {
                    let mut item = database_item(spec, inventory, counting)?;
                    item.optional |= is_new;
                    planned.items.push(item);
                }
            }
            (Content::WholeDatabase { .. }, Some(inventory)) => {
                for name in inventory.items.keys() {
                    let records = Records::All { shared: false };
                    let spec = CollectionSpec { name: name.clone(), optional: false, records, modules: Vec::new() };
                    planned.items.push(database_item(&spec, inventory, None)?);
                }
            }
            (Content::Uploads { directories }, _) => {
                let trees = files::uploads(&config.uploads, directories, &selection.scope);
                let optional = may_be_absent(config, selection);
                files_items(&mut planned, trees, directories, optional, cancel)?;
            }
            (Content::Extra { name, files }, _) => {
                let paths: Vec<_> = files.paths.iter().map(|(_, written)| written.clone()).collect();
                files_items(&mut planned, files::extra(name, files), &paths, files.optional, cancel)?;
            }
            (Content::Collections { .. } | Content::WholeDatabase { .. }, None) => {
                return Err(Error::new(Kind::Internal, format!("no inventory for {}", component.archive)));
            }
        }
        planned.bytes += planned.items.iter().map(|item| item.bytes).sum::<u64>();
        plan.bytes += planned.bytes;
        plan.components.push(planned);
    }
    for reference in &selection.references {
        let Reference { rule, records, .. } = reference;
        let item = inventory_of(&rule.source).and_then(|inventory| inventory.items.get(&rule.collection));
        let wanted = item.map(|item| Wanted {
            name: rule.collection.clone(),
            kind: item.kind,
            identity: item.identity.clone(),
            records: records.clone(),
        });
        plan.references.push(PlannedReference { reference: reference.clone(), wanted });
    }
    Ok(plan)
}

/// How an archive is encrypted: as its module, source or extra files say, else as the repository does. What modules
/// share is the repository's, so that no module's key opens what others share; it is not in clear when one of them
/// may not be.
fn sealing(config: &Config, component: &modules::Component) -> Sealing {
    let own = match (&component.module, &component.content) {
        (Some(module), _) => config.modules.get(module).map(|module| module.sealing.clone()),
        (None, Content::Extra { files, .. }) => Some(files.sealing.clone()),
        (None, Content::WholeDatabase { source }) => config.sources.get(source).map(|source| source.sealing.clone()),
        (None, content) => {
            let sharing = content.shared_by(None);
            let mut sharing = sharing.iter().filter_map(|module| config.modules.get(module));
            let required = sharing.any(|module| module.sealing.required || !module.sealing.recipients.is_empty());
            Some(Sealing { required, ..Sealing::default() })
        }
    };
    let mut sealing = own.unwrap_or_default();
    if sealing.recipients.is_empty() {
        sealing.recipients = config.repository.encryption.recipients.clone();
    }
    sealing
}

fn database_item(spec: &CollectionSpec, inventory: &Inventory, source: Option<&dyn Source>) -> Result<PlannedItem> {
    let found = inventory.items.get(&spec.name);
    let mut item = PlannedItem {
        name: spec.name.clone(),
        kind: found.map(|item| item.kind),
        exists: found.is_some(),
        optional: spec.optional,
        instead: inventory.parts.get(&spec.name).cloned(),
        records: spec.records.clone(),
        documents: found.map_or(0, |item| item.records),
        bytes: found.map_or(0, |item| item.bytes),
        identity: found.and_then(|item| item.identity.clone()),
    };
    if let (Records::Owned(_), None) = (&spec.records, source) {
        // A share that is not known: better no estimate than everybody's.
        (item.documents, item.bytes) = (0, 0);
    }
    if let (Records::Owned(_), Some(source), Some(wanted)) = (&spec.records, source, item.wanted())
        && let Some(exact) = source.count(&wanted)?
    {
        // The share of the records is the best estimate of the share of the bytes.
        item.bytes = item.bytes.saturating_mul(exact).checked_div(item.documents.max(1)).unwrap_or(0);
        item.documents = exact;
    }
    Ok(item)
}

/// A tenant's own directory may not exist yet; a root that is not there is a disk that is not mounted.
fn may_be_absent(config: &Config, selection: &Selection) -> bool {
    let mut roots = config.uploads.iter();
    let tenants_own = |root: &UploadRoot| root.has_folders_of_tenants() || selection.scope.tenant().is_some();
    roots.all(|root| tenants_own(root) && root.root.is_dir())
}

fn files_items(
    planned: &mut PlannedComponent,
    trees: Trees,
    names: &[String],
    optional: bool,
    cancel: &Cancel,
) -> Result<()> {
    let survey = files::survey(&trees, cancel)?;
    planned.files = survey.files;
    planned.bytes = survey.bytes;
    planned.items = names
        .iter()
        .map(|name| PlannedItem {
            name: name.clone(),
            kind: None,
            exists: survey.present.contains(name),
            optional,
            instead: None,
            records: Records::All { shared: false },
            documents: 0,
            bytes: 0,
            identity: None,
        })
        .collect();
    planned.trees = Some(trees);
    Ok(())
}

/// What ends the name of an encrypted archive.
const SEALED: &str = ".age";

/// The path of an archive without what its name ends with, whichever way it is compressed.
pub fn stem(archive: &str) -> &str {
    let archive = archive.strip_suffix(SEALED).unwrap_or(archive);
    Algorithm::ALL.iter().find_map(|algorithm| archive.strip_suffix(algorithm.extension())).unwrap_or(archive)
}

impl PlannedComponent {
    /// Path of the archive below the backup's folder.
    pub fn file(&self, algorithm: Algorithm) -> String {
        let sealed = if self.encrypted_to.is_empty() { "" } else { SEALED };
        format!("{}{}{sealed}", self.archive, algorithm.extension())
    }
}

impl PlannedItem {
    /// What to ask an engine for; none when the collection does not exist.
    pub fn wanted(&self) -> Option<Wanted> {
        let kind = self.kind?;
        let (name, identity, records) = (self.name.clone(), self.identity.clone(), self.records.clone());
        Some(Wanted { name, kind, identity, records })
    }
}

impl Content {
    /// The database source, where it is one.
    pub fn source(&self) -> Option<&str> {
        match self {
            Content::Collections { source, .. } | Content::WholeDatabase { source } => Some(source),
            Content::Uploads { .. } | Content::Extra { .. } => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Content::Collections { source, .. } | Content::WholeDatabase { source } => source,
            Content::Uploads { .. } => "uploads",
            Content::Extra { name, .. } => name,
        }
    }

    fn engine(&self, config: &Config) -> &'static str {
        self.source().and_then(|name| config.sources.get(name)).map_or("files", |source| source.engine.name())
    }

    /// Every module that has a part in an archive which belongs to none.
    fn shared_by(&self, module: Option<&str>) -> Vec<String> {
        let (Content::Collections { collections, .. }, None) = (self, module) else { return Vec::new() };
        let all: BTreeSet<_> = collections.iter().flat_map(|spec| spec.modules.iter().cloned()).collect();
        all.into_iter().collect()
    }
}
