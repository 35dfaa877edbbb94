//! Restores collections into live databases: guards, staging, then the switch, collection by collection.

use super::choose::Piece;
use super::tenant::Held;
use super::{Existing, Options, Report, RestoredCollection, proof, safety};
use crate::config::Config;
use crate::error::{Context, Error, Kind, Result, counted};
use crate::event::{Amount, Event};
use crate::modules::Records;
use crate::pipeline::in_parallel;
use crate::repository::{Journal, Progress, Repository, Step};
use crate::source::{
    self, Changes, Input, Inventory, Item, ItemKind, Restoring, Staged, StoredCollection, Switched, Target,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Collections that are staged at once where nobody says: more make one server no faster.
const WRITERS: usize = 2;

/// The databases of a restore.
pub struct Live {
    targets: BTreeMap<String, Box<dyn Target>>,
    inventories: BTreeMap<String, Inventory>,
    archives: Vec<Held>,
    work: Vec<Work>,
    /// Every step and its title, also of what stays as it is: a rerun, to which more is there, has the same steps.
    steps: Vec<(String, String)>,
}

/// One collection on its way.
struct Work {
    /// Its number in the journal.
    step: usize,
    /// Why it stays as it is, where no earlier run of this restore has put it there.
    stays: Option<&'static str>,
    source: String,
    /// The backup and archive it is from.
    from: String,
    archive: usize,
    kind: Option<ItemKind>,
    stored: StoredCollection,
    /// All of the collection that is stored, where that is more than what is restored.
    whole: StoredCollection,
    /// What happens to what is there; nothing may be, where nothing is.
    existing: Existing,
    changes: Changes,
    staged: Option<Staged>,
    /// An earlier run of this restore has put it in place.
    done: Option<RestoredCollection>,
}

impl Work {
    fn report(&self, changes: Changes, documents: u64, verified: bool) -> RestoredCollection {
        let Changes { created, overwritten, deleted } = changes;
        let (source, name) = (self.source.clone(), self.stored.name.clone());
        RestoredCollection { source, name, created, overwritten, deleted, documents, verified }
    }

    /// Of a tenant that may have nothing there: its records join those of the others. How many it has there already.
    fn beside_others(&mut self, target: &dyn Target, input: &dyn Input) -> Result<u64> {
        let found = target
            .compare(&self.stored, input, Existing::Replace)
            .context(|| format!("cannot restore {} into source '{}'", self.stored.name, self.source))?;
        if found.overwritten + found.deleted == 0 {
            self.existing = Existing::Add;
            self.changes = Changes { created: found.created, ..Changes::default() };
        }
        Ok(found.overwritten + found.deleted)
    }

    /// Of what becomes another tenant's: a line on what stands in its way. Any other error stays one.
    fn is_taken(&self, error: Error) -> Result<String> {
        match self.stored.renaming.is_some() && error.kind == Kind::Refused {
            true => Ok(std::iter::once(error.to_string()).chain(error.details).collect::<Vec<_>>().join(": ")),
            false => Err(error),
        }
    }

    fn is_view(&self) -> bool {
        self.kind == Some(ItemKind::View)
    }

    /// Steps from its records to those that name their owner.
    fn depth(&self) -> usize {
        self.stored.scope.ownership().map_or(0, |ownership| ownership.via.len())
    }

    fn title(&self) -> String {
        format!("{}.{}", self.source, self.stored.name)
    }

    /// As the journal knows it.
    fn describe(&self) -> String {
        let of = self.stored.scope.ownership().map(|_| format!(" where {}", self.stored.scope.describe()));
        let was = self.stored.renaming.as_ref().map(|renaming| format!(", stored as {}'s", renaming.old.tenant));
        let (of, was) = (of.unwrap_or_default(), was.unwrap_or_default());
        format!("{} {} to {}{of}{was}", self.from, self.stored.name, self.source)
    }
}

impl Live {
    /// Connects.
    pub fn open(
        options: &Options<'_>,
        (config, repository): (&Config, &Repository),
        pieces: &[Piece],
        report: &mut Report,
    ) -> Result<Self> {
        let (targets, inventories) = (BTreeMap::new(), BTreeMap::new());
        let mut live = Self { targets, inventories, archives: Vec::new(), work: Vec::new(), steps: Vec::new() };
        unknown_sources(options, pieces)?;
        for piece in pieces.iter().filter(|piece| !piece.is_files()) {
            let name = &piece.component.name;
            if !live.targets.contains_key(name) {
                let target = open(options, config, name)?;
                let server = target.server();
                report.target.push(format!("{name}: {} {}", server.address, server.database));
                report.databases.push(server.database);
                let inventory = target.inventory().context(|| format!("cannot list {name}"))?;
                live.inventories.insert(name.clone(), inventory);
                live.targets.insert(name.clone(), target);
            }
            let held = Held::open(options, repository, piece)?;
            let archive = live.archives.len();
            let directory = piece.component.database.clone().unwrap_or_default();
            for collection in &piece.collections {
                let whole = collection.stored_in(&directory);
                let title = format!("{name}.{}", whole.name);
                let there = live.inventories.get(name).and_then(|inventory| inventory.items.get(&whole.name));
                let stays = there.and_then(|item| keeps_its_own(piece, &whole.name, item));
                let stored = match &piece.share {
                    Some(share) if collection.kind != Some(ItemKind::View) => {
                        share.cut(piece, &whole, &held).context(|| format!("cannot restore {title}"))?.0
                    }
                    _ => whole.clone(),
                };
                live.work.push(Work {
                    step: 0,
                    stays,
                    source: name.clone(),
                    from: piece.place(),
                    archive,
                    kind: collection.kind,
                    existing: Existing::Refuse,
                    changes: Changes { created: stored.records, ..Changes::default() },
                    stored,
                    whole,
                    staged: None,
                    done: None,
                });
            }
            live.archives.push(held);
        }
        // A view may name collections of this restore: definitions go last. What is put in place at once stays together.
        // Of a tenant's, children go before their parents: those that are there are found by way of these.
        let place = |work: &Work| (work.source.clone(), work.is_view(), Reverse(work.depth()));
        live.work.sort_by_key(place);
        live.work.iter_mut().enumerate().for_each(|(at, work)| work.step = at);
        live.steps = live.work.iter().map(|work| (work.describe(), work.title())).collect();
        Ok(live)
    }

    /// What is put in place, in order.
    pub fn steps(&self) -> impl Iterator<Item = String> {
        self.steps.iter().map(|(step, _)| step.clone())
    }

    /// What is put in place, for people, in order.
    pub fn titles(&self) -> impl Iterator<Item = String> {
        self.steps.iter().map(|(_, title)| title.clone())
    }

    /// The sources it writes to.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.targets.keys().map(String::as_str)
    }

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
    fn batch(&self, source: &str) -> Result<Vec<Restoring<'_>>> {
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

    /// The collections out of an archive that hold data which this restore changes.
    pub fn changed<'a>(&'a self, piece: &Piece) -> impl Iterator<Item = &'a str> {
        let from = piece.place();
        let changed = move |work: &&Work| {
            work.from == from && work.done.is_none() && safety::changes_what_is_there(work.existing)
        };
        self.work.iter().filter(changed).map(|work| work.stored.name.as_str())
    }

    /// Removes what this run, or a dead one, has left in staging.
    pub fn sweep(&self, token: &str) -> Result<()> {
        self.targets.values().try_for_each(|target| target.sweep(token).map(drop))
    }

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

