//! `backup check`: the monitoring probe, which speaks as Nagios plugins do: one line, and 0, 1, 2 or 3.

use crate::cli::args::{Cli, Type};
use crate::cli::exit::Exit;
use crate::cli::output::Report;
use crate::cli::settings::{self, Settings};
use crate::cli::{failure, text, time};
use crate::config::parse_duration;
use crate::error::{Error, Result};
use crate::monitor::{self, Checked, Copy, Level, Options, Unverified};
use clap::CommandFactory;
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// Exit code of what could not be judged.
pub const UNKNOWN: u8 = 3;

/// So many problems are told in the line; the rest is counted.
const TOLD: usize = 5;

const HELP: &str = "Examples:
  backup check
  backup check --tenant acme --warning 26h --critical 50h
  backup check --type weekly --json

Exit codes, those of Nagios:
    0  OK
    1  WARNING
    2  CRITICAL
    3  UNKNOWN: the configuration or the repository cannot be read, nothing would be judged";

/// Probe for monitoring: is there a recent good copy of everything?
///
/// Judges the age of the newest good copy of every module, and of every archive outside the modules: of the installation,
/// and of the tenants that jobs back up. A partial backup is a good copy of its complete modules; a damaged one is none.
/// Free space, and how long nothing was verified, are judged where `checks` in the configuration says so. Asks no
/// database, takes no lock.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// Only this tenant's backups
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only this module; may be repeated
    #[arg(short, long, value_name = "MODULE")]
    module: Vec<String>,
    /// Only copies of this type; default: of any, and those of `checks.types`
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    backup_type: Option<Type>,
    /// Warn of copies that are older [default: `checks` of the configuration, else 26h]
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    warning: Option<Duration>,
    /// Critical are copies that are older [default: `checks` of the configuration, else 50h]
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    critical: Option<Duration>,
}

/// Never an error: whatever keeps it from judging is `UNKNOWN`.
pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    Ok(probe(args, settings).unwrap_or_else(|error| unknown(&error)))
}

fn probe(args: &Args, settings: &Settings) -> Result<Report> {
    if let (Some(warning), Some(critical)) = (args.warning, args.critical)
        && warning > critical
    {
        let kind = crate::error::Kind::Config;
        return Err(Error::new(kind, "--warning is more than --critical: it would never warn"));
    }
    let config = settings.load()?;
    let checked = monitor::check(&Options {
        config: &config,
        tenant: settings::scope(args.tenant.as_deref())?.tenant().cloned(),
        modules: args.module.clone(),
        backup_type: args.backup_type.map(Into::into),
        warning: args.warning,
        critical: args.critical,
        now: time::now(),
    })?;
    let exit = match checked.status {
        Level::Ok => Exit::Success,
        Level::Warning => Exit::Probe(1),
        Level::Critical => Exit::Probe(2),
    };
    Ok(Report::new(line(&checked), &checked)?.exit(exit))
}

/// What is said when nothing can be judged.
pub fn unknown(error: &Error) -> Report {
    let said = failure::redact(
        &std::iter::once(error.to_string()).chain(error.details.clone()).collect::<Vec<_>>().join("; "),
    );
    let document = json!({ "status": "unknown", "error": failure::value(error) });
    let line = format!("BACKUP UNKNOWN - {}\n", plain(&said));
    // A text and a few strings are always representable.
    let report = Report::new(line.clone(), &document).unwrap_or_else(|_| Report::document(line));
    report.exit(Exit::Probe(UNKNOWN))
}

/// Whether `check` is the command, however wrong the rest of the line is.
pub fn is_asked_for(args: &[OsString]) -> bool {
    if !args.iter().any(|arg| arg == "check") {
        return false;
    }
    let lenient = Cli::command().ignore_errors(true).try_get_matches_from(args);
    lenient.is_ok_and(|matches| matches.subcommand_name() == Some("check"))
}

/// The line, performance data behind the bar.
fn line(checked: &Checked) -> String {
    let word = match checked.status {
        Level::Ok => "OK",
        Level::Warning => "WARNING",
        Level::Critical => "CRITICAL",
    };
    let mut said = problems(checked);
    let told = said.len().min(TOLD);
    let more = said.len() - told;
    said.truncate(told);
    if more > 0 {
        said.push(format!("{more} more"));
    }
    said.push(summary(checked));
    for (count, what) in [
        (checked.damaged, "known to be damaged and not counted"),
        (checked.of_the_future, "of the future and not counted: is the clock right?"),
    ] {
        if count > 0 {
            said.push(format!("{} {what}", text::count(count as u64, "backup", "backups")));
        }
    }
    format!("BACKUP {word} - {}|{}\n", plain(&said.join("; ")), performance(checked).join(" "))
}

