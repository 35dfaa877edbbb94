//! Restoring over what is there: what comes, what stays, what goes, and that the plan counted it.

use super::laboratory::{Lab, Memory, leftovers, stored};
use crate::support::mongod::fresh_database;
use backup::error::Kind;
use backup::source::{Changes, Existing, Target};
use mongodb::bson::{DateTime, Document, doc};

fn copy_of(lab: &Lab) -> Lab {
    Lab { server: lab.server, name: fresh_database() }
}

/// Numbers 0 to 2,999 are stored; 1,000 to 3,999 are there, each with a mark.
fn half_changed() -> (Lab, Memory, backup::source::ReadCollection, Lab) {
    let lab = Lab::replica_set();
    lab.insert("a", &(0..3000).map(|n| doc! {"_id": n, "n": n}).collect::<Vec<_>>());
    lab.run(doc! {"createIndexes": "a", "indexes": [{"key": {"n": 1}, "name": "n", "unique": true}]});
    let (memory, mut read) = lab.back_up(&["a"]);
    let live = copy_of(&lab);
    live.insert("a", &(1000..4000).map(|n| doc! {"_id": n, "n": n, "mark": true}).collect::<Vec<_>>());
    (lab, memory, read.remove(0), live)
}

fn documents(lab: &Lab, collection: &str) -> Vec<Document> {
    lab.run(doc! {"aggregate": collection, "pipeline": [], "cursor": {"batchSize": 10_000}})
        .get_document("cursor")
        .unwrap()
        .get_array("firstBatch")
        .unwrap()
        .iter()
        .map(|found| found.as_document().unwrap().clone())
        .collect()
}

fn ids(documents: &[Document], wanted: impl Fn(&Document) -> bool) -> Vec<i32> {
    let mut ids: Vec<_> = documents.iter().filter(|d| wanted(d)).map(|d| d.get_i32("_id").unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn add_merge_and_replace_do_what_their_plan_counts() {
    let expected = [
        (Existing::Add, Changes { created: 1000, overwritten: 0, deleted: 0 }, 4000, 1000..4000),
        (Existing::Merge, Changes { created: 1000, overwritten: 2000, deleted: 0 }, 4000, 3000..4000),
        (Existing::Replace, Changes { created: 1000, overwritten: 2000, deleted: 1000 }, 3000, 0..0),
    ];
    for (how, changes, total, marked) in expected {
        let (lab, memory, read, live) = half_changed();
        let planned = live.open().compare(&stored(&lab, &read), &memory, how).unwrap();
        assert_eq!(planned, changes, "{how:?}");
        let done = live.restore_over(&lab, &memory, &read, how).unwrap();
        assert!(done.verified, "{how:?}");
        assert!(done.changes.is_none_or(|done| done == changes), "{how:?}: {:?}", done.changes);
        let there = documents(&live, "a");
        assert_eq!(there.len(), total, "{how:?}");
        assert_eq!(ids(&there, |d| d.contains_key("mark")), marked.collect::<Vec<_>>(), "{how:?}");
        if how == Existing::Replace {
            assert!(lab.raw("a") == live.raw("a"));
            assert_eq!(lab.description("a"), live.description("a"));
        }
        assert_eq!(leftovers(&live), Vec::<String>::new());
        // A second run finds nothing to create.
        assert_eq!(live.open().compare(&stored(&lab, &read), &memory, how).unwrap().created, 0, "{how:?}");
    }
}

#[test]
fn what_is_staged_for_a_replacement_changes_nothing_until_the_switch_and_is_found_by_its_token() {
    let (lab, memory, read, live) = half_changed();
    let before = live.raw("a");
    let target = live.open();
    let staged = target.stage(&stored(&lab, &read), &memory, Existing::Replace, "some-token").unwrap();
    assert!(live.raw("a") == before);
    assert!(target.resume(&stored(&lab, &read), &memory, staged.identity.as_deref()).unwrap().is_none());
    assert_eq!(target.sweep("another-token").unwrap(), Vec::<String>::new());
    assert_eq!(target.sweep("some-token").unwrap(), [staged.staging_name.clone().unwrap()]);
    let staged = target.stage(&stored(&lab, &read), &memory, Existing::Replace, "some-token").unwrap();
    target.switch(&[(&staged, &memory)]).unwrap();
    let resumed = target.resume(&stored(&lab, &read), &memory, staged.identity.as_deref()).unwrap();
    assert!(resumed.is_some_and(|resumed| resumed.verified));
}

#[test]
fn a_key_that_another_record_has_stops_a_merge_and_is_no_success() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1, "mail": "x"}]);
    let (memory, read) = lab.back_up(&["a"]);
    let live = copy_of(&lab);
    live.insert("a", &[doc! {"_id": 2, "mail": "x"}]);
    live.run(doc! {"createIndexes": "a", "indexes": [{"key": {"mail": 1}, "name": "mail", "unique": true}]});
    for how in [Existing::Add, Existing::Merge] {
        let stopped = live.restore_over(&lab, &memory, &read[0], how).unwrap_err();
        assert_eq!(stopped.kind, Kind::TargetChanged, "{stopped:?}");
        assert!(format!("{stopped:?}").contains("mail"), "{stopped:?}");
        assert_eq!(documents(&live, "a").len(), 1);
    }
}

