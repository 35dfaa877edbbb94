//! `backup restore`: puts stored data back.

use crate::cli::args::{self, Half, Which};
use crate::cli::around::{Around, Told};
use crate::cli::exit::{self, Exit};
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{process, text, time};
use crate::error::{Error, Kind, Result};
use crate::notify::{Message, Operation, RunStatus};
use crate::restore::{self, Options};
use clap::ValueEnum;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Restore a backup, or some modules, collections or files of it
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup restore latest --dry-run\nbackup restore latest --module life-insurance --into hrms=mongodb://localhost/hrms_restored\nbackup restore latest --before 2025-12-20 --tenant acme --to-directory ./acme\nbackup restore latest --tenant acme --as-tenant acme-demo --into hrms=mongodb://localhost/hrms_demo",
    &[Exit::Damaged, Exit::Refused, Exit::TargetChanged, Exit::NotFound, Exit::Locked, Exit::Key]))]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// A backup of this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Restore that tenant's data as this tenant's: whatever names the owner is rewritten
    #[arg(long, value_name = "TENANT", requires = "tenant")]
    as_tenant: Option<String>,
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
    #[arg(long, value_enum, value_name = "HOW", default_value = "refuse", conflicts_with = "to_directory")]
    existing: Existing,
    /// Collections that are loaded, and parts of archives that are proven, at once [default: 2, and as many parts as there are
    /// processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// File of the private key that opens encrypted archives; may be repeated
    #[arg(short, long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Believe a manifest without a signature, though `repository.signing` is set up
    #[arg(long)]
    allow_unsigned: bool,
    /// Resolve, check and count, but change nothing
    #[arg(long)]
    dry_run: bool,
    /// Consent to overwriting and deleting what the plan shows
    #[arg(short, long)]
    yes: bool,
    /// Name of a database whose collections are to be replaced whole; may be repeated
    #[arg(long, value_name = "NAME")]
    target_name: Vec<String>,
    /// Name of a protected source or upload root that may be written to; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "to_directory")]
    allow_protected: Vec<String>,
    /// Do not back up first what will be overwritten or deleted
    #[arg(long)]
    no_safety_backup: bool,
}

/// `--existing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Existing {
    /// Change nothing and end with code 5
    Refuse,
    /// Add only what is not there
    Add,
    /// Add what is not there, and overwrite what is
    Merge,
    /// Make the target equal to the backup: overwrite, and delete what the backup does not hold
    Replace,
}

impl From<Existing> for restore::Existing {
    fn from(word: Existing) -> Self {
        match word {
            Existing::Refuse => Self::Refuse,
            Existing::Add => Self::Add,
            Existing::Merge => Self::Merge,
            Existing::Replace => Self::Replace,
        }
    }
}

impl Args {
    /// Only asks what would be done.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let into = args::by_source("--into", &args.into)?;
    let config = settings.load()?;
    let cancel = settings.cancel()?;
    let scope = settings::scope(args.tenant.as_deref())?;
    let which = settings::which(&args.which, &config)?;
    let becomes = settings::scope(args.as_tenant.as_deref())?;
    // A tenant's backup goes back to where that tenant's data was. Nothing is looked up: it may be what was lost.
    let config = match &which {
        _ if becomes.tenant().is_some() => settings::for_scope(config, &becomes)?,
        restore::Which::Id(id) if scope.tenant().is_none() => settings::for_scope(config, &id.scope())?,
        _ => settings::for_scope(config, &scope)?,
    };
    let around = Around::new(settings, &config, &cancel, Operation::Restore, None)?.of(&scope);
    let options = Options {
        which,
        config: &config,
        tenant: scope.tenant().cloned(),
        as_tenant: becomes.tenant().cloned(),
        modules: args.module.clone(),
        collections: args.collection.clone(),
        only: args.only.map(Into::into),
        into,
        files_into: args.files_into.clone(),
        to_directory: args.to_directory.clone(),
        existing: args.existing.into(),
        jobs: args.jobs.map(usize::from),
        allow_protected: args.allow_protected.clone(),
        safety_backup: !args.no_safety_backup,
        consent: &|plan| consent(args, plan),
        identities: settings::identities(&config, &args.identity)?,
        allow_unsigned: args.allow_unsigned,
        dry_run: args.dry_run,
        wait: settings.wait(&cancel),
        now: time::now,
        created_by: process::user_at_host(),
        events: settings.events.clone(),
        cancel: cancel.clone(),
    };
    if args.dry_run {
        let report = restore::run(&options)?;
        return Report::new(render(&report, output::width()), &report);
    }
    around.run(|message| work(&options, message))
}

