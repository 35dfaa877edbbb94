//! How hard a run works: readers, compress workers, bytes a second.

use crate::archive;
use crate::config::{Algorithm, Compression};
use crate::error::Result;
use crate::event::{Event, Events, bytes};
use crate::pipeline::{BLOCK_SIZE, Pool, ROOM, Throttle, processors};
use std::sync::Arc;

/// Collections that are read at once where nobody says: two saturate a server's answer to one client.
const READERS: usize = 2;

/// How hard a run works.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Collections that are read at once, of whichever archives.
    pub readers: usize,
    /// Threads that compress.
    pub workers: usize,
    /// What holds it to so many bytes a second.
    pub throttle: Option<Arc<Throttle>>,
}

impl Default for Effort {
    fn default() -> Self {
        Self { readers: READERS, workers: processors(), throttle: None }
    }
}

impl Effort {
    /// `jobs` readers and as many workers; none: what suits the machine. At most `rate` bytes are read a second.
    pub fn new(jobs: Option<usize>, rate: Option<u64>) -> Self {
        let throttle = rate.map(|rate| Arc::new(Throttle::new(rate)));
        match jobs {
            Some(jobs) => Self { readers: jobs.max(1), workers: jobs.max(1), throttle },
            None => Self { throttle, ..Self::default() },
        }
    }

    /// Starts the compress workers.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn pool(&self, compression: Compression) -> Result<Pool> {
        let Compression { algorithm, level } = compression;
        let method = match algorithm {
            Algorithm::Gzip => archive::Method::Gzip(level),
            Algorithm::Zstd => archive::Method::Zstd(level),
        };
        Pool::start(self.workers, || archive::codec(method))
    }

    /// Archives in the making at once: as many are finished and proven, which waits for the disk, as are read.
    pub fn archives(&self) -> usize {
        2 * self.readers
    }

    /// The most bytes of memory that a run takes; a record larger than a block adds its own size.
    ///
    /// A reader holds a part that does not compress (of files, as much that is read ahead), the block before and the one it
    /// fills, and a reply of the server. A worker has two blocks waiting, and one in work with room for what comes of it. An
    /// archive has the block that it fills, or by which it is read again. The rest waits for the disk, of all archives
    /// together. What the allocator keeps between blocks that one thread takes and another gives back is a third as much again
    /// (measured, from 1 to 6 jobs, with data that does not compress); the program with a driver takes 20 MiB.
    pub fn most_memory(&self) -> u64 {
        let reader = archive::PART_SIZE + 4 * BLOCK_SIZE as u64;
        let worker = 5 * BLOCK_SIZE as u64;
        let waiting = (ROOM + self.archives()) * BLOCK_SIZE;
        let blocks = self.readers as u64 * reader + self.workers as u64 * worker + waiting as u64;
        blocks + blocks / 3 + (20 << 20)
    }

    /// Says how hard it will work.
    pub fn tell(&self, events: &Events) {
        let (readers, workers, memory) = (self.readers, self.workers, bytes(self.most_memory()));
        let detail = format!("readers: {readers}, compress workers: {workers}, memory: at most about {memory}");
        events.emit(Event::Detail(detail));
        if self.workers > 4 * processors() {
            events.warn(format!(
                "{workers} jobs are more than four for each of the {} processors: they take memory, and save no time",
                processors()
            ));
        }
    }

    /// Says what passed below the limit.
    pub fn tell_passed(&self, events: &Events) {
        if let Some(passed) = self.throttle.as_ref().map(|throttle| throttle.passed()) {
            let (bytes, waits) = (passed.bytes, passed.waits);
            events.emit(Event::Detail(format!("rate limit: {bytes} bytes passed, held back {waits} times")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_readers_and_workers_and_two_readers_are_the_default() {
        let effort = |jobs| Effort::new(jobs, None);
        assert_eq!((effort(Some(5)).readers, effort(Some(5)).workers), (5, 5));
        assert_eq!((effort(None).readers, effort(None).workers), (2, processors()));
    }

    #[test]
    fn memory_grows_by_the_jobs_alone() {
        let of = |jobs| Effort::new(Some(jobs), None).most_memory() >> 20;
        assert_eq!([of(1), of(2), of(4)], [66, 102, 174]);
    }
}
