//! `backup config`: check, show, schema and init.

use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::Settings;
use crate::cli::text;
use crate::config;
use crate::error::{Error, Kind, Result};
use clap::Subcommand;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Check, show or begin a configuration
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help("backup config init\nbackup config check\nbackup config schema > backup.schema.json",
    &[Exit::Refused]))]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the configuration and report every mistake at once
    #[command(after_long_help = exit::help("backup config check\nbackup -c /etc/backup/hr.yaml config check", &[]))]
    Check,
    /// Show the configuration as it is understood, defaults filled in and secrets masked
    #[command(after_long_help = exit::help("backup config show\nbackup --json config show", &[]))]
    Show,
    /// Print a JSON Schema of the configuration for editors
    #[command(after_long_help = exit::help(
        "backup config schema > backup.schema.json\nbackup config schema --module-file > module.schema.json", &[]))]
    Schema {
        /// Of a file that `modulesFrom` names
        #[arg(long)]
        module_file: bool,
    },
    /// Write an annotated sample configuration
    #[command(after_long_help = exit::help("backup config init\nbackup config init -", &[Exit::Refused]))]
    Init {
        /// File to write, or - for stdout [default: what --config says, else backup.yaml]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    match &args.action {
        Action::Check => check(settings),
        Action::Show => {
            let config = settings.load()?;
            Report::new(config::show_yaml(&config)?, &config::show(&config))
        }
        Action::Schema { module_file } => {
            let schema = if *module_file { config::module_file_schema() } else { config::schema() };
            let mut text = format!("{schema:#}");
            text.push('\n');
            Ok(Report::document(text))
        }
        Action::Init { file } => init(file.as_deref().or(settings.config_file.as_deref())),
    }
}

fn check(settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let files = match config.module_files.len() as u64 {
        0 => String::new(),
        number => format!(" with {}", text::count(number, "module file", "module files")),
    };
    let text = format!(
        "{}{files} is valid: {}, {}, {}\n",
        config.file.display(),
        text::count(config.modules.len() as u64, "module", "modules"),
        text::count(config.sources.len() as u64, "source", "sources"),
        text::count(config.uploads.len() as u64, "upload root", "upload roots"),
    );
    let json = serde_json::json!({
        "file": config.file,
        "moduleFiles": config.module_files,
        "valid": true,
        "installation": config.installation,
        "modules": config.modules.len(),
        "sources": config.sources.len(),
        "warnings": config.warnings,
    });
    Report::new(text, &json)
}

fn init(file: Option<&Path>) -> Result<Report> {
    let file = file.unwrap_or(Path::new("backup.yaml"));
    if file == Path::new("-") {
        return Ok(Report::document(config::SAMPLE.to_owned()));
    }
    let mut made = std::fs::File::create_new(file).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => Error::new(Kind::Refused, format!("{} is there already", file.display()))
            .hint("name another file, or move this one away"),
        _ => Error::io("make", file, &e),
    })?;
    made.write_all(config::SAMPLE.as_bytes()).map_err(|e| Error::io("write", file, &e))?;
    let text = format!("{} is written. Adapt it, then run: backup config check\n", file.display());
    Report::new(text, &serde_json::json!({ "file": file }))
}
