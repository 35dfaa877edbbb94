//! Few file descriptors.

use super::clinic::Clinic;
use crate::support::app::ended;
use std::process::Command;

#[test]
fn few_descriptors_are_enough_or_a_clear_failure() {
    let clinic = Clinic::backed_up(1);
    let old = clinic.digests();
    let (mut worked, mut failed) = (0, 0);
    for descriptors in (4..=24).chain([64]) {
        let copy = clinic.copy();
        let program = copy.app.command(&["create"]);
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n $0 && exec \"$@\"", &descriptors.to_string()]);
        limited.arg(program.get_program()).args(program.get_args()).current_dir(copy.app.path("")).env_clear();
        let ended = ended(limited.output().unwrap());
        copy.assert_holds(&old);
        let listed = copy.assert_listed_is_whole().len();
        if ended.code == 0 {
            worked += 1;
            assert_eq!(listed, 2, "{descriptors}: {}", ended.stderr);
        } else {
            failed += 1;
            // Where only one of the two archives could not be made, the other is a backup, of which 3 says the rest.
            assert!(matches!((ended.code, listed), (1, 1) | (3, 2)), "{descriptors}: {ended:?}");
            assert!(ended.stderr.contains("Too many open files"), "{descriptors}: {}", ended.stderr);
            assert!(descriptors < 64, "64 are not enough: {}", ended.stderr);
        }
        copy.assert_next_run_is_clean();
    }
    assert!(worked > 0 && failed > 0, "{worked} worked, {failed} failed");
}
