//! One moment for all collections where the server can, an honest word where it cannot, and never a collection that
//! silently reads as something else.

use super::laboratory::{Lab, Memory, read_all};
use crate::support::mongod::{Kind as Server, Mongod, until};
use backup::config::{Consistency, Timeouts};
use backup::error::Kind;
use backup::source::{Level, Source};
use mongodb::bson::{Document, doc};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[test]
fn a_snapshot_is_exact_under_concurrent_inserts_and_deletes() {
    let lab = Lab::replica_set();
    for name in ["a", "b"] {
        lab.insert_numbers(name, 0..3000);
    }
    let before = [lab.raw("a"), lab.raw("b")];
    let source = lab.open();
    let wanted = lab.wanted(&source, &["a", "b"]);
    let view = source.open_view(&wanted, Consistency::Required, Level::Snapshot).unwrap();
    assert_eq!(view.consistency().level, Level::Snapshot);
    assert_eq!(view.consistency().reason, None);
    let (stop, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let memory = Memory::default();
    std::thread::scope(|scope| {
        let (stop, changes, lab) = (&stop, &changes, &lab);
        scope.spawn(move || {
            for n in 0..3000 {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                for name in ["a", "b"] {
                    lab.run(doc! {"delete": name, "deletes": [{"q": {"_id": n}, "limit": 1}]});
                    lab.insert(name, &[doc! {"_id": n + 100_000}]);
                }
                changes.fetch_add(1, Ordering::SeqCst);
            }
        });
        until("changed", || changes.load(Ordering::SeqCst) > 20);
        let read = read_all(view.as_ref(), &wanted, &memory).unwrap();
        stop.store(true, Ordering::SeqCst);
        assert_eq!(read.iter().map(|r| r.records).collect::<Vec<_>>(), [3000, 3000]);
    });
    for (name, before) in ["a", "b"].iter().zip(&before) {
        assert!(*before == super::laboratory::documents(&memory.entry(&lab.name, name, ".bson").unwrap()));
        assert!(*before != lab.raw(name));
    }
}

#[test]
fn several_threads_read_the_same_moment() {
    let lab = Lab::replica_set();
    let names: Vec<String> = (0..4).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        lab.insert_numbers(name, 0..500);
    }
    let source = lab.open();
    let wanted = lab.wanted(&source, &names);
    let view = source.open_view(&wanted, Consistency::Required, Level::Snapshot).unwrap();
    for name in &names {
        lab.run(doc! {"delete": name, "deletes": [{"q": {}, "limit": 0}]});
    }
    let memory = Memory::default();
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            wanted.iter().map(|one| scope.spawn(|| view.read(std::slice::from_ref(one), &memory))).collect();
        for reader in readers {
            assert_eq!(reader.join().unwrap().unwrap()[0].records, 500);
        }
    });
}

#[test]
fn a_standalone_server_is_read_collection_by_collection_and_the_view_says_so() {
    let lab = Lab::standalone();
    lab.insert_numbers("a", 0..100);
    let source = lab.open();
    let wanted = lab.wanted(&source, &["a"]);
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    assert_eq!(view.consistency().level, Level::Collection);
    assert!(view.consistency().reason.unwrap().contains("replica set"));
    assert_eq!(read_all(view.as_ref(), &wanted, &Memory::default()).unwrap()[0].records, 100);
    let refused = source.open_view(&wanted, Consistency::Required, Level::Snapshot).err().unwrap();
    assert!(refused.hint.unwrap().contains("replica set"));
    lab.round_trip(&["a"]);
}

#[test]
fn a_capped_collection_among_the_wanted_prevents_the_snapshot() {
    let lab = Lab::replica_set();
    lab.run(doc! {"create": "log", "capped": true, "size": 1 << 20, "max": 500});
    lab.insert_numbers("log", 0..100);
    lab.insert_numbers("a", 0..10);
    let source = lab.open();
    let wanted = lab.wanted(&source, &["a", "log"]);
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    assert_eq!(view.consistency().level, Level::Collection);
    assert!(view.consistency().reason.unwrap().contains("log"));
    assert!(source.open_view(&wanted, Consistency::Required, Level::Snapshot).is_err());
    let (_, switched) = lab.round_trip(&["a", "log"]);
    assert!(switched.iter().all(|s| s.verified));
}

#[test]
fn a_snapshot_whose_window_has_passed_is_reported_as_lost() {
    let own = Box::leak(Box::new(Mongod::start(Server::ReplicaSet, &[])));
    let lab = Lab { server: own, name: "window".into() };
    lab.insert_numbers("a", 0..10);
    lab.run_admin(doc! {"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 0});
    let source = lab.open();
    let wanted = lab.wanted(&source, &["a"]);
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    let mut n = 100;
    until("lost", || {
        n += 1;
        lab.insert("a", &[doc! {"_id": n}]);
        match view.read(&wanted, &Memory::default()) {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.kind, Kind::SnapshotLost, "{error:?}");
                true
            }
        }
    });
    let again = source.open_view(&wanted, Consistency::Preferred, Level::Collection).unwrap();
    assert_eq!(again.consistency().level, Level::Collection);
    assert!(again.read(&wanted, &Memory::default()).unwrap()[0].records > 10);
}

impl Lab {
    fn run_admin(&self, command: Document) {
        self.server.command("admin", command);
    }
}

