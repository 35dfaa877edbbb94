//! Metrics after a run: which commands have them, and where they go.

use crate::cli::args::Command;
use crate::cli::exit::Exit;
use crate::cli::settings::Settings;
use crate::cli::time;
use crate::config::{Config, JobAction};
use crate::monitor::{self, After, Collections, Operation, RunEnd};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Writes how a run ended where the configuration says, if it does. A file that cannot be written is a warning: the work
/// is done, or has failed, whoever watches.
pub fn record(command: &Command, settings: &Settings, took: Duration, exit: Exit) {
    // A run whose configuration could not be read knows no file.
    let Some(config) = settings.loaded.get() else { return };
    let Some(metrics) = &config.metrics else { return };
    let Some(counts) = counts(command, config) else { return };
    let at = time::now();
    let (seconds, skipped) = (took.as_secs_f64(), settings.skipped.load(Ordering::Relaxed));
    let end = |operation| RunEnd { operation, at, seconds, exit_code: exit.number(), skipped };
    let after =
        After { run: counts.map(end), collections: settings.found.get().map(|found| Collections::of(found, at)) };
    if let Err(error) = monitor::write(config, metrics, &after, at) {
        settings.events.warn(format!("the metrics could not be written: {error}"));
        // Under `--quiet` too: a monitoring that has gone blind tells nobody itself.
        settings.log.release();
    }
}

/// As what a run is counted, where it changes what the metrics say. What an operator does by hand is no run whose end is
/// watched: a slip would be an alert until somebody forgets a backup again.
fn counts(command: &Command, config: &Config) -> Option<Option<Operation>> {
    let run = |is_dry: bool, operation| (!is_dry).then_some(Some(operation));
    match command {
        Command::Create(args) => run(args.is_dry_run(), Operation::Create),
        Command::Verify(_) => run(false, Operation::Verify),
        Command::VerifyCollections(_) => run(false, Operation::VerifyCollections),
        Command::Prune(args) => run(args.is_dry_run(), Operation::Prune),
        Command::Restore(args) => run(args.is_dry_run(), Operation::Restore),
        Command::Forget(_) | Command::Hold(_) | Command::Release(_) => Some(None),
        Command::Run(args) => match config.jobs.get(args.name())?.action {
            JobAction::Create(_) => run(false, Operation::Create),
            JobAction::Prune => run(false, Operation::Prune),
            JobAction::Verify(_) => run(false, Operation::Verify),
            JobAction::VerifyCollections => run(false, Operation::VerifyCollections),
            JobAction::KeyRotation => None,
        },
        _ => None,
    }
}
