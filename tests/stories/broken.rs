//! Connections that break, processes that are killed, people who change their mind.

use super::{json, open_registry, wharf};
use crate::support::proxy::Proxy;
use crate::support::push::large;
use crate::support::wharf::Wharf;
use std::fs;
use std::time::{Duration, Instant};

const LAYER_BYTES: usize = 24 << 20;
/// What headers, manifests and the configs are allowed to add.
const OVERHEAD_BYTES: u64 = 256 << 10;
/// What a resumed pull may fetch again: bytes that were on their way.
const AGAIN_BYTES: u64 = 8 << 20;
const WAIT: Duration = Duration::from_secs(60);

/// Bytes that have arrived and are in no blob.
fn ingested(wharf: &Wharf) -> u64 {
    let Ok(entries) = fs::read_dir(wharf.store().join("ingest")) else { return 0 };
    entries.filter_map(|entry| fs::metadata(entry.ok()?.path().join("data")).ok()).map(|data| data.len()).sum()
}

fn stored(wharf: &Wharf) -> u64 {
    let Ok(entries) = fs::read_dir(wharf.store().join("blobs/sha256")) else { return 0 };
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|data| data.len()).sum()
}

#[test]
fn after_kill_9_the_next_pull_fetches_what_is_missing() {
    let registry = open_registry();
    registry.push("app", "latest", &large(3, 2, LAYER_BYTES));
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/app", proxy.address());

    proxy.slow_down(12 << 20);
    let running = wharf.spawn(&["pull", "-q", &reference]);
    proxy.wait_for(LAYER_BYTES as u64, WAIT);
    running.kill();
    let here = ingested(&wharf) + stored(&wharf);
    assert!(here > 8 << 20, "{here} bytes are here");
    assert_eq!(wharf.run(&["images", "-q"]).success(), "", "no image is visible");

    proxy.speed_up();
    let before = proxy.sent_bytes();
    wharf.run(&["pull", "-q", &reference]).success();
    let fetched = proxy.sent_bytes() - before;
    let missing = 2 * LAYER_BYTES as u64 - here;
    assert!(fetched <= missing + AGAIN_BYTES, "{fetched} bytes were fetched, and {missing} were missing");
    assert!(fetched + OVERHEAD_BYTES >= missing, "the count is of what was fetched");
    assert_eq!(ingested(&wharf), 0);
    assert_eq!(wharf.run(&["images", "-q"]).success().lines().count(), 1);
}

#[test]
fn ctrl_c_ends_within_a_second_keeps_the_bytes_and_says_how_to_go_on() {
    let registry = open_registry();
    registry.push("app", "latest", &large(4, 2, LAYER_BYTES));
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/app", proxy.address());

    proxy.slow_down(8 << 20);
    let running = wharf.spawn(&["pull", "--progress", "json", &reference]);
    proxy.wait_for(12 << 20, WAIT);
    let begin = Instant::now();
    running.interrupt();
    let output = running.wait(WAIT);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    assert_eq!(output.status.code(), Some(130), "{}", output.stderr);
    assert_eq!(output.stdout, "");
    let last = json(output.stderr.lines().last().expect("it said something"));
    assert_eq!((&last["type"], &last["code"]), (&"problem".into(), &"cancelled".into()), "{last}");
    assert!(last["fix"].as_str().is_some_and(|fix| fix.contains("the same command")), "{last}");
    let here = ingested(&wharf);
    assert!(here > 4 << 20, "{here} bytes are kept");

    proxy.speed_up();
    let before = proxy.sent_bytes();
    wharf.run(&["pull", "-q", &reference]).success();
    let fetched = proxy.sent_bytes() - before;
    assert!(fetched <= 2 * LAYER_BYTES as u64 - here + AGAIN_BYTES, "{fetched} bytes were fetched, {here} were here");
}

/// The same while nothing arrives at all: no event tells the component that
/// nobody listens any more.
#[test]
fn ctrl_c_ends_a_pull_that_waits_for_a_silent_registry() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = silent.local_addr().expect("it is bound");
    let (_directory, wharf) = wharf();
    let running = wharf.spawn(&["pull", "-q", &format!("{address}/app")]);
    let (_connection, _) = silent.accept().expect("wharf connects");
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    running.interrupt();
    let output = running.wait(WAIT);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    assert_eq!(output.status.code(), Some(130), "{}", output.stderr);
}

#[test]
fn a_connection_that_breaks_is_continued_in_the_same_run() {
    let registry = open_registry();
    registry.push("app", "latest", &large(5, 1, LAYER_BYTES));
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = wharf();
    proxy.cut_after(10 << 20);
    let before = proxy.sent_bytes();
    let output = wharf.run(&["pull", "--progress", "json", &format!("{}/app", proxy.address())]);
    output.clone().success();
    let fetched = proxy.sent_bytes() - before;
    assert!(fetched <= LAYER_BYTES as u64 + AGAIN_BYTES, "{fetched} bytes were fetched");
    assert!(output.stderr.contains("\"retrying\""), "{}", output.stderr);
}

/// A process that holds an ingest and dies lets go of it, and one that lives is
/// waited for.
#[test]
fn a_pull_waits_for_the_one_that_is_fetching_and_takes_over_when_it_dies() {
    let registry = open_registry();
    registry.push("app", "latest", &large(6, 1, LAYER_BYTES));
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/app", proxy.address());
    proxy.slow_down(4 << 20);
    let first = wharf.spawn(&["pull", "-q", &reference]);
    proxy.wait_for(6 << 20, WAIT);
    let second = wharf.spawn(&["pull", "-q", &reference]);
    std::thread::sleep(Duration::from_millis(500));
    first.kill();
    proxy.speed_up();
    second.wait(WAIT).success();
    assert!(proxy.sent_bytes() <= LAYER_BYTES as u64 + AGAIN_BYTES, "{} bytes were fetched", proxy.sent_bytes());
}
