//! A restored collection is the stored one: kind, options, indexes, documents; or nothing of it stays.

use super::laboratory::{Lab, Memory, documents, leftovers, stored};
use crate::support::mongod::{fresh_database, until};
use backup::error::Kind;
use backup::source::{Existing, Source, Target};
use mongodb::bson::{DateTime, doc};

fn copy_of(lab: &Lab) -> Lab {
    Lab { server: lab.server, name: fresh_database() }
}

#[test]
fn every_kind_of_index_and_its_options_are_restored_verbatim() {
    let lab = Lab::replica_set();
    lab.insert("a", &(0..50).map(|n| doc! {"_id": n, "n": n, "s": format!("s{n}"), "h": n}).collect::<Vec<_>>());
    let indexes = vec![
        doc! {"key": {"n": 1, "s": -1}, "name": "compound"},
        doc! {"key": {"b": 1, "a": 1}, "name": "order"},
        doc! {"key": {"double": 1.0, "long": -1i64}, "name": "numbers"},
        doc! {"key": {"s": "text", "t": "text"}, "name": "text", "weights": {"s": 10}, "default_language": "german"},
        doc! {"key": {"w.$**": 1}, "name": "wildcard"},
        doc! {"key": {"$**": 1}, "name": "all", "wildcardProjection": {"secret": 0}},
        doc! {"key": {"h": "hashed"}, "name": "hashed"},
        doc! {"key": {"geo": "2dsphere"}, "name": "sphere"},
        doc! {"key": {"flat": "2d"}, "name": "flat", "min": -500.0, "max": 500.0},
        doc! {"key": {"u": 1}, "name": "unique", "unique": true, "sparse": true},
        doc! {"key": {"p": 1}, "name": "partial", "partialFilterExpression": {"n": {"$gt": 5, "$type": "int"}}},
        doc! {"key": {"c": 1}, "name": "collation", "collation": {"locale": "de", "strength": 2}},
        doc! {"key": {"hidden": 1}, "name": "hidden", "hidden": true},
        doc! {"key": {"ttl": 1}, "name": "ttl", "expireAfterSeconds": 3600},
    ];
    lab.run(doc! {"createIndexes": "a", "indexes": indexes});
    let (_, switched) = lab.round_trip(&["a"]);
    assert!(switched[0].verified);
    assert!(switched[0].warnings.iter().any(|w| w.contains("TTL")), "{switched:?}");
}

#[test]
fn options_are_restored_verbatim_and_old_documents_pass_a_newer_validator() {
    let lab = Lab::replica_set();
    lab.insert("checked", &[doc! {"_id": 1, "n": "older than the rule"}]);
    let rule = doc! {"$jsonSchema": {"properties": {"n": {"bsonType": "int"}}}, "s": {"$not": {"$regex": "^x", "$options": "i"}}};
    lab.run(doc! {"collMod": "checked", "validator": rule, "validationLevel": "strict", "validationAction": "error"});
    lab.run(doc! {"create": "german", "collation": {"locale": "de", "strength": 1}});
    lab.insert("german", &[doc! {"_id": "a"}]);
    lab.run(doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true, "name": "by id"}});
    lab.insert("clustered", &[doc! {"_id": 1}, doc! {"_id": 2}]);
    lab.run(doc! {"create": "images", "changeStreamPreAndPostImages": {"enabled": true}});
    lab.round_trip(&["checked", "german", "clustered", "images"]);
}

#[test]
fn a_view_is_stored_as_its_definition_alone() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1, "n": 1}, doc! {"_id": 2, "n": 9}]);
    let pipeline = vec![doc! {"$match": {"n": {"$gt": 5i64}}}, doc! {"$set": {"double": {"$multiply": ["$n", 2.0]}}}];
    lab.run(doc! {"create": "v", "viewOn": "a", "pipeline": pipeline, "collation": {"locale": "fr"}});
    let (memory, read) = lab.back_up(&["v", "a"]);
    assert_eq!(memory.names(), ["a.bson", "a.metadata.json", "v.metadata.json"]);
    assert_eq!(read[0].records, 0);
    let (copy, _) = lab.round_trip(&["a", "v"]);
    assert_eq!(copy.raw("v").len(), 1);
}

