//! The restore itself: everything is proven, staged, and put in place, each step noted in the journal.

use super::super::{Options, Report, RestoredCollection, proof};
use super::work::Work;
use super::{Held, Live, archive, target};
use crate::error::{Context, Error, Kind, Result};
use crate::event::{Amount, Event};
use crate::pipeline::in_parallel;
use crate::repository::{Journal, Step};
use crate::source::{Input, Staged, Switched, Target};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

/// Collections that are staged at once where nobody says: more make one server no faster.
const WRITERS: usize = 2;

impl Live {
    /// Reads everything through, so that damage is known before anything is written.
    pub fn prove(&self, options: &Options<'_>) -> Result<()> {
        for (at, archive) in self.archives.iter().enumerate() {
            let works = self.work.iter().filter(|work| work.archive == at && work.done.is_none());
            let collections: Vec<_> = works.map(|work| (&work.whole, work.kind)).collect();
            if !collections.is_empty() {
                proof::prove(options, &archive.reader, &collections)?;
            }
        }
        Ok(())
    }

    /// Stages every collection beside the live ones. On failure nothing was changed, and what was staged is the
    /// caller's to sweep.
    pub fn stage(&mut self, options: &Options<'_>, journal: &Journal, report: &mut Report) -> Result<()> {
        options.events.emit(Event::Phase("staging"));
        for (source, target) in &self.targets {
            let prepared = target.prepare(&self.batch(source)?, journal.token());
            let warnings = prepared.context(|| format!("cannot restore into source '{source}'"))?;
            report.warnings.extend(warnings.into_iter().map(|line| format!("source '{source}': {line}")));
        }
        let (targets, archives) = (&self.targets, &self.archives);
        let mut works: Vec<&mut Work> = self.work.iter_mut().filter(|work| work.done.is_none()).collect();
        // The largest first: what is left at the end is small.
        works.sort_by_key(|work| Reverse(work.stored.records));
        let staged = in_parallel(options.jobs.unwrap_or(WRITERS), &options.cancel, works, |work, _| {
            stage_one(options, targets, archives, journal.token(), work)
        });
        match staged.and_then(|_| options.cancel.check()) {
            Ok(()) => Ok(()),
            Err(error) if journal.changed_something() => Err(error),
            Err(error) => Err(error.cause("nothing in the target was changed")),
        }
    }

    /// Puts every staged collection in place: those of a source together, where it does that at once.
    pub fn switch(&mut self, options: &Options<'_>, journal: &mut Journal, report: &mut Report) -> Result<()> {
        options.events.emit(Event::Phase("switching"));
        let mut at = 0;
        while at < self.work.len() {
            let steps = self.together(at)?;
            at = steps.end;
            let first = steps.start;
            let stopped = format!("the restore stopped at {}", self.work[first].title());
            match self.work[first].done.clone() {
                Some(done) => report.collections.push(done),
                None => {
                    let done = self.switch_batch(options, steps, journal, report).context(|| stopped)?;
                    report.collections.extend(done);
                }
            }
        }
        Ok(())
    }

    /// The steps from `first` that are put in place together.
    fn together(&self, first: usize) -> Result<Range<usize>> {
        let is_alone = |work: &Work| work.done.is_some();
        let work = &self.work[first];
        if is_alone(work) || !target(&self.targets, &work.source)?.is_at_once() {
            return Ok(first..first + 1);
        }
        let with = |other: &&Work| other.source == work.source && !is_alone(other);
        Ok(first..first + self.work[first..].iter().take_while(with).count())
    }

    fn switch_batch(
        &mut self,
        options: &Options<'_>,
        steps: Range<usize>,
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<Vec<RestoredCollection>> {
        options.cancel.check()?;
        let works = &self.work[steps.clone()];
        let mut batch: Vec<(&Staged, &dyn Input)> = Vec::new();
        for work in works {
            let staged = work.staged.as_ref();
            let staged = staged.ok_or_else(|| Error::new(Kind::Internal, "a collection was not staged"))?;
            batch.push((staged, archive(&self.archives, work)?));
        }
        for (work, (staged, _)) in works.iter().zip(&batch) {
            journal.switching(work.step, staged.identity.as_deref())?;
        }
        let switched = match target(&self.targets, &works[0].source)?.switch(&batch) {
            Ok(switched) => switched,
            Err(error) => {
                if error.kind != Kind::TargetChanged {
                    works.iter().try_for_each(|work| journal.unchanged(work.step))?;
                }
                return Err(error);
            }
        };
        let mut done = Vec::new();
        for (step, Switched { records, changes, verified, warnings }) in steps.zip(switched) {
            let work = &mut self.work[step];
            report.warnings.extend(warnings.into_iter().map(|warning| format!("{}: {warning}", work.stored.name)));
            work.staged = None;
            done.push(work.report(changes.unwrap_or(work.changes), records, verified));
            let noted = self.note(step, &done[done.len() - 1], journal);
            noted.map_err(|error| error.kind(Kind::TargetChanged))?;
        }
        Ok(done)
    }

    /// Notes what a dead run has put in place without being able to say so: before the traces by which that is known are
    /// swept away.
    pub fn note_done(&self, journal: &mut Journal) -> Result<()> {
        let done = self.work.iter().enumerate().filter_map(|(at, work)| Some((at, work.done.as_ref()?)));
        done.into_iter().try_for_each(|(at, done)| self.note(at, done, journal))
    }

    fn note(&self, at: usize, done: &RestoredCollection, journal: &mut Journal) -> Result<()> {
        let step = self.work[at].step;
        if matches!(journal.step(step), Step::Switched { .. }) {
            return Ok(());
        }
        let outcome = serde_json::to_value(done)
            .map_err(|e| Error::new(Kind::Internal, "a line of the journal cannot be written").cause(e))?;
        journal.switched(step, outcome)
    }
}

fn stage_one(
    options: &Options<'_>,
    targets: &BTreeMap<String, Box<dyn Target>>,
    archives: &[Held],
    token: &str,
    work: &mut Work,
) -> Result<()> {
    let item = format!("{} {}", work.source, work.stored.name);
    options.events.emit(Event::Started { item: item.clone(), total: 0 });
    let staged = target(targets, &work.source)?
        .stage(&work.stored, archive(archives, work)?, work.existing, token)
        .context(|| format!("cannot restore {} into source '{}'", work.stored.name, work.source));
    let done = Amount { records: staged.as_ref().ok().map(|staged| staged.records), ..Amount::default() };
    let error = staged.as_ref().err().map(ToString::to_string);
    options.events.emit(Event::Finished { item, done, error });
    work.staged = Some(staged?);
    Ok(())
}
