//! One tenant's records restored out of everybody's, into a collection that others use: theirs alone are touched.

use super::laboratory::{Lab, Memory, documents, leftovers, stored};
use super::tenants::{ownership, via};
use crate::support::mongod::{self, Mongod, fresh_database};
use crate::support::proxy::Proxy;
use backup::config::{Secret, Timeouts};
use backup::error::Kind;
use backup::modules::Records;
use backup::pipeline::Cancel;
use backup::source::mongodb::MongoDb;
use backup::source::{Changes, Existing, ReadCollection, StoredCollection, Switched, Target, scope_totals};
use mongodb::bson::{Bson, DateTime, Document, doc};
use std::time::Duration;

/// What a restore of acme's records out of a backup of all is about.
fn cut(from: &Lab, memory: &Memory, read: &ReadCollection, scope: Records) -> StoredCollection {
    let whole = StoredCollection { scope, ..stored(from, read) };
    let totals = scope_totals("mongodb", &whole, memory).unwrap();
    StoredCollection { records: totals.records, digest: totals.digest, ..whole }
}

fn restore(live: &Lab, stored: &StoredCollection, memory: &Memory, how: Existing) -> backup::error::Result<Switched> {
    let target = live.open();
    let staged = target.stage(stored, memory, how, "test")?;
    Ok(target.switch(&[(&staged, memory)])?.remove(0))
}

fn bytes(document: &Document) -> Vec<u8> {
    bson::serialize_to_vec(document).unwrap()
}

fn sorted(documents: &[Document]) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = documents.iter().map(bytes).collect();
    all.sort();
    all
}

fn policy(id: impl Into<Bson>, tenant: &str, text: &str) -> Document {
    doc! {"_id": id.into(), "t": tenant, "text": text}
}

fn member(id: i32, policy: impl Into<Bson>, text: &str) -> Document {
    doc! {"_id": id, "p": policy.into(), "text": text}
}

/// Two tenants' policies and their members, as they are backed up.
fn office() -> (Lab, Memory, Vec<ReadCollection>) {
    office_in(Lab::replica_set())
}

/// In a transaction, and where there are none.
fn offices() -> [(Lab, Memory, Vec<ReadCollection>); 2] {
    [office_in(Lab::replica_set()), office_in(Lab::standalone())]
}

fn office_in(lab: Lab) -> (Lab, Memory, Vec<ReadCollection>) {
    lab.insert("policies", &[policy(1, "acme", "a"), policy(2, "birch", "b"), policy(3, "acme", "c")]);
    let members = [member(10, 1, "x"), member(11, 2, "canary"), member(12, 3i64, "y"), member(13, 99, "lost")];
    lab.insert("members", &members);
    let (memory, read) = lab.back_up(&["policies", "members"]);
    (lab, memory, read)
}

fn copy_of(lab: &Lab) -> Lab {
    Lab { server: lab.server, name: fresh_database() }
}

#[test]
fn what_is_stored_is_cut_to_the_tenants_records_on_every_way_to_their_owner() {
    let (lab, memory, read) = office();
    lab.insert("notes", &[doc! {"_id": 1, "m": 10}, doc! {"_id": 2, "m": 11}, doc! {"_id": 3, "m": 12.0}]);
    let (notes, of_notes) = lab.back_up(&["policies", "members", "notes"]);
    for (memory, read, records, expected) in [
        (&memory, &read[0], ownership("t"), 2),
        (&memory, &read[1], via(&[("p", "policies")], "t"), 2),
        (&notes, &of_notes[2], via(&[("m", "members"), ("p", "policies")], "t"), 2),
    ] {
        let stored = cut(&lab, memory, read, records);
        assert_eq!(stored.records, expected, "{}", stored.name);
        // Into nothing: with its indexes, the tenant's alone.
        let live = copy_of(&lab);
        assert!(restore(&live, &stored, memory, Existing::Refuse).unwrap().verified);
        let there = live.raw(&stored.name);
        assert_eq!(there.len() as u64, expected);
        assert!(!there.concat().windows(6).any(|w| w == b"canary"), "{}", stored.name);
        assert!(documents(&memory.entry(&lab.name, &stored.name, ".bson").unwrap()).len() > there.len());
        assert_eq!(leftovers(&live), Vec::<String>::new());
    }
}

