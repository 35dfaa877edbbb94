//! Several threads on one list of work.

use super::Cancel;
use crate::error::{Error, Kind, Result};
use std::sync::{Mutex, PoisonError};

/// Processors of this machine, as far as it is ours.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Does `work` on every item, on up to `threads` threads, and gives what comes of it in the order of the items. The first
/// failure stops the flag that the others are given, and is what is returned.
///
/// # Errors
/// The first of `work`.
pub fn in_parallel<T: Send, R: Send>(
    threads: usize,
    cancel: &Cancel,
    items: Vec<T>,
    work: impl Fn(T, &Cancel) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let cancel = cancel.child();
    let threads = threads.clamp(1, items.len().max(1));
    let queue = Mutex::new(items.into_iter().enumerate());
    let (results, failure) = (Mutex::new(Vec::new()), Mutex::new(None));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let _guard = StopsInPanic(&cancel);
        while let Some((at, item)) = next() {
            match cancel.check().and_then(|()| work(item, &cancel)) {
                Ok(result) => results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result)),
                Err(error) => {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    cancel.stop();
                }
            }
        }
    };
    let is_whole = if threads == 1 {
        run();
        true
    } else {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            // All are waited for, also behind one that died.
            threads.into_iter().map(|thread| thread.join()).filter(Result::is_err).count() == 0
        })
    };
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    if !is_whole {
        return Err(Error::new(Kind::Internal, "a thread died"));
    }
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Stops the others when a thread dies: what they do is in vain.
struct StopsInPanic<'a>(&'a Cancel);

impl Drop for StopsInPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn so_many_work_at_once_and_what_they_make_is_in_order() {
        // Nobody gets past it alone.
        let together = Barrier::new(3);
        let made = in_parallel(3, &Cancel::default(), (0..9).collect(), |n: u32, _| {
            together.wait();
            Ok(n * 2)
        });
        assert_eq!(made.unwrap(), [0, 2, 4, 6, 8, 10, 12, 14, 16]);
        assert!(in_parallel(4, &Cancel::default(), Vec::<u32>::new(), |_, _| Ok(())).unwrap().is_empty());
    }

    #[test]
    fn the_first_failure_stops_the_others_and_is_what_is_told() {
        let cancel = Cancel::default();
        let failed = in_parallel(2, &cancel, vec![1, 2, 3], |n: u32, cancel| {
            if n == 1 {
                return Err(Error::new(Kind::Damaged, "one"));
            }
            while !cancel.is_set() {
                std::thread::yield_now();
            }
            cancel.check()
        });
        let error = failed.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (Kind::Damaged, "one"));
        assert!(!cancel.is_set(), "it is the caller's, who may have other work");
    }

    #[test]
    fn a_thread_that_dies_is_a_failure_and_stops_the_others() {
        let died = in_parallel(2, &Cancel::default(), vec![1, 2], |n: u32, cancel| {
            assert!(n != 2, "as it must");
            while !cancel.is_set() {
                std::thread::yield_now();
            }
            Ok(n)
        });
        assert_eq!(died.unwrap_err().kind, Kind::Internal);
    }
}
