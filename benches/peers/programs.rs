//! The programs that are measured: `backup` with a configuration of its own, and its peers.

use crate::Options;
use crate::measure::{Measured, is_installed, shell};
use crate::table::Tool;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The program that is measured.
const BACKUP: &str = env!("CARGO_BIN_EXE_backup");

/// A configuration, and commands with it.
pub struct Ours {
    /// Where it and its repository are.
    pub folder: PathBuf,
}

impl Ours {
    /// Writes the configuration `text` into a folder of that name; `installation` and `repository` are written before it.
    pub fn new(options: &Options, name: &str, text: &str) -> Self {
        let folder = options.folder.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("backup.yaml");
        let text = format!("installation: bench\nrepository: {{location: repository}}\n{text}");
        fs::write(&path, text).expect("a configuration");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        Self { folder }
    }

    /// Where its backups are.
    pub fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    /// The command line with these arguments.
    pub fn command(&self, arguments: &str) -> String {
        format!("{BACKUP} -q -c {} {arguments}", self.folder.join("backup.yaml").display())
    }

    /// Runs it.
    pub fn run(&self, arguments: &str) -> Measured {
        shell(&self.command(arguments), Some(&self.repository()))
    }

    /// Asks for something that is printed.
    pub fn ask(&self, arguments: &str) -> Measured {
        shell(&format!("{BACKUP} -c {} {arguments}", self.folder.join("backup.yaml").display()), None)
    }

    /// Removes what backups there are.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.repository());
    }

    /// A backup into an empty repository.
    pub fn create(&self, arguments: &str) -> Measured {
        self.forget();
        self.run(&format!("create {arguments}"))
    }

    /// A tool of a row.
    pub fn tool<'a>(&'a self, name: &str, run: impl FnMut() -> Measured + 'a) -> Tool<'a> {
        Tool { name: format!("**backup {name}**"), reads: None, run: Some(Box::new(run)) }
    }
}

/// A tool that writes to `output`, which is empty before each run.
pub fn peer<'a>(program: &str, name: &str, command: String, output: PathBuf) -> Tool<'a> {
    peer_after(program, name, command, output, || {})
}

/// The same, with something to be done `before` each run, which is not measured.
pub fn peer_after<'a>(
    program: &str,
    name: &str,
    command: String,
    output: PathBuf,
    mut before: impl FnMut() + 'a,
) -> Tool<'a> {
    let run = move || {
        let _ = fs::remove_dir_all(&output);
        let _ = fs::remove_file(&output);
        before();
        shell(&command, Some(&output))
    };
    let installed = program.split(' ').all(is_installed);
    let run = installed.then(|| Box::new(run) as Box<dyn FnMut() -> Measured + 'a>);
    Tool { name: name.to_owned(), reads: None, run }
}
