//! Scratch databases, in which a verification restores what is stored and looks at it.

use super::{SCRATCH_PREFIX, Target, mongodb, open_target, postgres, sqlite};
use crate::config;
use crate::error::Result;
use crate::pipeline::Cancel;
use std::path::Path;

/// Opens a scratch database like the source `name`: of the same engine, empty, and on the server of the source or at
/// `server` (a URI; of MongoDB its path is not looked at, of PostgreSQL it names a database to connect to). A database that is a file is made in `folder`. `tag` tells it from others:
/// whoever calls makes sure that nobody else uses the same; what an interrupted verification left there is dropped.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub fn open(
    name: &str,
    source: &config::Source,
    server: Option<&str>,
    folder: &Path,
    tag: &str,
    cancel: &Cancel,
) -> Result<Box<dyn Target>> {
    let database = format!("{SCRATCH_PREFIX}{tag}");
    let engine = match &source.engine {
        config::Engine::MongoDb { uri, consistency, read_preference, .. } => config::Engine::MongoDb {
            uri: match server {
                Some(server) => config::Secret::new(mongodb::without_database(server)),
                None => uri.clone(),
            },
            database,
            consistency: *consistency,
            read_preference: *read_preference,
        },
        config::Engine::Postgres(postgres) => {
            let uri = server.map_or_else(|| postgres.uri.clone(), config::Secret::new);
            let beside = config::Postgres { uri, ..postgres.clone() };
            let timeouts = config::Timeouts { collection: None, total: None, ..source.timeouts };
            return Ok(Box::new(postgres::open_scratch(name, &beside, &database, timeouts, cancel)?));
        }
        config::Engine::Sqlite { .. } => {
            config::Engine::Sqlite { path: sqlite::path_of(name, &folder.join(database).display().to_string())? }
        }
    };
    let target = open_target(name, &config::Source { engine, ..source.clone() }, cancel)?;
    target.drop_scratch()?;
    Ok(target)
}
