//! What a restore takes out of archives: the stored database as a file, once; of one tenant's share of a table a database of
//! that share alone; and of tables out of several archives one database that holds them all.

use super::read::Builder;
use super::schema::{self, distrust, literal};
use super::{Sqlite, digest, rename, scratch, texts};
use crate::config::Timeouts;
use crate::error::{Context, Error, Kind, Result};
use crate::modules::Records;
use crate::pipeline::Cancel;
use crate::source::{EachText, EntryName, Input, ItemKind, Staged, StoredCollection, StreamTotals, Wanted};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use tempfile::NamedTempFile;

/// See [`crate::source::scope_totals`].
pub fn scope_totals(stored: &StoredCollection, input: &dyn Input) -> Result<StreamTotals> {
    let reader = of_stored(&Cancel::default());
    let path = extracted(&reader, stored, input)?;
    let connection = open_stored(&path)?;
    let damaged = |e: rusqlite::Error| Error::new(Kind::Damaged, "the stored database cannot be read").cause(e);
    match schema::kind_of(&connection, "main", &stored.name).map_err(damaged)?.as_deref() {
        None => Err(not_held(stored)),
        Some("view") => Ok(StreamTotals::default()),
        Some(kind) => digest::table(&connection, "main", &stored.name, kind == "virtual").map_err(damaged),
    }
}

/// See [`crate::source::stored_texts`].
pub fn stored_texts(stored: &StoredCollection, input: &dyn Input, field: &str, each: &mut EachText<'_>) -> Result<()> {
    let reader = of_stored(&Cancel::default());
    // No row but the tenant's is in it.
    let share = open_stored(&extracted(&reader, stored, input)?)?;
    texts::read(&reader, &share, &wanted(&share, stored, Records::All { shared: false })?, field, each)
}

/// What errors name that come while a stored database is read.
fn of_stored(cancel: &Cancel) -> Sqlite {
    Sqlite::new("stored", Path::new("the stored database"), Timeouts::default(), cancel.clone())
}

/// That an archive holds no such table.
pub fn not_held(stored: &StoredCollection) -> Error {
    Error::new(Kind::Damaged, format!("the stored database does not hold {}", stored.name))
}

/// A database that holds the rows of a stored table which are in the restore's scope. The file stays as long as the target.
///
/// # Errors
/// [`Kind::Damaged`] when it is no sound database, and when it cannot be told whose rows are.
pub fn extracted(target: &Sqlite, stored: &StoredCollection, input: &dyn Input) -> Result<PathBuf> {
    let whole = whole(target, &stored.directory, input)?;
    if stored.scope.ownership().is_none() && stored.renaming.is_none() {
        return Ok(whole);
    }
    let key = (input.identity(), stored.directory.clone(), Some(stored.name.clone()));
    if let Some(file) = target.stored.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(file.path().to_owned());
    }
    let file = share(target, stored, input, &whole)
        .context(|| format!("the tenant's rows of {} cannot be told from the others in the backup", stored.name))?;
    let path = file.path().to_owned();
    target.stored.lock().unwrap_or_else(PoisonError::into_inner).insert(key, file);
    Ok(path)
}

/// Takes the stored database out of the archive, once for all its tables.
fn whole(target: &Sqlite, directory: &str, input: &dyn Input) -> Result<PathBuf> {
    let mut held = target.stored.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (input.identity(), directory.to_owned(), None);
    if let Some(file) = held.get(&key) {
        return Ok(file.path().to_owned());
    }
    let mut file = scratch::file(input.is_sealed())?;
    let mut body = input.open(&EntryName::new(directory, directory, ".db"))?;
    std::io::copy(&mut body, &mut file)
        .map_err(|e| Error::passed_on(e, |other| Error::io("write", file.path(), &other)))?;
    digest::check(&open_stored(file.path())?)?;
    let path = file.path().to_owned();
    held.insert(key, file);
    Ok(path)
}

/// Opens a stored database, to be read.
///
/// # Errors
/// [`Kind::Damaged`] when it cannot be.
pub fn open_stored(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let damaged = |e| Error::new(Kind::Damaged, "the stored database cannot be opened").cause(e);
    let connection = Connection::open_with_flags(path, flags).map_err(damaged)?;
    distrust(&connection).map_err(damaged)?;
    Ok(connection)
}

