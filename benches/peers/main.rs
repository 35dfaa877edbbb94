//! Us beside other tools, on the same data, in turn: `cargo bench --bench peers -- --help`.
//!
//! Times of one run compare with each other and with nothing else: what counts are the ratios, the medians of those of
//! each round. Nothing is switched off while we are timed: files are fsynced and read again, records are hashed, a
//! snapshot is held.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, clippy::exit)]

mod data;
mod measure;
mod rows;
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#[path = "../../tests/suite/support/mod.rs"]
mod support;

use measure::Measured;
use std::fmt::Write as _;
use std::path::PathBuf;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// 1 is about 1.9 GB of MongoDB, 0.9 GB of PostgreSQL and 1 GB of files.
    pub size: f64,
    /// Rounds of every row.
    pub rounds: usize,
    /// Rows whose name holds this.
    pub only: String,
    /// Where data and outputs go.
    pub folder: PathBuf,
}

const HELP: &str = "\
cargo bench --bench peers -- [--size N] [--rounds N] [--only WORD] [--folder DIR]

Makes data (seeded: the same each time), starts the servers, runs each tool that is installed and `backup` in turn, and
prints wall and CPU seconds, peak memory and output size as medians, and for each peer the median of the rounds' ratios
of wall and CPU seconds to those of our last line (above 1: `backup` takes less).

  --size N      1 (default 0.25) is about 1.9 GB in MongoDB, 0.9 GB in PostgreSQL, 1 GB of files
  --rounds N    rounds of every row (default 3)
  --only WORD   only rows whose name holds it: mongodb, postgresql, uploads, restore, verify, tenants, memory
  --folder DIR  where data and outputs go (default: a temporary folder, removed at the end)

It wants the servers of the tests (`tests/run` fetches them). Peers that are not installed are named, and their rows stay
open: mongodump, mongorestore, pg_dump, pg_restore, tar, pigz, igzip (package isal), restic.
";

/// One tool of a row.
#[allow(missing_debug_implementations)]
pub struct Tool<'a> {
    /// Name and options, for people.
    pub name: String,
    /// Runs it once; none where it is not installed.
    pub run: Option<Box<dyn FnMut() -> Measured + 'a>>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(("--measure", command)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        measure::child(command);
    }
    let Some(options) = parse(&arguments) else {
        print!("{HELP}");
        return;
    };
    println!("# {}\n", measure::machine());
    println!("`cargo bench --bench peers -- --size {} --rounds {}`\n", options.size, options.rounds);
    rows::all(&options);
}

fn parse(arguments: &[String]) -> Option<Options> {
    let temporary = std::env::temp_dir().join(format!("backup-bench-{}", std::process::id()));
    let mut options = Options { size: 0.25, rounds: 3, only: String::new(), folder: temporary };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next()?;
        match argument.as_str() {
            "--size" => options.size = value.parse().ok()?,
            "--rounds" => options.rounds = value.parse().ok()?,
            "--only" => options.only.clone_from(value),
            "--folder" => options.folder = PathBuf::from(value),
            _ => return None,
        }
    }
    Some(options)
}

/// Runs the tools of a row in turn, the last of which is ours, and prints them.
pub fn row(options: &Options, title: &str, input: u64, mut tools: Vec<Tool<'_>>) {
    if !title.contains(&options.only) {
        return;
    }
    let mut rounds: Vec<Vec<Measured>> = tools.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds {
        for (tool, measured) in tools.iter_mut().zip(&mut rounds) {
            measured.extend(tool.run.as_mut().map(|run| run()));
        }
    }
    let mut table = format!("## {title} ({:.0} MB)\n\n", input as f64 / 1e6);
    table.push_str(
        "| tool | wall s | CPU s | peak MiB | output MB | wall ratio | CPU ratio |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let ours = rounds.last().cloned().unwrap_or_default();
    for (tool, measured) in tools.iter().zip(&rounds) {
        if measured.is_empty() {
            let _ = writeln!(table, "| {} | not installed | | | | open | open |", tool.name);
            continue;
        }
        let of = |value: fn(&Measured) -> f64| median(measured.iter().map(value).collect());
        let ratio = |value: fn(&Measured) -> f64| {
            let ratios = measured.iter().zip(&ours).map(|(theirs, ours)| value(theirs) / value(ours)).collect();
            if tool.name.starts_with("**") { String::new() } else { format!("{:.2}", median(ratios)) }
        };
        let _ = writeln!(
            table,
            "| {} | {:.2} | {:.2} | {:.0} | {:.1} | {} | {} |",
            tool.name,
            of(|m| m.wall),
            of(|m| m.cpu),
            of(|m| m.peak_mib),
            of(|m| m.output_mb),
            ratio(|m| m.wall),
            ratio(|m| m.cpu)
        );
    }
    println!("{table}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