#[test]
fn a_time_series_collection_is_stored_once_as_buckets_and_restored_bucket_for_bucket() {
    let lab = Lab::replica_set();
    let options = doc! {"timeField": "at", "metaField": "m", "granularity": "minutes"};
    lab.run(doc! {"create": "ts", "timeseries": options, "collation": {"locale": "en"}});
    let at = |n: i64| DateTime::from_millis(1_700_000_000_000 + n * 60_000);
    lab.insert("ts", &(0..500).map(|n| doc! {"at": at(n), "m": {"s": n % 3}, "v": n}).collect::<Vec<_>>());
    lab.run(doc! {"createIndexes": "ts", "indexes": [{"key": {"m.s": 1, "at": -1}, "name": "by sensor"}]});
    let inventory = Source::inventory(&lab.open()).unwrap();
    assert_eq!(inventory.items.keys().collect::<Vec<_>>(), ["ts"]);
    let (memory, _) = lab.back_up(&["ts"]);
    assert_eq!(memory.names(), ["system.buckets.ts.bson", "ts.metadata.json"]);
    let (copy, switched) = lab.round_trip(&["ts"]);
    assert!(switched[0].verified);
    assert!(lab.raw("system.buckets.ts") == copy.raw("system.buckets.ts"));
}

#[test]
fn metadata_is_in_mongodumps_own_layout() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1}]);
    let (memory, _) = lab.back_up(&["a"]);
    let body: serde_json::Value =
        serde_json::from_slice(&memory.entry(&lab.name, "a", ".metadata.json").unwrap()).unwrap();
    let keys: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["options", "indexes", "uuid", "collectionName", "type"]);
    assert_eq!(
        body["indexes"][0].to_string(),
        r#"{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}"#
    );
    let uuid = body["uuid"].as_str().unwrap();
    assert!(uuid.len() == 32 && uuid.chars().all(|c| c.is_ascii_hexdigit()));
    assert_eq!((body["collectionName"].as_str(), body["type"].as_str()), (Some("a"), Some("collection")));
}

#[test]
fn expired_documents_are_all_restored_before_the_server_may_remove_them() {
    let lab = Lab::replica_set();
    let ttl = doc! {"createIndexes": "a", "indexes": [{"key": {"at": 1}, "name": "ttl", "expireAfterSeconds": 1_000_000_000}]};
    lab.run(ttl);
    let old = DateTime::from_millis(1_000_000_000_000);
    lab.insert("a", &(0..2000).map(|n| doc! {"_id": n, "at": old}).collect::<Vec<_>>());
    let (memory, read) = lab.back_up(&["a"]);
    // In the stored index everything has expired.
    let body = String::from_utf8(memory.entry(&lab.name, "a", ".metadata.json").unwrap()).unwrap();
    let expired = body.replace("1000000000\"", "1\"");
    assert_ne!(body, expired);
    memory.replace(&lab.name, "a", ".metadata.json", expired.into_bytes());
    let copy = copy_of(&lab);
    let switched = copy.restore(&lab, &memory, &read[0]).unwrap();
    assert_eq!((switched.records, switched.verified), (2000, true));
    assert!(switched.warnings.iter().any(|w| w.contains("TTL")));
    until("removed by the TTL monitor", || copy.raw("a").is_empty());
}

#[test]
fn a_time_series_collection_with_expired_buckets_is_restored_whole_before_they_go() {
    let lab = Lab::replica_set();
    lab.run(doc! {"create": "ts", "timeseries": {"timeField": "at"}, "expireAfterSeconds": 1_700_000_000i64});
    let at = |n: i64| DateTime::from_millis(1_000_000_000_000 + n * 86_400_000);
    lab.insert("ts", &(0..300).map(|n| doc! {"at": at(n), "v": n}).collect::<Vec<_>>());
    let (copy, switched) = lab.round_trip(&["ts"]);
    assert!(switched[0].verified && switched[0].warnings.iter().any(|w| w.contains("TTL")), "{switched:?}");
    drop(copy);
    let (memory, read) = lab.back_up(&["ts"]);
    let body = String::from_utf8(memory.entry(&lab.name, "ts", ".metadata.json").unwrap()).unwrap();
    let expired = body.replace("1700000000\"", "1\"");
    assert_ne!(body, expired);
    memory.replace(&lab.name, "ts", ".metadata.json", expired.into_bytes());
    let copy = copy_of(&lab);
    let switched = copy.restore(&lab, &memory, &read[0]).unwrap();
    assert_eq!((switched.records, switched.verified), (read[0].records, true));
}

