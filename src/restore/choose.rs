//! Which archives of which backups a restore reads, and which of their collections.

use super::tenant::{self, Share};
use super::{Options, Which};
use crate::archive::{ArchiveReader, IndexAt};
use crate::error::{Error, Kind, Result};
use crate::keys::Identities;
use crate::manifest::{Collection, Component, ComponentStatus, Manifest};
use crate::modules::{NOT_ASKED_FOR, Only};
use crate::names::{BackupId, Scope, TenantId};
use crate::plan;
use crate::repository::{Entry, Repository};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// What a restore reads.
pub struct Choice {
    /// The backup, or the newest of those a `latest` draws on.
    pub id: String,
    /// It is this tenant's.
    pub tenant: Option<String>,
    /// One per archive.
    pub pieces: Vec<Piece>,
    /// Newer backups that were passed over, `id: reason`.
    pub passed_over: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// One archive to read from.
pub struct Piece {
    /// The backup it is of.
    pub backup: String,
    /// The archive's file.
    pub path: PathBuf,
    /// Its record in the manifest.
    pub component: Component,
    /// The collections to restore (databases), or the directories (files).
    pub collections: Vec<Collection>,
    /// What of it is restored, where that is one tenant's.
    pub share: Option<Share>,
    /// What opens it, where it is encrypted.
    identities: Arc<Identities>,
}

impl Piece {
    /// Opens the archive with its index.
    pub fn open(&self) -> Result<ArchiveReader> {
        let lacking = || Error::new(Kind::Damaged, format!("the manifest gives no index of {}", self.path.display()));
        let index = self.component.index.as_ref().ok_or_else(lacking)?;
        let at = IndexAt { offset: index.offset, length: index.length, sha256: &index.sha256 };
        let keys = self.component.encrypted.then(|| self.identities.clone());
        ArchiveReader::open(&self.path, at, keys).map_err(|error| match error.kind {
            Kind::Key => {
                let to = format!("{} is encrypted to {}", self.place(), self.component.encrypted_to.join(", "));
                error.context(to)
            }
            _ => error,
        })
    }

    /// The backup and the archive.
    pub fn place(&self) -> String {
        format!("{}/{}", self.backup, self.component.archive.as_deref().unwrap_or_default())
    }

    /// Path of the archive in its backup, without its endings: `payroll/payroll`.
    pub fn stem(&self) -> &str {
        plan::stem(self.component.archive.as_deref().unwrap_or_default())
    }

    /// The archive of the same backup that holds another collection of the same source whole.
    pub fn beside(&self, options: &Options<'_>, repository: &Repository, collection: &str) -> Result<Option<Self>> {
        self.of_source(options, repository, &self.component.name, collection)
    }

    /// The archive of the same backup that holds a collection of a source whole.
    pub fn of_source(
        &self,
        options: &Options<'_>,
        repository: &Repository,
        source: &str,
        collection: &str,
    ) -> Result<Option<Self>> {
        let manifest = repository.manifest(&BackupId::parse(&self.backup)?)?;
        let holds = |component: &&Component| {
            let mut whole = component.collections.iter().filter(|c| c.status == ComponentStatus::Complete);
            let is_of_source = component.name == source && component.engine != "files";
            is_of_source && whole.any(|other| other.name == collection)
        };
        manifest.components.iter().find(holds).map_or(Ok(None), |found| piece(options, repository, &manifest, found))
    }

