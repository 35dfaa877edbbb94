//! What a restore would change, before it changes anything.

use super::super::{Existing, Options, Report};
use super::work::Work;
use super::{Live, archive, no_archive, target};
use crate::error::{Context, Error, Kind, Result, counted};
use crate::repository::{Progress, Step};
use crate::source::{ItemKind, Restoring};

impl Live {
    /// Compares what is to be restored with what is there, counts, and refuses what was not allowed.
    pub fn plan(&mut self, options: &Options<'_>, progress: &Progress, report: &mut Report) -> Result<()> {
        let (mut refused, mut taken) = (Vec::new(), Vec::new());
        self.leave(progress, report);
        for work in &mut self.work {
            options.cancel.check()?;
            let target = target(&self.targets, &work.source)?;
            let archive = self.archives.get(work.archive).ok_or_else(no_archive)?;
            let state = progress.step(work.step);
            work.done = match &state {
                Step::Old => None,
                Step::Switched { outcome } => serde_json::from_value(outcome.clone()).ok(),
                Step::Switching { identity } => target
                    .resume(&work.stored, archive, identity.as_deref())?
                    .map(|done| work.report(done.changes.unwrap_or(work.changes), done.records, done.verified)),
            };
            let there = self.inventories.get(&work.source).and_then(|i| i.items.get(&work.stored.name));
            let there = there.filter(|item| item.records > 0 || item.kind == ItemKind::View);
            if let (Some(item), None) = (there, &work.done) {
                work.existing = match (options.existing, &state) {
                    // A dead run of this restore was filling it; nothing was there before.
                    (Existing::Refuse, Step::Switching { .. }) if item.kind == ItemKind::TimeSeries => {
                        Existing::Replace
                    }
                    (existing, _) => existing,
                };
                match (work.existing, item.kind) {
                    (Existing::Refuse, _) if work.stored.scope.ownership().is_some() => {
                        match work.beside_others(target, archive) {
                            Ok(0) => {}
                            Ok(n) => refused.push(format!(
                                "{} holds {} of the tenant",
                                work.title(),
                                counted(n, "record", "records")
                            )),
                            Err(error) => taken.push(work.is_taken(error)?),
                        }
                    }
                    (Existing::Refuse, ItemKind::View) => refused.push(format!("{} exists as a view", work.title())),
                    (Existing::Refuse, _) => {
                        refused.push(format!("{} holds {}", work.title(), counted(item.records, "record", "records")));
                    }
                    (existing, _) => {
                        let changes = target
                            .compare(&work.stored, archive, existing)
                            .context(|| format!("cannot restore {} into source '{}'", work.stored.name, work.source));
                        match changes {
                            Ok(changes) => work.changes = changes,
                            Err(error) => taken.push(work.is_taken(error)?),
                        }
                    }
                }
                let database = target.server().database;
                let is_whole = work.existing == Existing::Replace && work.stored.scope.ownership().is_none();
                if is_whole && !report.replaced_databases.contains(&database) {
                    report.replaced_databases.push(database);
                }
            }
            let planned = work.report(work.changes, 0, false);
            report.collections.push(work.done.clone().unwrap_or(planned));
        }
        if !taken.is_empty() {
            let what = "records of the other tenant would come into the place of others, and nothing was changed";
            let hint = "keys that do not hold the tenant's id stay as they are: clone it into another database, with --into SOURCE=URI";
            return Err(Error::new(Kind::Refused, what).details(taken).hint(hint));
        }
        if refused.is_empty() {
            self.examine(report)?;
            self.report_others(report);
            return Ok(());
        }
        let error = Error::new(Kind::Refused, "the target holds data, and nothing was changed").details(refused);
        Err(error.hint("say what happens to it with --existing add|merge|replace, or restore beside it with `--into SOURCE=URI` or `--to-directory DIR`"))
    }

    /// Leaves out what stays as it is.
    fn leave(&mut self, progress: &Progress, report: &mut Report) {
        self.work.retain(|work| match work.stays.filter(|_| progress.step(work.step) == Step::Old) {
            Some(why) => {
                report.warnings.push(format!("{} stays as it is: {why}", work.title()));
                false
            }
            None => true,
        });
    }

    /// Asks every target what stands in the way.
    fn examine(&self, report: &mut Report) -> Result<()> {
        for (source, target) in &self.targets {
            let batch = self.batch(source)?;
            let warnings = target.examine(&batch).context(|| format!("cannot restore into source '{source}'"))?;
            report.warnings.extend(warnings.into_iter().map(|line| format!("source '{source}': {line}")));
        }
        Ok(())
    }

    /// What is still to be restored into a source.
    pub(super) fn batch(&self, source: &str) -> Result<Vec<Restoring<'_>>> {
        let mut batch = Vec::new();
        for work in self.work.iter().filter(|work| work.source == source && work.done.is_none()) {
            let input = archive(&self.archives, work)?;
            batch.push(Restoring { stored: &work.stored, kind: work.kind, input, existing: work.existing });
        }
        Ok(batch)
    }

    /// Says who else may be at work in what is changed: what a program writes there meanwhile may be lost.
    fn report_others(&self, report: &mut Report) {
        for (source, target) in &self.targets {
            let changes =
                |work: &Work| work.source == *source && work.done.is_none() && work.existing != Existing::Refuse;
            if !self.work.iter().any(changes) {
                continue;
            }
            let lines = match target.others() {
                Ok(others) => others,
                Err(why) => vec![format!("whether other programs use it cannot be known: {why}")],
            };
            report.warnings.extend(lines.into_iter().map(|line| format!("source '{source}': {line}")));
        }
    }
}
