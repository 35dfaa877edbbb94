//! Reads files by several threads ahead of whoever stores them, who gets them in the order of the walk.
//!
//! ```text
//!  walker ─┬─ what is met, in order ───────────────────────────► the caller's thread: stores
//!          └─ objects ─► readers: open, read, hash, look again ─┘ (a channel for each object)
//! ```

use super::Trees;
use super::read::{Object, Store, Task, Told};
use super::walk::walk;
use crate::error::{Error, Kind, Result};
use crate::pipeline::{BLOCK_SIZE, Body, BodyEnd, Cancel, Piece};
use crate::source::FileEntry;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::{Condvar, Mutex, PoisonError};

/// Objects that are met and not yet stored, at most.
const OBJECTS: usize = 256;

/// Objects that wait for a reader, at most. Each holds its folder open.
const WAITING: usize = 8;

/// Pieces of one object that wait to be stored, at most.
const PIECES: usize = 3;

/// Bytes of content that are ahead, at most.
const AHEAD: u64 = 16 << 20;

/// Something that was met, in its turn.
enum Next<'a> {
    Tell(Told),
    /// An object that somebody reads, and what it takes of what may be ahead.
    Store(Vec<u8>, Receiver<News>, Share<'a>),
}

/// What a reader has to say of an object.
enum News {
    Lost(String),
    Opened(FileEntry),
    Bytes(Vec<u8>),
    /// All of it was read; whether it changed meanwhile.
    End(BodyEnd, Option<String>),
}

/// Reads the trees into `store`, by so many readers.
pub(super) fn read(trees: &Trees, readers: usize, cancel: &Cancel, store: &mut Store<'_>) -> Result<()> {
    let cancel = &cancel.child();
    let ahead = &Ahead { free: Mutex::new(AHEAD), freed: Condvar::new() };
    let (turns, order) = bounded(OBJECTS);
    let (objects, queue) = bounded(WAITING);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..readers)
            .map(|_| {
                let queue = queue.clone();
                scope.spawn(move || work(&queue, cancel))
            })
            .collect();
        // If every reader dies, the walker learns of it.
        drop(queue);
        let walker = scope.spawn(move || meet(trees, ahead, cancel, &turns, &objects));
        let stored = order.iter().try_for_each(|next| store_next(next, cancel, store));
        if stored.is_err() {
            cancel.stop();
        }
        // Who waits to hand something over is let go.
        order.iter().for_each(drop);
        let walked = walker.join().unwrap_or_else(|_| Err(died()));
        // All are waited for, also behind one that died.
        let dead = readers.into_iter().map(|reader| reader.join()).filter(std::result::Result::is_err).count();
        stored.and(walked).and(if dead == 0 { Ok(()) } else { Err(died()) })
    })
}

fn died() -> Error {
    Error::new(Kind::Internal, "a thread that reads files died")
}

/// Walks the trees, and hands out what is met.
fn meet<'a>(
    trees: &Trees,
    ahead: &'a Ahead,
    cancel: &Cancel,
    turns: &Sender<Next<'a>>,
    objects: &Sender<(Object, Sender<News>)>,
) -> Result<()> {
    trees.trees.iter().try_for_each(|tree| {
        walk(tree, cancel, &mut |met| match Task::of(met) {
            Task::Tell(told) => turns.send(Next::Tell(told)).map_err(|_| died()),
            Task::Store(object) => {
                let (news, told) = bounded(PIECES);
                let next = Next::Store(object.stored_as.clone(), told, ahead.share(object.size()));
                turns.send(next).map_err(|_| died())?;
                objects.send((object, news)).map_err(|_| died())
            }
        })
    })
}

fn work(queue: &Receiver<(Object, Sender<News>)>, cancel: &Cancel) {
    for (object, news) in queue {
        // Nobody listens where the run has ended.
        let _ = tell(&object, &news, cancel);
    }
}

