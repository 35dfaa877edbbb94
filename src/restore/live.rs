//! Restores collections into live databases: guards, staging, then the switch, collection by collection.

use super::choose::Piece;
use super::{Options, Report, RestoredCollection};
use crate::archive::ArchiveReader;
use crate::error::{Context, Error, Kind, Result};
use crate::event::Event;
use crate::manifest::Collection;
use crate::source::{self, Inventory, ItemKind, Staged, StoredCollection, Target};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Collections that are staged at once.
const WRITERS: usize = 2;

/// The databases of a restore, checked and ready.
pub struct Live {
    targets: BTreeMap<String, Box<dyn Target>>,
    archives: Vec<ArchiveReader>,
    work: Vec<Work>,
}

/// One collection on its way.
struct Work {
    source: String,
    archive: usize,
    kind: Option<ItemKind>,
    stored: StoredCollection,
    staged: Option<Staged>,
}

impl Live {
    /// Connects, compares what is to be restored with what is there, and refuses to touch data.
    pub fn prepare(options: &Options<'_>, pieces: &[Piece], report: &mut Report) -> Result<Self> {
        let mut live = Self { targets: BTreeMap::new(), archives: Vec::new(), work: Vec::new() };
        let mut inventories = BTreeMap::new();
        unknown_sources(options, pieces)?;
        for piece in pieces.iter().filter(|piece| !piece.is_files()) {
            let name = &piece.component.name;
            if !live.targets.contains_key(name) {
                let target = open(options, name)?;
                let server = target.server();
                report.target.push(format!("{name}: {} {}", server.address, server.database));
                inventories.insert(name.clone(), target.inventory().context(|| format!("cannot list {name}"))?);
                live.targets.insert(name.clone(), target);
            }
            live.archives.push(piece.open()?);
            let archive = live.archives.len() - 1;
            let directory = piece.component.database.clone().unwrap_or_default();
            let works = piece.collections.iter().map(|collection| Work {
                source: name.clone(),
                archive,
                kind: collection.kind,
                stored: stored(collection, &directory),
                staged: None,
            });
            live.work.extend(works);
        }
        // A view may name collections of this restore: definitions go last.
        live.work.sort_by_key(|work| work.kind == Some(ItemKind::View));
        refuse_data(&live.work, &inventories)?;
        if options.dry_run {
            for work in &live.work {
                report.collections.push(planned(work));
            }
        }
        Ok(live)
    }

    /// Stages every collection beside the live ones. On failure nothing is left and nothing was changed.
    pub fn stage(&mut self, options: &Options<'_>, report: &mut Report) -> Result<()> {
        options.events.emit(Event::Phase("staging"));
        let cancel = options.cancel.child();
        let (targets, archives) = (&self.targets, &self.archives);
        let queue = Mutex::new(self.work.iter_mut());
        let failure = Mutex::new(None);
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let stage = || {
            while let Some(work) = next() {
                let done = cancel.check().and_then(|()| stage_one(options, targets, archives, work));
                if let Err(error) = done {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    cancel.stop();
                }
            }
        };
        let whole = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WRITERS).map(|_| scope.spawn(stage)).collect();
            threads.into_iter().all(|thread| thread.join().is_ok())
        });
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        let failure = failure.or_else(|| (!whole).then(|| Error::new(Kind::Internal, "a restore thread died")));
        match failure.map_or_else(|| options.cancel.check(), Err) {
            Ok(()) => Ok(()),
            Err(error) => {
                report.warnings.extend(self.discard());
                Err(error.cause("nothing in the target was changed"))
            }
        }
    }

    /// Puts every staged collection in place.
    pub fn switch(&mut self, options: &Options<'_>, report: &mut Report) -> Result<()> {
        options.events.emit(Event::Phase("switching"));
        for at in 0..self.work.len() {
            let switched = options.cancel.check().and_then(|()| {
                let work = &self.work[at];
                let staged =
                    work.staged.as_ref().ok_or_else(|| Error::new(Kind::Internal, "a collection was not staged"))?;
                self.target(&work.source)?.switch(staged, archive(&self.archives, work)?)
            });
            let work = &mut self.work[at];
            match switched {
                Ok(done) => {
                    report.warnings.extend(done.warnings.into_iter().map(|w| format!("{}: {w}", work.stored.name)));
                    report.collections.push(RestoredCollection {
                        documents: done.records,
                        created: done.records,
                        verified: done.verified,
                        ..planned(work)
                    });
                    work.staged = None;
                }
                Err(error) => return Err(self.stopped(at, error)),
            }
        }
        Ok(())
    }

    /// Says exactly what was and what was not changed.
    fn stopped(&mut self, at: usize, error: Error) -> Error {
        let name = |work: &Work| format!("{}.{}", work.source, work.stored.name);
        let mut details: Vec<_> = self.work[..at].iter().map(|w| format!("restored: {}", name(w))).collect();
        details.push(format!("failed: {}", name(&self.work[at])));
        details.extend(self.work[at + 1..].iter().map(|w| format!("unchanged: {}", name(w))));
        details.extend(self.discard());
        let changed = at > 0 || error.kind == Kind::TargetChanged;
        let kind = if changed { Kind::TargetChanged } else { error.kind };
        error.kind(kind).context("the restore stopped").details(details)
    }

    fn target(&self, source: &str) -> Result<&dyn Target> {
        target(&self.targets, source)
    }

    /// Removes what is staged; returns what could not be removed.
    fn discard(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        for at in 0..self.work.len() {
            let Some(staged) = self.work[at].staged.take() else { continue };
            if let Err(error) = self.target(&self.work[at].source).and_then(|target| target.discard(&staged)) {
                let name = staged.staging_name.as_deref().unwrap_or(&staged.name);
                left.push(format!("{name} could not be removed, drop it by hand: {error}"));
            }
        }
        left
    }
}

