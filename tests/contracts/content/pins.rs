//! Holders of a blob against those who remove it or commit it again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use wharf::content::{Blob, Error};

use super::{Raised, Store, check_error, everything, open, sha256};

#[test]
fn a_held_blob_cannot_be_removed() {
    let store = Store::new();
    let other = open(store.directory.path());
    let committed = store.put(b"pinned");
    let digest = *committed.digest();
    check_error(other.remove(&digest), "InUse");

    let opened = store.content.blob(&digest).expect("the blob");
    drop(committed);
    check_error(other.remove(&digest), "InUse");
    let (clone, reader) = (opened.clone(), opened.reader(3));
    drop(opened);
    check_error(other.remove(&digest), "InUse");
    drop(clone);
    check_error(other.remove(&digest), "InUse");
    drop(reader);

    other.remove(&digest).expect("nobody holds it");
    check_error(store.content.blob(&digest), "NotFound");
    other.remove(&digest).expect("an absent blob is removed already");
    assert_eq!(store.tree(), Vec::<String>::new());
}

#[test]
fn a_blob_that_was_opened_has_not_been_removed() {
    const OPENINGS: u32 = 10_000;
    const REMOVALS: u32 = 500;
    let store = Store::new();
    let digest = sha256(b"here and gone");
    let (path, draft) = (store.blob_path(&digest), store.path("blobs/sha256/draft"));
    let (done, mut refusals) = (AtomicBool::new(false), 0);
    let (opened, absent) = thread::scope(|scope| {
        let opener = scope.spawn(|| {
            let (mut opened, mut absent) = (0_u32, 0_u32);
            while opened < OPENINGS || !done.load(Ordering::Acquire) {
                match store.content.blob(&digest) {
                    Ok(blob) => {
                        opened += 1;
                        assert_eq!(blob.file().metadata().expect("metadata").nlink(), 1, "opening {opened}");
                        assert_eq!(blob.read(0, 100).expect("bytes"), b"here and gone");
                    }
                    Err(Error::NotFound) => absent += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
            (opened, absent)
        });
        let raised = Raised(&done);
        for _ in 0..REMOVALS {
            fs::write(&draft, b"here and gone").expect("a file");
            fs::rename(&draft, &path).expect("a blob");
            loop {
                match store.content.remove(&digest) {
                    Ok(()) => break,
                    Err(Error::InUse) => refusals += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        fs::write(&draft, b"here and gone").expect("a file");
        fs::rename(&draft, &path).expect("a blob");
        drop(raised);
        opener.join().expect("no panic")
    });
    assert!(opened >= OPENINGS);
    println!("{opened} opened, {absent} absent, {REMOVALS} removed, {refusals} refused");
}

/// Two namespaces may fetch the same bytes under two names. Who comes second gets the first one's file: to replace it
/// would leave the first one with a pin on a file that no longer has a name.
#[test]
fn a_commit_returns_the_blob_that_exists() {
    let store = Store::new();
    let first = store.put(b"the same");
    let ingest = store.content.ingest("another name").expect("an ingest");
    ingest.append(b"the same").expect("space");
    let second = ingest.commit(first.digest(), 8).expect("the first one's blob");
    let inode = |blob: &Blob| blob.file().metadata().expect("metadata").ino();
    assert_eq!(inode(&first), inode(&second));
    assert_eq!(first.file().metadata().expect("metadata").nlink(), 1);
    assert_eq!(store.tree(), [format!("100400 blobs/sha256/{}", first.digest().encoded())]);
}

#[test]
fn commits_and_removals_of_one_blob_do_not_disturb_each_other() {
    let store = Store::new();
    let digest = sha256(b"contended");
    thread::scope(|scope| {
        for worker in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for _ in 0..60 {
                    let ingest = store.content.ingest(&format!("by {worker}")).expect("an ingest");
                    ingest.append(b"contended").expect("space");
                    let blob = ingest.commit(&digest, 9).expect("a blob");
                    assert_eq!(blob.file().metadata().expect("metadata").nlink(), 1);
                    check_error(store.content.remove(&digest), "InUse");
                    assert_eq!(everything(&blob), b"contended");
                    drop(blob);
                    match store.content.remove(&digest) {
                        Ok(()) | Err(Error::InUse) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(store.content.ingests(None, 10).expect("a listing"), []);
}
