//! Progress bars on a terminal: one for each item in work, with rate and time left. Everything else of the run goes
//! to the log, above the bars.

use crate::cli::log::Log;
use crate::cli::text;
use crate::event::{Event, Observer};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const KNOWN: &str =
    "{prefix:28!} {bar:24} {binary_bytes:>10} of {binary_total_bytes:<10} {binary_bytes_per_sec:>12} {eta:>4}";
const UNKNOWN: &str = "{prefix:28!} {spinner} {binary_bytes:>10} {binary_bytes_per_sec:>12}";
const PHASE: &str = "{spinner} {msg} {elapsed}";

/// Draws events as bars.
pub struct Progress {
    log: Arc<Log>,
    bars: MultiProgress,
    phase: ProgressBar,
    items: Mutex<HashMap<String, ProgressBar>>,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

impl Progress {
    /// Bars on stderr; lines go to `log`.
    pub fn new(log: Arc<Log>) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let phase = ProgressBar::hidden();
        phase.set_style(style(PHASE));
        Self { log, bars, phase, items: Mutex::default() }
    }

    fn begin_phase(&self, name: &'static str) {
        if self.phase.is_hidden() {
            let _ = self.bars.add(self.phase.clone());
            self.phase.enable_steady_tick(Duration::from_millis(120));
        }
        self.phase.set_message(name);
    }

    fn begin(&self, item: &str, total: u64) {
        let bar = self.bars.add(if total > 0 { ProgressBar::new(total) } else { ProgressBar::new_spinner() });
        bar.set_style(style(if total > 0 { KNOWN } else { UNKNOWN }));
        bar.set_prefix(text::printable(item));
        let replaced = self.items.lock().unwrap_or_else(PoisonError::into_inner).insert(item.to_owned(), bar);
        if let Some(old) = replaced {
            old.finish_and_clear();
        }
    }

    fn advance(&self, item: &str, bytes: u64) {
        if let Some(bar) = self.items.lock().unwrap_or_else(PoisonError::into_inner).get(item) {
            // The total is an estimate: data may have grown since.
            if bar.length().is_some_and(|length| bar.position() + bytes > length) {
                bar.set_length(bar.position() + bytes);
            }
            bar.inc(bytes);
        }
    }

    fn end(&self, item: &str) {
        if let Some(bar) = self.items.lock().unwrap_or_else(PoisonError::into_inner).remove(item) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        match event {
            Event::Phase(name) => self.begin_phase(name),
            Event::Started { item, total } => self.begin(item, *total),
            Event::Advanced { item, bytes, .. } => self.advance(item, *bytes),
            Event::Finished { item, .. } => self.end(item),
            Event::Warning(_) | Event::Detail(_) => {}
        }
        if self.log.wants(event) {
            self.bars.suspend(|| self.log.observe(event));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.phase.finish_and_clear();
        for bar in self.items.lock().unwrap_or_else(PoisonError::into_inner).values() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_valid() {
        for template in [KNOWN, UNKNOWN, PHASE] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
