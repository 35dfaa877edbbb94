//! Locks: the kernel's (`flock`), gone with their process however it dies.
//!
//! `repository.lock` is held shared by whoever reads or adds, exclusively by whoever removes; a file for each scope is
//! held by its one writer. Every holder of `repository.lock` also keeps a small file, locked, that says who it is, so
//! that whoever waits can be told for whom.

use super::durable::create_folder;
use crate::error::{Error, Kind, Result};
use crate::names::Scope;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Folder of locks.
pub const LOCKS: &str = "locks";

/// Held by the one verification that restores.
const SCRATCH: &str = "verify-restored.lock";

/// Held by the one restore that keeps a journal.
const RESTORE: &str = "restore.lock";

/// Held, for a moment, by whoever writes a fact.
const FACTS: &str = "facts.lock";

const POLL: Duration = Duration::from_millis(100);

/// Even who does not wait tries this long: `list` looks at a lock for an instant to say whether a run is at work.
const GLANCE: Duration = Duration::from_millis(250);

/// The longest wait, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long to wait for a lock.
#[derive(Debug, Clone)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most this long.
    For(Duration, Meanwhile),
}

/// What is done while a lock is waited for.
#[derive(Clone)]
pub struct Meanwhile(Arc<Each>);

type Each = dyn Fn(&str) -> Result<()> + Send + Sync;

impl Meanwhile {
    /// Calls `each` several times a second, with a text that names the holder; an error of it ends the wait.
    pub fn new(each: impl Fn(&str) -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(each))
    }
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _files: Vec<File>,
    /// The file of what only one may do, which names its holder while there is one.
    scope: Option<File>,
    holder: Option<PathBuf>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file that stays is free as soon as the process is gone, and removed by whoever sees that.
        if let Some(holder) = &self.holder {
            let _ = std::fs::remove_file(holder);
        }
        if let Some(scope) = &self.scope {
            let _ = scope.set_len(0);
        }
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Shared,
    Exclusive,
}

pub fn scope(location: &Path, scope: &Scope, what: &str, wait: Wait) -> Result<Lock> {
    only_one(location, &scope_file(scope), &format!("{scope} is being backed up"), what, wait)
}

/// For a restore into live data: only one at a time keeps a journal.
pub fn restore(location: &Path, what: &str, wait: Wait) -> Result<Lock> {
    only_one(location, RESTORE, "data is being restored", what, wait)
}

/// For a verification by restoring: there is one scratch database a source.
pub fn scratch(location: &Path, what: &str, wait: Wait) -> Result<Lock> {
    only_one(location, SCRATCH, "backups are being restored for a verification", what, wait)
}

/// Holds `name` exclusively, and the repository shared.
fn only_one(location: &Path, name: &str, busy: &str, what: &str, wait: Wait) -> Result<Lock> {
    let limit = Limit::new(&wait);
    let path = location.join(LOCKS).join(name);
    create_folder(&location.join(LOCKS))?;
    let mut file = acquire(&path, Mode::Exclusive, limit, || {
        let holder = std::fs::read_to_string(&path).unwrap_or_default();
        locked(busy, &[holder])
    })?;
    name_holder(&mut file, what);
    let mut lock = repository(location, Mode::Shared, what, limit)?;
    lock.scope = Some(file);
    Ok(lock)
}

fn scope_file(scope: &Scope) -> String {
    match scope {
        Scope::SystemWide => "system.lock".to_owned(),
        Scope::Tenant(tenant) => format!("tenant-{tenant}.lock"),
    }
}

pub fn shared(location: &Path, what: &str, wait: Wait) -> Result<Lock> {
    repository(location, Mode::Shared, what, Limit::new(&wait))
}

pub fn exclusive(location: &Path, what: &str, wait: Wait) -> Result<Lock> {
    repository(location, Mode::Exclusive, what, Limit::new(&wait))
}

