//! SIGKILL at every call that changes the repository.

use super::clinic::{Calls, Clinic};
use crate::support::tracer::Fault;

/// Kills the run at these changes, each time in a copy of `clinic`, and looks at what is left.
#[track_caller]
fn kill(clinic: &Clinic, arguments: &[&str], code: i32, at: Calls, check: impl Fn(&Clinic)) {
    let clean = clinic.copy().traced(arguments);
    let changes = clean.changes();
    clean.ended.expect(code);
    let numbers = at.of(changes);
    for number in &numbers {
        let copy = clinic.copy();
        let run = copy.with_fault(arguments, Fault::Kill, *number);
        // Shown where what follows finds something wrong.
        eprintln!("killed at {number} of {changes}: {} {:?}", run.hit[0].name, run.hit[0].paths);
        run.ended.expect(137);
        check(&copy);
    }
    eprintln!("backup {}: killed at {} of its {changes} calls", arguments.join(" "), numbers.len());
}

#[test]
#[ignore = "minutes: every call, where the others take some"]
fn all_of_these_hold_at_every_call() {
    first_create(Calls::All);
    clearing_up(Calls::All);
    failing_create(Calls::All);
    prune(Calls::All);
    forget(Calls::All);
    hold_and_release(Calls::All);
    verify(Calls::All);
}

#[test]
fn a_create_killed_at_any_call_leaves_the_old_backup_or_the_old_and_a_whole_new_one() {
    let clinic = Clinic::backed_up(1);
    let old = clinic.digests();
    kill(&clinic, &["create"], 0, Calls::All, |after| {
        after.assert_holds(&old);
        let listed = after.assert_listed_is_whole();
        assert!(matches!(listed.len(), 1 | 2), "{listed:?}");
        after.assert_next_run_is_clean();
    });
}

#[test]
fn a_first_create_killed_at_any_call_leaves_no_repository_or_a_whole_one() {
    first_create(Calls::Some);
}

fn first_create(at: Calls) {
    kill(&Clinic::new(), &["create"], 0, at, |after| {
        if after.repository("").exists() {
            after.assert_listed_is_whole();
            after.assert_next_run_is_clean();
        } else {
            after.app.run(&["-q", "create"]).expect(0);
            assert_eq!(after.assert_listed_is_whole().len(), 1);
            after.assert_no_residue();
        }
    });
}

/// What a dead run left is removed by a run that may die as well.
#[test]
fn a_create_killed_at_any_call_of_its_clearing_up_leaves_it_to_the_next() {
    clearing_up(Calls::Some);
}

fn clearing_up(at: Calls) {
    let clinic = Clinic::backed_up(1);
    let old = clinic.digests();
    let manifest = |clinic: &Clinic| {
        let clean = clinic.copy().traced(&["create"]);
        let named = clean.calls.iter().find(|call| call.name == "rename" && call.is_on(".json")).unwrap();
        named.number.unwrap()
    };
    clinic.with_fault(&["create"], Fault::Kill, manifest(&clinic)).ended.expect(137);
    // A folder of archives is in its place, and its manifest has not got its name.
    assert_eq!((clinic.names("daily").len(), clinic.names("metadata").len()), (2, 4));
    kill(&clinic, &["create"], 0, at, |after| {
        after.assert_holds(&old);
        after.assert_listed_is_whole();
        after.assert_next_run_is_clean();
    });
}

#[test]
fn a_prune_killed_at_any_call_lists_nothing_without_its_bytes_and_is_completed_by_the_next() {
    prune(Calls::Some);
}

fn prune(at: Calls) {
    let clinic = Clinic::backed_up(3);
    clinic.app.run(&["-q", "verify", "--all"]).expect(0);
    let newest = clinic.app.ids().remove(0);
    kill(&clinic, &["prune", "--yes"], 0, at, |after| {
        let listed = after.assert_listed_is_whole();
        assert!(listed.contains(&newest), "{listed:?}");
        after.app.run(&["-q", "prune", "--yes"]).expect(0);
        assert_eq!(after.assert_listed_is_whole(), std::slice::from_ref(&newest));
        assert!(!after.names("locks").iter().any(|name| name.starts_with("holder-")), "{:?}", after.names("locks"));
        after.assert_next_run_is_clean();
    });
}

