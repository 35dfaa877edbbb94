//! The catalog: what a repository lists. Manifests are read as summaries, so that tens of thousands list in seconds.

use super::open::{FACTS, FAILED, METADATA};
use super::staging::STAGING;
use super::summary::Names;
use super::{FailedRun, Held, Repository, Summary, UnfinishedRestore, Verified, durable, input, lock};
use crate::config::BackupType;
use crate::error::{Error, Kind, Result};
use crate::manifest::FORMAT_VERSION;
use crate::names::{BackupId, Scope, TenantId};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::path::Path;

/// What a repository lists.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Newest first.
    pub backups: Vec<Entry>,
    /// Runs that failed outright, newest first.
    pub failed: Vec<FailedRun>,
    /// Leftovers of runs that died, and runs at work.
    pub interrupted: Vec<Interrupted>,
    /// Restores that were interrupted, or are at work.
    pub restores: Vec<UnfinishedRestore>,
    /// Manifests and facts that cannot be read: reported, never dropped in silence.
    pub unreadable: Vec<Unreadable>,
}

/// A listed backup.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its id.
    pub id: BackupId,
    /// The short form of its manifest.
    pub summary: Summary,
    /// Its newest verification.
    pub verified: Option<Verified>,
    /// It is held.
    pub held: Option<Held>,
}

impl Entry {
    /// The newest verification found that its bytes are not what the manifest says.
    pub fn is_damaged(&self) -> bool {
        self.verified.as_ref().is_some_and(|verified| !verified.valid)
    }

    /// The modules of which it is a good and whole copy: none when it is known to be damaged, wherever that is.
    pub fn good_modules(&self) -> Vec<&str> {
        if self.is_damaged() { Vec::new() } else { self.summary.good_modules() }
    }
}

/// A leftover of a dead run, or a run at work.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupted {
    /// The backup that was being made.
    pub id: String,
    /// What is left, relative to the repository.
    pub path: String,
    /// A run of its scope is at work.
    pub running: bool,
    /// It is in a backup's place and has lost its manifest: bytes to be kept for whoever brings that back.
    pub lost: bool,
}

impl Interrupted {
    /// The scope of the run.
    pub fn scope(&self) -> Scope {
        BackupId::parse(&self.id).map_or(Scope::SystemWide, |id| id.scope())
    }

    /// When the run began.
    pub fn at(&self) -> DateTime<Utc> {
        BackupId::parse(&self.id).map_or(DateTime::UNIX_EPOCH, |id| id.at())
    }
}

/// A file that cannot be read.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// Relative to the repository.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl Catalog {
    /// A backup by id.
    ///
    /// # Errors
    /// [`Kind::NotFound`], with the ids that are most like it; [`Kind::Damaged`] when its manifest cannot be read.
    pub fn find(&self, id: &BackupId) -> Result<&Entry> {
        let path = format!("{METADATA}/{id}.json");
        if let Some(unreadable) = self.unreadable.iter().find(|unreadable| unreadable.path == path) {
            return Err(Error::new(Kind::Damaged, format!("the manifest of {id} cannot be read"))
                .cause(&unreadable.reason)
                .hint("`backup list` shows every file that cannot be read"));
        }
        self.backups.iter().find(|entry| entry.id == *id).ok_or_else(|| {
            let mut close: Vec<_> = self.backups.iter().map(|entry| entry.id.as_str()).collect();
            close.sort_by_key(|other| strsim::levenshtein(other, id.as_str()));
            close.truncate(3);
            let hint = match close.as_slice() {
                [] => "there are no backups".to_owned(),
                close => format!("did you mean {}? `backup list` shows all", close.join(" or ")),
            };
            Error::new(Kind::NotFound, format!("there is no backup {id}")).hint(hint)
        })
    }

    /// Backups that `latest` may mean: of a scope, at or before a moment, newest first. What a restore put aside is
    /// none of them.
    pub fn candidates(&self, scope: &Scope, before: Option<DateTime<Utc>>) -> Vec<&Entry> {
        self.of_scope(scope, before).into_iter().filter(|entry| entry.summary.safety_for.is_none()).collect()
    }

    /// Backups of a scope at or before a moment, newest first.
    pub fn of_scope(&self, scope: &Scope, before: Option<DateTime<Utc>>) -> Vec<&Entry> {
        let in_time = |entry: &&Entry| before.is_none_or(|before| entry.id.at() <= before);
        self.backups.iter().filter(|entry| entry.id.scope() == *scope).filter(in_time).collect()
    }
}

