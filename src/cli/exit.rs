//! The exit codes: one table, used by `--help`, by the mapping of errors, and by the commands' own verdicts.

use crate::error::Kind;

/// How the program ends. The numbers are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was planned is done.
    Success,
    /// Failed; no new usable backup.
    Failed,
    /// The command line or the configuration is wrong; nothing was touched.
    Usage,
    /// Usable, but something planned is missing.
    Partial,
    /// Damage or a difference was found.
    Damaged,
    /// A guard refused; nothing was changed.
    Refused,
    /// A restore stopped after it had changed its target.
    TargetChanged,
    /// Something named does not exist.
    NotFound,
    /// Another process holds the lock.
    Locked,
    /// A key is wrong or missing.
    Key,
    /// Ended by this signal.
    Signal(i32),
    /// What a monitoring probe says, in the numbers of Nagios: `check` alone ends so.
    Probe(u8),
}

/// Number, text and place in the precedence of every code that is no signal.
const TABLE: [(Exit, u8, &str); 10] = [
    (Exit::Success, 0, "complete success"),
    (Exit::Failed, 1, "failed, no new usable backup"),
    (Exit::Usage, 2, "wrong usage or configuration, nothing touched"),
    (Exit::Partial, 3, "partial: usable, but something planned is missing"),
    (Exit::Damaged, 4, "verification found damage or a difference"),
    (Exit::Refused, 5, "a guard refused, nothing changed"),
    (Exit::TargetChanged, 6, "restore stopped after it had changed the target"),
    (Exit::NotFound, 10, "no such backup, tenant, module or collection"),
    (Exit::Locked, 11, "locked by another run"),
    (Exit::Key, 12, "wrong or missing key"),
];

/// The codes any command that reads the configuration can end with.
pub const COMMON: [Exit; 3] = [Exit::Success, Exit::Failed, Exit::Usage];

impl Exit {
    /// The number the process ends with: 128 and the signal's number for signals.
    pub fn number(self) -> u8 {
        match self {
            Exit::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
            Exit::Probe(number) => number,
            other => TABLE.iter().find(|(exit, ..)| *exit == other).map_or(1, |(_, number, _)| *number),
        }
    }

    /// Which of two codes a run ends with when both apply: 6, signal, 4, 1, 3, then every other, success last.
    #[must_use]
    pub fn or(self, other: Exit) -> Exit {
        if other.rank() < self.rank() { other } else { self }
    }

    fn rank(self) -> u8 {
        match self {
            Exit::TargetChanged => 0,
            Exit::Signal(_) => 1,
            Exit::Damaged => 2,
            Exit::Failed => 3,
            Exit::Partial => 4,
            Exit::Success => u8::MAX,
            other => other.number().saturating_add(10),
        }
    }
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Config => Exit::Usage,
            Kind::NotFound => Exit::NotFound,
            Kind::Locked => Exit::Locked,
            Kind::Refused => Exit::Refused,
            Kind::TargetChanged => Exit::TargetChanged,
            Kind::Damaged => Exit::Damaged,
            Kind::Key => Exit::Key,
            Kind::Signal(number) => Exit::Signal(number),
            Kind::Connect
            | Kind::Source
            | Kind::Missing
            | Kind::SnapshotLost
            | Kind::Io
            | Kind::DiskFull
            | Kind::Repository
            | Kind::Command
            | Kind::Internal => Exit::Failed,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// The end of a command's `--help`: examples, and the codes of [`COMMON`] and `more` in the order of their numbers.
pub fn help(examples: &str, more: &[Exit]) -> String {
    let mut text = String::from("Examples:\n");
    for line in examples.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str("\nExit codes:\n");
    for (_, number, meaning) in TABLE.iter().filter(|(exit, ..)| COMMON.contains(exit) || more.contains(exit)) {
        text.push_str(&format!("  {number:>3}  {meaning}\n"));
    }
    text.push_str("  129, 130, 143  ended by SIGHUP, SIGINT, SIGTERM");
    text
}

/// The end of the program's own `--help`: every code.
pub fn help_all(examples: &str) -> String {
    help(examples, &TABLE.map(|(exit, ..)| exit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_ends_with_its_documented_code() {
        let documented = [
            (Kind::Config, 2),
            (Kind::NotFound, 10),
            (Kind::Locked, 11),
            (Kind::Refused, 5),
            (Kind::TargetChanged, 6),
            (Kind::Damaged, 4),
            (Kind::Key, 12),
            (Kind::Signal(1), 129),
            (Kind::Signal(2), 130),
            (Kind::Signal(15), 143),
            (Kind::Connect, 1),
            (Kind::Source, 1),
            (Kind::Missing, 1),
            (Kind::SnapshotLost, 1),
            (Kind::Io, 1),
            (Kind::DiskFull, 1),
            (Kind::Repository, 1),
            (Kind::Command, 1),
            (Kind::Internal, 1),
        ];
        for (kind, number) in documented {
            assert_eq!(Exit::from(kind).number(), number, "{kind:?}");
        }
    }

    #[test]
    fn precedence_is_target_changed_signal_damaged_failed_partial() {
        let order = [
            Exit::TargetChanged,
            Exit::Signal(15),
            Exit::Damaged,
            Exit::Failed,
            Exit::Partial,
            Exit::Locked,
            Exit::Success,
        ];
        for (i, first) in order.iter().enumerate() {
            for second in &order[i..] {
                assert_eq!(first.or(*second), *first);
                assert_eq!(second.or(*first), *first);
            }
        }
    }
}
