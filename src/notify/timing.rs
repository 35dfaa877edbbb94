//! How often and how long it is tried.

use crate::config::show_duration;
use std::thread;
use std::time::{Duration, Instant};

/// How one attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Try {
    /// It arrived.
    Done,
    /// It did not, and may the next time.
    Again(String),
    /// It did not, and will not.
    Never(String),
}

/// Attempts at most.
const ATTEMPTS: u32 = 3;

/// Pause before the second attempt, where the limit is long enough; then twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// Tries until it arrives, three times at most, and all of it before `deadline`. An attempt is told how long it may take:
/// a third of `limit`, so that a server which does not answer is asked again.
pub fn repeat(deadline: Instant, limit: Duration, mut attempt: impl FnMut(Duration) -> Try) -> Result<(), String> {
    let mut last = late(limit);
    for number in 0..ATTEMPTS {
        let pause = if number == 0 { Duration::ZERO } else { PAUSE.min(limit / 20) * 2_u32.pow(number - 1) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left <= pause {
            break;
        }
        thread::sleep(pause);
        match attempt((limit / ATTEMPTS).min(left - pause)) {
            Try::Done => return Ok(()),
            Try::Never(why) => return Err(why),
            Try::Again(why) => last = format!("{why} (tried {} times)", number + 1),
        }
    }
    Err(last)
}

/// It took longer than it may.
pub fn late(limit: Duration) -> String {
    format!("it took longer than {} (`timeout`)", show_duration(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(limit: Duration, answer: impl Fn(u32) -> Try) -> (u32, Result<(), String>) {
        let mut count = 0;
        let told = repeat(Instant::now() + limit, limit, |each| {
            assert!(each <= limit / ATTEMPTS);
            count += 1;
            answer(count)
        });
        (count, told)
    }

    #[test]
    fn what_may_arrive_the_next_time_is_tried_three_times_and_what_will_not_once() {
        let limit = Duration::from_secs(60);
        let again = |_| Try::Again("busy".into());
        let short = Duration::from_millis(400);
        assert_eq!(tries(short, again), (3, Err("busy (tried 3 times)".into())));
        assert_eq!(tries(limit, |_| Try::Never("gone".into())), (1, Err("gone".into())));
        assert_eq!(tries(limit, |_| Try::Done), (1, Ok(())));
        assert_eq!(tries(short, |n| if n == 2 { Try::Done } else { again(n) }), (2, Ok(())));
    }

    #[test]
    fn nothing_is_tried_after_the_deadline() {
        let past = Instant::now();
        let told = repeat(past, Duration::from_secs(30), |_| unreachable!("the time is over"));
        assert_eq!(told, Err("it took longer than 30s (`timeout`)".into()));
    }
}
