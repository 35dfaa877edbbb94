//! The one error type of the library: what kind it is, what happened, why, and what to do.
//!
//! The kind decides the exit code (mapped in `cli`, nowhere else) and lets a caller react; everything a person
//! needs is in the message, the causes and the hint. No message may hold a secret: URIs are masked where errors of
//! drivers are turned into this type.

use std::fmt;

/// What kind of failure this is. A caller matches on it; a person reads the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The configuration or the command line is wrong; nothing was touched.
    Config,
    /// A named backup, tenant, module or collection does not exist.
    NotFound,
    /// Another process holds a lock this work needs.
    Locked,
    /// A guard refused, nothing was changed.
    Refused,
    /// A server could not be reached or did not let us in.
    Connect,
    /// A source or target server failed while working.
    Source,
    /// Something planned is not there, or was lost while it was read.
    Missing,
    /// The source can no longer serve the snapshot that was being read.
    SnapshotLost,
    /// The file system failed: unreadable, not writable.
    Io,
    /// A file system is full.
    DiskFull,
    /// The repository is not the one that was expected, or is not one at all.
    Repository,
    /// Stored bytes are damaged, or differ from what was recorded.
    Damaged,
    /// A restore stopped after it had changed its target.
    TargetChanged,
    /// A key is wrong or missing.
    Key,
    /// A program of the operator that goes with the run could not do its part.
    Command,
    /// The run was ended by this signal number.
    Signal(i32),
    /// A defect of this program.
    Internal,
}

impl Kind {
    /// The stable word for this kind, as `error.code` in JSON output.
    pub fn code(self) -> &'static str {
        match self {
            Kind::Config => "config",
            Kind::NotFound => "not-found",
            Kind::Locked => "locked",
            Kind::Refused => "refused",
            Kind::Connect => "connect",
            Kind::Source => "source",
            Kind::Missing => "missing",
            Kind::SnapshotLost => "snapshot-lost",
            Kind::Io => "io",
            Kind::DiskFull => "disk-full",
            Kind::Repository => "repository",
            Kind::Damaged => "damaged",
            Kind::TargetChanged => "target-changed",
            Kind::Key => "key",
            Kind::Command => "command",
            Kind::Signal(_) => "signal",
            Kind::Internal => "internal",
        }
    }
}

/// An error: a message, the chain of causes below it, and what the operator can do.
#[derive(Debug, Clone)]
pub struct Error {
    /// What kind of failure this is.
    pub kind: Kind,
    /// What happened, in one sentence without a full stop.
    pub message: String,
    /// Why, from the nearest cause to the deepest.
    pub causes: Vec<String>,
    /// Several findings of one failure (every mistake of a configuration, say), each a line.
    pub details: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The result of everything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), details: Vec::new(), hint: None }
    }

    /// The same error with what to do about it. An earlier hint, nearer to the failure, stays.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// The same error with `cause` as its deepest cause.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// The same error with a list of findings.
    #[must_use]
    pub fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Puts `message` above this error: the old message becomes the nearest cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let below = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, below);
        self
    }

    /// The same error under another kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The error of ours that a reader of ours passed on inside `error`; what `otherwise` makes of any other.
    pub fn passed_on(error: std::io::Error, otherwise: impl FnOnce(std::io::Error) -> Self) -> Self {
        error.downcast::<Self>().unwrap_or_else(otherwise)
    }

    /// What a reader of stored data failed with: the error of ours inside it, or else that what is stored is damaged.
    pub fn unreadable(error: std::io::Error, message: impl Into<String>) -> Self {
        Self::passed_on(error, |other| Self::new(Kind::Damaged, message).cause(other))
    }

    /// An input/output error on `path`, with a hint for the common ones.
    pub fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as E;
        let made = Self::new(Kind::Io, format!("cannot {doing} {}", path.display())).cause(error);
        match error.kind() {
            E::StorageFull | E::QuotaExceeded => {
                made.kind(Kind::DiskFull).hint("free space there, or point `repository.location` at a larger disk")
            }
            E::PermissionDenied => made.hint("check the owner and mode of that path, or run as the user who owns it"),
            E::IsADirectory => made.hint("that is a folder: name a file in it"),
            E::ReadOnlyFilesystem => made.hint("the file system is mounted read-only"),
            _ => made,
        }
    }
}

impl fmt::Display for Error {
    /// One line: the message and its causes, for logs and records. The CLI renders the parts on lines of their own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// How many, in the words for one or for several: `1 record`, `2 records`.
pub fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Adds context to the error of a result.
pub trait Context<T> {
    /// Puts a message above the error.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| e.context(message()))
    }
}
