//! A row of the benchmark: tools that run in turn on the same data, and the table that is printed of them.

use crate::Options;
use crate::measure::Measured;
use std::fmt::Write as _;

/// One tool of a row.
#[allow(missing_debug_implementations)]
pub struct Tool<'a> {
    /// Name and options, for people; our own is in bold.
    pub name: String,
    /// Bytes that it reads, where that is not what the others of its row do.
    pub reads: Option<u64>,
    /// Runs it once; none where it is not installed.
    pub run: Option<Box<dyn FnMut() -> Measured + 'a>>,
}

impl Tool<'_> {
    fn is_ours(&self) -> bool {
        self.name.starts_with("**")
    }
}

/// Runs the tools of a row in turn, the last of which is ours, and prints them. `input` is what each reads, in bytes.
pub fn row(options: &Options, title: &str, input: u64, mut tools: Vec<Tool<'_>>) {
    if !options.wants(title) {
        return;
    }
    let mut rounds: Vec<Vec<Measured>> = tools.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds {
        for (tool, measured) in tools.iter_mut().zip(&mut rounds) {
            measured.extend(tool.run.as_mut().map(|run| run()));
        }
    }
    let mut table = format!("## {title} ({:.0} MB)\n\n", input as f64 / 1e6);
    table.push_str("| tool | wall s | CPU s | peak MiB | output MB | MB / CPU s | wall ratio | CPU ratio |\n");
    table.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    let ours = rounds.last().cloned().unwrap_or_default();
    for (tool, measured) in tools.iter().zip(&rounds) {
        if measured.is_empty() {
            let _ = writeln!(table, "| {} | not installed | | | | | open | open |", tool.name);
            continue;
        }
        let of = |value: fn(&Measured) -> f64| median(measured.iter().map(value).collect());
        let ratio = |value: fn(&Measured) -> f64| {
            let ratios = measured.iter().zip(&ours).map(|(theirs, ours)| value(theirs) / value(ours)).collect();
            if tool.is_ours() { String::new() } else { format!("{:.2}", median(ratios)) }
        };
        let _ = writeln!(
            table,
            "| {} | {:.2} | {:.2} | {:.0} | {:.1} | {:.0} | {} | {} |",
            tool.name,
            of(|m| m.wall),
            of(|m| m.cpu),
            of(|m| m.peak_mib),
            of(|m| m.output_mb),
            tool.reads.unwrap_or(input) as f64 / 1e6 / of(|m| m.cpu),
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
