//! An application to be backed up: a folder with a configuration, and the real binary under a cleared environment.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A folder with `backup.yaml` in it.
pub struct App {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; 128 plus the signal when one ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// The run ended with `code`, else the test does.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}:\n{}\n{}", self.stdout, self.stderr))
    }
}

impl App {
    /// An application with this configuration.
    pub fn new(config: &str) -> Self {
        let app = Self { folder: tempfile::tempdir().unwrap() };
        app.write("backup.yaml", config.as_bytes());
        app
    }

    /// A path in its folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file in its folder.
    pub fn write(&self, relative: &str, body: &[u8]) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }

    /// Replaces text in the configuration.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("backup.yaml")).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        self.write("backup.yaml", text.replace(from, to).as_bytes());
    }

    /// The binary with these arguments, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backup"));
        command.current_dir(self.folder.path()).env_clear().args(args);
        command
    }

    /// Runs the binary.
    pub fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs the binary with its clock at this moment.
    pub fn run_at(&self, now: &str, args: &[&str]) -> Ended {
        ended(self.command(args).env("BACKUP_NOW", now).stdin(Stdio::null()).output().unwrap())
    }

    /// Starts the binary and does not wait.
    pub fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Ids of the listed backups, newest first.
    pub fn ids(&self) -> Vec<String> {
        let list = self.run(&["--json", "list"]).expect(0).json();
        list["backups"].as_array().unwrap().iter().map(|b| b["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The folder of a backup of type daily.
    pub fn backup(&self, id: &str) -> PathBuf {
        self.path("backups/daily").join(id)
    }
}

/// How a finished process ended.
pub fn ended(output: std::process::Output) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    let code = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Path (as text) → bytes of every file below a folder.
pub fn files_below(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(|e| e.unwrap()).filter(|e| e.file_type().is_file());
    let named = |e: walkdir::DirEntry| {
        let relative = e.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        (relative, std::fs::read(e.path()).unwrap())
    };
    files.map(named).collect()
}
