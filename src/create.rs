//! `create`: makes one backup.

use crate::config::Config;
use crate::error::Result;
use crate::event::Events;
use crate::manifest::Manifest;
use crate::modules::Request;
use crate::pipeline::Cancel;
use crate::plan::Plan;
use crate::repository::Wait;
use chrono::{DateTime, Utc};
use std::path::PathBuf;

/// Everything a run needs from outside.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// What was asked for.
    pub request: Request,
    /// How long to wait for the scope's lock.
    pub wait: Wait,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// Who runs it, `user@host`.
    pub created_by: String,
    /// Where events go.
    pub events: Events,
    /// The cancel flag.
    pub cancel: Cancel,
}

/// A published backup.
#[derive(Debug)]
pub struct Created {
    /// Its manifest; the status says whether it is whole.
    pub manifest: Manifest,
    /// Its folder.
    pub folder: PathBuf,
}

/// Resolves the request against the live sources and changes nothing.
///
/// # Errors
/// When the request is wrong or a source cannot be reached.
pub fn plan(options: &Options<'_>) -> Result<Plan> {
    let _ = options;
    unimplemented!()
}

/// Makes the backup. A partial one is `Ok`: its manifest says so. When nothing usable was stored it is an error, and
/// a record of the failed run is left.
///
/// # Errors
/// As DESIGN's exit codes 1, 2, 10, 11 and signals.
pub fn run(options: &Options<'_>) -> Result<Created> {
    let _ = options;
    unimplemented!()
}
