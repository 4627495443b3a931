//! An ingest: how it grows, continues, is held and goes. Other processes are in `processes`.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wharf::content::Error;
use wharf::hash::{Algorithm, Digest};

use super::{Raised, Store, check_error, everything, open, pattern, sha256};

#[test]
fn an_ingest_continues_by_name_after_it_was_dropped() {
    for algorithm in Algorithm::ALL {
        let store = Store::new();
        let bytes = pattern(1_000_000);
        for (index, chunk) in bytes.chunks(250_000).enumerate() {
            let ingest = open(store.directory.path()).ingest("default/sha256:4bcf").expect("an ingest");
            assert_eq!(ingest.offset(), 250_000 * index as u64);
            ingest.append(chunk).expect("space");
        }
        // The last holder appends nothing, so that the commit has to hash what it finds.
        let ingest = store.content.ingest("default/sha256:4bcf").expect("an ingest");
        let blob = ingest.commit(&Digest::of(algorithm, &bytes), 1_000_000).expect("a blob");
        assert_eq!(everything(&blob), bytes);
    }
}

#[test]
fn a_flipped_byte_in_what_was_there_before_is_found() {
    let bytes = pattern(600_000);
    for (flipped, resumed) in [(0, 0), (299_999, 0), (150_000, 1), (299_999, 300_000)] {
        let store = Store::new();
        store.content.ingest("x").expect("an ingest").append(&bytes[..300_000]).expect("space");
        let file = fs::OpenOptions::new().read(true).write(true).open(store.data_path("x")).expect("the data");
        file.write_all_at(&[bytes[flipped as usize] ^ 0x10], flipped).expect("a flip");

        let ingest = store.content.ingest("x").expect("the ingest");
        ingest.append(&bytes[300_000..300_000 + resumed]).expect("space");
        let size = ingest.offset();
        let expected = sha256(&bytes[..size as usize]);
        let mut damaged = bytes[..size as usize].to_vec();
        damaged[flipped as usize] ^= 0x10;
        match ingest.commit(&expected, size) {
            Err(Error::DigestMismatch { actual, .. }) => assert_eq!(*actual, sha256(&damaged)),
            other => panic!("a flipped byte at {flipped} was not found: {other:?}"),
        }
        assert_eq!(store.tree(), Vec::<String>::new());
    }
}

#[test]
fn a_restart_forgets_the_bytes() {
    let store = Store::new();
    store.content.ingest("x").expect("an ingest").append(b"from an earlier run").expect("space");
    let ingest = store.content.ingest("x").expect("the ingest");
    ingest.append(b" and this one").expect("space");
    ingest.restart().expect("an empty ingest");
    assert_eq!((ingest.offset(), fs::metadata(store.data_path("x")).expect("the data").len()), (0, 0));
    ingest.append(b"again").expect("space");
    let blob = ingest.commit(&sha256(b"again"), 5).expect("a blob");
    assert_eq!(everything(&blob), b"again");
}

#[test]
fn the_offset_can_be_watched_while_bytes_arrive() {
    const CHUNK: usize = 10_000;
    let store = Store::new();
    let ingest = store.content.ingest("x").expect("an ingest");
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = vec![ingest.offset()];
            while !done.load(Ordering::Acquire) {
                seen.push(ingest.offset());
            }
            seen
        });
        let raised = Raised(&done);
        for _ in 0..200 {
            ingest.append(&[7; CHUNK]).expect("space");
        }
        drop(raised);
        watcher.join().expect("no panic")
    });
    assert!(seen.is_sorted());
    assert_eq!(seen.iter().find(|offset| **offset % CHUNK as u64 != 0), None, "half a chunk was seen");
    assert_eq!(ingest.offset(), 200 * CHUNK as u64);
}

#[test]
fn an_append_of_a_run_that_was_interrupted_adds_nothing() {
    let store = Store::new();
    let ingest = store.content.ingest("x").expect("an ingest");
    let first = ingest.run();
    assert!(ingest.append_in(first, b"kept").expect("space"));
    ingest.interrupt();
    assert!(!ingest.append_in(first, b"too late").expect("nothing is written"));
    assert_eq!((ingest.offset(), fs::read(store.data_path("x")).expect("the data")), (4, b"kept".to_vec()));
    assert!(ingest.append_in(ingest.run(), b" and more").expect("space"));
    let blob = ingest.commit(&sha256(b"kept and more"), 13).expect("a blob");
    assert_eq!(everything(&blob), b"kept and more");
}

