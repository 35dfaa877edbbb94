//! `backup forget`: removes backups by hand.

use crate::cli::around::{Around, Told};
use crate::cli::exit::{self, Exit};
use crate::cli::output::{self, Report};
use crate::cli::settings::Settings;
use crate::cli::{text, time};
use crate::error::{Error, Kind, Result};
use crate::forget::{self, Options, What};
use crate::names::{BackupId, TenantId};
use crate::notify::{Operation, RunStatus};
use std::io::IsTerminal;

/// Remove backups by hand: some by their ids, or all of a tenant
///
/// The newest good copy is no exception here. What is held must be released first.
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup forget system-backup-2025-12-20T10-30-00-000Z\nbackup forget --tenant acme --yes",
    &[Exit::Refused, Exit::NotFound, Exit::Locked]))]
pub struct Args {
    /// Ids of backups (see `backup list`)
    #[arg(value_name = "ID", required_unless_present = "tenant", conflicts_with = "tenant")]
    ids: Vec<String>,
    /// Every backup of this tenant, and all that its runs left behind
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let cancel = settings.cancel()?;
    let what = match &args.tenant {
        Some(tenant) => What::Tenant(TenantId::parse(tenant)?),
        None => What::Ids(args.ids.iter().map(|id| BackupId::parse(id)).collect::<Result<_>>()?),
    };
    let consent = |report: &forget::Report| if args.yes { Ok(true) } else { ask(report) };
    let around = Around::new(settings, &config, &cancel, Operation::Forget, None)?;
    let options = Options {
        config: &config,
        what,
        consent: &consent,
        wait: settings.wait(&cancel),
        now: time::now,
        events: settings.events.clone(),
        cancel: cancel.clone(),
    };
    around.run(|mut message| {
        let report = forget::run(&options)?;
        message.status = RunStatus::Success;
        message.tenant_id.clone_from(&args.tenant);
        message.size = report.freed;
        message.removed = report.removed.iter().map(|line| line.id.to_string()).collect();
        Ok(Told::plain(Report::new(render(&report), &report)?, message))
    })
}

/// Asks on the terminal, where there is one.
fn ask(report: &forget::Report) -> Result<bool> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Error::new(Kind::Refused, "backups are not removed without consent, and nobody can be asked here")
            .hint("consent with --yes"));
    }
    let lines: Vec<_> = report.removed.iter().map(|line| format!("{}: {}", line.id, line.retention)).collect();
    output::write_stderr(&text::list("To be removed for ever", &lines));
    output::write_stderr("\nRemove them? Type yes: ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|e| Error::new(Kind::Io, "cannot read the answer").cause(e).hint("consent with --yes"))?;
    Ok(answer.trim() == "yes")
}

fn render(report: &forget::Report) -> String {
    let lines: Vec<_> = report.removed.iter().map(|line| line.id.to_string()).collect();
    let count = text::count(lines.len() as u64, "backup", "backups");
    let mut out = text::list("Removed", &lines).trim_start().to_owned();
    out.push_str(&format!("{count} removed, {} freed\n", text::size(report.freed)));
    let still = report.still_in.iter().map(|still| match still.until {
        Some(until) => format!("{}: kept until {until} at least ({})", still.id, still.reason),
        None => format!("{}: {}", still.id, still.reason),
    });
    out.push_str(&text::list("System-wide backups still hold data of every tenant", &still.collect::<Vec<_>>()));
    out
}
