//! The repository's promises, on a file system.

mod catalog;
mod lock;

use super::{FailedRun, Held, Repository, Verified, VerifyLevel, Wait};
use crate::config::{BackupType, Repository as Settings};
use crate::error::Kind;
use crate::event::{Event, Events, Observer};
use crate::manifest::Manifest;
use crate::names::{BackupId, Scope, TenantId};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

fn moment() -> DateTime<Utc> {
    "2025-12-20T10:30:00.123456Z".parse().unwrap()
}

/// A new repository, and the folder that goes with it.
fn made() -> (TempDir, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let (repository, made) = Repository::open_or_create(&Settings::at(folder.path().join("backups"))).unwrap();
    assert!(made);
    (folder, repository)
}

fn acme() -> Scope {
    Scope::Tenant(TenantId::parse("acme").unwrap())
}

/// The id of a backup of `scope` that began `hours` after [`moment`].
fn id(scope: &Scope, hours: i64) -> BackupId {
    BackupId::new(scope, moment() + TimeDelta::hours(hours))
}

fn manifest(id: &BackupId, archives: &[(&str, u64)]) -> Manifest {
    let component = |(archive, size): &(&str, u64)| {
        serde_json::json!({
            "type": "sqlite", "name": "db", "module": "core", "database": null, "status": "complete", "error": null,
            "archive": archive, "size": size, "sha256": null, "index": null, "encrypted": false, "moduleAware": true,
            "collectionsIncluded": ["patients"], "consistency": null, "server": null, "collections": [],
            "files": null, "timestamp": id.at(),
        })
    };
    let made = serde_json::from_value(serde_json::json!({
        "formatVersion": 1, "id": id, "installation": "clinic", "type": "daily", "mode": "full", "parent": null,
        "tenantId": id.scope().tenant(), "timestamp": id.at(), "completedAt": id.at(), "durationSeconds": 1.0,
        "status": "success", "warnings": [], "moduleAware": true, "enabledModules": ["core"], "excludedModules": [],
        "license": {"features": []}, "components": archives.iter().map(component).collect::<Vec<_>>(),
        "totals": {"collections": 1, "documents": 2, "files": 0, "bytes": 30, "storedBytes": 5},
        "createdBy": "u@h", "tool": {"name": "backup", "version": "0"}, "errors": [], "signature": null,
    }));
    made.unwrap()
}

/// Publishes a backup of one archive of five bytes.
fn publish(repository: &Repository, id: &BackupId) {
    let staging = repository.begin(id, BackupType::Daily).unwrap();
    staging.create("core/db.tar.gz").unwrap().write_all(b"bytes").unwrap();
    staging.publish(manifest(id, &[("core/db.tar.gz", 5)])).unwrap();
}

fn ids(repository: &Repository) -> Vec<BackupId> {
    repository.catalog().unwrap().backups.into_iter().map(|entry| entry.id).collect()
}

/// What is to be known of a file or folder.
#[derive(Debug, PartialEq)]
struct Found {
    mode: u32,
    changed: (i64, i64),
    body: Option<Vec<u8>>,
}

/// Everything below a folder, and the folder.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Found> {
    let described = |entry: walkdir::DirEntry| {
        let meta = entry.metadata().unwrap();
        let body = meta.is_file().then(|| std::fs::read(entry.path()).unwrap());
        (entry.into_path(), Found { mode: meta.mode(), changed: (meta.ctime(), meta.ctime_nsec()), body })
    };
    walkdir::WalkDir::new(folder).into_iter().map(|entry| described(entry.unwrap())).collect()
}

fn assert_private(folder: &Path) {
    for (path, Found { mode, body, .. }) in tree(folder) {
        let expected = if body.is_some() { 0o100_600 } else { 0o040_700 };
        assert_eq!(mode, expected, "{} has mode {mode:o}", path.display());
    }
}