fn target<'t>(targets: &'t BTreeMap<String, Box<dyn Target>>, source: &str) -> Result<&'t dyn Target> {
    targets.get(source).map(AsRef::as_ref).ok_or_else(|| Error::new(Kind::Internal, "a target is not open"))
}

fn archive<'a>(archives: &'a [Held], work: &Work) -> Result<&'a Held> {
    archives.get(work.archive).ok_or_else(no_archive)
}

/// Why something that is there stays as it is, when one tenant is restored.
fn keeps_its_own(piece: &Piece, name: &str, item: &Item) -> Option<&'static str> {
    let share = piece.share.as_ref()?;
    match share.of(name) {
        _ if item.kind == ItemKind::View => Some("it is a view, and no tenant's"),
        Records::All { shared: true } if item.records > 0 => Some("it is shared by all tenants"),
        _ => None,
    }
}

fn no_archive() -> Error {
    Error::new(Kind::Internal, "an archive is not open")
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

fn open(options: &Options<'_>, config: &Config, name: &str) -> Result<Box<dyn Target>> {
    let unknown = || {
        Error::new(Kind::Config, format!("the backup holds source '{name}', which is not configured"))
            .hint("add it to `sources`, or restore with --to-directory")
    };
    let source = config.sources.get(name).ok_or_else(unknown)?;
    source::open_target(name, source, &options.cancel).context(|| format!("cannot open the target of source '{name}'"))
}

fn unknown_sources(options: &Options<'_>, pieces: &[Piece]) -> Result<()> {
    let databases = pieces.iter().filter(|piece| !piece.is_files());
    let held: BTreeSet<_> = databases.map(|piece| piece.component.name.as_str()).collect();
    match options.into.keys().find(|name| !held.contains(name.as_str())) {
        Some(name) => Err(Error::new(Kind::Config, format!("--into {name}=…: this restore has no source '{name}'"))
            .hint(format!("its sources: {}", held.into_iter().collect::<Vec<_>>().join(", ")))),
        None => Ok(()),
    }
}
