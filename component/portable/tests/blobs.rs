//! Blobs on disk: what is read of them, who holds them, and what is found damaged.

use super::{open, pattern, put, run, sha256, store};
use crate::{
    host::Blob as _,
    nouns::{
        digest::{Algorithm, Digest},
        problem::ErrorCode,
    },
};
use std::fs;

#[test]
fn a_blob_is_read_by_ranges_up_to_its_end() {
    let (_directory, store) = store();
    let bytes = pattern(10_000);
    let blob = run(store.blob(&put(&store, &bytes))).unwrap();
    assert_eq!((blob.size(), blob.digest()), (10_000, &sha256(&bytes)));
    for (offset, length) in [(0, 10_000), (0, 0), (17, 300), (9_990, 50), (10_000, 1), (u64::MAX, 1), (0, 4 << 20)] {
        let start = bytes.len().min(offset as usize);
        let end = bytes.len().min(start.saturating_add(length as usize));
        assert_eq!(run(blob.read(offset, length)).unwrap(), bytes[start..end], "{length} at {offset}");
    }
    assert_eq!(run(blob.read(0, (4 << 20) + 1)), Err(ErrorCode::TooLarge(4 << 20)));
}

#[test]
fn what_is_absent_is_not_found() {
    let (_directory, store) = store();
    assert_eq!(run(store.blob(&sha256(b"a"))).unwrap_err(), ErrorCode::NotFound);
    assert_eq!(run(store.remove(&sha256(b"a"))), Ok(()));
}

#[test]
fn a_blob_goes_when_nobody_holds_it() {
    let (_directory, store) = store();
    let digest = put(&store, b"a");
    let (one, other) = (run(store.blob(&digest)).unwrap(), run(store.clone().blob(&digest)).unwrap());
    assert_eq!(run(store.remove(&digest)), Err(ErrorCode::InUse));
    drop(one);
    assert_eq!(run(store.remove(&digest)), Err(ErrorCode::InUse));
    drop(other);
    assert_eq!(run(store.remove(&digest)), Ok(()));
    assert_eq!(run(store.blob(&digest)).unwrap_err(), ErrorCode::NotFound);
}

#[test]
fn verifying_finds_every_wrong_byte() {
    let (directory, store) = store();
    let bytes = pattern(600_000);
    let digest = put(&store, &bytes);
    let blob = run(store.blob(&digest)).unwrap();
    assert_eq!(run(blob.verify()), Ok(()));
    let path = directory.path().join("blobs/sha256").join(digest.encoded());
    for at in [0, 262_144, 599_999] {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        fs::write(&path, &wrong).unwrap();
        assert_eq!(run(blob.verify()), Err(ErrorCode::DigestMismatch(sha256(&wrong))), "byte {at}");
    }
    fs::write(&path, &bytes[..599_999]).unwrap();
    assert_eq!(run(blob.verify()), Err(ErrorCode::DigestMismatch(sha256(&bytes[..599_999]))));
    fs::remove_file(&path).unwrap();
    assert_eq!(run(blob.verify()), Err(ErrorCode::NotFound));
}

#[test]
fn blobs_are_listed_in_order_and_by_pages() {
    let (directory, store) = store();
    let mut expected: Vec<(Digest, u64)> = (0..20_u8)
        .map(|content| vec![content; usize::from(content)])
        .map(|bytes| (put(&store, &bytes), bytes.len() as u64))
        .collect();
    let long = Digest::of(Algorithm::Sha512, b"long");
    fs::write(directory.path().join("blobs/sha512").join(long.encoded()), "long").unwrap();
    expected.push((long, 4));
    expected.sort();
    // What other tools have on its way there.
    fs::write(directory.path().join("blobs/sha256/oci-put-blob123"), "").unwrap();
    fs::create_dir(directory.path().join("blobs/sha256").join("a".repeat(64))).unwrap();
    assert_eq!(run(store.entries(None, 100)).unwrap(), expected);
    let mut seen: Vec<(Digest, u64)> = Vec::new();
    loop {
        let page = run(store.entries(seen.last().map(|(last, _)| last), 3)).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3);
        seen.extend(page);
    }
    assert_eq!(seen, expected);
    assert_eq!(run(store.entries(None, 0)).unwrap(), []);
}

#[test]
fn a_blob_that_another_process_brought_is_there() {
    let (directory, one) = store();
    let other = open(directory.path());
    let digest = put(&one, b"a");
    assert_eq!(run(other.blob(&digest)).unwrap().size(), 1);
    assert_eq!(run(one.sync()), Ok(()));
}
