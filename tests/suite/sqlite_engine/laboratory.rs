//! Archives in memory, and a database file of a test's own.

use backup::config::{Consistency, Timeouts};
use backup::error::{Error, Kind, Result};
use backup::modules::Records;
use backup::pipeline::Cancel;
use backup::source::sqlite::Sqlite;
use backup::source::{EntryName, Input, ItemKind, Level, Output, ReadCollection, RecordStream, Source, Wanted};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;

/// A folder with a database.
pub struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub fn new(sql: &str) -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        lab.run(sql);
        lab
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("clinic.db")
    }

    pub fn run(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    /// Rows of a query as text, with types.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let connection = Connection::open(self.path()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let width = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            Ok((0..width).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect::<Vec<_>>().join("|"))
        };
        statement.query_map([], row).unwrap().map(|row| row.unwrap()).collect()
    }

    pub fn source(&self) -> Sqlite {
        Sqlite::open("clinic", &self.path(), Timeouts::default(), Cancel::default()).unwrap()
    }

    pub fn target(&self) -> Sqlite {
        Sqlite::open_target("clinic", &self.path(), Timeouts::default(), Cancel::default()).unwrap()
    }

    /// Backs up tables, each group into an archive of its own.
    pub fn back_up(
        &self,
        groups: &[&[&str]],
        records: &dyn Fn(&str) -> Records,
    ) -> Result<(Backup, Vec<ReadCollection>)> {
        let source = self.source();
        let view = source.open_view(&[], Consistency::Required, Level::Snapshot).unwrap();
        let mut backup = Backup::default();
        let mut read = Vec::new();
        for tables in groups {
            let want = |name: &&str| wanted(name, records(name));
            let archive = Archive::default();
            read.extend(view.read(&tables.iter().map(want).collect::<Vec<_>>(), &archive)?);
            backup.0.push((tables.iter().map(|name| (*name).to_owned()).collect(), archive));
        }
        Ok((backup, read))
    }
}

pub fn wanted(name: &str, records: Records) -> Wanted {
    Wanted { name: name.to_owned(), kind: ItemKind::Collection, identity: None, records }
}

/// Archives, and the tables that each holds.
#[derive(Default)]
pub struct Backup(pub Vec<(Vec<String>, Archive)>);

impl Backup {
    /// The archive that holds a table.
    pub fn input(&self, table: &str) -> Of<'_> {
        let at = self.0.iter().position(|(tables, _)| tables.iter().any(|name| name == table)).unwrap();
        Of(self, at, self.0.iter().enumerate().map(|(at, _)| Stored(self, at)).collect())
    }
}

/// One of them, as a restore sees it.
pub struct Of<'b>(&'b Backup, usize, Vec<Stored<'b>>);

/// One of them, as what holds parents.
pub struct Stored<'b>(&'b Backup, usize);

impl Input for Stored<'_> {
    fn identity(&self) -> String {
        format!("{:p} {}", self.0, self.1)
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn open(&self, name: &EntryName) -> Result<Box<dyn Read + Send + '_>> {
        let body = self.0.0[self.1].1.entries.lock().unwrap().get(name).cloned();
        let body = body.ok_or_else(|| Error::new(Kind::Damaged, format!("there is no {name:?}")))?;
        Ok(Box::new(std::io::Cursor::new(body)))
    }

    fn holding(&self, _: &str) -> Option<&dyn Input> {
        panic!("who holds parents is asked of the child's archive");
    }
}

impl Input for Of<'_> {
    fn identity(&self) -> String {
        self.2[self.1].identity()
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn open(&self, name: &EntryName) -> Result<Box<dyn Read + Send + '_>> {
        self.2[self.1].open(name)
    }

    fn holding(&self, table: &str) -> Option<&dyn Input> {
        let at = self.0.0.iter().position(|(tables, _)| tables.iter().any(|name| name == table))?;
        Some(&self.2[at])
    }
}

/// An archive in memory.
#[derive(Default)]
pub struct Archive {
    entries: Mutex<BTreeMap<EntryName, Vec<u8>>>,
}

impl Archive {
    /// Whether the bytes of it hold some text.
    pub fn holds(&self, text: &str) -> bool {
        let entries = self.entries.lock().unwrap();
        entries.values().any(|body| body.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

impl Output for Archive {
    fn is_sealed(&self) -> bool {
        false
    }

    fn path(&self, name: &EntryName) -> String {
        name.stem.clone()
    }

    fn stream(&self, _: &EntryName) -> Result<Box<dyn RecordStream + '_>> {
        panic!("the engine stores whole databases");
    }

    fn document(&self, _: &EntryName, _: &[u8]) -> Result<()> {
        panic!("the engine stores whole databases");
    }

    fn sized(&self, name: &EntryName, size: u64, body: &mut dyn Read) -> Result<()> {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, size);
        self.entries.lock().unwrap().insert(name.clone(), bytes);
        Ok(())
    }
}
