//! `stats --html`: the figures as one page for people. It loads nothing and runs nothing: style and plots are in it, and its
//! own policy forbids the rest. What it shows is bounded (days, weeks, modules, tenants), so that it stays small however
//! much is stored.

mod calendar;
mod chart;
mod copies;
mod days;
mod markup;

use crate::config::Config;
use crate::manifest::Status;
use crate::monitor::Copies;
use crate::repository::{Catalog, Entry, FailedRun};
use crate::stats::{Last, Stats};
use chrono::{DateTime, Utc};
use days::Days;
use markup::{bytes, count, duration, escape, moment, span};

const STYLE: &str = include_str!("style.css");

/// What a page is made of.
#[derive(Debug)]
pub struct Page<'a> {
    /// The configuration: name, calendar, retention, limits of age.
    pub config: &'a Config,
    /// The tenant it is about; none: all.
    pub tenant: Option<&'a str>,
    /// The catalog, of that tenant alone where there is one.
    pub catalog: &'a Catalog,
    /// Its figures.
    pub stats: &'a Stats,
    /// When it was made.
    pub now: DateTime<Utc>,
}

/// The backups and failed runs of one tenant alone.
pub fn of_tenant(catalog: &Catalog, tenant: &str) -> Catalog {
    let backups = |entry: &&Entry| entry.summary.tenant_id.as_deref() == Some(tenant);
    let failed = |run: &&FailedRun| run.tenant_id.as_deref() == Some(tenant);
    Catalog {
        backups: catalog.backups.iter().filter(backups).cloned().collect(),
        failed: catalog.failed.iter().filter(failed).cloned().collect(),
        ..Catalog::default()
    }
}

/// The page.
pub fn html(page: &Page<'_>) -> String {
    let installation = escape(&page.config.installation);
    let whose = page.tenant.map_or(String::new(), |id| format!(", tenant {}", escape(id)));
    let days = Days::of(page.catalog, page.config.timezone, page.now);
    let copies = Copies::of(page.catalog, page.now);
    let sections = [
        tiles(page),
        "<div class=\"charts\">".to_owned(),
        chart::runs(&days),
        chart::durations(&days),
        chart::added(&days),
        chart::total(&days),
        "</div>".to_owned(),
        copies::share(&copies),
        calendar::section(page),
        copies::last_good(&copies, &page.config.checks, page.now),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Backups of {installation}{whose}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n\
         <h1>Backups of {installation}{whose}</h1>\n<p>As of {}. What was pruned is in no figure.</p>\n</header>\n<main>\n{}\n</main>\n\
         <footer>Made by backup {}</footer>\n</body>\n</html>\n",
        moment(page.now, page.config.timezone),
        sections.join("\n"),
        env!("CARGO_PKG_VERSION"),
    )
}

fn tiles(page: &Page<'_>) -> String {
    let stats = page.stats;
    let none = || "–".to_owned();
    let of_runs = stats.completed + stats.partial + stats.failed;
    let last = stats.last_backup.as_ref().map_or_else(none, |last| format!("{} ago", age(last.timestamp, page.now)));
    let how = |last: &Last| {
        let word = match last.status {
            Status::Success => "complete",
            Status::Partial => "partial",
            Status::Failed => "failed",
        };
        format!("{word}, {}", bytes(last.size))
    };
    let ratio = stats.compression_ratio.map_or_else(none, |ratio| format!("{ratio:.1} : 1"));
    let rate = stats.success_rate.map_or_else(none, |rate| format!("{rate:.0} %"));
    let tiles = [
        ("Last backup", last, stats.last_backup.as_ref().map_or_else(none, how)),
        ("Complete", rate, format!("of {}", count(of_runs, "run", "runs"))),
        (
            "Backups",
            count(stats.total_backups, "", ""),
            format!("{} system-wide, {} of tenants", stats.system_backups, stats.tenant_backups),
        ),
        ("Stored", bytes(stats.total_size), format!("compressed {ratio}")),
        ("Free", bytes(stats.free_space), "on the repository's disk".to_owned()),
        (
            "Mean duration",
            stats.average_duration_seconds.map_or_else(none, duration),
            stats
                .oldest_restorable
                .map_or_else(none, |at| format!("restorable since {}", at.format("%Y\u{2011}%m\u{2011}%d"))),
        ),
    ];
    let tile = |(name, value, more): (&str, String, String)| {
        format!("<div><dt>{name}</dt><dd><strong>{}</strong><span>{}</span></dd></div>", value.trim(), more)
    };
    format!("<dl class=\"tiles\">{}</dl>", tiles.map(tile).join("\n"))
}

/// How old something is, as a span.
fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    span((now - at).max(chrono::TimeDelta::zero()).as_seconds_f64())
}