fn problems(checked: &Checked) -> Vec<String> {
    let mut said = Vec::new();
    let bad = |level: Level| level != Level::Ok;
    if checked.unreadable > 0 {
        let count = text::count(checked.unreadable as u64, "manifest or fact", "manifests or facts");
        said.push(format!("{count} cannot be read"));
    }
    let free = &checked.free_space;
    if bad(free.level) {
        said.push(format!("{} free of {}", text::size(free.free), text::size(free.total)));
    }
    said.extend(checked.copies.iter().filter(|copy| bad(copy.level)).map(of_copy));
    said.extend(checked.unverified.iter().filter(|scope| bad(scope.level)).map(of_scope));
    said
}

fn of_copy(copy: &Copy) -> String {
    let place = place(copy.tenant_id.as_deref());
    let kind = copy.backup_type.map_or("good", |of| of.as_str());
    let name = if copy.module.is_some() { copy.name().to_owned() } else { format!("archive {}", copy.name()) };
    match (&copy.id, copy.age_seconds) {
        (Some(_), Some(age)) => {
            format!("{name} of {place}: newest {kind} copy {} old (limit {})", text::span(age), limit(copy))
        }
        (_, Some(age)) => format!("{name} of {place}: no {kind} copy, for {}", text::span(age)),
        _ => format!("{name} of {place}: no {kind} copy"),
    }
}

fn limit(copy: &Copy) -> String {
    text::span(if copy.level == Level::Critical { copy.critical_seconds } else { copy.warning_seconds })
}

fn of_scope(scope: &Unverified) -> String {
    let place = place(scope.tenant_id.as_deref());
    let age = text::span(scope.age_seconds);
    match scope.verified {
        Some(_) => format!("backups of {place} not verified for {age}"),
        None => format!("backups of {place} never verified, in {age}"),
    }
}

fn place(tenant: Option<&str>) -> String {
    tenant.map_or("system-wide".to_owned(), |id| format!("tenant {id}"))
}

fn summary(checked: &Checked) -> String {
    let mut scopes: Vec<_> = checked.copies.iter().map(|copy| &copy.tenant_id).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let good = checked.copies.iter().filter(|copy| copy.level == Level::Ok).count();
    let oldest = checked.copies.iter().filter_map(|copy| copy.age_seconds.filter(|_| copy.id.is_some())).max();
    let oldest = oldest.map_or("there is none".to_owned(), |age| format!("the oldest {}", text::span(age)));
    format!(
        "{} of {} recent in {}, {oldest}; {} free",
        text::number(good as u64),
        text::count(checked.copies.len() as u64, "copy", "copies"),
        text::count(scopes.len() as u64, "scope", "scopes"),
        text::size(checked.free_space.free),
    )
}

/// The oldest age of each module and type over all scopes: as many as there are modules, however many tenants.
fn performance(checked: &Checked) -> Vec<String> {
    let mut worst: BTreeMap<String, &Copy> = BTreeMap::new();
    for copy in &checked.copies {
        let of_type = copy.backup_type.map(|of| format!("_{}", of.as_str())).unwrap_or_default();
        // They come worst first.
        worst.entry(format!("age_{}{of_type}", copy.name())).or_insert(copy);
    }
    let age = |(label, copy): (String, &Copy)| {
        let age = copy.age_seconds.map_or("U".to_owned(), |age| format!("{age}s"));
        format!("{}={age};{};{};0", quoted(&label), copy.warning_seconds, copy.critical_seconds)
    };
    let free = &checked.free_space;
    let below = |limit: Option<u64>| limit.map(|limit| format!("{limit}:")).unwrap_or_default();
    let space = format!("free={}B;{};{};0;{}", free.free, below(free.warning), below(free.critical), free.total);
    let mut data: Vec<_> = worst.into_iter().map(age).collect();
    data.push(space);
    data.push(format!("damaged={}", checked.damaged));
    let unverified = checked.unverified.iter().max_by_key(|scope| scope.age_seconds);
    data.extend(unverified.map(|scope| {
        format!("unverified={}s;{};{};0", scope.age_seconds, scope.warning_seconds, scope.critical_seconds)
    }));
    data
}

/// A label may hold anything but these two.
fn quoted(label: &str) -> String {
    format!("'{}'", label.replace(['\'', '='], "_"))
}

/// One line, in which the bar has its meaning alone.
fn plain(said: &str) -> String {
    text::printable(said).replace('|', "/")
}
