//! What a restore that stopped midway has changed, and what it has not.

use crate::error::{Error, Kind};
use crate::repository::{Journal, Step};

/// The error of a restore that stopped after it had changed something: says of every step how it is now. `titles` are
/// those of the journal's steps.
pub fn stopped(error: Error, journal: &Journal, titles: &[String]) -> Error {
    let line = |(step, title): (usize, &String)| match journal.step(step) {
        Step::Switched { .. } => format!("restored: {title}"),
        Step::Switching { .. } => format!("half restored, or the server did not say: {title}"),
        Step::Old => format!("unchanged: {title}"),
    };
    let details = titles.iter().enumerate().map(line).collect();
    let error = error.kind(Kind::TargetChanged).details(details);
    then(error, "run the same command again: it finishes what is left")
}

/// The same error with something to do after what its hint says.
pub fn then(mut error: Error, what: &str) -> Error {
    error.hint = Some(match error.hint.take() {
        Some(first) => format!("{first}; then {what}"),
        None => what.to_owned(),
    });
    error
}