#[test]
fn a_stored_record_of_several_owners_is_refused_and_named() {
    for (documents, records) in [
        (vec![policy(1, "acme", ""), doc! {"_id": 2, "t": ["birch", "acme"]}], ownership("t")),
        (vec![policy(1, "acme", ""), doc! {"_id": 2, "t": {"of": "acme"}}], ownership("t")),
        (vec![member(1, 1, ""), doc! {"_id": 2, "p": [2, 1]}], via(&[("p", "policies")], "t")),
    ] {
        let lab = Lab::replica_set();
        lab.insert("policies", &[policy(1, "acme", "")]);
        lab.insert("a", &documents);
        let (memory, read) = lab.back_up(&["a", "policies"]);
        let whole = StoredCollection { scope: records, ..stored(&lab, &read[0]) };
        match scope_totals("mongodb", &whole, &memory) {
            Ok(totals) => assert_eq!((totals.records, documents[1].get_document("t").is_ok()), (1, true)),
            Err(refused) => {
                assert_eq!(refused.kind, Kind::Refused);
                assert!(refused.message.contains(" a "), "{refused:?}");
                assert!(documents[1].get_document("t").is_err());
            }
        }
    }
}

#[test]
fn a_tenants_records_are_added_merged_and_replaced_and_nobody_elses_are_touched() {
    let expected = [
        (Existing::Add, Changes { created: 1, overwritten: 0, deleted: 0 }),
        (Existing::Merge, Changes { created: 1, overwritten: 1, deleted: 0 }),
        (Existing::Replace, Changes { created: 1, overwritten: 1, deleted: 1 }),
    ];
    for ((how, changes), (lab, memory, read)) in
        expected.into_iter().flat_map(|expected| offices().map(|office| (expected, office)))
    {
        let live = copy_of(&lab);
        let others = [policy(2, "birch", "newer"), policy(7, "birch", ""), doc! {"_id": 8, "text": "nobody's"}];
        let (kept, changed) = (policy(5, "acme", "new"), policy(1, "acme", "changed"));
        live.insert("policies", &others);
        live.insert("policies", &[kept.clone(), changed.clone()]);
        live.run(doc! {"createIndexes": "policies", "indexes": [{"key": {"text": 1}, "name": "live"}]});
        let (options, indexes) = (live.server_uuid("policies"), live.indexes("policies"));
        let stored = cut(&lab, &memory, &read[0], ownership("t"));
        assert_eq!(live.open().compare(&stored, &memory, how).unwrap(), changes, "{how:?}");
        let done = restore(&live, &stored, &memory, how).unwrap();
        assert!(done.verified, "{how:?}");
        assert_eq!(done.changes, Some(changes), "{how:?}");
        let mut all = others.to_vec();
        all.push(policy(3, "acme", "c"));
        all.push(if how == Existing::Add { changed } else { policy(1, "acme", "a") });
        all.extend((how != Existing::Replace).then_some(kept));
        assert!(live.raw("policies") == sorted(&all), "{how:?}");
        assert_eq!((live.server_uuid("policies"), live.indexes("policies")), (options, indexes), "{how:?}");
        assert_eq!(leftovers(&live), Vec::<String>::new());
    }
}

#[test]
fn children_are_replaced_before_their_parents_and_found_though_these_are_gone() {
    for office in offices() {
        replaces_children_before_their_parents(office);
    }
}

