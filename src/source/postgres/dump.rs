//! Definitions: pg_dump writes the schema as of the snapshot of the rows, and what the selected tables need of it is kept as
//! SQL.
//!
//! ```text
//! pg_dump -Fc --snapshot ─► pg_restore --list ─► toc::select ─► pg_restore --use-list ─► toc::cut ─► Schema
//! ```
//!
//! What the body of a function names is known to nobody before it runs, and does not come with it (PostgreSQL, "Dependency
//! Tracking"). Owners and tablespaces are those of the server that is restored
//! to; privileges too, unless they are asked for. Extensions are listed, and
//! not made: that is for its administrator.

use super::Postgres;
use super::conninfo::Conninfo;
use super::errors::Failure;
use super::needs::{self, Scope};
use super::schema::Section;
pub use super::schema::{Definition, Extension, Schema, SequenceValue};
use super::session::Session;
use super::toc::{self, ObjectId, PG_CLASS, Part, Selected, TocEntry};
use super::tools::{PasswordFile, Tools, run};
use crate::config::Ddl;
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cancel;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Where nothing is: libpq then looks for passwords nowhere else.
const NO_FILE: &str = "/dev/null/none";

/// What pg_dump writes of schemas as of one snapshot: of each set of them once, whoever asks. It ends with this.
#[derive(Debug)]
pub struct Dumps(Arc<PgDump>);

/// One set of schemas, in pg_dump's own format.
type Written = Arc<OnceLock<Result<Arc<Vec<u8>>>>>;

#[derive(Debug)]
struct PgDump {
    tools: Tools,
    conninfo: Conninfo,
    /// How long a lock is waited for.
    lock: Duration,
    snapshot: String,
    /// Who may do what is wanted too.
    grants: bool,
    cancel: Cancel,
    written: Mutex<BTreeMap<Vec<String>, Written>>,
}

impl Drop for Dumps {
    fn drop(&mut self) {
        self.0.cancel.stop();
    }
}

impl Postgres {
    /// Dumps as of the exported `snapshot` that `session` is in.
    ///
    /// # Errors
    /// [`Kind::Source`] when pg_dump is missing or too old.
    pub fn dumps(&self, session: &Session, snapshot: &str) -> Result<Dumps> {
        Ok(Dumps(Arc::new(PgDump {
            tools: Tools::find(session.version / 10_000)?,
            conninfo: self.settings.conninfo.clone(),
            lock: self.settings.limit,
            snapshot: snapshot.to_owned(),
            grants: self.ddl == Ddl::WithGrants,
            cancel: self.cancel.child(),
            written: Mutex::default(),
        })))
    }

    /// Begins to dump what the definitions of the relations `wanted` (oids) need, and does not wait for it.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    pub fn dump_ahead(&self, session: &Session, dumps: &Dumps, wanted: &BTreeSet<u32>) -> Result<()> {
        let scope = self.block(needs::scope(session, wanted))?;
        if !scope.schemas.is_empty() {
            let program = Arc::clone(&dumps.0);
            // Whoever needs it is told what went wrong.
            drop(self.runtime.spawn_blocking(move || drop(program.of(&scope.schemas))));
        }
        Ok(())
    }

    /// The definitions of the relations `wanted` (oids), as of the snapshot of `dumps` that `session` is in; where
    /// `is_whole`, also of what belongs to the schema and to none of them, as a function that only the application calls.
    ///
    /// # Errors
    /// [`Kind::Source`] when pg_dump fails; [`Kind::Connect`] when a table of the schema is closed
    /// to us, because pg_dump locks all of them.
    pub fn definitions(
        &self,
        session: &Session,
        dumps: &Dumps,
        wanted: &BTreeSet<u32>,
        is_whole: bool,
    ) -> Result<Schema> {
        let scope = self.block(needs::scope(session, wanted))?;
        if scope.schemas.is_empty() {
            return Ok(Schema::default());
        }
        let parts = self.block(needs::parts(session, &scope.schemas))?;
        let (program, stop) = (Arc::clone(&dumps.0), dumps.0.cancel.child());
        let (schemas, wanted, cancel) = (scope.schemas.clone(), scope.relations.clone(), stop.clone());
        let work = self.runtime.spawn_blocking(move || {
            let dump = program.of(&schemas)?;
            Dump { tools: &program.tools, dump: &dump, is_whole, cancel }.take(&wanted, &parts)
        });
        // The programs are waited for as long as the server still speaks to us.
        let dumped = self.block(async {
            let work = async { Ok::<_, Failure>(work.await) };
            let asked = session.patience.outcome(work, async || session.query("SELECT", &[]).await).await;
            let ended = |e| Error::new(Kind::Internal, "pg_dump was not waited for").cause(e);
            asked.map_err(|e| self.failed(&e))?.map_err(ended)?
        });
        stop.stop();
        let (mut schema, selected) = dumped?;
        self.block(complete(&mut schema, session, &selected, &scope))?;
        Ok(schema)
    }
}

