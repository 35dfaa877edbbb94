//! `backup verify`: proves that stored backups are what their manifests say.

use crate::cli::around::{Around, Told};
use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::{self, Settings};
use crate::cli::{args, text, time};
use crate::config::{Config, JobLevel, VerifyJob};
use crate::error::{Error, Result};
use crate::names::Scope;
use crate::notify::{Message, Operation, RunStatus};
use crate::pipeline::Cancel;
use crate::repository::VerifyLevel;
use crate::verify::{self, Options, Which};
use clap::ValueEnum;
use std::path::PathBuf;

/// Verify stored backups against their manifests
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = exit::help(
    "backup verify latest\nbackup verify --all --level stored\nbackup verify --slice 1/7    # the first of seven nights that read everything",
    &[Exit::Damaged, Exit::NotFound, Exit::Locked, Exit::Key]))]
pub struct Args {
    /// Id of a backup (see `backup list`), or `latest`
    #[arg(value_name = "ID|latest", required_unless_present_any = ["all", "slice"], conflicts_with_all = ["all", "slice"])]
    id: Option<String>,
    /// Every backup
    #[arg(long, conflicts_with_all = ["tenant", "slice"])]
    all: bool,
    /// Every backup whose turn is K of N; all N turns together are all backups
    #[arg(long, value_name = "K/N", value_parser = slice, conflicts_with = "tenant")]
    slice: Option<(u32, u32)>,
    /// With `latest`: among this tenant's backups
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// How deep; default: decoded, or stored where no key here opens an encrypted archive
    #[arg(long, value_enum, value_name = "LEVEL")]
    level: Option<Level>,
    /// With `--level restored`: where to restore files and SQLite databases for a look; default: the temporary folder
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// With `--level restored`: the server that gets a source's scratch database; default: the source's own
    #[arg(long, value_name = "SOURCE=URI")]
    scratch_server: Vec<String>,
    /// Archives that are read at once [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// File of the private key that opens encrypted archives; may be repeated
    #[arg(short, long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// The job of the configuration that this is
    #[arg(skip)]
    job: Option<String>,
}

impl Args {
    /// Those of a job.
    pub fn job(name: &str, job: VerifyJob) -> Self {
        let level = job.level.map(|level| match level {
            JobLevel::Stored => Level::Stored,
            JobLevel::Decoded => Level::Decoded,
            JobLevel::Restored => Level::Restored,
        });
        let id = (!job.all).then(|| "latest".to_owned());
        Self { id, all: job.all, level, job: Some(name.to_owned()), ..Self::default() }
    }
}

/// Reads `K/N`, 1 ≤ K ≤ N.
fn slice(text: &str) -> std::result::Result<(u32, u32), String> {
    let parts = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((k, n)) if 1 <= k && k <= n => Ok((k, n)),
        _ => Err("write K/N with 1 ≤ K ≤ N, for example 1/7".to_owned()),
    }
}

/// `--level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// The stored bytes hash to what the manifest says
    Stored,
    /// Every record and file is read, counted and digested
    Decoded,
    /// And everything is restored into scratch databases and a scratch folder, compared, and dropped
    Restored,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let cancel = settings.cancel()?;
    let scope = settings::scope(args.tenant.as_deref())?;
    let around = Around::new(settings, &config, &cancel, Operation::Verify, args.job.as_deref())?.of(&scope);
    around.run(|message| work(args, settings, &config, &scope, &cancel, message))
}

