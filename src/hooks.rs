//! Programs of the operator that are run around a run.

use crate::config::{CommandLine, Environment, show_duration};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::pipeline::Cancel;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Exit code by which a program says that the run should not be now (`EX_TEMPFAIL` of sysexits).
pub const SKIP: i32 = 75;

/// Variables of ours that a program sees. The others may hold secrets, which are for the configuration alone.
const KEPT: [&str; 9] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

const POLL: Duration = Duration::from_millis(20);

/// How long a program may take to end when it is told to.
const LAST_WORD: Duration = Duration::from_secs(5);

/// What it started may outlive it and keep its output open: then the output is waited for this long.
const REST: Duration = Duration::from_secs(1);

/// Lines of a failed program that are repeated in the error.
const TAIL: usize = 10;

/// One program to run.
#[derive(Debug)]
pub struct Hook<'a> {
    /// `before`, `after`, `onFailure`, `finally`.
    pub phase: &'static str,
    /// The program.
    pub line: &'a CommandLine,
    /// Where it is run.
    pub directory: &'a Path,
    /// How long it may take.
    pub limit: Duration,
    /// What it is told, by names that begin with `BACKUP_`.
    pub variables: &'a [(&'static str, String)],
}

/// How a program ended that was not wrong.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Done,
    /// It said that the run should not be now.
    Skip,
}

impl Hook<'_> {
    /// Runs it in a process group of its own. What it prints is logged. With `cancel` a signal ends it.
    ///
    /// # Errors
    /// [`Kind::Command`] when it cannot be started, fails, or takes longer than it may; [`Kind::Signal`].
    pub fn run(&self, events: &Events, environment: &Environment, cancel: Option<&Cancel>) -> Result<Ended> {
        let (mut command, name) = match self.line {
            CommandLine::Shell(text) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", text]);
                (shell, "the shell".to_owned())
            }
            CommandLine::Program(words) => {
                let (program, arguments) = words.split_first().map_or(("", [].as_slice()), |(p, a)| (p.as_str(), a));
                let mut command = Command::new(program);
                command.args(arguments);
                (command, program.to_owned())
            }
        };
        let kept = KEPT.iter().filter_map(|name| Some((name, environment.var(name)?)));
        command.env_clear().envs(kept).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("BACKUP_PHASE", self.phase).current_dir(self.directory).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        events.emit(Event::Detail(format!("command `{}` begins: {name}", self.phase)));
        let what = |how: &str| Error::new(Kind::Command, format!("command `{}` {how} ({name})", self.phase));
        let mut child = command.spawn().map_err(|e| {
            what("cannot be started").cause(e).hint("is it there, executable, and on the PATH of cron?")
        })?;
        let lines = self.listen(&mut child, events);
        let ended = self.wait(&mut child, cancel);
        let tail: Vec<String> = lines.recv_timeout(REST).unwrap_or_default();
        let status = ended?;
        match status {
            None => {
                Err(what(&format!("took longer than {} (`commands.timeout`)", show_duration(self.limit))).details(tail))
            }
            Some(status) if status.success() => Ok(Ended::Done),
            Some(status) if status.code() == Some(SKIP) => Ok(Ended::Skip),
            Some(status) => Err(what(&format!("failed: {status}")).details(tail)),
        }
    }

    /// Logs what it prints, and hands over the last lines at the end.
    fn listen(&self, child: &mut Child, events: &Events) -> Receiver<Vec<String>> {
        let (printed, lines) = channel();
        for pipe in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
            let printed = printed.clone();
            thread::spawn(move || read(pipe, &printed));
        }
        let (sender, tail) = channel();
        let (events, phase) = (events.clone(), self.phase);
        thread::spawn(move || {
            let mut last = VecDeque::new();
            for line in lines {
                events.emit(Event::Detail(format!("{phase}: {line}")));
                if last.len() == TAIL {
                    last.pop_front();
                }
                last.push_back(line);
            }
            // Nobody waits any more when the send fails.
            let _ = sender.send(last.into());
        });
        tail
    }

    /// Its status; none when it took too long and was ended.
    fn wait(&self, child: &mut Child, cancel: Option<&Cancel>) -> Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            let failed = |e| Error::new(Kind::Command, format!("command `{}` is lost", self.phase)).cause(e);
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(Some(status));
            }
            if let Some(Err(ended)) = cancel.map(Cancel::check) {
                end(child);
                return Err(ended);
            }
            if began.elapsed() >= self.limit {
                end(child);
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }
}

fn boxed(pipe: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(pipe)
}

/// Line by line, whatever bytes they are. A line without an end is cut where it gets long.
fn read(pipe: Box<dyn Read + Send>, printed: &Sender<String>) {
    const LONGEST: u64 = 8 * 1024;
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.by_ref().take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if printed.send(text).is_err() {
            return;
        }
    }
}

/// Ends a program and what it has started: politely, then not. Who started it all may be gone before the others.
fn end(child: &mut Child) {
    let group = Pid::from_child(child);
    // What is gone already cannot be told to go.
    let _ = kill_process_group(group, Signal::TERM);
    let began = Instant::now();
    while began.elapsed() < LAST_WORD {
        // Until its end is taken note of, a process is one of the group.
        let _ = child.try_wait();
        if test_kill_process_group(group).is_err() {
            return;
        }
        thread::sleep(POLL);
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}
