//! One small collection out of a backup that grows: the time must be that of the collection.

use crate::programs::Ours;
use crate::support::mongod::{Kind, Mongod};
use crate::table::row;
use crate::{Options, data};

/// Its row.
pub fn rows(options: &Options) {
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    let drop_restored = || drop(server.command("restored", mongodb::bson::doc! {"dropDatabase": 1}));
    let made = [1, 4].map(|factor| {
        let name = format!("one{factor}");
        let large = data::mongodb::noise(&server, &name, &["large"], options.size * f64::from(factor));
        let small = data::mongodb::noise(&server, &name, &["small"], 0.002);
        let config = format!(
            "sources: {{hr: {{engine: mongodb, uri: \"{}\", database: {name}}}}}\n\
             modules: {{all: {{required: true, collections: [large, small]}}}}\n",
            server.uri()
        );
        let ours = Ours::new(options, &name, &config);
        ours.create("");
        (ours, small, large + small)
    });
    let into = server.uri().replace("/?", "/restored?");
    let restore = format!("restore latest --collection small --into 'hr={into}'");
    let tools = made.iter().map(|(ours, small, all)| {
        let name = format!("restore --collection small, {} MB of {} MB", small / 1_000_000, all / 1_000_000);
        ours.tool(&name, || {
            drop_restored();
            ours.run(&restore)
        })
    });
    row(options, "restore one small collection", made[0].1, tools.collect());
}
