//! `backup verify`: proves that stored backups are what their manifests say.

use crate::cli::args::not_yet;
use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::{self, Settings};
use crate::cli::{args, text, time};
use crate::error::Result;
use crate::repository::VerifyLevel;
use crate::verify::{self, Options};
use clap::ValueEnum;

/// Verify stored backups against their manifests
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup verify latest\nbackup verify --all --level stored\nbackup verify system-backup-2025-12-20T10-30-00-000Z",
    &[Exit::Damaged, Exit::NotFound, Exit::Locked]))]
pub struct Args {
    /// Id of a backup (see `backup list`), or `latest`
    #[arg(value_name = "ID|latest", required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// Every backup
    #[arg(long, conflicts_with = "tenant")]
    all: bool,
    /// With `latest`: among this tenant's backups
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// stored: bytes against their hashes; decoded: every record and file read too
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "decoded")]
    level: Level,
}

/// `--level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// The stored bytes hash to what the manifest says
    Stored,
    /// Every record and file is read, counted and digested
    Decoded,
    #[value(hide = true)]
    Restored,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let level = match args.level {
        Level::Stored => VerifyLevel::Stored,
        Level::Decoded => VerifyLevel::Decoded,
        Level::Restored => return Err(not_yet("--level restored").hint("use --level decoded")),
    };
    let config = settings.load()?;
    let cancel = settings.cancel()?;
    let scope = settings::scope(args.tenant.as_deref())?;
    let ids = match &args.id {
        Some(id) => {
            let which = settings::which(&args::Which { id: id.clone(), before: None }, &config)?;
            let catalog = settings::catalog(&config)?;
            Some(vec![settings::entry(&catalog, &which, &scope)?.id.clone()])
        }
        None => None,
    };
    let reports = verify::run(&Options {
        config: &config,
        ids,
        level,
        wait: settings.wait(&cancel),
        now: time::now,
        events: settings.events.clone(),
        cancel,
    })?;
    let verdict = |report: &verify::Report| if report.valid { Exit::Success } else { Exit::Damaged };
    let exit = reports.iter().map(verdict).fold(Exit::Success, Exit::or);
    Ok(Report::new(render(&reports), &reports)?.exit(exit))
}

fn render(reports: &[verify::Report]) -> String {
    let mut out = String::new();
    for report in reports {
        let level = match report.level {
            VerifyLevel::Stored => "stored bytes",
            VerifyLevel::Decoded => "decoded",
            VerifyLevel::Restored => "restored",
        };
        let verdict = if report.valid { "valid" } else { "DAMAGED" };
        out.push_str(&format!("{}: {verdict} ({level})\n", report.id));
        for component in &report.components {
            let verdict = if component.valid { "valid" } else { "DAMAGED" };
            out.push_str(&format!("  {}: {verdict}\n", component.archive));
            for damage in &component.damage {
                out.push_str(&format!("    - {}\n", text::printable(damage)));
            }
        }
        if !report.not_expired {
            out.push_str("  retention no longer keeps it: the next prune removes it\n");
        }
    }
    let valid = reports.iter().filter(|report| report.valid).count();
    out.push_str(&format!("{valid} of {} valid\n", text::count(reports.len() as u64, "backup", "backups")));
    out
}
