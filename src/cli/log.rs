//! The log on stderr: events as lines of text, or of JSON for log collectors.

use crate::cli::args::LogFormat;
use crate::cli::{failure, output, text, time};
use crate::error::Error;
use crate::event::{Amount, Event, Observer};
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use tracing::dispatcher::{self, Dispatch};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How much is logged; each level holds the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Warnings and failed items.
    Warnings,
    /// Finished items.
    Results,
    /// Phases and details (`-v`).
    Details,
    /// Begun items (`-vv`).
    Everything,
}

/// Logs events.
pub struct Log {
    dispatch: Dispatch,
    level: Level,
    format: LogFormat,
    /// The same in every line of a run, for collectors that get the lines of several.
    run: String,
    /// Under `--quiet`: warnings, kept until it is known whether all went well.
    held_back: Option<Mutex<Vec<Event>>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Log {
    /// A log of `level`. With `quiet` nothing is written before [`Log::release`].
    pub fn new(level: Level, format: LogFormat, quiet: bool) -> Self {
        // Errors of stderr are not reported: that would go to stderr again, and panic where it is closed.
        let builder = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(|| Stderr)
            .with_ansi(false)
            .log_internal_errors(false);
        let dispatch = match format {
            LogFormat::Json => Dispatch::new(builder.json().flatten_event(true).with_target(false).finish()),
            LogFormat::Text => Dispatch::new(builder.event_format(Lines).finish()),
        };
        let run = format!("{}-{}", time::now().format("%Y%m%dT%H%M%SZ"), std::process::id());
        Self { dispatch, level, format, run, held_back: quiet.then(Mutex::default) }
    }

    /// The name of this run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Prints the error that a run ends with, in the form of the log: a collector gets no line that it cannot read.
    pub fn fail(&self, error: &Error) {
        if self.format == LogFormat::Text {
            return failure::print(error, false);
        }
        let run = self.run.as_str();
        let code = error.kind.code();
        let joined = |lines: &[String]| (!lines.is_empty()).then(|| safe(&lines.join("; ")));
        let (causes, details, hint) = (joined(&error.causes), joined(&error.details), error.hint.as_deref().map(safe));
        dispatcher::with_default(&self.dispatch, || {
            tracing::error!(run, code, causes, details, hint, "{}", safe(&error.message));
        });
    }

    /// Writes what `--quiet` held back: the run did not go well.
    pub fn release(&self) {
        let held_back = self.held_back.as_ref().map(|events| {
            let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *events)
        });
        for event in held_back.into_iter().flatten() {
            self.write(&event);
        }
    }

    /// Whether `event` is logged at this level.
    pub fn wants(&self, event: &Event) -> bool {
        let least = match event {
            Event::Warning(_) | Event::Finished { error: Some(_), .. } => Level::Warnings,
            Event::Finished { error: None, .. } => Level::Results,
            Event::Phase(_) | Event::Detail(_) => Level::Details,
            Event::Started { .. } => Level::Everything,
            Event::Advanced { .. } => return false,
        };
        self.level >= least
    }

    fn write(&self, event: &Event) {
        let run = self.run.as_str();
        dispatcher::with_default(&self.dispatch, || match event {
            Event::Warning(message) => tracing::warn!(run, "{}", safe(message)),
            Event::Finished { item, error: Some(error), .. } => {
                tracing::warn!(run, item = %text::printable(item), "{} failed: {}", text::printable(item), safe(error));
            }
            Event::Finished { item, done, error: None } => {
                let item = text::printable(item);
                let Amount { records, files, bytes } = *done;
                tracing::info!(run, %item, records, files, bytes, "{item}: {}", amount(done));
            }
            Event::Phase(phase) => tracing::debug!(run, phase, "{phase}"),
            Event::Detail(message) => tracing::debug!(run, "{}", safe(message)),
            Event::Started { item, total } => tracing::trace!(run, item, total, "{} begins", text::printable(item)),
            Event::Advanced { .. } => {}
        });
    }
}

fn safe(message: &str) -> String {
    failure::redact(&text::printable(message))
}

impl Observer for Log {
    fn observe(&self, event: &Event) {
        if !self.wants(event) {
            return;
        }
        match &self.held_back {
            Some(events) => events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone()),
            None => self.write(event),
        }
    }
}

/// Log lines for people: the message, warnings marked.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        if *event.metadata().level() <= tracing::Level::WARN {
            let style = clap::builder::styling::AnsiColor::Yellow.on_default().bold();
            write!(writer, "{style}Warning:{style:#} ")?;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        writeln!(writer, "{}", message.0)
    }
}

/// Picks the message out of an event's fields.
struct Message(String);

impl tracing::field::Visit for Message {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Hands lines to the one writer.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        output::write_stderr(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `2 records, 34 B`.
fn amount(done: &Amount) -> String {
    let records = done.records.map(|n| text::count(n, "record", "records"));
    let files = done.files.map(|n| text::count(n, "file", "files"));
    let bytes = done.bytes.map(text::size);
    [records, files, bytes].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(error: Option<&str>) -> Event {
        let done = Amount { records: Some(1), files: None, bytes: Some(1) };
        Event::Finished { item: "users".into(), done, error: error.map(Into::into) }
    }

    #[test]
    fn warnings_and_failures_are_logged_at_every_level() {
        let log = Log::new(Level::Warnings, LogFormat::Text, true);
        assert!(log.wants(&Event::Warning("w".into())));
        assert!(log.wants(&finished(Some("gone"))));
        assert!(!log.wants(&finished(None)));
        assert!(!log.wants(&Event::Phase("reading")));
    }

    #[test]
    fn quiet_holds_warnings_back_until_they_are_released() {
        let log = Log::new(Level::Warnings, LogFormat::Text, true);
        log.observe(&Event::Warning("w".into()));
        assert_eq!(log.held_back.as_ref().unwrap().lock().unwrap().len(), 1);
        log.release();
        assert!(log.held_back.as_ref().unwrap().lock().unwrap().is_empty());
    }
}
