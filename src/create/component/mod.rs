//! Stores the components of a plan, several archives side by side, each read by several threads.
//!
//! ```text
//!  plan ─► Component (a thread) ─┬─ database: a view ─► units ─► readers ─┐
//!          next, as one is done  └─ files: trees, named files ─► a reader ┴► ArchiveWriter ─► fsync ─► proof ─► Stored
//! ```
//!
//! While an archive is finished and proven, which waits for the disk, the readers are at work on the next.

mod database;
mod files;
mod readers;
mod stored;
mod views;

pub use views::Views;

use super::references::Named;
use super::{Options, Part};
use crate::archive::{self, ArchiveWriter, Beginning};
use crate::config::Algorithm;
use crate::error::{Error, Kind, Result};
use crate::event::{Amount, Event};
use crate::manifest::{self, ComponentStatus, IndexPosition};
use crate::pipeline::{Cancel, Pool, in_parallel};
use crate::plan::{Plan, PlannedComponent, Sources};
use crate::repository::Staging;
use chrono::{DateTime, Utc};
use readers::{Place, Readers};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use stored::Stored;
use views::OpenViews;

/// What was stored.
pub struct StoredAll {
    /// One per planned component.
    pub components: Vec<manifest::Component>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Stores every component of `plan` into `staging`. What is wrong with a component is in its record. When the run cannot go
/// on, `cancel` is stopped, at which the sources look while they wait.
///
/// # Errors
/// When the run as a whole cannot go on: the disk failed, a signal came, a required snapshot cannot be had.
pub fn store_all(
    options: &Options<'_>,
    staging: &Staging,
    plan: &Plan,
    (sources, cancel): (&Sources, &Cancel),
    began: DateTime<Utc>,
    part: Option<Part<'_>>,
) -> Result<StoredAll> {
    let (batch, turn) = part.map_or((None, None), |part| (Some(part.batch), part.turn));
    let own = batch.is_none().then(|| options.effort.pool(options.config.compression)).transpose()?;
    let missing = || Error::new(Kind::Internal, "there is no pool of compress workers");
    let pool = batch.map(|batch| batch.pool).or(own.as_ref()).ok_or_else(missing)?;
    let are_databases = plan.components.iter().map(|planned| planned.trees.is_none());
    let mut readers = Readers::new(options.effort.readers, are_databases);
    // Where several runs are at work, they are what is done side by side.
    let mut archives = options.effort.archives();
    if let Some(batch) = batch {
        (readers, archives) = (readers.by_turns(batch.reading, turn), 1);
    }
    let views = OpenViews::open(options.config, plan, sources, batch.map(|batch| batch.views))?;
    let run = Run { options, staging, plan, sources, pool, began, readers, views, named: Mutex::new(None) };
    let planned = plan.components.iter().enumerate().map(|(at, planned)| (planned, run.readers.place(at))).collect();
    let failure = Mutex::new(None);
    let stored = in_parallel(archives, cancel, planned, |(planned, place), of_all| {
        let component = Component { run: &run, planned, place, cancel: of_all.clone(), warnings: Vec::new() };
        component.store().map_err(|error| {
            let error = match error.kind {
                Kind::Io | Kind::DiskFull => error.context(format!("cannot store {}", run.path_of(planned))),
                _ => error,
            };
            let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
            let first = first.get_or_insert(error).clone();
            // Whoever waits for a server is let go, and has less to say.
            cancel.stop();
            first
        })
    })?;
    options.effort.tell_passed(&options.events);
    Ok(run.sum_up(stored))
}

/// What the components of a run have in common.
struct Run<'a> {
    options: &'a Options<'a>,
    staging: &'a Staging,
    plan: &'a Plan,
    sources: &'a Sources,
    pool: &'a Pool,
    began: DateTime<Utc>,
    readers: Readers<'a>,
    views: OpenViews<'a>,
    /// Which files of common folders are the tenant's, once it was asked.
    named: Mutex<Option<Named>>,
}

