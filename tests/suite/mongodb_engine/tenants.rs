//! A tenant's backup holds that tenant's documents and nothing else, checked on every document.

use super::laboratory::{Lab, Memory, documents};
use backup::config::{Consistency, IdType, Relationship};
use backup::error::{Kind, Result};
use backup::modules::{Hop, Ownership, Records};
use backup::source::{Level, ReadCollection, Source, Wanted};
use mongodb::bson::{Binary, Bson, DateTime, Document, doc, oid::ObjectId, spec::BinarySubtype};

pub fn owned(lab: &Lab, name: &str, field: &str, tenant: &str, id_type: IdType) -> Wanted {
    let mut wanted = lab.wanted(&lab.open(), &[name]).pop().unwrap();
    wanted.records = Records::Owned(Ownership { field: field.into(), tenant: tenant.into(), id_type, via: Vec::new() });
    wanted
}

/// Acme's records, that name it in `field`.
pub fn ownership(field: &str) -> Records {
    via(&[], field)
}

/// Acme's records, by way of their parents: each hop is a foreign key and its parent.
pub fn via(hops: &[(&str, &str)], field: &str) -> Records {
    let hop = |(key, parent): &(&str, &str)| Hop { foreign_key: (*key).into(), parent: (*parent).into() };
    let via = hops.iter().map(hop).collect();
    Records::Owned(Ownership { field: field.into(), tenant: "acme".into(), id_type: IdType::String, via })
}

fn wanted(lab: &Lab, name: &str, records: Records) -> Wanted {
    Wanted { records, ..lab.wanted(&lab.open(), &[name]).remove(0) }
}

fn read(lab: &Lab, wanted: Wanted) -> Result<(Memory, ReadCollection)> {
    let source = lab.open();
    let wanted = [wanted];
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot)?;
    let memory = Memory::default();
    let read = view.read(&wanted, &memory)?.pop().unwrap();
    Ok((memory, read))
}

#[test]
fn exactly_the_tenants_documents_are_read_by_the_type_of_its_id() {
    let lab = Lab::replica_set();
    let (one, two) = (ObjectId::new(), ObjectId::new());
    let uuid = |n: u8| Binary { subtype: BinarySubtype::Uuid, bytes: vec![n; 16] };
    type Case = (&'static str, IdType, String, Vec<Bson>, Vec<Bson>);
    let cases: [Case; 4] = [
        ("strings", IdType::String, "acme".into(), vec!["acme".into()], vec!["acme2".into(), "ACME".into(), 1.into()]),
        ("objects", IdType::ObjectId, one.to_hex(), vec![one.into()], vec![two.into(), one.to_hex().into()]),
        (
            "numbers",
            IdType::Int,
            "7".into(),
            vec![7.into(), 7i64.into(), 7.0.into()],
            vec![8.into(), 7.5.into(), "7".into()],
        ),
        (
            "uuids",
            IdType::Uuid,
            "07070707-0707-0707-0707-070707070707".into(),
            vec![uuid(7).into()],
            vec![uuid(8).into(), "07070707-0707-0707-0707-070707070707".into()],
        ),
    ];
    for (name, id_type, tenant, ours, others) in cases {
        let documents_of = |owners: &[Bson], from: usize| -> Vec<Document> {
            owners.iter().enumerate().map(|(n, t)| doc! {"_id": (from + n) as i64, "o": {"t": t.clone()}}).collect()
        };
        let ours = documents_of(&ours, 0);
        lab.insert(name, &ours);
        lab.insert(name, &documents_of(&others, 100));
        let (memory, read) = read(&lab, owned(&lab, name, "o.t", &tenant, id_type)).unwrap();
        let mut expected: Vec<_> = ours.iter().map(|d| bson::serialize_to_vec(d).unwrap()).collect();
        expected.sort();
        assert!(documents(&memory.entry(&lab.name, name, ".bson").unwrap()) == expected, "{name}");
        assert_eq!(read.records, expected.len() as u64);
        let count = lab.open().count(&owned(&lab, name, "o.t", &tenant, id_type)).unwrap();
        assert_eq!(count, Some(expected.len() as u64));
    }
}

#[test]
fn a_document_of_several_owners_fails_the_read_and_is_named() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"_id": 1, "t": "acme"}, doc! {"_id": "canary-77", "t": ["acme", "birch"]}]);
    let failed = read(&lab, owned(&lab, "a", "t", "acme", IdType::String)).err().unwrap();
    assert_eq!(failed.kind, Kind::Source);
    let text = format!("{failed} {}", failed.hint.clone().unwrap_or_default());
    assert!(text.contains(" a ") && text.contains("`t`") && text.contains("array"), "{text}");
    assert!(text.contains("_id is a string"), "{text}");
    assert!(!text.contains("canary-77"), "{text}");
}

