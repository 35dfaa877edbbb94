//! What is written is read again from the disk before it is promised.

use super::clinic::Clinic;
use crate::support::tracer::{Call, Fault, Traced, trace};
use nix::errno::Errno;

const ARCHIVES: [&str; 2] = ["core/clinic.tar.gz", "core/uploads.tar.gz"];

#[test]
fn a_bit_that_flips_on_its_way_to_the_disk_is_found_and_nothing_is_published() {
    let clinic = Clinic::backed_up(1);
    let old = clinic.digests();
    let clean = clinic.copy().traced(&["create"]);
    // Which of two archives is written first is not said: the writes of each are counted.
    for archive in ARCHIVES {
        let is_write = |call: &Call| call.name == "write" && call.is_on(archive);
        let writes = clean.calls.iter().filter(|call| is_write(call)).count();
        assert!(writes > 1, "{archive}: {writes}");
        for number in 1..=writes {
            let (copy, mut seen) = (clinic.copy(), 0);
            let flip = |call: &Call| {
                seen += usize::from(is_write(call));
                (is_write(call) && seen == number).then_some(Fault::Flip)
            };
            let run = trace(&copy.app.command(&["create"]), &copy.disk(), flip);
            assert_eq!(run.hit.len(), 1, "{:?}", run.ended);
            let ended = run.ended.expect(4);
            let what = format!("{archive} was written but reads back different");
            assert!(ended.stderr.contains(&what), "{}", ended.stderr);
            assert_eq!(copy.app.ids().len(), 1);
            copy.assert_holds(&old);
            copy.assert_next_run_is_clean();
        }
    }
}

#[test]
fn an_archive_that_cannot_be_read_again_is_not_published() {
    let clinic = Clinic::backed_up(1);
    let old = clinic.digests();
    for archive in ARCHIVES {
        let copy = clinic.copy();
        let unreadable = |call: &Call| {
            let is_read = call.name == "read" && call.is_on(archive);
            is_read.then_some(Fault::Fail(Errno::EIO))
        };
        let run = trace(&copy.app.command(&["create"]), &copy.disk(), unreadable);
        assert!(!run.hit.is_empty());
        let ended = run.ended.expect(1);
        assert!(ended.stderr.contains("cannot read") && ended.stderr.contains(archive), "{}", ended.stderr);
        assert_eq!(copy.app.ids().len(), 1);
        copy.assert_holds(&old);
        copy.assert_next_run_is_clean();
    }
}

#[test]
fn an_interrupted_call_is_made_again() {
    let clinic = Clinic::backed_up(1);
    let mut again = false;
    let every_other = |call: &Call| {
        let matters = matches!(call.name, "read" | "write" | "fsync" | "ftruncate");
        again ^= matters;
        (matters && again).then_some(Fault::Fail(Errno::EINTR))
    };
    let run = trace(&clinic.app.command(&["create"]), &clinic.disk(), every_other);
    assert!(run.hit.len() > 10, "{:?}", run.hit);
    run.ended.expect(0);
    assert_eq!(clinic.assert_listed_is_whole().len(), 2);
}

/// The one call that is so, which succeeded: when it was entered and left.
#[track_caller]
fn only(run: &Traced, what: &str, is: impl Fn(&Call) -> bool) -> (usize, usize) {
    let found: Vec<_> = run.calls.iter().filter(|call| is(call)).collect();
    assert_eq!(found.len(), 1, "{what}: {found:?}");
    let (left, result) = found[0].left.unwrap();
    assert_eq!(result, 0, "{what}: {:?}", found[0]);
    (found[0].entered, left)
}

#[test]
fn an_archive_is_made_to_last_dropped_from_memory_and_read_again_before_its_manifest_appears() {
    let run = Clinic::backed_up(1).traced(&["create"]);
    let is_manifest = |call: &Call| call.name == "rename" && call.is_on(".json");
    let appears = only(&run, "rename of the manifest", is_manifest);
    for archive in ARCHIVES {
        let of = |name: &'static str| run.calls.iter().filter(move |call| call.name == name && call.is_on(archive));
        let written: i64 = of("write").map(|call| call.left.unwrap().1).sum();
        let read: i64 = of("read").map(|call| call.left.unwrap().1).sum();
        assert!(written > 0 && read == written, "{archive}: {read} of {written} bytes were read again");
        let last_write = of("write").map(|call| call.left.unwrap().0).max().unwrap();
        let reads = of("read").map(|call| (call.entered, call.left.unwrap().0));
        let (first_read, last_read) = reads.fold((usize::MAX, 0), |(a, b), (x, y)| (a.min(x), b.max(y)));
        let synced = only(&run, "fsync", |call| call.name == "fsync" && call.is_on(archive));
        let dropped = of("dontneed").find(|call| call.entered > synced.1).expect("it was not dropped from memory");
        assert_eq!(dropped.left.unwrap().1, 0);
        assert!(last_write < synced.0, "{archive} was written to after its fsync");
        assert!(dropped.left.unwrap().0 < first_read, "{archive} was read from memory");
        assert!(last_read < appears.0, "{archive} was read after the manifest had appeared");
    }
}

