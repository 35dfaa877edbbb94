//! The list of engines: which of them a source, an archive or a record is for.

use super::{EachText, EntryName, Input, Source, StoredCollection, StreamTotals, Target, mongodb, postgres, sqlite};
use crate::config;
use crate::error::Result;
use crate::pipeline::Cancel;
use std::collections::BTreeMap;

/// Opens the source that the configuration names `name`. Connects, and fails fast when it cannot.
///
/// # Errors
/// [`crate::error::Kind::Connect`] when the server or file cannot be reached or refuses us.
pub fn open(name: &str, source: &config::Source, cancel: &Cancel) -> Result<Box<dyn Source>> {
    Ok(match &source.engine {
        config::Engine::MongoDb { uri, database, read_preference, .. } => {
            let opened = mongodb::MongoDb::open(name, uri, database, source.timeouts, cancel.clone())?;
            Box::new(opened.reading_from(*read_preference))
        }
        config::Engine::Postgres(postgres) => {
            Box::new(postgres::Postgres::open(name, postgres, source.timeouts, cancel.clone())?)
        }
        config::Engine::Sqlite { path } => Box::new(sqlite::Sqlite::open(name, path, source.timeouts, cancel.clone())?),
    })
}

/// Opens a source of one tenant's own. None when it does not exist yet: a tenant may have no data.
///
/// # Errors
/// As [`open`].
pub fn open_own(name: &str, source: &config::Source, cancel: &Cancel) -> Result<Option<Box<dyn Source>>> {
    let is_missing = match &source.engine {
        // A database of MongoDB's exists as soon as it is written to.
        config::Engine::MongoDb { .. } => false,
        config::Engine::Postgres(postgres) => {
            !postgres::Postgres::exists(name, postgres, source.timeouts, cancel.clone())?
        }
        // A folder that is not there is a disk that is not mounted.
        config::Engine::Sqlite { path } => !path.exists() && path.parent().is_some_and(std::path::Path::is_dir),
    };
    if is_missing { Ok(None) } else { open(name, source, cancel).map(Some) }
}

/// The source as it would be configured if its data were at `into` (`--into SOURCE=URI`).
///
/// # Errors
/// [`crate::error::Kind::Config`] when `into` does not fit the engine.
pub fn redirect(name: &str, source: &config::Source, into: &str) -> Result<config::Source> {
    let engine = match &source.engine {
        config::Engine::MongoDb { consistency, read_preference, .. } => config::Engine::MongoDb {
            uri: config::Secret::new(into),
            database: mongodb::database_of(name, into)?,
            consistency: *consistency,
            read_preference: *read_preference,
        },
        config::Engine::Postgres(postgres) => {
            config::Engine::Postgres(config::Postgres { uri: config::Secret::new(into), ..postgres.clone() })
        }
        config::Engine::Sqlite { .. } => config::Engine::Sqlite { path: sqlite::path_of(name, into)? },
    };
    Ok(config::Source { engine, ..source.clone() })
}

/// Whether two sources are the same database, as far as it can be told without asking a server.
pub fn same_place(one: &config::Source, other: &config::Source) -> bool {
    match (&one.engine, &other.engine) {
        (
            config::Engine::MongoDb { uri, database, .. },
            config::Engine::MongoDb { uri: other, database: named, .. },
        ) => database == named && mongodb::shares_a_host(uri.reveal(), other.reveal()),
        (config::Engine::Postgres(one), config::Engine::Postgres(other)) => postgres::same_place(one, other),
        (config::Engine::Sqlite { path }, config::Engine::Sqlite { path: other }) => {
            path == other || path.canonicalize().is_ok_and(|path| other.canonicalize().is_ok_and(|other| path == other))
        }
        _ => false,
    }
}

/// Opens the place a source's data is restored to.
///
/// # Errors
/// As [`open`]; a SQLite file need not exist yet.
pub fn open_target(name: &str, source: &config::Source, cancel: &Cancel) -> Result<Box<dyn Target>> {
    // A limit for reading must not end a restore in the middle of its changes.
    let writing = config::Timeouts { collection: None, total: None, ..source.timeouts };
    Ok(match &source.engine {
        config::Engine::MongoDb { uri, database, .. } => {
            Box::new(mongodb::MongoDb::open(name, uri, database, writing, cancel.clone())?)
        }
        config::Engine::Postgres(postgres) => {
            Box::new(postgres::Postgres::open_target(name, postgres, writing, cancel.clone())?)
        }
        config::Engine::Sqlite { path } => {
            Box::new(sqlite::Sqlite::open_target(name, path, source.timeouts, cancel.clone())?)
        }
    })
}

