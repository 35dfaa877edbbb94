//! Runs a program under ptrace and sees, in order, every system call of all its threads that concerns one folder. Each
//! can be made the last one, can fail without being made, or can be given a byte that is wrong.
//!
//! Calls are counted over all threads, so that the N-th is the N-th, which `strace -e inject` does not promise.

mod calls;

use super::app::Ended;
use calls::Known;
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Waits until it is being traced, and becomes the program.
const GATE: &str = r#"read -r _ && exec "$@" </dev/null"#;

/// A system call that concerns the folder.
#[derive(Debug, Clone)]
pub struct Call {
    /// As the manual names it.
    pub name: &'static str,
    /// What it works on: of a rename, from and to.
    pub paths: Vec<PathBuf>,
    /// The descriptor it works on.
    pub fd: Option<i32>,
    /// Its number, from 1, among those that change what is in the folder or make it last; none for one that reads.
    pub number: Option<usize>,
    /// When it was entered, by the tracer's own clock of entries and exits.
    pub entered: usize,
    /// When it was left, and its result; none when the program was killed in it.
    pub left: Option<(usize, i64)>,
}

impl Call {
    /// It concerns a path that ends so.
    pub fn is_on(&self, end: &str) -> bool {
        self.paths.iter().any(|path| path.to_string_lossy().ends_with(end))
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed before the call is made.
    Kill,
    /// The call is not made, and fails so.
    Fail(Errno),
    /// A bit of what is written is another one on its way; the program's own memory stays as it is.
    Flip,
}

/// What a traced run was.
#[derive(Debug)]
pub struct Traced {
    /// How it ended.
    pub ended: Ended,
    /// Its calls, in the order in which they were entered.
    pub calls: Vec<Call>,
    /// The calls that a fault hit.
    pub hit: Vec<Call>,
}

impl Traced {
    /// How many calls change what is in the folder.
    pub fn changes(&self) -> usize {
        self.calls.iter().filter_map(|call| call.number).max().unwrap_or(0)
    }
}

/// Runs `command` to its end. `decide` is asked about every call that concerns `folder` before it is made.
pub fn trace(command: &Command, folder: &Path, mut decide: impl FnMut(&Call) -> Option<Fault> + Send) -> Traced {
    // A thread of its own has no other children: waiting takes nobody else's away.
    std::thread::scope(|scope| {
        let run = scope.spawn(|| Tracer::start(command, folder).run(&mut decide));
        run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs `command` to its end and does `fault` to the change of this number.
pub fn trace_with(command: &Command, folder: &Path, fault: Fault, number: usize) -> Traced {
    trace(command, folder, |call| (call.number == Some(number)).then_some(fault))
}

struct Tracer {
    program: Pid,
    folder: PathBuf,
    output: [File; 2],
    calls: Vec<Call>,
    hit: Vec<Call>,
    /// What is to be done when a thread leaves the call it is in.
    inside: HashMap<Pid, Inside>,
    changes: usize,
    clock: usize,
}

struct Inside {
    call: usize,
    on_exit: OnExit,
}

enum OnExit {
    Nothing,
    Fail(Errno),
    /// Gives the program back the byte at this address.
    Restore(u64, u8),
}

impl Tracer {
    #[expect(clippy::zombie_processes, reason = "`run` waits for it, by way of ptrace")]
    fn start(command: &Command, folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap();
        let output = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        let mut gate = Command::new("/bin/sh");
        gate.args(["-c", GATE, "gate"]).arg(command.get_program()).args(command.get_args());
        gate.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        gate.current_dir(command.get_current_dir().unwrap());
        gate.stdin(Stdio::piped()).stdout(output[0].try_clone().unwrap()).stderr(output[1].try_clone().unwrap());
        let mut child = gate.spawn().unwrap();
        let program = Pid::from_raw(child.id().try_into().unwrap());
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(program, options).unwrap_or_else(|e| {
            panic!("ptrace is refused here ({e}): these tests need kernel.yama.ptrace_scope below 2, or CAP_SYS_PTRACE")
        });
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        Self {
            program,
            folder,
            output,
            calls: Vec::new(),
            hit: Vec::new(),
            inside: HashMap::new(),
            changes: 0,
            clock: 0,
        }
    }

    fn run(mut self, decide: &mut dyn FnMut(&Call) -> Option<Fault>) -> Traced {
        let mut code = None;
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    // A thread that is gone was killed while we looked at it.
                    let _ = self.at_call(thread, decide);
                    resume(thread, None);
                }
                Ok(WaitStatus::PtraceEvent(thread, ..)) => resume(thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => resume(thread, Some(signal)),
                Ok(WaitStatus::Exited(process, status)) if process == self.program => code = Some(status),
                Ok(WaitStatus::Signaled(process, signal, _)) if process == self.program => {
                    code = Some(128 + signal as i32);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => break,
                Err(e) => panic!("waitpid: {e}"),
            }
        }
        let [stdout, stderr] = self.output.map(|mut file| {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            text
        });
        Traced { ended: Ended { code: code.unwrap(), stdout, stderr }, calls: self.calls, hit: self.hit }
    }

    fn at_call(&mut self, thread: Pid, decide: &mut dyn FnMut(&Call) -> Option<Fault>) -> nix::Result<()> {
        self.clock += 1;
        if ptrace::syscall_info(thread)?.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            self.enter(thread, decide)
        } else {
            self.leave(thread)
        }
    }

    fn enter(&mut self, thread: Pid, decide: &mut dyn FnMut(&Call) -> Option<Fault>) -> nix::Result<()> {
        let mut registers = ptrace::getregs(thread)?;
        let Some(Known { name, paths, fd, changes }) = calls::decode(thread, &registers) else { return Ok(()) };
        if !paths.iter().any(|path| path.starts_with(&self.folder)) {
            return Ok(());
        }
        self.changes += usize::from(changes);
        let number = changes.then_some(self.changes);
        let call = Call { name, paths, fd, number, entered: self.clock, left: None };
        let fault = decide(&call);
        let mut on_exit = OnExit::Nothing;
        match fault {
            None => {}
            Some(Fault::Kill) => kill(self.program, Signal::SIGKILL)?,
            Some(Fault::Fail(errno)) => {
                // No system call has this number: the kernel does nothing.
                registers.orig_rax = u64::MAX;
                ptrace::setregs(thread, registers)?;
                on_exit = OnExit::Fail(errno);
            }
            Some(Fault::Flip) => {
                assert!(matches!(name, "write" | "pwrite64"), "only written bytes can flip, not those of {name}");
                let (address, mut byte) = (registers.rsi + registers.rdx / 2, [0]);
                let memory = calls::memory(thread);
                memory.read_exact_at(&mut byte, address).unwrap();
                memory.write_all_at(&[byte[0] ^ 0x10], address).unwrap();
                on_exit = OnExit::Restore(address, byte[0]);
            }
        }
        self.hit.extend(fault.map(|_| call.clone()));
        self.inside.insert(thread, Inside { call: self.calls.len(), on_exit });
        self.calls.push(call);
        Ok(())
    }

    fn leave(&mut self, thread: Pid) -> nix::Result<()> {
        let Some(Inside { call, on_exit }) = self.inside.remove(&thread) else { return Ok(()) };
        let mut registers = ptrace::getregs(thread)?;
        match on_exit {
            OnExit::Nothing => {}
            OnExit::Fail(errno) => {
                registers.rax = i64::from(-(errno as i32)) as u64;
                ptrace::setregs(thread, registers)?;
            }
            OnExit::Restore(address, byte) => calls::memory(thread).write_all_at(&[byte], address).unwrap(),
        }
        self.calls[call].left = Some((self.clock, registers.rax as i64));
        Ok(())
    }
}

/// Lets a thread run to its next system call. One that is gone was killed.
fn resume(thread: Pid, signal: Option<Signal>) {
    match ptrace::syscall(thread, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(e) => panic!("cannot resume {thread}: {e}"),
    }
}
