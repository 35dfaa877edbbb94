//! `backup run`: runs a job of the configuration, as schedulers do.

use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::Settings;
use crate::cli::{create, key, prune, verify, verify_collections};
use crate::config::JobAction;
use crate::error::Result;
use std::time::Duration;

/// How long a job waits for a lock, unless `--wait` says otherwise: a slow daily backup must not cost the weekly one.
pub const WAIT: Duration = Duration::from_secs(2 * 60 * 60);

/// Run a job of the configuration
///
/// What schedulers start (see `backup schedule`). A job waits for a lock for two hours, unless --wait says otherwise.
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup run nightly\nbackup -q -c /etc/backup/backup.yaml run cleanup",
    &[Exit::Partial, Exit::Damaged, Exit::Refused, Exit::NotFound, Exit::Locked, Exit::Key]))]
pub struct Args {
    /// Name of the job
    #[arg(value_name = "JOB")]
    name: String,
}

impl Args {
    /// Name of the job.
    pub fn name(&self) -> &str {
        &self.name
    }
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    match &create::job(&args.name, &config)?.action {
        JobAction::Create(_) => create::run(&create::Args::job(&args.name), settings),
        JobAction::VerifyCollections => verify_collections::run(&verify_collections::Args::job(&args.name), settings),
        JobAction::Verify(job) => verify::run(&verify::Args::job(&args.name, *job), settings),
        JobAction::KeyRotation => key::rotate(Some(&args.name), settings),
        JobAction::Prune => prune::run(&prune::Args::job(&args.name), settings),
    }
}
