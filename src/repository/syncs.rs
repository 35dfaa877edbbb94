//! Making last what several runs of one process write to: the repository's folders, its audit log. A disk writes for many
//! in the time it takes for one, so whoever comes while it writes is served together with the others who wait.

use super::durable::sync;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The fsyncs of files and folders that are shared.
#[derive(Debug, Default)]
pub struct Syncs {
    places: Mutex<HashMap<PathBuf, State>>,
    ended: Condvar,
}

/// The fsyncs of one place, by their number.
#[derive(Debug, Default)]
struct State {
    began: u64,
    ended: u64,
    failed: Option<(u64, Error)>,
}

impl Syncs {
    /// Returns when an fsync of `path` has ended that began after this was called.
    ///
    /// # Errors
    /// When it failed, or another one that ended since.
    pub fn sync(&self, path: &Path) -> Result<()> {
        let mut places = self.lock();
        // One that is at work may have begun before what is to last was done.
        let (needed, ended) = {
            let state = places.entry(path.to_owned()).or_default();
            (state.began + 1, state.ended)
        };
        loop {
            let state = places.entry(path.to_owned()).or_default();
            if state.ended >= needed {
                // A kernel tells of a failed write once: one at work before may have been told of ours.
                let failed = state.failed.as_ref().filter(|(number, _)| *number > ended);
                return failed.map_or(Ok(()), |(_, error)| Err(error.clone()));
            }
            if state.began == state.ended {
                state.began += 1;
                break;
            }
            places = self.ended.wait(places).unwrap_or_else(PoisonError::into_inner);
        }
        drop(places);
        let synced = sync(path);
        let mut places = self.lock();
        let state = places.entry(path.to_owned()).or_default();
        state.ended = state.began;
        if let Err(error) = &synced {
            state.failed = Some((state.ended, error.clone()));
        }
        self.ended.notify_all();
        let failed = state.failed.as_ref().filter(|(number, _)| *number > ended);
        failed.map_or(Ok(()), |(_, error)| Err(error.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, State>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_served_once_and_learns_of_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let syncs = Syncs::default();
        let place = folder.path().join("place");
        assert!(syncs.sync(&place).is_err());
        std::fs::create_dir(&place).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..32).map(|_| scope.spawn(|| (0..20).for_each(|_| syncs.sync(&place).unwrap()))).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        let places = syncs.lock();
        let state = &places[&place];
        assert_eq!(state.began, state.ended);
        assert!(state.ended <= 641, "{}", state.ended);
    }

    #[test]
    fn one_that_was_at_work_before_serves_nobody_and_a_later_failure_is_everybodys() {
        let syncs = std::sync::Arc::new(Syncs::default());
        let place = PathBuf::from("/nowhere/at/all");
        // Somebody else's has begun.
        syncs.lock().insert(place.clone(), State { began: 1, ended: 0, failed: None });
        let (theirs, path) = (std::sync::Arc::clone(&syncs), place.clone());
        let waiting = std::thread::spawn(move || theirs.sync(&path));
        // It ends well, which says nothing of what came after it began: an fsync of their own follows, and fails.
        syncs.lock().entry(place).or_default().ended = 1;
        syncs.ended.notify_all();
        assert!(waiting.join().unwrap().is_err());
    }
}
