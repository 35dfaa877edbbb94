//! Reading from a secondary: who was asked, the members themselves say.

use crate::support::app::App;
use crate::support::mongod::{Mongod, fresh_database, until, wait};
use crate::support::replica_set::ReplicaSet;
use mongodb::bson::{Document, doc};
use std::future::IntoFuture;

/// Documents that a member has handed to us, by its own profile.
fn returned(member: &Mongod, database: &str) -> i64 {
    let profile = member.client().database(database).collection::<Document>("system.profile");
    let of_ours = doc! {"$match": {"appName": "backup", "op": {"$in": ["query", "getmore"]}, "ns": format!("{database}.patients")}};
    let sum = doc! {"$group": {"_id": null, "documents": {"$sum": {"$toLong": "$nreturned"}}}};
    let mut found = wait(profile.aggregate([of_ours, sum]).into_future()).unwrap();
    let is_there = wait(found.advance()).unwrap();
    if is_there { found.deserialize_current().unwrap().get_i64("documents").unwrap() } else { 0 }
}

#[test]
fn a_secondary_is_read_where_the_source_prefers_it_and_its_absence_is_told() {
    let set = ReplicaSet::start();
    let name = fresh_database();
    let app = App::new(&format!(
        "installation: clinic\nrepository: {{location: ./backups}}\nmodules: {{core: {{required: true, collections: [patients]}}}}\n\
         sources:\n  hr: {{engine: mongodb, uri: \"{}\", database: {name}, timeouts: {{connect: 10s}}, readPreference: secondary}}\n",
        set.uri()
    ));
    let patients: Vec<Document> = (0..500).map(|n| doc! {"_id": n}).collect();
    // Both have them.
    let both = doc! {"w": 2};
    set.primary.command(&name, doc! {"insert": "patients", "documents": patients, "writeConcern": both});
    // What the secondary takes for a majority's is a heartbeat behind.
    until("a snapshot of the secondary", || {
        let snapshot = doc! {"find": "patients", "readConcern": {"level": "snapshot"}};
        set.secondary.try_command(&name, snapshot).is_ok()
    });
    for member in [&set.primary, &set.secondary] {
        member.command(&name, doc! {"profile": 2});
    }

    let manifest = app.run(&["create", "--json"]).expect(0).json();
    assert_eq!(manifest["totals"]["documents"], 500);
    let consistency = &manifest["components"][0]["consistency"];
    assert_eq!(consistency["level"], "snapshot", "{consistency} {}", manifest["warnings"]);
    // One is read to begin with, to find a privilege that is missing, and one to have a moment.
    assert_eq!(returned(&set.primary, &name), 0);
    assert!((500..=502).contains(&returned(&set.secondary, &name)), "{}", returned(&set.secondary, &name));

    app.reconfigure("readPreference: secondary", "readPreference: primary");
    let before = returned(&set.secondary, &name);
    app.run(&["create"]).expect(0);
    assert!(returned(&set.primary, &name) >= 500);
    assert_eq!(returned(&set.secondary, &name), before);

    set.secondary.signal("KILL");
    app.reconfigure("readPreference: primary", "readPreference: secondary");
    app.reconfigure("connect: 10s", "connect: 2s");
    let failed = app.run(&["create"]).expect(1);
    for word in
        ["cannot read patients", "no member that can be reached is a secondary", "readPreference: secondaryPreferred"]
    {
        assert!(failed.stderr.contains(word), "{word}: {}", failed.stderr);
    }
    app.reconfigure("readPreference: secondary", "readPreference: secondaryPreferred");
    assert_eq!(app.run(&["create", "--json"]).expect(0).json()["totals"]["documents"], 500);
}
