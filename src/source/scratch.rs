//! Scratch databases, in which a verification restores what is stored and looks at it.

use super::{SCRATCH_PREFIX, Target, mongodb, open_target, sqlite};
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use std::path::Path;

/// Opens a scratch database like the source `name`: of the same engine, empty, and on the server of the source or at
/// `server` (a URI; its path is not looked at). A database that is a file is made in `folder`. `tag` tells it from others:
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
        config::Engine::MongoDb { uri, consistency, .. } => config::Engine::MongoDb {
            uri: match server {
                Some(server) => config::Secret::new(mongodb::without_database(server)),
                None => uri.clone(),
            },
            database,
            consistency: *consistency,
        },
        config::Engine::Postgres(_) => {
            return Err(Error::new(
                Kind::Internal,
                format!("source '{name}': PostgreSQL has no scratch databases yet"),
            ));
        }
        config::Engine::Sqlite { .. } => {
            config::Engine::Sqlite { path: sqlite::path_of(name, &folder.join(database).display().to_string())? }
        }
    };
    let target = open_target(name, &config::Source { engine, ..source.clone() }, cancel)?;
    target.drop_scratch()?;
    Ok(target)
}
