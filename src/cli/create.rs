//! `backup create`: makes a backup, or shows what it would hold.

use crate::cli::args::{Half, Type};
use crate::cli::around::{Around, Told};
use crate::cli::exit::{self, Exit};
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{create_many, plan, process, show, text, time};
use crate::config::{BackupType, Config, CreateJob, Job, JobAction, parse_rate};
use crate::create::{self, Created, Effort, Options};
use crate::error::{Error, Kind, Result};
use crate::manifest::Status;
use crate::modules::{Grants, Only, Request};
use crate::names::{Scope, TenantId};
use crate::notify::{Message, Operation};
use crate::pipeline::Cancel;
use crate::repository::Catalog;
use crate::tenants;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Tenants that are backed up at once, where nobody says.
const TENANTS: usize = 2;

/// Back up the installation, one tenant, or some modules
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = exit::help(
    "backup create --dry-run\nbackup create --type weekly\nbackup create --tenant acme --module life-insurance\nbackup create --all-tenants\nbackup create --job nightly -q",
    &[Exit::Partial, Exit::Damaged, Exit::NotFound, Exit::Locked, Exit::Key]))]
pub struct Args {
    /// Only this tenant's data and declared shared data; repeated: a backup for each
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<String>,
    /// A backup of its own for each tenant there is
    #[arg(long, conflicts_with_all = ["tenant", "tenants_file"])]
    all_tenants: bool,
    /// A backup of its own for each tenant this file names: one id a line, `#` begins a comment
    #[arg(long, value_name = "FILE")]
    tenants_file: Option<PathBuf>,
    /// How much is done at once: of one backup N collections are read and N blocks compressed [default: 2, and as many
    /// blocks as there are processors]; of many tenants, N are backed up [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// Read at most this much of all sources in a second, like 20MiB [default: the configuration's `rateLimit`]
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    rate_limit: Option<u64>,
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
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tenant", "all_tenants", "tenants_file", "module", "backup_type"])]
    job: Option<String>,
    /// This run's data is meant to be less than before: record what `anomaly` finds as a warning, and fail nothing
    #[arg(long)]
    accept_shrink: bool,
    /// Resolve everything and show the plan, but back nothing up
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let cancel = settings.cancel()?;
    let asked = Asked::of(args, &config)?;
    if args.dry_run {
        let message = Message::new(&config, Operation::Create, settings.log.run(), process::host(), time::now());
        let found = find(&asked.whose, settings, &config, &cancel)?;
        return work(args, settings, found, &cancel, &asked, message).map(|told| told.report);
    }
    let around = Around::new(settings, &config, &cancel, Operation::Create, args.job.as_deref())?;
    let around = match &asked.whose {
        Whose::Scope(scope) => around.of(scope),
        Whose::Tenants(_) | Whose::AllTenants => around,
    };
    around.making(asked.whose.clone(), asked.backup_type).run_with(
        || find(&asked.whose, settings, &config, &cancel),
        |found, message| work(args, settings, found, &cancel, &asked, message),
    )
}

/// Whose data it is, as the configuration and the sources know it now.
struct Found {
    config: Config,
    scope: Scope,
    /// A backup for each of these, where it is not one of the scope.
    many: Option<Vec<TenantId>>,
}

fn find(whose: &Whose, settings: &Settings, config: &Config, cancel: &Cancel) -> Result<Found> {
    let known = match whose {
        Whose::Scope(scope) => tenants::of_scope(config, scope, cancel)?,
        Whose::Tenants(ids) if ids.iter().all(|id| config.tenancy.tenants.contains_key(id)) => {
            tenants::of_scope(config, &Scope::SystemWide, cancel)?
        }
        Whose::Tenants(_) | Whose::AllTenants => tenants::all(config, cancel)?,
    };
    settings.tell(&known);
    let (scope, many) = match whose {
        Whose::Scope(scope) => (scope.clone(), None),
        Whose::Tenants(ids) => {
            ids.iter().try_for_each(|id| tenants::require(&known, id))?;
            (Scope::SystemWide, Some(ids.clone()))
        }
        Whose::AllTenants => (Scope::SystemWide, Some(create_many::all(&known)?)),
    };
    Ok(Found { config: settings::for_scope(known.config, &scope)?, scope, many })
}

fn work(
    args: &Args,
    settings: &Settings,
    Found { config, scope, many }: Found,
    cancel: &Cancel,
    asked: &Asked,
    message: Message,
) -> Result<Told> {
    let jobs = args.jobs.map(usize::from);
    let Asked { modules, only, backup_type, .. } = asked;
    let options = Options {
        request: Request { scope, modules: modules.clone(), only: *only, backup_type: *backup_type },
        config: &config,
        safety_for: None,
        accept_shrink: args.accept_shrink,
        effort: Effort::new(many.is_none().then_some(jobs).flatten(), args.rate_limit.or(config.rate_limit)),
        wait: settings.wait(cancel),
        now: time::now,
        created_by: process::user_at_host(),
        events: settings.events.clone(),
        cancel: cancel.clone(),
    };
    match many {
        Some(ids) if args.dry_run => Ok(Told::plain(create_many::plan(&options, &ids)?, message)),
        Some(ids) => create_many::run(&options, &ids, jobs.unwrap_or(TENANTS), settings, message),
        None if args.dry_run => {
            let plan = create::plan(&options)?;
            Ok(Told::plain(Report::new(plan::render(&plan, output::width()), &plan)?, message))
        }
        None => one(&options, settings, message),
    }
}

