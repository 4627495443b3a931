//! Bytes on their way: how they continue, who holds them, and how they go.

use super::{Bytes, age, files, finished, open, pattern, put, run, sha256, store};
use crate::{
    host::{Blob as _, Ingest as _},
    nouns::{
        digest::{Algorithm, Digest},
        problem::ErrorCode,
    },
    portable::{Ingest, LIVE_S, Store},
};
use std::{fs, path::Path, pin::pin};

fn begin(store: &Store, name: &str) -> Ingest<Bytes> {
    run(store.ingest(name)).unwrap()
}

/// The files of ingests, by length.
fn lengths(directory: &Path) -> Vec<u64> {
    let path = |name: &String| directory.join(name);
    let files = files(directory).into_iter().filter(|name| name.starts_with(".wharf/ingest/"));
    let mut lengths: Vec<_> = files.map(|name| fs::metadata(path(&name)).unwrap().len()).collect();
    lengths.sort_unstable();
    lengths
}

fn age_all(directory: &Path) {
    for name in files(directory).iter().filter(|name| name.starts_with(".wharf/ingest/")) {
        age(&directory.join(name), LIVE_S + 1);
    }
}

#[test]
fn an_append_takes_up_to_its_limit_and_gives_the_rest_back() {
    let (_directory, store) = store();
    let bytes = pattern(5_000);
    let ingest = begin(&store, "a");
    let (taken, rest) = run(ingest.append(Bytes::new(&bytes), 1_500)).unwrap();
    assert_eq!((taken, ingest.offset()), (1_500, 1_500));
    assert_eq!(rest.unwrap().rest(), bytes[1_500..]);
    let (taken, rest) = run(ingest.append(Bytes::new(&bytes[1_500..]), 3_500)).unwrap();
    assert_eq!(taken, 3_500);
    assert!(rest.is_some(), "that it has ended is not known yet");
    let (taken, rest) = run(ingest.append(Bytes::new(b""), 1)).unwrap();
    assert!(taken == 0 && rest.is_none());
    assert_eq!(run(run(ingest.commit(&sha256(&bytes), 5_000)).unwrap().read(0, 5_000)).unwrap(), bytes);
}

#[test]
fn a_commit_leaves_the_blob_and_nothing_else() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let (directory, store) = store();
        let bytes = pattern(300_000);
        let digest = Digest::of(algorithm, &bytes);
        // Also if the name promises another algorithm.
        for name in [digest.as_str(), "sha256:x", "sha512:x"] {
            let ingest = begin(&store, name);
            run(ingest.append(Bytes::new(&bytes), u64::MAX)).unwrap();
            run(ingest.commit(&digest, 300_000)).unwrap();
            let blob = format!("blobs/{algorithm}/{}", digest.encoded());
            assert_eq!(files(directory.path()), [blob.as_str(), "index.json", "oci-layout"]);
            assert_eq!(fs::read(directory.path().join(blob)).unwrap(), bytes);
        }
    }
}

#[test]
fn what_is_wrong_is_refused_and_gone() {
    let (directory, store) = store();
    let rows = [(b"right", 6, ErrorCode::SizeMismatch(5)), (b"wrong", 5, ErrorCode::DigestMismatch(sha256(b"wrong")))];
    for (bytes, size, expected) in rows {
        let ingest = begin(&store, "a");
        run(ingest.append(Bytes::new(bytes), u64::MAX)).unwrap();
        assert_eq!(run(ingest.commit(&sha256(b"right"), size)).unwrap_err(), expected);
        assert_eq!(files(directory.path()), ["index.json", "oci-layout"]);
        assert_eq!(begin(&store, "a").offset(), 0);
    }
}

#[test]
fn a_blob_of_another_size_is_replaced() {
    let (directory, store) = store();
    let path = directory.path().join("blobs/sha256").join(sha256(b"right").encoded());
    for damaged in ["", "right and more", "wrong"] {
        fs::write(&path, damaged).unwrap();
        put(&store, b"right");
        assert_eq!(fs::read_to_string(&path).unwrap(), "right");
    }
}

#[test]
fn a_dropped_ingest_continues_where_it_stopped() {
    let (directory, store) = store();
    let bytes = pattern(700_000);
    let ingest = begin(&store, "a");
    run(ingest.append(Bytes::new(&bytes), 600_000)).unwrap();
    drop(ingest);
    age_all(directory.path());
    // Also in another process, which hashes what it did not bring.
    let other = open(directory.path());
    let ingest = begin(&other, "a");
    assert_eq!(ingest.offset(), 600_000);
    run(ingest.append(Bytes::new(&bytes[600_000..]), u64::MAX)).unwrap();
    assert_eq!(lengths(directory.path()), [700_000], "the file of the killed run is gone");
    run(ingest.commit(&sha256(&bytes), 700_000)).unwrap();
    assert_eq!(lengths(directory.path()), [0; 0]);
}

