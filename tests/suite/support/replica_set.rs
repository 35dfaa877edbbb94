//! A real replica set of a primary and a secondary.

use super::mongod::{Kind, Mongod, until};
use mongodb::bson::doc;

/// Two members. The secondary has no vote, so that the primary stays what it is when that is gone.
#[derive(Debug)]
pub struct ReplicaSet {
    pub primary: Mongod,
    pub secondary: Mongod,
}

impl ReplicaSet {
    /// Starts one.
    pub fn start() -> Self {
        let options = ["--replSet", "pair", "--oplogSize", "64"];
        let [primary, secondary] = [(); 2].map(|()| Mongod::start(Kind::Standalone, &options));
        let host = |member: &Mongod| format!("127.0.0.1:{}", member.port);
        let members = [
            doc! {"_id": 0, "host": host(&primary)},
            doc! {"_id": 1, "host": host(&secondary), "priority": 0, "votes": 0},
        ];
        let members = doc! {"_id": "pair", "members": members.to_vec()};
        primary.command("admin", doc! {"replSetInitiate": members});
        let is = |member: &Mongod, word: &str| member.command("admin", doc! {"hello": 1}).get_bool(word).unwrap();
        until("a primary", || is(&primary, "isWritablePrimary"));
        until("a secondary", || is(&secondary, "secondary"));
        Self { primary, secondary }
    }

    /// The URI of both, without a database.
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{},127.0.0.1:{}/?replicaSet=pair", self.primary.port, self.secondary.port)
    }
}
