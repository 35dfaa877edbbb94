//! `backup completions`: the completion script of a shell.

use crate::cli::args::Cli;
use crate::cli::exit;
use crate::cli::output::Report;
use crate::error::Result;
use clap::CommandFactory;
use clap_complete::Shell;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup completions bash > /etc/bash_completion.d/backup\nbackup completions zsh > ~/.zfunc/_backup", &[]))]
pub struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args) -> Result<Report> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "backup", &mut script);
    Ok(Report::document(String::from_utf8_lossy(&script).into_owned()))
}