#[test]
fn a_view_gets_its_stored_definition_and_its_data_stays() {
    let lab = Lab::replica_set();
    lab.insert_numbers("a", 0..3);
    lab.run(doc! {"create": "v", "viewOn": "a", "pipeline": [{"$match": {"_id": 1}}]});
    let (memory, read) = lab.back_up(&["v"]);
    for (how, expected) in [(Existing::Add, 2), (Existing::Merge, 1), (Existing::Replace, 1)] {
        let live = copy_of(&lab);
        live.insert_numbers("a", 0..3);
        live.run(doc! {"create": "v", "viewOn": "a", "pipeline": [{"$match": {"_id": {"$gt": 0}}}]});
        assert!(live.restore_over(&lab, &memory, &read[0], how).unwrap().verified);
        assert_eq!(documents(&live, "v").len(), expected, "{how:?}");
        assert_eq!(documents(&live, "a").len(), 3);
    }
}

#[test]
fn a_time_series_collection_and_a_capped_one_are_replaced() {
    let lab = Lab::replica_set();
    let series = doc! {"create": "t", "timeseries": {"timeField": "at", "metaField": "meta"}};
    let point = |second: i64, meta: &str| doc! {"at": DateTime::from_millis(second * 1000), "meta": meta, "v": second};
    lab.run(series.clone());
    lab.insert("t", &(0..500).map(|n| point(n, &format!("m{}", n % 7))).collect::<Vec<_>>());
    lab.run(doc! {"create": "c", "capped": true, "size": 1_048_576});
    lab.insert("c", &(0..50).map(|n| doc! {"_id": n}).collect::<Vec<_>>());
    let (memory, read) = lab.back_up(&["t", "c"]);
    let live = copy_of(&lab);
    live.run(series);
    live.insert("t", &(900..1000).map(|n| point(n, "other")).collect::<Vec<_>>());
    live.run(doc! {"create": "c", "capped": true, "size": 4096});
    live.insert("c", &(100..110).map(|n| doc! {"_id": n}).collect::<Vec<_>>());
    for read in &read {
        let planned = live.open().compare(&stored(&lab, read), &memory, Existing::Replace).unwrap();
        assert!(planned.created > 0 && planned.deleted > 0, "{planned:?}");
        assert!(live.restore_over(&lab, &memory, read, Existing::Replace).unwrap().verified, "{}", read.name);
    }
    assert!(lab.raw("system.buckets.t") == live.raw("system.buckets.t"));
    assert_eq!(documents(&live, "t").len(), 500);
    assert!(lab.raw("c") == live.raw("c"));
    assert_eq!(lab.description("c"), live.description("c"));
    assert_eq!(leftovers(&live), Vec::<String>::new());
}

#[test]
fn another_kind_in_the_way_is_refused_before_anything_is_changed() {
    let lab = Lab::replica_set();
    lab.insert_numbers("a", 0..3);
    lab.run(doc! {"create": "t", "timeseries": {"timeField": "at"}});
    lab.insert("t", &[doc! {"at": DateTime::from_millis(0)}]);
    let (memory, read) = lab.back_up(&["a", "t"]);
    let live = copy_of(&lab);
    live.run(doc! {"create": "a", "viewOn": "b", "pipeline": []});
    live.run(doc! {"create": "t", "timeseries": {"timeField": "at", "metaField": "m"}});
    for read in &read {
        let refused = live.open().compare(&stored(&lab, read), &memory, Existing::Replace).unwrap_err();
        assert_eq!(refused.kind, Kind::Refused, "{refused:?}");
        assert!(refused.message.contains(&read.name) && refused.hint.is_some(), "{refused:?}");
    }
}
