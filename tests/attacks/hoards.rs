//! Too much of everything.

use super::{Host, RUNTIME, attack, descriptors, growth, resident};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wharf::engine::Limits;

/// Memory that a host may have more of after a call than before, in bytes: what allocators keep, and no more.
const NOISE_BYTES: i64 = 8 << 20;

#[test]
fn row_1_a_loop_ends_with_its_fuel_and_others_go_on_meanwhile() {
    let host = Host::new();
    let limits = Limits { fuel: 2_000_000_000, ..Limits::default() };
    let (services, short) = (host.services.clone(), limits.clone());
    let spinning = RUNTIME.spawn(async move { attack(&services, &short, "spin", &[], 0).await });
    // It never returns by itself, so that everything here happens while it runs.
    for _ in 0..3 {
        host.assert_works();
    }
    let outcome = RUNTIME.block_on(spinning).expect("the task does not panic");
    assert!(outcome.trap().contains("fuel"), "{}", outcome.trap());
}

/// A caller that goes away does not wait for the component's next import.
#[test]
fn row_1_a_loop_can_be_left() {
    let host = Host::new();
    let begun = Instant::now();
    let patience = Duration::from_millis(200);
    let outcome = RUNTIME.block_on(async {
        let (limits, services) = (Limits::default(), host.services.clone());
        tokio::time::timeout(patience, attack(&services, &limits, "spin", &[], 0)).await.map(|outcome| outcome.said)
    });
    assert!(outcome.is_err(), "fuel is for minutes: {outcome:?}");
    let late = begun.elapsed() - patience;
    println!("left {late:?} after the deadline");
    assert!(late < Duration::from_secs(5), "the loop yields every 10 ms: {late:?}");
    host.assert_works();
}

#[test]
fn row_2_memory_ends_at_its_limit() {
    let host = Host::new();
    let before = resident();
    let outcome = host.attack("grow", &[], 10_000);
    assert!(outcome.trap().contains("memory"), "{}", outcome.trap());
    let pages = Limits::default().memory_bytes_max / 65_536;
    assert!(host.attack("grow", &[], pages as u64 / 2).said.is_ok(), "half of it is there");
    let grown = resident().saturating_sub(before);
    println!("the host has {grown} bytes more");
    assert!(grown < 80 << 20, "{grown}");
    host.assert_works();
}

#[test]
fn row_3_deep_recursion_is_a_trap() {
    let host = Host::new();
    assert!(host.attack("recurse", &[], 100).said.is_ok(), "a little is possible");
    let outcome = host.attack("recurse", &[], u64::MAX);
    assert!(outcome.trap().contains("stack") || outcome.trap().contains("out of bounds"), "{}", outcome.trap());
    host.assert_works();
}

/// Makes 100 000 of one kind and gives none back, several times, and compares what the process has after each.
fn hoard(name: &str, words: &[&str], ends: &[&str]) {
    let host = match words {
        [registry] => Host::with_login(registry, "YW5uOnNlY3JldA=="),
        _ => Host::new(),
    };
    host.assert_works();
    let mut most = 0;
    let (files, bytes) = growth(|| {
        let outcome = host.attack(name, words, 100_000);
        let end = match &outcome.said {
            Ok(said) => said.join(" "),
            Err(trap) => trap.clone(),
        };
        assert!(ends.iter().any(|expected| end.contains(expected)), "{name}: {end}");
        most = most.max(descriptors());
        println!("{name}: {}", end.lines().next().unwrap_or_default());
    });
    println!(
        "{name}: {files} descriptors and {bytes} bytes more from one time to the next; {most} descriptors at most"
    );
    assert_eq!(files, 0, "{name}");
    assert!(bytes < NOISE_BYTES, "{name}: {bytes}");
    host.assert_works();
}

/// What wasmtime and the host say when there is no room for another handle.
const FULL: &[&str] = &["full", "capacity", "too many", "too large", "limit", "exceed"];

#[test]
fn row_4_ingests_end_at_the_limit_of_handles() {
    hoard("hoard-ingests", &[], FULL);
}

#[test]
fn row_4_blobs_end_at_the_limit_of_handles() {
    hoard("hoard-blobs", &[], FULL);
}

#[test]
fn row_4_layers_end_at_the_limit_of_handles() {
    hoard("hoard-layers", &[], FULL);
}

#[test]
fn row_4_extractions_end_at_their_limit() {
    hoard("hoard-extractions", &[], &["too many layers"]);
}

#[test]
fn row_4_transactions_end_at_their_limit() {
    hoard("hoard-transactions", &[], &["16 ErrorCode::NoSpace", "16 NoSpace"]);
}

#[test]
fn row_4_grants_end_at_the_limit_of_handles() {
    hoard("hoard-grants", &["127.0.0.1:5000"], FULL);
}

#[test]
fn row_4_headers_end_at_the_limit_of_handles() {
    hoard("hoard-fields", &[], FULL);
}

#[test]
fn row_4_requests_and_responses_end_at_the_limit_of_handles() {
    hoard("hoard-requests", &[], FULL);
    hoard("hoard-responses", &[], FULL);
}

#[test]
fn row_4_streams_and_futures_end_at_the_limit_of_handles() {
    hoard("hoard-streams", &[], FULL);
    hoard("hoard-futures", &[], FULL);
}

#[test]
fn row_4_streams_that_the_host_serves_end_at_their_limit() {
    hoard("hoard-served", &[], &["too many streams"]);
}

#[test]
fn row_4_bytes_that_wait_in_the_host_end_at_their_limit() {
    hoard("hoard-parts", &[], &["too many bytes"]);
}

#[test]
fn row_4_calls_that_are_not_waited_for_end_at_the_limit_of_handles() {
    hoard("hoard-calls", &[], FULL);
}

/// What a test sees of the log.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn row_11_the_log_is_bounded_and_cannot_be_forged() {
    let host = Host::new();
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).without_time().finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread");
    let line = "\u{1b}[31mred\u{1b}[0m\nwarning: forged\r\u{202e}";
    tracing::subscriber::with_default(subscriber, || {
        let outcome = runtime.block_on(attack(&host.services, &Limits::default(), "log", &[line], 100_000));
        println!("the log ends with {:?}", outcome.said);
    });
    let written = sink.0.lock().expect("nobody panics").clone();
    let text = String::from_utf8(written).expect("it is text");
    let own: usize = text.lines().map(str::len).sum();
    println!("{} bytes in {} lines", text.len(), text.lines().count());
    assert!(text.contains("\\u{1b}[31mred"), "{text:.200}");
    // 64 KiB of the component's, which escaping makes at most ten times longer, and what each line begins with.
    assert!((1 << 10..2 << 20).contains(&own), "{own}");
    assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']) && !text.lines().any(|line| line.starts_with("warning")));
    host.assert_works();
}
