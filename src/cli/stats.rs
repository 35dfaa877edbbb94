//! `backup stats`: figures over all backups.

use crate::cli::exit;
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{text, time};
use crate::error::Result;
use crate::names::{Scope, TenantId};
use crate::stats::{Stats, stats};
use crate::{monitor, report};
use chrono::{DateTime, Utc};
use std::path::PathBuf;

/// Days that a spark line shows.
const SPARKS: usize = 14;

/// Show figures over all backups: how many, how large, how good, how old
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help("backup stats\nbackup stats --tenant acme --json\nbackup stats --html report.html", &[]))]
pub struct Args {
    /// Only this tenant's
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Write the figures with plots to this file too: one page that loads nothing. It is the owner's alone to read
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let scope = settings::scope(args.tenant.as_deref())?;
    let repository = settings::repository(&config)?;
    let catalog = repository.catalog()?;
    let tenant = (scope != Scope::SystemWide).then_some(&scope);
    let stats = stats(&catalog, tenant, config.timezone, repository.free_space()?);
    if let Some(file) = &args.html {
        let (own, now) = (tenant.and_then(Scope::tenant).map(TenantId::as_str), time::now());
        let of_tenant = own.map(|id| report::of_tenant(&catalog, id));
        let catalog = of_tenant.as_ref().unwrap_or(&catalog);
        let page = report::html(&report::Page { config: &config, tenant: own, catalog, stats: &stats, now });
        monitor::replace(file, page.as_bytes(), 0o600)?;
    }
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
                text::number(module.records),
                text::number(module.files),
                text::size(module.size),
                module.last_good.map_or("never".into(), |at| text::age(at, now)),
                spark_line(&module.history.iter().map(|day| day.size).collect::<Vec<_>>()),
            ]
        });
        out.push('\n');
        let header = ["MODULE", "COLLECTIONS", "RECORDS", "FILES", "SIZE", "LAST GOOD", "SIZE BY DAY"];
        out.push_str(&text::table(&header, &[1, 2, 3, 4, 5], rows.collect(), width));
    }
    out
}

/// The last days as bars, between the smallest and the largest of them.
fn spark_line(sizes: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &sizes[sizes.len().saturating_sub(SPARKS)..];
    let (least, most) = (shown.iter().min().copied().unwrap_or(0), shown.iter().max().copied().unwrap_or(0));
    // In u128: a manifest may say any number.
    let bar = |size: &u64| u128::from(size - least) * 7 / u128::from(most - least).max(1);
    shown.iter().filter_map(|size| BARS.get(usize::try_from(bar(size)).ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_line_goes_from_the_smallest_to_the_largest_of_the_last_days() {
        assert_eq!(spark_line(&[]), "");
        assert_eq!(spark_line(&[5]), "▁");
        assert_eq!(spark_line(&[7, 7, 7]), "▁▁▁");
        assert_eq!(spark_line(&[0, u64::MAX]), "▁█");
        assert_eq!(spark_line(&[10, 20, 30, 80]), "▁▂▃█");
        assert_eq!(spark_line(&(0..100).collect::<Vec<_>>()).chars().count(), SPARKS);
    }
}