#[test]
fn damaged_input_leaves_nothing_behind() {
    let lab = Lab::replica_set();
    lab.insert_numbers("a", 0..100);
    let (memory, read) = lab.back_up(&["a"]);
    let whole = memory.entry(&lab.name, "a", ".bson").unwrap();
    let one = documents(&whole)[0].len();
    let twice = [&whole[..], &whole[..one]].concat();
    let mut flipped = whole.clone();
    flipped[one + 30] ^= 1;
    let mut endless = whole.clone();
    endless[one - 1] = 7;
    let mut huge = whole.clone();
    huge[..4].copy_from_slice(&i32::MAX.to_le_bytes());
    for (word, body) in [
        ("a document twice", twice),
        ("a bit flipped", flipped),
        ("one document short", whole[..whole.len() - one].to_vec()),
        ("cut within a document", whole[..whole.len() - 1].to_vec()),
        ("no end", endless),
        ("impossible length", huge),
        ("nothing", Vec::new()),
    ] {
        memory.replace(&lab.name, "a", ".bson", body);
        let copy = copy_of(&lab);
        let failed = copy.restore(&lab, &memory, &read[0]).unwrap_err();
        assert!(matches!(failed.kind, Kind::Damaged | Kind::Source), "{word}: {failed:?}");
        assert_eq!(copy.collections(), Vec::<String>::new(), "{word}");
    }
}

#[test]
fn a_record_the_server_refuses_fails_the_restore_and_leaves_nothing() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1, "u": 1}, doc! {"_id": 2, "u": 2}]);
    let (memory, mut read) = lab.back_up(&["a"]);
    // A duplicate `_id` that the counts and digests agree with, and a unique index that the documents break.
    let twice =
        [memory.entry(&lab.name, "a", ".bson").unwrap(), bson::serialize_to_vec(&doc! {"_id": 1}).unwrap()].concat();
    let totals = backup::source::mongodb::digest_records(&mut &twice[..]).unwrap();
    memory.replace(&lab.name, "a", ".bson", twice);
    (read[0].records, read[0].digest) = (totals.records, totals.digest);
    let copy = copy_of(&lab);
    let failed = copy.restore(&lab, &memory, &read[0]).unwrap_err();
    assert_eq!(failed.kind, Kind::Source);
    assert!(failed.to_string().contains("E11000"), "{failed}");
    assert_eq!(copy.collections(), Vec::<String>::new());
}

#[test]
fn a_failed_index_leaves_nothing() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1, "u": 1}, doc! {"_id": 2, "u": 1}]);
    lab.run(doc! {"createIndexes": "a", "indexes": [{"key": {"u": 1}, "name": "u"}]});
    for capped in [false, true] {
        let (memory, read) = lab.back_up(&["a"]);
        let body = String::from_utf8(memory.entry(&lab.name, "a", ".metadata.json").unwrap()).unwrap();
        let mut body = body.replace("\"name\":\"u\"", "\"name\":\"u\",\"unique\":true");
        if capped {
            body = body.replace("\"options\":{", "\"options\":{\"capped\":true,\"size\":{\"$numberInt\":\"65536\"}");
        }
        memory.replace(&lab.name, "a", ".metadata.json", body.into_bytes());
        let copy = copy_of(&lab);
        let failed = copy.restore(&lab, &memory, &read[0]).unwrap_err();
        assert!(failed.to_string().contains("E11000"), "{failed}");
        assert_eq!(copy.collections(), Vec::<String>::new());
    }
}

#[test]
fn swapped_entries_are_refused() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1}]);
    lab.insert("b", &[doc! {"_id": 2}]);
    let (memory, read) = lab.back_up(&["a", "b"]);
    let other = memory.entry(&lab.name, "b", ".metadata.json").unwrap();
    memory.replace(&lab.name, "a", ".metadata.json", other);
    assert_eq!(copy_of(&lab).restore(&lab, &memory, &read[0]).unwrap_err().kind, Kind::Damaged);
}

#[test]
fn staging_changes_nothing_and_sweeping_removes_it() {
    let lab = Lab::replica_set();
    lab.insert_numbers("a", 0..10);
    let (memory, read) = lab.back_up(&["a"]);
    let before = lab.raw("a");
    let target = lab.open();
    let staged = lab.stage(&target, &memory, &read[0]).unwrap();
    assert_eq!(leftovers(&lab), [staged.staging_name.clone().unwrap()]);
    assert_eq!(staged.records, 10);
    assert!(lab.raw("a") == before);
    target.sweep("test").unwrap();
    assert_eq!(lab.collections(), ["a"]);
}

#[test]
fn a_target_that_was_filled_meanwhile_is_never_overwritten() {
    let lab = Lab::replica_set();
    lab.insert_numbers("a", 0..10);
    lab.run(doc! {"create": "log", "capped": true, "size": 65536});
    lab.insert("log", &[doc! {"_id": 1}]);
    let (memory, read) = lab.back_up(&["a", "log"]);
    for read in &read {
        let copy = copy_of(&lab);
        let target = copy.open();
        let staged = target.stage(&stored(&lab, read), &memory, Existing::Refuse, "test").unwrap();
        copy.insert(&read.name, &[doc! {"_id": "precious"}]);
        let before = copy.raw(&read.name);
        let refused = target.switch(&[(&staged, &memory)]).unwrap_err();
        assert_eq!(refused.kind, Kind::Refused, "{refused:?}");
        target.sweep("test").unwrap();
        assert!(copy.raw(&read.name) == before);
        assert_eq!(leftovers(&copy), Vec::<String>::new());
    }
}