fn replaces_children_before_their_parents((lab, memory, read): (Lab, Memory, Vec<ReadCollection>)) {
    let live = copy_of(&lab);
    // Of acme's policies 1 is gone and 5 is new; member 12 is gone, 20 belongs to the new one, 21 to the lost one.
    let others = [member(11, 2, "newer"), member(30, 2, ""), member(31, 77, "nobody's"), doc! {"_id": 32}];
    live.insert("policies", &[policy(2, "birch", "b"), policy(5, "acme", ""), policy(3, "acme", "c")]);
    live.insert("members", &others);
    live.insert("members", &[member(10, 1, "changed"), member(20, 5, "goes"), member(21, 1, "goes")]);
    let members = cut(&lab, &memory, &read[1], via(&[("p", "policies")], "t"));
    let policies = cut(&lab, &memory, &read[0], ownership("t"));
    let planned = live.open().compare(&members, &memory, Existing::Replace).unwrap();
    assert_eq!(planned, Changes { created: 1, overwritten: 1, deleted: 2 });
    for stored in [&members, &policies] {
        let done = restore(&live, stored, &memory, Existing::Replace).unwrap();
        assert!(done.verified, "{}", stored.name);
        assert!(done.changes.is_none_or(|changes| stored.name != "members" || changes == planned));
    }
    let mut all = others.to_vec();
    all.extend([member(10, 1, "x"), member(12, 3i64, "y")]);
    assert!(live.raw("members") == sorted(&all));
    let all = [policy(1, "acme", "a"), policy(2, "birch", "b"), policy(3, "acme", "c")];
    assert!(live.raw("policies") == sorted(&all));
    // Again, it finds all in place.
    let again = live.open().compare(&members, &memory, Existing::Replace).unwrap();
    assert_eq!(again, Changes { created: 0, overwritten: 2, deleted: 0 });
}

#[test]
fn a_key_that_somebody_else_has_is_refused_by_name_and_nothing_is_changed() {
    let taken = |owner: Document| {
        let (lab, memory, read) = office();
        let live = copy_of(&lab);
        live.insert("policies", &[policy(1, "acme", "old"), owner]);
        (lab, memory, read, live)
    };
    let array = doc! {"_id": 3, "t": ["acme", "birch"]};
    let number = doc! {"_id": 3.0, "t": "birch"};
    for owner in [policy(3, "birch", "canary"), doc! {"_id": 3, "text": "canary"}, array, number] {
        let (lab, memory, read, live) = taken(owner);
        let before = live.raw("policies");
        let stored = cut(&lab, &memory, &read[0], ownership("t"));
        for how in [Existing::Add, Existing::Merge, Existing::Replace] {
            let refused = live.open().compare(&stored, &memory, how).unwrap_err();
            assert_eq!(refused.kind, Kind::Refused, "{refused:?}");
            assert!(refused.message.contains("policies"), "{refused:?}");
            // Nor by a switch that nobody compared for, as when it has come since.
            let stopped = restore(&live, &stored, &memory, how).unwrap_err();
            assert!(matches!(stopped.kind, Kind::Refused | Kind::TargetChanged), "{stopped:?}");
            let others = |all: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
                all.into_iter().filter(|d| !d.ends_with(b"\x04\0\0\0old\0\0")).collect()
            };
            assert!(others(live.raw("policies")) == others(before.clone()), "{how:?}");
            assert!(!format!("{refused:?} {stopped:?}").contains("canary"));
        }
    }
}

