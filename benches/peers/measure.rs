//! Runs a command and measures it: a process of our own starts it, so that what the kernel counts of its children is that
//! command's alone.

use nix::sys::resource::{UsageWho, getrusage};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    /// Seconds by the clock.
    pub wall: f64,
    /// Seconds of processors, of the command and its children; not the server's.
    pub cpu: f64,
    /// The largest resident set of any of its processes.
    pub peak_mib: f64,
    /// Megabytes that it wrote to its output.
    pub output_mb: f64,
}

/// Runs a shell command; what it leaves at `output` is its size. It must succeed.
pub fn shell(command: &str, output: Option<&Path>) -> Measured {
    let us = std::env::current_exe().expect("our own path");
    let ran = Command::new(us)
        .args(["--measure", "sh", "-c", command])
        .stderr(Stdio::inherit())
        .output()
        .expect("a process of our own");
    let text = String::from_utf8_lossy(&ran.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [code, wall, cpu, peak_mib] = numbers[..] else { panic!("`{command}` was not measured: {text}") };
    assert!(code == 0.0, "`{command}` failed with code {code}");
    let output_mb = output.map_or(0.0, |path| size(path) as f64 / 1e6);
    Measured { wall, cpu, peak_mib, output_mb }
}

/// The process of our own.
pub fn child(command: &[String]) -> ! {
    let (program, arguments) = command.split_first().expect("a command");
    let began = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status().expect("a shell");
    let wall = began.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage of children");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    let peak = usage.max_rss() as f64 / 1024.0;
    println!("{} {wall} {cpu} {peak}", status.code().unwrap_or(-1));
    let _ = std::io::stdout().flush();
    std::process::exit(0)
}

/// Bytes of a file, or of all files below a folder.
pub fn size(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if !metadata.is_dir() {
        return metadata.size();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path())).sum()
}

/// Whether a program is on the path.
pub fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// What this machine is.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0);
    format!("{cores} × {}, {:.0} GiB", model.unwrap_or("unknown processor"), kib / 1024.0 / 1024.0)
}