/// Adds what the catalog knows of the selected.
async fn complete(schema: &mut Schema, session: &Session, selected: &Selected, scope: &Scope) -> Result<()> {
    let entries = &selected.entries;
    schema.sequences = needs::sequences(session, entries, &scope.relations).await?;
    schema.populated = needs::populated(session, entries).await?;
    schema.extensions = needs::extensions(session, entries).await?;
    for extension in &schema.extensions {
        schema.warnings.push(format!("needs extension {} ({})", extension.name, extension.version));
    }
    for object in needs::elsewhere(session, entries, &scope.schemas).await? {
        schema.warnings.push(format!("needs {object}, whose schema is not backed up with it"));
    }
    for key in &selected.outside {
        schema.warnings.push(format!("foreign key {} is left out: it points at what is not selected", key.name()));
    }
    let rows_elsewhere = |e: &&TocEntry| e.kind == "TABLE" && e.class == PG_CLASS && !scope.relations.contains(&e.oid);
    for table in entries.iter().filter(rows_elsewhere) {
        schema
            .warnings
            .push(format!("table {} is defined without its rows: something selected needs it", table.name()));
    }
    Ok(())
}

impl PgDump {
    /// What was written of the schemas; written now, if it was not, and waited for where somebody writes it. Whoever finds
    /// that somebody else failed tries it once more: a lock that stood in the way may be gone.
    fn of(&self, schemas: &[String]) -> Result<Arc<Vec<u8>>> {
        let written = || self.written.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let dump = Arc::clone(written().entry(schemas.to_vec()).or_default());
            let mut is_mine = false;
            let done = dump.get_or_init(|| {
                is_mine = true;
                self.dump(schemas).map(Arc::new)
            });
            if done.is_err() {
                written().retain(|_, other| !Arc::ptr_eq(other, &dump));
            }
            if done.is_ok() || is_mine {
                return done.clone();
            }
        }
    }

    /// All definitions of the schemas, in pg_dump's own format.
    fn dump(&self, schemas: &[String]) -> Result<Vec<u8>> {
        let passwords = self.conninfo.password.as_deref().map(PasswordFile::new).transpose()?;
        let passfile = passwords.as_ref().map_or(NO_FILE.into(), PasswordFile::path);
        let mut command = self.tools.command("pg_dump");
        command.args(["--format=custom", "--schema-only", "--no-owner", "--no-password"]);
        if !self.grants {
            command.arg("--no-privileges");
        }
        command.args(["--encoding=UTF8", "--strict-names"]);
        command.arg(format!("--lock-wait-timeout={}", self.lock.as_millis()));
        command.arg(format!("--snapshot={}", self.snapshot));
        for schema in schemas {
            // It is a pattern, in which nothing but quotes counts within quotes.
            command.arg(format!("--schema=\"{}\"", schema.replace('"', "\"\"")));
        }
        command.arg(format!("--dbname={}", self.conninfo.argument(&passfile)));
        run(&mut command, &[], &self.cancel).map_err(explained)
    }
}

