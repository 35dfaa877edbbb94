//! Stores the components of a plan, one archive after the other, each read by several threads.

use super::progress::Observed;
use super::references::Named;
use super::turns::{Turn, Turns};
use super::{Options, Part};
use crate::archive::{self, ArchiveWriter, Beginning, Finished};
use crate::config::{Algorithm, Consistency};
use crate::error::{Context, Error, Kind, Result};
use crate::event::{Amount, Event};
use crate::manifest::{self, Collection, Component, ComponentStatus, Files, IndexPosition};
use crate::pipeline::{Cancel, Pool};
use crate::plan::{Plan, PlannedComponent, PlannedItem, Sources};
use crate::repository::Staging;
use crate::source::{self, Level, ReadCollection, View, Wanted, files};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What was stored.
pub struct StoredAll {
    /// One per planned component.
    pub components: Vec<Component>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Stores every component of `plan` into `staging`. What is wrong with a component is in its record.
///
/// # Errors
/// When the run as a whole cannot go on: the disk failed, a signal came, a required snapshot cannot be had.
pub fn store_all(
    options: &Options<'_>,
    staging: &Staging,
    plan: &Plan,
    sources: &Sources,
    began: DateTime<Utc>,
    part: Option<Part<'_>>,
) -> Result<StoredAll> {
    let (batch, turn) = part.map_or((None, None), |part| (Some(part.batch), part.turn));
    let own = batch.is_none().then(|| options.effort.pool(options.config.compression)).transpose()?;
    let missing = || Error::new(Kind::Internal, "there is no pool of compress workers");
    let pool = batch.map(|batch| batch.pool).or(own.as_ref()).ok_or_else(missing)?;
    let (shared, turns) = (batch.map(|batch| batch.views), batch.map(|batch| batch.reading));
    let (views, warnings, named) = (Views::new(), Vec::new(), None);
    let mut run = Run { options, staging, plan, sources, pool, began, shared, turns, turn, views, named, warnings };
    run.open_views()?;
    let mut components = Vec::new();
    for planned in &plan.components {
        options.cancel.check()?;
        let stored = match &planned.trees {
            _ if planned.refused => Ok(run.refuse(planned)),
            Some(trees) => {
                // Databases come first: none is kept waiting while files are read.
                run.name_files(&components);
                run.views.clear();
                run.files(planned, trees)
            }
            None => run.database(planned),
        };
        components.push(stored.map_err(|error| match error.kind {
            Kind::Io | Kind::DiskFull => error.context(format!("cannot store {}", run.path_of(planned).display())),
            _ => error,
        })?);
    }
    options.effort.tell_passed(&options.events);
    Ok(StoredAll { components, warnings: run.warnings })
}

/// Waits for a turn to read, where there are such, unless it is had.
fn go_on<'a>(turn: &mut Option<Turn<'a>>, turns: Option<&'a Turns>) {
    if turn.is_none() {
        *turn = turns.map(Turns::go_on);
    }
}

/// Open views, by the name of their source.
pub type Views<'a> = BTreeMap<&'a str, Box<dyn View + 'a>>;

struct Run<'a> {
    options: &'a Options<'a>,
    staging: &'a Staging,
    plan: &'a Plan,
    sources: &'a Sources,
    pool: &'a Pool,
    began: DateTime<Utc>,
    /// What several runs read from.
    shared: Option<&'a Views<'a>>,
    /// Where several runs are at work, who reads waits for a turn.
    turns: Option<&'a Turns>,
    /// Its turn, while it has it.
    turn: Option<Turn<'a>>,
    /// What this one alone does.
    views: Views<'a>,
    /// Which files of common folders are the tenant's, once it was asked.
    named: Option<Named>,
    warnings: Vec<String>,
}

impl<'a> Run<'a> {
    /// One view a source, over every collection of it in any component: modules agree with each other.
    fn open_views(&mut self) -> Result<()> {
        for name in
            self.sources.keys().filter(|name| !self.shared.is_some_and(|views| views.contains_key(name.as_str())))
        {
            let view = self.open_view(name, Level::Snapshot)?;
            self.views.insert(name, view);
        }
        Ok(())
    }

