//! Those who work meanwhile: clients that ask small questions at a steady pace, and how long they wait for answers.

use crate::measure::{Measured, shell};
use crate::{Options, programs::Ours};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many ask, each with a connection of its own.
pub const CLIENTS: usize = 4;

/// How often each of them does.
const PACE: Duration = Duration::from_millis(20);

/// How long is asked while nobody else is there.
const QUIET: Duration = Duration::from_secs(5);

/// What they work beside.
pub struct Beside<'a> {
    name: String,
    run: Box<dyn FnMut() -> Measured + 'a>,
}

impl<'a> Beside<'a> {
    /// Nobody.
    pub fn nobody() -> Self {
        let run = || {
            std::thread::sleep(QUIET);
            Measured { wall: QUIET.as_secs_f64(), ..Measured::default() }
        };
        Self { name: "nobody".into(), run: Box::new(run) }
    }

    /// Another tool.
    pub fn peer(name: &str, run: impl FnMut() -> Measured + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    /// `backup create` with these options; `prefix` goes before the command.
    pub fn backup(ours: &'a Ours, prefix: &'static str, arguments: &'static str) -> Self {
        let run = move || {
            ours.forget();
            shell(&format!("{prefix} {}", ours.command(&format!("create {arguments}"))), None)
        };
        let name = format!("**{prefix} backup create {arguments}**").replace("** ", "**").replace(" **", "**");
        Self { name, run: Box::new(run) }
    }
}

/// Runs each in turn with the clients beside it, and prints how long these waited. `ask` is told whose turn it is, and the
/// number of the question.
pub fn row(options: &Options, title: &str, mut all: Vec<Beside<'_>>, ask: impl Fn(usize, u64) + Sync) {
    let mut waited: Vec<(Vec<f64>, f64)> = all.iter().map(|_| (Vec::new(), 0.0)).collect();
    for _ in 0..options.rounds {
        for (beside, (waits, seconds)) in all.iter_mut().zip(&mut waited) {
            let (measured, more) = asked_during(&mut beside.run, &ask);
            waits.extend(more);
            *seconds += measured.wall / options.rounds as f64;
        }
    }
    let mut table = format!("## {title} ({CLIENTS} clients, a question of each every {PACE:?})\n\n");
    table.push_str("| beside | questions | p50 ms | p95 ms | p99 ms | longest ms | it took s |\n");
    table.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for (beside, (waits, seconds)) in all.iter().zip(&mut waited) {
        waits.sort_by(f64::total_cmp);
        let at = |share: f64| waits.get(((waits.len() as f64 * share) as usize).min(waits.len() - 1)).copied();
        let [half, most, nearly, all] = [0.5, 0.95, 0.99, 1.0].map(|share| 1e3 * at(share).unwrap_or(f64::NAN));
        let (name, count) = (&beside.name, waits.len());
        let _ = writeln!(table, "| {name} | {count} | {half:.2} | {most:.2} | {nearly:.2} | {all:.1} | {seconds:.1} |");
    }
    println!("{table}");
}

/// All ask for as long as `run` takes.
fn asked_during(run: &mut dyn FnMut() -> Measured, ask: &(impl Fn(usize, u64) + Sync)) -> (Measured, Vec<f64>) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let done = &done;
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || waits(client, done, ask))).collect();
        let measured = run();
        done.store(true, Ordering::Relaxed);
        (measured, clients.into_iter().flat_map(|client| client.join().expect("a client")).collect())
    })
}

/// Seconds that one client waited for each answer. One that is late makes the questions after it late: they too are timed
/// from when they were due, as whoever stands in a queue would.
fn waits(client: usize, done: &AtomicBool, ask: &impl Fn(usize, u64)) -> Vec<f64> {
    let mut waits = Vec::new();
    let mut due = Instant::now() + PACE * u32::try_from(client).unwrap_or(0) / CLIENTS as u32;
    for number in 0.. {
        let early = due.saturating_duration_since(Instant::now());
        std::thread::sleep(early);
        if done.load(Ordering::Relaxed) {
            break;
        }
        // What the sleep takes longer is no server's doing.
        let began = if early.is_zero() { due } else { Instant::now() };
        ask(client, number);
        waits.push(began.elapsed().as_secs_f64());
        due += PACE;
    }
    waits
}
