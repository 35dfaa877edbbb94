//! Disks of every size that is too small: a real file system that fills up, wherever it happens to.

use super::clinic::{Clinic, Digests};
use crate::support::app::{Ended, ended};
use std::process::{Command, Stdio};

/// In a mount namespace of its own: a disk of this size that holds the repository, what is to be done before, one
/// command, and then all that is on the disk is brought back.
const ON_A_SMALL_DISK: &str = r#"
size=$1 before=$2; shift 2
mount -t tmpfs -o "size=$size,mode=0700" none small && cp -a disk/backups small/ || exit 99
eval "$before"
"$@"
code=$?
rm -rf disk/backups && cp -a small/backups disk/ || exit 98
exit $code
"#;

/// Kilobytes of a page, the unit in which a tmpfs fills.
const PAGE: usize = 4;

/// A clinic with a backup, and since then with uploads that do not compress.
fn grown(kilobytes: usize) -> (Clinic, Digests) {
    let clinic = Clinic::backed_up(1);
    let old = clinic.digests();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    for name in 0..4 {
        let bytes: Vec<u8> = (0..kilobytes * 1024 / 4 / 8).flat_map(|_| noise()).collect();
        clinic.app.write(&format!("uploads/documents/scan-{name}.bin"), &bytes);
    }
    prepare(&clinic);
    (clinic, old)
}

/// A place for the small disk, and the configuration that has the repository there.
fn prepare(clinic: &Clinic) {
    std::fs::create_dir(clinic.app.path("small")).unwrap();
    let config = std::fs::read_to_string(clinic.app.path("backup.yaml")).unwrap();
    clinic.app.write("small.yaml", config.replace("./disk/backups", "./small/backups").as_bytes());
}

/// Runs the program on a disk of `kilobytes`, after the shell has run `before`.
fn on_a_disk_of(clinic: &Clinic, kilobytes: usize, before: &str, arguments: &[&str]) -> Ended {
    let program = clinic.app.command(&["-c", "small.yaml"]);
    let mut command = Command::new("unshare");
    // Who is not root becomes it in a user namespace.
    command.arg(if nix::unistd::geteuid().is_root() { "-m" } else { "-Urm" });
    command.args(["sh", "-c", ON_A_SMALL_DISK, "sh", &format!("{kilobytes}k"), before]);
    command.arg(program.get_program()).args(program.get_args()).args(arguments);
    let ended = ended(command.current_dir(clinic.app.path("")).stdin(Stdio::null()).output().unwrap());
    assert!(!matches!(ended.code, 97..=99), "no small disk can be mounted or filled here: {}", ended.stderr);
    ended
}

/// The run failed for want of space, told it, and left the old backup alone.
#[track_caller]
fn assert_full(clinic: &Clinic, old: &Digests, kilobytes: usize, ended: &Ended) {
    assert_eq!(ended.code, 1, "{kilobytes}k: {ended:?}");
    let place = clinic.app.path("small/backups");
    for word in ["No space left on device", "need", "have", &format!("at {}", place.display())] {
        assert!(ended.stderr.contains(word), "{kilobytes}k: no '{word}' in {}", ended.stderr);
    }
    assert_eq!(clinic.assert_listed_is_whole().len(), 1, "{kilobytes}k");
    clinic.assert_holds(old);
    clinic.assert_next_run_is_clean();
}

#[test]
fn a_disk_of_any_size_that_is_too_small_is_1_with_what_is_needed_and_the_old_backup_intact() {
    let (clinic, old) = grown(3 << 10);
    let mut full = 0;
    for kilobytes in (1 << 10..).step_by(256) {
        let copy = clinic.copy();
        let ended = on_a_disk_of(&copy, kilobytes, "", &["create"]);
        if ended.code == 0 {
            assert_eq!(copy.assert_listed_is_whole().len(), 2);
            break;
        }
        assert_full(&copy, &old, kilobytes, &ended);
        full += 1;
        assert!(kilobytes < 8 << 10, "three megabytes do not fit into eight: {ended:?}");
    }
    assert!(full >= 8, "only {full} disks were too small");
}

#[test]
fn a_disk_that_is_full_when_the_manifest_is_written_is_1() {
    let (clinic, old) = grown(64);
    let fits = |kilobytes: usize| on_a_disk_of(&clinic.copy(), kilobytes, "", &["create"]).code == 0;
    let (mut small, mut large) = (PAGE * 8, PAGE * 128);
    assert!(fits(large) && !fits(small));
    while large - small > PAGE {
        let middle = (small + large) / 2 / PAGE * PAGE;
        if fits(middle) { large = middle } else { small = middle }
    }
    let mut at_the_manifest = 0;
    for pages in 0..6 {
        let (kilobytes, copy) = (small - pages * PAGE, clinic.copy());
        let ended = on_a_disk_of(&copy, kilobytes, "", &["create"]);
        assert_full(&copy, &old, kilobytes, &ended);
        at_the_manifest += usize::from(ended.stderr.contains("cannot write") && ended.stderr.contains("/metadata/"));
    }
    assert!(at_the_manifest > 0, "no run came as far as its manifest");
}

/// A full disk is just where something must be removed.
#[test]
fn a_full_disk_can_be_pruned() {
    let clinic = Clinic::backed_up(3);
    prepare(&clinic);
    let fill =
        "cat /dev/zero >small/filling 2>/dev/null; test \"$(df --output=avail small | tail -n 1)\" -eq 0 || exit 97";
    for arguments in [&["prune", "--yes"][..], &["forget", "--yes", &clinic.app.ids()[2]]] {
        let copy = clinic.copy();
        let ended = on_a_disk_of(&copy, 1 << 10, fill, arguments).expect(0);
        assert!(copy.assert_listed_is_whole().len() < 3, "{ended:?}");
    }
}
