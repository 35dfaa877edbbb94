//! Restores to plain files: one mongodump folder with parts joined, database files, upload trees.

use super::choose::Piece;
use super::named::{Chosen, StoredNames};
use super::tenant::{Held, Share};
use super::{Existing, Options, Report, RestoredCollection};
use crate::archive::{self, ArchiveReader, IndexEntry};
use crate::error::{Error, Kind, Result};
use crate::repository::Repository;
use crate::source::files::FilesTarget;
use crate::source::{self, EntryName, FileKind, FileRecord, Input, ItemKind};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Extracts into `directory`, which must be empty or not exist. It appears whole or not at all: everything is written
/// to a folder beside it, which is renamed at the end.
pub fn extract(
    options: &Options<'_>,
    repository: &Repository,
    pieces: &[Piece],
    directory: &Path,
    report: &mut Report,
) -> Result<()> {
    refuse_data(directory)?;
    report.target.push(directory.display().to_string());
    if options.dry_run {
        return plan(options, pieces, report);
    }
    let failed = |doing: &str, path: &Path, e: &std::io::Error| Error::io(doing, path, e);
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(|e| failed("create", parent, &e))?;
    let staging = tempfile::Builder::new()
        .prefix(".backup-restore-")
        .tempdir_in(parent)
        .map_err(|e| failed("create a folder in", parent, &e))?;
    let mut target = FilesTarget::open(staging.path())?;
    // Databases first: SQLite follows links, and only archives of files hold any.
    let (files, databases): (Vec<_>, Vec<_>) = pieces.iter().partition(|piece| piece.is_files());
    let mut names = StoredNames::new(options, repository);
    for piece in databases.into_iter().chain(files) {
        let held = Held::open(options, repository, piece)?;
        if piece.is_files() {
            let chosen = names.choose(piece, changed(piece), &held.reader)?;
            extract_files(options, &chosen, &held.reader, &mut target, report)?;
        } else if !extract_database(options, piece, &held, staging.path(), report)? {
            extract_records(options, piece, &held, &mut target, report)?;
        }
    }
    report.warnings.append(&mut names.warnings);
    target.finish()?;
    let staging = staging.keep();
    std::fs::rename(&staging, directory).map_err(|e| {
        // Nothing of it is of use under a hidden name.
        let _ = std::fs::remove_dir_all(&staging);
        failed("rename the restored folder to", directory, &e)
    })
}

fn refuse_data(directory: &Path) -> Result<()> {
    match std::fs::read_dir(directory).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            Err(Error::new(Kind::Refused, format!("{} is not empty, and nothing was changed", directory.display()))
                .hint("name a directory that does not exist yet"))
        }
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("list", directory, &e)),
        _ => Ok(()),
    }
}

fn plan(options: &Options<'_>, pieces: &[Piece], report: &mut Report) -> Result<()> {
    for piece in pieces {
        options.cancel.check()?;
        if piece.is_files() {
            report.files += piece.component.files.as_ref().map_or(0, |files| files.files);
        } else {
            let source = &piece.component.name;
            report.collections.extend(piece.collections.iter().map(|c| RestoredCollection {
                source: source.clone(),
                name: c.name.clone(),
                created: c.documents,
                overwritten: 0,
                deleted: 0,
                documents: 0,
                verified: false,
            }));
        }
    }
    Ok(())
}

fn extract_files(
    options: &Options<'_>,
    chosen: &Chosen<'_>,
    archive: &ArchiveReader,
    target: &mut FilesTarget,
    report: &mut Report,
) -> Result<()> {
    for (at, entry) in archive.files().iter().enumerate() {
        options.cancel.check()?;
        let entry = entry?;
        let Some(record) = &entry.file else { continue };
        let Some(path) = chosen.place(at, &entry.raw_path()?)? else { continue };
        target.write(&path, entry.size, record, &mut archive.entry(&entry))?;
        report.files += u64::from(record.kind == FileKind::File);
    }
    Ok(())
}

/// Where a database is a file, the collections of every archive go into one file of that name; false where it is not.
fn extract_database(
    options: &Options<'_>,
    piece: &Piece,
    held: &Held,
    folder: &Path,
    report: &mut Report,
) -> Result<bool> {
    let archive = &held.reader;
    let mut names = archive.entries().iter().filter_map(|entry| entry.name.as_ref());
    let Some(name) = names.find(|name| source::collection_of(name).is_none()) else { return Ok(false) };
    let path = folder.join(archive::entry_path(name));
    let Some(target) = source::open_file(&piece.component.engine, &path, &options.cancel)? else { return Ok(false) };
    let mut collections: Vec<_> = piece.collections.iter().collect();
    collections.sort_by_key(|collection| collection.kind == Some(ItemKind::View));
    for collection in collections {
        options.cancel.check()?;
        let whole = collection.stored_in(&name.directory);
        let stored = match changed(piece).filter(|_| collection.kind != Some(ItemKind::View)) {
            Some(share) => share.cut(piece, &whole, held)?.0,
            None => whole,
        };
        let staged = target.stage(&stored, held, Existing::Refuse, "")?;
        for switched in target.switch(&[(&staged, held)])? {
            report.warnings.extend(switched.warnings.iter().map(|warning| format!("{}: {warning}", stored.name)));
            report.collections.push(RestoredCollection {
                source: piece.component.name.clone(),
                name: stored.name.clone(),
                created: switched.records,
                overwritten: 0,
                deleted: 0,
                documents: switched.records,
                verified: switched.verified,
            });
        }
    }
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).map_err(|e| Error::io("set the mode of", &path, &e))?;
    Ok(true)
}

