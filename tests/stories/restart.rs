//! A registry that ends in the middle of a blob, and comes back.

use super::{json, open_registry, wharf};
use crate::support::proxy::Proxy;
use crate::support::push::large;
use serde_json::Value;
use std::time::Duration;

const LAYER_BYTES: usize = 24 << 20;
/// What is asked for again: what was on its way, and what headers and documents add.
const AGAIN_BYTES: u64 = 8 << 20;
const WAIT: Duration = Duration::from_secs(60);

#[test]
fn a_registry_that_stops_in_the_middle_of_a_blob_and_comes_back_is_waited_for() {
    let mut registry = open_registry();
    registry.push("app", "latest", &large(11, 1, LAYER_BYTES));
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/app", proxy.address());

    proxy.slow_down(12 << 20);
    let running = wharf.spawn(&["pull", "--format", "json", "--progress", "json", &reference]);
    proxy.wait_for(LAYER_BYTES as u64 / 3, WAIT);
    registry.stop();
    proxy.speed_up();
    // Long enough for an attempt that finds nobody.
    std::thread::sleep(Duration::from_millis(1500));
    registry.start_again();

    let output = running.wait(WAIT);
    let talk = output.stderr.clone();
    let pulled = json(&output.success());
    assert!(talk.contains("\"retrying\""), "{talk}");
    let fetched = proxy.sent_bytes();
    assert!(fetched <= LAYER_BYTES as u64 + AGAIN_BYTES, "{fetched} bytes were sent");
    let partial = registry.accesses(" 206 ");
    assert!(!partial.is_empty(), "the rest was asked for, and not all of it");
    assert_eq!(wharf.run(&["images", "-q"]).success().lines().count(), 1);

    let layer = |transfer: &&Value| transfer["size"].as_u64() > Some(LAYER_BYTES as u64 / 2);
    let transfers = pulled[0]["transfers"].as_array().expect("each pull tells its transfers");
    let layer = transfers.iter().find(layer).expect("the layer was transferred");
    assert!(layer["attempts"].as_u64() >= Some(2), "{layer}");
    assert_eq!(layer["endpoint"], format!("http://{}", proxy.address()), "{layer}");
}

/// The patience is counted from the last byte, and not from the beginning.
#[test]
fn a_registry_that_does_not_come_back_is_given_up_in_time() {
    let mut registry = open_registry();
    registry.push("app", "latest", &large(12, 1, LAYER_BYTES));
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/app", proxy.address());
    proxy.slow_down(24 << 20);
    let running = wharf.spawn(&["pull", "--retries", "1", "--progress", "json", &reference]);
    proxy.wait_for(LAYER_BYTES as u64 / 3, WAIT);
    registry.stop();
    let problem = running.wait(WAIT).failure();
    let last = json(problem.lines().last().expect("it said something"));
    assert_eq!((&last["type"], &last["code"]), (&"problem".into(), &"unavailable".into()), "{last}");

    // What came is kept.
    registry.start_again();
    proxy.speed_up();
    let before = proxy.sent_bytes();
    wharf.run(&["pull", "-q", &reference]).success();
    let fetched = proxy.sent_bytes() - before;
    assert!(fetched <= LAYER_BYTES as u64 * 2 / 3 + AGAIN_BYTES, "{fetched} bytes were sent again");
}