/// Where an engine's database is a file of its own: the file `path`, to be restored into. None where it is not.
///
/// # Errors
/// When the file cannot be opened.
pub fn open_file(engine: &str, path: &std::path::Path, cancel: &Cancel) -> Result<Option<Box<dyn Target>>> {
    Ok(match engine {
        "sqlite" => {
            Some(Box::new(sqlite::Sqlite::open_target("restored", path, config::Timeouts::default(), cancel.clone())?))
        }
        _ => None,
    })
}

/// A document with its name.
pub type Document = (EntryName, Vec<u8>);

/// Where an engine stores documents that belong to several collections: those documents, for the collections `wanted`
/// alone. `path` is where an entry is put. None where it stores no such, or where they are for all as they are.
///
/// # Errors
/// [`crate::error::Kind::Damaged`] when they cannot be read.
pub fn documents(
    engine: &str,
    input: &dyn Input,
    directory: &str,
    wanted: &dyn Fn(&str) -> bool,
    path: &dyn Fn(&EntryName) -> String,
) -> Result<Option<Vec<Document>>> {
    match engine {
        "postgres" => postgres::scripts(input, directory, wanted, path).map(Some),
        _ => Ok(None),
    }
}

/// The collection an entry belongs to, by its true name; none for entries that hold several.
pub fn collection_of(name: &EntryName) -> Option<&str> {
    match name.suffix.as_str() {
        ".bson" => Some(name.stem.strip_prefix("system.buckets.").unwrap_or(&name.stem)),
        ".metadata.json" => Some(&name.stem),
        // Behind the schema, whose name has no dot.
        ".copy" => name.stem.split_once('.').map(|(_, table)| table),
        _ => None,
    }
}

/// Counts and digests the records of a stored entry by collection, walking their structure; none when it does not hold
/// records as such. Nothing of a `sealed` one, encrypted where it is stored, is put on a disk.
///
/// # Errors
/// [`crate::error::Kind::Damaged`] when a record is malformed.
pub fn digest_records(
    name: &EntryName,
    body: &mut dyn std::io::Read,
    sealed: bool,
) -> Result<Option<BTreeMap<String, StreamTotals>>> {
    match (name.suffix.as_str(), collection_of(name)) {
        (".bson", Some(collection)) => {
            let totals = mongodb::digest_records(body)?;
            Ok(Some(BTreeMap::from([(collection.to_owned(), totals)])))
        }
        (".copy", Some(collection)) => {
            let totals = postgres::digest_rows(body)?;
            Ok(Some(BTreeMap::from([(collection.to_owned(), totals)])))
        }
        (".db", _) => sqlite::digest_database(body, sealed).map(Some),
        _ => Ok(None),
    }
}

/// The stored records of a collection that are in its scope, as one stream, and the entry they are cut out of. None where
/// an engine stores no stream of records, or the collection has none.
///
/// # Errors
/// As [`scope_totals`].
pub fn scoped<'a>(engine: &str, stored: &StoredCollection, input: &'a dyn Input) -> Result<Option<Stream<'a>>> {
    match engine {
        "mongodb" => mongodb::scoped(stored, input),
        "postgres" => postgres::scoped(stored, input),
        _ => Ok(None),
    }
}

/// The body of an entry, with its name.
pub type Stream<'a> = (EntryName, Box<dyn std::io::Read + Send + 'a>);

/// Counts and digests the stored records of a collection that are in its scope, as a restore would put them back.
///
/// # Errors
/// [`crate::error::Kind::Damaged`] when what is stored is, or cannot be told whose it is.
pub fn scope_totals(engine: &str, stored: &StoredCollection, input: &dyn Input) -> Result<StreamTotals> {
    match engine {
        "mongodb" => mongodb::scope_totals(stored, input),
        "postgres" => postgres::scope_totals(stored, input),
        "sqlite" => sqlite::scope_totals(stored, input),
        other => Err(crate::error::Error::new(crate::error::Kind::Internal, format!("{other} has no records"))),
    }
}

/// Calls `each` with every text that `field` holds in the stored records of a collection that are in its scope, as
/// [`super::View::texts`] does of live ones.
///
/// # Errors
/// As [`scope_totals`]; [`crate::error::Kind::Refused`] where an engine cannot tell without its server; and what `each` returns.
pub fn stored_texts(
    engine: &str,
    stored: &StoredCollection,
    input: &dyn Input,
    field: &str,
    each: &mut EachText<'_>,
) -> Result<()> {
    match engine {
        "mongodb" => mongodb::stored_texts(stored, input, field, each),
        "postgres" => postgres::stored_texts(stored, input, field, each),
        "sqlite" => sqlite::stored_texts(stored, input, field, each),
        other => Err(crate::error::Error::new(crate::error::Kind::Internal, format!("{other} has no records"))),
    }
}
