//! What an operator should know of a source before a night depends on it.

use super::Wanted;
use crate::config::Consistency;
use crate::error::Error;
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// Clocks that differ by more than this make nonsense of "as of Tuesday, 10:30".
const APART: TimeDelta = TimeDelta::seconds(60);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Backups are made, but worse than they could be, or not for long.
    Warning,
    /// A backup would fail.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub outcome: Outcome,
    /// What was found, in one sentence.
    pub message: String,
    /// What to do; none where all is well.
    pub advice: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ok, message: message.into(), advice: None }
    }

    /// The next backup is made all the same, but something about it wants a look.
    pub fn warning(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warning, message: message.into(), advice: Some(advice.into()) }
    }

    /// The next backup would fail, or lack something.
    pub fn failed(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, message: message.into(), advice: Some(advice.into()) }
    }
}

impl From<&Error> for Finding {
    fn from(error: &Error) -> Self {
        let details = error.details.iter().map(|detail| format!("; {detail}"));
        let message = format!("{error}{}", details.collect::<String>());
        Self { outcome: Outcome::Failed, message, advice: error.hint.clone() }
    }
}

/// What a backup asks of a source.
#[derive(Debug)]
pub struct Needs<'a> {
    /// Collections to be read, all of each.
    pub wanted: &'a [Wanted],
    /// The same, as some tenant's, of those that are told apart by owner.
    pub owned: &'a [Wanted],
    /// Whether one moment for all is asked for.
    pub consistency: Consistency,
    /// How long the newest backup took to make.
    pub last_run: Option<Duration>,
    /// The clock here.
    pub now: fn() -> DateTime<Utc>,
}

/// Compares the clock of a server with the one here.
pub fn clock(server: DateTime<Utc>, here: DateTime<Utc>) -> Finding {
    let apart = server - here;
    if apart.abs() <= APART {
        return Finding::ok("its clock agrees with the one here");
    }
    let (seconds, way) = (apart.num_seconds().abs(), if apart > TimeDelta::zero() { "ahead of" } else { "behind" });
    Finding::warning(
        format!("its clock is {seconds} s {way} the one here"),
        "set both by NTP (timedatectl set-ntp true): backups are named, kept and chosen by the clock here",
    )
}

/// That all may be read of what is there.
pub fn readable(collections: usize, one: &str, several: &str) -> Finding {
    let all = match collections {
        0 => format!("no {one} of the configuration is there yet"),
        1 => format!("the one {one} of the configuration that is there may be read"),
        _ => format!("all {collections} {several} of the configuration that are there may be read"),
    };
    Finding::ok(all)
}

/// Says of a collection that the records of a tenant cannot be found quickly.
pub fn missing_index(collection: &str, command: &str) -> Finding {
    Finding::warning(format!("'{collection}' has no index on its owner: a tenant's backup reads all of it"), command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_a_minute_and_no_more() {
        let here = DateTime::UNIX_EPOCH;
        for (seconds, outcome) in
            [(0, Outcome::Ok), (-60, Outcome::Ok), (61, Outcome::Warning), (-61, Outcome::Warning)]
        {
            assert_eq!(clock(here + TimeDelta::seconds(seconds), here).outcome, outcome, "{seconds}");
        }
        assert!(clock(here + TimeDelta::seconds(90), here).message.contains("90 s ahead of"));
        assert!(clock(here - TimeDelta::seconds(90), here).message.contains("90 s behind"));
    }
}
