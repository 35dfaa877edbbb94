//! The journal of a restore: what it is about to change, and how far it came. A line is fsynced before the step it
//! announces, so that after a kill the journal says of every collection whether it is old or new, and a rerun of the
//! same command finishes. It is removed when the restore is complete, or has changed nothing.

use super::catalog::names_in;
use super::durable::{create_file, remove_file, sync};
use super::{Repository, Unreadable, input, lock};
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Folder of journals.
pub const JOURNAL: &str = "journal";

/// What a restore is about to do. Two restores of equal undertakings are the same restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undertaking {
    /// The backup, for people.
    pub backup: String,
    /// What happens to data that is there: the word of the command line.
    pub existing: String,
    /// Where data goes: addresses and directories, no secret in them.
    pub targets: Vec<String>,
    /// What is restored, one line each: where from and where to.
    pub steps: Vec<String>,
}

/// How far a step came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Step {
    /// Not begun, or staged beside what is there: nothing was changed.
    #[default]
    Old,
    /// It was being put in place: old, new, or (where the target cannot do it at once) between.
    Switching {
        /// Identity that what was staged keeps in its place.
        identity: Option<String>,
    },
    /// New.
    Switched {
        /// What the restore has to report of it.
        outcome: Value,
    },
}

/// One line of a journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "event")]
enum Line {
    Begin { at: DateTime<Utc>, undertaking: Undertaking },
    SafetyBackup { id: String },
    Switching { step: usize, identity: Option<String> },
    Unchanged { step: usize },
    Switched { step: usize, outcome: Value },
}

/// A restore on record.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    record: Record,
}

/// What a journal says.
#[derive(Debug, Clone)]
struct Record {
    token: String,
    undertaking: Undertaking,
    safety_backup: Option<String>,
    progress: Progress,
}

/// How far a dead run of a restore came; nowhere, where there was none.
#[derive(Debug, Clone, Default)]
pub struct Progress(BTreeMap<usize, Step>);

impl Progress {
    /// How far a step came.
    pub fn step(&self, step: usize) -> Step {
        self.0.get(&step).cloned().unwrap_or_default()
    }

    /// Whether anything in the targets was, or may have been, changed.
    pub fn changed_something(&self) -> bool {
        !self.0.is_empty()
    }
}

/// What was found of earlier restores into the same targets.
#[derive(Debug, Default)]
pub struct Earlier {
    /// Tokens of what dead restores may have left in staging.
    pub tokens: Vec<String>,
    /// Dead restores of other undertakings.
    pub given_up: Vec<UnfinishedRestore>,
}

impl Journal {
    /// Opens the journal of `undertaking`: that of a dead run of the same, else a new one. Journals of other
    /// undertakings into the same targets end here: their collections are old or new, and are said to be.
    /// The caller holds the lock of restores.
    pub(super) fn open(
        repository: &Repository,
        undertaking: &Undertaking,
        now: DateTime<Utc>,
    ) -> Result<(Self, Earlier)> {
        let folder = repository.location().join(JOURNAL);
        let mut earlier = Earlier::default();
        let mut same = None;
        remove_unbegun(&folder)?;
        for (path, record) in records(&folder)?.0 {
            if record.undertaking == *undertaking && same.is_none() {
                earlier.tokens.push(record.token.clone());
                same = Some((path, record));
            } else if record.undertaking.targets.iter().any(|target| undertaking.targets.contains(target)) {
                earlier.tokens.push(record.token.clone());
                earlier.given_up.push(record.unfinished(false));
                remove_file(&path)?;
            }
        }
        if let Some((path, record)) = same {
            let file = OpenOptions::new().append(true).open(&path).map_err(|e| Error::io("open", &path, &e))?;
            let mut journal = Self { file, path, record };
            // A line that a kill cut short is ended, so that the next one is a line of its own.
            journal.append_raw(b"\n")?;
            return Ok((journal, earlier));
        }
        let token = now.format("%Y-%m-%dT%H-%M-%S-%3fZ").to_string();
        let path = folder.join(format!("{token}.jsonl"));
        let file = create_file(&path)?;
        let record =
            Record { token, undertaking: undertaking.clone(), safety_backup: None, progress: Progress::default() };
        let mut journal = Self { file, path, record };
        journal.append(&Line::Begin { at: now, undertaking: undertaking.clone() })?;
        sync(&folder)?;
        Ok((journal, earlier))
    }

    /// Part of every name under which this restore stages.
    pub fn token(&self) -> &str {
        &self.record.token
    }

    /// How far a step came.
    pub fn step(&self, step: usize) -> Step {
        self.record.progress.step(step)
    }

    /// The safety backup that was taken for it.
    pub fn safety_backup(&self) -> Option<&str> {
        self.record.safety_backup.as_deref()
    }

