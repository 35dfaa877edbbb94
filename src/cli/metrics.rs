//! Metrics after a run: which commands have them, and where they go.

use crate::cli::args::Command;
use crate::cli::exit::Exit;
use crate::cli::settings::Settings;
use crate::cli::time;
use crate::config::{Config, JobAction};
use crate::monitor::{self, Operation, RunEnd};
use std::time::Duration;

/// Writes how a run ended where the configuration says, if it does. A file that cannot be written is a warning: the work
/// is done, or has failed, whoever watches.
pub fn record(command: &Command, settings: &Settings, took: Duration, exit: Exit) {
    // A run whose configuration could not be read knows no file.
    let Some(config) = settings.loaded.get() else { return };
    let Some(metrics) = &config.metrics else { return };
    let Some(operation) = operation(command, config) else { return };
    let run = RunEnd { operation, at: time::now(), seconds: took.as_secs_f64(), exit_code: exit.number() };
    if let Err(error) = monitor::write(config, metrics, &run) {
        settings.events.warn(format!("the metrics could not be written: {error}"));
        // Under `--quiet` too: a monitoring that has gone blind tells nobody itself.
        settings.log.release();
    }
}

/// What changes nothing is no run.
fn operation(command: &Command, config: &Config) -> Option<Operation> {
    match command {
        Command::Create(args) => (!args.is_dry_run()).then_some(Operation::Create),
        Command::Verify(_) => Some(Operation::Verify),
        Command::Prune(args) => (!args.is_dry_run()).then_some(Operation::Prune),
        Command::Restore(args) => (!args.is_dry_run()).then_some(Operation::Restore),
        Command::Run(args) => match config.jobs.get(args.name())?.action {
            JobAction::Create(_) => Some(Operation::Create),
            JobAction::Prune => Some(Operation::Prune),
            JobAction::Verify(_) => Some(Operation::Verify),
            JobAction::VerifyCollections | JobAction::KeyRotation => None,
        },
        _ => None,
    }
}