#[test]
fn what_is_not_the_expected_repository_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let sentinel = |name: &str, body: &str| {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("repository.json"), body).unwrap();
    };
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::write(at("file"), "text").unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
    sentinel("other", r#"{"id": "theirs", "formatVersion": 1}"#);
    sentinel("newer", r#"{"id": "ours", "formatVersion": 2}"#);
    sentinel("torn", r#"{"id": "ours", "form"#);
    sentinel("zeros", "\0\0\0\0");
    let before = tree(folder.path());
    let settings = |name, id: Option<&str>| Settings { id: id.map(ToOwned::to_owned), ..Settings::at(at(name)) };
    for (name, expected_id, message) in [
        ("missing", Some("ours"), "there is no repository at"),
        ("dangling", None, "there is no repository at"),
        ("empty", None, "exists but is no repository: it has no repository.json"),
        ("file", None, "exists but is no repository: it has no repository.json"),
        ("other", Some("ours"), "is theirs, not ours"),
        ("newer", Some("ours"), "has format 2"),
        ("torn", None, "repository.json is unreadable"),
        ("zeros", None, "repository.json is unreadable"),
    ] {
        for opened in [
            Repository::open(&settings(name, expected_id)).map(|_| ()),
            Repository::open_or_create(&settings(name, expected_id)).map(|_| ()),
        ] {
            let error = opened.unwrap_err();
            assert_eq!(error.kind, Kind::Repository, "{name}");
            assert!(error.message.contains(message), "{name}: {error}");
            assert!(error.hint.is_some() || message.ends_with("unreadable"), "{name}: {error}");
        }
    }
    assert_eq!(Repository::open(&Settings::at(at("missing"))).unwrap_err().kind, Kind::Repository);
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn a_new_repository_is_whole_and_nobody_elses_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().join("disk/backups");
    let (repository, made) = Repository::open_or_create(&Settings::at(&location)).unwrap();
    assert!(made);
    assert_private(&folder.path().join("disk"));
    let below = |path: &PathBuf| path.strip_prefix(&location).unwrap().to_string_lossy().into_owned();
    let names: Vec<_> = tree(&location).keys().map(below).collect();
    let whole = [
        "",
        "daily",
        "journal",
        "locks",
        "metadata",
        "metadata/facts",
        "metadata/failed",
        "monthly",
        "repository.json",
    ];
    assert_eq!(names, [&whole[..], &["staging", "weekly"]].concat());
    assert_eq!(std::fs::read_dir(location.parent().unwrap()).unwrap().count(), 1, "nothing else was left beside it");
    assert!(ids(&repository).is_empty());

    let (again, made) =
        Repository::open_or_create(&Settings { id: Some(repository.id().to_owned()), ..Settings::at(&location) })
            .unwrap();
    assert!(!made);
    assert_eq!(again.id(), repository.id());
}

#[test]
fn runs_that_make_the_repository_at_once_get_one_and_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().join("backups");
    let start = std::sync::Barrier::new(8);
    let make = || {
        start.wait();
        Repository::open_or_create(&Settings::at(&location))
            .map(|(repository, made)| (repository.id().to_owned(), made))
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        runs.into_iter().map(|run| run.join().unwrap().unwrap()).collect()
    });
    assert!(results.iter().all(|(id, _)| *id == results[0].0), "{results:?}");
    assert_eq!(results.iter().filter(|(_, made)| *made).count(), 1, "{results:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the losers' folders are gone");
}

#[test]
fn publishing_makes_folder_and_manifest_appear_and_nothing_is_listed_before() {
    let (_folder, repository) = made();
    let id = id(&acme(), 0);
    let staging = repository.begin(&id, BackupType::Daily).unwrap();
    staging.create("core/db.tar.gz").unwrap().write_all(b"bytes").unwrap();
    staging.create("failed.tar.gz").unwrap();
    staging.remove("failed.tar.gz").unwrap();
    assert!(ids(&repository).is_empty());
    assert!(!repository.folder(&id, BackupType::Daily).exists());

    let staged = staging.path().to_owned();
    staging.publish(manifest(&id, &[("core/db.tar.gz", 5)])).unwrap();
    assert!(!staged.exists());
    let archive = repository.archive(&id, BackupType::Daily, "core/db.tar.gz").unwrap();
    assert_eq!(std::fs::read(archive).unwrap(), b"bytes");
    assert_eq!(repository.manifest(&id).unwrap().id, id.as_str());
    let catalog = repository.catalog().unwrap();
    assert_eq!(catalog.backups.iter().map(|entry| &entry.id).collect::<Vec<_>>(), [&id]);
    assert!(catalog.interrupted.is_empty() && catalog.unreadable.is_empty());
    assert_private(repository.location());
}

