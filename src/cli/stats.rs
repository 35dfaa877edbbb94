//! `backup stats`: figures over all backups.

use crate::cli::exit;
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{text, time};
use crate::error::Result;
use crate::names::Scope;
use crate::stats::{Stats, stats};
use chrono::{DateTime, Utc};

/// Show figures over all backups: how many, how large, how good, how old
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help("backup stats\nbackup stats --tenant acme --json", &[]))]
pub struct Args {
    /// Only this tenant's
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let scope = settings::scope(args.tenant.as_deref())?;
    let repository = settings::repository(&config)?;
    let catalog = repository.catalog()?;
    let tenant = (scope != Scope::SystemWide).then_some(&scope);
    let stats = stats(&catalog, tenant, config.timezone, repository.free_space()?);
    Report::new(render(&stats, time::now(), output::width()), &stats)
}

fn render(stats: &Stats, now: DateTime<Utc>, width: Option<u16>) -> String {
    let figure = |value: Option<f64>, unit: &str| value.map_or("-".into(), |value| format!("{value:.1}{unit}"));
    let moment = |at: Option<DateTime<Utc>>| at.map_or("-".into(), text::time);
    let number = |value: usize| text::number(value as u64);
    let of_type = |(name, of): (&&str, &crate::stats::OfType)| format!("{name} {} ({})", of.count, text::size(of.size));
    let last = stats.last_backup.as_ref().map_or("-".into(), |last| {
        format!("{}, {}, {}", last.id, crate::cli::show::status(last.status), text::age(last.timestamp, now))
    });
    let (scopes, results) = (
        format!("{} system-wide, {} of tenants", number(stats.system_backups), number(stats.tenant_backups)),
        format!(
            "{} complete, {} partial, {} failed ({} complete)",
            number(stats.completed),
            number(stats.partial),
            number(stats.failed),
            figure(stats.success_rate, " %")
        ),
    );
    let lines = [
        ("Backups", format!("{}: {scopes}", number(stats.total_backups))),
        ("Results", results),
        ("By type", stats.by_type.iter().map(of_type).collect::<Vec<_>>().join(", ")),
        ("Stored", format!("{}, compressed {}", text::size(stats.total_size), figure(stats.compression_ratio, " : 1"))),
        ("Free", text::size(stats.free_space)),
        ("Mean duration", stats.average_duration_seconds.map_or("-".into(), text::seconds)),
        ("Last backup", last),
        ("Oldest to restore", moment(stats.oldest_restorable)),
    ];
    let mut out: String = lines.iter().map(|(name, value)| format!("{:<19}{value}\n", format!("{name}:"))).collect();
    if stats.unreadable > 0 {
        out.push_str(&format!(
            "{} cannot be read and are in no figure\n",
            text::count(stats.unreadable as u64, "manifest or fact", "manifests or facts")
        ));
    }
    if !stats.modules.is_empty() {
        let rows = stats.modules.iter().map(|(name, module)| {
            vec![
                name.clone(),
                text::number(module.collections),
                text::size(module.size),
                module.last_good.map_or("never".into(), |at| text::age(at, now)),
            ]
        });
        out.push('\n');
        out.push_str(&text::table(&["MODULE", "COLLECTIONS", "SIZE", "LAST GOOD"], &[1, 2, 3], rows.collect(), width));
    }
    out
}