#[test]
fn a_document_with_two_owner_fields_fails_the_read() {
    let lab = Lab::replica_set();
    let mut both = bson::serialize_to_vec(&doc! {"_id": 1, "t": "acme"}).unwrap();
    both.pop();
    both.extend_from_slice(b"\x02t\0\x06\0\0\0birch\0\0");
    let length = i32::try_from(both.len()).unwrap().to_le_bytes();
    both[..4].copy_from_slice(&length);
    lab.insert_raw("a", &both);
    let failed = read(&lab, owned(&lab, "a", "t", "acme", IdType::String)).err().unwrap();
    assert_eq!(failed.kind, Kind::Source);
}

#[test]
fn documents_without_an_owner_are_counted_and_a_missing_index_is_named() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"t": "acme"}, doc! {"t": Bson::Null}, doc! {"x": 1}, doc! {"t": "birch"}]);
    let (_, first) = read(&lab, owned(&lab, "a", "t", "acme", IdType::String)).unwrap();
    assert_eq!((first.records, first.without_owner), (1, 2));
    assert!(first.warnings.iter().any(|w| w.contains("2 documents") && w.contains("`t`")), "{:?}", first.warnings);
    let command = "db.getCollection(\"a\").createIndex({ \"t\": 1 })";
    assert!(first.warnings.iter().any(|w| w.contains(command)), "{:?}", first.warnings);
    lab.run(doc! {"createIndexes": "a", "indexes": [{"key": {"t": 1, "x": 1}, "name": "t"}]});
    let (_, second) = read(&lab, owned(&lab, "a", "t", "acme", IdType::String)).unwrap();
    assert!(!second.warnings.iter().any(|w| w.contains("createIndex")), "{:?}", second.warnings);
}

#[test]
fn an_index_that_leaves_documents_out_does_not_count_as_the_owners_index() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"t": "acme"}]);
    let partial = doc! {"key": {"t": 1}, "name": "t", "partialFilterExpression": {"x": {"$gt": 5}}};
    lab.run(doc! {"createIndexes": "a", "indexes": [partial]});
    let (_, read) = read(&lab, owned(&lab, "a", "t", "acme", IdType::String)).unwrap();
    assert!(read.warnings.iter().any(|w| w.contains("createIndex")), "{:?}", read.warnings);
}

#[test]
fn a_time_series_collection_is_cut_by_its_meta_field_or_refused() {
    let lab = Lab::replica_set();
    let at = |n: i64| DateTime::from_millis(1_700_000_000_000 + n * 1000);
    lab.run(doc! {"create": "nested", "timeseries": {"timeField": "at", "metaField": "who"}});
    lab.run(doc! {"create": "plain", "timeseries": {"timeField": "at", "metaField": "t"}});
    lab.run(doc! {"create": "mixed", "timeseries": {"timeField": "at", "metaField": "sensor"}});
    for (n, tenant) in ["acme", "birch", "acme", "birch", "acme"].into_iter().enumerate() {
        let at = at(n as i64);
        lab.insert("nested", &[doc! {"at": at, "who": {"t": tenant}, "v": n as i32}]);
        lab.insert("plain", &[doc! {"at": at, "t": tenant, "v": n as i32}]);
        lab.insert("mixed", &[doc! {"at": at, "sensor": 1, "t": tenant, "v": n as i32}]);
    }
    for (name, field) in [("nested", "who.t"), ("plain", "t")] {
        let wanted = owned(&lab, name, field, "acme", IdType::String);
        let (memory, read) = read(&lab, wanted).unwrap();
        let stored = memory.entry(&lab.name, &format!("system.buckets.{name}"), ".bson").unwrap();
        assert!(read.records >= 1, "{name}");
        let holds = |word: &str| stored.windows(word.len()).any(|w| w == word.as_bytes());
        assert!(holds("acme") && !holds("birch"), "{name}");
    }
    let refused = read(&lab, owned(&lab, "mixed", "t", "acme", IdType::String)).err().unwrap();
    assert!(refused.to_string().contains("mixed") && refused.to_string().contains("sensor"), "{refused}");
}

#[test]
fn a_tenant_id_of_another_type_is_refused() {
    let lab = Lab::replica_set();
    lab.insert("a", &[doc! {"t": 1}]);
    for id_type in [IdType::Int, IdType::ObjectId, IdType::Uuid] {
        let failed = read(&lab, owned(&lab, "a", "t", "acme", id_type)).err().unwrap();
        assert_eq!(failed.kind, Kind::Config);
    }
}

