//! Servers that are not there, do not let us in, or stop: told apart, within the time, without a secret.

use super::laboratory::{Lab, Memory};
use crate::support::mongod::{Kind as Server, Mongod, PASSWORD, fresh_database};
use backup::config::{Consistency, Secret, Timeouts};
use backup::error::{Error, Kind};
use backup::modules::Records;
use backup::pipeline::Cancel;
use backup::source::mongodb::MongoDb;
use backup::source::{ItemKind, Level, Source, Wanted};
use mongodb::bson::doc;
use std::time::{Duration, Instant};

fn open(uri: &str, database: &str) -> Result<MongoDb, Error> {
    MongoDb::open("hrms", &Secret::new(uri), database, Timeouts::default(), Cancel::default())
}

/// Everything an error may show.
fn shown(error: &Error) -> String {
    format!("{error:?} {error}")
}

#[test]
fn a_closed_port_is_told_within_the_time() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let started = Instant::now();
    let failed = open(&format!("mongodb://root:{PASSWORD}@127.0.0.1:{port}/"), "hrms").unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(failed.kind, Kind::Connect);
    assert!(failed.message.contains("hrms") && failed.hint.is_some());
    assert!(shown(&failed).contains(&port.to_string()));
    assert!(!shown(&failed).contains(PASSWORD));
}

#[test]
fn a_name_that_does_not_resolve_is_told() {
    let failed = open("mongodb://no-such-host.invalid/", "hrms").unwrap_err();
    assert_eq!(failed.kind, Kind::Connect);
    assert!(shown(&failed).contains("no-such-host.invalid"));
    let failed = open("mongodb+srv://root:s3cret-canary@no-such-host.invalid/", "hrms").unwrap_err();
    assert_eq!(failed.kind, Kind::Connect);
    assert!(!shown(&failed).contains(PASSWORD));
}

#[test]
fn a_wrong_password_or_none_is_told_at_once_and_never_shown() {
    let server = Mongod::login();
    let wrong = open(&server.uri_as("root", "wrong-canary"), "hrms").unwrap_err();
    assert_eq!(wrong.kind, Kind::Connect);
    assert!(wrong.hint.as_ref().unwrap().contains("password"));
    assert!(!shown(&wrong).contains("wrong-canary"));
    let none = open(&server.uri(), "hrms").unwrap_err();
    assert_eq!(none.kind, Kind::Connect);
    assert!(none.hint.is_some());
    assert!(open(&server.uri_as("root", PASSWORD), "hrms").is_ok());
}

#[test]
fn tls_that_the_server_does_not_speak_is_told_within_the_time() {
    let started = Instant::now();
    let server = Mongod::standalone();
    let failed = open(&format!("mongodb://root:{PASSWORD}@127.0.0.1:{}/?tls=true", server.port), "hrms").unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(failed.kind, Kind::Connect);
    assert!(failed.hint.as_ref().unwrap().contains("TLS"), "{failed:?}");
    assert!(!shown(&failed).contains(PASSWORD));
}

#[test]
fn a_uri_that_is_none_is_refused_without_showing_any_of_it() {
    for uri in [
        "mongodb://root:can/ary@127.0.0.1/db",
        "mongodb://root:can@ary@127.0.0.1/db",
        "mongodb://root:can%ary@127.0.0.1/db",
        "mongodb://root:canary@127.0.0.1:99999/db",
        "mongodb://root:canary@127.0.0.1/?canary",
        "postgres://root:canary@127.0.0.1/",
        "canary",
    ] {
        let failed = open(uri, "hrms").unwrap_err();
        assert_eq!(failed.kind, Kind::Config, "{uri}: {failed:?}");
        assert!(failed.hint.is_some());
        assert!(!shown(&failed).contains("can") || !shown(&failed).contains("ary"), "{uri}: {failed:?}");
    }
}

#[test]
fn a_missing_privilege_is_found_before_the_first_byte_and_names_the_collection() {
    let server = Mongod::login();
    let database = fresh_database();
    server.command(&database, doc! {"insert": "open", "documents": [{"_id": 1}]});
    server.command(&database, doc! {"insert": "closed", "documents": [{"_id": 1}]});
    let on = |collection: &str| doc! {"db": &database, "collection": collection};
    server.command(
        &database,
        doc! {"createRole": "half", "roles": [], "privileges": [
            {"resource": on(""), "actions": ["listCollections", "collStats", "listIndexes"]},
            {"resource": on("open"), "actions": ["find"]},
        ]},
    );
    let role = doc! {"role": "half", "db": &database};
    server.command("admin", doc! {"createUser": &database, "pwd": "half", "roles": [role]});
    let source = open(&server.uri_as(&database, "half"), &database).unwrap();
    let want = |name: &str| {
        let kind = ItemKind::Collection;
        Wanted { name: name.into(), kind, identity: None, records: Records::All { shared: false } }
    };
    let failed =
        source.open_view(&[want("open"), want("closed")], Consistency::Preferred, Level::Snapshot).err().unwrap();
    assert_eq!(failed.kind, Kind::Connect);
    assert!(failed.message.contains("closed") && failed.hint.as_ref().unwrap().contains("closed"), "{failed:?}");
    // What may be read is read, though without the privilege to name it by UUID.
    let view = source.open_view(&[want("open")], Consistency::Preferred, Level::Snapshot).unwrap();
    assert_eq!(view.read(&[want("open")], &Memory::default()).unwrap()[0].records, 1);
}

#[test]
fn a_server_that_dies_or_stops_midway_ends_the_read_within_the_time() {
    for signal in ["KILL", "STOP"] {
        let own: &'static Mongod = Box::leak(Box::new(Mongod::start(Server::Standalone, &[])));
        let lab = std::mem::ManuallyDrop::new(Lab { server: own, name: "dying".into() });
        lab.insert_numbers("precious", 0..20_000);
        let source = lab.open();
        let wanted = lab.wanted(&source, &["precious"]);
        let view = source.open_view(&wanted, Consistency::Preferred, Level::Snapshot).unwrap();
        let memory = Memory::with_hook(move || own.signal(signal));
        let started = Instant::now();
        let failed = view.read(&wanted, &memory).unwrap_err();
        assert!(memory.hook_ran());
        assert!(started.elapsed() < Duration::from_secs(60), "{signal}: {:?}", started.elapsed());
        assert!(matches!(failed.kind, Kind::Source | Kind::Connect), "{signal}: {failed:?}");
        assert!(failed.to_string().contains("precious"), "{signal}: {failed:?}");
        assert!(memory.names().is_empty());
    }
}
