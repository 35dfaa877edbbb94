//! The command line as it is written: clap's structs, nothing resolved yet. What the options mean together is worked
//! out in [`super::settings`] and in each command's own file.

use crate::cli::{
    check, completions, config, create, doctor, exit, forget, hold, key, license, list, list_modules, man, notify,
    prune, restore, run, schedule, show, stats, verify, verify_collections, version, words,
};
use crate::config::{BackupType, parse_duration};
use crate::error::{Error, Kind, Result};
use crate::modules::Only;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Back up, verify and restore exactly one module, one tenant or a whole installation.
#[derive(Debug, Parser)]
#[command(name = "backup", version, long_version = version::LONG, propagate_version = true, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_long_help = exit::help_all("backup config init\nbackup create --dry-run\nbackup create\nbackup restore latest --module hr-core --to-directory ./restored"))]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file [default: $BACKUP_CONFIG, ./backup.yaml, /etc/backup/backup.yaml]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout, errors included
    #[arg(long, global = true)]
    pub json: bool,
    /// Log more; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Print nothing when all goes well
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Show no progress bars, even on a terminal
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// When to use colours; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Form of the log on stderr
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Wait this long for a lock (30s, 10m, 2h) instead of giving up at once
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_duration)]
    pub wait: Option<Duration>,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Args),
    VerifyCollections(verify_collections::Args),
    ListModules(list_modules::Args),
    License(license::Args),
    Restore(restore::Args),
    List(list::Args),
    Show(show::Args),
    Verify(verify::Args),
    Prune(prune::Args),
    Hold(hold::HoldArgs),
    Release(hold::ReleaseArgs),
    Forget(forget::Args),
    Run(run::Args),
    Schedule(schedule::Args),
    Stats(stats::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Notify(notify::Args),
    Key(key::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(hide = true)]
    Words(words::Args),
}

/// `--type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Type {
    Daily,
    Weekly,
    Monthly,
}

impl From<Type> for BackupType {
    fn from(word: Type) -> Self {
        match word {
            Type::Daily => BackupType::Daily,
            Type::Weekly => BackupType::Weekly,
            Type::Monthly => BackupType::Monthly,
        }
    }
}

/// `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Half {
    /// Databases
    Database,
    /// Upload directories and extra files
    Files,
}

impl From<Half> for Only {
    fn from(word: Half) -> Self {
        match word {
            Half::Database => Only::Database,
            Half::Files => Only::Files,
        }
    }
}

/// A backup, as it is named on the command line.
#[derive(Debug, Args)]
pub struct Which {
    /// Id of a backup (see `backup list`), or `latest`
    #[arg(value_name = "ID|latest")]
    pub id: String,
    /// With `latest`: the newest one at or before this moment
    #[arg(long, value_name = "WHEN")]
    pub before: Option<String>,
}

/// Reads `SOURCE=URI` pairs. A URI may hold a password: no message repeats it.
///
/// # Errors
/// [`Kind::Config`] when a pair is none, or a source is named twice.
pub fn by_source(option: &str, pairs: &[String]) -> Result<BTreeMap<String, String>> {
    let mut uris = BTreeMap::new();
    for pair in pairs {
        let Some((source, uri)) =
            pair.split_once('=').filter(|(s, u)| !s.is_empty() && !u.is_empty() && !s.contains("://"))
        else {
            return Err(Error::new(Kind::Config, format!("a value of {option} is not SOURCE=URI"))
                .hint(format!("for example {option} hrms=mongodb://localhost/hrms_restored")));
        };
        if uris.insert(source.to_owned(), uri.to_owned()).is_some() {
            return Err(Error::new(Kind::Config, format!("{option} names source '{source}' twice")));
        }
    }
    Ok(uris)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_split_at_the_first_equals_sign() {
        let pairs = by_source("--into", &["hrms=mongodb://h/db?a=b".into()]).unwrap();
        assert_eq!(pairs["hrms"], "mongodb://h/db?a=b");
    }

    #[test]
    fn a_malformed_pair_is_refused_without_repeating_its_password() {
        for pair in ["mongodb://u:secret@h/db", "mongodb://u:secret@h/db?x=y", "=mongodb://u:secret@h", "hrms="] {
            let error = by_source("--into", &[pair.into()]).unwrap_err();
            assert_eq!(error.kind, Kind::Config);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