#[test]
fn orphans_are_counted_and_sampled() {
    let lab = Lab::replica_set();
    lab.insert("policies", &[doc! {"_id": 1}, doc! {"_id": 2}]);
    let children = [Bson::from(1), Bson::from(2), Bson::Null, Bson::from(77), Bson::from("lost")];
    lab.insert("members", &children.map(|key| doc! {"policyId": key}));
    lab.insert("members", &[doc! {"x": 1}]);
    lab.insert("members", &(0..10).map(|_| doc! {"policyId": 99}).collect::<Vec<_>>());
    let relationship = Relationship {
        parent: "policies".into(),
        child: "members".into(),
        foreign_key: "policyId".into(),
        source: "hrms".into(),
    };
    let orphans = lab.open().orphans(&relationship, &Records::All { shared: false }).unwrap();
    assert_eq!(orphans.count, 12);
    assert_eq!(orphans.samples.len(), 5);
    let known = ["77", "\"lost\"", "99"];
    assert!(orphans.samples.iter().all(|s| known.contains(&s.as_str())), "{orphans:?}");
}

/// Acme owns policies 1 and 3, birch 2.
fn policies(lab: &Lab) {
    lab.insert(
        "policies",
        &[doc! {"_id": 1, "t": "acme"}, doc! {"_id": 2, "t": "birch"}, doc! {"_id": 3i64, "t": "acme"}],
    );
}

#[test]
fn records_are_found_by_way_of_their_parents_and_no_others() {
    for lab in [Lab::replica_set(), Lab::standalone()] {
        policies(&lab);
        let decimal = Bson::Decimal128("3.0".parse().unwrap());
        let ours = [doc! {"_id": 1, "p": 1}, doc! {"_id": 2, "p": 1.0}, doc! {"_id": 3, "p": decimal}];
        let others = [
            doc! {"_id": 4, "p": 2, "s": "canary"},
            doc! {"_id": 5, "p": 99},
            doc! {"_id": 6, "p": Bson::Null},
            doc! {"_id": 7},
            doc! {"_id": 8, "p": "1"},
            doc! {"_id": 9, "p": {"p": 1}},
        ];
        lab.insert("members", &ours);
        lab.insert("members", &others);
        lab.insert("notes", &[doc! {"_id": 1, "m": 2}, doc! {"_id": 2, "m": 4}, doc! {"_id": 3, "m": 3i64}]);
        let cases = [
            ("members", via(&[("p", "policies")], "t"), vec![1, 2, 3], 2),
            ("notes", via(&[("m", "members"), ("p", "policies")], "t"), vec![1, 3], 0),
        ];
        for (name, records, expected, without_owner) in cases {
            let wanted = wanted(&lab, name, records);
            let count = lab.open().count(&wanted).unwrap();
            let (memory, read) = read(&lab, wanted).unwrap();
            let stored = documents(&memory.entry(&lab.name, name, ".bson").unwrap());
            let id = |d: &Vec<u8>| bson::deserialize_from_slice::<Document>(d).unwrap().get_i32("_id").unwrap();
            let mut ids: Vec<_> = stored.iter().map(id).collect();
            ids.sort_unstable();
            assert_eq!(ids, expected, "{name}");
            assert_eq!((read.records, count), (expected.len() as u64, Some(expected.len() as u64)));
            assert_eq!(read.without_owner, without_owner, "{name}");
            let key = if name == "notes" { "m" } else { "p" };
            let command = format!("db.getCollection(\"{name}\").createIndex({{ \"{key}\": 1 }})");
            assert!(read.warnings.iter().any(|w| w.contains(&command)), "{:?}", read.warnings);
        }
    }
}

#[test]
fn more_parents_than_one_question_takes_are_asked_about_in_several() {
    let lab = Lab::replica_set();
    let all: Vec<_> = (0..45_000).map(|n| doc! {"_id": n, "t": if n % 9 == 0 { "birch" } else { "acme" }}).collect();
    lab.insert("policies", &all);
    lab.insert("members", &(0..45_000).map(|n| doc! {"_id": n, "p": n}).collect::<Vec<_>>());
    lab.run(doc! {"createIndexes": "members", "indexes": [{"key": {"p": 1}, "name": "p"}]});
    let (memory, read) = read(&lab, wanted(&lab, "members", via(&[("p", "policies")], "t"))).unwrap();
    assert_eq!(read.records, 40_000);
    let stored = documents(&memory.entry(&lab.name, "members", ".bson").unwrap());
    let key = |d: &Vec<u8>| bson::deserialize_from_slice::<Document>(d).unwrap().get_i32("p").unwrap();
    assert!(stored.iter().all(|d| key(d) % 9 != 0));
    assert!(!read.warnings.iter().any(|w| w.contains("createIndex")), "{:?}", read.warnings);
}

