//! The repository's promises, on a file system.

use super::{Repository, Wait};
use crate::names::{BackupId, Scope};
use chrono::{DateTime, Utc};

fn moment() -> DateTime<Utc> {
    "2025-12-20T10:30:00.123456Z".parse().unwrap()
}

#[test]
fn an_id_that_is_taken_is_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, made) = Repository::open_or_create(&folder.path().join("backups"), None).unwrap();
    assert!(made);
    let scope = Scope::SystemWide;
    let _lock = repository.lock_scope(&scope, "test", Wait::No).unwrap();
    let first = repository.free_id(&scope, moment());
    assert_eq!(first.as_str(), "system-backup-2025-12-20T10-30-00-123Z");
    std::fs::write(repository.manifest_path(&first), b"{}").unwrap();
    let second = repository.free_id(&scope, moment());
    assert_eq!(second, BackupId::parse("system-backup-2025-12-20T10-30-00-124Z").unwrap());
}
