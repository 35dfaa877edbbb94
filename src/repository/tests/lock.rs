//! Who keeps whom out, and for how long.

use super::{acme, made};
use crate::error::{Error, Kind};
use crate::names::Scope;
use crate::repository::{Meanwhile, Repository, Wait};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SYSTEM: Scope = Scope::SystemWide;

fn refused<T: std::fmt::Debug>(locked: Result<T, Error>) -> String {
    let error = locked.unwrap_err();
    assert_eq!(error.kind, Kind::Locked, "{error}");
    error.message
}

fn by_us(what: &str) -> String {
    format!("{what}, process {} on ", std::process::id())
}

/// A process that holds a lock file of the repository, and is killed when dropped.
struct Holder(Child);

impl Holder {
    fn of(repository: &Repository, name: &str) -> Self {
        let path = repository.location().join("locks").join(name);
        // Without a fork, so that the process that is killed is the one that holds the lock.
        let mut child = Command::new("flock")
            .args(["--nonblock", "--no-fork"])
            .arg(path)
            .args(["sh", "-c", "echo held; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // SIGKILL: it has no chance to clean anything up.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_second_writer_of_a_scope_is_kept_out_and_told_of_the_first_and_other_scopes_are_free() {
    let (_folder, repository) = made();
    let other = Scope::Tenant(crate::names::TenantId::parse("acme2").unwrap());
    let first = repository.lock_scope(&acme(), "create of acme", Wait::No).unwrap();
    let message = refused(repository.lock_scope(&acme(), "second", Wait::No));
    assert!(message.starts_with("tenant acme is being backed up by "), "{message}");
    assert!(message.contains(&by_us("create of acme")), "{message}");
    let others = [SYSTEM, other].map(|scope| repository.lock_scope(&scope, "test", Wait::No).unwrap());
    let message = refused(repository.lock_scope(&SYSTEM, "second", Wait::No));
    assert!(message.starts_with("system-wide is being backed up by "), "{message}");
    drop(others);
    drop(first);
    repository.lock_scope(&acme(), "second", Wait::No).unwrap();
}

#[test]
fn the_lock_of_a_process_that_was_killed_is_free_at_once() {
    let (_folder, repository) = made();
    let scope = || repository.lock_scope(&SYSTEM, "test", Wait::No);
    let shared = || repository.lock_shared("test", Wait::No);
    let exclusive = || repository.lock_exclusive("test", Wait::No);

    let holder = Holder::of(&repository, "system.lock");
    refused(scope());
    drop(holder);
    scope().unwrap();

    let holder = Holder::of(&repository, "repository.lock");
    refused(scope());
    refused(shared());
    refused(exclusive());
    drop(holder);
    scope().unwrap();
    shared().unwrap();
    exclusive().unwrap();
}

#[test]
fn who_removes_waits_for_all_who_read_or_add_and_is_told_who_they_are() {
    let (_folder, repository) = made();
    let reading = repository.lock_shared("restore of one", Wait::No).unwrap();
    let adding = repository.lock_scope(&acme(), "create of acme", Wait::No).unwrap();
    let message = refused(repository.lock_exclusive("prune", Wait::No));
    assert!(message.starts_with("the repository is in use by "), "{message}");
    for what in ["restore of one", "create of acme"] {
        assert!(message.contains(&by_us(what)), "{message}");
    }
    drop(reading);
    let message = refused(repository.lock_exclusive("prune", Wait::No));
    assert!(!message.contains("restore of one"), "{message}");
    assert!(message.contains(&by_us("create of acme")), "{message}");
    drop(adding);
    repository.lock_exclusive("prune", Wait::No).unwrap();
}

#[test]
fn who_removes_keeps_everybody_out_and_whoever_was_refused_holds_nothing() {
    let (_folder, repository) = made();
    let removing = repository.lock_exclusive("prune", Wait::No).unwrap();
    for message in [
        refused(repository.lock_shared("restore", Wait::No)),
        refused(repository.lock_scope(&acme(), "create", Wait::No)),
        refused(repository.lock_exclusive("forget", Wait::No)),
    ] {
        assert!(message.contains(&by_us("prune")), "{message}");
        assert!(["restore", "create", "forget"].iter().all(|what| !message.contains(&by_us(what))), "{message}");
    }
    drop(removing);
    repository.lock_scope(&acme(), "create", Wait::No).unwrap();
    repository.lock_exclusive("forget", Wait::No).unwrap();
}

#[test]
fn a_lock_that_is_given_back_names_nobody_any_more() {
    let (_folder, repository) = made();
    drop(repository.lock_scope(&acme(), "create of acme", Wait::No).unwrap());
    drop(repository.lock_exclusive("prune", Wait::No).unwrap());
    for entry in std::fs::read_dir(repository.location().join("locks")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.extension().is_some_and(|extension| extension == "lock"), "{}", path.display());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "", "{}", path.display());
    }
}

#[test]
fn a_dead_holder_is_not_named_and_its_file_goes() {
    let (_folder, repository) = made();
    let dead = repository.location().join("locks/holder-1-0");
    std::fs::write(&dead, "a dead run, process 1\n").unwrap();
    let _reading = repository.lock_shared("restore", Wait::No).unwrap();
    let message = refused(repository.lock_exclusive("prune", Wait::No));
    assert!(message.contains(&by_us("restore")) && !message.contains("a dead run"), "{message}");
    assert!(!dead.exists());
}

fn patient(time: Duration) -> Wait {
    Wait::For(time, Meanwhile::new(|_| Ok(())))
}

#[test]
fn whoever_waits_is_told_for_whom_and_can_end_it() {
    let (_folder, repository) = made();
    let _held = repository.lock_scope(&acme(), "create of acme", Wait::No).unwrap();
    let ended = |busy: &str| Err(Error::new(Kind::Signal(15), busy.to_owned()));
    let wait = Wait::For(Duration::MAX, Meanwhile::new(ended));
    let error = repository.lock_scope(&acme(), "second", wait).unwrap_err();
    assert_eq!(error.kind, Kind::Signal(15));
    assert!(error.message.contains(&by_us("create of acme")), "{error}");
}

#[test]
fn who_may_wait_waits_that_long_and_no_time_is_too_long() {
    let (_folder, repository) = made();
    let held = repository.lock_scope(&acme(), "create", patient(Duration::MAX)).unwrap();
    let time = Duration::from_millis(600);
    let begun = Instant::now();
    refused(repository.lock_scope(&acme(), "second", patient(time)));
    assert!(begun.elapsed() >= time);
    // The lock is given back while the other waits, or just before: it gets it either way.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| repository.lock_scope(&acme(), "second", patient(Duration::MAX)).map(drop));
        drop(held);
        waiting.join().unwrap().unwrap();
    });
}
