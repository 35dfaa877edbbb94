//! `backup doctor`: is everything there that the next backup needs?

use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::{self, Settings};
use crate::cli::{schedule, text, time};
use crate::config;
use crate::doctor::{self, Options, Outcome};
use crate::error::Result;

/// Look at all that a backup needs: servers, privileges, tools, space, clocks, keys, the schedule
///
/// Changes nothing. Of each thing it says whether it is as it should be and, where not, what to do. A warning is worse than it
/// could be; what failed would make a backup fail.
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup doctor\nbackup doctor --strict -q    # from cron: mails only when something is to be done\nbackup doctor --json",
    &[Exit::Partial]))]
pub struct Args {
    /// End with code 3 where there are warnings
    #[arg(long)]
    strict: bool,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    // Not by `settings`: what the configuration warns of is among the findings.
    let file = config::find(settings.config_file.as_deref(), &settings.environment)?;
    let config = config::load(&file, &settings.environment)?;
    let identities = settings::identities(&config, &[]);
    let report = doctor::run(&Options {
        config: &config,
        identities: identities.as_ref().map(AsRef::as_ref).map_err(Clone::clone),
        schedule: schedule::look(settings, &config),
        now: time::now,
        cancel: settings.cancel()?,
    })?;
    let exit = match report.status {
        Outcome::Failed => Exit::Failed,
        Outcome::Warning if args.strict => Exit::Partial,
        Outcome::Warning | Outcome::Ok => Exit::Success,
    };
    Ok(Report::new(render(&report), &report)?.exit(exit))
}

fn render(report: &doctor::Report) -> String {
    let mut out = String::new();
    let mut subject = "";
    for finding in &report.findings {
        if finding.subject != subject {
            subject = &finding.subject;
            out.push_str(&format!("{}\n", text::printable(subject)));
        }
        let word = match finding.outcome {
            Outcome::Ok => "ok     ",
            Outcome::Warning => "warning",
            Outcome::Failed => "FAILED ",
        };
        out.push_str(&format!("  {word}  {}\n", text::printable(&finding.message)));
        let advice = finding.advice.as_ref().filter(|_| finding.outcome != Outcome::Ok);
        out.extend(advice.map(|advice| format!("           {}\n", text::printable(advice))));
    }
    let [failed, warnings] = [Outcome::Failed, Outcome::Warning].map(|outcome| report.count(outcome) as u64);
    out.push_str(&match (failed, warnings) {
        (0, 0) => "All is well.\n".to_owned(),
        (0, warnings) => {
            format!("{}, nothing that would make a backup fail.\n", text::count(warnings, "warning", "warnings"))
        }
        (failed, warnings) => {
            format!("{} failed, {}.\n", text::number(failed), text::count(warnings, "warning", "warnings"))
        }
    });
    out
}
