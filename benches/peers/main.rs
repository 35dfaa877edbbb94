//! Us beside other tools, on the same data, in turn: `cargo bench --profile dist --bench peers -- --help`.
//!
//! Times of one run compare with each other and with nothing else: what counts are the ratios, the medians of those of
//! each round. Nothing is switched off while we are timed: files are fsynced and read again, records are hashed, a
//! snapshot is held.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, clippy::exit)]

mod data;
mod foreground;
mod measure;
mod programs;
mod rows;
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#[path = "../../tests/suite/support/mod.rs"]
mod support;
mod table;

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

impl Options {
    /// Whether a row of this title is asked for.
    pub fn wants(&self, title: &str) -> bool {
        title.contains(&self.only)
    }
}

const HELP: &str = "\
cargo bench --profile dist --bench peers -- [--size N] [--rounds N] [--only WORD] [--folder DIR]

Makes data (seeded: the same each time), starts the servers, runs each tool that is installed and `backup` in turn, and
prints wall and CPU seconds, peak memory and output size as medians, and for each peer the median of the rounds' ratios
of wall and CPU seconds to those of our last line (above 1: `backup` takes less). The rows of `latency` are another
table: how long small questions of somebody else take while a tool is at work. Without --only, all rows are made.

  --size N      1 (default 0.25) is about 1.9 GB in MongoDB, 0.9 GB in PostgreSQL, 1 GB of files
  --rounds N    rounds of every row (default 3)
  --only WORD   only rows whose title holds it: mongodb, postgresql, uploads, create, restore, verify, restore one,
                tenants, manifests, memory, latency
  --folder DIR  where data and outputs go (default: a temporary folder, removed at the end)

It wants the servers of the tests (`tests/run` fetches them). Peers that are not installed are named, and their rows stay
open: mongodump, mongorestore, pg_dump, pg_restore, tar, pigz, igzip (package isal), restic.
";

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
    println!("`cargo bench --profile dist --bench peers -- --size {} --rounds {}`\n", options.size, options.rounds);
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
