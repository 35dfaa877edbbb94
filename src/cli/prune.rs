//! `backup prune`: removes what retention no longer wants.

use crate::cli::around::{Around, Told};
use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::Settings;
use crate::cli::{text, time};
use crate::error::Result;
use crate::notify::{Operation, RunStatus};
use crate::prune::{self, Options};

/// Remove the backups that retention no longer wants
///
/// The newest good copy of every module and archive of every scope always stays, and so does what is held. Backups of
/// which any complete module is still wanted stay whole. Removing more than three backups of a scope at once that are more
/// than half of it needs --yes, and so does more than half of all backups.
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = exit::help(
    "backup prune --dry-run\nbackup prune\nbackup prune --policy aggressive --dry-run",
    &[Exit::Refused, Exit::Locked]))]
pub struct Args {
    /// Only say what would go, what would stay, and why
    #[arg(long)]
    dry_run: bool,
    /// Judge by this policy (default, aggressive, conservative, compliance) instead of the configured retention
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Consent to removing more than half of the backups of a scope, or of all
    #[arg(long)]
    yes: bool,
    /// The job of the configuration that this is
    #[arg(skip)]
    job: Option<String>,
}

impl Args {
    /// Those of a job.
    pub fn job(name: &str) -> Self {
        Self { job: Some(name.to_owned()), ..Self::default() }
    }
}

impl Args {
    /// Only asks what would be done.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let cancel = settings.cancel()?;
    let options = Options {
        config: &config,
        dry_run: args.dry_run,
        policy: args.policy.clone(),
        yes: args.yes,
        wait: settings.wait(&cancel),
        now: time::now,
        events: settings.events.clone(),
        cancel: cancel.clone(),
    };
    let shown = |report: &prune::Report| Report::one_of(settings.json, || render(report, settings.verbose), report);
    if args.dry_run {
        return shown(&prune::run(&options)?);
    }
    Around::new(settings, &config, &cancel, Operation::Prune, args.job.as_deref())?.run(|mut message| {
        let report = prune::run(&options)?;
        message.status = RunStatus::Success;
        message.size = report.freed;
        message.removed = report.removed.iter().map(|line| line.id.to_string()).collect();
        Ok(Told::plain(shown(&report)?, message))
    })
}

fn render(report: &prune::Report, verbose: bool) -> String {
    let (removed, swept) = if report.dry_run { ("Would go", "Would be swept") } else { ("Removed", "Swept") };
    let lines = |lines: &[prune::Line]| -> Vec<String> {
        lines.iter().map(|line| format!("{}: {}", line.id, line.reason)).collect()
    };
    let mut out = String::new();
    out.push_str(&text::list(removed, &lines(&report.removed)));
    // What stays is the question of whoever only looks.
    if report.dry_run || verbose {
        out.push_str(&text::list("Kept", &lines(&report.kept)));
    }
    out.push_str(&text::list(swept, &report.swept));
    let count = |lines: &[prune::Line]| text::count(lines.len() as u64, "backup", "backups");
    let ends = if report.dry_run { ("would go", "would stay", "would be freed") } else { ("removed", "kept", "freed") };
    let freed = text::size(report.freed);
    let (gone, kept) = (count(&report.removed), count(&report.kept));
    out.push_str(&format!("\n{gone} {}, {kept} {}, {freed} {}\n", ends.0, ends.1, ends.2));
    if let Some(refused) = &report.refused {
        out.push_str(&format!("Would be refused without --yes: {refused}\n"));
    }
    out.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::BackupId;

    #[test]
    fn a_dry_run_says_what_would_go_what_would_stay_and_why() {
        let line = |id: &str, reason: &str| prune::Line { id: BackupId::parse(id).unwrap(), reason: reason.into() };
        let report = prune::Report {
            dry_run: true,
            removed: vec![line("system-backup-2025-12-20T10-30-00-000Z", "daily, 15 days old")],
            kept: vec![line("system-backup-2025-12-21T10-30-00-000Z", "newest good copy of module clinic")],
            freed: 2048,
            swept: vec![],
            refused: Some("29 of 30 backups of system-wide would be removed, more than half".into()),
        };
        assert_eq!(
            render(&report, false),
            "Would go:\n  - system-backup-2025-12-20T10-30-00-000Z: daily, 15 days old\n\nKept:\n  \
             - system-backup-2025-12-21T10-30-00-000Z: newest good copy of module clinic\n\n\
             1 backup would go, 1 backup would stay, 2.0 KiB would be freed\n\
             Would be refused without --yes: 29 of 30 backups of system-wide would be removed, more than half\n"
        );
        assert!(!render(&prune::Report { dry_run: false, ..report }, false).contains("newest good"));
    }
}
