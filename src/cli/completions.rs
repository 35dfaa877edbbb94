//! `backup completions`: the completion script of a shell. Commands and options are in the script; names of modules, tenants
//! and backups are asked of the program itself (see [`super::words`]), which knows the configuration.

use crate::cli::args::Cli;
use crate::cli::exit;
use crate::cli::output::Report;
use crate::error::Result;
use clap::CommandFactory;
use clap_complete::Shell;

/// What asks the program, for each shell that is taught to.
const BASH: &str = include_str!("completions/words.bash");
const ZSH: &str = include_str!("completions/words.zsh");
const FISH: &str = include_str!("completions/words.fish");

/// Names of values in zsh's script, and the words they are completed with.
const VALUES: [(&str, &str); 8] = [
    (":MODULE:", "modules"),
    (":TENANT:", "tenants"),
    (":COLLECTION:", "collections"),
    (":SOURCE=URI:", "sources"),
    (":JOB:", "jobs"),
    ("--job=[The request that the configuration names so]:NAME:", "jobs"),
    (":ID|latest:", "which"),
    (":ID:", "backups"),
];

/// Print the completion script of a shell
///
/// In bash, zsh and fish names are completed too: of modules, collections, tenants, jobs, sources and backups.
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup completions bash > /etc/bash_completion.d/backup\nbackup completions zsh > ~/.zfunc/_backup\nbackup completions fish > ~/.config/fish/completions/backup.fish", &[]))]
pub struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args) -> Result<Report> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "backup", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Ok(Report::document(match args.shell {
        Shell::Bash => format!("{script}\n{BASH}"),
        Shell::Zsh => with_words(&script),
        Shell::Fish => format!("{script}\n{FISH}"),
        _ => script,
    }))
}

/// zsh's script says of each value how it is completed.
fn with_words(script: &str) -> String {
    let value = |line: &str| {
        let mut line = line.to_owned();
        for (name, words) in VALUES {
            line = line.replace(&format!("{name}_default'"), &format!("{name}_backup_words {words}'"));
        }
        positional(&line)
    };
    let lines: Vec<_> = script.lines().map(value).collect();
    lines.join("\n").replacen("\n_backup() {", &format!("\n{ZSH}\n_backup() {{"), 1) + "\n"
}

/// What stands without an option is named by its field and described.
fn positional(line: &str) -> String {
    let words = match line.split(" -- ").next().unwrap_or_default().trim_start_matches(['\'', ':', '*']) {
        "id" if line.contains("`latest`") => "which",
        "id" | "ids" => "backups",
        "name" if line.contains("Name of the job") => "jobs",
        _ => return line.to_owned(),
    };
    line.replace(":_default'", &format!(":_backup_words {words}'"))
}