impl Run<'_> {
    fn algorithm(&self) -> Algorithm {
        self.options.config.compression.algorithm
    }

    fn path_of(&self, planned: &PlannedComponent) -> String {
        self.staging.path().join(planned.file(self.algorithm())).display().to_string()
    }

    /// All in the order of the plan, whichever was done first.
    fn sum_up(self, stored: Vec<Stored>) -> StoredAll {
        let mut all = StoredAll { components: Vec::new(), warnings: Vec::new() };
        let mut named = self.named.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(named) = &mut named {
            let of = |name: &str| {
                let mut collections = stored.iter().flat_map(|stored| &stored.component.collections);
                collections.find(|collection| collection.name == name).map_or(0, |collection| collection.documents)
            };
            named.warn_of_silence(of);
        }
        // What is said of a source is said once.
        let mut said = BTreeSet::new();
        for (stored, planned) in stored.into_iter().zip(&self.plan.components) {
            if let Some(named) = named.take_if(|_| planned.trees.is_some()) {
                all.warnings.extend(named.warnings);
            }
            all.warnings.extend(stored.warnings.into_iter().filter(|line| said.insert(line.clone())));
            all.components.push(stored.component);
        }
        all
    }
}

/// One that is being stored.
struct Component<'r, 'a> {
    run: &'r Run<'a>,
    planned: &'a PlannedComponent,
    place: Place<'r, 'a>,
    /// Ends with the run, and when another component ends the run.
    cancel: Cancel,
    warnings: Vec<String>,
}

/// An archive of which everything is read.
struct Written<'a> {
    relative: String,
    writer: ArchiveWriter<'a>,
}

impl<'a> Component<'_, 'a> {
    fn store(self) -> Result<Stored> {
        match &self.planned.trees {
            _ if self.planned.refused => Ok(self.refuse()),
            Some(trees) => self.files(trees),
            None => self.database(),
        }
    }

    /// Nothing of it is written: it may not be in clear.
    fn refuse(self) -> Stored {
        if self.planned.trees.is_none() {
            self.run.views.release(&self.planned.name);
        }
        let mut component = self.nothing_yet();
        let what = "it must be encrypted (`encrypt: required`), but nobody to encrypt it to is configured";
        stored::fail_all(&mut component, self.planned, &Error::new(Kind::Key, what));
        let (item, error) = (self.planned.archive.clone(), Some(what.to_owned()));
        self.run.options.events.emit(Event::Finished { item, done: Amount::default(), error });
        self.done(component)
    }

    fn nothing_yet(&self) -> manifest::Component {
        stored::nothing_yet(self.planned, (self.run.options.now)())
    }

    fn done(self, component: manifest::Component) -> Stored {
        Stored { component, warnings: self.warnings }
    }

    fn begin(&self, relative: &str, cancel: &Cancel, restore_text: &str) -> Result<ArchiveWriter<'a>> {
        let file = self.run.staging.create(relative)?;
        let beginning = Beginning {
            mtime: self.run.began.timestamp(),
            restore_text,
            recipients: &self.planned.encrypted_to,
            throttle: self.run.options.effort.throttle.as_ref(),
        };
        let path = self.run.staging.path().join(relative);
        ArchiveWriter::begin(file, &path, self.run.pool, cancel.clone(), beginning)
    }

    /// Proves a finished archive from disk and records it; one that holds nothing usable is removed.
    fn keep_or_remove(
        &self,
        relative: &str,
        finished: archive::Finished,
        component: &mut manifest::Component,
    ) -> Result<()> {
        let Run { options, staging, .. } = self.run;
        if component.status == ComponentStatus::Failed && component.collections_included.is_empty() {
            return staging.remove(relative);
        }
        options.events.emit(Event::Detail(format!("reading {relative} back from disk")));
        archive::prove(&staging.path().join(relative), &finished.written, finished.reread, &self.cancel)?;
        component.archive = Some(relative.to_owned());
        component.size = finished.stored.size;
        component.sha256 = Some(finished.stored.sha256);
        component.index = Some(IndexPosition {
            offset: finished.index_offset,
            length: finished.index_length,
            sha256: finished.index_sha256,
        });
        component.timestamp = (options.now)();
        Ok(())
    }
}