#[test]
fn an_empty_collection_in_the_way_is_replaced() {
    let lab = Lab::replica_set();
    lab.insert_numbers("a", 0..10);
    lab.run(doc! {"create": "log", "capped": true, "size": 65536});
    lab.insert("log", &[doc! {"_id": 1}]);
    let (memory, read) = lab.back_up(&["a", "log"]);
    let copy = copy_of(&lab);
    for read in &read {
        copy.run(doc! {"create": &read.name});
        assert!(copy.restore(&lab, &memory, read).unwrap().verified);
        assert_eq!(lab.description(&read.name), copy.description(&read.name));
        assert!(lab.raw(&read.name) == copy.raw(&read.name));
    }
}

#[test]
fn two_restores_into_one_database_do_not_disturb_each_other() {
    let lab = Lab::replica_set();
    lab.insert_numbers("a", 0..200);
    let (memory, read) = lab.back_up(&["a"]);
    let (one, other) = (lab.open(), lab.open());
    let stage = |target: &backup::source::mongodb::MongoDb, token: &str| {
        target.stage(&stored(&lab, &read[0]), &memory, Existing::Refuse, token).unwrap().staging_name.unwrap()
    };
    let (first, second) = (stage(&one, "one"), stage(&other, "other"));
    assert_ne!(first, second);
    one.sweep("one").unwrap();
    assert_eq!(leftovers(&lab), [second]);
    other.sweep("other").unwrap();
    assert_eq!(leftovers(&lab), Vec::<String>::new());
}

#[test]
fn into_names_the_database_by_its_path() {
    let database = |into: &str| backup::source::mongodb::database_of("hrms", into);
    assert_eq!(database("mongodb://127.0.0.1:27017/other?directConnection=true").unwrap(), "other");
    let refused = database("mongodb://127.0.0.1:27017/?directConnection=true").unwrap_err();
    assert_eq!(refused.kind, Kind::Config);
    assert!(refused.hint.is_some());
}

#[test]
fn memory_is_an_archive() {
    // The oracle of this module must itself notice what is missing.
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1}]);
    let (_, read) = lab.back_up(&["a"]);
    assert_eq!(copy_of(&lab).restore(&lab, &Memory::default(), &read[0]).unwrap_err().kind, Kind::Damaged);
}

#[test]
fn a_definition_that_did_not_come_back_as_it_is_stored_is_noticed() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1, "n": 1}]);
    lab.run(doc! {"createIndexes": "a", "indexes": [{"key": {"n": 1}, "name": "n"}]});
    lab.run(doc! {"create": "v", "viewOn": "a", "pipeline": [{"$match": {"n": 1}}]});
    let (memory, read) = lab.back_up(&["a", "v"]);
    let there = copy_of(&lab);
    for collection in &read {
        there.restore(&lab, &memory, collection).unwrap();
    }
    let differences = |of: usize| there.open().differences(&stored(&lab, &read[of]), &memory).unwrap();
    assert_eq!((differences(0), differences(1)), (Vec::new(), Vec::new()));
    there.run(doc! {"dropIndexes": "a", "index": "n"});
    assert!(
        differences(0)[0].contains("an index is not") && differences(0)[0].contains("\"n\""),
        "{:?}",
        differences(0)
    );
    there.run(doc! {"createIndexes": "a", "indexes": [{"key": {"n": 1}, "name": "n", "unique": true}]});
    assert_eq!(differences(0).len(), 2, "{:?}", differences(0));
    there.run(doc! {"collMod": "a", "validator": {"n": 1}});
    assert!(differences(0)[0].contains("options"), "{:?}", differences(0));
    there.run(doc! {"collMod": "v", "viewOn": "a", "pipeline": []});
    assert!(differences(1)[0].contains("options"), "{:?}", differences(1));
    there.run(doc! {"drop": "v"});
    assert_eq!(differences(1), ["it did not come back"]);
}

#[test]
fn only_a_scratch_database_can_be_dropped() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1}]);
    assert_eq!(lab.open().drop_scratch().unwrap_err().kind, Kind::Internal);
    assert_eq!(lab.collections(), ["a"]);
}
