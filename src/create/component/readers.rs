//! Who reads when. Archives are made side by side, and all of them have so many readers between them: what comes first in
//! the plan reads first, so that few archives are open and no snapshot grows old behind one that could wait. Where several
//! runs are at work, they are the readers, and each reads when it has its turn.

use crate::create::turns::{Turn, Turns};
use crate::pipeline::Idle;
use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The readers of a run.
#[derive(Debug)]
pub struct Readers<'a> {
    count: usize,
    line: Mutex<Line>,
    moved: Condvar,
    /// Whose turn it is, of several runs.
    turns: Option<&'a Turns>,
    turn: Mutex<Option<Turn<'a>>>,
}

#[derive(Debug)]
struct Line {
    free: usize,
    /// Archives of which something is still to be begun, by their place in the plan.
    waiting: BTreeSet<usize>,
    /// Archives of databases that are not read to their end.
    databases: BTreeSet<usize>,
}

/// One that reads, until it is dropped.
#[derive(Debug)]
pub struct Reader<'r, 'a>(Option<&'r Readers<'a>>);

/// The place of an archive in the line. When it is dropped, nobody waits for the archive any more.
#[derive(Debug)]
pub struct Place<'r, 'a> {
    readers: &'r Readers<'a>,
    at: usize,
}

impl<'a> Readers<'a> {
    /// `count` of them for as many archives as are said, each whether it is one of a database.
    pub fn new(count: usize, archives: impl Iterator<Item = bool>) -> Self {
        let (mut waiting, mut databases) = (BTreeSet::new(), BTreeSet::new());
        for (at, is_database) in archives.enumerate() {
            waiting.insert(at);
            is_database.then(|| databases.insert(at));
        }
        let count = count.max(1);
        let line = Mutex::new(Line { free: count, waiting, databases });
        Self { count, line, moved: Condvar::new(), turns: None, turn: Mutex::new(None) }
    }

    /// The one that a run is, of several: it may have its turn.
    #[must_use]
    pub fn by_turns(self, turns: &'a Turns, turn: Option<Turn<'a>>) -> Self {
        Self { turns: Some(turns), turn: Mutex::new(turn), ..self }
    }

    /// Where the archive stands that is at this place of the plan.
    pub fn place(&self, at: usize) -> Place<'_, 'a> {
        Place { readers: self, at }
    }

    /// How many may be at work on one archive.
    pub fn at_once(&self) -> usize {
        if self.turns.is_some() { 1 } else { self.count }
    }

    /// Waits for this run's turn, where it is one of several and does not have it.
    pub fn go_on(&self) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if turn.is_none() {
            *turn = self.turns.map(Turns::go_on);
        }
    }

    /// Lets others have their turn: what follows waits for the disk.
    pub fn rest(&self) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until every database is read.
    pub fn wait_for_databases(&self) {
        let waited = self.moved.wait_while(self.lock(), |line| !line.databases.is_empty());
        drop(waited);
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Line)) {
        change(&mut self.lock());
        self.moved.notify_all();
    }
}

impl<'r, 'a> Place<'r, 'a> {
    /// Waits for a reader, behind all archives that come before; `last`: this one needs no other.
    pub fn reader(&self, last: bool) -> Reader<'r, 'a> {
        if self.readers.turns.is_some() {
            self.readers.go_on();
            return Reader(None);
        }
        let is_behind = |line: &mut Line| line.free == 0 || line.waiting.first().is_some_and(|first| *first < self.at);
        let line = self.readers.moved.wait_while(self.readers.lock(), is_behind);
        let mut line = line.unwrap_or_else(PoisonError::into_inner);
        line.free -= 1;
        if last {
            line.waiting.remove(&self.at);
            drop(line);
            self.readers.moved.notify_all();
        }
        Reader(Some(self.readers))
    }

