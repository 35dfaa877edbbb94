//! Restores collections into live databases: guards, staging, then the switch, collection by collection.

mod apply;
mod plan;
mod work;

use super::choose::Piece;
use super::tenant::Held;
use super::{Existing, Options, Report, safety};
use crate::config::Config;
use crate::error::{Context, Error, Kind, Result};
use crate::modules::Records;
use crate::repository::Repository;
use crate::source::{self, Changes, Inventory, Item, ItemKind, Target};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use work::Work;

/// The databases of a restore.
pub struct Live {
    targets: BTreeMap<String, Box<dyn Target>>,
    inventories: BTreeMap<String, Inventory>,
    archives: Vec<Held>,
    work: Vec<Work>,
    /// Every step and its title, also of what stays as it is: a rerun, to which more is there, has the same steps.
    steps: Vec<(String, String)>,
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
