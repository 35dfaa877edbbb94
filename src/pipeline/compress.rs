//! The pool of compress workers, shared by every archive of a run.

use super::room::{ROOM, Room, Seat};
use crate::error::{Error, Kind, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

/// A block as it will be stored.
#[derive(Debug)]
pub struct CompressedBlock {
    /// Stored bytes.
    pub stored: Vec<u8>,
    /// Bytes before compression.
    pub raw_len: usize,
}

/// Turns raw bytes into stored bytes; each worker has its own, with its own state.
pub type Codec = Box<dyn FnMut(&[u8]) -> Result<Vec<u8>> + Send>;

struct Job {
    raw: Vec<u8>,
    reply: Sender<Result<CompressedBlock>>,
}

/// A block that is being compressed.
#[derive(Debug)]
pub struct Pending(Receiver<Result<CompressedBlock>>);

impl Pending {
    /// Waits for the block.
    ///
    /// # Errors
    /// When the codec failed, or its worker died: a lost worker is never a success.
    pub fn wait(self) -> Result<CompressedBlock> {
        self.0.recv().unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a compress worker died")))
    }
}

/// Worker threads behind one bounded queue. Submitting blocks while the queue is full, which is what bounds memory:
/// two blocks wait for each worker. What they made waits for the disk in one room.
#[derive(Debug)]
pub struct Pool {
    jobs: Option<Sender<Job>>,
    room: Room,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `workers` threads; each makes its codec with `codec`.
    ///
    /// # Errors
    /// When a codec cannot be made, or a thread not be started.
    pub fn start(workers: usize, codec: impl Fn() -> Result<Codec>) -> Result<Self> {
        let (jobs, queue) = bounded::<Job>(workers * 2);
        let mut pool = Self { jobs: Some(jobs), room: Room::new(ROOM), workers: Vec::new() };
        for number in 0..workers {
            let (queue, codec) = (queue.clone(), codec()?);
            let handle = std::thread::Builder::new()
                .name(format!("compress-{number}"))
                .spawn(move || work(&queue, codec))
                .map_err(|e| Error::new(Kind::Internal, "cannot start a compress worker").cause(e))?;
            pool.workers.push(handle);
        }
        Ok(pool)
    }

    /// Queues a block.
    ///
    /// # Errors
    /// When every worker is gone.
    pub fn submit(&self, raw: Vec<u8>) -> Result<Pending> {
        let (reply, pending) = bounded(1);
        let gone = || Error::new(Kind::Internal, "the compress workers are gone");
        self.jobs.as_ref().ok_or_else(gone)?.send(Job { raw, reply }).map_err(|_| gone())?;
        Ok(Pending(pending))
    }

    /// Waits for a seat among the blocks that wait to be written.
    pub fn seat(&self) -> Seat {
        self.room.take()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A worker that panicked has already failed the run through its unanswered blocks.
            let _ = worker.join();
        }
    }
}

fn work(queue: &Receiver<Job>, mut codec: Codec) {
    while let Ok(Job { raw, reply }) = queue.recv() {
        // A worker outlives a panic of its codec: blocks queued behind it would otherwise wait for ever.
        let done = catch_unwind(AssertUnwindSafe(|| codec(&raw)))
            .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a compress worker panicked")))
            .map(|stored| CompressedBlock { stored, raw_len: raw.len() });
        // Nobody waits for the block when its archive was given up.
        let _ = reply.send(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_codec_fails_its_block_and_no_other() {
        let codec = || -> Result<Codec> {
            Ok(Box::new(|raw: &[u8]| {
                assert!(raw != b"bad", "injected");
                Ok(raw.to_vec())
            }))
        };
        let pool = Pool::start(1, codec).unwrap();
        let blocks: Vec<_> = [&b"good"[..], b"bad", b"fine"].map(|raw| pool.submit(raw.to_vec()).unwrap()).into();
        let outcomes: Vec<_> = blocks.into_iter().map(|block| block.wait().is_ok()).collect();
        assert_eq!(outcomes, [true, false, true]);
    }
}