    /// A safety backup was taken.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn note_safety_backup(&mut self, id: &str) -> Result<()> {
        self.record.safety_backup = Some(id.to_owned());
        self.append(&Line::SafetyBackup { id: id.to_owned() })
    }

    /// A step is about to be put in place.
    ///
    /// # Errors
    /// When the disk refuses; then it must not be.
    pub fn switching(&mut self, step: usize, identity: Option<&str>) -> Result<()> {
        let identity = identity.map(ToOwned::to_owned);
        self.append(&Line::Switching { step, identity: identity.clone() })?;
        self.record.progress.0.insert(step, Step::Switching { identity });
        Ok(())
    }

    /// A step could not be put in place, and what was there is as it was.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn unchanged(&mut self, step: usize) -> Result<()> {
        self.record.progress.0.remove(&step);
        self.append(&Line::Unchanged { step })
    }

    /// A step is in place.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn switched(&mut self, step: usize, outcome: Value) -> Result<()> {
        self.record.progress.0.insert(step, Step::Switched { outcome: outcome.clone() });
        self.append(&Line::Switched { step, outcome })
    }

    /// Whether anything in the targets was, or may have been, changed.
    pub fn changed_something(&self) -> bool {
        self.record.progress.changed_something()
    }

    /// Ends it: everything is in place, or nothing was changed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn close(self) -> Result<()> {
        remove_file(&self.path)?;
        sync(self.path.parent().unwrap_or(&self.path))
    }

    fn append(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line)
            .map_err(|e| Error::new(Kind::Internal, "a line of the journal cannot be written").cause(e))?;
        text.push(b'\n');
        self.append_raw(&text)
    }

    fn append_raw(&mut self, text: &[u8]) -> Result<()> {
        let written = self.file.write_all(text).and_then(|()| self.file.sync_data());
        written.map_err(|e| Error::io("write the journal", &self.path, &e))
    }
}

/// A restore that was interrupted, or is at work.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnfinishedRestore {
    /// The backup.
    pub backup: String,
    /// Where data goes.
    pub targets: Vec<String>,
    /// Steps that are in place.
    pub switched: usize,
    /// Steps that were being put in place.
    pub switching: usize,
    /// All steps.
    pub steps: usize,
    /// Its journal, relative to the repository.
    pub path: String,
    /// A restore is at work.
    pub running: bool,
}

impl std::fmt::Display for UnfinishedRestore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "restore of {}: {} of {} in place", self.backup, self.switched, self.steps)?;
        if self.switching > 0 { write!(f, ", {} being put in place", self.switching) } else { Ok(()) }
    }
}

impl Record {
    fn unfinished(&self, running: bool) -> UnfinishedRestore {
        let of = |wanted: fn(&Step) -> bool| self.progress.0.values().filter(|step| wanted(step)).count();
        UnfinishedRestore {
            backup: self.undertaking.backup.clone(),
            targets: self.undertaking.targets.clone(),
            switched: of(|step| matches!(step, Step::Switched { .. })),
            switching: of(|step| matches!(step, Step::Switching { .. })),
            steps: self.undertaking.steps.len(),
            path: format!("{JOURNAL}/{}.jsonl", self.token),
            running,
        }
    }
}

/// How far a dead run of `undertaking` came.
pub fn progress(repository: &Repository, undertaking: &Undertaking) -> Result<Progress> {
    let (records, _) = records(&repository.location().join(JOURNAL))?;
    let same = records.into_iter().find(|(_, record)| record.undertaking == *undertaking);
    Ok(same.map(|(_, record)| record.progress).unwrap_or_default())
}

/// Restores that were interrupted, and one that is at work, oldest first; and journals that cannot be read.
pub fn unfinished(repository: &Repository) -> Result<(Vec<UnfinishedRestore>, Vec<Unreadable>)> {
    let running = lock::is_restoring(repository.location());
    let (records, unreadable) = records(&repository.location().join(JOURNAL))?;
    Ok((records.into_iter().map(|(_, record)| record.unfinished(running)).collect(), unreadable))
}

/// Journals with their paths, and those that cannot be read.
type Records = (Vec<(PathBuf, Record)>, Vec<Unreadable>);

/// Every journal, oldest first. One whose first line was cut short had announced nothing yet.
fn records(folder: &Path) -> Result<Records> {
    let (mut records, mut unreadable) = (Vec::new(), Vec::new());
    let mut odd = |name: &str, reason: String| {
        unreadable.push(Unreadable { path: format!("{JOURNAL}/{name}"), reason });
    };
    for name in names_in(folder)? {
        let path = folder.join(&name);
        let Some(token) = name.strip_suffix(".jsonl") else { continue };
        let text = match input::read(&path) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) if e.raw_os_error().is_none() => {
                odd(&name, e.to_string());
                continue;
            }
            Err(e) => return Err(Error::io("read the journal", &path, &e)),
        };
        match read(token, &text) {
            Some(record) => records.push((path, record)),
            None if text.contains('\n') => odd(&name, "it does not begin as a journal does".into()),
            None => {}
        }
    }
    records.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((records, unreadable))
}

/// Removes what dead runs have left that were killed before they had announced anything.
fn remove_unbegun(folder: &Path) -> Result<()> {
    for name in names_in(folder)?.into_iter().filter(|name| name.ends_with(".jsonl")) {
        let path = folder.join(&name);
        if input::read(&path).is_ok_and(|text| !text.contains(&b'\n')) {
            remove_file(&path)?;
        }
    }
    Ok(())
}

fn read(token: &str, text: &str) -> Option<Record> {
    let mut lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let Some(Line::Begin { undertaking, .. }) = lines.next() else { return None };
    let mut record =
        Record { token: token.to_owned(), undertaking, safety_backup: None, progress: Progress::default() };
    for line in lines {
        match line {
            Line::Begin { .. } => {}
            Line::SafetyBackup { id } => record.safety_backup = Some(id),
            Line::Switching { step, identity } => {
                record.progress.0.insert(step, Step::Switching { identity });
            }
            Line::Unchanged { step } => {
                record.progress.0.remove(&step);
            }
            Line::Switched { step, outcome } => {
                record.progress.0.insert(step, Step::Switched { outcome });
            }
        }
    }
    Some(record)
}