#[test]
fn a_backup_that_is_dropped_unpublished_leaves_nothing() {
    let (_folder, repository) = made();
    let names = |repository| tree(Repository::location(repository)).into_keys().collect::<Vec<_>>();
    let before = names(&repository);
    let staging = repository.begin(&id(&acme(), 0), BackupType::Daily).unwrap();
    staging.create("core/db.tar.gz").unwrap().write_all(b"bytes").unwrap();
    assert_ne!(names(&repository), before);
    drop(staging);
    assert_eq!(names(&repository), before);
}

#[test]
fn an_id_that_is_taken_is_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, made) = Repository::open_or_create(&Settings::at(folder.path().join("backups"))).unwrap();
    assert!(made);
    let scope = Scope::SystemWide;
    let _lock = repository.lock_scope(&scope, "test", Wait::No).unwrap();
    let first = repository.free_id(&scope, moment());
    assert_eq!(first.as_str(), "system-backup-2025-12-20T10-30-00-123Z");
    std::fs::write(repository.manifest_path(&first), b"{}").unwrap();
    let second = repository.free_id(&scope, moment());
    assert_eq!(second, BackupId::parse("system-backup-2025-12-20T10-30-00-124Z").unwrap());
}

#[test]
fn an_id_is_taken_by_a_folder_of_any_type_and_by_a_failed_run() {
    let (_folder, repository) = made();
    for backup_type in BackupType::ALL {
        let free = repository.free_id(&acme(), moment());
        std::fs::create_dir(repository.folder(&free, backup_type)).unwrap();
        assert_ne!(repository.free_id(&acme(), moment()), free, "{backup_type:?}");
    }
    let free = repository.free_id(&acme(), moment());
    repository.record_failure(&failed(&free)).unwrap();
    assert_ne!(repository.free_id(&acme(), moment()), free);
    assert_eq!(repository.free_id(&Scope::SystemWide, moment()), id(&Scope::SystemWide, 0), "another scope's is free");
}

fn failed(id: &BackupId) -> FailedRun {
    FailedRun {
        id: id.to_string(),
        backup_type: BackupType::Daily,
        tenant_id: id.scope().tenant().map(TenantId::to_string),
        timestamp: id.at(),
        duration_seconds: 1.0,
        errors: vec!["no server".into()],
    }
}

#[test]
fn a_backup_begins_only_where_there_is_none() {
    let (_folder, repository) = made();
    let id = id(&acme(), 0);
    let refused = |backup_type| repository.begin(&id, backup_type).unwrap_err().message;
    let message = format!("a backup {id} exists already");
    let staging = repository.begin(&id, BackupType::Daily).unwrap();
    assert_eq!(refused(BackupType::Daily), message);
    assert!(staging.path().is_dir(), "who was there first is not disturbed");
    drop(staging);
    std::fs::create_dir(repository.folder(&id, BackupType::Weekly)).unwrap();
    assert_eq!(refused(BackupType::Weekly), message);
    publish(&repository, &id);
    assert_eq!(refused(BackupType::Monthly), message);
}

#[test]
fn a_manifest_that_does_not_say_what_is_there_is_not_published() {
    let (_folder, repository) = made();
    let id = id(&acme(), 0);
    let archive = "core/db.tar.gz";
    let mut weekly = manifest(&id, &[(archive, 5)]);
    weekly.backup_type = BackupType::Weekly;
    for (what, wrong) in [
        ("a size that is too small", manifest(&id, &[(archive, 4)])),
        ("a size that is too large", manifest(&id, &[(archive, 6)])),
        ("an archive that is missing", manifest(&id, &[(archive, 5), ("core/files.tar.gz", 5)])),
        ("another id", manifest(&BackupId::new(&acme(), moment() + TimeDelta::hours(1)), &[(archive, 5)])),
        ("another type", weekly),
    ] {
        let staging = repository.begin(&id, BackupType::Daily).unwrap();
        staging.create(archive).unwrap().write_all(b"bytes").unwrap();
        assert!(staging.publish(wrong).is_err(), "{what}");
        let catalog = repository.catalog().unwrap();
        assert!(catalog.backups.is_empty() && catalog.interrupted.is_empty(), "{what}: {catalog:?}");
    }
    publish(&repository, &id);
}