#[test]
fn all_bytes_may_have_been_there() {
    let (directory, one) = store();
    let ingest = begin(&one, "a");
    run(ingest.append(Bytes::new(b"whole"), 5)).unwrap();
    drop(ingest);
    age_all(directory.path());
    let ingest = begin(&open(directory.path()), "a");
    run(ingest.commit(&sha256(b"whole"), 5)).unwrap();
    assert_eq!(lengths(directory.path()), [0; 0]);
}

#[test]
fn to_ask_for_the_offset_changes_nothing() {
    let (directory, store) = store();
    drop(begin(&store, "a"));
    assert_eq!(files(directory.path()), ["index.json", "oci-layout"]);
    let ingest = begin(&store, "a");
    run(ingest.append(Bytes::new(b"some"), 4)).unwrap();
    drop(ingest);
    let before = files(directory.path());
    assert_eq!(begin(&store, "a").offset(), 4);
    assert_eq!(files(directory.path()), before);
}

#[test]
fn an_append_that_is_dropped_keeps_what_has_arrived() {
    let (_directory, store) = store();
    let bytes = pattern(3_000);
    let ingest = begin(&store, "a");
    let append = ingest.append(Bytes::stuck(&bytes[..2_500]), u64::MAX);
    assert!(finished(pin!(append), 10).is_none());
    assert_eq!(ingest.offset(), 2_500);
    run(ingest.append(Bytes::new(&bytes[2_500..]), u64::MAX)).unwrap();
    run(ingest.commit(&sha256(&bytes), 3_000)).unwrap();
}

/// The copy of what was left is a part of an append, and may be dropped like it.
#[test]
fn an_append_that_is_dropped_while_it_copies_goes_on_there() {
    let (directory, store) = store();
    let bytes = pattern(2_000_000);
    let ingest = begin(&store, "a");
    run(ingest.append(Bytes::new(&bytes), 1_900_000)).unwrap();
    drop(ingest);
    for polls in 1..9 {
        let ingest = begin(&store, "a");
        assert!(finished(pin!(ingest.append(Bytes::stuck(b""), 1)), polls).is_none());
        assert_eq!(ingest.offset(), 1_900_000);
        if polls < 8 {
            // Less than there was is of no use to anybody.
            drop(ingest);
            assert_eq!(lengths(directory.path()), [1_900_000]);
            continue;
        }
        run(ingest.append(Bytes::new(&bytes[1_900_000..]), u64::MAX)).unwrap();
        run(ingest.commit(&sha256(&bytes), 2_000_000)).unwrap();
    }
}

#[test]
fn within_one_process_there_is_one_holder() {
    let (_directory, store) = store();
    let first = begin(&store, "a");
    let handle = store.clone();
    let mut second = Box::pin(handle.ingest::<Bytes>("a"));
    assert!(finished(second.as_mut(), 10).is_none());
    assert_eq!(begin(&store, "b").offset(), 0, "another name is another ingest");
    run(first.append(Bytes::new(b"some"), 4)).unwrap();
    drop(first);
    assert_eq!(run(second).unwrap().offset(), 4);
}

#[test]
fn who_waits_and_is_dropped_does_not_stand_in_the_way() {
    let (_directory, store) = store();
    let first = begin(&store, "a");
    let mut second = Box::pin(store.ingest::<Bytes>("a"));
    assert!(finished(second.as_mut(), 1).is_none());
    drop(second);
    drop(first);
    assert_eq!(begin(&store, "a").offset(), 0);
}

#[test]
fn two_processes_write_two_files_and_both_succeed() {
    let (directory, one) = store();
    let other = open(directory.path());
    let bytes = pattern(9_000);
    let slow = begin(&one, "a");
    run(slow.append(Bytes::new(&bytes), 3_000)).unwrap();
    let fast = begin(&other, "a");
    assert_eq!(fast.offset(), 3_000);
    run(fast.append(Bytes::new(&bytes[3_000..]), 3_000)).unwrap();
    assert_eq!(lengths(directory.path()), [3_000, 6_000], "a live run is not disturbed");
    run(slow.append(Bytes::new(&bytes[3_000..]), u64::MAX)).unwrap();
    run(fast.append(Bytes::new(&bytes[6_000..]), u64::MAX)).unwrap();
    run(fast.commit(&sha256(&bytes), 9_000)).unwrap();
    assert_eq!(lengths(directory.path()), [0; 0], "what is a blob is of no use to anybody else");
    run(slow.commit(&sha256(&bytes), 9_000)).unwrap();
    assert_eq!(lengths(directory.path()), [0; 0]);
}

