//! `backup create`: makes a backup, or shows what it would hold.

use crate::cli::args::{Half, Type, not_yet};
use crate::cli::exit::{self, Exit};
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{plan, process, show, text, time};
use crate::config::{BackupType, Config, CreateJob, Job, JobAction};
use crate::create::{self, Created, Options};
use crate::error::{Error, Kind, Result};
use crate::manifest::Status;
use crate::modules::{Grants, Request};
use crate::names::Scope;

/// Back up the installation, one tenant, or some modules
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = exit::help(
    "backup create --dry-run\nbackup create --type weekly\nbackup create --tenant acme --module life-insurance\nbackup create --job nightly -q",
    &[Exit::Partial, Exit::Damaged, Exit::NotFound, Exit::Locked, Exit::Key]))]
pub struct Args {
    /// Only this tenant's data and declared shared data
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<String>,
    #[arg(long, hide = true)]
    all_tenants: bool,
    /// Only this module; may be repeated
    #[arg(short, long, value_name = "MODULE")]
    module: Vec<String>,
    /// Retention class of the backup [default: daily]
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    backup_type: Option<Type>,
    /// Only databases, or only files
    #[arg(long, value_enum, value_name = "HALF")]
    only: Option<Half>,
    /// The request that the configuration names so
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tenant", "all_tenants", "module", "backup_type"])]
    job: Option<String>,
    /// This run's data is meant to be less than before: record what `anomaly` finds as a warning, and fail nothing
    #[arg(long)]
    accept_shrink: bool,
    /// Resolve everything and show the plan, but back nothing up
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    if args.all_tenants {
        return Err(not_yet("--all-tenants").hint("run `backup create --tenant T` for each tenant"));
    }
    if args.tenant.len() > 1 {
        return Err(not_yet("--tenant for several tenants").hint("run `backup create --tenant T` for each tenant"));
    }
    let config = settings.load()?;
    let cancel = settings.cancel()?;
    let options = Options {
        request: request(args, &config)?,
        config: &config,
        safety_for: None,
        accept_shrink: args.accept_shrink,
        wait: settings.wait(&cancel),
        now: time::now,
        created_by: process::user_at_host(),
        events: settings.events.clone(),
        cancel,
    };
    if args.dry_run {
        let plan = create::plan(&options)?;
        return Report::new(plan::render(&plan, output::width()), &plan);
    }
    let created = create::run(&options)?;
    let licenses =
        Grants { installation: created.manifest.license.clone(), tenant: created.manifest.tenant_license.clone() };
    if created.shrank || !licenses.are_valid() {
        // Under `--quiet` too: the run went well, but whoever reads cron's mail must hear of it.
        settings.log.release();
    }
    let exit = match created.manifest.status {
        Status::Success => Exit::Success,
        Status::Partial => Exit::Partial,
        Status::Failed => Exit::Failed,
    };
    Ok(Report::new(render(&created, output::width()), &created.manifest)?.exit(exit))
}

impl Args {
    /// Those of a job.
    pub fn job(name: &str) -> Self {
        Self { job: Some(name.to_owned()), ..Self::default() }
    }
}

fn request(args: &Args, config: &Config) -> Result<Request> {
    let only = args.only.map(Into::into);
    if let Some(name) = &args.job {
        let job = create_job(name, config)?;
        let scope = job.tenant.clone().map_or(Scope::SystemWide, Scope::Tenant);
        return Ok(Request { scope, modules: job.modules.clone(), only, backup_type: job.backup_type });
    }
    Ok(Request {
        scope: settings::scope(args.tenant.first().map(String::as_str))?,
        modules: args.module.clone(),
        only,
        backup_type: args.backup_type.map_or(BackupType::Daily, Into::into),
    })
}

fn create_job<'a>(name: &str, config: &'a Config) -> Result<&'a CreateJob> {
    match &job(name, config)?.action {
        JobAction::Create(job) => Ok(job),
        JobAction::VerifyCollections | JobAction::Prune => {
            Err(Error::new(Kind::Config, format!("job '{name}' is no create job")).hint(format!("backup run {name}")))
        }
    }
}

/// The job of that name.
///
/// # Errors
/// [`Kind::NotFound`] with close names.
pub fn job<'a>(name: &str, config: &'a Config) -> Result<&'a Job> {
    config.jobs.get(name).ok_or_else(|| unknown_job(name, config.jobs.keys()))
}

fn unknown_job<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let error = Error::new(Kind::NotFound, format!("there is no job '{}'", text::printable(name)));
    let mut scored: Vec<_> = known.map(|job| (strsim::jaro_winkler(name, job), job.as_str())).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let close: Vec<_> = scored.iter().filter(|(score, _)| *score > 0.75).take(3).map(|(_, job)| *job).collect();
    match (close.is_empty(), scored.is_empty()) {
        (false, _) => error.hint(format!("did you mean {}?", close.join(", "))),
        (true, false) => {
            error.hint(format!("jobs are: {}", scored.iter().map(|(_, job)| *job).collect::<Vec<_>>().join(", ")))
        }
        (true, true) => error.hint("the configuration has no `jobs`"),
    }
}

fn render(created: &Created, width: Option<u16>) -> String {
    let manifest = &created.manifest;
    let mut out = show::render(manifest, width);
    out.push_str(&format!("\nStored in {}\n", created.folder.display()));
    let next = match manifest.status {
        Status::Success => format!("Next: backup verify {}\n", manifest.id),
        Status::Partial | Status::Failed => {
            format!("Next: mend what failed, and run `backup create` again; backup show {}\n", manifest.id)
        }
    };
    out.push_str(&next);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_job_is_not_found_and_close_names_are_offered() {
        let known = ["nightly".to_owned(), "weekly".to_owned()];
        let error = unknown_job("nigthly", known.iter());
        assert_eq!(error.kind, Kind::NotFound);
        assert_eq!(error.hint.as_deref(), Some("did you mean nightly?"));
        let error = unknown_job("zzz", known.iter());
        assert!(error.hint.unwrap().contains("weekly"));
    }
}
