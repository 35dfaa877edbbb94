//! `backup man`: writes the manual pages.

use crate::cli::args::Cli;
use crate::cli::exit;
use crate::cli::output::Report;
use crate::error::{Error, Result};
use clap::CommandFactory;
use std::path::PathBuf;

/// Write the manual pages into a directory
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help("backup man /usr/local/share/man/man1", &[]))]
pub struct Args {
    /// Where to; made when it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub fn run(args: &Args) -> Result<Report> {
    let failed = |e| Error::io("write manual pages to", &args.directory, &e);
    std::fs::create_dir_all(&args.directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.directory).map_err(failed)?;
    let text = format!("Manual pages are in {}\n", args.directory.display());
    Report::new(text, &serde_json::json!({ "directory": args.directory }))
}