/// Reads an object; none when nobody listens.
fn tell(object: &Object, news: &Sender<News>, cancel: &Cancel) -> Option<()> {
    cancel.check().ok()?;
    let opened = match object.open() {
        Ok(opened) => opened,
        Err(reason) => return news.send(News::Lost(reason)).ok(),
    };
    news.send(News::Opened(opened.entry.clone())).ok()?;
    let mut body = opened.body();
    loop {
        cancel.check().ok()?;
        match body.next().ok()? {
            Piece::Bytes(bytes) => news.send(News::Bytes(bytes)).ok()?,
            Piece::End(end) => return news.send(News::End(end, opened.changed())).ok(),
        }
    }
}

fn store_next(next: Next<'_>, cancel: &Cancel, store: &mut Store<'_>) -> Result<()> {
    cancel.check()?;
    let (stored_as, news, _share) = match next {
        Next::Tell(told) => {
            store.tell(told);
            return Ok(());
        }
        Next::Store(stored_as, news, share) => (stored_as, news, share),
    };
    let mut coming = Coming { news: &news, cancel, changed: None };
    match coming.hear()? {
        News::Lost(reason) => store.damaged(&stored_as, &reason),
        News::Opened(entry) => {
            let whole = store.store(&entry, &mut coming)?;
            if let Some(reason) = coming.changed.filter(|_| whole) {
                store.damaged(&stored_as, &reason);
            }
        }
        News::Bytes(_) | News::End(..) => return Err(died()),
    }
    Ok(())
}

/// The content of an object that a reader reads.
struct Coming<'a> {
    news: &'a Receiver<News>,
    cancel: &'a Cancel,
    changed: Option<String>,
}

impl Coming<'_> {
    fn hear(&self) -> Result<News> {
        // A reader stops in the middle when the run ends, or when it died.
        self.news.recv().map_err(|_| self.cancel.check().err().unwrap_or_else(died))
    }
}

impl Body for Coming<'_> {
    fn next(&mut self) -> Result<Piece> {
        match self.hear()? {
            News::Bytes(bytes) => Ok(Piece::Bytes(bytes)),
            News::End(end, changed) => {
                self.changed = changed;
                Ok(Piece::End(end))
            }
            News::Lost(_) | News::Opened(_) => Err(died()),
        }
    }
}

/// How much may be ahead. Shares are taken in the order in which they are given back, so nobody waits for a later one.
struct Ahead {
    free: Mutex<u64>,
    freed: Condvar,
}

/// A share of it, until it is dropped.
struct Share<'a> {
    of: &'a Ahead,
    bytes: u64,
}

impl Ahead {
    /// Waits for what an object of `size` bytes takes: no more than wait to be stored, and one that is read.
    fn share(&self, size: u64) -> Share<'_> {
        let bytes = size.min((PIECES as u64 + 1) * BLOCK_SIZE as u64);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free < bytes).unwrap_or_else(PoisonError::into_inner);
        *free -= bytes;
        Share { of: self, bytes }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.of.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.of.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_than_so_many_bytes_are_ahead() {
        let ahead = Ahead { free: Mutex::new(AHEAD), freed: Condvar::new() };
        let (taken, (give, held)) = (AtomicUsize::new(0), bounded(64));
        let largest = (PIECES + 1) * BLOCK_SIZE;
        let room = usize::try_from(AHEAD).unwrap() / largest;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 * room {
                    // However large: no more of it is read than waits.
                    give.send(ahead.share(1 << 40)).unwrap();
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            });
            let shares: Vec<_> = held.iter().take(room).collect();
            assert_eq!(*ahead.free.lock().unwrap(), 0);
            assert!(taken.load(Ordering::SeqCst) <= room && held.is_empty());
            drop(shares);
            assert_eq!(held.iter().take(room).count(), room);
        });
        assert_eq!(*ahead.free.lock().unwrap(), AHEAD);
    }
}