/// Started again at once, nobody can tell yet whether the first run is alive.
#[test]
fn a_run_that_was_killed_a_moment_ago_leaves_nothing_in_the_end() {
    let (directory, one) = store();
    let ingest = begin(&one, "a");
    run(ingest.append(Bytes::new(b"some"), 4)).unwrap();
    drop(ingest);
    let ingest = begin(&open(directory.path()), "a");
    run(ingest.append(Bytes::new(b" more"), 9)).unwrap();
    assert_eq!(lengths(directory.path()), [4, 9]);
    run(ingest.commit(&sha256(b"some more"), 9)).unwrap();
    assert_eq!(lengths(directory.path()), [0; 0]);
}

/// A process was stopped for long, and another one has taken it for dead.
#[test]
fn who_lost_the_name_of_its_file_finishes_from_the_file() {
    let (directory, one) = store();
    let bytes = pattern(9_000);
    let slow = begin(&one, "a");
    run(slow.append(Bytes::new(&bytes), 3_000)).unwrap();
    age_all(directory.path());
    let fast = begin(&open(directory.path()), "a");
    run(fast.append(Bytes::new(b""), 1)).unwrap();
    assert_eq!(lengths(directory.path()), [3_000], "that of the slow one is gone");
    run(fast.discard()).unwrap();
    run(slow.append(Bytes::new(&bytes[3_000..]), u64::MAX)).unwrap();
    let blob = run(slow.commit(&sha256(&bytes), 9_000)).unwrap();
    assert_eq!(run(blob.verify()), Ok(()));
    assert_eq!(files(directory.path()).len(), 3);
}

/// Wrong bytes of a killed run: the first commit finds them, and the next
/// attempt must not begin with them again, old or not.
#[test]
fn wrong_bytes_of_an_earlier_run_are_not_taken_twice() {
    for is_old in [true, false] {
        let (directory, one) = store();
        let ingest = begin(&one, "a");
        run(ingest.append(Bytes::new(b"wrong"), 5)).unwrap();
        drop(ingest);
        if is_old {
            age_all(directory.path());
        }
        let other = open(directory.path());
        let ingest = begin(&other, "a");
        run(ingest.append(Bytes::new(b" and right"), u64::MAX)).unwrap();
        let found = run(ingest.commit(&sha256(b"right and right"), 15)).unwrap_err();
        assert_eq!(found, ErrorCode::DigestMismatch(sha256(b"wrong and right")));
        let ingest = begin(&other, "a");
        assert_eq!(ingest.offset(), 0, "old: {is_old}");
        run(ingest.append(Bytes::new(b"right and right"), u64::MAX)).unwrap();
        run(ingest.commit(&sha256(b"right and right"), 15)).unwrap();
    }
}

#[test]
fn the_longest_of_several_is_continued_and_the_others_go() {
    let (directory, store) = store();
    fs::create_dir_all(directory.path().join(".wharf/ingest")).unwrap();
    let hashed = crate::portable::ingest::hashed("a");
    for (id, bytes) in [("1", "abc"), ("2", "abcdef"), ("3", "")] {
        fs::write(directory.path().join(format!(".wharf/ingest/{hashed}.{id}")), bytes).unwrap();
    }
    age_all(directory.path());
    let ingest = begin(&store, "a");
    assert_eq!(ingest.offset(), 6);
    run(ingest.append(Bytes::new(b"g"), 1)).unwrap();
    assert_eq!(lengths(directory.path()), [7]);
    run(ingest.commit(&sha256(b"abcdefg"), 7)).unwrap();
}

#[test]
fn restart_and_discard_forget_the_bytes() {
    let (directory, store) = store();
    let ingest = begin(&store, "a");
    run(ingest.append(Bytes::new(b"wrong"), 5)).unwrap();
    run(ingest.restart()).unwrap();
    assert_eq!((ingest.offset(), lengths(directory.path())), (0, vec![]));
    run(ingest.append(Bytes::new(b"some"), 4)).unwrap();
    run(ingest.discard()).unwrap();
    assert_eq!(lengths(directory.path()), [0; 0]);
    assert_eq!(begin(&store, "a").offset(), 0);
}

#[test]
fn a_name_that_is_too_long_is_refused() {
    let (_directory, store) = store();
    assert!(run(store.ingest::<Bytes>(&"a".repeat(4_096))).is_ok());
    assert_eq!(run(store.ingest::<Bytes>(&"a".repeat(4_097))).unwrap_err(), ErrorCode::Invalid);
}