fn target<'t>(targets: &'t BTreeMap<String, Box<dyn Target>>, source: &str) -> Result<&'t dyn Target> {
    targets.get(source).map(AsRef::as_ref).ok_or_else(|| Error::new(Kind::Internal, "a target is not open"))
}

fn archive<'a>(archives: &'a [ArchiveReader], work: &Work) -> Result<&'a ArchiveReader> {
    archives.get(work.archive).ok_or_else(|| Error::new(Kind::Internal, "an archive is not open"))
}

fn stage_one(
    options: &Options<'_>,
    targets: &BTreeMap<String, Box<dyn Target>>,
    archives: &[ArchiveReader],
    work: &mut Work,
) -> Result<()> {
    let item = format!("{} {}", work.source, work.stored.name);
    options.events.emit(Event::Started { item: item.clone(), total: 0 });
    let staged = target(targets, &work.source)?
        .stage(&work.stored, archive(archives, work)?)
        .context(|| format!("cannot restore {} into source '{}'", work.stored.name, work.source));
    let (records, error) = match &staged {
        Ok(staged) => (staged.records, None),
        Err(error) => (0, Some(error.to_string())),
    };
    options.events.emit(Event::Finished { item, records, bytes: 0, error });
    work.staged = Some(staged?);
    Ok(())
}

fn open(options: &Options<'_>, name: &str) -> Result<Box<dyn Target>> {
    let unknown = || {
        Error::new(Kind::Config, format!("the backup holds source '{name}', which is not configured"))
            .hint("add it to `sources`, or restore with --to-directory")
    };
    let source = options.config.sources.get(name).ok_or_else(unknown)?;
    source::open_target(name, source, options.into.get(name).map(String::as_str), &options.cancel)
        .context(|| format!("cannot open the target of source '{name}'"))
}

fn unknown_sources(options: &Options<'_>, pieces: &[Piece]) -> Result<()> {
    let held: Vec<_> = pieces.iter().filter(|p| !p.is_files()).map(|p| p.component.name.as_str()).collect();
    match options.into.keys().find(|name| !held.contains(&name.as_str())) {
        Some(name) => Err(Error::new(Kind::Config, format!("--into {name}=…: this restore has no source '{name}'"))
            .hint(format!("its sources: {}", held.join(", ")))),
        None => Ok(()),
    }
}

fn stored(collection: &Collection, directory: &str) -> StoredCollection {
    StoredCollection {
        name: collection.name.clone(),
        directory: directory.to_owned(),
        records: collection.documents,
        digest: collection.record_digest.unwrap_or_default(),
    }
}

fn planned(work: &Work) -> RestoredCollection {
    RestoredCollection {
        source: work.source.clone(),
        name: work.stored.name.clone(),
        created: work.stored.records,
        overwritten: 0,
        deleted: 0,
        documents: 0,
        verified: false,
    }
}

fn refuse_data(work: &[Work], inventories: &BTreeMap<String, Inventory>) -> Result<()> {
    let mut details = Vec::new();
    for work in work {
        let there = inventories.get(&work.source).and_then(|inventory| inventory.items.get(&work.stored.name));
        match there {
            Some(item) if item.kind == ItemKind::View => {
                details.push(format!("{}.{} exists as a view", work.source, work.stored.name));
            }
            Some(item) if item.records > 0 => {
                details.push(format!("{}.{} holds {} records", work.source, work.stored.name, item.records));
            }
            _ => {}
        }
    }
    if details.is_empty() {
        return Ok(());
    }
    let error = Error::new(Kind::Refused, "the target holds data, and nothing was changed").details(details);
    Err(error.hint("restore beside it with `--into SOURCE=URI` or `--to-directory DIR`, or empty the target first"))
}
