//! Turns to read, for runs that are at work together. More of them are at work than read: of a small one most of the time
//! is spent waiting for the disk. Who has begun to read goes on before another begins, so that no snapshot grows old
//! behind runs that could as well begin in the next one.

use std::sync::{Condvar, Mutex, PoisonError};

/// So many turns at a time.
#[derive(Debug)]
pub struct Turns {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Those that wait to go on.
    going_on: usize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a Turns);

impl Turns {
    /// At least one.
    pub fn new(count: usize) -> Self {
        Self { state: Mutex::new(State { free: count.max(1), going_on: 0 }), freed: Condvar::new() }
    }

    /// Waits for one, to begin.
    pub fn begin(&self) -> Turn<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = |state: &mut State| state.free == 0 || state.going_on > 0;
        let mut state = self.freed.wait_while(state, taken).unwrap_or_else(PoisonError::into_inner);
        state.free -= 1;
        Turn(self)
    }

    /// Waits for one, to go on.
    pub fn go_on(&self) -> Turn<'_> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.going_on += 1;
        let mut state = self.freed.wait_while(state, |state| state.free == 0).unwrap_or_else(PoisonError::into_inner);
        state.going_on -= 1;
        state.free -= 1;
        self.freed.notify_all();
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).free += 1;
        self.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_than_so_many_read_at_once() {
        let (turns, reading, most) = (Turns::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        let read = |turn: Turn<'_>| {
            most.fetch_max(reading.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            reading.fetch_sub(1, Ordering::SeqCst);
            drop(turn);
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        read(turns.begin());
                        read(turns.go_on());
                    }
                });
            }
        });
        assert!(most.into_inner() <= 2);
        assert_eq!(turns.state.lock().unwrap().free, 2);
    }

    #[test]
    fn who_goes_on_goes_before_who_begins() {
        let turns = Turns::new(1);
        let order = Mutex::new(Vec::new());
        let waiting = |wanted: usize| {
            while turns.state.lock().unwrap().going_on != wanted {
                std::thread::yield_now()
            }
        };
        std::thread::scope(|scope| {
            let first = turns.begin();
            let begins = scope.spawn(|| {
                let _turn = turns.begin();
                order.lock().unwrap().push("begins");
            });
            let goes_on = scope.spawn(|| {
                let _turn = turns.go_on();
                order.lock().unwrap().push("goes on");
            });
            waiting(1);
            drop(first);
            begins.join().unwrap();
            goes_on.join().unwrap();
        });
        assert_eq!(*order.lock().unwrap(), ["goes on", "begins"]);
    }
}