#[test]
fn prunes_killed_one_after_the_other_leave_nothing_for_good() {
    let clinic = Clinic::backed_up(3);
    for left in [2, 1] {
        let manifest = format!("metadata/{}.json", clinic.app.ids()[left]);
        let clean = clinic.copy().traced(&["prune", "--yes"]);
        let unlisted = clean.calls.iter().find(|call| call.number.is_some() && call.is_on(&manifest));
        let next = unlisted.and_then(|call| call.number).unwrap() + 1;
        clinic.with_fault(&["prune", "--yes"], Fault::Kill, next).ended.expect(137);
        assert_eq!(clinic.app.ids().len(), left);
    }
    clinic.assert_next_run_is_clean();
}

#[test]
fn a_forget_killed_at_any_call_lists_nothing_without_its_bytes() {
    forget(Calls::Some);
}

fn forget(at: Calls) {
    let clinic = Clinic::backed_up(2);
    clinic.app.run(&["-q", "verify", "--all"]).expect(0);
    let ids = clinic.app.ids();
    for id in &ids {
        kill(&clinic, &["forget", "--yes", id], 0, at, |after| {
            let listed = after.assert_listed_is_whole();
            let code = if listed.contains(id) { 0 } else { 10 };
            after.app.run(&["-q", "forget", "--yes", id]).expect(code);
            assert!(!after.app.ids().contains(id));
            after.assert_next_run_is_clean();
        });
    }
}

#[test]
fn a_hold_or_release_killed_at_any_call_is_done_or_not() {
    hold_and_release(Calls::Some);
}

fn hold_and_release(at: Calls) {
    let clinic = Clinic::backed_up(1);
    let id = clinic.app.ids().remove(0);
    let held = |clinic: &Clinic| clinic.app.run(&["--json", "list"]).expect(0).json()["backups"][0]["held"].clone();
    for (word, becomes) in [("hold", true), ("release", false)] {
        kill(&clinic, &[word, &id], 0, at, |after| {
            after.assert_listed_is_whole();
            assert!(held(after).is_boolean());
            after.copy().assert_next_run_is_clean();
            after.app.run(&["-q", word, &id]).expect(0);
            assert_eq!(held(after), becomes);
            after.assert_next_run_is_clean();
        });
        clinic.app.run(&["-q", word, &id]).expect(0);
    }
}

#[test]
fn a_verify_killed_at_any_call_leaves_a_verdict_or_none() {
    verify(Calls::Some);
}

fn verify(at: Calls) {
    let clinic = Clinic::backed_up(2);
    let old = clinic.digests();
    kill(&clinic, &["verify", "--all"], 0, at, |after| {
        after.assert_holds(&old);
        after.copy().assert_next_run_is_clean();
        after.assert_listed_is_whole();
        after.assert_next_run_is_clean();
    });
}

/// The record of a run that failed is no backup, and no harm when it is cut short.
#[test]
fn a_failing_create_killed_at_any_call_leaves_no_trace_that_the_next_does_not_remove() {
    failing_create(Calls::Some);
}

fn failing_create(at: Calls) {
    let clinic = Clinic::backed_up(1);
    let old = clinic.digests();
    let away = |clinic: &Clinic| std::fs::rename(clinic.app.path("clinic.db"), clinic.app.path("away.db")).unwrap();
    let back = |clinic: &Clinic| std::fs::rename(clinic.app.path("away.db"), clinic.app.path("clinic.db")).unwrap();
    away(&clinic);
    kill(&clinic, &["create"], 1, at, |after| {
        back(after);
        after.assert_holds(&old);
        after.assert_next_run_is_clean();
    });
}
