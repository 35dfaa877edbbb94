//! Readers with nothing left to read: whoever reads something large asks for one of them.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many there are.
#[derive(Debug, Default)]
pub struct Idle(AtomicUsize);

impl Idle {
    /// So many from the start.
    pub fn new(readers: usize) -> Self {
        Self(AtomicUsize::new(readers))
    }

    /// One more has nothing to do.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes one, who is given back by [`Idle::add`]; false where there is none.
    pub fn take(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |readers| readers.checked_sub(1)).is_ok()
    }
}
