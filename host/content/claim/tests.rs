//! Claims of blobs against those who open, commit and remove them, and the listing of what was not finished.

#![allow(clippy::disallowed_methods, reason = "a test looks behind the store's back")]

use super::super::{Content, Error, Key, pin};
use super::CLAIM_MAX;
use crate::content::Blob;
use crate::hash::{Algorithm, Digest};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::fs;
use std::io;
use std::sync::mpsc;
use tempfile::TempDir;

/// A store that two processes could have open: locks belong to open files, and so to neither.
fn store() -> (TempDir, Content, Content) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let open = || {
        let root = Dir::open_ambient_dir(directory.path(), ambient_authority()).expect("the store's directory");
        Content::open(&root).expect("a content store")
    };
    let (one, other) = (open(), open());
    (directory, one, other)
}

fn put(content: &Content, bytes: &[u8]) -> Blob {
    let digest = of(bytes);
    let ingest = content.ingest(&digest.to_string()).expect("an ingest");
    ingest.append(bytes).expect("space");
    ingest.commit(&digest, bytes.len() as u64).expect("a blob")
}

fn of(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

fn claimed(claim: &super::Claim) -> Vec<Digest> {
    claim.digests().copied().collect()
}

#[test]
fn what_is_held_or_absent_is_not_claimed_and_the_rest_is_in_order() {
    let (_directory, content, other) = store();
    let digests = [b"c", b"a", b"b", b"d"].map(|bytes| of(bytes));
    for bytes in [b"a", b"b", b"c"] {
        drop(put(&content, bytes));
    }
    let held = other.blob(&of(b"a")).expect("the blob");
    let claim = content.claim(&digests).expect("a claim");
    assert_eq!(claimed(&claim), [of(b"c"), of(b"b")]);
    assert_eq!(claimed(&other.claim(&digests).expect("a claim")), [], "one has it");
    assert!(matches!(other.remove(&of(b"b")), Err(Error::InUse)));
    drop((claim, held));
    let twice = [of(b"a"), of(b"b"), of(b"a")];
    assert_eq!(claimed(&other.claim(&twice).expect("a claim")), [of(b"a"), of(b"b")]);
}

#[test]
fn who_opens_a_claimed_blob_waits_and_finds_it_if_it_stays_and_not_if_it_goes() {
    for goes in [false, true] {
        let (_directory, content, other) = store();
        drop(put(&content, b"waited for"));
        let digest = of(b"waited for");
        let claim = content.claim(&[digest]).expect("a claim");
        std::thread::scope(|scope| {
            let (said, hear) = mpsc::channel();
            let other = &other;
            scope.spawn(move || said.send(other.blob(&digest).map(|blob| blob.size())).expect("somebody hears"));
            let early = hear.recv_timeout(std::time::Duration::from_millis(50));
            assert!(early.is_err(), "it did not wait: {early:?}");
            let going = if goes { vec![digest] } else { Vec::new() };
            assert_eq!(claim.remove(&going).expect("room"), if goes { 10 } else { 0 });
            let late = hear.recv().expect("an answer");
            assert!(if goes { matches!(late, Err(Error::NotFound)) } else { late.is_ok_and(|size| size == 10) });
        });
    }
}

#[test]
fn only_what_is_both_claimed_and_listed_is_removed_and_its_bytes_are_counted() {
    let (directory, content, other) = store();
    for bytes in [&b"one"[..], b"three", b"seven"] {
        drop(put(&content, bytes));
    }
    let held = other.blob(&of(b"seven")).expect("the blob");
    let all = [of(b"one"), of(b"three"), of(b"seven")];
    let claim = content.claim(&all).expect("a claim");
    assert_eq!(claim.remove(&[of(b"seven"), of(b"three"), of(b"never there")]).expect("removed"), 5);
    let left = content.entries(None, 10).expect("a page");
    let mut expected = vec![(of(b"one"), 3), (of(b"seven"), 5)];
    expected.sort();
    assert_eq!(left, expected);
    other.blob(&of(b"one")).expect("it was let go");
    drop((held, directory));
}

#[test]
fn a_blob_that_is_committed_while_it_is_claimed_is_there_in_the_end() {
    let (_directory, content, other) = store();
    drop(put(&content, b"again"));
    let claim = content.claim(&[of(b"again")]).expect("a claim");
    std::thread::scope(|scope| {
        let committed = scope.spawn(|| put(&other, b"again"));
        std::thread::sleep(std::time::Duration::from_millis(20));
        claim.remove(&[of(b"again")]).expect("removed");
        let blob = committed.join().expect("a blob");
        assert_eq!(blob.read(0, 10).expect("bytes"), b"again");
    });
    assert_eq!(content.entries(None, 10).expect("a page"), [(of(b"again"), 5)]);
}

#[test]
fn what_has_the_name_of_a_blob_and_is_no_file_can_be_claimed() {
    let (directory, content, other) = store();
    let path = |bytes: &[u8]| directory.path().join("blobs/sha256").join(of(bytes).encoded());
    fs::create_dir_all(path(b"a").join("with/something")).expect("a directory");
    std::os::unix::fs::symlink("nowhere", path(b"b")).expect("a link");
    std::os::unix::fs::symlink("nowhere", path(b"c")).expect("a link");
    let all = [of(b"a"), of(b"b"), of(b"c")];
    let claim = content.claim(&all).expect("a claim");
    assert_eq!(claimed(&claim), all);
    // Another process puts a blob in the place of one.
    let blob = put(&other, b"c");
    assert_eq!(claim.remove(&all).expect("removed"), 0);
    assert_eq!(content.entries(None, 10).expect("a page"), [(of(b"c"), 1)]);
    assert!(fs::symlink_metadata(path(b"a")).is_err() && fs::symlink_metadata(path(b"b")).is_err());
    drop(blob);
}

#[test]
fn a_claim_looks_at_no_more_than_it_may() {
    let (directory, content, _other) = store();
    let name = |index: usize| format!("{index:064x}");
    for index in 0..=CLAIM_MAX {
        // Who claims does not look into the files.
        fs::write(directory.path().join("blobs/sha256").join(name(index)), b"").expect("a file");
    }
    let all: Vec<_> =
        (0..=CLAIM_MAX).map(|index| Digest::from_encoded(Algorithm::Sha256, &name(index)).expect("a digest")).collect();
    // Fewer, where a process may not have so many descriptors.
    let digests = claimed(&content.claim(&all).expect("a claim"));
    assert!(!digests.is_empty() && digests.len() <= CLAIM_MAX);
    assert_eq!(digests, all[..digests.len()]);
}

/// Without descriptors nothing can be looked up before what is claimed goes.
#[test]
fn a_process_that_is_short_of_descriptors_claims_less_and_keeps_some_for_others() {
    let is_short = |error: &io::Error| pin::is_short(error);
    let short = || io::Error::from(rustix::io::Errno::MFILE);
    let gather = |room: usize, other: bool| {
        let claim = |index: usize| match index {
            index if index == room && other => Err(io::Error::from(rustix::io::Errno::IO)),
            index if index >= room => Err(short()),
            index if index % 3 == 2 => Ok(None),
            index => Ok(Some(index)),
        };
        pin::gather(0..6, claim, is_short)
    };
    assert_eq!(gather(9, false).expect("room"), [0, 1, 3, 4]);
    assert_eq!(gather(5, false).expect("room for some"), [0, 1]);
    assert_eq!(gather(1, false).expect("room for one"), [0]);
    assert!(is_short(&gather(0, false).expect_err("room for none")));
    assert!(!is_short(&gather(3, true).expect_err("another failure")));
}

#[test]
fn a_listing_says_who_holds_an_ingest_and_disturbs_nobody() {
    let (_directory, content, other) = store();
    content.ingest("left").expect("an ingest").append(b"1").expect("space");
    let held = other.ingest("held").expect("an ingest");
    held.append(b"12").expect("space");
    let listed = || {
        let mut page = content.ingests(None, 10).expect("a page");
        page.sort_by(|a, b| a.name.cmp(&b.name));
        page.into_iter().map(|ingest| (ingest.name.expect("a name"), ingest.bytes, ingest.held)).collect::<Vec<_>>()
    };
    assert_eq!(listed(), [("held".to_owned(), 2, true), ("left".to_owned(), 1, false)]);
    assert!(matches!(content.discard("held"), Err(Error::InUse)));
    held.append(b"3").expect("it is still held");
    // Whoever begins while others look all the time gets there, and finds its bytes.
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| (0..200).for_each(|_| drop(listed())));
        let mut began = 0;
        while began < 20 || !looking.is_finished() {
            if let Some(ingest) = other.try_ingest("left").expect("no failure") {
                assert_eq!(ingest.offset(), 1);
                began += 1;
            }
        }
    });
}

/// A process that is killed between the rename of its blob and the removal of its ingest leaves such a directory; the
/// others are what a damaged file system may show.
#[test]
fn what_is_left_of_an_ingest_is_listed_and_discarded() {
    let (directory, content, _other) = store();
    let path = |name: &str| directory.path().join("ingest").join(Key::of(name).encoded());
    fs::create_dir(path("empty")).expect("a directory");
    fs::create_dir(path("named")).expect("a directory");
    fs::write(path("named").join("name"), "named").expect("a file");
    fs::write(path("file"), "1234").expect("a file");
    std::os::unix::fs::symlink("nowhere", path("link")).expect("a link");
    let page = content.ingests(None, 10).expect("a page");
    let names: Vec<_> = page.iter().filter_map(|ingest| ingest.name.as_deref()).collect();
    assert_eq!((page.len(), names, page.iter().any(|ingest| ingest.held)), (4, vec!["named"], false));
    for ingest in page {
        let key = Key::from_encoded(&ingest.key.encoded()).expect("it is written as it is read");
        content.discard(key).expect("nobody holds it");
    }
    assert_eq!(content.ingests(None, 10).expect("a page"), []);
    assert_eq!(fs::read_dir(directory.path().join("ingest")).expect("the directory").count(), 0);
}
