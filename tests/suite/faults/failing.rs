//! Calls that fail: a disk that is full, or broken, at one call or from one call on.

use super::clinic::{Calls, Clinic};
use crate::support::tracer::{Call, Fault, Traced, trace};
use nix::errno::Errno;
use std::path::Path;

/// What a run can do without: its line in the audit log, and the notes that say who holds a lock.
fn is_dispensable(call: &Call) -> bool {
    let note = call.paths.iter().any(|path| path.to_string_lossy().contains("/locks/holder-"));
    note || call.is_on("audit.jsonl") || call.is_on("/system.lock") && call.name != "openat"
}

/// What a message calls a file: its name, also before it has it.
fn named(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")).unwrap_or(name);
    path.with_file_name(name).to_str().unwrap().to_owned()
}

/// After a failed fsync the kernel forgets what it could not write: a second one on the same descriptor that succeeds
/// would prove nothing.
#[track_caller]
fn assert_no_fsync_again(run: &Traced) {
    let failed = &run.hit[0];
    let after = run.calls.iter().filter(|call| call.entered > failed.entered && call.fd == failed.fd);
    let again: Vec<_> = after.take_while(|call| call.name != "close").filter(|call| call.name == "fsync").collect();
    assert!(again.is_empty(), "fsync of {:?} failed and was tried again: {again:?}", failed.paths);
}

/// The run failed and says where, or what failed could be done without.
#[track_caller]
fn assert_told(clinic: &Clinic, run: &Traced, errno: Errno, before: &[String]) {
    let (hit, ended) = (&run.hit[0], &run.ended);
    let stderr = &ended.stderr;
    let listed = clinic.app.ids();
    if ended.code == 0 {
        assert!(is_dispensable(hit), "{hit:?} failed and the run succeeded: {stderr}");
        assert_eq!(listed.len(), before.len() + 1, "{stderr}");
        assert!(!hit.is_on("audit.jsonl") || stderr.contains("the audit log could not be written"), "{stderr}");
        return;
    }
    assert_eq!(ended.code, 1, "{hit:?}: {ended:?}");
    assert_eq!(listed, before, "{hit:?}: {stderr}");
    let why = std::io::Error::from(errno).to_string();
    assert!(stderr.contains(&why), "{hit:?}: no '{why}' in {stderr}");
    let path = hit.paths.iter().any(|path| stderr.contains(path.to_str().unwrap()) || stderr.contains(&named(path)));
    assert!(path, "the message names none of {:?}: {stderr}", hit.paths);
    // What is needed is not known before the repository is locked.
    if errno == Errno::ENOSPC && !hit.paths[0].to_str().unwrap().contains("/locks") {
        let place = clinic.repository("").to_string_lossy().trim_end_matches('/').to_owned();
        for word in ["need", "have", &format!("at {place}")] {
            assert!(stderr.contains(word), "{hit:?}: no '{word}' in {stderr}");
        }
    }
}

fn fail(errno: Errno, at: Calls) {
    let clinic = Clinic::backed_up(1);
    let (old, before) = (clinic.digests(), clinic.app.ids());
    let changes = clinic.copy().traced(&["create"]).changes();
    let numbers = at.of(changes);
    for number in &numbers {
        let copy = clinic.copy();
        let run = copy.with_fault(&["create"], Fault::Fail(errno), *number);
        eprintln!("{errno} at {number} of {changes}: {} {:?}\n{}", run.hit[0].name, run.hit[0].paths, run.ended.stderr);
        if run.hit[0].name == "fsync" {
            assert_no_fsync_again(&run);
        }
        assert_told(&copy, &run, errno, &before);
        copy.assert_holds(&old);
        copy.assert_listed_is_whole();
        copy.assert_next_run_is_clean();
    }
    eprintln!("{errno} at {} of {changes} calls", numbers.len());
}

#[test]
fn an_input_output_error_at_any_call_is_no_backup_and_is_named() {
    fail(Errno::EIO, Calls::Some);
}

