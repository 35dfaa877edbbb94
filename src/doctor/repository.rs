//! The repository: is it there, may it be written to, is there room, what is left over, and does time pass in it.

use super::{Finding, Options, Stored};
use crate::event::bytes;
use crate::repository::{Catalog, Repository};
use chrono::{DateTime, TimeDelta, Utc};
use std::path::Path;

/// A newest backup that began this much later than now was made by another clock.
const SKEW: TimeDelta = TimeDelta::seconds(60);

pub(super) fn look(options: &Options<'_>, stored: &Stored) -> Vec<Finding> {
    let settings = &options.config.repository;
    let repository = match &stored.repository {
        Ok(repository) => repository,
        // `create` makes one where nothing is, unless a certain one is expected.
        Err(_) if settings.id.is_none() && settings.location.symlink_metadata().is_err() => {
            return vec![fresh(&settings.location)];
        }
        Err(error) => return vec![Finding::from(error)],
    };
    let shown = repository.location().display();
    let mut found = vec![Finding::ok(format!("{shown} is repository {}", repository.id()))];
    if settings.id.is_none() {
        found.push(Finding::warning(
            "any repository at that path will do: that of another disk, too",
            format!("name this one in the configuration: repository: {{id: {}}}", repository.id()),
        ));
    }
    found.push(writable(repository.location()));
    match &stored.catalog {
        Ok(catalog) => {
            found.extend(room(repository, catalog));
            found.extend(newest(catalog, (options.now)()));
            found.extend(leftovers(catalog));
            if repository.is_being_cleared() {
                found.push(Finding::warning(
                    "a prune or a removal has it to itself now",
                    "whatever begins meanwhile waits as long as --wait says; `ps` shows whether it is alive",
                ));
            }
        }
        Err(error) => found.extend(error.iter().map(Finding::from)),
    }
    found
}

/// Nothing is there yet: the folder above must let us make it.
fn fresh(location: &Path) -> Finding {
    let above = location.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    match writable(above) {
        Finding { outcome: super::Outcome::Ok, .. } => Finding::warning(
            format!("there is no repository at {} yet", location.display()),
            "`backup create` makes it",
        ),
        refused => refused,
    }
}

/// A file without a name is made there, and is gone with its descriptor: nothing stays behind.
fn writable(folder: &Path) -> Finding {
    match tempfile::tempfile_in(folder) {
        Ok(_) => Finding::ok("it may be written to"),
        Err(error) => Finding::from(&crate::error::Error::io("write to", folder, &error)),
    }
}

fn room(repository: &Repository, catalog: &Catalog) -> Option<Finding> {
    let free = match repository.free_space() {
        Ok(free) => free,
        Err(error) => return Some(Finding::from(&error)),
    };
    let systems = catalog.backups.iter().filter(|entry| entry.id.scope().tenant().is_none());
    let last = systems.map(|entry| entry.summary.totals.stored_bytes).take(3).max()?;
    let (shown, needed) = (bytes(free), bytes(last));
    let advice = "`backup prune --dry-run` shows what could go; or point `repository.location` at a larger disk";
    Some(match free {
        free if free < last => {
            Finding::failed(format!("{shown} are free, and the newest backups took up to {needed}"), advice)
        }
        free if free < last.saturating_mul(3) => {
            Finding::warning(format!("{shown} are free: fewer than three backups of {needed}"), advice)
        }
        _ => Finding::ok(format!("{shown} are free, and the newest backups took up to {needed}")),
    })
}

fn newest(catalog: &Catalog, now: DateTime<Utc>) -> Vec<Finding> {
    let Some(newest) = catalog.backups.first() else {
        return vec![Finding::warning("there is no backup in it", "`backup create` makes one")];
    };
    let mut found = Vec::new();
    if newest.id.at() > now + SKEW {
        found.push(Finding::failed(
            format!("the newest backup, {}, is from the future: a clock is or was wrong", newest.id),
            "set the clock (timedatectl); `backup prune` removes nothing while it is behind the newest backup",
        ));
    }
    if newest.is_damaged() {
        found.push(Finding::failed(
            format!("the newest backup, {}, is damaged", newest.id),
            format!("`backup create` makes another; `backup verify {}` says what is damaged", newest.id),
        ));
    }
    if let Some(failed) = catalog.failed.first().filter(|failed| failed.timestamp > newest.id.at()) {
        found.push(Finding::warning(
            format!("the newest run, {}, failed: {}", failed.id, failed.errors.first().map_or("", String::as_str)),
            "mend that, and run `backup create`",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(format!("the newest backup is {}", newest.id)));
    }
    found
}

fn leftovers(catalog: &Catalog) -> Vec<Finding> {
    let mut found = Vec::new();
    for unreadable in &catalog.unreadable {
        let message = format!("{} cannot be read: {}", unreadable.path, unreadable.reason);
        found.push(Finding::failed(
            message,
            "prune removes nothing until it is restored from a copy, or removed by hand",
        ));
    }
    for interrupted in &catalog.interrupted {
        let path = &interrupted.path;
        found.push(match (interrupted.running, interrupted.lost) {
            (true, _) => Finding::ok(format!("{} is being made now and holds its lock", interrupted.id)),
            (false, true) => Finding::warning(
                format!("{path} has lost its manifest"),
                format!("bring back metadata/{}.json from a copy; `backup list` shows it", interrupted.id),
            ),
            (false, false) => Finding::warning(
                format!("{path} was left by a run that died"),
                "nothing to do: the next `backup create` of its scope removes it",
            ),
        });
    }
    for restore in catalog.restores.iter().filter(|restore| !restore.running) {
        found.push(Finding::failed(
            format!("a restore of {} was interrupted, and its target may be half restored", restore.backup),
            "run the same `backup restore` command again: it finishes; `backup list` shows it",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok("nothing was left behind by a run that died"));
    }
    found
}
