//! `backup restore`: puts stored data back.

use crate::cli::args::{Half, Which, not_yet};
use crate::cli::exit::{self, Exit};
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{text, time};
use crate::error::{Error, Kind, Result};
use crate::restore::{self, Options};
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Restore a backup, or some modules, collections or files of it
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup restore latest --dry-run\nbackup restore latest --module life-insurance --into hrms=mongodb://localhost/hrms_restored\nbackup restore latest --before 2025-12-20 --tenant acme --to-directory ./acme",
    &[Exit::Damaged, Exit::Refused, Exit::TargetChanged, Exit::NotFound, Exit::Locked, Exit::Key]))]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// A backup of this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only this module; may be repeated
    #[arg(short, long, value_name = "MODULE")]
    module: Vec<String>,
    /// Only this collection; may be repeated
    #[arg(long, value_name = "COLLECTION")]
    collection: Vec<String>,
    /// Only databases, or only files
    #[arg(long, value_enum, value_name = "HALF")]
    only: Option<Half>,
    /// Send a source's data to another database; may be repeated
    #[arg(long, value_name = "SOURCE=URI")]
    into: Vec<String>,
    /// Write upload directories and extra files below this directory
    #[arg(long, value_name = "DIR")]
    files_into: Option<PathBuf>,
    /// Write everything as plain files below this directory, and touch no database
    #[arg(long, value_name = "DIR", conflicts_with_all = ["into", "files_into"])]
    to_directory: Option<PathBuf>,
    /// What to do where the target holds data already
    #[arg(long, value_enum, value_name = "HOW", default_value = "refuse")]
    existing: Existing,
    /// Resolve, check and count, but change nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
    #[arg(long, value_name = "NAME", hide = true)]
    target_name: Option<String>,
    #[arg(long, hide = true)]
    no_safety_backup: bool,
}

/// `--existing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Existing {
    /// Change nothing and end with code 5
    Refuse,
    #[value(hide = true)]
    Add,
    #[value(hide = true)]
    Merge,
    #[value(hide = true)]
    Replace,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    refuse_what_cannot_work_yet(args)?;
    let into = into(&args.into)?;
    let config = settings.load()?;
    let scope = settings::scope(args.tenant.as_deref())?;
    let report = restore::run(&Options {
        which: settings::which(&args.which, &config)?,
        config: &config,
        tenant: scope.tenant().cloned(),
        modules: args.module.clone(),
        collections: args.collection.clone(),
        only: args.only.map(Into::into),
        into,
        files_into: args.files_into.clone(),
        to_directory: args.to_directory.clone(),
        dry_run: args.dry_run,
        wait: settings.wait,
        now: time::now,
        events: settings.events.clone(),
        cancel: settings.cancel()?,
    })?;
    let differs = !report.dry_run && report.collections.iter().any(|collection| !collection.verified);
    let exit = if differs { Exit::Damaged } else { Exit::Success };
    Ok(Report::new(render(&report, output::width()), &report)?.exit(exit))
}

fn refuse_what_cannot_work_yet(args: &Args) -> Result<()> {
    let refused = match args.existing {
        Existing::Refuse if args.target_name.is_some() => "--target-name",
        Existing::Refuse if args.no_safety_backup => "--no-safety-backup",
        Existing::Refuse => return Ok(()),
        Existing::Add => "--existing add",
        Existing::Merge => "--existing merge",
        Existing::Replace => "--existing replace",
    };
    Err(not_yet(refused)
        .hint("restore into an empty database with --into SOURCE=URI, or to files with --to-directory DIR"))
}

/// Splits `SOURCE=URI`. A URI may hold a password, so no message repeats it.
fn into(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    let mut into = BTreeMap::new();
    for pair in pairs {
        let Some((source, uri)) =
            pair.split_once('=').filter(|(s, u)| !s.is_empty() && !u.is_empty() && !s.contains("://"))
        else {
            return Err(Error::new(Kind::Config, "a value of --into is not SOURCE=URI")
                .hint("for example --into hrms=mongodb://localhost/hrms_restored"));
        };
        if into.insert(source.to_owned(), uri.to_owned()).is_some() {
            return Err(Error::new(Kind::Config, format!("--into names source '{source}' twice")));
        }
    }
    Ok(into)
}

fn render(report: &restore::Report, width: Option<u16>) -> String {
    let verb = if report.dry_run { "Would restore" } else { "Restored" };
    let mut out = format!("{verb} {}\n", report.id);
    for target in &report.target {
        out.push_str(&format!("  to {}\n", text::printable(target)));
    }
    if !report.collections.is_empty() {
        let rows = report.collections.iter().map(|c| {
            vec![
                format!("{}.{}", c.source, c.name),
                text::number(c.created),
                text::number(c.overwritten),
                text::number(c.deleted),
                text::number(c.documents),
                if report.dry_run { "-" } else { text::yes(c.verified) }.to_owned(),
            ]
        });
        let header = ["COLLECTION", "CREATED", "OVERWRITTEN", "DELETED", "DOCUMENTS", "VERIFIED"];
        out.push('\n');
        out.push_str(&text::table(&header, &[1, 2, 3, 4], rows.collect(), width));
    }
    out.push_str(&format!(
        "\nTotal: {}, {}, {}\n",
        text::count(report.collections.len() as u64, "collection", "collections"),
        text::count(report.files, "file", "files"),
        text::seconds(report.duration_seconds),
    ));
    if let Some(id) = &report.safety_backup {
        out.push_str(&format!("The state before is in {id}\n"));
    }
    out.push_str(&text::list("Newer backups passed over", &report.passed_over));
    out.push_str(&text::list("Warnings", &report.warnings));
    if report.dry_run {
        out.push_str("\nNothing was changed (--dry-run)\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn into_splits_at_the_first_equals_sign() {
        let pairs = into(&["hrms=mongodb://h/db?a=b".into()]).unwrap();
        assert_eq!(pairs["hrms"], "mongodb://h/db?a=b");
    }

    #[test]
    fn a_malformed_into_is_refused_without_repeating_its_password() {
        for pair in ["mongodb://u:secret@h/db", "mongodb://u:secret@h/db?x=y", "=mongodb://u:secret@h", "hrms="] {
            let error = into(&[pair.into()]).unwrap_err();
            assert_eq!(error.kind, Kind::Config);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
