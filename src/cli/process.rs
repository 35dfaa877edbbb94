//! What the program does to its own process: hardening, signals, who runs it.

use crate::cli::exit::Exit;
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use rustix::process::{Resource, Rlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Files of a backup hold customers' data and a memory image holds passwords: neither is for others to read.
pub fn harden() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // Lowering a limit cannot fail for want of a privilege; a kernel that refuses changes nothing else.
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// A cancel flag that SIGINT, SIGTERM and SIGHUP set. The second signal ends the program at once: whoever asks twice
/// does not want to wait for an orderly end.
///
/// # Errors
/// When the handlers cannot be set up.
pub fn cancel_on_signals() -> Result<Cancel> {
    let cancel = Cancel::default();
    let mut wanted = vec![SIGINT, SIGTERM];
    // `nohup` starts us with SIGHUP ignored, and that stays so.
    if !is_ignored(SIGHUP) {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted)
        .map_err(|e| Error::new(Kind::Internal, "cannot listen for signals").cause(e))?;
    let flag = cancel.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut arrived = signals.forever();
            if let Some(first) = arrived.next() {
                flag.signal(first);
            }
            if let Some(second) = arrived.next() {
                exit_now(Exit::Signal(second));
            }
        })
        .map_err(|e| Error::new(Kind::Internal, "cannot start the signal thread").cause(e))?;
    Ok(cancel)
}

#[expect(clippy::exit, reason = "the operator asked twice; what is unpublished is swept by the next run")]
fn exit_now(exit: Exit) -> ! {
    std::process::exit(i32::from(exit.number()))
}

/// Whether the process was started with `signal` ignored.
fn is_ignored(signal: i32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

/// Who runs the program: `user@host`. Cron sets no `USER`; the list of users knows.
pub fn user_at_host() -> String {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_id = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    };
    let user = users.lines().find_map(of_id).unwrap_or_else(|| format!("uid-{id}"));
    format!("{user}@{}", host())
}

/// The name of this machine.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
