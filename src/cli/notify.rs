//! `backup notify test`: tries whether messages arrive.

use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::Settings;
use crate::cli::{process, text, time};
use crate::config::{Config, Occasion};
use crate::error::{Error, Kind, Result};
use crate::notify::{self, Message, Operation, RunStatus};
use serde_json::json;

/// Try the notifications of the configuration
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help("backup notify test\nbackup notify test email", &[Exit::NotFound]))]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send a test message to each notifier, or to one, and say what became of it
    ///
    /// It is sent whatever `on` and `jobs` say. A health check gets `/log`, which changes no state.
    #[command(after_long_help = exit::help("backup notify test\nbackup notify test email", &[Exit::NotFound]))]
    Test {
        /// Name of the notifier: its `name`, else `webhook`, `slack`, `healthcheck`, `email`
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let Command::Test { name } = &args.command;
    test(settings, &settings.load()?, name.as_deref())
}

fn test(settings: &Settings, config: &Config, name: Option<&str>) -> Result<Report> {
    let known: Vec<_> = config.notifications.iter().map(|notifier| notifier.name.as_str()).collect();
    if known.is_empty() {
        return Err(Error::new(Kind::Config, "the configuration has no `notifications`")
            .hint("for example: notifications: [{email: {to: ops@example.com, …}}]; `backup config init` has more"));
    }
    if let Some(name) = name.filter(|name| !known.contains(name)) {
        let what = format!("there is no notification '{}'", text::printable(name));
        return Err(Error::new(Kind::NotFound, what).hint(format!("there are: {}", known.join(", "))));
    }
    let mut message = Message::new(config, Operation::Notify, settings.log.run(), process::host(), time::now());
    (message.event, message.status) = (Occasion::Test, RunStatus::Success);
    let chosen = config.notifications.iter().filter(|notifier| name.is_none_or(|name| notifier.name == name));
    let told = notify::deliver(chosen.map(|notifier| (notifier.clone(), vec![message.clone()])).collect());
    let line = |delivery: &notify::Delivery| match &delivery.error {
        None => format!("{}: delivered\n", text::printable(&delivery.name)),
        Some(error) => format!("{}: failed: {}\n", text::printable(&delivery.name), text::printable(error)),
    };
    let exit = if told.iter().all(|delivery| delivery.error.is_none()) { Exit::Success } else { Exit::Failed };
    Ok(Report::new(told.iter().map(line).collect(), &json!({ "notifications": told }))?.exit(exit))
}