#[test]
fn a_unique_value_that_is_there_under_another_key_is_refused_before_anything_is_changed() {
    let unique = doc! {"createIndexes": "policies", "indexes": [{"key": {"text": 1}, "name": "text", "unique": true}]};
    for (in_the_way, refusing) in [
        (policy(50, "birch", "c"), vec![Existing::Add, Existing::Merge, Existing::Replace]),
        (policy(50, "acme", "c"), vec![Existing::Add, Existing::Merge]),
    ] {
        let (lab, memory, read) = office();
        let live = copy_of(&lab);
        live.insert("policies", &[policy(1, "acme", "a"), in_the_way]);
        live.run(unique.clone());
        let before = live.raw("policies");
        let stored = cut(&lab, &memory, &read[0], ownership("t"));
        for how in [Existing::Add, Existing::Merge, Existing::Replace] {
            match live.open().compare(&stored, &memory, how) {
                Ok(_) => assert!(!refusing.contains(&how), "{how:?}"),
                Err(refused) => {
                    assert!(refusing.contains(&how), "{refused:?}");
                    assert_eq!(refused.kind, Kind::Refused);
                    assert!(format!("{refused:?}").contains("50"), "{refused:?}");
                }
            }
            assert!(live.raw("policies") == before);
        }
        if !refusing.contains(&Existing::Replace) {
            assert!(restore(&live, &stored, &memory, Existing::Replace).unwrap().verified);
            assert!(live.raw("policies") == sorted(&[policy(1, "acme", "a"), policy(3, "acme", "c")]));
        }
    }
}

#[test]
fn a_collection_that_does_not_tell_case_apart_is_read_byte_for_byte_or_refused() {
    let lab = Lab::replica_set();
    let collation = doc! {"locale": "en", "strength": 1};
    lab.run(doc! {"create": "policies", "collation": &collation});
    lab.insert("policies", &[policy(1, "acme", "a")]);
    let (memory, read) = lab.back_up(&["policies"]);
    let stored = cut(&lab, &memory, &read[0], ownership("t"));
    let live = copy_of(&lab);
    live.run(doc! {"create": "policies", "collation": &collation});
    live.insert("policies", &[policy(1, "acme", "b"), policy(2, "ACME", "another's")]);
    let before = live.raw("policies");
    let refused = live.open().compare(&stored, &memory, Existing::Replace).unwrap_err();
    assert_eq!(refused.kind, Kind::Refused);
    assert!(refused.message.contains("policies") && refused.message.contains("`t`"), "{refused:?}");
    assert!(restore(&live, &stored, &memory, Existing::Replace).is_err());
    assert!(live.raw("policies") == before);
}

#[test]
fn a_capped_collection_takes_no_tenants_records_and_a_view_keeps_its_definition() {
    let (lab, memory, read) = office();
    let live = copy_of(&lab);
    live.run(doc! {"create": "policies", "capped": true, "size": 4096});
    live.insert("policies", &[policy(2, "birch", "b")]);
    let stored_policies = cut(&lab, &memory, &read[0], ownership("t"));
    for how in [Existing::Add, Existing::Merge, Existing::Replace] {
        let refused = live.open().compare(&stored_policies, &memory, how).unwrap_err();
        assert_eq!(refused.kind, Kind::Refused);
        assert!(refused.message.contains("policies") && refused.message.contains("capped"), "{refused:?}");
        assert!(restore(&live, &stored_policies, &memory, how).is_err());
    }
    lab.run(doc! {"create": "v", "viewOn": "policies", "pipeline": []});
    live.run(doc! {"create": "v", "viewOn": "policies", "pipeline": [{"$match": {"t": "birch"}}]});
    let (memory, read) = lab.back_up(&["v"]);
    let before = live.description("v");
    let view = StoredCollection { scope: ownership("t"), ..stored(&lab, &read[0]) };
    assert_eq!(live.open().compare(&view, &memory, Existing::Replace).unwrap(), Changes::default());
    restore(&live, &view, &memory, Existing::Replace).unwrap();
    assert_eq!(live.description("v"), before);
    assert_eq!(live.raw("policies").len(), 1);
}