/// Reads the whole catalog.
pub fn read(repository: &Repository) -> Result<Catalog> {
    let folder = repository.location().join(METADATA);
    let names = json_names(&folder)?;
    let mut folders = Folders::new();
    for backup_type in BackupType::ALL {
        let names = names_in(&repository.location().join(backup_type.as_str()))?;
        folders.push((backup_type, names.into_iter().collect()));
    }
    let threads = 2;
    let chunk = names.len().div_ceil(threads).max(1);
    let read: Vec<(Vec<Entry>, Vec<Unreadable>)> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            names.chunks(chunk).map(|names| scope.spawn(|| read_some(&folder, &folders, names))).collect();
        let dead = |_| Error::new(Kind::Internal, "a catalog thread died");
        workers.into_iter().map(|worker| worker.join().map_err(dead)).collect::<Result<_>>()
    })?;
    // Of tens of thousands of backups these take megabytes, which what follows can use.
    drop((names, folders));
    let mut catalog = Catalog::default();
    for (backups, unreadable) in read {
        catalog.backups.extend(backups);
        catalog.unreadable.extend(unreadable);
    }
    catalog.backups.sort_by_cached_key(|entry| std::cmp::Reverse((entry.id.at(), entry.id.clone())));
    read_facts(repository, &mut catalog)?;
    let failed = folder.join(FAILED);
    for name in json_names(&failed)? {
        match read_json(&failed.join(&name)) {
            Ok(run) => catalog.failed.push(run),
            Err(reason) => catalog.unreadable.push(Unreadable { path: format!("{METADATA}/{FAILED}/{name}"), reason }),
        }
    }
    catalog.failed.sort_by_key(|run: &FailedRun| std::cmp::Reverse(run.timestamp));
    catalog.interrupted = leftovers(repository)?;
    let (restores, unreadable) = repository.unfinished_restores()?;
    catalog.restores = restores;
    catalog.unreadable.extend(unreadable);
    Ok(catalog)
}

/// Ids of the backups of the repository at `location`, newest first: by the names of their manifests, of which none is read.
/// None where they cannot be listed.
pub fn ids_in(location: &Path) -> Vec<BackupId> {
    let names = json_names(&location.join(METADATA)).unwrap_or_default();
    let mut ids: Vec<_> = names.iter().filter_map(|name| BackupId::parse(name.strip_suffix(".json")?).ok()).collect();
    ids.sort_by_cached_key(|id| std::cmp::Reverse((id.at(), id.clone())));
    ids
}

/// Names of the backups' folders, by type.
type Folders = Vec<(BackupType, HashSet<String>)>;

fn read_some(folder: &Path, folders: &Folders, names: &[String]) -> (Vec<Entry>, Vec<Unreadable>) {
    let (mut backups, mut unreadable) = (Vec::new(), Vec::new());
    let mut shared = Names::default();
    for name in names {
        match read_one(folder, folders, name) {
            Ok(Some(mut entry)) => {
                shared.share(&mut entry.summary);
                backups.push(entry);
            }
            // Removed since it was listed.
            Ok(None) => {}
            Err(reason) => unreadable.push(Unreadable { path: format!("{METADATA}/{name}"), reason }),
        }
    }
    (backups, unreadable)
}

/// A manifest counts only when all about it agrees: its name, its words, and that its bytes are there.
fn read_one(folder: &Path, folders: &Folders, name: &str) -> Result<Option<Entry>, String> {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let id = BackupId::parse(stem).map_err(|_| "its name is no backup id".to_owned())?;
    let body = match input::read(&folder.join(name)) {
        Ok(body) => body,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let summary = summary(&body)?;
    if summary.id != id.as_str() {
        return Err(format!("it says it is {}", summary.id));
    }
    if id.scope().tenant().map(TenantId::as_str) != summary.tenant_id.as_deref() {
        return Err("its tenant is not the one its id names".into());
    }
    // A manifest that was published after the folders were listed is there in full, but not in our list.
    let is_of_its_type =
        |(of, names): &(BackupType, HashSet<String>)| *of == summary.backup_type && names.contains(stem);
    if !folders.iter().any(is_of_its_type) && !folder.join("..").join(summary.backup_type.as_str()).join(stem).is_dir()
    {
        return Err("its folder is gone".into());
    }
    Ok(Some(Entry { id, summary, verified: None, held: None }))
}

/// Nobody else has to look at the version: what the catalog does not list is not read.
fn summary(body: &[u8]) -> Result<Summary, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        format_version: u32,
    }
    let summary = serde_json::from_slice::<Summary>(body);
    // A newer format may say what cannot be read here; then that it is newer matters, and not which word it was.
    let version = match &summary {
        Ok(summary) => Some(summary.format_version),
        Err(_) => serde_json::from_slice::<Version>(body).ok().map(|version| version.format_version),
    };
    match version {
        Some(version) if version > FORMAT_VERSION => {
            Err(format!("its format {version} is newer than this program knows: use the `backup` that made it"))
        }
        _ => summary.map_err(|e| e.to_string()),
    }
}

