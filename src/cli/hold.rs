//! `backup hold` and `backup release`: keep a backup from pruning, and let it go again.

use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::Settings;
use crate::cli::{process, text, time};
use crate::error::Result;
use crate::hold::{self, Options};
use crate::names::BackupId;

/// Keep a backup from pruning until it is released
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup hold system-backup-2025-12-20T10-30-00-000Z", &[Exit::NotFound, Exit::Locked]))]
pub struct HoldArgs {
    /// Id of a backup (see `backup list`)
    #[arg(value_name = "ID")]
    id: String,
}

/// Let a held backup go again
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup release system-backup-2025-12-20T10-30-00-000Z", &[Exit::NotFound, Exit::Locked]))]
pub struct ReleaseArgs {
    /// Id of a backup (see `backup list`)
    #[arg(value_name = "ID")]
    id: String,
}

pub fn hold(args: &HoldArgs, settings: &Settings) -> Result<Report> {
    run(&args.id, true, settings)
}

pub fn release(args: &ReleaseArgs, settings: &Settings) -> Result<Report> {
    run(&args.id, false, settings)
}

fn run(id: &str, hold: bool, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let cancel = settings.cancel()?;
    let report = hold::run(&Options {
        config: &config,
        id: BackupId::parse(id)?,
        hold,
        by: process::user_at_host(),
        wait: settings.wait(&cancel),
        now: time::now,
        events: settings.events.clone(),
    })?;
    Report::new(render(&report), &report)
}

fn render(report: &hold::Report) -> String {
    let id = &report.id;
    match (report.held, report.changed, report.at, &report.by) {
        (true, false, Some(at), Some(by)) => {
            format!("{id} is held already, since {} by {}\n", text::time(at), text::printable(by))
        }
        (true, ..) => format!("{id} is held: no prune removes it\n"),
        (false, true, ..) => format!("{id} is released: retention decides about it again\n"),
        (false, false, ..) => format!("{id} was not held\n"),
    }
}
