//! The retention calendar: which days of the last half year can be gone back to, and what goes next.

use super::Page;
use super::markup::{bytes, count, escape};
use crate::config::BackupType;
use crate::manifest::{ComponentStatus, Status};
use crate::repository::{Entry, retention};
use chrono::{Datelike, Days, NaiveDate};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Weeks that are shown.
const WEEKS: u64 = 26;

/// Days that are told of what goes next.
const NEXT: usize = 6;

/// A square's side with the space beside it, and without.
const STEP: u32 = 10;
const SIDE: u32 = 8;

/// Room for the names of months above, and of weekdays before the squares.
const TOP: u32 = 12;
const LEFT: u32 = 24;

/// The backups of one day.
#[derive(Default)]
struct Kept {
    /// By type.
    counts: BTreeMap<BackupType, usize>,
    /// Something of one of them failed.
    is_partial: bool,
    /// The last day that one of them is wanted.
    until: Option<NaiveDate>,
}

/// The section.
pub fn section(page: &Page<'_>) -> String {
    let timezone = page.config.timezone;
    let today = page.now.with_timezone(&timezone).date_naive();
    let mut kept: BTreeMap<NaiveDate, Kept> = BTreeMap::new();
    let mut going: BTreeMap<NaiveDate, (usize, u64)> = BTreeMap::new();
    for entry in &page.catalog.backups {
        let until = retention::wanted_until(entry, &page.config.retention, timezone);
        let goes = until.and_then(|until| until.checked_add_days(Days::new(1)));
        if let Some(day) = goes.filter(|_| entry.held.is_none()) {
            let day = going.entry(day.max(today)).or_default();
            *day = (day.0 + 1, day.1.saturating_add(entry.summary.totals.stored_bytes));
        }
        if is_restorable(entry) {
            let of_day = kept.entry(entry.id.at().with_timezone(&timezone).date_naive()).or_default();
            *of_day.counts.entry(entry.summary.backup_type).or_default() += 1;
            of_day.is_partial |= entry.summary.status != Status::Success;
            of_day.until = of_day.until.max(until);
        }
    }
    format!(
        "<section>\n<h2>Days to go back to</h2>\n<p>Days of the last half year with a backup that is still there. Where there \
         are several, the square has the colour of the type that is kept longest.</p>\n{}\n\
         <ul class=\"key\"><li class=\"daily\">daily</li><li class=\"weekly\">weekly</li>\
         <li class=\"monthly\">monthly</li><li class=\"mixed\">something failed</li><li class=\"none\">none</li></ul>\n{}</section>",
        squares(&kept, today),
        next(&going),
    )
}

/// Known to be damaged, it is none.
fn is_restorable(entry: &Entry) -> bool {
    let has = |part: &crate::repository::SummaryComponent| part.status == ComponentStatus::Complete;
    !entry.is_damaged() && entry.summary.components.iter().any(has)
}

fn squares(kept: &BTreeMap<NaiveDate, Kept>, today: NaiveDate) -> String {
    let week = today.checked_sub_days(Days::new(u64::from(today.weekday().num_days_from_monday()))).unwrap_or(today);
    let first = week.checked_sub_days(Days::new((WEEKS - 1) * 7)).unwrap_or(week);
    let mut drawn = String::new();
    let mut month = first.month();
    for (index, day) in (0..).zip(first.iter_days().take_while(|day| *day <= today)) {
        let (x, y) = (LEFT + index / 7 * STEP, TOP + index % 7 * STEP);
        if day.month() != month && index % 7 == 0 {
            month = day.month();
            let _ = write!(drawn, "<text x=\"{x}\" y=\"8\">{}</text>", day.format("%b"));
        }
        let (class, said) = kept.get(&day).map_or(("none".to_owned(), "no backup".to_owned()), describe);
        let _ = write!(
            drawn,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" rx=\"1.5\">\
             <title>{}: {}</title></rect>",
            day.format("%Y-%m-%d, %A"),
            escape(&said)
        );
    }
    for (name, row) in [("Mon", 0), ("Wed", 2), ("Fri", 4)] {
        let _ = write!(drawn, "<text x=\"0\" y=\"{}\">{name}</text>", TOP + row * STEP + SIDE - 1);
    }
    let days = kept.range(first..).count();
    let (width, height) = (LEFT + u32::try_from(WEEKS).unwrap_or(0) * STEP, TOP + 7 * STEP);
    format!(
        "<svg class=\"calendar\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Calendar of the last {WEEKS} weeks: {}\">{drawn}</svg>",
        count(days, "day has a backup", "days have a backup")
    )
}

fn describe(kept: &Kept) -> (String, String) {
    let longest = kept.counts.keys().max().map_or("none", |of| of.as_str());
    let class = if kept.is_partial { format!("{longest} mixed") } else { longest.to_owned() };
    let mut said: Vec<_> = kept.counts.iter().map(|(of, number)| format!("{number} {}", of.as_str())).collect();
    said.extend(kept.is_partial.then(|| "something failed".to_owned()));
    said.extend(kept.until.filter(|until| *until != NaiveDate::MAX).map(|until| format!("wanted until {until}")));
    (class, said.join(", "))
}

fn next(going: &BTreeMap<NaiveDate, (usize, u64)>) -> String {
    if going.is_empty() {
        return String::new();
    }
    let line = |(day, (number, size)): (&NaiveDate, &(usize, u64))| {
        format!(
            "<tr><th scope=\"row\">{day}</th><td>{}</td><td>{}</td></tr>",
            count(*number, "", "").trim(),
            bytes(*size)
        )
    };
    let lines: String = going.iter().take(NEXT).map(line).collect();
    format!(
        "<h3>What retention lets go next</h3>\n<p>The newest good copy of every module stays whatever its age, and so does what \
         is held.</p>\n<table class=\"small\"><thead><tr><th scope=\"col\">Day</th><th scope=\"col\">Backups</th>\
         <th scope=\"col\">Size</th></tr></thead><tbody>{lines}</tbody></table>\n"
    )
}
