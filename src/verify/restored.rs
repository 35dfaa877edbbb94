//! Restores an archive where it harms nobody, and compares: the only proof that it can be restored.

use super::{Options, archive};
use crate::archive::ArchiveReader;
use crate::error::{Error, Kind, Result};
use crate::manifest::{Component, ComponentStatus};
use crate::source::files::FilesTarget;
use crate::source::{self, Existing, FileKind, Input, ItemKind, Restoring, Staged, Target};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Part of the names under which it stages, in a database of its own.
const TOKEN: &str = "verify";

/// Restores every whole collection, or all files, of an archive that is already proven to decode. Tells `found` what did
/// not come back as it is stored: what is known by then stays known when the server fails later.
pub fn restore(
    options: &Options<'_>,
    path: &Path,
    component: &Component,
    repository: &str,
    found: &mut Vec<String>,
) -> Result<()> {
    let reader = archive::open(options, path, component)?;
    let folder = scratch_folder(options, component)?;
    if component.engine == "files" {
        return files(options, &reader, folder.path(), found);
    }
    let name = &component.name;
    let unknown = || {
        Error::new(Kind::Config, format!("source '{name}' is not configured, so there is nowhere to restore {name}"))
            .hint("add it to `sources`, or verify with --level decoded")
    };
    let source = options.config.sources.get(name).ok_or_else(unknown)?;
    let server = options.servers.get(name).map(String::as_str);
    let tag = tag(repository, name);
    let target = source::scratch::open(name, source, server, folder.path(), &tag, &options.cancel)?;
    let restored = collections(options, &reader, component, target.as_ref(), found);
    // Whatever came of it, a copy of the data must not stay.
    match (restored, target.drop_scratch()) {
        (Ok(()), dropped) => dropped,
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(left)) => Err(error.cause(format!("and the scratch database could not be dropped: {left}"))),
    }
}

/// Tells the scratch databases of repositories and sources apart, on a server that several use.
fn tag(repository: &str, source: &str) -> String {
    let hash = Sha256::digest(format!("{repository}\0{source}"));
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder of our own. What is encrypted where it is stored is not put on a disk unasked.
fn scratch_folder(options: &Options<'_>, component: &Component) -> Result<tempfile::TempDir> {
    let on_disk = matches!(component.engine.as_str(), "files" | "sqlite");
    match options.scratch {
        Some(folder) => tempfile::tempdir_in(folder).map_err(|e| Error::io("create a folder in", folder, &e)),
        None if component.encrypted && on_disk => {
            let what = "this archive is encrypted, and would be restored in clear";
            Err(Error::new(Kind::Config, what).hint("say where with --scratch DIR (a tmpfs, for example /dev/shm)"))
        }
        None => tempfile::tempdir().map_err(|e| Error::new(Kind::Io, "cannot create a temporary folder").cause(e)),
    }
}

fn collections(
    options: &Options<'_>,
    reader: &ArchiveReader,
    component: &Component,
    target: &dyn Target,
    found: &mut Vec<String>,
) -> Result<()> {
    let directory = component.database.clone().unwrap_or_default();
    let whole = component.collections.iter().filter(|c| c.status == ComponentStatus::Complete);
    // A view may name collections of its own archive.
    let (views, plain): (Vec<_>, Vec<_>) = whole.partition(|collection| collection.kind == Some(ItemKind::View));
    let collections: Vec<_> = plain.into_iter().chain(views).map(|c| (c.stored_in(&directory), c.kind)).collect();
    let batch: Vec<_> = collections
        .iter()
        .map(|(stored, kind)| Restoring { stored, kind: *kind, input: reader, existing: Existing::Refuse })
        .collect();
    if let Err(error) = target.prepare(&batch, TOKEN) {
        found.push(verdict(error, target)?);
        return Ok(());
    }
    // Loaded, indexed, counted and hashed as the server has it; then put in its place, and its definition compared.
    let mut staged = Vec::new();
    for (stored, _) in &collections {
        options.cancel.check()?;
        match target.stage(stored, reader, Existing::Refuse, TOKEN) {
            Ok(one) => staged.push(one),
            Err(error) => found.push(format!("{}: {}", stored.name, verdict(error, target)?)),
        }
    }
    let at_once = if target.is_at_once() { staged.len() } else { 1 };
    for batch in staged.chunks(at_once.max(1)) {
        options.cancel.check()?;
        let batch: Vec<(&Staged, &dyn Input)> = batch.iter().map(|staged| (staged, reader as &dyn Input)).collect();
        if let Err(error) = target.switch(&batch) {
            let names: Vec<_> = batch.iter().map(|(staged, _)| staged.name.as_str()).collect();
            found.push(format!("{}: {}", names.join(", "), verdict(error, target)?));
            continue;
        }
        for (staged, _) in batch {
            let differences = target.differences(&staged.stored, reader)?;
            found.extend(differences.into_iter().map(|what| format!("{}: {what}", staged.name)));
        }
    }
    Ok(())
}

/// What a failure says of the data; the failure itself where it is the server's.
fn verdict(error: Error, target: &dyn Target) -> Result<String> {
    if is_verdict(&error) && target.inventory().is_ok() { Ok(error.to_string()) } else { Err(error) }
}

/// It is about what was to be restored.
fn is_verdict(error: &Error) -> bool {
    matches!(error.kind, Kind::Damaged | Kind::Source | Kind::TargetChanged | Kind::Refused)
}

/// Writes every file below `folder`, and reads it again.
fn files(options: &Options<'_>, reader: &ArchiveReader, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let mut target = FilesTarget::open(folder)?;
    for entry in reader.files().iter() {
        options.cancel.check()?;
        let entry = entry?;
        let Some(record) = &entry.file else { continue };
        let path = entry.raw_path()?;
        let written = target.write(&path, entry.size, record, &mut reader.entry(&entry));
        let compared = written.and_then(|()| target.differs(&path, record, &entry.sha256));
        match compared {
            Ok(None) => {}
            Ok(Some(difference)) => found.push(format!("{}: {difference}", entry.path.escape_debug())),
            Err(error) if is_verdict(&error) => found.push(format!("{}: {error}", entry.path.escape_debug())),
            Err(error) => return Err(error),
        }
        // One file at a time is room enough. Directories stay, for those that are in them.
        if record.kind != FileKind::Directory {
            target.remove(&path, false)?;
        }
    }
    target.finish()
}