#[test]
fn names_last_before_the_manifest_appears_and_the_manifest_before_the_run_ends() {
    let run = Clinic::backed_up(1).traced(&["create"]);
    let id = run.calls.iter().find(|call| call.name == "rename").unwrap().paths[0].clone();
    let id = id.file_name().unwrap().to_str().unwrap();
    let is_synced = |call: &Call, end: &str| call.name == "fsync" && call.is_on(end);
    let synced = |end: &str| only(&run, end, |call| is_synced(call, end));
    let moved = only(&run, "rename", |call| call.name == "rename" && call.is_on(&format!("daily/{id}")));
    let appears = only(&run, "rename", |call| call.name == "rename" && call.is_on(&format!("metadata/{id}.json")));
    let unnamed = format!("metadata/.{id}.json.tmp");
    for first in [format!("staging/{id}/core"), format!("staging/{id}"), unnamed.clone()] {
        assert!(synced(&first).1 < moved.0, "{first} was not fsynced before the backup was moved to its place");
    }
    let place = synced("backups/daily");
    assert!(moved.1 < place.0 && place.1 < appears.0, "the backup's place was not made to last before its manifest");
    // The folder of manifests is fsynced twice: for the manifest without its name, and with it.
    let named: Vec<_> = run.calls.iter().filter(|call| is_synced(call, "backups/metadata")).collect();
    assert_eq!(named.len(), 2);
    assert!(synced(&unnamed).1 < named[0].entered && named[0].left.unwrap() < (moved.0, 0));
    assert!(appears.1 < named[1].entered && named[1].left.unwrap().1 == 0, "the manifest's name was not made to last");
}

const UPLOADS: &str = "core/uploads.tar.gz";

/// One whose archive of files is read again in several stretches, while it is still written.
fn with_large_files() -> Clinic {
    let clinic = Clinic::backed_up(1);
    let mut state = 1u64;
    let noise: Vec<u8> = (0..20 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    clinic.app.write("uploads/documents/scan-1.bin", &noise);
    clinic.app.write("uploads/documents/scan-2.bin", &noise);
    clinic
}

#[test]
fn of_a_large_archive_nothing_is_read_again_before_it_is_made_to_last_and_dropped_from_memory() {
    let run = with_large_files().traced(&["create"]);
    let mut calls = Vec::new();
    for call in run.calls.iter().filter(|call| call.is_on(UPLOADS)) {
        let (left, result) = call.left.unwrap();
        calls.extend([(call.entered, call.name, None), (left, call.name, Some(result))]);
    }
    calls.sort_by_key(|(at, ..)| *at);
    // Bytes that were written, that were so when the sync in work began, that are on the disk, dropped, and read again.
    let (mut written, mut syncing, mut synced, mut dropped, mut read, mut stretches) = (0, 0, 0, 0, 0, 0);
    for (_, name, result) in calls {
        match (name, result) {
            ("write", Some(bytes)) => written += bytes,
            ("fdatasync" | "fsync", None) => syncing = written,
            ("fdatasync" | "fsync", Some(0)) => (synced, stretches) = (syncing, stretches + 1),
            ("dontneed", None) => dropped = synced,
            ("read", Some(bytes)) => {
                read += bytes;
                assert!(read <= dropped, "{read} bytes were read, of {dropped} on the disk and not in memory");
            }
            _ => {}
        }
    }
    assert!(written > 40 << 20 && read == written, "{read} of {written} bytes were read again");
    assert!(stretches > 1, "it was made to last once, at its end");
}

#[test]
fn what_fails_while_a_large_archive_is_read_again_is_found_and_nothing_is_published() {
    let clinic = with_large_files();
    let old = clinic.digests();
    for (name, code, says) in
        [("fdatasync", 1, "fsync"), ("read", 1, "cannot read"), ("write", 4, "reads back different")]
    {
        let copy = clinic.copy();
        let mut left = 1;
        let faulty = |call: &Call| {
            let is_it = call.name == name && call.is_on(UPLOADS) && left > 0;
            left -= i32::from(is_it);
            is_it.then_some(if name == "write" { Fault::Flip } else { Fault::Fail(Errno::EIO) })
        };
        let run = trace(&copy.app.command(&["create"]), &copy.disk(), faulty);
        assert_eq!(run.hit.len(), 1, "{name}");
        let ended = run.ended.expect(code);
        assert!(ended.stderr.contains(says) && ended.stderr.contains(UPLOADS), "{name}: {}", ended.stderr);
        assert_eq!(copy.app.ids().len(), 1);
        copy.assert_holds(&old);
        copy.assert_next_run_is_clean();
    }
}
