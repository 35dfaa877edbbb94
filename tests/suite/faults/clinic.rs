//! A small application, its repository below `disk/`, and what must be true of it whatever happened.

use crate::support::app::App;
use crate::support::tracer::{Fault, Traced, trace, trace_with};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const CONFIG: &str = r#"
installation: clinic
repository: {location: ./disk/backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
uploads: [{root: ./uploads, layout: "{directory}"}]
modules:
  core: {required: true, source: clinic, collections: [patients], fileUploads: [documents]}
retention: {policy: {maxBackups: 1, maxAgeDays: 400, keepMinimum: 1}}
"#;

/// At which of a run's calls a fault is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Every third, and the last ones, among which is the commit: what every change must pass.
    Some,
    /// Every one.
    All,
}

impl Calls {
    /// Their numbers, of a run that makes so many.
    pub fn of(self, changes: usize) -> Vec<usize> {
        assert!(changes > 0, "it changes nothing");
        (1..=changes).filter(|number| self == Calls::All || number % 3 == 1 || number + 14 > changes).collect()
    }
}

/// The application.
pub struct Clinic {
    pub app: App,
}

/// SHA-256 of files, by path.
pub type Digests = BTreeMap<PathBuf, String>;

impl Clinic {
    /// One that has never been backed up.
    pub fn new() -> Self {
        let app = App::new(CONFIG);
        let connection = Connection::open(app.path("clinic.db")).unwrap();
        connection
            .execute_batch("CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO patients VALUES (1, 'Ada'), (2, 'Ben')")
            .unwrap();
        app.write("uploads/documents/referral.txt", b"to the cardiologist");
        std::fs::create_dir(app.path("disk")).unwrap();
        Self { app }
    }

    /// One that has this many backups.
    pub fn backed_up(times: usize) -> Self {
        let clinic = Self::new();
        for _ in 0..times {
            clinic.app.run(&["-q", "create"]).expect(0);
        }
        clinic
    }

    /// The same once more, in a folder of its own.
    pub fn copy(&self) -> Self {
        let app = App::new("");
        let copied = Command::new("cp").arg("-a").arg(self.app.path(".")).arg(app.path(".")).status().unwrap();
        assert!(copied.success());
        Self { app }
    }

    /// What holds the repository.
    pub fn disk(&self) -> PathBuf {
        self.app.path("disk")
    }

    /// A path in the repository.
    pub fn repository(&self, relative: &str) -> PathBuf {
        self.app.path("disk/backups").join(relative)
    }

    /// Runs the program and looks at its calls.
    pub fn traced(&self, arguments: &[&str]) -> Traced {
        trace(&self.app.command(arguments), &self.disk(), |_| None)
    }

    /// Runs the program with a fault at the change of this number, which must come to it.
    #[track_caller]
    pub fn with_fault(&self, arguments: &[&str], fault: Fault, number: usize) -> Traced {
        let traced = trace_with(&self.app.command(arguments), &self.disk(), fault, number);
        assert_eq!(traced.hit.len(), 1, "the fault at call {number} did not fire: {:?}", traced.ended);
        traced
    }

    /// The archives of the backups that are there now, and their manifests.
    pub fn digests(&self) -> Digests {
        let mut all = Digests::new();
        for id in self.app.ids() {
            for folder in [format!("daily/{id}"), format!("metadata/{id}.json")] {
                let files = walkdir::WalkDir::new(self.repository(&folder)).into_iter().map(|entry| entry.unwrap());
                let files = files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
                all.extend(files.map(|path| (self.below(&path), sha256(&path))));
            }
        }
        all
    }

    fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.repository("")).unwrap().to_owned()
    }

    /// These bytes are still there.
    #[track_caller]
    pub fn assert_holds(&self, digests: &Digests) {
        for (path, digest) in digests {
            assert_eq!(sha256(&self.repository("").join(path)), *digest, "{}", path.display());
        }
    }

    /// Whatever is listed is whole: its archives are what its manifest says, by our own reckoning, and decode.
    #[track_caller]
    pub fn assert_listed_is_whole(&self) -> Vec<String> {
        let ids = self.app.ids();
        for id in &ids {
            let manifest = std::fs::read(self.repository(&format!("metadata/{id}.json"))).unwrap();
            let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
            let components = manifest["components"].as_array().unwrap();
            assert_eq!(components.len(), 2, "{manifest}");
            for component in components {
                let Some(archive) = component["archive"].as_str() else { continue };
                let digest = sha256(&self.repository(&format!("daily/{id}/{archive}")));
                assert_eq!(component["sha256"], digest, "{id} {archive}");
            }
        }
        if !ids.is_empty() {
            self.app.run(&["-q", "verify", "--all", "--level", "decoded"]).expect(0);
        }
        ids
    }

    /// The next run succeeds, and then nothing is left of the ones before that is not a backup.
    #[track_caller]
    pub fn assert_next_run_is_clean(&self) {
        let before = self.app.ids();
        self.app.run(&["-q", "create"]).expect(0);
        self.assert_no_residue();
        assert_eq!(self.assert_listed_is_whole().len(), before.len() + 1);
    }

    /// There is nothing that no backup needs.
    #[track_caller]
    pub fn assert_no_residue(&self) {
        let list = self.app.run(&["--json", "list"]).expect(0).json();
        assert_eq!(list["interrupted"], serde_json::json!([]));
        assert_eq!(list["unreadable"], serde_json::json!([]));
        assert_eq!(self.names("staging"), Vec::<String>::new());
        let mut ids = self.app.ids();
        ids.sort_unstable();
        assert_eq!(self.names("daily"), ids);
        let orphans = self.names("metadata/facts");
        let orphans: Vec<_> =
            orphans.iter().filter(|name| !ids.iter().any(|id| name.starts_with(id.as_str()))).collect();
        assert!(orphans.is_empty(), "facts of backups that are gone: {orphans:?}");
        for entry in walkdir::WalkDir::new(self.disk()).into_iter().map(|entry| entry.unwrap()) {
            let name = entry.file_name().to_string_lossy();
            assert!(!name.ends_with(".tmp"), "{}", entry.path().display());
            assert!(!name.starts_with(".backup-repository-"), "{}", entry.path().display());
        }
    }

    /// Names in a folder of the repository, in order.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.repository(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }
}

/// SHA-256 of a file, in hexadecimal.
#[track_caller]
pub fn sha256(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
