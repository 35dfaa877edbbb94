//! The one cancel flag of a run.

use crate::error::{Error, Kind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Shared by every thread of a run. Set by a signal, or by the first failure that ends the run.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    signal: Arc<AtomicI32>,
    stop: Arc<AtomicBool>,
    /// Of whose work this is a piece.
    above: Option<Arc<Cancel>>,
}

impl Cancel {
    /// Ends the run because signal `number` came.
    pub fn signal(&self, number: i32) {
        self.signal.store(number, Ordering::SeqCst);
        self.stop.store(true, Ordering::SeqCst);
    }

    /// A flag that is set with this one and can also be set on its own, to stop the threads of one piece of work.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { signal: self.signal.clone(), stop: Arc::default(), above: Some(Arc::new(self.clone())) }
    }

    /// Stops the threads that share this flag.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.signal.load(Ordering::Relaxed) != 0
            || self.above.as_ref().is_some_and(|above| above.is_set())
    }

    /// Fails when the flag is set; called once a block.
    ///
    /// # Errors
    /// [`Kind::Signal`] after a signal, [`Kind::Internal`] after a stop (which the first failure explains).
    pub fn check(&self) -> Result<()> {
        if !self.is_set() {
            return Ok(());
        }
        match self.signal.load(Ordering::SeqCst) {
            0 => Err(Error::new(Kind::Internal, "stopped because another part of the run failed")),
            number => Err(Error::new(Kind::Signal(number), format!("ended by signal {number}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_a_run_stops_its_pieces_and_theirs_and_a_piece_stops_nothing_above() {
        let run = Cancel::default();
        let archive = run.child();
        let (unit, other) = (archive.child(), run.child());
        archive.stop();
        assert!(archive.is_set() && unit.is_set() && !other.is_set() && !run.is_set());
        run.stop();
        assert_eq!(other.check().unwrap_err().kind, Kind::Internal);
        run.signal(15);
        assert_eq!(unit.check().unwrap_err().kind, Kind::Signal(15));
    }
}
