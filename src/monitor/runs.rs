//! Metrics of how runs ended. Only the last run of each kind knew: the file itself carries it on.

use super::exposition::{Text, seconds, series};
use super::textfile::Values;
use chrono::{DateTime, Utc};

/// A kind of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `create`.
    Create,
    /// `verify`.
    Verify,
    /// `prune`.
    Prune,
    /// `restore`.
    Restore,
    /// `verify-collections`.
    VerifyCollections,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Create, Self::Verify, Self::Prune, Self::Restore, Self::VerifyCollections];

    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Verify => "verify",
            Self::Prune => "prune",
            Self::Restore => "restore",
            Self::VerifyCollections => "verify-collections",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub struct RunEnd {
    /// What it was.
    pub operation: Operation,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The program's exit code.
    pub exit_code: u8,
    /// It did nothing, because it should not be now: neither a failure nor a success.
    pub skipped: bool,
}

/// How the last run of each operation ended, and counts since the file was made.
pub(super) fn write(text: &mut Text, before: &Values, run: Option<&RunEnd>) {
    type Next = fn(Option<f64>, &RunEnd, bool, f64) -> Option<f64>;
    let metrics: [(&str, &str, &str, Next); 6] = [
        ("backup_last_run_timestamp_seconds", "gauge", "When the last run ended.", |_, _, _, at| Some(at)),
        ("backup_last_run_duration_seconds", "gauge", "How long the last run took.", |_, run, _, _| Some(run.seconds)),
        (
            "backup_last_run_exit_code",
            "gauge",
            "Exit code of the last run: 0 success, 3 partial, 4 damage found.",
            |_, run, _, _| Some(f64::from(run.exit_code)),
        ),
        (
            "backup_last_success_timestamp_seconds",
            "gauge",
            "When a run that was not skipped last ended with 0.",
            |before, run, ok, at| if ok && !run.skipped { Some(at) } else { before },
        ),
        ("backup_runs_total", "counter", "Runs since the file was first written.", |before, _, _, _| {
            Some(before.unwrap_or(0.0) + 1.0)
        }),
        (
            "backup_run_failures_total",
            "counter",
            "Runs that did not end with 0, partial ones too.",
            |before, _, ok, _| Some(before.unwrap_or(0.0) + if ok { 0.0 } else { 1.0 }),
        ),
    ];
    for (name, kind, help, next) in metrics {
        text.metric(name, kind, help);
        for operation in Operation::ALL {
            let labels = [("operation", operation.word())];
            let before = before.get(&series(name, &labels));
            let value = match run.filter(|run| run.operation == operation) {
                Some(run) => next(before, run, run.exit_code == 0, seconds(run.at)),
                None => before,
            };
            value.into_iter().for_each(|value| text.sample(&labels, value));
        }
    }
}
