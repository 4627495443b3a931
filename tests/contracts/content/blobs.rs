//! A blob: when it becomes visible, and what can be read of it. Several holders of one blob are in `pins`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use wharf::content::{Error, READ_BYTES_MAX};
use wharf::hash::{Algorithm, Digest};

use super::{Store, check_error, everything, open, pattern, sha256};

#[test]
fn a_blob_is_visible_after_its_commit_and_not_before() {
    let store = Store::new();
    let bytes = pattern(100_000);
    let digest = sha256(&bytes);

    let ingest = store.content.ingest("default/some blob").expect("an ingest");
    for chunk in bytes.chunks(33_333) {
        ingest.append(chunk).expect("space");
        check_error(store.content.blob(&digest), "NotFound");
        assert_eq!(store.content.entries(None, 10).expect("a listing"), []);
    }
    assert_eq!(ingest.offset(), 100_000);
    let blob = ingest.commit(&digest, 100_000).expect("a blob");

    for blob in [
        &blob,
        &store.content.blob(&digest).expect("the blob"),
        &open(store.directory.path()).blob(&digest).expect("the blob"),
    ] {
        assert_eq!((blob.digest(), blob.size()), (&digest, 100_000));
        assert_eq!(everything(blob), bytes);
    }
    assert_eq!(store.content.entries(None, 10).expect("a listing"), [(digest, 100_000)]);
    assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", digest.encoded())]);
}

#[test]
fn a_read_is_bounded_by_its_limit_and_by_the_blob() {
    let store = Store::new();
    let bytes = pattern(1000);
    let blob = store.put(&bytes);
    for (offset, length, expected) in [
        (0, 1000, &bytes[..]),
        (0, READ_BYTES_MAX, &bytes[..]),
        (990, 5, &bytes[990..995]),
        (990, 50, &bytes[990..]),
        (1000, 1, &[]),
        (u64::MAX, READ_BYTES_MAX, &[]),
        (500, 0, &[]),
    ] {
        assert_eq!(blob.read(offset, length).expect("bytes"), expected, "{length} bytes at {offset}");
        let mut rest = Vec::new();
        blob.reader(offset).take(length).read_to_end(&mut rest).expect("bytes");
        assert_eq!(rest, expected, "a stream of {length} bytes at {offset}");
    }
    let error = blob.read(0, READ_BYTES_MAX + 1).expect_err("too much");
    assert!(matches!(error, Error::TooLarge { limit: READ_BYTES_MAX }), "{error:?}");
    assert_eq!(error.to_string(), "larger than the limit of 4194304 bytes");
}

#[test]
fn a_blob_that_was_cut_short_is_an_error_and_not_an_end() {
    let store = Store::new();
    let blob = store.put(&pattern(1000));
    let path = store.blob_path(blob.digest());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    fs::OpenOptions::new().write(true).open(&path).expect("the file").set_len(400).expect("a cut");
    check_error(blob.read(0, 1000), "Io");
    let error = blob.reader(0).read_to_end(&mut Vec::new()).expect_err("not an end");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_wrong_digest_leaves_nothing_behind() {
    let bytes = b"not what was promised";
    for algorithm in Algorithm::ALL {
        let store = Store::new();
        let promised = Digest::of(algorithm, b"what was promised");
        let ingest = store.content.ingest("x").expect("an ingest");
        ingest.append(bytes).expect("space");
        let error = ingest.commit(&promised, bytes.len() as u64).expect_err("other bytes");
        let actual = Digest::of(algorithm, bytes);
        assert_eq!(error.to_string(), format!("the bytes hash to `{actual}` instead of `{promised}`"));
        assert_eq!(store.tree(), Vec::<String>::new());
        assert_eq!(store.content.ingest("x").expect("a new ingest").offset(), 0);
    }
}

#[test]
fn a_wrong_size_leaves_nothing_behind() {
    let bytes = b"21 bytes, no more than";
    let digest = sha256(bytes);
    for size in [0, 21, 23, u64::MAX] {
        let store = Store::new();
        let ingest = store.content.ingest("x").expect("an ingest");
        ingest.append(bytes).expect("space");
        let error = ingest.commit(&digest, size).expect_err("another size");
        assert_eq!(error.to_string(), format!("there are 22 bytes instead of {size}"));
        assert_eq!(store.tree(), Vec::<String>::new());
    }
}

#[test]
fn an_empty_blob_is_a_blob() {
    let store = Store::new();
    let blob = store.put(b"");
    assert_eq!(everything(&blob), b"");
    assert_eq!(store.content.entries(None, 1).expect("a listing"), [(sha256(b""), 0)]);
}

#[test]
fn sha512_is_as_good_as_sha256() {
    let store = Store::new();
    let bytes = pattern(700_000);
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    let ingest = store.content.ingest("x").expect("an ingest");
    ingest.append(&bytes).expect("space");
    let blob = ingest.commit(&digest, 700_000).expect("a blob");
    assert_eq!(everything(&blob), bytes);
    assert_eq!(store.tree(), [format!("100400 blobs/sha512/{}", digest.encoded())]);
    check_error(store.content.blob(&sha256(&bytes)), "NotFound");
}