    fn open_view(&self, name: &str, at_most: Level) -> Result<Box<dyn View + 'a>> {
        let source = self.sources.get(name).ok_or_else(|| Error::new(Kind::Internal, "a source is not open"))?;
        let components = self.plan.components.iter().filter(|c| c.trees.is_none() && c.name == name);
        let mut wanted: Vec<_> = components.flat_map(|c| &c.items).filter_map(PlannedItem::wanted).collect();
        let asked = self.plan.references.iter().filter(|planned| planned.reference.rule.source == name);
        for asked in asked.filter_map(|planned| planned.wanted.as_ref()) {
            if !wanted.iter().any(|wanted| wanted.name == asked.name) {
                wanted.push(asked.clone());
            }
        }
        source
            .open_view(&wanted, self.required(name), at_most)
            .context(|| format!("cannot begin to read source '{name}'"))
    }

    fn required(&self, name: &str) -> Consistency {
        self.options.config.sources.get(name).map(|source| source.engine.consistency()).unwrap_or_default()
    }

    fn database(&mut self, planned: &'a PlannedComponent) -> Result<Component> {
        let mut component = self.component(planned);
        if !planned.items.iter().any(|item| item.exists) {
            nothing_there(&mut component, planned);
            return Ok(component);
        }
        let lost = match self.read(planned, &mut component) {
            Err(error) if error.kind == Kind::SnapshotLost => error,
            done => return done.map(|()| component),
        };
        if self.required(&planned.name) == Consistency::Required {
            component.error = Some(lost.to_string());
            fail_all(&mut component, planned, &lost);
            return Ok(component);
        }
        // Parts already written read at another moment: begin the archive again, and the source's later ones with it.
        self.warnings.push(format!(
            "source '{}' lost its snapshot while {} was read; its collections are now read one by one",
            planned.name, planned.archive
        ));
        let view = self.open_view(&planned.name, Level::Collection)?;
        self.views.insert(&planned.name, view);
        let mut component = self.component(planned);
        self.read(planned, &mut component)?;
        Ok(component)
    }

    /// Reads all collections of a component into a new archive.
    fn read(&mut self, planned: &PlannedComponent, component: &mut Component) -> Result<()> {
        let name = planned.name.as_str();
        let view = view_of(&self.views, self.shared, name)?;
        let source = self.sources.get(&planned.name).ok_or_else(|| Error::new(Kind::Internal, "no source"))?;
        let server = source.server();
        let stamp = view.consistency();
        component.database = Some(server.database.clone());
        component.server = Some(manifest::Server { version: server.version, address: server.address });
        component.consistency = Some(manifest::Consistency { level: stamp.level, at: stamp.at });
        if let Some(reason) = stamp.reason {
            let line = format!("source '{}' is read collection by collection: {reason}", planned.name);
            if !self.warnings.contains(&line) {
                self.warnings.push(line);
            }
        }

        let relative = planned.file(self.algorithm());
        let cancel = self.options.cancel.child();
        go_on(&mut self.turn, self.turns);
        let text = source::recovery_text(&planned.engine, &server.database, self.algorithm());
        let writer = self.begin(planned, &relative, &cancel, &text)?;
        let wanted: Vec<Wanted> = planned.items.iter().filter_map(PlannedItem::wanted).collect();
        let mut results = self.read_units(planned, view, &writer, &cancel, view.units(&wanted));
        self.options.cancel.check()?;
        if let Some(lost) = results.iter().find_map(|(_, r)| r.as_ref().err().filter(|e| e.kind == Kind::SnapshotLost))
        {
            drop(writer);
            self.staging.remove(&relative)?;
            return Err(lost.clone());
        }
        // Only of what was read whole: what else would be restored from is void.
        let is_whole = |w: &&Wanted| results.iter().any(|(name, result)| *name == w.name && result.is_ok());
        let whole: Vec<Wanted> = wanted.iter().filter(is_whole).cloned().collect();
        let output = writer.unit();
        match view.describe(&whole, &output).and_then(|warnings| output.commit().map(|()| warnings)) {
            Ok(warnings) => {
                self.warnings.extend(warnings.into_iter().map(|line| format!("{}: {line}", planned.archive)));
            }
            Err(error) => results = wanted.iter().map(|w| (w.name.clone(), Err(error.clone()))).collect(),
        }
        for item in &planned.items {
            let result = results.iter().find(|(name, _)| *name == item.name).map(|(_, result)| result);
            let (record, warnings) = collection_record(item, result);
            self.warnings.extend(warnings.into_iter().map(|w| format!("{}: {}: {w}", planned.archive, item.name)));
            component.collections.push(record);
        }
        // What follows waits for the disk.
        self.turn = None;
        let finished = writer.finish()?;
        judge(component);
        self.keep_or_remove(&relative, finished, component)
    }

    fn read_units(
        &self,
        planned: &PlannedComponent,
        view: &dyn View,
        writer: &ArchiveWriter<'_>,
        cancel: &Cancel,
        units: Vec<Vec<Wanted>>,
    ) -> Vec<(String, Result<ReadCollection>)> {
        // Where several runs are at work, they are the readers.
        let threads = if self.turns.is_some() { 1 } else { self.options.effort.readers.min(units.len()) };
        let queue = Mutex::new(units.into_iter());
        let results = Mutex::new(Vec::new());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            while let Some(unit) = next() {
                let read = self.read_unit(planned, view, writer, cancel, &unit);
                if read.iter().any(|(_, r)| r.as_ref().is_err_and(|e| e.kind == Kind::SnapshotLost)) {
                    cancel.stop();
                }
                results.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
            }
        };
        if threads == 1 {
            work();
            return results.into_inner().unwrap_or_else(PoisonError::into_inner);
        }
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            // A reader that panicked leaves its collections without a result, which counts as failed.
            handles.into_iter().for_each(|handle| drop(handle.join()));
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_unit(
        &self,
        planned: &PlannedComponent,
        view: &dyn View,
        writer: &ArchiveWriter<'_>,
        cancel: &Cancel,
        unit: &[Wanted],
    ) -> Vec<(String, Result<ReadCollection>)> {
        let names: Vec<_> = unit.iter().map(|wanted| wanted.name.clone()).collect();
        let item = format!("{} {}", planned.archive, names.join(" "));
        let total = planned.items.iter().filter(|i| names.contains(&i.name)).map(|i| i.bytes).sum();
        let events = &self.options.events;
        events.emit(Event::Started { item: item.clone(), total });
        let output = writer.unit();
        let observed = Observed { inner: &output, events, item: item.clone() };
        let read = cancel.check().and_then(|()| view.read(unit, &observed));
        let read = read.and_then(|read| output.commit().map(|()| read));
        let (records, bytes) = read.iter().flatten().fold((0, 0), |(n, bytes), r| (n + r.records, bytes + r.bytes));
        let done = Amount { records: Some(records), files: None, bytes: Some(bytes) };
        let error = read.as_ref().err().map(ToString::to_string);
        events.emit(Event::Finished { item, done, error });
        match read {
            Ok(read) => read.into_iter().map(|r| (r.name.clone(), Ok(r))).collect(),
            Err(error) => names.into_iter().map(|name| (name, Err(error.clone()))).collect(),
        }
    }

    /// Asks which files of common folders are the tenant's, once, while the views are open.
    fn name_files(&mut self, stored: &[Component]) {
        if self.named.is_some() || self.plan.references.is_empty() {
            return;
        }
        let plan = self.plan;
        go_on(&mut self.turn, self.turns);
        let mut named = Named::ask(self.options.config, &plan.references, &mut |planned, again, each| {
            let rule = &planned.reference.rule;
            if again {
                if self.required(&rule.source) == Consistency::Required {
                    let what = format!("source '{}' lost its snapshot", rule.source);
                    return Err(Error::new(Kind::SnapshotLost, what));
                }
                let mut names = plan.references.iter().map(|planned| planned.reference.rule.source.as_str());
                let view = self.open_view(&rule.source, Level::Collection)?;
                self.views.extend(names.find(|name| *name == rule.source).map(|name| (name, view)));
            }
            let Some(wanted) = &planned.wanted else { return Ok(()) };
            view_of(&self.views, self.shared, &rule.source)?.texts(wanted, &rule.field, each)
        });
        let of =
            |name: &str| stored.iter().flat_map(|c| &c.collections).find(|c| c.name == name).map_or(0, |c| c.documents);
        named.warn_of_silence(of);
        self.warnings.append(&mut named.warnings);
        self.named = Some(named);
    }

    fn files(&mut self, planned: &PlannedComponent, trees: &files::Trees) -> Result<Component> {
        let mut component = self.component(planned);
        for item in &planned.items {
            component.collections.push(directory_record(item));
        }
        let trees = match self.named.as_ref().map(|named| named.of(trees)).transpose() {
            Ok(named) => &named.unwrap_or_else(|| trees.clone()),
            Err(error) => {
                self.options.cancel.check()?;
                component.collections.clear();
                fail_all(&mut component, planned, &error);
                component.error = Some(error.to_string());
                return Ok(component);
            }
        };
        for record in component.collections.iter_mut().filter(|record| record.status == ComponentStatus::Absent) {
            let named = trees.named_in(&record.name);
            if named > 0 {
                record.status = ComponentStatus::Failed;
                record.error =
                    Some(format!("does not exist, and records name {named} files in it: is the disk mounted?"));
            }
        }
        if !planned.items.iter().any(|item| item.exists) {
            judge(&mut component);
            return Ok(component);
        }
        let events = &self.options.events;
        let item = planned.archive.clone();
        events.emit(Event::Started { item: item.clone(), total: planned.bytes });
        let relative = planned.file(self.algorithm());
        go_on(&mut self.turn, self.turns);
        let text = source::recovery_text("files", "", self.algorithm());
        let writer = self.begin(planned, &relative, &self.options.cancel, &text)?;
        let mut output = writer.unit();
        let mut progress = |_: &str, bytes| events.emit(Event::Advanced { item: item.clone(), bytes, records: 1 });
        // Where several runs are at work, they are the readers; what is held back is not read ahead.
        let alone = self.turns.is_some() || self.options.effort.throttle.is_some();
        let readers = if alone { 1 } else { self.options.effort.readers };
        let stored = files::read(trees, readers, &mut output, &self.options.cancel, &mut progress)?;
        output.commit()?;
        self.turn = None;
        let finished = writer.finish()?;
        let done = Amount { records: None, files: Some(stored.files), bytes: Some(stored.bytes) };
        let empty = (stored.files == 0 && stored.missing > 0 && trees.are_empty())
            .then(|| format!("records name {} files, and there is none at all: is the disk mounted?", stored.missing));
        let error = (!stored.damaged.is_empty()).then(|| damaged_files(&stored)).or(empty);
        if let Some(error) = &error {
            component.error = Some(error.clone());
        }
        events.emit(Event::Finished { item: item.clone(), done, error });
        if stored.excluded > 0 {
            self.warnings
                .push(format!("{item}: {} files are left out by rule; the manifest lists them", stored.excluded));
        }
        if stored.missing > 0 {
            let samples = stored.missing_samples.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            self.warnings.push(format!("{item}: records name {} files that are not there: {samples}", stored.missing));
        }
        component.files = Some(stored);
        judge(&mut component);
        self.keep_or_remove(&relative, finished, &mut component)?;
        Ok(component)
    }

    fn algorithm(&self) -> Algorithm {
        self.options.config.compression.algorithm
    }

    fn path_of(&self, planned: &PlannedComponent) -> PathBuf {
        self.staging.path().join(planned.file(self.algorithm()))
    }

    /// Nothing of it is written: it may not be in clear.
    fn refuse(&self, planned: &PlannedComponent) -> Component {
        let mut component = self.component(planned);
        let what = "it must be encrypted (`encrypt: required`), but nobody to encrypt it to is configured";
        fail_all(&mut component, planned, &Error::new(Kind::Key, what));
        component.error = Some(what.to_owned());
        let (item, error) = (planned.archive.clone(), Some(what.to_owned()));
        self.options.events.emit(Event::Finished { item, done: Amount::default(), error });
        component
    }

    fn begin(
        &self,
        planned: &PlannedComponent,
        relative: &str,
        cancel: &Cancel,
        restore_text: &str,
    ) -> Result<ArchiveWriter<'a>> {
        let file = self.staging.create(relative)?;
        let beginning = Beginning {
            mtime: self.began.timestamp(),
            restore_text,
            recipients: &planned.encrypted_to,
            throttle: self.options.effort.throttle.as_ref(),
        };
        ArchiveWriter::begin(file, &self.staging.path().join(relative), self.pool, cancel.clone(), beginning)
    }

    /// Proves a finished archive from disk and records it; one that holds nothing usable is removed.
    fn keep_or_remove(&self, relative: &str, finished: Finished, component: &mut Component) -> Result<()> {
        if component.status == ComponentStatus::Failed && component.collections_included.is_empty() {
            return self.staging.remove(relative);
        }
        self.options.events.emit(Event::Detail(format!("reading {relative} back from disk")));
        archive::prove(&self.staging.path().join(relative), &finished.stored, finished.reread, &self.options.cancel)?;
        component.archive = Some(relative.to_owned());
        component.size = finished.stored.size;
        component.sha256 = Some(finished.stored.sha256);
        component.index = Some(IndexPosition {
            offset: finished.index_offset,
            length: finished.index_length,
            sha256: finished.index_sha256,
        });
        component.timestamp = (self.options.now)();
        Ok(())
    }

    fn component(&self, planned: &PlannedComponent) -> Component {
        Component {
            engine: planned.engine.clone(),
            name: planned.name.clone(),
            module: planned.module.clone(),
            shared_by: planned.shared_by.clone(),
            database: None,
            status: ComponentStatus::Failed,
            error: None,
            archive: None,
            size: 0,
            sha256: None,
            index: None,
            encrypted: !planned.encrypted_to.is_empty(),
            encrypted_to: planned.encrypted_to.names(),
            module_aware: true,
            collections_included: Vec::new(),
            consistency: None,
            server: None,
            collections: Vec::new(),
            files: None,
            timestamp: (self.options.now)(),
        }
    }
}