#[test]
fn a_tenants_buckets_are_replaced_in_a_time_series_collection_that_others_use() {
    let lab = Lab::replica_set();
    let series = doc! {"create": "s", "timeseries": {"timeField": "at", "metaField": "who"}};
    let point = |second: i64, tenant: &str| doc! {"at": DateTime::from_millis(second * 1000), "who": {"t": tenant}, "v": second};
    lab.run(series.clone());
    lab.insert("s", &(0..100).map(|n| point(n, if n % 2 == 0 { "acme" } else { "birch" })).collect::<Vec<_>>());
    let (memory, read) = lab.back_up(&["s"]);
    let stored = cut(&lab, &memory, &read[0], ownership("who.t"));
    let live = copy_of(&lab);
    live.run(series);
    live.insert("s", &(200..300).map(|n| point(n, if n % 2 == 0 { "acme" } else { "birch" })).collect::<Vec<_>>());
    let of = |lab: &Lab, tenant: &str| -> Vec<Vec<u8>> {
        let all = lab.raw("system.buckets.s");
        all.into_iter().filter(|d| d.windows(tenant.len()).any(|w| w == tenant.as_bytes())).collect()
    };
    let others = of(&live, "birch");
    assert!(!others.is_empty());
    let planned = live.open().compare(&stored, &memory, Existing::Replace).unwrap();
    assert!(planned.created > 0 && planned.deleted > 0, "{planned:?}");
    let done = restore(&live, &stored, &memory, Existing::Replace).unwrap();
    assert!(done.verified);
    assert_eq!(done.changes, Some(planned));
    assert!(of(&live, "birch") == others);
    assert!(of(&live, "acme") == of(&lab, "acme"));
    assert_eq!(leftovers(&live), Vec::<String>::new());
    // What the server wrote into before can be written to again.
    live.insert("s", &[point(400, "acme"), point(401, "birch")]);
}

/// The live collection through a proxy.
fn through(proxy: &Proxy, live: &Lab) -> MongoDb {
    let uri = Secret::new(format!("mongodb://127.0.0.1:{}/?directConnection=true", proxy.port));
    let timeouts = Timeouts { connect: Some(Duration::from_secs(2)), ..Timeouts::default() };
    MongoDb::open("hrms", &uri, &live.name, timeouts, Cancel::default()).unwrap()
}

#[test]
fn a_record_that_becomes_somebody_elses_while_it_is_restored_stays_theirs() {
    for request in ["updates", "deletes", "documents"] {
        for (lab, memory, read) in offices() {
            let live = copy_of(&lab);
            live.insert("policies", &[policy(1, "acme", "old"), policy(5, "acme", "new"), policy(2, "birch", "b")]);
            let stored = cut(&lab, &memory, &read[0], ownership("t"));
            let proxy = Proxy::before(live.server.port);
            let target = through(&proxy, &live);
            let staged = target.stage(&stored, &memory, Existing::Replace, "test").unwrap();
            proxy.hold_request(request);
            let (done, theirs) = std::thread::scope(|scope| {
                let switching = scope.spawn(|| target.switch(&[(&staged, &memory)]));
                proxy.await_held();
                let to = doc! {"$set": {"t": "birch", "text": "canary"}};
                let own = match request {
                    "updates" => 1,
                    "deletes" => 5,
                    _ => 3,
                };
                live.run(doc! {"update": "policies", "updates": [{"q": {"_id": own}, "u": to, "upsert": true}]});
                let theirs = doc! {"_id": own, "t": "birch", "text": "canary"};
                proxy.release();
                (switching.join().unwrap(), theirs)
            });
            let there = live.run(doc! {"find": "policies", "filter": {"_id": theirs.get_i32("_id").unwrap()}});
            let there = there.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
            let same = |found: &Bson| {
                let found = found.as_document().unwrap();
                found.get("t") == theirs.get("t") && found.get("text") == theirs.get("text")
            };
            assert!(there.len() == 1 && same(&there[0]), "{request}: {there:?}");
            match done {
                Ok(switched) => assert!(request == "deletes" && switched[0].verified, "{request}: {switched:?}"),
                Err(stopped) => {
                    assert!(stopped.message.contains("policies"), "{request}: {stopped:?}");
                    assert!(!format!("{stopped:?}").contains("canary"), "{stopped:?}");
                }
            }
        }
    }
}

