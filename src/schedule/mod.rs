//! The jobs of the configuration, said to the system's own scheduler: as a block of a crontab, or as systemd units. Text
//! only: nothing is run or written here.

mod calendar;
mod crontab;
mod systemd;

pub use crontab::{Block, with_block, without_block};
pub use systemd::{Unit, is_ours, units};

use crate::config::{Config, Job, JobAction};
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::path::{Path, PathBuf};

/// What every scheduled command needs to know. All paths are absolute: schedulers start in a folder of their own.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Its name.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// Folders that a job may write to: the repository's, and those of SQLite databases, in which readers keep notes too.
    pub writable: Vec<PathBuf>,
    /// The calendar of the schedules.
    pub timezone: Tz,
}

/// A job that has a schedule.
#[derive(Debug, Clone)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// Five-field cron expression.
    pub expression: String,
    /// What it does, for people.
    pub purpose: &'static str,
}

/// The jobs that have a schedule, by name.
///
/// # Errors
/// [`Kind::NotFound`] when there is none.
pub fn scheduled(config: &Config) -> Result<Vec<Scheduled>> {
    let made = |(name, job): (&String, &Job)| {
        let purpose = match &job.action {
            JobAction::Create(_) => "make a backup",
            JobAction::VerifyCollections => "compare collections with the configuration",
            JobAction::Verify(_) => "verify stored backups",
            JobAction::KeyRotation => "a new key for new backups",
            JobAction::Prune => "remove what retention no longer wants",
        };
        Some(Scheduled { name: name.clone(), expression: job.schedule.clone()?, purpose })
    };
    let jobs: Vec<_> = config.jobs.iter().filter_map(made).collect();
    if jobs.is_empty() {
        let what = "no job of the configuration has a `schedule`";
        return Err(Error::new(Kind::NotFound, what)
            .hint("for example: jobs: {nightly: {schedule: \"0 2 * * *\", create: {type: daily}}}"));
    }
    Ok(jobs)
}

impl Scheduled {
    /// When it runs next, after `now`, at most `count` times.
    ///
    /// # Errors
    /// [`Kind::Config`] when the expression cannot be read, which the configuration makes sure of.
    pub fn next_runs(&self, now: DateTime<Utc>, timezone: Tz, count: usize) -> Result<Vec<DateTime<Tz>>> {
        let wrong = |e: croner::errors::CronError| {
            Error::new(Kind::Config, format!("job '{}': `{}` is no cron expression", self.name, self.expression))
                .cause(e)
        };
        let cron: croner::Cron = self.expression.parse().map_err(wrong)?;
        Ok(cron.iter_after(now.with_timezone(&timezone)).take(count).collect())
    }
}

/// A word of a shell.
fn word(text: &Path) -> String {
    let text = text.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
