//! Stores upload directories and extra files.
//!
//! Databases come first, so that every file a record names is there. Where all of them are read as of a moment that has
//! passed, files may be read beside them. If a snapshot is lost after that, they are read again.

use super::Component;
use super::stored::{self, Stored};
use crate::config::Consistency;
use crate::create::references::Named;
use crate::error::{Error, Kind, Result, counted};
use crate::event::{Amount, Event};
use crate::manifest::{self, ComponentStatus};
use crate::source;
use crate::source::files::{self, Trees};
use std::sync::PoisonError;

impl Component<'_, '_> {
    pub(super) fn files(mut self, trees: &Trees) -> Result<Stored> {
        let (views, references) = (&self.run.views, &self.run.plan.references);
        let is_beside = views.are_snapshots() && references.is_empty();
        if !is_beside {
            self.run.readers.wait_for_databases();
            self.cancel.check()?;
            self.name_files();
            // None is kept waiting while files are read.
            views.close();
        }
        let mut component = self.store_files(trees)?;
        if is_beside {
            self.run.readers.wait_for_databases();
            self.cancel.check()?;
            if !views.are_snapshots() {
                if let Some(relative) = &component.archive {
                    self.run.staging.remove(relative)?;
                }
                self.warnings.clear();
                component = self.store_files(trees)?;
            }
        }
        Ok(self.done(component))
    }

    /// Asks which files of common folders are the tenant's, once, while the views are open.
    fn name_files(&self) {
        let run = self.run;
        let mut known = run.named.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some() || run.plan.references.is_empty() {
            return;
        }
        // No database is read any more and no file so far: all readers are free.
        self.run.readers.go_on();
        let named = Named::ask(run.options.config, &run.plan.references, &mut |planned, again, each| {
            let rule = &planned.reference.rule;
            if again {
                if run.views.required(&rule.source) == Consistency::Required {
                    let what = format!("source '{}' lost its snapshot", rule.source);
                    return Err(Error::new(Kind::SnapshotLost, what));
                }
                run.views.lost(&rule.source)?;
            }
            let Some(wanted) = &planned.wanted else { return Ok(()) };
            run.views.of(&rule.source)?.texts(wanted, &rule.field, each)
        });
        *known = Some(named);
    }

    fn store_files(&mut self, trees: &Trees) -> Result<manifest::Component> {
        let (run, planned, mut component) = (self.run, self.planned, self.nothing_yet());
        for item in &planned.items {
            component.collections.push(stored::directory_record(item));
        }
        let named = run.named.lock().unwrap_or_else(PoisonError::into_inner);
        let found = named.as_ref().map(|named| named.of(trees)).transpose();
        drop(named);
        let trees = match found {
            Ok(named) => &named.unwrap_or_else(|| trees.clone()),
            Err(error) => {
                self.cancel.check()?;
                stored::fail_all(&mut component, planned, &error);
                return Ok(component);
            }
        };
        for record in component.collections.iter_mut().filter(|record| record.status == ComponentStatus::Absent) {
            let named = trees.named_in(&record.name);
            if named > 0 {
                record.status = ComponentStatus::Failed;
                record.error = Some(format!(
                    "does not exist, and records name {} in it: is the disk mounted?",
                    counted(named as u64, "file", "files")
                ));
            }
        }
        if !planned.items.iter().any(|item| item.exists) {
            stored::judge(&mut component);
            return Ok(component);
        }
        self.write_files(trees, &mut component)?;
        Ok(component)
    }

    fn write_files(&mut self, trees: &Trees, component: &mut manifest::Component) -> Result<()> {
        let (run, planned) = (self.run, self.planned);
        let (item, events) = (planned.archive.clone(), &run.options.events);
        let reader = self.place.reader(true);
        events.emit(Event::Started { item: item.clone(), total: planned.bytes });
        let relative = planned.file(run.algorithm());
        let text = source::recovery_text("files", "", run.algorithm());
        let writer = self.begin(&relative, &self.cancel, &text)?;
        let mut output = writer.unit();
        let mut progress = |_: &str, bytes| events.emit(Event::Advanced { item: item.clone(), bytes, records: 1 });
        let readers = if run.options.effort.throttle.is_some() { 1 } else { run.readers.at_once() };
        let stored = files::read(trees, readers, &mut output, &self.cancel, &mut progress)?;
        output.commit()?;
        drop(reader);
        self.run.readers.rest();
        let finished = writer.finish()?;
        let done = Amount { records: None, files: Some(stored.files), bytes: Some(stored.bytes) };
        let named = counted(stored.missing, "file", "files");
        let empty = (stored.files == 0 && stored.missing > 0 && trees.are_empty())
            .then(|| format!("records name {named}, and there is none at all: is the disk mounted?"));
        let error = (!stored.damaged.is_empty()).then(|| stored::damaged_files(&stored)).or(empty);
        if let Some(error) = &error {
            component.error = Some(error.clone());
        }
        events.emit(Event::Finished { item: item.clone(), done, error });
        if stored.excluded > 0 {
            let files = counted(stored.excluded, "file is", "files are");
            self.warnings.push(format!("{item}: {files} left out by rule; the manifest lists what is"));
        }
        if stored.missing > 0 {
            let samples = stored.missing_samples.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let files = counted(stored.missing, "file that is", "files that are");
            self.warnings.push(format!("{item}: records name {files} not there: {samples}"));
        }
        component.files = Some(stored);
        stored::judge(component);
        self.keep_or_remove(&relative, finished, component)
    }
}
