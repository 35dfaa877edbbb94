//! The command line: the only place for clap, stdout, stderr, the environment and exit codes. One file a subcommand:
//! its arguments, the call of its use case, and how the result reads.

mod args;
mod around;
mod check;
mod completions;
mod config;
mod create;
mod create_many;
mod doctor;
mod exit;
mod failure;
mod forget;
mod hold;
mod key;
mod license;
mod list;
mod list_modules;
mod log;
mod man;
mod metrics;
mod notify;
mod output;
mod plan;
mod process;
mod progress;
mod prune;
mod restore;
mod run;
mod schedule;
mod settings;
mod show;
mod stats;
mod text;
mod time;
mod verify;
mod verify_collections;
mod version;
mod words;

use crate::error::{Error, Kind, Result};
use args::{Cli, Command};
use clap::Parser;
use exit::Exit;
use output::Report;
use settings::Settings;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// Runs the program with the arguments and the environment of its process.
pub fn run() -> ExitCode {
    process::harden();
    let args: Vec<OsString> = std::env::args_os().collect();
    // Known before the arguments are parsed, because their mistakes are reported in the asked form too.
    let json = args.iter().any(|arg| arg == "--json");
    let is_probe = check::is_asked_for(&args);
    let exit = catch_unwind(AssertUnwindSafe(|| start(args, json, is_probe))).unwrap_or_else(|_| {
        let error = Error::new(Kind::Internal, "the program stopped at a defect of its own")
            .hint("the lines above say where; please report them");
        failure::print(&error, json);
        // To a probe 1 would be a warning.
        if is_probe { Exit::Probe(check::UNKNOWN) } else { Exit::Failed }
    });
    exit.into()
}

fn start(args: Vec<OsString>, json: bool, is_probe: bool) -> Exit {
    let began = Instant::now();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        // `--help` and `--version` come as errors, too.
        Err(shown) if !shown.use_stderr() => {
            return output::print(&Report::document(shown.render().ansi().to_string()), json, false);
        }
        Err(mistake) if is_probe => return output::print(&check::unknown(&failure::usage(&mistake)), json, false),
        Err(mistake) => {
            failure::print_usage(&mistake, json);
            return Exit::Usage;
        }
    };
    let mut settings = Settings::resolve(&cli.global);
    if matches!(cli.command, Command::Run(_)) {
        settings.wait.get_or_insert(run::WAIT);
    }
    let result = dispatch(&cli.command, &settings);
    let exit = result.as_ref().map_or_else(|error| Exit::from(error.kind), Report::ending);
    metrics::record(&cli.command, &settings, began.elapsed(), exit);
    let Settings { events, log, json, quiet, .. } = settings;
    // The bars go before anything else is printed.
    drop(events);
    if exit != Exit::Success {
        log.release();
    }
    match result {
        Ok(report) => output::print(&report, json, quiet),
        Err(error) => {
            if json {
                failure::print(&error, json);
            } else {
                log.fail(&error);
            }
            exit
        }
    }
}

fn dispatch(command: &Command, settings: &Settings) -> Result<Report> {
    match command {
        Command::Create(args) => create::run(args, settings),
        Command::VerifyCollections(args) => verify_collections::run(args, settings),
        Command::ListModules(args) => list_modules::run(args, settings),
        Command::License(args) => license::run(args, settings),
        Command::Restore(args) => restore::run(args, settings),
        Command::List(args) => list::run(args, settings),
        Command::Show(args) => show::run(args, settings),
        Command::Verify(args) => verify::run(args, settings),
        Command::Prune(args) => prune::run(args, settings),
        Command::Hold(args) => hold::hold(args, settings),
        Command::Release(args) => hold::release(args, settings),
        Command::Forget(args) => forget::run(args, settings),
        Command::Run(args) => run::run(args, settings),
        Command::Schedule(args) => schedule::run(args, settings),
        Command::Stats(args) => stats::run(args, settings),
        Command::Check(args) => check::run(args, settings),
        Command::Notify(args) => notify::run(args, settings),
        Command::Key(args) => key::run(args, settings),
        Command::Config(args) => config::run(args, settings),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Doctor(args) => doctor::run(args, settings),
        Command::Words(args) => Ok(words::run(args, settings)),
    }
}