    /// It holds files, not records.
    pub fn is_files(&self) -> bool {
        self.component.engine == "files"
    }
}

/// Chooses. See [`Which`].
pub fn choose(options: &Options<'_>, repository: &Repository) -> Result<Choice> {
    let mut choice = match &options.which {
        Which::Id(id) => {
            let catalog = repository.catalog()?;
            catalog.find(id)?;
            by_id(options, repository, &repository.manifest(id)?)?
        }
        Which::Latest { before } => latest_of(options, repository, *before)?,
    };
    let of = options
        .tenant
        .clone()
        .map_or_else(|| choice.tenant.as_deref().map(TenantId::parse).transpose(), |t| Ok(Some(t)));
    if let Some(tenant) = of? {
        tenant::cut(options, &mut choice, &tenant)?;
    }
    unknown_collections(options, &choice)?;
    for piece in &mut choice.pieces {
        narrow(options, piece);
    }
    choice.pieces.retain(|piece| !piece.collections.is_empty());
    if choice.pieces.is_empty() {
        let what = format!("nothing in {} matches what was asked for", choice.id);
        return Err(Error::new(Kind::NotFound, what).hint(format!("`backup show {}` lists what it holds", choice.id)));
    }
    Ok(choice)
}

/// Of a tenant that has no backup of its own, what system-wide ones hold of it.
fn latest_of(
    options: &Options<'_>,
    repository: &Repository,
    before: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<Choice> {
    let Some(tenant) = &options.tenant else { return latest(options, repository, &Scope::SystemWide, before) };
    match latest(options, repository, &Scope::Tenant(tenant.clone()), before) {
        Err(error) if error.kind == Kind::NotFound => {
            let Ok(mut choice) = latest(options, repository, &Scope::SystemWide, before) else { return Err(error) };
            let why =
                if had_no_data(&error) { error.message } else { format!("there is no backup of tenant {tenant}") };
            choice.warnings.push(format!("{why}: it is taken out of system-wide ones"));
            Ok(choice)
        }
        chosen => chosen,
    }
}

fn by_id(options: &Options<'_>, repository: &Repository, manifest: &Manifest) -> Result<Choice> {
    if let (Some(asked), Some(of)) = (&options.tenant, &manifest.tenant_id)
        && asked.as_str() != of
    {
        let what = format!("{} is a backup of tenant {of}, not of {asked}", manifest.id);
        return Err(Error::new(Kind::NotFound, what).hint(format!("`backup list --tenant {asked}` shows its backups")));
    }
    let known = manifest.module_states();
    for module in &options.modules {
        if !known.contains_key(module) {
            return Err(no_module(module, &manifest.id, known.keys()));
        }
    }
    let mut warnings = Vec::new();
    let mut pieces = Vec::new();
    for component in manifest.components.iter().filter(|c| asked_for(options, c)) {
        if component.status == ComponentStatus::Failed {
            let reason = component.error.as_deref().unwrap_or("it failed");
            warnings.push(format!("{} is not whole in {}: {reason}", title(component), manifest.id));
        }
        pieces.extend(piece(options, repository, manifest, component)?);
    }
    let tenant = manifest.tenant_id.clone();
    Ok(Choice { id: manifest.id.clone(), tenant, pieces, passed_over: Vec::new(), warnings })
}

/// Every module, and every archive that belongs to none, from the newest backup in which it is whole.
fn latest(
    options: &Options<'_>,
    repository: &Repository,
    scope: &Scope,
    before: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<Choice> {
    let catalog = repository.catalog()?;
    let entries = catalog.candidates(scope, before);
    let mut settled: BTreeMap<String, String> = BTreeMap::new();
    let mut waiting: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut had_none = None;
    let tenant = scope.tenant().map(ToString::to_string);
    let mut choice =
        Choice { id: String::new(), tenant, pieces: Vec::new(), passed_over: Vec::new(), warnings: Vec::new() };
    // What is wanted: the modules asked for, else those of the newest backup. A run over a few modules (`--module`)
    // does not hide the others; a module that was disabled since is not dug up again.
    let mut wanted: BTreeSet<String> = options.modules.iter().cloned().collect();
    let mut complete_run_seen = false;
    // What is whole in a backup in which a verification found damage to the same module: better than nothing.
    let mut damaged: BTreeMap<String, Piece> = BTreeMap::new();
    // Modules that were taken from a run of both halves (or of the half asked for): older backups have no more of them.
    let mut whole: BTreeMap<String, String> = BTreeMap::new();
    for entry in entries {
        let manifest = repository.manifest(&entry.id)?;
        known.extend(manifest.module_states().into_keys());
        let (enabled, narrowed) = offered(&manifest);
        if wanted.is_empty() {
            wanted = enabled;
        }
        complete_run_seen |= !narrowed;
        let mut failed_here: BTreeMap<String, bool> = BTreeMap::new();
        for component in manifest.components.iter().filter(|c| asked_for(options, c)) {
            if no_good(entry, component).is_some() {
                *failed_here.entry(title(component)).or_default() |= component.status == ComponentStatus::Failed;
            }
        }
        for component in manifest.components.iter().filter(|c| asked_for(options, c)) {
            if component.status == ComponentStatus::Absent {
                had_none.get_or_insert_with(|| manifest.id.clone());
            }
            let key = key(component);
            let module = component.module.as_ref();
            let taken = settled.get(&key).or_else(|| whole.get(module?));
            if taken.is_some_and(|id| *id != manifest.id)
                || module.is_some_and(|module| !wanted.contains(module))
                || component.status == ComponentStatus::Absent
            {
                continue;
            }
            if let Some(was_never_whole) = failed_here.get(&title(component)) {
                if !was_never_whole && let Some(piece) = piece(options, repository, &manifest, component)? {
                    damaged.entry(key.clone()).or_insert(piece);
                }
                if let Some(reason) = no_good(entry, component) {
                    let line = format!("{}: {} {reason}", manifest.id, title(component));
                    waiting.entry(key).or_default().push(line);
                }
                continue;
            }
            let passed = waiting.remove(&key).unwrap_or_default();
            choice.passed_over.extend(passed.into_iter().map(|line| format!("{line}; taken from {}", manifest.id)));
            settled.insert(key, manifest.id.clone());
            choice.pieces.extend(piece(options, repository, &manifest, component)?);
            if manifest.only.is_none() || manifest.only == options.only {
                whole.extend(component.module.clone().map(|module| (module, manifest.id.clone())));
            }
        }
        if !settled.is_empty() && choice.id.is_empty() {
            choice.id.clone_from(&manifest.id);
        }
        let all_settled = wanted.iter().all(|module| whole.contains_key(module));
        if waiting.is_empty() && all_settled && (complete_run_seen || !options.modules.is_empty()) {
            break;
        }
    }
    // Of what nobody has a good copy the damaged one is tried: what is restored is proven first, and collections that
    // the damage did not strike come back.
    damaged.retain(|key, _| !settled.contains_key(key));
    for (key, piece) in damaged {
        settled.insert(key, piece.backup.clone());
        choice.pieces.push(piece);
    }
    if let (true, Some(piece)) = (choice.id.is_empty(), choice.pieces.first()) {
        choice.id.clone_from(&piece.backup);
    }
    for unreadable in &catalog.unreadable {
        choice.warnings.push(format!("{} cannot be read and was passed over: {}", unreadable.path, unreadable.reason));
    }
    for lines in waiting.into_values() {
        choice.warnings.extend(lines.into_iter().map(|line| format!("no good copy exists: {line}")));
    }
    for module in &options.modules {
        if !known.contains(module) && !known.is_empty() {
            return Err(no_module(module, &format!("any backup of {scope}"), known.iter()));
        }
    }
    older(&mut choice, &settled);
    if choice.pieces.is_empty() {
        let moment = before.map_or(String::new(), |at| format!(" at or before {}", at.to_rfc3339()));
        if let Some(id) = had_none.filter(|_| choice.warnings.is_empty()) {
            let what = format!("{scope} {HAD_NO_DATA} when {id} was made");
            return Err(Error::new(Kind::NotFound, what).hint(format!("`backup show {id}` shows what was absent")));
        }
        let error = Error::new(Kind::NotFound, format!("there is no good backup of {scope}{moment}"));
        return Err(error.details(choice.warnings).hint("`backup list` shows what there is"));
    }
    Ok(choice)
}

/// What is said of a backup in which everything is absent.
const HAD_NO_DATA: &str = "had no data";

fn had_no_data(error: &Error) -> bool {
    error.message.contains(HAD_NO_DATA)
}

/// Why a component is no good copy: it failed, or `verify` found its archive damaged.
fn no_good(entry: &Entry, component: &Component) -> Option<String> {
    if component.status == ComponentStatus::Failed {
        return Some(format!("failed there: {}", component.error.as_deref().unwrap_or("no reason is given")));
    }
    let damaged = &entry.verified.as_ref()?.damaged;
    let at = entry.verified.as_ref()?.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    damaged.contains(component.archive.as_ref()?).then(|| format!("was found damaged there by a verification at {at}"))
}

/// Says what is taken from a backup that is not the newest, where nothing has said so yet.
fn older(choice: &mut Choice, settled: &BTreeMap<String, String>) {
    let mut from: BTreeMap<&String, Vec<&str>> = BTreeMap::new();
    for (key, id) in settled.iter().filter(|(_, id)| **id != choice.id) {
        from.entry(id).or_default().push(key);
    }
    for (id, keys) in from {
        if !choice.passed_over.iter().any(|line| line.ends_with(id.as_str())) {
            choice.warnings.push(format!("taken from the older {id}: {}", keys.join(", ")));
        }
    }
}

/// The modules a backup offered, and whether its run was narrowed with `--module`, which leaves others out.
fn offered(manifest: &Manifest) -> (BTreeSet<String>, bool) {
    let left_out = manifest.excluded_modules.iter().filter(|excluded| excluded.reason.starts_with(NOT_ASKED_FOR));
    let left_out: Vec<_> = left_out.map(|excluded| excluded.module.clone()).collect();
    let narrowed = !left_out.is_empty();
    (manifest.enabled_modules.iter().cloned().chain(left_out).collect(), narrowed)
}

/// What is taken from one backup: the databases of a module, its files, or an archive that belongs to no module. A run
/// of both halves is judged as one, so both come from it, unless a newer run of one half was made.
fn key(component: &Component) -> String {
    let half = if component.engine == "files" { "files" } else { "databases" };
    match &component.module {
        Some(module) => format!("{half} of module {module}"),
        None if component.shared_by.is_empty() => component.name.clone(),
        None => format!("shared {}", component.name),
    }
}

fn title(component: &Component) -> String {
    match &component.module {
        Some(module) => format!("module {module}"),
        None => key(component),
    }
}

fn no_module<'a>(module: &str, place: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<_> = known.map(String::as_str).collect();
    Error::new(Kind::NotFound, format!("no module '{module}' in {place}"))
        .hint(format!("modules there: {}", known.join(", ")))
}

fn asked_for(options: &Options<'_>, component: &Component) -> bool {
    let half = match options.only {
        Some(Only::Database) => component.engine != "files",
        Some(Only::Files) => component.engine == "files",
        None => true,
    };
    let mut modules = component.module.iter().chain(&component.shared_by);
    half && (options.modules.is_empty() || modules.any(|module| options.modules.contains(module)))
}

fn piece(
    options: &Options<'_>,
    repository: &Repository,
    manifest: &Manifest,
    component: &Component,
) -> Result<Option<Piece>> {
    let Some(archive) = &component.archive else { return Ok(None) };
    let whole = component.collections.iter().filter(|c| c.status == ComponentStatus::Complete);
    Ok(Some(Piece {
        backup: manifest.id.clone(),
        path: repository.archive(&manifest.backup_id()?, manifest.backup_type, archive)?,
        component: component.clone(),
        collections: whole.cloned().collect(),
        share: None,
        identities: options.identities.clone(),
    }))
}

fn narrow(options: &Options<'_>, piece: &mut Piece) {
    if !options.collections.is_empty() {
        piece.collections.retain(|c| options.collections.contains(&c.name));
    }
}

fn unknown_collections(options: &Options<'_>, choice: &Choice) -> Result<()> {
    let found: BTreeSet<_> = choice.pieces.iter().flat_map(|p| &p.collections).map(|c| &c.name).collect();
    match options.collections.iter().find(|name| !found.contains(name)) {
        Some(name) => {
            let likeness = |other: &str| strsim::jaro_winkler(name, other);
            let close = found.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let close = close.filter(|other| likeness(other) > 0.8).map(|other| format!("did you mean '{other}'? "));
            let hint = format!("{}`backup show {}` lists what it holds", close.unwrap_or_default(), choice.id);
            let what = format!("there is no collection '{name}' that is whole in {}", choice.id);
            Err(Error::new(Kind::NotFound, what).hint(hint))
        }
        None => Ok(()),
    }
}