/// What happens to collection `a` of a database.
type Change = fn(&'static Mongod, &str);

const DROP: Change = |server, database| drop(server.command(database, doc! {"drop": "a"}));
const RENAME: Change = |server, database| {
    let (from, to) = (format!("{database}.a"), format!("{database}.elsewhere"));
    server.command("admin", doc! {"renameCollection": from, "to": to});
};
const REMAKE: Change = |server, database| {
    DROP(server, database);
    server.command(database, doc! {"insert": "a", "documents": [{"_id": "another"}]});
};

#[test]
fn a_collection_that_vanishes_or_is_replaced_never_reads_as_good() {
    for (word, change) in [("drop", DROP), ("rename", RENAME), ("remake", REMAKE)] {
        for lab in [Lab::replica_set(), Lab::standalone()] {
            lab.insert_numbers("a", 0..5000);
            lab.insert_numbers("b", 0..10);
            // Between the plan and the opening of the view.
            let source = lab.open();
            let wanted = lab.wanted(&source, &["a", "b"]);
            change(lab.server, &lab.name);
            let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
            let failed = view.read(&wanted[..1], &Memory::default()).unwrap_err();
            assert_eq!(failed.kind, Kind::Missing, "{word} after the plan: {failed:?}");
            assert!(failed.to_string().contains('a'));
            assert_eq!(view.read(&wanted[1..], &Memory::default()).unwrap()[0].records, 10, "{word}");
        }
        for lab in [Lab::replica_set(), Lab::standalone()] {
            lab.insert_numbers("a", 0..5000);
            // Between the opening of the view and the read.
            let source = lab.open();
            let wanted = lab.wanted(&source, &["a"]);
            let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
            change(lab.server, &lab.name);
            let failed = view.read(&wanted, &Memory::default()).unwrap_err();
            assert_eq!(failed.kind, Kind::Missing, "{word} after the snapshot: {failed:?}");
        }
        for lab in [Lab::replica_set(), Lab::standalone()] {
            lab.insert_numbers("a", 0..10_000);
            // In the midst of the read.
            let source = lab.open();
            let wanted = lab.wanted(&source, &["a"]);
            let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
            let (server, database) = (lab.server, lab.name.clone());
            let memory = Memory::with_hook(move || change(server, &database));
            let failed = view.read(&wanted, &memory).unwrap_err();
            assert!(memory.hook_ran());
            assert_eq!(failed.kind, Kind::Missing, "{word} while reading: {failed:?}");
        }
    }
}

#[test]
fn a_time_series_collection_made_anew_is_noticed() {
    let lab = Lab::replica_set();
    let make = || lab.run(doc! {"create": "ts", "timeseries": {"timeField": "at", "metaField": "m"}});
    make();
    let source = lab.open();
    let wanted = lab.wanted(&source, &["ts"]);
    lab.run(doc! {"drop": "ts"});
    make();
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    assert_eq!(view.read(&wanted, &Memory::default()).unwrap_err().kind, Kind::Missing);
}

#[test]
fn a_collection_that_was_never_there_is_missing() {
    let lab = Lab::replica_set();
    lab.insert_numbers("b", 0..1);
    let source = lab.open();
    let wanted = lab.wanted(&source, &["nowhere"]);
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    let failed = view.read(&wanted, &Memory::default()).unwrap_err();
    assert_eq!(failed.kind, Kind::Missing);
    assert!(failed.to_string().contains("nowhere"));
}

#[test]
fn a_capped_collection_that_overtakes_its_reader_is_lost() {
    let lab = Lab::standalone();
    lab.run(doc! {"create": "log", "capped": true, "size": 6 << 20});
    lab.insert_numbers("log", 0..5000);
    let source = lab.open();
    let wanted = lab.wanted(&source, &["log"]);
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    let (server, name) = (lab.server, lab.name.clone());
    let memory = Memory::with_hook(move || {
        std::mem::ManuallyDrop::new(Lab { server, name: name.clone() }).insert_numbers("log", 10_000..25_000);
    });
    let failed = view.read(&wanted, &memory).unwrap_err();
    assert!(memory.hook_ran());
    assert_eq!(failed.kind, Kind::Missing, "{failed:?}");
    assert!(failed.to_string().contains("log"));
}

#[test]
fn a_set_cancel_flag_ends_a_read_and_leaves_no_cursor() {
    let lab = Lab::replica_set();
    lab.insert_numbers("a", 0..20_000);
    let cancel = backup::pipeline::Cancel::default();
    let uri = backup::config::Secret::new(lab.server.uri());
    let source =
        backup::source::mongodb::MongoDb::open("hrms", &uri, &lab.name, Timeouts::default(), cancel.clone()).unwrap();
    let wanted = lab.wanted(&source, &["a"]);
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    let memory = Memory::with_hook(move || cancel.signal(15));
    assert_eq!(view.read(&wanted, &memory).unwrap_err().kind, Kind::Signal(15));
    drop(view);
    drop(source);
    let namespace = format!("{}.a", lab.name);
    let stages = [
        doc! {"$currentOp": {"idleCursors": true, "allUsers": true}},
        doc! {"$match": {"ns": &namespace, "cursor": {"$exists": true}}},
    ];
    let pipeline = doc! {"aggregate": 1, "pipeline": stages.to_vec(), "cursor": {}};
    let open = lab.server.command("admin", pipeline);
    let open = open.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    assert!(open.is_empty(), "{open:?}");
}
