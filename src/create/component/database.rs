//! Stores the collections of a database.

use super::stored::{self, Stored};
use super::{Component, Written};
use crate::archive::ArchiveWriter;
use crate::config::Consistency;
use crate::create::progress::Observed;
use crate::error::{Error, Kind, Result};
use crate::event::{Amount, Event};
use crate::manifest::{self, Server};
use crate::pipeline::Cancel;
use crate::source::{self, ReadCollection, View, Wanted};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What came of collections, by name.
type Results = BTreeMap<String, Result<ReadCollection>>;

impl<'a> Component<'_, 'a> {
    /// Reads it, and finishes its archive while others are read.
    pub(super) fn database(mut self) -> Result<Stored> {
        let mut component = self.nothing_yet();
        let written = self.read(&mut component)?;
        self.run.views.release(&self.planned.name);
        self.place.leave();
        if let Some(Written { relative, writer }) = written {
            self.run.readers.rest();
            let finished = writer.finish()?;
            stored::judge(&mut component);
            self.keep_or_remove(&relative, finished, &mut component)?;
        }
        Ok(self.done(component))
    }

    /// Reads all collections into a new archive; none where there is nothing to read.
    fn read(&mut self, component: &mut manifest::Component) -> Result<Option<Written<'a>>> {
        let (planned, views) = (self.planned, &self.run.views);
        if !planned.items.iter().any(|item| item.exists) {
            stored::nothing_there(component, planned);
            return Ok(None);
        }
        let lost = match self.read_from(&*views.of(&planned.name)?, component) {
            Err(error) if error.kind == Kind::SnapshotLost => error,
            read => return read.map(Some),
        };
        if views.required(&planned.name) == Consistency::Required {
            return Ok(self.none(component, &lost));
        }
        // Parts already written read at another moment: begin the archive again. So does each archive of the source that
        // is read meanwhile, when it finds out; what was read to its end is of the snapshot, and those that follow are not.
        self.warnings.push(format!(
            "source '{}' lost its snapshot while {} was read; its collections are now read one by one",
            planned.name, planned.archive
        ));
        self.place.again();
        *component = self.nothing_yet();
        let read = views.lost(&planned.name).and_then(|()| self.read_from(&*views.of(&planned.name)?, component));
        match read {
            // It fails, and no other: whatever else is stored is as good.
            Err(error) if matches!(error.kind, Kind::SnapshotLost | Kind::Source | Kind::Connect) => {
                self.cancel.check()?;
                Ok(self.none(component, &error))
            }
            read => read.map(Some),
        }
    }

    /// Nothing of it could be had.
    fn none(&self, component: &mut manifest::Component, error: &Error) -> Option<Written<'a>> {
        *component = self.nothing_yet();
        stored::fail_all(component, self.planned, error);
        None
    }

    fn read_from(&mut self, view: &dyn View, component: &mut manifest::Component) -> Result<Written<'a>> {
        let (run, planned) = (self.run, self.planned);
        let source = run.sources.get(&planned.name).ok_or_else(|| Error::new(Kind::Internal, "no source"))?;
        let server = source.server();
        let stamp = view.consistency();
        component.database = Some(server.database.clone());
        component.server = Some(Server { version: server.version, address: server.address });
        component.consistency = Some(manifest::Consistency { level: stamp.level, at: stamp.at });
        if let Some(reason) = stamp.reason {
            self.warnings.push(format!("source '{}' is read collection by collection: {reason}", planned.name));
        }

        let relative = planned.file(run.algorithm());
        let cancel = self.cancel.child();
        self.run.readers.go_on();
        let text = source::recovery_text(&planned.engine, &server.database, run.algorithm());
        let wanted: Vec<Wanted> = planned.items.iter().filter_map(|item| item.wanted()).collect();
        let mut units = view.units(&wanted);
        // The largest first: what is left at the end is small.
        let bytes: BTreeMap<&str, u64> = planned.items.iter().map(|item| (item.name.as_str(), item.bytes)).collect();
        let size = |wanted: &Wanted| bytes.get(wanted.name.as_str()).copied().unwrap_or_default();
        units.sort_by_cached_key(|unit| Reverse(unit.iter().map(size).sum::<u64>()));
        let writer = self.begin(&relative, &cancel, &text)?;
        let mut results = self.read_units(view, &writer, &cancel, units);
        self.cancel.check()?;
        if let Some(lost) = results.values().find_map(|r| r.as_ref().err().filter(|e| e.kind == Kind::SnapshotLost)) {
            drop(writer);
            run.staging.remove(&relative)?;
            return Err(lost.clone());
        }
        // Only of what was read whole: what else would be restored from is void.
        let is_whole = |w: &&Wanted| results.get(&w.name).is_some_and(Result::is_ok);
        let whole: Vec<Wanted> = wanted.iter().filter(is_whole).cloned().collect();
        let output = writer.unit();
        match view.describe(&whole, &output).and_then(|warnings| output.commit().map(|()| warnings)) {
            Ok(warnings) => {
                self.warnings.extend(warnings.into_iter().map(|line| format!("{}: {line}", planned.archive)));
            }
            Err(lost) if lost.kind == Kind::SnapshotLost => {
                drop(writer);
                run.staging.remove(&relative)?;
                return Err(lost);
            }
            Err(error) => results = wanted.iter().map(|w| (w.name.clone(), Err(error.clone()))).collect(),
        }
        for item in &planned.items {
            let (record, warnings) = stored::collection_record(item, results.get(&item.name));
            self.warnings.extend(warnings.into_iter().map(|w| format!("{}: {}: {w}", planned.archive, item.name)));
            component.collections.push(record);
        }
        Ok(Written { relative, writer })
    }

    fn read_units(
        &self,
        view: &dyn View,
        writer: &ArchiveWriter<'_>,
        cancel: &Cancel,
        units: Vec<Vec<Wanted>>,
    ) -> Results {
        let results = Mutex::new(Results::new());
        self.place.read(units, |unit| {
            let read = self.read_unit(view, writer, cancel, &unit);
            if read.values().any(|r| r.as_ref().is_err_and(|e| e.kind == Kind::SnapshotLost)) {
                cancel.stop();
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_unit(&self, view: &dyn View, writer: &ArchiveWriter<'_>, cancel: &Cancel, unit: &[Wanted]) -> Results {
        let planned = self.planned;
        let names: Vec<_> = unit.iter().map(|wanted| wanted.name.clone()).collect();
        let item = format!("{} {}", planned.archive, names.join(" "));
        let total = planned.items.iter().filter(|i| names.contains(&i.name)).map(|i| i.bytes).sum();
        let events = &self.run.options.events;
        events.emit(Event::Started { item: item.clone(), total });
        let output = writer.unit();
        let observed = Observed { inner: &output, events, item: item.clone() };
        let read = cancel.check().and_then(|()| view.read_helped(unit, &observed, &self.place));
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
}