    /// Does `work` on every unit, each with a reader.
    pub fn read<T: Send>(&self, units: Vec<T>, work: impl Fn(T) + Sync) {
        let threads = units.len().min(self.readers.at_once());
        let units = Mutex::new(units.into_iter());
        let run = || {
            while let Some((unit, _reader)) = self.next(&units) {
                work(unit);
            }
        };
        if threads <= 1 {
            return run();
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            // One that panicked leaves its collections without a result, which counts as failed.
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
    }

    /// The next unit, and a reader for it.
    fn next<T>(&self, units: &Mutex<std::vec::IntoIter<T>>) -> Option<(T, Reader<'r, 'a>)> {
        let mut units = units.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = (units.len() > 0).then(|| self.reader(units.len() == 1))?;
        units.next().map(|unit| (unit, reader))
    }

    /// Stands in line once more: it is read again.
    pub fn again(&self) {
        self.readers.change(|line| {
            line.waiting.insert(self.at);
        });
    }

    /// Leaves the line: it is read.
    pub fn leave(&self) {
        self.readers.change(|line| {
            line.waiting.remove(&self.at);
            line.databases.remove(&self.at);
        });
    }
}

impl Idle for Place<'_, '_> {
    fn take(&self) -> bool {
        if self.readers.turns.is_some() {
            return false;
        }
        let mut line = self.readers.lock();
        // Files wait until every database is read.
        let is_idle = line.free > 0 && line.waiting.intersection(&line.databases).next().is_none();
        line.free -= usize::from(is_idle);
        is_idle
    }

    fn give_back(&self) {
        self.readers.change(|line| line.free += 1);
    }
}

impl Drop for Place<'_, '_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Reader<'_, '_> {
    fn drop(&mut self) {
        if let Some(readers) = self.0 {
            readers.change(|line| line.free += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn waits_for<T>(thread: &std::thread::ScopedJoinHandle<'_, T>) {
        // It would have ended otherwise, sooner or later; a look costs nothing.
        (0..1000).for_each(|_| std::thread::yield_now());
        assert!(!thread.is_finished());
    }

    #[test]
    fn no_more_than_so_many_read_at_once_whichever_archives_they_read() {
        let readers = Readers::new(3, [true, true, false, false].into_iter());
        let (reading, most, read) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for at in 0..4 {
                let place = readers.place(at);
                let (reading, most, read) = (&reading, &most, &read);
                scope.spawn(move || {
                    place.read((0..50).collect(), |_: u32| {
                        most.fetch_max(reading.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        reading.fetch_sub(1, Ordering::SeqCst);
                        read.fetch_add(1, Ordering::SeqCst);
                    });
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!((read.into_inner(), readers.lock().free), (200, 3));
    }

    #[test]
    fn what_comes_first_in_the_plan_reads_first_also_when_it_is_read_again() {
        let readers = Readers::new(1, [true, true, true].into_iter());
        let [first, second, third] = [0, 1, 2].map(|at| readers.place(at));
        let order = Mutex::new(Vec::new());
        let note = |at: usize| order.lock().unwrap().push(at);
        std::thread::scope(|scope| {
            scope.spawn(|| third.read(vec![3], note));
            let next = scope.spawn(|| second.read(vec![2, 2], note));
            waits_for(&next);
            first.read(vec![1], |at| {
                note(at);
                first.again();
            });
            waits_for(&next);
            first.read(vec![1, 1], note);
        });
        assert_eq!(*order.lock().unwrap(), [1, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn files_wait_until_every_database_is_read_or_given_up() {
        let readers = Readers::new(2, [true, true, false].into_iter());
        let [read, given_up] = [0, 1].map(|at| readers.place(at));
        std::thread::scope(|scope| {
            let files = scope.spawn(|| readers.wait_for_databases());
            read.leave();
            waits_for(&files);
            drop(given_up);
        });
    }

    #[test]
    fn a_reader_is_idle_once_every_database_is_begun_and_until_it_is_given_back() {
        let readers = Readers::new(2, [true, true, false].into_iter());
        let [first, second] = [0, 1].map(|at| readers.place(at));
        let reading = first.reader(true);
        assert!(!first.take(), "the second is not begun");
        drop(second.reader(true));
        assert!(first.take() && !first.take());
        first.give_back();
        assert!(second.take());
        drop(reading);
        assert!(first.take());
    }

    #[test]
    fn a_reader_that_dies_frees_its_place() {
        let readers = Readers::new(2, [true].into_iter());
        let read = AtomicUsize::new(0);
        readers.place(0).read(vec![1, 2, 3], |n| {
            assert!(n != 2, "as it must");
            read.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!((read.into_inner(), readers.lock().free), (2, 2));
    }
}