#[test]
fn a_full_disk_at_any_call_is_no_backup_and_says_what_is_needed_and_what_there_is() {
    fail(Errno::ENOSPC, Calls::Some);
}

#[test]
fn a_disk_that_dies_at_any_call_keeps_what_it_had() {
    die(Calls::Some);
}

fn die(at: Calls) {
    let clinic = Clinic::backed_up(1);
    let old = clinic.digests();
    let changes = clinic.copy().traced(&["create"]).changes();
    for number in at.of(changes) {
        let copy = clinic.copy();
        let dead = |call: &Call| (call.number >= Some(number)).then_some(Fault::Fail(Errno::EIO));
        let run = trace(&copy.app.command(&["create"]), &copy.disk(), dead);
        eprintln!("dead from {number} of {changes}: {:?}\n{}", run.hit[0].paths, run.ended.stderr);
        assert!(run.ended.code == 1 || is_dispensable(&run.hit[0]), "{:?}", run.ended);
        copy.assert_holds(&old);
        copy.assert_listed_is_whole();
        copy.assert_next_run_is_clean();
    }
}

#[test]
fn a_prune_that_cannot_go_on_says_so_and_the_next_completes_it() {
    fail_prune(Calls::Some);
}

fn fail_prune(at: Calls) {
    let clinic = Clinic::backed_up(3);
    let newest = clinic.app.ids().remove(0);
    let changes = clinic.copy().traced(&["prune", "--yes"]).changes();
    for number in at.of(changes) {
        let copy = clinic.copy();
        let run = copy.with_fault(&["prune", "--yes"], Fault::Fail(Errno::EIO), number);
        assert!(run.ended.code == 1 || run.ended.code == 0 && is_dispensable(&run.hit[0]), "{:?}", run);
        let listed = copy.assert_listed_is_whole();
        assert!(listed.contains(&newest), "{listed:?}");
        copy.app.run(&["-q", "prune", "--yes"]).expect(0);
        assert_eq!(copy.assert_listed_is_whole(), std::slice::from_ref(&newest));
        copy.assert_next_run_is_clean();
    }
}

#[test]
fn what_is_done_stays_done_where_its_audit_line_cannot_be_written() {
    let clinic = Clinic::backed_up(3);
    let ids = clinic.app.ids();
    let done = |arguments: &[&str]| {
        let is_the_line = |call: &Call| call.name == "openat" && call.is_on("audit.jsonl");
        let fault = |call: &Call| is_the_line(call).then_some(Fault::Fail(Errno::EIO));
        let run = trace(&clinic.app.command(arguments), &clinic.disk(), fault);
        assert_eq!(run.ended.code, 0, "{arguments:?}: {}", run.ended.stderr);
        assert_eq!(run.hit.len(), 1, "{arguments:?}");
        assert!(run.ended.stderr.contains("the audit log could not be written"), "{arguments:?}: {}", run.ended.stderr);
    };
    let held = || clinic.names("metadata/facts").iter().any(|name| *name == format!("{}.held.json", ids[1]));
    done(&["hold", &ids[1]]);
    assert!(held());
    done(&["release", &ids[1]]);
    assert!(!held());
    done(&["forget", "--yes", &ids[2]]);
    assert_eq!(clinic.app.ids(), ids[..2]);
    done(&["prune", "--yes"]);
    assert_eq!(clinic.app.ids(), ids[..1]);
    done(&["create"]);
    assert_eq!(clinic.app.ids().len(), 2);
    done(&["restore", "latest", "--to-directory", "aside"]);
    assert!(clinic.app.path("aside").is_dir());
}

#[test]
#[ignore = "minutes: every call, where the others take some"]
fn all_of_these_hold_at_every_call() {
    fail(Errno::EIO, Calls::All);
    fail(Errno::ENOSPC, Calls::All);
    die(Calls::All);
    fail_prune(Calls::All);
}
