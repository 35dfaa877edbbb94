//! Room for what is compressed and waits for the disk: one for all archives of a run, however many are in the making.

use crossbeam_channel::{Receiver, Sender, bounded};

/// Blocks that may wait: enough to keep a disk busy, few enough to bound memory.
pub const ROOM: usize = 8;

/// So many seats.
#[derive(Debug)]
pub struct Room {
    take: Sender<()>,
    leave: Receiver<()>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Seat(Receiver<()>);

impl Room {
    pub(super) fn new(seats: usize) -> Self {
        let (take, leave) = bounded(seats);
        Self { take, leave }
    }

    /// Waits for a seat. Whoever has one must not wait for another, nor for who does.
    pub fn take(&self) -> Seat {
        // It cannot be closed: its other end is here.
        let _ = self.take.send(());
        Seat(self.leave.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}
