//! Reading ahead for several tenants gives each what reading for it alone would.

use super::laboratory::{Lab, Memory, documents};
use super::tenants::owned;
use backup::config::{Consistency, IdType};
use backup::error::{Kind, Result};
use backup::source::{Level, Source, View, Wanted};
use mongodb::bson::{Bson, Document, doc};

fn of(lab: &Lab, tenant: &str) -> Wanted {
    owned(lab, "a", "t", tenant, IdType::String)
}

fn insert(lab: &Lab, tenant: impl Into<Bson>, ids: std::ops::Range<i32>) -> Vec<Vec<u8>> {
    let owner = tenant.into();
    let made: Vec<Document> = ids.map(|id| doc! {"_id": id, "t": owner.clone(), "n": vec![id; 20]}).collect();
    lab.insert("a", &made);
    let mut raw: Vec<_> = made.iter().map(|d| bson::serialize_to_vec(d).unwrap()).collect();
    raw.sort();
    raw
}

fn read(lab: &Lab, view: &dyn View, wanted: &Wanted) -> Result<Vec<Vec<u8>>> {
    let memory = Memory::default();
    let read = view.read(std::slice::from_ref(wanted), &memory)?.remove(0);
    let stored = documents(&memory.entry(&lab.name, "a", ".bson").unwrap());
    assert_eq!(read.records, stored.len() as u64);
    Ok(stored)
}

#[test]
fn each_tenant_gets_its_own_documents_once() {
    let lab = Lab::replica_set();
    let (acme, birch) = (insert(&lab, "acme", 0..300), insert(&lab, "birch", 1000..1200));
    insert(&lab, "others", 2000..2100);
    let wanted = ["acme", "birch", "cedar"].map(|tenant| of(&lab, tenant));
    let source = lab.open();
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    view.read_ahead(&wanted);
    // What is held is not asked for again: the server has nothing any more.
    lab.run(doc! {"drop": "a"});
    assert!(read(&lab, view.as_ref(), &wanted[0]).unwrap() == acme);
    assert!(read(&lab, view.as_ref(), &wanted[1]).unwrap() == birch);
    assert!(read(&lab, view.as_ref(), &wanted[2]).unwrap().is_empty());
    // It is held for one that asks.
    for wanted in &wanted {
        assert_eq!(read(&lab, view.as_ref(), wanted).unwrap_err().kind, Kind::Missing);
    }
}

#[test]
fn without_a_snapshot_nothing_is_read_before_its_time() {
    let lab = Lab::standalone();
    insert(&lab, "acme", 0..3);
    insert(&lab, "birch", 100..103);
    let wanted = ["acme", "birch"].map(|tenant| of(&lab, tenant));
    let source = lab.open();
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    view.read_ahead(&wanted);
    insert(&lab, "acme", 50..51);
    assert_eq!(read(&lab, view.as_ref(), &wanted[0]).unwrap().len(), 4);
}

#[test]
fn ids_that_are_one_number_both_get_its_documents() {
    let lab = Lab::replica_set();
    insert(&lab, 7, 0..10);
    insert(&lab, 8i64, 100..105);
    let wanted = ["7", "07", "8"].map(|tenant| owned(&lab, "a", "t", tenant, IdType::Int));
    let source = lab.open();
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    view.read_ahead(&wanted);
    let found = wanted.each_ref().map(|wanted| read(&lab, view.as_ref(), wanted).unwrap().len());
    assert_eq!(found, [10, 10, 5]);
}

#[test]
fn a_document_that_is_not_one_tenants_alone_fails_that_tenant_and_no_other() {
    for shared in [Bson::from(vec!["acme", "birch"]), Bson::from(vec!["acme"])] {
        let lab = Lab::replica_set();
        insert(&lab, "acme", 0..10);
        let cedar = insert(&lab, "cedar", 100..110);
        insert(&lab, shared, 200..201);
        let wanted = ["acme", "cedar"].map(|tenant| of(&lab, tenant));
        let source = lab.open();
        let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
        view.read_ahead(&wanted);
        assert_eq!(read(&lab, view.as_ref(), &wanted[0]).unwrap_err().kind, Kind::Source);
        assert!(read(&lab, view.as_ref(), &wanted[1]).unwrap() == cedar);
    }
}

#[test]
fn what_was_renamed_meanwhile_is_missing() {
    let lab = Lab::replica_set();
    insert(&lab, "acme", 0..10);
    insert(&lab, "birch", 100..110);
    let wanted = ["acme", "birch", "cedar"].map(|tenant| of(&lab, tenant));
    let source = lab.open();
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    // What is the same for all of them is asked for by name, and known from here on.
    read(&lab, view.as_ref(), &wanted[2]).unwrap();
    let (from, to) = (format!("{}.a", lab.name), format!("{}.elsewhere", lab.name));
    lab.server.command("admin", doc! {"renameCollection": from, "to": to});
    view.read_ahead(&wanted);
    assert_eq!(read(&lab, view.as_ref(), &wanted[0]).unwrap_err().kind, Kind::Missing);
}

#[test]
fn large_shares_are_left_to_be_read_one_by_one() {
    let lab = Lab::replica_set();
    let large = |tenant: &str, id: i32| doc! {"_id": id, "t": tenant, "x": "x".repeat(1 << 20)};
    for id in 0..5 {
        lab.insert("a", &[large("acme", id), large("birch", 100 + id)]);
    }
    let wanted = ["acme", "birch"].map(|tenant| of(&lab, tenant));
    let source = lab.open();
    let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
    view.read_ahead(&wanted);
    lab.run(doc! {"drop": "a"});
    assert_eq!(read(&lab, view.as_ref(), &wanted[0]).unwrap_err().kind, Kind::Missing);
}