fn work(options: &Options<'_>, mut message: Message) -> Result<Told> {
    let report = restore::run(options)?;
    message.backup_id = Some(report.id.clone());
    message.tenant_id.clone_from(&report.tenant_id);
    message.duration = report.duration_seconds;
    message.warnings.clone_from(&report.warnings);
    let differs = report.collections.iter().any(|collection| !collection.verified);
    let (exit, status) = if differs { (Exit::Damaged, RunStatus::Failed) } else { (Exit::Success, RunStatus::Success) };
    message.status = status;
    Ok(Told::plain(Report::new(render(&report, output::width()), &report)?.exit(exit), message))
}

/// Consent to a plan that overwrites or deletes: by flags, or typed on the terminal where there is one. To replace
/// whole collections of a database takes its name, so that nobody replaces those of another.
fn consent(args: &Args, plan: &restore::Report) -> Result<()> {
    let databases = &plan.replaced_databases;
    let names = &args.target_name;
    if let Some(wrong) = names.iter().find(|name| !plan.databases.contains(name)) {
        let what = format!("--target-name {wrong}: this restore goes to no database of that name; nothing was changed");
        let there = if plan.databases.is_empty() { "none".to_owned() } else { plan.databases.join(", ") };
        return Err(Error::new(Kind::Refused, what).hint(format!("its databases: {there}")));
    }
    let changes = plan.collections.iter().any(|c| c.overwritten + c.deleted > 0)
        || plan.file_changes.overwritten + plan.file_changes.deleted > 0;
    let unnamed: Vec<_> = databases.iter().filter(|database| !names.contains(database)).collect();
    if unnamed.is_empty() && (args.yes || !changes) {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let mut flags: Vec<_> = unnamed.iter().map(|database| format!("--target-name {database}")).collect();
        flags.extend((!args.yes).then(|| "--yes".to_owned()));
        return Err(Error::new(
            Kind::Refused,
            "data that is there would be overwritten or deleted; nothing was changed",
        )
        .hint(format!("look at it with --dry-run, and consent with {}", flags.join(" "))));
    }
    let plan = render(&restore::Report { dry_run: true, ..plan.clone() }, output::width());
    output::write_stderr(&text::printable_lines(&plan));
    for database in &unnamed {
        typed(&format!("\nCollections of {database} will be replaced. Type its name: "), database)?;
    }
    if unnamed.is_empty() { typed("\nGo on? Type yes: ", "yes") } else { Ok(()) }
}

fn typed(question: &str, expected: &str) -> Result<()> {
    output::write_stderr(question);
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Error::new(Kind::Io, "cannot read the answer").cause(e).hint("consent with flags: see --help"))?;
    if answer.trim() == expected {
        return Ok(());
    }
    Err(Error::new(Kind::Refused, "not confirmed, nothing was changed"))
}

fn render(report: &restore::Report, width: Option<u16>) -> String {
    let verb = if report.dry_run { "Would restore" } else { "Restored" };
    let mut out = format!("{verb} {}\n", report.id);
    if let (Some(tenant), Some(becomes)) = (&report.tenant_id, &report.as_tenant) {
        out.push_str(&format!("  tenant {} as {}\n", text::printable(tenant), text::printable(becomes)));
    }
    for target in &report.target {
        out.push_str(&format!("  to {}\n", text::printable(target)));
    }
    if !report.protected.is_empty() {
        let flags: Vec<_> = report.protected.iter().map(|name| format!("--allow-protected {name}")).collect();
        out.push_str(&format!("  protected: {} (wants {})\n", report.protected.join(", "), flags.join(" ")));
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
    let changes = report.file_changes;
    if changes.overwritten + changes.deleted > 0 {
        let (created, over, gone) = (changes.created, changes.overwritten, changes.deleted);
        out.push_str(&format!("Files: {created} created, {over} overwritten, {gone} deleted\n"));
    }
    if let Some(id) = &report.safety_backup {
        out.push_str(&format!("What was there before is in {}\n", text::printable(id)));
    }
    out.push_str(&text::list("Newer backups passed over", &report.passed_over));
    out.push_str(&text::list("Warnings", &report.warnings));
    if report.dry_run {
        out.push_str("\nNothing was changed (--dry-run)\n");
    }
    out
}
