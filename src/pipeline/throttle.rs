//! Holds a run to so many bytes a second, so that whoever else uses the database, the disk or the network can work.

use super::Cancel;
use crate::error::Result;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What may pass at once after a pause: the bytes of this long.
const BURST: Duration = Duration::from_millis(250);

/// How long a wait lasts before the cancel flag is looked at.
const STEP: Duration = Duration::from_millis(50);

/// Shared by every reader of a run: together they keep to the rate.
#[derive(Debug)]
pub struct Throttle {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    passed: Passed,
}

/// What passed so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Bytes.
    pub bytes: u64,
    /// How often somebody waited.
    pub waits: u64,
}

impl Throttle {
    /// `rate` is in bytes a second.
    pub fn new(rate: u64) -> Self {
        let state = State { bucket: Bucket { rate: rate.max(1), paid: Duration::ZERO }, passed: Passed::default() };
        Self { began: Instant::now(), state: Mutex::new(state) }
    }

    /// Lets `bytes` pass when it is their turn.
    ///
    /// # Errors
    /// When the run is cancelled meanwhile.
    pub fn pass(&self, bytes: u64, cancel: &Cancel) -> Result<()> {
        let wait = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let wait = state.bucket.take(bytes, self.began.elapsed());
            state.passed.bytes += bytes;
            state.passed.waits += u64::from(!wait.is_zero());
            wait
        };
        let until = Instant::now() + wait;
        loop {
            cancel.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(STEP));
        }
    }

    /// What passed so far.
    pub fn passed(&self) -> Passed {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).passed
    }
}

/// A token bucket, kept as the moment at which all that has passed will be paid for. Whoever takes more than there is waits
/// afterwards: a block need not fit into the bucket.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    paid: Duration,
}

impl Bucket {
    /// Takes `bytes` at the moment `now`; how long to wait.
    fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let price = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        self.paid = self.paid.max(now.saturating_sub(BURST)) + price;
        self.paid.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Seconds that `blocks` of a MiB take at `rate` when each is ready `ready` after the one before has passed.
    fn took(rate: u64, blocks: u32, ready: Duration) -> f64 {
        let mut bucket = Bucket { rate, paid: Duration::ZERO };
        let mut now = Duration::ZERO;
        for _ in 0..blocks {
            now += ready;
            now += bucket.take(MIB, now);
        }
        now.as_secs_f64()
    }

    #[test]
    fn a_fast_reader_is_held_to_the_rate_and_a_slow_one_is_not_held() {
        assert!((took(20 * MIB, 1000, Duration::ZERO) - 50.0).abs() < 0.001);
        // Faster than the rate by half: only what lacks is waited for.
        assert!((took(20 * MIB, 1000, Duration::from_millis(25)) - 50.0).abs() < 0.3);
        assert!((took(20 * MIB, 1000, Duration::from_millis(100)) - 100.0).abs() < 0.001);
    }

    #[test]
    fn a_pause_saves_up_a_quarter_of_a_second_and_no_more() {
        let mut bucket = Bucket { rate: 4 * MIB, paid: Duration::ZERO };
        let now = Duration::from_secs(3600);
        assert_eq!(bucket.take(MIB, now), Duration::ZERO);
        assert_eq!(bucket.take(MIB, now), Duration::from_millis(250));
        assert_eq!(bucket.take(2 * MIB, now), Duration::from_millis(750));
    }

    #[test]
    fn whoever_waits_is_told_when_the_run_ends() {
        let (throttle, cancel) = (Throttle::new(1), Cancel::default());
        cancel.signal(15);
        assert!(throttle.pass(MIB, &cancel).is_err());
        assert_eq!(throttle.passed(), Passed { bytes: MIB, waits: 1 });
    }
}