#[test]
fn a_record_that_names_several_parents_fails_the_read_and_is_named() {
    let text_key = || doc! {"locale": "en", "strength": 1};
    for (collation, keys) in
        [(None, [Bson::Array(vec![1.into(), 2.into()]), 1.into()]), (Some(text_key()), [Bson::from("A"), "a".into()])]
    {
        let lab = Lab::replica_set();
        policies(&lab);
        lab.insert("policies", &[doc! {"_id": "a", "t": "acme"}, doc! {"_id": "A", "t": "birch"}]);
        if let Some(collation) = collation {
            lab.run(doc! {"create": "members", "collation": collation});
        }
        lab.insert("members", &keys.map(|key| doc! {"p": key}));
        let failed = read(&lab, wanted(&lab, "members", via(&[("p", "policies")], "t"))).err().unwrap();
        assert_eq!(failed.kind, Kind::Source);
        assert!(failed.message.contains(" members ") && failed.message.contains("`p`"), "{failed:?}");
    }
}

#[test]
fn children_are_read_of_the_moment_their_parents_are() {
    let lab = Lab::replica_set();
    policies(&lab);
    lab.insert("members", &[doc! {"_id": 1, "p": 1}, doc! {"_id": 2, "p": 2}]);
    let source = lab.open();
    let wanted = [wanted(&lab, "members", via(&[("p", "policies")], "t"))];
    let view = source.open_view(&wanted, Consistency::Required, Level::Snapshot).unwrap();
    // Since the view was opened everything changed hands.
    lab.run(doc! {"update": "policies", "updates": [{"q": {"_id": 2}, "u": {"$set": {"t": "acme"}}}, {"q": {"_id": 1}, "u": {"$set": {"t": "birch"}}}]});
    lab.insert("members", &[doc! {"_id": 3, "p": 1}]);
    let memory = Memory::default();
    let read = view.read(&wanted, &memory).unwrap().remove(0);
    assert_eq!(read.records, 1);
    let stored = documents(&memory.entry(&lab.name, "members", ".bson").unwrap());
    assert_eq!(stored, [bson::serialize_to_vec(&doc! {"_id": 1, "p": 1}).unwrap()]);
}

#[test]
fn a_parent_that_is_not_there_or_is_a_view_fails_the_read_and_is_named() {
    let lab = Lab::replica_set();
    policies(&lab);
    lab.insert("members", &[doc! {"p": 1}]);
    lab.run(doc! {"create": "shown", "viewOn": "policies", "pipeline": []});
    for (parent, kind) in [("gone", Kind::Missing), ("shown", Kind::Source)] {
        let failed = read(&lab, wanted(&lab, "members", via(&[("p", parent)], "t"))).err().unwrap();
        assert_eq!(failed.kind, kind);
        assert!(failed.message.contains(parent) && failed.message.contains("members"), "{failed:?}");
    }
}

/// What a view says of 3,000 children whose parents are dropped, or renamed, once their keys have been read.
fn read_while_the_parents_vanish(lab: &Lab, how: &str) -> Result<ReadCollection> {
    policies(lab);
    lab.insert("members", &(0..3000).map(|n| doc! {"_id": n, "p": 1, "v": "x".repeat(1000)}).collect::<Vec<_>>());
    let source = lab.open();
    let wanted = [wanted(lab, "members", via(&[("p", "policies")], "t"))];
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    let (server, name, drops) = (lab.server, lab.name.clone(), how == "drop");
    let memory = Memory::with_hook(move || {
        let (from, to) = (format!("{name}.policies"), format!("{name}.away"));
        if drops {
            server.command(&name, doc! {"drop": "policies"});
        } else {
            server.command("admin", doc! {"renameCollection": from, "to": to});
        }
    });
    let read = view.read(&wanted, &memory);
    assert!(memory.hook_ran());
    read.map(|mut read| read.remove(0))
}

#[test]
fn a_parent_that_vanishes_while_its_children_are_read_fails_the_read() {
    for how in ["drop", "rename"] {
        let failed = read_while_the_parents_vanish(&Lab::standalone(), how).unwrap_err();
        assert_eq!(failed.kind, Kind::Missing, "{failed:?}");
        assert!(failed.message.contains("policies"), "{failed:?}");
    }
}

#[test]
fn of_a_snapshot_the_children_of_a_parent_that_vanishes_are_read_as_they_were() {
    for how in ["drop", "rename"] {
        assert_eq!(read_while_the_parents_vanish(&Lab::replica_set(), how).unwrap().records, 3000, "{how}");
    }
}
