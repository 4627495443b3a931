//! The program `wharf-sim`: runs seeds, tells one of them step by step, and
//! shows within how many seeds each planted bug is found.

use clap::{Parser, Subcommand};
use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};
use wharf_component::planted::plant;
use wharf_sim::{planted, run};

/// So many seeds are taken at once.
const BATCH: u64 = 64;
/// So many seeds of violations are shown.
const SHOWN_MAX: u64 = 20;

/// Runs a machine in memory that fails by a seed, and looks at what was promised
#[derive(Debug, Parser)]
#[command(name = "wharf-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run many seeds
    Run {
        /// How many
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// The first one
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many run at once; without it, as many as there are processors
        #[arg(long)]
        jobs: Option<usize>,
    },
    /// Run one seed and tell what happens
    Replay {
        /// Which one
        seed: u64,
        /// A bug to plant, as in `ConflictTaken`
        #[arg(long)]
        planted: Option<String>,
    },
    /// Plant each bug, and find it
    Planted {
        /// How many seeds to try for each
        #[arg(long, default_value_t = 20_000)]
        seeds: u64,
    },
}

fn main() -> ExitCode {
    // What traps is told as a violation.
    std::panic::set_hook(Box::new(|_| {}));
    let is_sound = match Arguments::parse().command {
        Command::Run { seeds, from, jobs } => {
            let processors = thread::available_parallelism().map_or(1, usize::from);
            many(from, seeds, jobs.unwrap_or(processors).max(1))
        }
        Command::Replay { seed, planted } => replay(seed, planted.as_deref()),
        Command::Planted { seeds } => table(seeds),
    };
    // As a test that fails does.
    if is_sound { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

fn many(from: u64, seeds: u64, jobs: usize) -> bool {
    let (begun, next, bad) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let start = next.fetch_add(BATCH, Ordering::Relaxed);
                    if start >= seeds {
                        return;
                    }
                    for seed in (start..seeds.min(start + BATCH)).map(|seed| from + seed) {
                        let report = run(seed, false);
                        if !report.violations.is_empty() && bad.fetch_add(1, Ordering::Relaxed) < SHOWN_MAX {
                            println!("{}", planted::told(seed, &report.violations));
                        }
                    }
                }
            });
        }
    });
    let (seconds, bad) = (begun.elapsed().as_secs_f64(), bad.into_inner());
    println!("{seeds} seeds in {seconds:.1} s, {:.0} seeds/s; {bad} with violations", seeds as f64 / seconds);
    bad == 0
}

fn replay(seed: u64, bug: Option<&str>) -> bool {
    let bug = match bug.map(|name| planted::named(name).ok_or(name)) {
        Some(Err(name)) => {
            eprintln!("error: no bug is called `{name}`\n\nhint: `wharf-sim planted` lists them");
            return false;
        }
        Some(Ok(bug)) => Some(bug),
        None => None,
    };
    let _planted = bug.map(plant);
    let report = run(seed, true);
    report.lines.iter().for_each(|line| println!("{line}"));
    println!("\nseed {seed}: {} violations", report.violations.len());
    report.violations.iter().for_each(|violation| println!("  {violation}"));
    report.violations.is_empty()
}

fn table(seeds: u64) -> bool {
    println!("{:<24} {:>8} {:>8}  found by", "bug", "from", "seeds");
    let mut is_whole = true;
    for (bug, from) in planted::BUGS {
        match planted::find(bug, from..from + seeds) {
            Some((seed, violation)) => {
                println!("{:<24} {from:>8} {:>8}  {violation}", format!("{bug:?}"), seed - from + 1);
            }
            None => {
                is_whole = false;
                println!("{:<24} {from:>8} {:>8}  not found", format!("{bug:?}"), "-");
            }
        }
    }
    is_whole
}
