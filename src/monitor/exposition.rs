//! The text format of Prometheus (version 0.0.4).

use chrono::{DateTime, Utc};
use std::fmt::Write;

/// The text, metric by metric.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) written: String,
    name: String,
    /// What stands above the first series: a metric without one is left out.
    header: String,
}

impl Text {
    /// Begins a metric.
    pub(super) fn metric(&mut self, name: &str, kind: &str, help: &str) {
        self.header = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        name.clone_into(&mut self.name);
    }

    /// One series of it.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.written.push_str(&std::mem::take(&mut self.header));
        // Writing to a text cannot fail.
        let _ = writeln!(self.written, "{} {value}", series(&self.name, labels));
    }
}

/// A series as it is written: name and labels.
pub(super) fn series(name: &str, labels: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}

/// A moment as Prometheus has it.
pub(super) fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}
