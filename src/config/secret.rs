//! Secrets: what no output shows, where it is kept, and the masking of those inside URIs.

use super::conninfo;
use super::duration::{parse_duration, show_duration};
use super::raw::RawSecret;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A value that must not appear in any output. Debug and Display show `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for handing to a driver and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Reads a secret at once. The message of a failure holds nothing the file or the command's output holds.
pub(super) fn read(secret: &RawSecret, base: &Path) -> Result<String, String> {
    SecretSource::kept(secret, base)?.read().map(|secret| secret.reveal().to_owned())
}

/// Where a value is that is read only when it is needed.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// In the configuration itself.
    Text(Secret),
    /// In this file.
    File(PathBuf),
    /// Printed by a program.
    Command {
        /// The program and its arguments.
        line: Vec<String>,
        /// Where it runs.
        directory: PathBuf,
        /// How long it may take.
        limit: Duration,
    },
}

impl SecretSource {
    /// What a `{file: …}` or `{command: …}` means, of which nothing is read yet.
    pub(super) fn kept(secret: &RawSecret, base: &Path) -> Result<Self, String> {
        match (&secret.file, &secret.command) {
            (Some(file), None) => Ok(Self::File(base.join(file))),
            (None, Some(line)) => {
                let limit = secret.timeout.as_deref().map(parse_duration).transpose()?.unwrap_or(TIMEOUT);
                Ok(Self::Command { line: line.clone(), directory: base.to_owned(), limit })
            }
            _ => Err("give either text, or exactly one of `file` and `command`".into()),
        }
    }

    /// Reads it, without the line break at its end.
    ///
    /// # Errors
    /// Why it cannot be had, in words that hold nothing of it.
    pub fn read(&self) -> Result<Secret, String> {
        let bytes = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => {
                std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
            }
            Self::Command { line, directory, limit } => run(line, directory, *limit)?,
        };
        let mut text = String::from_utf8(bytes).map_err(|_| "the secret is not UTF-8 text")?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() { Err("the secret is empty".into()) } else { Ok(Secret::new(text)) }
    }
}

/// How long a program that prints a secret may take.
const TIMEOUT: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(10);

fn run(command: &[String], base: &Path, limit: Duration) -> Result<Vec<u8>, String> {
    let (program, arguments) = command.split_first().ok_or("`command` is empty")?;
    let failed = |error: std::io::Error| format!("cannot run {program}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(base)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it says there may hold the secret, and would end in a log or a mail.
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let stdout = collect(child.stdout.take());
    let began = Instant::now();
    // What it started may outlive it and keep its output open, so the output is not waited for without end either.
    let late = || format!("{program} gave no secret within {} (`timeout`)", show_duration(limit));
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if began.elapsed() >= limit => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(late());
            }
            None => std::thread::sleep(POLL),
        }
    };
    if !status.success() {
        return Err(format!("{program} failed with {status}; run it by hand to see why"));
    }
    let left = limit.saturating_sub(began.elapsed()).max(Duration::from_secs(1));
    stdout.recv_timeout(left).map_err(|_| late())
}

/// Reads to the end on a thread of its own.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // A pipe that breaks ends what was said; nobody waits any more when the send fails.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut text));
        let _ = sender.send(text);
    });
    receiver
}

/// Query parameters whose value is no secret; any other is masked.
const PLAIN: &[&str] = &[
    "replicaSet",
    "authSource",
    "authMechanism",
    "tls",
    "ssl",
    "directConnection",
    "readPreference",
    "readConcernLevel",
    "retryWrites",
    "retryReads",
    "w",
    "journal",
    "appName",
    "compressors",
    "maxPoolSize",
    "minPoolSize",
    "connectTimeoutMS",
    "socketTimeoutMS",
    "serverSelectionTimeoutMS",
    "loadBalanced",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "passfile",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "channel_binding",
    "connect_timeout",
    "application_name",
    "target_session_attrs",
    "keepalives",
    "keepalives_idle",
];

/// Keys of PostgreSQL whose value may be one.
const SECRET: &[&str] = &["password", "sslpassword", "options"];

/// `uri` without password and secret parameters. What cannot be told apart with certainty is masked as a whole.
pub fn mask_uri(uri: &str) -> String {
    if let Some(pairs) = conninfo::key_values(uri) {
        // What is no option may be a piece of a password with a space in it.
        if !pairs.iter().all(|(key, _)| is_plain(key) || SECRET.contains(&key.as_str())) {
            return "***".into();
        }
        let masked = pairs.iter().map(|(key, value)| match is_plain(key) {
            true => format!("{key}={}", conninfo::quote(value)),
            false => format!("{key}=***"),
        });
        return masked.collect::<Vec<_>>().join(" ");
    }
    let Some((scheme, rest)) = uri.split_once("://") else { return "***".into() };
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) {
        return "***".into();
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    // An '@' behind the authority may belong to a password that was not escaped.
    if tail.contains('@') {
        return format!("{scheme}://***");
    }
    let authority = match authority.rsplit_once('@') {
        None => authority.to_owned(),
        Some((user, hosts)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{hosts}"),
            None => format!("{user}@{hosts}"),
        },
    };
    let Some((path, query)) = tail.split_once('?') else { return format!("{scheme}://{authority}{tail}") };
    let masked: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, _)) if is_plain(key) => pair.to_owned(),
            Some((key, _)) => format!("{key}=***"),
            None => "***".to_owned(),
        })
        .collect();
    format!("{scheme}://{authority}{path}?{}", masked.join("&"))
}

fn is_plain(key: &str) -> bool {
    PLAIN.iter().any(|plain| plain.eq_ignore_ascii_case(key))
}

/// Whether masking takes something away.
pub(super) fn holds_secret(uri: &str) -> bool {
    let masked = mask_uri(uri);
    masked != uri && masked.contains("***")
}