/// A dump, and what is made of it.
struct Dump<'a> {
    tools: &'a Tools,
    dump: &'a [u8],
    is_whole: bool,
    cancel: Cancel,
}

impl Dump<'_> {
    fn take(&self, wanted: &BTreeSet<u32>, parts: &BTreeMap<ObjectId, Part>) -> Result<(Schema, Selected)> {
        let mut entries = toc::parse(&self.list(&["--verbose"])?)?;
        // Every database has the schema, and may be another user's who alone may comment on it.
        entries.retain(|entry| entry.kind != "COMMENT" || !entry.rest.starts_with("- SCHEMA public "));
        for entry in &mut entries {
            entry.part = parts.get(&entry.object()).copied();
        }
        let late = toc::parse(&self.list(&["--section=post-data"])?)?;
        let late: BTreeSet<u32> = late.iter().map(|entry| entry.id).collect();
        let selected = match self.is_whole {
            true => toc::all(entries),
            false => toc::select(&entries, wanted),
        };
        let define = |entries: &[TocEntry]| -> Result<Vec<Definition>> {
            let made = entries.iter().cloned().zip(self.statements(entries)?);
            let section = |id| if late.contains(&id) { Section::PostData } else { Section::PreData };
            Ok(made.map(|(entry, sql)| Definition { section: section(entry.id), entry, sql }).collect())
        };
        let schema =
            Schema { entries: define(&selected.entries)?, outside: define(&selected.outside)?, ..Schema::default() };
        Ok((schema, selected))
    }

    fn list(&self, options: &[&str]) -> Result<String> {
        let list = run(self.tools.command("pg_restore").arg("--list").args(options), self.dump, &self.cancel)?;
        text(list)
    }

    /// The statements of each entry. Where one script of them cannot be cut, two of half as many are.
    fn statements(&self, entries: &[TocEntry]) -> Result<Vec<String>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let script = self.script(entries)?;
        if let Some(statements) = toc::cut(&script, entries) {
            return Ok(statements);
        }
        if let [entry] = entries {
            let why = format!("pg_restore writes {} {} in an unknown way", entry.kind, entry.rest);
            return Err(Error::new(Kind::Internal, why));
        }
        let (first, second) = entries.split_at(entries.len() / 2);
        let mut statements = self.statements(first)?;
        statements.extend(self.statements(second)?);
        Ok(statements)
    }

    fn script(&self, entries: &[TocEntry]) -> Result<String> {
        let failed = |e: std::io::Error| Error::new(Kind::Io, "cannot write a temporary file for pg_restore").cause(e);
        let lines: String = entries.iter().map(|entry| format!("{};\n", entry.id)).collect();
        let mut list = tempfile::NamedTempFile::new().map_err(failed)?;
        list.write_all(lines.as_bytes()).map_err(failed)?;
        let mut command = self.tools.command("pg_restore");
        command.args(["--no-owner", "--no-tablespaces", "--file=-", "--use-list"]).arg(list.path());
        text(run(&mut command, self.dump, &self.cancel)?)
    }
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| Error::new(Kind::Internal, "pg_restore writes no UTF-8").cause(e))
}

/// What to do about a failure of pg_dump.
fn explained(error: Error) -> Error {
    let said = error.causes.join(" ");
    if said.contains("permission denied") {
        return error.kind(Kind::Connect).hint(
            "pg_dump locks every table of the schema: grant SELECT on all of them (or the role pg_read_all_data), or back up the data alone with `ddl: none`",
        );
    }
    // It waits for locks under a limit for statements.
    if said.contains("statement timeout") && said.contains("LOCK TABLE") {
        return error.hint(
            "another session holds a lock on it, as a migration (ALTER TABLE) does: run when it is done, or raise `timeouts.connect`",
        );
    }
    error.hint("the same `pg_dump --schema-only` by hand shows more; `ddl: none` backs up the data alone")
}
