//! Values: what the server stores comes back byte for byte, also where no language's type can hold it.

use super::laboratory::{Lab, documents};
use mongodb::bson::{Bson, Decimal128, Document, Timestamp, doc};

/// A document of raw elements.
fn raw_document(elements: &[u8]) -> Vec<u8> {
    let mut document = i32::try_from(elements.len() + 5).unwrap().to_le_bytes().to_vec();
    document.extend_from_slice(elements);
    document.push(0);
    document
}

fn nested(levels: usize) -> Vec<u8> {
    let mut document = raw_document(&[]);
    for _ in 1..levels {
        document = raw_document(&[&b"\x03a\0"[..], &document].concat());
    }
    document
}

#[test]
fn every_value_a_server_stores_is_restored_byte_for_byte() {
    let lab = Lab::replica_set();
    let id = |n: u8| [&b"\x10_id\0"[..], &[n, 0, 0, 0]].concat();
    let duplicate_keys = raw_document(&[&id(1)[..], b"\x10a\0\x01\0\0\0", b"\x10a\0\x02\0\0\0"].concat());
    let invalid_utf8 = raw_document(&[&id(2)[..], b"\x02s\0\x03\0\0\0\xff\xfe\0", b"\x0ak\xff\0"].concat());
    let deep = raw_document(&[&id(3)[..], b"\x03d\0", &nested(178)].concat());
    let nan_with_payload = raw_document(&[&id(4)[..], b"\x01n\0", &0x7ff8_dead_beef_0001_u64.to_le_bytes()].concat());
    for document in [&duplicate_keys, &invalid_utf8, &deep, &nan_with_payload] {
        lab.insert_raw("odd", document);
    }
    lab.insert(
        "odd",
        &[
            doc! {"_id": 5, "d": "NaN".parse::<Decimal128>().unwrap(), "e": "1.000E+6144".parse::<Decimal128>().unwrap()},
            doc! {"_id": Bson::MinKey, "max": Bson::MaxKey, "u": Bson::Undefined, "s": Bson::Symbol("s".into())},
            doc! {"_id": {"a": 1}, "z": -0.0, "i": f64::INFINITY, "dollar": {"$set": 1, "$oid": "x"}, "a.b": 1, "": 2},
            doc! {"_id": 6, "deep": {"t": Timestamp {time: 0, increment: 0}}, "empty": {}, "none": [], "zero": "a\0b"},
        ],
    );
    let (memory, _) = lab.back_up(&["odd"]);
    assert!(documents(&memory.entry(&lab.name, "odd", ".bson").unwrap()) == lab.raw("odd"));
    let (copy, switched) = lab.round_trip(&["odd"]);
    assert!(switched[0].verified && switched[0].warnings.is_empty(), "{switched:?}");
    let there = copy.raw("odd");
    assert!(there.contains(&duplicate_keys) && there.contains(&invalid_utf8) && there.contains(&deep));
    assert!(there.contains(&nan_with_payload));
}

#[test]
fn documents_of_the_largest_size_are_restored() {
    let lab = Lab::replica_set();
    let largest = |n: i32| {
        let head = bson::serialize_to_vec(&doc! {"_id": n, "v": ""}).unwrap().len();
        doc! {"_id": n, "v": "x".repeat((16 << 20) - head)}
    };
    for n in 0..3 {
        lab.insert_raw("large", &bson::serialize_to_vec(&largest(n)).unwrap());
    }
    lab.insert("large", &[doc! {"_id": "small"}]);
    let (copy, switched) = lab.round_trip(&["large"]);
    assert_eq!((switched[0].records, switched[0].verified), (4, true));
    assert_eq!(copy.raw("large").iter().map(Vec::len).max(), Some(16 << 20));
}

#[test]
fn what_the_server_alters_on_insert_is_reported_and_not_called_verified() {
    let lab = Lab::replica_set();
    lab.insert("stamps", &[doc! {"_id": 1, "t": Timestamp {time: 7, increment: 1}}, doc! {"_id": 2}]);
    // An insert would replace it; an update with a pipeline stores it as it is.
    let zero = doc! {"t": {"$literal": Timestamp {time: 0, increment: 0}}};
    lab.run(doc! {"update": "stamps", "updates": [{"q": {"_id": 2}, "u": [{"$set": zero}]}]});
    let zeroes = lab.raw("stamps").iter().filter(|d| d.windows(8).any(|w| w == [0; 8])).count();
    assert_eq!(zeroes, 1, "the server keeps no Timestamp(0,0)");
    let (memory, read) = lab.back_up(&["stamps"]);
    let copy = Lab { server: lab.server, name: crate::support::mongod::fresh_database() };
    let switched = copy.restore(&lab, &memory, &read[0]).unwrap();
    assert!(!switched.verified);
    assert!(switched.warnings.iter().any(|w| w.contains("Timestamp(0,0)") && w.contains('1')), "{switched:?}");
    assert_eq!(copy.raw("stamps").len(), 2);
}

#[test]
fn names_may_hold_what_the_server_allows() {
    let lab = Lab::replica_set();
    let long = "l".repeat(255 - lab.name.len() - 1 - 8);
    let names = ["a.b", "mit Leerzeichen", "größe/ñ", "-dash", "new\nline", "%part-00001", "dots..x", &long];
    for name in names {
        lab.insert(name, &[doc! {"_id": name}]);
        lab.run(doc! {"createIndexes": name, "indexes": [{"key": {"a": 1}, "name": "a"}]});
    }
    lab.round_trip(&names);
}

#[test]
fn an_empty_collection_is_stored_as_zero_documents_with_its_metadata() {
    let lab = Lab::replica_set();
    lab.run(doc! {"create": "empty"});
    let (memory, read) = lab.back_up(&["empty"]);
    assert_eq!((read[0].records, read[0].bytes), (0, 0));
    assert_eq!(memory.names(), ["empty.bson", "empty.metadata.json"]);
    lab.round_trip(&["empty"]);
}

#[test]
fn many_documents_come_back_once_each() {
    let lab = Lab::replica_set();
    let documents: Vec<Document> = (0..150_000).map(|n| doc! {"_id": n}).collect();
    lab.insert("many", &documents);
    let (_, switched) = lab.round_trip(&["many"]);
    assert_eq!((switched[0].records, switched[0].verified), (150_000, true));
}