fn work(
    args: &Args,
    settings: &Settings,
    config: &Config,
    scope: &Scope,
    cancel: &Cancel,
    mut message: Message,
) -> Result<Told> {
    let level = match args.level {
        None => None,
        Some(Level::Stored) => Some(VerifyLevel::Stored),
        Some(Level::Decoded) => Some(VerifyLevel::Decoded),
        Some(Level::Restored) => Some(VerifyLevel::Restored),
    };
    let id = match &args.id {
        Some(id) => {
            let which = settings::which(&args::Which { id: id.clone(), before: None }, config)?;
            let catalog = settings::catalog(config)?;
            Some(settings::entry(&catalog, &which, scope)?.id.clone())
        }
        None => None,
    };
    let which = match (&id, args.slice) {
        (Some(id), _) => Which::One(id),
        (None, Some((number, of))) => Which::Slice { number, of },
        (None, None) => Which::All,
    };
    let reports = verify::run(&Options {
        config,
        which,
        level,
        identities: settings::identities(config, &args.identity)?,
        scratch: args.scratch.as_deref(),
        servers: args::by_source("--scratch-server", &args.scratch_server)?,
        jobs: args.jobs.map(usize::from),
        wait: settings.wait(cancel),
        now: time::now,
        events: settings.events.clone(),
        cancel: cancel.clone(),
    })?;
    let exit = reports.iter().map(|report| ending(report, level)).fold(Exit::Success, Exit::or);
    message.status = if exit == Exit::Success { RunStatus::Success } else { RunStatus::Failed };
    message.backup_id = id.map(|id| id.to_string());
    message.errors = reports.iter().flat_map(wrong).collect();
    Ok(Told::plain(Report::new(render(&reports), &reports)?.exit(exit), message))
}

/// What is wrong with a backup, one line each.
fn wrong(report: &verify::Report) -> Vec<String> {
    let lines = report.components.iter().flat_map(|component| {
        let error = component.error.iter().map(ToString::to_string);
        let found = component.damage.iter().cloned().chain(error).chain(component.no_key.clone());
        found.map(|what| format!("{} {}: {what}", report.id, component.archive))
    });
    lines.collect()
}

/// The worst of what was found, what could not be looked at, and what no key opened.
fn ending(report: &verify::Report, asked: Option<VerifyLevel>) -> Exit {
    let damaged = if report.is_damaged() { Exit::Damaged } else { Exit::Success };
    let failed = report.errors().map(|error| Exit::from(error.kind)).fold(damaged, Exit::or);
    match asked {
        Some(asked) if failed == Exit::Success && report.level < asked => Exit::Key,
        _ => failed,
    }
}

fn render(reports: &[verify::Report]) -> String {
    let mut out = String::new();
    for report in reports {
        let state = verdict(report.is_damaged(), report.errors().next(), report.level);
        out.push_str(&format!("{}: {state}\n", text::printable(&report.id)));
        for component in &report.components {
            let state = verdict(!component.damage.is_empty(), component.error.as_ref(), component.level);
            out.push_str(&format!("  {}: {state}\n", text::printable(&component.archive)));
            for damage in &component.damage {
                out.push_str(&format!("    - {}\n", text::printable(damage)));
            }
            if let Some(reason) = &component.no_key {
                out.push_str(&format!("    not decoded: {}\n", text::printable(reason)));
            }
            if let Some(error) = &component.error {
                out.push_str(&format!("    {}\n", text::printable(&error.to_string())));
                let hint = error.hint.as_ref().map(|hint| format!("    Hint: {}\n", text::printable(hint)));
                out.push_str(&hint.unwrap_or_default());
            }
        }
        if !report.not_expired {
            out.push_str("  retention no longer keeps it: the next prune removes it\n");
        }
    }
    let valid = reports.iter().filter(|report| report.valid).count();
    out.push_str(&format!("{valid} of {} undamaged", text::count(reports.len() as u64, "backup", "backups")));
    let unknown = reports.iter().filter(|report| !report.valid && !report.is_damaged()).count();
    if unknown > 0 {
        out.push_str(&format!(", {unknown} could not be verified"));
    }
    out.push('\n');
    out
}

/// Of bytes alone nobody can say more than that they are there.
fn verdict(is_damaged: bool, error: Option<&Error>, level: VerifyLevel) -> &'static str {
    match level {
        _ if is_damaged => "DAMAGED",
        _ if error.is_some() => "NOT VERIFIED",
        VerifyLevel::Stored => "stored bytes intact",
        VerifyLevel::Decoded => "valid (decoded)",
        VerifyLevel::Restored => "valid (restored)",
    }
}