fn read_facts(repository: &Repository, catalog: &mut Catalog) -> Result<()> {
    let folder = repository.location().join(METADATA).join(FACTS);
    let mut names = json_names(&folder)?;
    names.sort_unstable();
    for entry in &mut catalog.backups {
        let first = names.partition_point(|name| name.as_str() < entry.id.as_str());
        for name in names[first..].iter().take_while(|name| name.starts_with(entry.id.as_str())) {
            let path = folder.join(name);
            let read = match &name[entry.id.as_str().len()..] {
                ".verified.json" => read_json(&path).map(|fact| entry.verified = Some(fact)),
                ".held.json" => read_json(&path).map(|fact| entry.held = Some(fact)),
                _ => Ok(()),
            };
            if let Err(reason) = read {
                catalog.unreadable.push(Unreadable { path: format!("{METADATA}/{FACTS}/{name}"), reason });
            }
        }
    }
    Ok(())
}

/// What dead runs left, and what is being made: staging folders, folders in a backup's place without a manifest, and
/// last, because they say of such a folder that it is dead, manifests and records that have not got their name.
pub fn leftovers(repository: &Repository) -> Result<Vec<Interrupted>> {
    let location = repository.location();
    let mut found = Vec::new();
    let mut add = |id: &str, path: String, lost: bool| {
        if let Ok(parsed) = BackupId::parse(id) {
            let running = lock::is_running(location, &parsed.scope());
            found.push(Interrupted { id: id.to_owned(), path, running, lost });
        }
    };
    for name in names_in(&location.join(STAGING))? {
        add(&name, format!("{STAGING}/{name}"), false);
    }
    // Folders before manifests: one that is being published in between has a manifest then, with its name or without.
    let mut folders = Vec::new();
    for backup_type in BackupType::ALL {
        let names = names_in(&location.join(backup_type.as_str()))?;
        folders.extend(names.into_iter().map(|name| (format!("{}/{name}", backup_type.as_str()), name)));
    }
    let metadata = names_in(&location.join(METADATA))?;
    let listed: HashSet<&str> = metadata.iter().filter_map(|name| name.strip_suffix(".json")).collect();
    let unnamed: HashSet<&str> = metadata.iter().filter_map(|name| unnamed_id(name)).collect();
    for (path, name) in folders.into_iter().filter(|(_, name)| !listed.contains(name.as_str())) {
        let lost = !unnamed.contains(name.as_str());
        // One that was removed in between is gone altogether.
        if !lost || location.join(&path).is_dir() {
            add(&name, path, lost);
        }
    }
    let failed = format!("{METADATA}/{FAILED}");
    for (folder, names) in [(METADATA, metadata.as_slice()), (&failed, &names_in(&location.join(&failed))?)] {
        for (name, id) in names.iter().filter_map(|name| Some((name, unnamed_id(name)?))) {
            add(id, format!("{folder}/{name}"), false);
        }
    }
    Ok(found)
}

/// The id in the name of a file that has not got its name yet.
fn unnamed_id(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.strip_suffix(durable::TEMPORARY)?.strip_suffix(".json")
}

fn json_names(folder: &Path) -> Result<Vec<String>> {
    Ok(names_in(folder)?.into_iter().filter(|name| name.ends_with(".json") && !name.starts_with('.')).collect())
}

/// Names in a folder of the repository. Every repository has all its folders: one that is missing is a copy that is not
/// whole, or a disk that went away, and never an empty list.
pub fn names_in(folder: &Path) -> Result<Vec<String>> {
    let failed = |e: &std::io::Error| {
        let error = Error::io("list", folder, e);
        if e.kind() == std::io::ErrorKind::NotFound {
            return error.kind(Kind::Repository).hint("the repository is not whole: is it a partial copy?");
        }
        error
    };
    let entries = std::fs::read_dir(folder).map_err(|e| failed(&e))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    names.collect::<std::io::Result<Vec<_>>>().map_err(|e| failed(&e))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let body = input::read(path).map_err(|e| e.to_string())?;
    serde_json::from_slice(&body).map_err(|e| e.to_string())
}
