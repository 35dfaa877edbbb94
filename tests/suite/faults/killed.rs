//! SIGKILL at every call that changes the repository.

use super::clinic::Clinic;
use crate::support::tracer::{Fault, Traced};

/// Kills `arguments` at the changes of these numbers, each time in a copy of `clinic`, and looks at what is left.
fn kill_at(clinic: &Clinic, arguments: &[&str], numbers: impl Iterator<Item = usize>, check: impl Fn(&Clinic)) {
    let mut fired = 0;
    for number in numbers {
        let copy = clinic.copy();
        let Traced { ended, hit, .. } = copy.with_fault(arguments, Fault::Kill, number);
        assert_eq!(ended.code, 137, "killed at {:?}: {ended:?}", hit[0]);
        fired += 1;
        eprintln!("killed at {number}: {} {:?}", hit[0].name, hit[0].paths);
        check(&copy);
    }
    eprintln!("{}: killed at {fired} calls", arguments.join(" "));
}

fn changes(clinic: &Clinic, arguments: &[&str]) -> usize {
    let clean = clinic.copy().traced(arguments);
    for c in clean.calls.iter().filter(|c| c.number.is_some()) { eprintln!("{} {:?} {:?}", c.number.unwrap(), c.name, c.paths); }
    clean.ended.expect(0);
    clean.calls.iter().filter_map(|call| call.number).max().unwrap()
}

#[test]
fn a_create_killed_at_any_call_leaves_the_old_backup_or_the_old_and_a_whole_new_one() {
    let clinic = Clinic::backed_up(1);
    let old = clinic.digests();
    let count = changes(&clinic, &["create"]);
    kill_at(&clinic, &["create"], 1..=count, |after| {
        after.assert_holds(&old);
        after.assert_listed_is_whole();
        after.assert_next_run_is_clean();
    });
}
