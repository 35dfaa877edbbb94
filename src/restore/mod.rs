//! `restore`: puts stored data back.

mod choose;
mod directory;
mod live;
mod uploads;

use crate::config::Config;
use crate::error::Result;
use crate::event::Events;
use crate::modules::Only;
use crate::names::{BackupId, TenantId};
use crate::pipeline::Cancel;
use crate::repository::{Repository, Wait};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which backup.
#[derive(Debug, Clone)]
pub enum Which {
    /// This one.
    Id(BackupId),
    /// The newest good one, judged per module, at or before a moment.
    Latest {
        /// The moment.
        before: Option<DateTime<Utc>>,
    },
}

/// Everything a restore needs from outside.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Which backup.
    pub which: Which,
    /// Backups of this tenant; none: system-wide ones.
    pub tenant: Option<TenantId>,
    /// Only these modules; empty: all.
    pub modules: Vec<String>,
    /// Only these collections; empty: all.
    pub collections: Vec<String>,
    /// Only databases or only files.
    pub only: Option<Only>,
    /// `--into SOURCE=URI`.
    pub into: BTreeMap<String, String>,
    /// `--files-into DIR`.
    pub files_into: Option<PathBuf>,
    /// `--to-directory DIR`: plain files instead of a live target.
    pub to_directory: Option<PathBuf>,
    /// Resolve, check and count, but change nothing.
    pub dry_run: bool,
    /// How long to wait for the repository's lock.
    pub wait: Wait,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// Where events go.
    pub events: Events,
    /// The cancel flag.
    pub cancel: Cancel,
}

/// What a restore did, or would do.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The backup.
    pub id: String,
    /// Where the data went: masked addresses and directories.
    pub target: Vec<String>,
    /// Per collection.
    pub collections: Vec<RestoredCollection>,
    /// Files written.
    pub files: u64,
    /// The safety backup that was taken first.
    pub safety_backup: Option<String>,
    /// Seconds it took.
    pub duration_seconds: f64,
    /// It was a dry run.
    pub dry_run: bool,
    /// Newer backups that were passed over, `id: reason`.
    pub passed_over: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// One collection of a report.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredCollection {
    /// The source.
    pub source: String,
    /// True name.
    pub name: String,
    /// Records created.
    pub created: u64,
    /// Records overwritten.
    pub overwritten: u64,
    /// Records deleted.
    pub deleted: u64,
    /// Records in the target afterwards.
    pub documents: u64,
    /// Count and digest equal the manifest's.
    pub verified: bool,
}

/// Restores: choose, check, prove and stage, and only then change the target.
///
/// # Errors
/// `Refused` when the target holds data, `NotFound` when the selection matches nothing, `Damaged` when the stored
/// bytes are, `TargetChanged` when it stopped midway.
pub fn run(options: &Options<'_>) -> Result<Report> {
    let began = (options.now)();
    let config = options.config;
    let repository = Repository::open(&config.repository.location, config.repository.id.as_deref())?;
    let _lock = repository.lock_shared("restore", options.wait)?;
    let choice = choose::choose(options, &repository)?;
    let mut report = Report {
        id: choice.id.clone(),
        target: Vec::new(),
        collections: Vec::new(),
        files: 0,
        safety_backup: None,
        duration_seconds: 0.0,
        dry_run: options.dry_run,
        passed_over: choice.passed_over,
        warnings: choice.warnings,
    };
    match &options.to_directory {
        Some(directory) => directory::extract(options, &choice.pieces, directory, &mut report)?,
        None => {
            let mut live = live::Live::prepare(options, &choice.pieces, &mut report)?;
            let mut uploads = uploads::Uploads::prepare(options, &choice.pieces, &mut report)?;
            if !options.dry_run {
                // Everything is proven before anything is changed: databases by staging, files by reading them through.
                uploads.prove(options)?;
                live.stage(options, &mut report)?;
                live.switch(options, &mut report)?;
                uploads.write(options, &mut report)?;
            }
        }
    }
    report.duration_seconds = ((options.now)() - began).to_std().unwrap_or_default().as_secs_f64();
    if !options.dry_run
        && let Err(error) = repository.audit("restore", &choice.id, "success")
    {
        options.events.warn(format!("the audit log could not be written: {error}"));
    }
    Ok(report)
}