#[test]
fn a_restore_that_is_cut_off_anywhere_leaves_others_alone_and_a_rerun_finishes_it() {
    let lab = Lab::replica_set();
    let tenant = |n: i32| if n % 2 == 0 { "acme" } else { "birch" };
    lab.insert("policies", &(0..6000).map(|n| policy(n, tenant(n), "stored")).collect::<Vec<_>>());
    let (memory, mut read) = lab.back_up(&["policies"]);
    let read = read.remove(0);
    for (word, others) in [("deletes", 1), ("documents", 0), ("documents", 1), ("updates", 0), ("updates", 1)] {
        let live = copy_of(&lab);
        live.insert("policies", &(3000..10_000).map(|n| policy(n, tenant(n), "live")).collect::<Vec<_>>());
        let of_birch = |lab: &Lab| -> Vec<Vec<u8>> {
            lab.raw("policies").into_iter().filter(|d| d.windows(5).any(|w| w == b"birch")).collect()
        };
        let before = of_birch(&live);
        let stored = cut(&lab, &memory, &read, ownership("t"));
        let proxy = Proxy::before(live.server.port);
        let target = through(&proxy, &live);
        let staged = target.stage(&stored, &memory, Existing::Replace, "test").unwrap();
        proxy.cut_at(word, others);
        let stopped = target.switch(&[(&staged, &memory)]).unwrap_err();
        proxy.await_held();
        assert_eq!(stopped.kind, Kind::TargetChanged, "{word} {others}: {stopped:?}");
        drop(target);
        assert!(of_birch(&live) == before, "{word} {others}");
        assert!(live.open().resume(&stored, &memory, staged.identity.as_deref()).unwrap().is_none());
        live.open().sweep("test").unwrap();
        assert!(restore(&live, &stored, &memory, Existing::Replace).unwrap().verified, "{word} {others}");
        assert!(of_birch(&live) == before, "{word} {others}");
        let ours: Vec<_> = live.raw("policies").into_iter().filter(|d| !before.contains(d)).collect();
        assert!(ours == sorted(&(0..6000).step_by(2).map(|n| policy(n, "acme", "stored")).collect::<Vec<_>>()));
    }
}

#[test]
fn few_records_are_changed_all_or_none() {
    // The server lets go of what a lost connection has left undone.
    let options = ["--setParameter", "transactionLifetimeLimitSeconds=5"];
    let server: &'static Mongod = Box::leak(Box::new(Mongod::start(mongod::Kind::ReplicaSet, &options)));
    for word in ["documents", "updates", "commitTransaction"] {
        let (lab, memory, read) = office_in(Lab { server, name: fresh_database() });
        let live = copy_of(&lab);
        live.insert("policies", &[policy(1, "acme", "old"), policy(5, "acme", "new"), policy(2, "birch", "b")]);
        let before = live.raw("policies");
        let stored = cut(&lab, &memory, &read[0], ownership("t"));
        let proxy = Proxy::before(live.server.port);
        let target = through(&proxy, &live);
        let staged = target.stage(&stored, &memory, Existing::Replace, "test").unwrap();
        proxy.cut_at(word, 0);
        let stopped = target.switch(&[(&staged, &memory)]).unwrap_err();
        proxy.await_held();
        // Whether a commit without an answer was made, nobody knows.
        assert_eq!(stopped.kind == Kind::TargetChanged, word == "commitTransaction", "{word}: {stopped:?}");
        assert!(live.raw("policies") == before, "{word}");
        drop(target);
        live.open().sweep("test").unwrap();
        assert!(restore(&live, &stored, &memory, Existing::Replace).unwrap().verified, "{word}");
    }
}