/// Whoever asks for the offset after an interruption asks a registry for what comes after it. A chunk that was being
/// written at that moment landed behind the answer, and the bytes of two responses were mixed.
#[test]
fn after_an_interruption_the_offset_stays_where_the_next_append_begins() {
    let store = Store::new();
    let bytes = pattern(64 << 20);
    let ingest = store.content.ingest("x").expect("an ingest");
    let mut interrupted = 0;
    while ingest.offset() < bytes.len() as u64 {
        let run = ingest.run();
        let start = usize::try_from(ingest.offset()).expect("a small offset");
        thread::scope(|scope| {
            let writer = scope
                .spawn(|| bytes[start..].chunks(200_001).all(|chunk| ingest.append_in(run, chunk).expect("space")));
            thread::sleep(Duration::from_micros(700));
            ingest.interrupt();
            let seen = ingest.offset();
            interrupted += u32::from(!writer.join().expect("no panic"));
            assert_eq!(ingest.offset(), seen, "a byte arrived after the interruption");
            let length = fs::metadata(store.data_path("x")).expect("the data").len();
            assert_eq!(length, seen, "bytes that do not count are left in the file");
        });
    }
    assert!(interrupted > 3, "only {interrupted} runs were interrupted");
    let blob = ingest.commit(&sha256(&bytes), bytes.len() as u64).expect("the bytes are in order");
    assert_eq!(blob.size(), bytes.len() as u64);
}

/// Callers in one process stand in one queue, each once, and get the ingest one after the other.
#[test]
fn callers_of_one_process_queue_for_an_ingest() {
    let store = Store::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let begin = async |index: u8| {
            let _turn = store.content.turn("x").await;
            loop {
                match store.content.try_ingest("x").expect("no failure") {
                    Some(ingest) => {
                        ingest.append(&[index]).expect("space");
                        return;
                    }
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let held = store.content.try_ingest("x").expect("no failure").expect("nobody holds it");
        held.append(b"!").expect("space");
        let waiting = futures::future::join_all((0..20).map(begin));
        let release = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(held);
        };
        futures::future::join(waiting, release).await;
    });
    let expected: Vec<u8> = b"!".iter().copied().chain(0..20).collect();
    assert_eq!(fs::read(store.data_path("x")).expect("the data"), expected);
}

#[test]
fn an_ingest_without_bytes_leaves_nothing() {
    let store = Store::new();
    drop(store.content.ingest("dropped").expect("an ingest"));
    store.content.ingest("discarded").expect("an ingest").discard().expect("nothing");
    let ingest = store.content.ingest("discarded with bytes").expect("an ingest");
    ingest.append(b"bytes").expect("space");
    ingest.discard().expect("nothing");
    assert_eq!(store.tree(), Vec::<String>::new());
}

#[test]
fn an_ingest_has_one_holder_at_a_time() {
    let store = Store::new();
    let other = open(store.directory.path());
    let ingest = store.content.try_ingest("x").expect("no failure").expect("nobody holds it");
    ingest.append(b"kept").expect("space");
    assert!(other.try_ingest("x").expect("no failure").is_none());
    check_error(other.discard("x"), "InUse");
    assert!(other.try_ingest("y").expect("no failure").is_some(), "another name is another ingest");
    drop(ingest);
    assert_eq!(other.try_ingest("x").expect("no failure").expect("nobody holds it").offset(), 4);
}

/// Many threads want to be the only one, and one of them only wants it gone; nobody's ingest is taken away by somebody
/// who meant the one before.
#[test]
fn holders_follow_each_other_without_overlap() {
    let store = Store::new();
    let (held, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                match store.content.discard("x") {
                    Ok(()) | Err(Error::InUse) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        let _raised = Raised(&done);
        let workers = [0, 1, 2, 3].map(|worker| {
            let (store, held) = (&store, &held);
            scope.spawn(move || {
                for round in 0..100_u8 {
                    let ingest = store.content.ingest("x").expect("an ingest");
                    assert!(!held.swap(true, Ordering::SeqCst), "two holders");
                    assert!(store.data_path("x").exists(), "a holder's directory was removed");
                    ingest.restart().expect("an empty ingest");
                    ingest.append(&[worker, round]).expect("space");
                    assert!(store.data_path("x").exists(), "a holder's directory was removed");
                    held.store(false, Ordering::SeqCst);
                    match round % 3 {
                        0 => drop(ingest),
                        1 => ingest.discard().expect("nothing"),
                        _ => check_error(ingest.commit(&sha256(b""), 2), "DigestMismatch"),
                    }
                }
            })
        });
        for worker in workers {
            worker.join().expect("no panic");
        }
    });
}