fn one(options: &Options<'_>, settings: &Settings, message: Message) -> Result<Told> {
    let created = create::run(options)?;
    if is_worth_a_word(&created) {
        // Under `--quiet` too: the run went well, but whoever reads cron's mail must hear of it.
        settings.log.release();
    }
    let exit = exit_of(created.manifest.status);
    let report = Report::new(render(&created, output::width()), &created.manifest)?.exit(exit);
    Ok(Told::plain(report, message.made(&created.manifest, options.config)))
}

impl Args {
    /// Only asks what would be done.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Those of a job.
    pub fn job(name: &str) -> Self {
        Self { job: Some(name.to_owned()), ..Self::default() }
    }
}

/// Whether something is to be told of a backup that succeeded.
pub(super) fn is_worth_a_word(created: &Created) -> bool {
    let Created { manifest, shrank, .. } = created;
    let licenses = Grants { installation: manifest.license.clone(), tenant: manifest.tenant_license.clone() };
    *shrank || !licenses.are_valid()
}

fn exit_of(status: Status) -> Exit {
    match status {
        Status::Success => Exit::Success,
        Status::Partial => Exit::Partial,
        Status::Failed => Exit::Failed,
    }
}

/// What the command line or a job asks for.
struct Asked {
    whose: Whose,
    modules: Vec<String>,
    only: Option<Only>,
    backup_type: BackupType,
}

#[derive(Debug, Clone)]
pub(super) enum Whose {
    /// One backup.
    Scope(Scope),
    /// One for each of these.
    Tenants(Vec<TenantId>),
    /// One for each there is.
    AllTenants,
}

impl Whose {
    /// Whether each has a backup of its own.
    pub fn is_many(&self) -> bool {
        !matches!(self, Self::Scope(_))
    }

    /// All of them, as far as no source must be asked: all tenants are those of the configuration, and those that have a
    /// backup.
    pub fn known(&self, config: &Config, catalog: &Catalog) -> Vec<Scope> {
        match self {
            Self::Scope(scope) => vec![scope.clone()],
            Self::Tenants(ids) => ids.iter().cloned().map(Scope::Tenant).collect(),
            Self::AllTenants => everybody(config, catalog).into_iter().collect(),
        }
    }

    /// Those that have no backup of a run which cannot begin. Who is not found, because the name is misspelt, is nobody
    /// that backups are made of.
    pub fn fail_of(&self, error: &Error, config: &Config) -> Vec<Scope> {
        // Without a repository there are no records either.
        let catalog = settings::catalog(config).unwrap_or_default();
        let mut scopes = self.known(config, &catalog);
        if error.kind == Kind::NotFound {
            let everybody = everybody(config, &catalog);
            scopes.retain(|scope| everybody.contains(scope));
        }
        scopes
    }
}

fn everybody(config: &Config, catalog: &Catalog) -> BTreeSet<Scope> {
    let configured = config.tenancy.tenants.keys().cloned().map(Scope::Tenant);
    let stored = catalog.backups.iter().map(|entry| entry.id.scope());
    configured.chain(stored).filter(|scope| scope.tenant().is_some()).collect()
}

impl Asked {
    fn of(args: &Args, config: &Config) -> Result<Self> {
        let only = args.only.map(Into::into);
        if let Some(name) = &args.job {
            let job = create_job(name, config)?;
            let scope = || job.tenant.clone().map_or(Scope::SystemWide, Scope::Tenant);
            let whose = if job.all_tenants { Whose::AllTenants } else { Whose::Scope(scope()) };
            return Ok(Self {
                whose,
                modules: job.modules.clone(),
                only: only.or(job.only),
                backup_type: job.backup_type,
            });
        }
        let whose = match (args.tenant.as_slice(), &args.tenants_file) {
            _ if args.all_tenants => Whose::AllTenants,
            ([], None) => Whose::Scope(Scope::SystemWide),
            ([id], None) => Whose::Scope(settings::scope(Some(id))?),
            (ids, file) => Whose::Tenants(create_many::listed(ids, file.as_deref())?),
        };
        let backup_type = args.backup_type.map_or(BackupType::Daily, Into::into);
        Ok(Self { whose, modules: args.module.clone(), only, backup_type })
    }
}

fn create_job<'a>(name: &str, config: &'a Config) -> Result<&'a CreateJob> {
    match &job(name, config)?.action {
        JobAction::Create(job) => Ok(job),
        _ => Err(Error::new(Kind::Config, format!("job '{name}' is no create job")).hint(format!("backup run {name}"))),
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