/// A database of the tenant's rows alone, found by way of parents that may be in other archives of the backup, and given
/// to another tenant where that is asked for.
fn share(target: &Sqlite, stored: &StoredCollection, input: &dyn Input, whole: &Path) -> Result<NamedTempFile> {
    let reader = of_stored(&target.cancel);
    let failed = |e: rusqlite::Error| reader.failed("read", &e);
    let stored_db = open_stored(whole)?;
    let records = stored.stored_scope();
    // Also where all rows are the tenant's, a parent's key may be the tenant's id, which its children name.
    let way = stored.renaming.as_ref().map(|renaming| &renaming.old).or(records.ownership());
    let via = way.map(|ownership| ownership.via.as_slice()).unwrap_or_default();
    let mut sealed = input.is_sealed();
    let mut attached: Vec<PathBuf> = Vec::new();
    let mut places: Vec<(&str, String)> = Vec::new();
    for hop in via {
        let unknown = || {
            let what = format!("they are owned by way of {}, which this backup does not hold", hop.parent);
            Error::new(Kind::Refused, what).hint("choose a backup that holds both, or restore the whole table")
        };
        let held = input.holding(&hop.parent).ok_or_else(unknown)?;
        sealed |= held.is_sealed();
        let path = self::whole(target, &stored.directory, held)?;
        let at = attached.iter().position(|known| *known == path);
        let place = match at {
            _ if path == whole => "main".to_owned(),
            Some(at) => format!("a{at}"),
            None => {
                let place = format!("a{}", attached.len());
                let file = literal(&path.display().to_string());
                stored_db.execute(&format!("ATTACH {file} AS {place}"), []).map_err(failed)?;
                attached.push(path);
                place
            }
        };
        places.push((&hop.parent, place));
    }
    scratch::confine(&stored_db, sealed).map_err(failed)?;
    let file = scratch::file(sealed)?;
    let place = |table: &str| {
        let found = places.iter().find(|(parent, _)| *parent == table);
        found.map_or_else(|| "main".to_owned(), |(_, place)| place.clone())
    };
    let wanted = wanted(&stored_db, stored, records.clone())?;
    Builder::new(&reader, &stored_db, file.path(), sealed)?.with_places(&place).build(&[wanted])?;
    if let Some(renaming) = &stored.renaming
        && let Some(column) = rename::column(&stored_db, &place, renaming, &stored.name)?
    {
        rename::rewrite(file.path(), stored, renaming, &column, sealed)?;
    }
    Ok(file)
}

fn wanted(stored_db: &Connection, stored: &StoredCollection, records: Records) -> Result<Wanted> {
    let damaged = |e: rusqlite::Error| Error::new(Kind::Damaged, "the stored database cannot be read").cause(e);
    let kind = schema::kind_of(stored_db, "main", &stored.name).map_err(damaged)?.ok_or_else(|| not_held(stored))?;
    let kind = if kind == "view" { ItemKind::View } else { ItemKind::Collection };
    Ok(Wanted { name: stored.name.clone(), kind, identity: None, records })
}

/// One database that holds what is put in place together: a transaction reaches no further than what was attached before it
/// began, and that are ten files at most.
pub struct Together {
    /// Where it is.
    pub path: PathBuf,
    /// Keeps it.
    _file: Option<NamedTempFile>,
}

impl Together {
    /// Of these.
    ///
    /// # Errors
    /// As [`extracted`].
    pub fn of(target: &Sqlite, batch: &[(&Staged, &dyn Input)]) -> Result<Self> {
        let mut files: Vec<(PathBuf, Vec<&StoredCollection>)> = Vec::new();
        let mut sealed = false;
        for (staged, input) in batch {
            let path = extracted(target, &staged.stored, *input)?;
            sealed |= input.is_sealed();
            match files.iter_mut().find(|(known, _)| *known == path) {
                Some((_, tables)) => tables.push(&staged.stored),
                None => files.push((path, vec![&staged.stored])),
            }
        }
        if let [(path, _)] = files.as_slice() {
            return Ok(Self { path: path.clone(), _file: None });
        }
        let file = scratch::file(sealed)?;
        let reader = of_stored(&target.cancel);
        // The first last: what a database says of itself is then the first one's.
        for (path, tables) in files.iter().rev() {
            let stored_db = open_stored(path)?;
            let all = || Records::All { shared: false };
            let unit = tables.iter().map(|stored| wanted(&stored_db, stored, all())).collect::<Result<Vec<_>>>()?;
            Builder::new(&reader, &stored_db, file.path(), sealed)?.build(&unit)?;
        }
        Ok(Self { path: file.path().to_owned(), _file: Some(file) })
    }
}
