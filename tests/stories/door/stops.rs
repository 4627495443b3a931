//! `wharf serve` is told to stop: what is under way is finished or goes on later, and what has no end is let go.

use super::super::{open_registry, wharf};
use super::TIMEOUT;
use crate::support::engine_api::{Serving, request};
use crate::support::proxy::Proxy;
use crate::support::push::large;
use crate::support::wharf::Wharf;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const LAYER_BYTES: usize = 12 << 20;
/// What may be fetched again: bytes that were on their way, manifests and configs.
const AGAIN_BYTES: u64 = 4 << 20;

/// Bytes that have arrived, in blobs or not.
fn here(wharf: &Wharf) -> u64 {
    let below = |directory: &str| -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(wharf.store().join(directory)) else { return Vec::new() };
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let ingests = below("ingest").into_iter().map(|ingest| ingest.join("data"));
    let files = ingests.chain(below("blobs/sha256"));
    files.filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum()
}

#[test]
fn who_follows_events_hears_other_processes_and_is_let_go_when_the_server_stops() {
    let registry = open_registry();
    registry.push("app", "1", &large(3, 1, 1_000));
    let (directory, wharf) = wharf();
    let serving = Serving::start(&wharf, directory.path(), &[]);
    let name = format!("{}/app:1", registry.address());
    let filters = "%7B%22event%22%3A%5B%22pull%22%2C%22tag%22%5D%7D";
    let (socket, target) = (serving.socket().to_owned(), format!("/v1.41/events?since=0&filters={filters}"));
    let follower = thread::spawn(move || request(&socket, "GET", &target, &[], b""));
    wharf.run(&["pull", "-q", &name]).success();
    wharf.run(&["tag", &name, "here:1"]).success();
    wharf.run(&["rm", "here:1"]).success();
    // It looks twice a second.
    thread::sleep(Duration::from_millis(1_500));
    assert!(!follower.is_finished(), "events have no end");

    let said = serving.stop();
    assert_eq!((said.status.code(), said.stderr.contains("given up")), (Some(0), false), "{}", said.stderr);
    let told = follower.join().expect("it does not panic");
    let text = String::from_utf8_lossy(&told.body).into_owned();
    let actions: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["Action"].to_string())
        .collect();
    assert_eq!((told.status, actions.as_slice()), (200, &["\"pull\"".to_owned(), "\"tag\"".to_owned()][..]), "{text}");
}

#[test]
fn a_pull_is_finished_before_the_server_stops_or_goes_on_later() {
    let registry = open_registry();
    registry.push("quick", "1", &large(4, 2, LAYER_BYTES));
    registry.push("slow", "1", &large(5, 2, LAYER_BYTES));
    let proxy = Proxy::start(registry.address());
    for (repository, bytes_per_second, is_done) in [("quick", 8 << 20, true), ("slow", 1 << 20, false)] {
        let (directory, wharf) = wharf();
        let serving = Serving::start(&wharf, directory.path(), &[]);
        let image = format!("{}/{repository}", proxy.address());
        let (sender, receiver) = mpsc::channel();
        let (socket, target) = (serving.socket().to_owned(), format!("/images/create?fromImage={image}&tag=1"));
        proxy.slow_down(bytes_per_second);
        let before = proxy.sent_bytes();
        thread::spawn(move || sender.send(request(&socket, "POST", &target, &[], b"")));
        proxy.wait_for(before + (4 << 20), TIMEOUT);
        let said = serving.stop();
        assert_eq!(said.stderr.contains("some requests were given up"), !is_done, "{}", said.stderr);
        let names = wharf.run(&["images", "-q"]).success();
        assert_eq!(names.lines().count(), usize::from(is_done));
        if is_done {
            let reply = receiver.recv_timeout(TIMEOUT).expect("an answer");
            assert!(reply.text().contains("Downloaded newer image"), "{}", reply.text());
        }

        let (kept, before) = (here(&wharf), proxy.sent_bytes());
        assert!(kept > 3 << 20, "{kept} bytes are kept");
        proxy.speed_up();
        wharf.run(&["pull", "-q", &format!("{image}:1")]).success();
        let (fetched, missing) = (proxy.sent_bytes() - before, (2 * LAYER_BYTES as u64).saturating_sub(kept));
        assert!(fetched <= missing + AGAIN_BYTES, "{fetched} bytes were fetched, and {missing} were missing");
        wharf.run(&["fsck"]).success();
    }
}
