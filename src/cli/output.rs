//! The one place that writes to stdout and stderr. Writing may fail (a closed pipe, a full disk) and must then change
//! neither the work nor its result, so nothing here panics, as `println!` would.

use crate::cli::exit::Exit;
use crate::cli::text;
use crate::error::{Error, Kind, Result};
use serde::Serialize;
use std::io::Write;

/// What a command has to say: a text for people, a document for programs, and how it ends.
#[derive(Debug)]
pub struct Report {
    text: String,
    json: Option<String>,
    exit: Exit,
    purpose: Purpose,
}

#[derive(Debug, PartialEq, Eq)]
enum Purpose {
    /// Tells about work or state: silent under `-q` when all is well.
    Report,
    /// Is what was asked for (a schema, a script): always printed.
    Document,
}

impl Report {
    /// A report, successful until [`Report::exit`] says otherwise.
    ///
    /// # Errors
    /// When `json` is not representable, which is a defect.
    pub fn new(text: String, json: &impl Serialize) -> Result<Self> {
        Ok(Self { text, json: Some(to_json(json)?), exit: Exit::Success, purpose: Purpose::Report })
    }

    /// A report that may be long: only the form that is wanted is made.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn one_of(json: bool, text: impl FnOnce() -> String, document: &impl Serialize) -> Result<Self> {
        let (text, json) = if json { (String::new(), Some(to_json(document)?)) } else { (text(), None) };
        Ok(Self { text, json, exit: Exit::Success, purpose: Purpose::Report })
    }

    /// A text that is itself what was asked for, printed as it is under every option.
    pub fn document(text: String) -> Self {
        Self { text, json: None, exit: Exit::Success, purpose: Purpose::Document }
    }

    /// How the program ends with this report.
    pub fn ending(&self) -> Exit {
        self.exit
    }

    /// Ends it with `exit`, where that is worse than how it ends already.
    pub fn worsen(&mut self, exit: Exit) {
        self.exit = self.exit.or(exit);
    }

    /// The same report, ending with `exit`.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

/// As text at once: a tree of values takes several times the memory of the text it becomes.
fn to_json(value: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string_pretty(value);
    json.map(|json| json + "\n").map_err(|e| Error::new(Kind::Internal, "cannot write the result as JSON").cause(e))
}

/// Prints a report, and returns how the program ends. Only a document that could not be written is a failure: the
/// work behind a report is done, whoever listens.
pub fn print(report: &Report, json: bool, quiet: bool) -> Exit {
    let written = match &report.json {
        Some(document) if json => write_text(document),
        _ if quiet && report.exit == Exit::Success && report.purpose == Purpose::Report => return report.exit,
        // What an author of ours wrote holds colours, perhaps; a report holds names out of files and databases.
        _ if report.purpose == Purpose::Report => write_text(&text::printable_lines(&report.text)),
        _ => write_text(&report.text),
    };
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            write_stderr(&format!("Error: cannot write to standard output: {error}\n"));
            if report.purpose == Purpose::Document { Exit::Failed } else { report.exit }
        }
        _ => report.exit,
    }
}

/// Writes one JSON document to stdout.
pub fn write_json(document: &serde_json::Value) -> std::io::Result<()> {
    write_text(&(serde_json::to_string_pretty(document)? + "\n"))
}

/// Writes text to stdout, without its colours where they are not wanted.
pub fn write_text(text: &str) -> std::io::Result<()> {
    let mut stdout = anstream::AutoStream::auto(std::io::stdout().lock());
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes text to stderr. There is no further place to complain to, so a failure is dropped.
pub fn write_stderr(text: &str) {
    let mut stderr = anstream::AutoStream::auto(std::io::stderr().lock());
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Columns of the terminal on stdout; none when it is no terminal.
pub fn width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}
