//! PostgreSQL's own programs: finding one that is new enough, and running it without a secret in its arguments or its
//! environment.

use crate::config::Environment;
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where Debian and its kin keep one folder a version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// What stands on the path there: a script that looks for a version to run, each time.
const WRAPPER: &str = "pg_wrapper";

/// How often a program that still speaks is asked whether it is to be killed.
const POLL: Duration = Duration::from_millis(20);

/// How often one that has said all is asked whether it has ended.
const END: Duration = Duration::from_millis(1);

/// All that the programs get of our environment, which may hold the secrets of the configuration; libpq would be told
/// something else than we say by more.
const KEPT: &[&str] = &["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "KRB5CCNAME"];

/// The programs of one installation.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: Option<PathBuf>,
}

impl Tools {
    /// Finds a `pg_dump` that is not older than a server of `major` version: the one on the path, unless that is a script
    /// which takes longer to choose one, or the oldest of the installed that will do.
    ///
    /// # Errors
    /// [`Kind::Source`] when there is none, with the package to install.
    pub fn find(major: u32) -> Result<Self> {
        let installed = std::fs::read_dir(VERSIONS).into_iter().flatten().filter_map(Result::ok);
        let numbered =
            installed.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
        let mut numbered: Vec<_> = numbered.collect();
        numbered.sort();
        let mut folders: Vec<_> = numbered.into_iter().map(|(_, folder)| Some(folder.join("bin"))).collect();
        let on_the_path = if is_wrapper() { folders.len() } else { 0 };
        folders.insert(on_the_path, None);
        let mut newest = None;
        for folder in folders {
            let tools = Self { folder };
            let found = version(&tools.path("pg_dump"));
            if found.is_some_and(|version| version >= major) {
                return Ok(tools);
            }
            newest = newest.max(found);
        }
        let what = match newest {
            Some(found) => format!("pg_dump is of version {found}, older than the server ({major})"),
            None => "pg_dump is not installed".to_owned(),
        };
        Err(Error::new(Kind::Source, what).hint(format!(
            "install the package postgresql-client-{major} (or newer), or back up the data alone with `ddl: none`"
        )))
    }

    /// Which `pg_dump` it is, for people.
    pub fn describe(&self) -> String {
        let path = self.path("pg_dump");
        let version = version(&path).map_or_else(String::new, |version| format!(" {version}"));
        format!("pg_dump{version} is not older than the server ({})", path.display())
    }

    /// A command of one of the programs.
    pub fn command(&self, program: &str) -> Command {
        command(&self.path(program))
    }

    fn path(&self, program: &str) -> PathBuf {
        self.folder.as_ref().map_or_else(|| PathBuf::from(program), |folder| folder.join(program))
    }
}

fn command(program: &Path) -> Command {
    let environment = Environment::process();
    let kept = KEPT.iter().filter_map(|name| Some((name, environment.var(name)?)));
    let mut command = Command::new(program);
    // Messages are read by people who look them up.
    command.env_clear().envs(kept).env("LC_ALL", "C");
    command
}

/// Whether the `pg_dump` on the path is Debian's script.
fn is_wrapper() -> bool {
    let real = Environment::process().program("pg_dump").and_then(|program| program.canonicalize().ok());
    real.is_some_and(|program| program.file_name().is_some_and(|name| name == WRAPPER))
}

fn version(program: &Path) -> Option<u32> {
    let output = command(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A file as libpq reads passwords from: arguments and environment are for others to see. It has no name, and is gone
/// with this process however that ends; the programs reach it by its place in `/proc`.
#[derive(Debug)]
pub struct PasswordFile(File);

impl PasswordFile {
    /// Writes it, into memory where there is some.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be written.
    pub fn new(password: &str) -> Result<Self> {
        let failed = |e: std::io::Error| Error::new(Kind::Io, "cannot write a temporary file for pg_dump").cause(e);
        let mut file = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile()).map_err(failed)?;
        // As libpq asks for; it is anyone's by default, though without a name nobody else's yet.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
        file.write_all(format!("*:*:*:*:{escaped}\n").as_bytes()).map_err(failed)?;
        Ok(Self(file))
    }

    /// Where programs that we start find it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// Runs a command to its end, `input` on its standard input; returns its standard output. Cancelled, it is killed.
///
/// # Errors
/// [`Kind::Source`] with the last lines it wrote to standard error.
pub fn run(command: &mut Command, input: &[u8], cancel: &Cancel) -> Result<Vec<u8>> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |e: std::io::Error| Error::new(Kind::Source, format!("cannot run {name}")).cause(e);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (status, output, said) = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that has read enough closes its end.
            let _ = stdin.map(|mut stdin| stdin.write_all(input));
        });
        let (speaking, silent) = bounded(0);
        let too = speaking.clone();
        let output = scope.spawn(move || all(stdout, &speaking));
        let said = scope.spawn(move || all(stderr, &too));
        let status = loop {
            match child.try_wait() {
                Ok(None) if !cancel.is_set() => {
                    if silent.recv_timeout(POLL) == Err(RecvTimeoutError::Disconnected) {
                        std::thread::sleep(END);
                    }
                }
                Ok(None) => {
                    let _ = child.kill().and_then(|()| child.wait());
                    break cancel.check().map(|()| None);
                }
                Ok(Some(status)) => break Ok(Some(status)),
                Err(e) => break Err(failed(e)),
            }
        };
        (status, output.join().unwrap_or_default(), said.join().unwrap_or_default())
    });
    match status? {
        Some(status) if status.success() => Ok(output),
        status => {
            let said = String::from_utf8_lossy(&said);
            let lines: Vec<_> = said.lines().rev().take(3).collect();
            let why = lines.into_iter().rev().collect::<Vec<_>>().join("; ");
            let how = status.map_or_else(String::new, |status| status.to_string());
            Err(Error::new(Kind::Source, format!("{name} failed ({how})")).cause(why))
        }
    }
}

/// All that comes out of a pipe. Over `_speaking` nothing is sent: who listens learns when everybody has dropped it.
fn all(pipe: Option<impl Read>, _speaking: &Sender<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A pipe that breaks ends what was said.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_told_with_what_it_said_last() {
        let script = "cat; echo one >&2; echo two >&2; exit 3";
        let error = run(command(Path::new("sh")).args(["-c", script]), b"input", &Cancel::default()).unwrap_err();
        assert_eq!(error.message, "sh failed (exit status: 3)");
        assert_eq!(error.causes, ["one; two"]);
        assert_eq!(run(&mut command(Path::new("cat")), b"input", &Cancel::default()).unwrap(), b"input");
    }

    #[test]
    fn a_program_does_not_outlive_a_signal() {
        let folder = tempfile::tempdir().unwrap();
        let (cancel, pid) = (Cancel::default(), folder.path().join("pid"));
        let mut sleeper = command(Path::new("sh"));
        // Waits for ever, in the shell itself: nobody writes into the pipe.
        sleeper
            .args(["-c", "mkfifo \"$0.pipe\"; echo $$ > \"$0.new\"; mv \"$0.new\" \"$0\"; read -r x < \"$0.pipe\""])
            .arg(&pid);
        let error = std::thread::scope(|scope| {
            let running = scope.spawn(|| run(&mut sleeper, &[], &cancel));
            while !pid.exists() && !running.is_finished() {
                std::thread::sleep(POLL);
            }
            cancel.signal(15);
            running.join().unwrap().unwrap_err()
        });
        assert_eq!(error.kind, Kind::Signal(15));
        let pid = std::fs::read_to_string(&pid).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
    }
}
