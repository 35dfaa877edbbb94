//! What is done around a run, resolved: who is told of it, what is worth a warning, which programs are run.

use crate::config::SecretSource;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One entry of `notifications`.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// Its name; no other has it.
    pub name: String,
    /// How it is told.
    pub channel: Channel,
    /// Of what.
    pub on: Vec<Occasion>,
    /// Only of runs of these jobs; empty: of every run.
    pub jobs: Vec<String>,
    /// Of a run over many tenants also of each.
    pub per_tenant: bool,
    /// All the time that it may take.
    pub limit: Duration,
}

/// How somebody is told.
#[derive(Debug, Clone)]
pub enum Channel {
    /// A JSON document by POST, with the HMAC-SHA256 of it where there is a key.
    Webhook {
        /// Where to.
        url: SecretSource,
        /// The key.
        secret: Option<SecretSource>,
    },
    /// A text, in the document that Slack reads.
    Slack(SecretSource),
    /// A ping: that a run begins, that it succeeded, that it failed.
    Healthcheck(SecretSource),
    /// Mail.
    Email(Email),
}

impl Channel {
    /// The word of the configuration.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack(_) => "slack",
            Self::Healthcheck(_) => "healthcheck",
            Self::Email(_) => "email",
        }
    }
}

/// The `email` section.
#[derive(Debug, Clone)]
pub struct Email {
    /// Addresses it goes to.
    pub to: Vec<String>,
    /// The address it comes from.
    pub from: String,
    /// The server that takes it.
    pub smtp: Smtp,
}

/// The `smtp` section.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Name of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in, and with what.
    pub login: Option<(String, SecretSource)>,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// In clear first, then encrypted, or not at all used.
    Starttls,
    /// Encrypted from the first byte.
    Implicit,
    /// In clear.
    None,
}

impl SmtpTls {
    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starttls => "starttls",
            Self::Implicit => "implicit",
            Self::None => "none",
        }
    }
}

/// What somebody may want to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Occasion {
    /// A run begins.
    Started,
    /// All that was planned is done.
    Success,
    /// A backup lacks something that was planned.
    Partial,
    /// A run failed.
    Failed,
    /// The first success after runs that did not succeed.
    Recovered,
    /// A verification found damage or a difference.
    VerificationFailed,
    /// Backups were removed.
    Deleted,
    /// Data was restored.
    Restored,
    /// Somebody tries whether messages arrive. Nothing to be configured.
    Test,
}

impl Occasion {
    /// The word of the configuration and of messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Recovered => "recovered",
            Self::VerificationFailed => "verificationFailed",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
            Self::Test => "test",
        }
    }

    /// Whether one who wants to be told of `wanted` is told of this: a success after failures is a success, too.
    pub fn is(self, wanted: Occasion) -> bool {
        self == wanted
            || matches!((self, wanted), (Self::Recovered, Self::Success) | (Self::VerificationFailed, Self::Failed))
    }
}

/// The `alerts` section. What is not set is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    /// Runs in a row that did not succeed.
    pub consecutive_failures: Option<u32>,
    /// A size far from the usual.
    pub unusual_size: bool,
    /// A duration far above the usual.
    pub unusual_duration: bool,
    /// The least free space.
    pub free_space: Option<FreeSpace>,
    /// The greatest age of a module's newest good copy.
    pub max_age: Option<Duration>,
}

/// An amount of free space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeSpace {
    /// Bytes.
    Bytes(u64),
    /// Of all space, in per cent.
    Percent(u8),
}

impl fmt::Display for FreeSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Programs that are run around a run.
#[derive(Debug, Clone)]
pub struct Commands {
    /// Before anything.
    pub before: Option<CommandLine>,
    /// After a run that made something.
    pub after: Option<CommandLine>,
    /// After a run that failed.
    pub on_failure: Option<CommandLine>,
    /// After all of these, whatever happened.
    pub finally: Option<CommandLine>,
    /// How long each may take.
    pub limit: Duration,
    /// Where they are run: the folder of the configuration.
    pub directory: PathBuf,
}

impl Commands {
    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        [&self.before, &self.after, &self.on_failure, &self.finally].iter().all(|line| line.is_none())
    }
}

impl Default for Commands {
    fn default() -> Self {
        let limit = Duration::from_secs(600);
        Self { before: None, after: None, on_failure: None, finally: None, limit, directory: PathBuf::new() }
    }
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// The program and its arguments, as they are.
    Program(Vec<String>),
    /// A text for the shell.
    Shell(String),
}
