//! What happened on each day: as many days as a page shows, however many runs there were.

use crate::manifest::Status;
use crate::repository::Catalog;
use chrono::{DateTime, Days as Span, NaiveDate, Utc};
use chrono_tz::Tz;

/// Days that a page shows.
const SHOWN: u64 = 90;

/// But not fewer, so that a young repository has bars and no blocks.
const LEAST: u64 = 14;

/// The days a page shows, oldest first, without gaps.
#[derive(Debug)]
pub struct Days(pub Vec<Day>);

/// One day of the installation's calendar.
#[derive(Debug, Clone, Default)]
pub struct Day {
    /// Which.
    pub day: NaiveDate,
    /// Runs that were complete.
    pub success: usize,
    /// Runs of which something failed.
    pub partial: usize,
    /// Runs that left nothing usable.
    pub failed: usize,
    /// Stored bytes of the backups of the day.
    pub size: u64,
    /// Stored bytes of these and all older ones.
    pub total: u64,
    /// Seconds of all runs.
    pub seconds: f64,
    /// Seconds of the longest.
    pub longest: f64,
}

impl Day {
    /// All runs of the day.
    pub fn runs(&self) -> usize {
        self.success + self.partial + self.failed
    }

    fn took(&mut self, seconds: f64) {
        self.seconds += seconds.max(0.0);
        self.longest = self.longest.max(seconds);
    }
}

impl Days {
    /// The last days up to `now`.
    pub fn of(catalog: &Catalog, timezone: Tz, now: DateTime<Utc>) -> Self {
        let day_of = |at: DateTime<Utc>| at.with_timezone(&timezone).date_naive();
        let today = day_of(now);
        let moments = catalog.backups.iter().map(|entry| entry.summary.timestamp);
        let oldest = moments.chain(catalog.failed.iter().map(|run| run.timestamp)).map(day_of).min();
        let age = oldest.and_then(|oldest| u64::try_from((today - oldest).num_days()).ok()).unwrap_or(0);
        let count = (age + 1).clamp(LEAST, SHOWN);
        let first = today.checked_sub_days(Span::new(count - 1)).unwrap_or(today);
        let mut days: Vec<Day> =
            first.iter_days().take(count as usize).map(|day| Day { day, ..Day::default() }).collect();
        let index = |day: NaiveDate| usize::try_from((day - first).num_days()).ok();
        let mut before = 0u64;
        for entry in &catalog.backups {
            let (summary, size) = (&entry.summary, entry.summary.totals.stored_bytes);
            let place = index(day_of(summary.timestamp));
            let Some(place) = place else {
                before = before.saturating_add(size);
                continue;
            };
            // What is later than today is shown nowhere: the clock is behind.
            let Some(day) = days.get_mut(place) else { continue };
            match summary.status {
                Status::Success => day.success += 1,
                Status::Partial => day.partial += 1,
                Status::Failed => day.failed += 1,
            }
            day.size = day.size.saturating_add(size);
            day.took(summary.duration_seconds);
        }
        for run in &catalog.failed {
            if let Some(day) = index(day_of(run.timestamp)).and_then(|place| days.get_mut(place)) {
                day.failed += 1;
                day.took(run.duration_seconds);
            }
        }
        for day in &mut days {
            before = before.saturating_add(day.size);
            day.total = before;
        }
        Self(days)
    }
}
