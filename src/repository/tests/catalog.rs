//! What the catalog lists and reports, and what a sweep takes.

use super::{acme, failed, id, ids, made, moment, publish};
use crate::config::BackupType;
use crate::error::Kind;
use crate::names::{BackupId, Scope};
use crate::repository::{Held, Interrupted, Repository, Verified, VerifyLevel, Wait};

const SYSTEM: Scope = Scope::SystemWide;

/// Publishes a backup and rewrites its manifest: `from` becomes `to`.
fn publish_changed(repository: &Repository, id: &BackupId, from: &str, to: &str) {
    publish(repository, id);
    let path = repository.manifest_path(id);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

fn interrupted(repository: &Repository) -> Vec<(String, bool)> {
    let mut found: Vec<_> =
        repository.catalog().unwrap().interrupted.into_iter().map(|found| (found.path, found.running)).collect();
    found.sort();
    found
}

#[test]
fn a_manifest_that_cannot_be_trusted_is_reported_and_hides_nothing_else() {
    let (_folder, repository) = made();
    let good = [id(&SYSTEM, 0), id(&acme(), 1)];
    good.iter().for_each(|id| publish(&repository, id));
    let metadata = repository.location().join("metadata");
    std::fs::write(metadata.join("notes.json"), "{}").unwrap();
    let torn = id(&SYSTEM, 2);
    publish(&repository, &torn);
    let body = std::fs::read(repository.manifest_path(&torn)).unwrap();
    std::fs::write(repository.manifest_path(&torn), &body[..body.len() / 2]).unwrap();
    let renamed = id(&SYSTEM, 3);
    publish(&repository, &renamed);
    std::fs::copy(repository.manifest_path(&good[0]), repository.manifest_path(&renamed)).unwrap();
    let newer = id(&SYSTEM, 4);
    publish_changed(&repository, &newer, "\"formatVersion\": 1", "\"formatVersion\": 2");
    let foreign = id(&acme(), 5);
    publish_changed(&repository, &foreign, "\"tenantId\": \"acme\"", "\"tenantId\": \"birch\"");
    let scopeless = id(&acme(), 6);
    publish_changed(&repository, &scopeless, "\"tenantId\": \"acme\"", "\"tenantId\": null");
    let bare = id(&SYSTEM, 7);
    publish(&repository, &bare);
    std::fs::remove_dir_all(repository.folder(&bare, BackupType::Daily)).unwrap();
    let mistyped = id(&SYSTEM, 9);
    publish_changed(&repository, &mistyped, "\"type\": \"daily\"", "\"type\": \"weekly\"");
    let fact = metadata.join(format!("facts/{}.held.json", good[0]));
    std::fs::write(fact, "{").unwrap();
    let run = id(&SYSTEM, 8);
    std::fs::write(metadata.join(format!("failed/{run}.json")), "").unwrap();

    let catalog = repository.catalog().unwrap();
    assert_eq!(catalog.backups.iter().map(|entry| &entry.id).collect::<Vec<_>>(), [&good[1], &good[0]]);
    let reason = |path: &str| {
        let path = format!("metadata/{path}.json");
        let found = catalog.unreadable.iter().find(|unreadable| unreadable.path == path);
        found.unwrap_or_else(|| panic!("{path} is not reported: {:?}", catalog.unreadable)).reason.clone()
    };
    for (path, expected) in [
        ("notes".to_owned(), "its name is no backup id".to_owned()),
        (torn.to_string(), "EOF while parsing".to_owned()),
        (renamed.to_string(), format!("it says it is {}", good[0])),
        (newer.to_string(), "its format 2 is newer than this program knows".to_owned()),
        (foreign.to_string(), "its tenant is not the one its id names".to_owned()),
        (scopeless.to_string(), "its tenant is not the one its id names".to_owned()),
        (bare.to_string(), "its folder is gone".to_owned()),
        (mistyped.to_string(), "its folder is gone".to_owned()),
        (format!("facts/{}.held", good[0]), "EOF while parsing".to_owned()),
        (format!("failed/{run}"), "EOF while parsing".to_owned()),
    ] {
        let reason = reason(&path);
        assert!(reason.starts_with(&expected), "{path}: {reason}");
    }
    assert_eq!(catalog.unreadable.len(), 10, "{:?}", catalog.unreadable);
    assert_eq!(repository.manifest(&torn).unwrap_err().kind, Kind::Damaged);
    assert_eq!(repository.manifest(&renamed).unwrap_err().kind, Kind::Damaged);
}

#[test]
fn a_repository_that_misses_a_folder_is_an_error_and_never_an_empty_list() {
    let folders = ["daily", "weekly", "monthly", "staging", "journal", "metadata", "metadata/facts", "metadata/failed"];
    for missing in folders {
        let (_folder, repository) = made();
        let path = repository.location().join(missing);
        std::fs::remove_dir_all(&path).unwrap();
        let error = repository.catalog().unwrap_err();
        assert_eq!(error.kind, Kind::Repository, "{missing}");
        assert!(error.message.contains(path.to_str().unwrap()) && error.hint.is_some(), "{missing}: {error}");
        assert!(!path.exists(), "looking makes nothing");
    }
}

#[test]
fn facts_are_attached_to_their_own_backup() {
    let (_folder, repository) = made();
    let (first, second) = (id(&acme(), 0), id(&acme(), 1));
    publish(&repository, &first);
    publish(&repository, &second);
    repository.record_held(&first, Some(&Held { at: moment(), by: "ann".into() })).unwrap();
    let verified = |valid| Verified { level: VerifyLevel::Decoded, at: moment(), valid, damaged: Vec::new() };
    repository.record_verified(&second, &verified(true)).unwrap();
    repository.record_verified(&second, &verified(false)).unwrap();
    // The id of the one is how the id of the other begins.
    let longer = format!("{first}.b-backup-2025-12-20T10-30-00-123Z");
    let longer = BackupId::parse(&longer).unwrap();
    publish(&repository, &longer);
    repository.record_held(&longer, Some(&Held { at: moment(), by: "bob".into() })).unwrap();
    // A fact of a backup that is gone, or of a kind to come, disturbs nothing.
    repository.record_verified(&id(&acme(), 2), &verified(true)).unwrap();
    std::fs::write(repository.location().join(format!("metadata/facts/{first}.copied.json")), "?").unwrap();

    let catalog = repository.catalog().unwrap();
    assert!(catalog.unreadable.is_empty(), "{:?}", catalog.unreadable);
    let (one, two) = (catalog.find(&first).unwrap(), catalog.find(&second).unwrap());
    let holder = |id| catalog.find(id).unwrap().held.as_ref().map(|held| held.by.clone());
    assert_eq!([holder(&first), holder(&longer)], [Some("ann".into()), Some("bob".into())]);
    assert!(one.verified.is_none() && two.held.is_none());
    let newest = two.verified.as_ref().unwrap();
    assert_eq!((newest.level, newest.valid), (VerifyLevel::Decoded, false), "the newest verification counts");

    repository.record_held(&first, None).unwrap();
    assert!(repository.catalog().unwrap().find(&first).unwrap().held.is_none());
}

#[test]
fn backups_are_listed_newest_first_and_found_by_scope_and_moment() {
    let (_folder, repository) = made();
    let made = [id(&acme(), 3), id(&SYSTEM, 1), id(&acme(), 0), id(&SYSTEM, 2)];
    made.iter().for_each(|id| publish(&repository, id));
    let newest_first = [&made[0], &made[3], &made[1], &made[2]];
    let catalog = repository.catalog().unwrap();
    assert_eq!(catalog.backups.iter().map(|entry| &entry.id).collect::<Vec<_>>(), newest_first);
    let of_scope = |scope: &Scope, before| -> Vec<BackupId> {
        catalog.of_scope(scope, before).into_iter().map(|entry| entry.id.clone()).collect()
    };
    assert_eq!(of_scope(&acme(), None), [made[0].clone(), made[2].clone()]);
    assert_eq!(of_scope(&SYSTEM, Some(made[1].at())), [made[1].clone()], "at the moment itself is in time");
    for id in &made {
        assert_eq!(&catalog.find(id).unwrap().id, id);
    }
    let error = catalog.find(&id(&SYSTEM, 4)).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(error.hint.is_some_and(|hint| hint.contains(made[3].as_str())));
}

#[test]
fn failed_runs_are_listed_newest_first_until_their_record_is_removed() {
    let (_folder, repository) = made();
    let runs = [2, 4, 0, 3, 1].map(|hours| id(&acme(), hours));
    runs.iter().for_each(|id| repository.record_failure(&failed(id)).unwrap());
    let listed = || -> Vec<_> { repository.catalog().unwrap().failed.into_iter().map(|run| run.id).collect() };
    let newest_first = [4, 3, 2, 1, 0].map(|hours| id(&acme(), hours).to_string());
    assert_eq!(listed(), newest_first);
    repository.remove_failure(&newest_first[0]).unwrap();
    assert_eq!(listed(), newest_first[1..]);
    // Ids in records are input.
    publish(&repository, &runs[0]);
    repository.remove_failure(&format!("../{}", runs[0])).unwrap_err();
    assert_eq!(ids(&repository), [runs[0].clone()]);
}

#[test]
fn what_is_not_finished_is_listed_as_running_only_while_its_scope_is_held() {
    let (_folder, repository) = made();
    let lock = repository.lock_scope(&acme(), "create", Wait::No).unwrap();
    let staging = repository.begin(&id(&acme(), 0), BackupType::Daily).unwrap();
    let dead = id(&SYSTEM, 1);
    std::fs::create_dir(repository.folder(&dead, BackupType::Weekly)).unwrap();
    std::fs::write(repository.location().join(format!("metadata/.{dead}.json.tmp")), "{").unwrap();
    let of_acme = format!("staging/{}", id(&acme(), 0));
    let others = [format!("metadata/.{dead}.json.tmp"), of_acme.clone(), format!("weekly/{dead}")];
    let expected = |running| others.clone().map(|path| (path.clone(), running && path == of_acme)).to_vec();
    assert_eq!(interrupted(&repository), expected(true));
    drop(lock);
    assert_eq!(interrupted(&repository), expected(false));
    drop(staging);
}

#[test]
fn a_sweep_takes_what_dead_runs_of_its_own_scope_left_and_nothing_else() {
    let (_folder, repository) = made();
    let listed = [id(&acme(), 0), id(&SYSTEM, 0)];
    listed.iter().for_each(|id| publish(&repository, id));
    let at = |relative: String| repository.location().join(relative);
    let left_by = |scope: &Scope| {
        let (staged, renamed, recorded) = (id(scope, 1), id(scope, 2), id(scope, 3));
        std::fs::create_dir_all(at(format!("staging/{staged}/core"))).unwrap();
        std::fs::write(at(format!("staging/{staged}/core/db.tar.gz")), "half").unwrap();
        std::fs::create_dir(at(format!("monthly/{renamed}"))).unwrap();
        let unnamed = [format!("metadata/.{renamed}.json.tmp"), format!("metadata/failed/.{recorded}.json.tmp")];
        unnamed.iter().for_each(|path| std::fs::write(at(path.clone()), "{").unwrap());
        let [manifest, record] = unnamed;
        [manifest, record, format!("monthly/{renamed}"), format!("staging/{staged}")]
    };
    let (mine, others) = (left_by(&acme()), left_by(&SYSTEM));
    std::fs::create_dir(at("staging/lost+found".into())).unwrap();
    std::fs::create_dir(at("daily/notes".into())).unwrap();

    let mut lines = repository.sweep(&acme()).unwrap();
    lines.sort();
    assert_eq!(lines, mine.map(|path| format!("removed what an interrupted run had left: {path}")));
    assert_eq!(interrupted(&repository), others.map(|path| (path, false)));
    assert_eq!(ids(&repository).len(), 2);
    assert!(at("staging/lost+found".into()).is_dir() && at("daily/notes".into()).is_dir(), "what is no backup stays");
    assert!(listed.iter().all(|id| repository.archive(id, BackupType::Daily, "core/db.tar.gz").unwrap().is_file()));
    assert!(repository.sweep(&acme()).unwrap().is_empty());
}

#[test]
fn a_folder_that_has_lost_its_manifest_is_left_alone() {
    let (_folder, repository) = made();
    let lost = [id(&acme(), 0), id(&acme(), 1)];
    for id in &lost {
        publish(&repository, id);
        std::fs::remove_file(repository.manifest_path(id)).unwrap();
    }
    let staged = id(&acme(), 2);
    std::fs::create_dir(repository.location().join(format!("staging/{staged}"))).unwrap();
    // As its caller does.
    let _lock = repository.lock_scope(&acme(), "create", Wait::No).unwrap();
    let lines = repository.sweep(&acme()).unwrap();
    assert!(lines.contains(&format!("removed what an interrupted run had left: staging/{staged}")), "{lines:?}");
    for id in &lost {
        assert!(lines.contains(&format!("daily/{id} has no manifest any more and was left alone")), "{lines:?}");
        assert!(repository.archive(id, BackupType::Daily, "core/db.tar.gz").unwrap().is_file());
    }
    assert!(repository.catalog().unwrap().interrupted.iter().all(|found| found.lost));
}

#[test]
fn a_leftover_knows_its_scope_and_its_moment() {
    let (scope, id) = (acme(), id(&acme(), 1));
    let found = Interrupted { id: id.to_string(), path: format!("staging/{id}"), running: false, lost: false };
    assert_eq!((found.scope(), found.at()), (scope, id.at()));
}

#[test]
fn facts_written_at_once_are_each_written_in_full() {
    let (_folder, repository) = made();
    let id = id(&acme(), 0);
    publish(&repository, &id);
    let fact = Verified { level: VerifyLevel::Stored, at: moment(), valid: true, damaged: Vec::new() };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| repository.record_verified(&id, &fact).unwrap()));
        }
    });
    let catalog = repository.catalog().unwrap();
    assert!(catalog.unreadable.is_empty() && catalog.find(&id).unwrap().verified.is_some());
}

#[test]
fn a_fact_without_its_name_is_swept_unless_one_is_being_written() {
    let (_folder, repository) = made();
    let unnamed = repository.location().join(format!("metadata/facts/.{}.held.json.tmp", id(&SYSTEM, 0)));
    std::fs::write(&unnamed, "{").unwrap();
    let writing = crate::repository::lock::facts(repository.location()).unwrap();
    repository.sweep(&acme()).unwrap();
    assert!(unnamed.exists());
    drop(writing);
    repository.sweep(&acme()).unwrap();
    assert!(!unnamed.exists());
}