fn extract_records(
    options: &Options<'_>,
    piece: &Piece,
    held: &Held,
    target: &mut FilesTarget,
    report: &mut Report,
) -> Result<()> {
    let archive = &held.reader;
    let names: BTreeSet<&EntryName> = archive.entries().iter().filter_map(|entry| entry.name.as_ref()).collect();
    let wanted = |name: &EntryName| {
        source::collection_of(name).is_none_or(|collection| piece.collections.iter().any(|c| c.name == collection))
    };
    // Their scripts have the same names in every archive: each archive gets a folder, as if it had been unpacked there.
    let database = piece.component.database.clone().unwrap_or_default();
    let is_wanted = |name: &str| piece.collections.iter().any(|collection| collection.name == name);
    let engine = piece.component.engine.as_str();
    let documents = source::documents(engine, archive, &database, &is_wanted, &archive::entry_path)?;
    let folder = if documents.is_some() { format!("{}/", piece.stem()) } else { String::new() };
    for (name, text) in documents.iter().flatten() {
        let path = format!("{folder}{}", archive::entry_path(name));
        target.write(path.as_bytes(), text.len() as u64, &plain_file(), &mut text.as_slice())?;
    }
    let is_document = |name: &EntryName| documents.iter().flatten().any(|(document, _)| document == name);
    // Of an archive that others are in too, one tenant's.
    let owned = |collection: &str| piece.share.as_ref().filter(|share| share.is_cut(collection));
    let is_data = |name: &EntryName| matches!(name.suffix.as_str(), ".bson" | ".copy");
    let mut totals = std::collections::BTreeMap::new();
    for name in names.into_iter().filter(|name| wanted(name) && !is_document(name)) {
        options.cancel.check()?;
        // What is cut out of a collection is written below.
        if is_data(name) && source::collection_of(name).is_some_and(|collection| owned(collection).is_some()) {
            continue;
        }
        let parts = archive.parts(name)?;
        let size = parts.iter().fold(0u64, |size, entry| size.saturating_add(entry.size));
        let mut body = archive.open(name)?;
        let path = format!("{folder}{}", archive::entry_path(name));
        target.write(path.as_bytes(), size, &plain_file(), &mut body)?;
        for entry in parts {
            add(&mut totals, name, entry);
        }
    }
    for collection in &piece.collections {
        if let Some(share) = owned(&collection.name).filter(|_| collection.kind != Some(ItemKind::View)) {
            let (stored, bytes) = share.cut(piece, &collection.stored_in(&database), held)?;
            if let Some((name, mut body)) = source::scoped(engine, &stored, held)? {
                let path = format!("{folder}{}", archive::entry_path(&name));
                target.write(path.as_bytes(), bytes, &plain_file(), &mut body)?;
            }
            report.collections.push(extracted(piece, &collection.name, stored.records));
            continue;
        }
        let (records, digest) = totals.get(collection.name.as_str()).copied().unwrap_or_default();
        let is_said = records == collection.documents && collection.record_digest.is_none_or(|d| d == digest);
        if collection.kind != Some(ItemKind::View) && !is_said {
            let (name, said) = (&collection.name, collection.documents);
            let what = format!("{name}: {records} records are stored, the manifest says {said}, or they differ");
            return Err(Error::new(Kind::Damaged, what).cause(piece.place()));
        }
        report.collections.push(extracted(piece, &collection.name, collection.documents));
    }
    Ok(())
}

/// The share of an archive that is not written as it is stored: others' may be in it too, or it becomes another's.
fn changed(piece: &Piece) -> Option<&Share> {
    piece.share.as_ref().filter(|share| !share.own || share.is_renamed())
}

fn extracted(piece: &Piece, name: &str, records: u64) -> RestoredCollection {
    RestoredCollection {
        source: piece.component.name.clone(),
        name: name.to_owned(),
        created: records,
        overwritten: 0,
        deleted: 0,
        documents: records,
        verified: true,
    }
}

type Totals<'a> = std::collections::BTreeMap<&'a str, (u64, crate::pipeline::RecordDigest)>;

fn add<'a>(totals: &mut Totals<'a>, name: &'a EntryName, entry: &IndexEntry) {
    if let (Some(collection), Some(records), Some(digest)) =
        (source::collection_of(name), entry.records, entry.record_digest)
    {
        let sum = totals.entry(collection).or_default();
        sum.0 += records;
        sum.1.merge(digest);
    }
}

fn plain_file() -> FileRecord {
    FileRecord {
        kind: FileKind::File,
        mode: 0o600,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        mtime: (chrono::Utc::now().timestamp(), 0),
        link: None,
        xattrs: Vec::new(),
        torn: false,
    }
}