fn repository(location: &Path, mode: Mode, what: &str, limit: Limit<'_>) -> Result<Lock> {
    let folder = location.join(LOCKS);
    create_folder(&folder)?;
    let path = folder.join("repository.lock");
    if matches!(mode, Mode::Shared) && is_read_only(&folder) {
        // Nobody can change what cannot be written to, so there is nobody to lock out.
        return Ok(Lock { _files: Vec::new(), scope: None, holder: None });
    }
    let file = acquire(&path, mode, limit, || locked("the repository is in use", &holders(&folder)))?;
    if matches!(mode, Mode::Exclusive) {
        // There is no other holder: whatever says so is of a dead one.
        holders(&folder);
    }
    let holder = folder.join(format!("holder-{}-{}", std::process::id(), unique()));
    // On a full disk there is no note: prune, which makes room, must work there too.
    let note = open(&holder).ok().map(|mut note| {
        // Whoever lists the holders may look at it for a moment.
        let _ = note.lock();
        name_holder(&mut note, what);
        note
    });
    Ok(Lock { _files: std::iter::once(file).chain(note).collect(), scope: None, holder: Some(holder) })
}

/// Waits until nobody writes a fact, and keeps others from it.
pub fn facts(location: &Path) -> Result<File> {
    let path = location.join(LOCKS).join(FACTS);
    let file = open(&path)?;
    file.lock().map_err(|e| Error::io("lock", &path, &e))?;
    Ok(file)
}

/// As [`facts`], but none while somebody writes one.
pub fn facts_now(location: &Path) -> Result<Option<File>> {
    let path = location.join(LOCKS).join(FACTS);
    let file = open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", &path, &e)),
    }
}

fn is_read_only(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[derive(Clone, Copy)]
struct Limit<'a> {
    began: Instant,
    length: Duration,
    meanwhile: Option<&'a Meanwhile>,
}

impl<'a> Limit<'a> {
    fn new(wait: &'a Wait) -> Self {
        let (length, meanwhile) = match wait {
            Wait::No => (GLANCE, None),
            Wait::For(length, meanwhile) => ((*length).clamp(GLANCE, LONGEST), Some(meanwhile)),
        };
        Self { began: Instant::now(), length, meanwhile }
    }
}

fn open(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map_err(|e| Error::io("open the lock", path, &e))
}

fn acquire(path: &Path, mode: Mode, limit: Limit<'_>, refused: impl Fn() -> Error) -> Result<File> {
    let file = open(path)?;
    loop {
        let tried = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Exclusive => file.try_lock(),
        };
        match tried {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", path, &e)),
            Err(TryLockError::WouldBlock) => {}
        }
        let waited = limit.began.elapsed();
        let left = limit.length.saturating_sub(waited);
        if left.is_zero() {
            return Err(refused());
        }
        if let Some(Meanwhile(each)) = limit.meanwhile.filter(|_| waited >= GLANCE) {
            each(&refused().message)?;
        }
        std::thread::sleep(left.min(POLL));
    }
}

fn locked(what: &str, holders: &[String]) -> Error {
    let holders: Vec<_> = holders.iter().map(|h| h.trim()).filter(|h| !h.is_empty()).collect();
    let by = if holders.is_empty() { "another process".to_owned() } else { holders.join("; ") };
    Error::new(Kind::Locked, format!("{what} by {by}")).hint("wait for it with --wait DURATION (for example --wait 2h)")
}

/// Who holds the repository. Files of dead holders are removed on the way.
fn holders(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok) {
        if !entry.file_name().to_string_lossy().starts_with("holder-") {
            continue;
        }
        let Ok(mut file) = File::open(entry.path()) else { continue };
        if file.try_lock_shared().is_ok() {
            // A holder that could not remove its file: nothing depends on it.
            let _ = std::fs::remove_file(entry.path());
            continue;
        }
        let mut text = String::new();
        if file.read_to_string(&mut text).is_ok() {
            found.push(text);
        }
    }
    found
}

/// Writes down who holds a lock: a courtesy to whoever waits for it, which a lock does not depend on.
fn name_holder(file: &mut File, what: &str) {
    let line =
        format!("{what}, process {} on {}, since {}\n", std::process::id(), host(), chrono::Utc::now().to_rfc3339());
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(line.as_bytes()));
}

/// This machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether a writer of `scope` is at work now.
pub fn is_running(location: &Path, scope: &Scope) -> bool {
    is_held(&location.join(LOCKS).join(scope_file(scope)))
}

/// Whether somebody has the repository to itself now.
pub fn is_exclusive(location: &Path) -> bool {
    is_held(&location.join(LOCKS).join("repository.lock"))
}

/// Whether a restore into live data is at work now.
pub fn is_restoring(location: &Path) -> bool {
    is_held(&location.join(LOCKS).join(RESTORE))
}

fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
