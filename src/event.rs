//! What happens in a run, as events. Use cases emit them; observers (progress, log, JSON, later notifications and
//! metrics) render them. Nothing in the library prints.

use std::sync::Arc;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A phase of the run began: `connecting`, `planning`, `reading`, `verifying`, `publishing`.
    Phase(&'static str),
    /// Work on a collection, directory or archive began. `total` is an estimate in bytes, 0 when unknown.
    Started {
        /// What: `hr-core/hrms users`.
        item: String,
        /// Estimated bytes.
        total: u64,
    },
    /// More bytes of an item were worked on.
    Advanced {
        /// As in `Started`.
        item: String,
        /// Bytes since the last event.
        bytes: u64,
        /// Records since the last event.
        records: u64,
    },
    /// Work on an item ended.
    Finished {
        /// As in `Started`.
        item: String,
        /// How much it was.
        done: Amount,
        /// Why it failed, where it did.
        error: Option<String>,
    },
    /// Something the operator should know.
    Warning(String),
    /// Something worth a log line with `-v`.
    Detail(String),
}

/// How much was worked on, as far as it was counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Amount {
    /// Records.
    pub records: Option<u64>,
    /// Files.
    pub files: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
}

/// Receives events, from any thread.
pub trait Observer: Send + Sync {
    /// Takes note of an event. Must not block for long.
    fn observe(&self, event: &Event);
}

/// Shares an observer among the threads of a run.
#[derive(Clone)]
pub struct Events(Arc<dyn Observer>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// Sends events to `observer`.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self(observer)
    }

    /// Emits an event.
    pub fn emit(&self, event: Event) {
        self.0.observe(&event);
    }

    /// Emits a warning.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(Event::Warning(message.into()));
    }
}

/// Bytes for people, in binary units: `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}