#[test]
fn a_folder_whose_manifest_could_not_be_written_is_taken_back() {
    let (_folder, repository) = made();
    let id = id(&acme(), 0);
    // A folder in the place of the manifest's temporary file: the disk refuses after the first of the two renames.
    let obstacle = repository.location().join(format!("metadata/.{id}.json.tmp"));
    std::fs::create_dir(&obstacle).unwrap();
    let staging = repository.begin(&id, BackupType::Daily).unwrap();
    staging.publish(manifest(&id, &[])).unwrap_err();
    assert!(!repository.manifest_path(&id).exists());
    assert!(!repository.folder(&id, BackupType::Daily).exists());
    std::fs::remove_dir(obstacle).unwrap();
    publish(&repository, &id);
}

#[test]
fn a_removed_backup_takes_its_facts_and_bytes_along_and_nobody_elses() {
    let (_folder, repository) = made();
    let (gone, stays) = (id(&acme(), 0), id(&acme(), 1));
    let before: Vec<_> = tree(repository.location()).into_keys().collect();
    for id in [&gone, &stays] {
        publish(&repository, id);
        repository
            .record_verified(
                id,
                &Verified { level: VerifyLevel::Stored, at: moment(), valid: true, damaged: Vec::new() },
            )
            .unwrap();
        repository.record_held(id, Some(&Held { at: moment(), by: "ann".into() })).unwrap();
    }
    assert_eq!(repository.remove(&gone, BackupType::Daily).unwrap(), 5);
    assert_eq!(repository.manifest(&gone).unwrap_err().kind, Kind::NotFound);
    let mut left = tree(repository.location());
    let locks = repository.location().join("locks");
    left.retain(|path, _| !before.contains(path) && !path.starts_with(&locks));
    let others = left.keys().filter(|path| !path.to_string_lossy().contains(stays.as_str()));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&PathBuf>::new());
    let catalog = repository.catalog().unwrap();
    let entry = catalog.find(&stays).unwrap();
    assert!(entry.held.is_some() && entry.verified.is_some());
    // What another run removed halfway is removed to the end.
    repository.remove(&gone, BackupType::Daily).unwrap();
}

#[test]
fn an_archive_outside_its_backups_folder_has_no_path() {
    let (_folder, repository) = made();
    let id = id(&acme(), 0);
    let inside = repository.archive(&id, BackupType::Weekly, "core/db.tar.gz").unwrap();
    assert_eq!(inside, repository.location().join(format!("weekly/{id}/core/db.tar.gz")));
    for relative in ["", ".", "..", "../x", "/x", "/", "core/../x", "core/../../x", "./x", "core/.."] {
        let error = repository.archive(&id, BackupType::Weekly, relative).unwrap_err();
        assert_eq!(error.kind, Kind::Damaged, "{relative}");
        assert!(error.message.contains("outside its folder"), "{error}");
    }
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn observe(&self, event: &Event) {
        if let Event::Warning(message) = event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

#[test]
fn the_audit_log_is_only_added_to() {
    let (_folder, repository) = made();
    let warnings = Arc::new(Warnings::default());
    let events = Events::new(warnings.clone());
    repository.audit(&events, "prune", "3 backups", "done");
    repository.audit(&events, "forget", "line\nbreak", "failed: \"disk\"");
    let path = repository.location().join("audit.jsonl");
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = lines.iter().map(|line| [&line["action"], &line["subject"], &line["result"]]).collect();
    assert_eq!(said, [["prune", "3 backups", "done"], ["forget", "line\nbreak", "failed: \"disk\""]]);
    assert!(lines.iter().all(|line| line["uid"].is_u64() && line["host"].is_string() && line["at"].is_string()));
    assert_eq!(*warnings.0.lock().unwrap(), Vec::<String>::new());
}
