//! Rows 12 and 20: traps in the middle of things, and random calls.
//!
//! `HOSTILE_RUNS=20000 cargo test --release --test hostile random` runs longer, and `HOSTILE_SEED=17` begins elsewhere.

use super::{Host, RUNTIME, attack, descriptors, growth, resident, settle};
use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use wharf::engine::Limits;

/// Stores that end with a trap, in all.
const DEATHS: usize = 10_000;

#[test]
fn row_12_ten_thousand_traps_leave_no_lock_behind() {
    let host = Host::new();
    host.assert_works();
    let begun = Instant::now();
    let (files, bytes) = growth(|| {
        for at in 0..DEATHS / 4 {
            let outcome = host.attack("die", &[], 0);
            assert!(outcome.trap().contains("unreachable"), "{at}: {}", outcome.trap());
            // Each one held the same name, so that each could begin only because the one before let go of it.
            if at % 500 == 0 {
                host.assert_works();
            }
        }
    });
    println!(
        "{DEATHS} traps in {:?}; {files} descriptors and {bytes} bytes more from one quarter to the next",
        begun.elapsed()
    );
    assert!(files == 0 && bytes < 8 << 20, "{files} {bytes}");
    host.assert_works();
}

/// A number from the environment, for longer runs.
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("the variable is a number"))
}

#[test]
fn row_20_random_calls_never_make_the_host_panic() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let host = Host::new();
    host.assert_works();
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        others(info);
    }));
    let (first, runs) = (number("HOSTILE_SEED", 1), number("HOSTILE_RUNS", 500));
    let limits = Arc::new(Limits { fuel: 2_000_000_000, ..Limits::default() });
    let (begun, mut ends, mut calls, mut flat) = (Instant::now(), BTreeMap::new(), 0, None);
    for seed in first..first + runs {
        let text = seed.to_string();
        let words = [text.as_str()];
        let run = attack(&host.services, &limits, "random", &words, 400);
        let outcome = RUNTIME.block_on(async { tokio::time::timeout(Duration::from_secs(10), run).await });
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "the host panicked\nhint: HOSTILE_SEED={seed} HOSTILE_RUNS=1");
        let end = match outcome {
            Ok(outcome) => {
                calls += outcome.crossings.calls().values().sum::<u64>();
                outcome.said.map_or_else(|trap| kind(&trap), |_| "it came to its end".to_owned())
            }
            // A component that waits for what it holds itself; its caller goes away.
            Err(_) => "it waits".to_owned(),
        };
        *ends.entry(end).or_insert(0u64) += 1;
        if seed == first + runs / 2 {
            settle();
            flat = Some((descriptors() as i64, resident() as i64));
        }
    }
    settle();
    let (files, bytes) = flat.expect("half of them ran");
    let (files, bytes) = (descriptors() as i64 - files, resident() as i64 - bytes);
    println!("{runs} runs, {calls} calls that reached a service, {:?}", begun.elapsed());
    println!("{files} descriptors and {bytes} bytes more in the second half");
    ends.iter().for_each(|(end, times)| println!("{times:>8} {end}"));
    let waits = ends.get("it waits").copied().unwrap_or_default();
    assert!(waits <= runs / 100, "{waits} runs wait");
    // Other tests run beside this one; what leaks would leak in every run.
    assert!(files.unsigned_abs() < runs / 20 && bytes < 16 << 20, "{files} {bytes}");
    host.assert_works();
}

/// The last cause of a trap, without its numbers.
fn kind(trap: &str) -> String {
    let last = trap.split(": ").last().unwrap_or(trap).lines().next().unwrap_or(trap);
    last.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).take(80).collect()
}