/// The view of a source: this run's own, else the one it was lent.
fn view_of<'v, 'a>(own: &'v Views<'a>, shared: Option<&'v Views<'a>>, name: &str) -> Result<&'v (dyn View + 'a)> {
    let view = own.get(name).or_else(|| shared?.get(name));
    view.map(AsRef::as_ref).ok_or_else(|| Error::new(Kind::Internal, "no view"))
}

fn damaged_files(files: &Files) -> String {
    format!("{} files could not be stored in full, the first: {}", files.damaged.len(), files.damaged[0])
}

/// A component of which nothing exists: absent when all of it is optional, else failed; never zero.
fn nothing_there(component: &mut Component, planned: &PlannedComponent) {
    component.collections = planned.items.iter().map(|item| collection_record(item, None).0).collect();
    judge(component);
    if planned.items.is_empty() {
        component.status = ComponentStatus::Failed;
        component.error = Some("the database holds no collections, or does not exist".into());
    }
}

fn fail_all(component: &mut Component, planned: &PlannedComponent, error: &Error) {
    component.collections =
        planned.items.iter().map(|item| collection_record(item, Some(&Err(error.clone()))).0).collect();
    judge(component);
}

fn collection_record(item: &PlannedItem, result: Option<&Result<ReadCollection>>) -> (Collection, Vec<String>) {
    let mut record = Collection {
        name: item.name.clone(),
        kind: item.kind,
        status: ComponentStatus::Failed,
        error: None,
        documents: 0,
        bytes: 0,
        record_digest: None,
        tenant_rule: item.records.describe(),
    };
    match result {
        Some(Ok(read)) => {
            record.status = ComponentStatus::Complete;
            (record.documents, record.bytes, record.record_digest) = (read.records, read.bytes, Some(read.digest));
            return (record, read.warnings.clone());
        }
        Some(Err(error)) => record.error = Some(error.to_string()),
        None if item.exists => record.error = Some("its reader died".into()),
        // It is no use to make it optional: it would be left out for ever.
        None if item.instead.is_some() => record.error.clone_from(&item.instead),
        None if item.optional => record.status = ComponentStatus::Absent,
        None => record.error = Some("does not exist (declare it `optional: true` if that is right)".into()),
    }
    (record, Vec::new())
}

fn directory_record(item: &PlannedItem) -> Collection {
    let (mut record, _) = collection_record(item, None);
    if item.exists {
        (record.status, record.error) = (ComponentStatus::Complete, None);
    } else if record.status == ComponentStatus::Failed {
        record.error = Some("does not exist: is the disk mounted, and the path right?".into());
    }
    record
}

/// A component is failed when anything in it is, absent when all of it is, complete otherwise.
fn judge(component: &mut Component) {
    let of = |status| component.collections.iter().filter(move |c| c.status == status);
    component.collections_included = of(ComponentStatus::Complete).map(|c| c.name.clone()).collect();
    component.status = if component.error.is_some() || of(ComponentStatus::Failed).next().is_some() {
        ComponentStatus::Failed
    } else if component.collections_included.is_empty() {
        ComponentStatus::Absent
    } else {
        ComponentStatus::Complete
    };
    if component.status == ComponentStatus::Failed && component.error.is_none() {
        let failed: Vec<_> = of(ComponentStatus::Failed).map(|c| c.name.as_str()).collect();
        component.error = Some(format!("not stored in full: {}", failed.join(", ")));
    }
}
