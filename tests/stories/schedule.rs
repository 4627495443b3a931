//! `wharf gc --scheduled` beside other processes: what they remove is collected, until somebody ends it.
//!
//! When it collects is the business of the unit tests of `host/scheduler/cadence.rs`; here is only that it does.

use super::changes::{count, with_app};
use super::json;
use crate::support::services;
use crate::support::wharf::{Output, Running, TIMEOUT, Wharf};
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use wharf::images::{self, Caller, Collecting};
use wharf::machine::machine;
use wharf::scheduler::{self, Settings, Told};

/// Waits until `what` holds. The limit bounds a hang.
#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        sleep(Duration::from_millis(50));
    }
}

fn is_empty(wharf: &Wharf) -> bool {
    ["blobs/sha256", "layers", "snapshots"].iter().all(|below| count(wharf, below) == 0)
}

/// Ends a scheduler as a person does. It has told no failure.
#[track_caller]
fn interrupt(scheduler: Running) -> Output {
    scheduler.interrupt();
    let output = scheduler.wait(TIMEOUT);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(!output.stderr.contains("error:"), "{output:?}");
    output
}

#[test]
fn what_others_remove_is_collected_until_ctrl_c() {
    let (_registry, _directory, wharf, repository) = with_app();
    let one = format!("{repository}:1");
    let scheduler = wharf.spawn(&["gc", "--scheduled", "--pause-threshold", "0.5"]);
    // The first collection needs no cause, the others do.
    for round in 1..=3 {
        wharf.run(&["rm", "--no-prune", &one]).success();
        wait_until(&format!("all is gone in round {round}"), || is_empty(&wharf));
        wharf.run(&["pull", "-q", &one]).success();
    }
    let output = interrupt(scheduler);
    let lines: Vec<_> = output.stdout.lines().collect();
    // The end may come between the last removal and its line.
    assert!(lines.len() >= 2 && lines.iter().all(|line| line.contains("Z freed ")), "{output:?}");
    assert!(wharf.run(&["fsck"]).success().is_empty());
    assert_eq!(wharf.run(&["gc", "--dry-run"]).success(), "nothing would change\n");
}

#[test]
fn two_schedulers_and_pulls_do_one_another_no_harm() {
    let (_registry, _directory, wharf, repository) = with_app();
    let one = format!("{repository}:1");
    let words = ["gc", "--scheduled", "--format", "json", "--deletion-threshold", "1", "--startup-delay", "0s"];
    let schedulers = [wharf.spawn(&words), wharf.spawn(&words)];
    for _ in 0..4 {
        wharf.run(&["rm", "--no-prune", &one]).success();
        // It may come back while it is collected.
        wharf.run(&["pull", "-q", &one]).success();
        wharf.run(&["inspect", &one]).success();
    }
    assert!(wharf.run(&["fsck"]).success().is_empty());
    for _ in 0..2 {
        wharf.run(&["rm", "--no-prune", &one]).success();
        wait_until("all is gone", || is_empty(&wharf));
        wharf.run(&["pull", "-q", &one]).success();
    }
    let outputs = schedulers.map(interrupt);
    let told: Vec<_> = outputs.iter().flat_map(|output| output.stdout.lines()).map(json).collect();
    assert!(!told.is_empty(), "{outputs:?}");
    for object in told {
        assert!(object["time"].is_string() && object["removed"]["bytes"].as_u64() > Some(0), "{object}");
    }
}

/// The records cannot be read for a while, as on a disk that has to be repaired.
#[tokio::test]
async fn a_collection_that_fails_is_told_and_tried_again_and_stop_ends_it() {
    let (directory, services) = services();
    let caller = Caller { namespace: "default".to_owned(), machine: machine("") };
    let rename = |from: &str, to: &str| {
        let records = rusqlite::Connection::open(directory.path().join("metadata.sqlite"));
        let renamed =
            records.expect("the records are there").execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}"));
        renamed.expect("nobody else writes");
    };
    rename("record", "away");
    let (stop, mut failed, mut done) = (CancellationToken::new(), BTreeSet::new(), 0);
    let mut tell = |told| match told {
        Told::Failed { failure, wait } => {
            assert!(wait >= Duration::from_secs(1), "{failure} after {wait:?}");
            // What collects and what listens have both failed by then.
            if failed.insert(failure.to_string()) && failed.len() == 2 {
                rename("away", "record");
            }
        }
        Told::Collected(changed) => {
            assert!(changed.removed.blobs.is_empty() && changed.left.is_empty(), "{changed:?}");
            done += 1;
            stop.cancel();
        }
        Told::Event(event) => panic!("{event:?}"),
    };
    let wharf = images::Wharf::new(services).expect("the component is loaded");
    let collecting = Collecting { ingest_age_s: 0 };
    let running = scheduler::run(&wharf, &caller, &collecting, Settings::default(), &stop, &mut tell);
    tokio::time::timeout(TIMEOUT, running).await.expect("it ends when it is told to");
    let expected = ["cannot collect what nothing needs", "cannot tell what happens"].map(str::to_owned);
    assert_eq!((failed, done), (expected.into(), 1));
}
