//! Claims of blobs by processes that die or may open little. What a claim is about is tested beside the service.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io::Read;

use super::{Store, again, assigned, check_error, open, put, say, sha256, wait_for};

#[test]
fn a_process_that_is_killed_lets_go_of_what_it_has_claimed() {
    let digest = sha256(b"claimed");
    if let Some(store) = assigned() {
        let _claim = open(&store).claim(&[digest]).expect("a claim");
        say("claimed");
        // Until the parent kills it, or is gone.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let store = Store::new();
    drop(store.put(b"claimed"));
    let test = "a_process_that_is_killed_lets_go_of_what_it_has_claimed";
    let mut child = again(module_path!(), test, store.directory.path(), &[]).spawn().expect("a child");
    wait_for(&mut child, "claimed");
    check_error(store.content.remove(&digest), "InUse");
    assert_eq!(store.content.claim(&[digest]).expect("a claim").digests().count(), 0);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| store.content.blob(&digest).map(|blob| blob.size()));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiter.is_finished(), "it did not wait");
        child.kill().expect("the child runs");
        assert_eq!(waiter.join().expect("no panic").expect("the blob"), 7);
    });
    child.wait().expect("the child is dead");
}

#[test]
fn a_process_that_may_open_few_files_claims_some_blobs_and_can_still_open_others() {
    let all = (0..100_u8).map(|byte| sha256(&[byte])).collect::<Vec<_>>();
    if let Some(store) = assigned() {
        let content = open(&store);
        for byte in 0..100 {
            drop(put(&content, &[byte]));
        }
        let highest = fs::read_dir("/proc/self/fd").expect("descriptors").count() as u64;
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(highest + 40), maximum: limit.maximum }).expect("a limit");
        let claim = content.claim(&all).expect("a claim");
        let claimed: Vec<_> = claim.digests().copied().collect();
        assert!((10..=25).contains(&claimed.len()), "{}", claimed.len());
        assert_eq!(claimed, all[..claimed.len()]);
        let held = all[50..60].iter().map(|digest| content.blob(digest).expect("a descriptor")).collect::<Vec<_>>();
        assert_eq!(claim.remove(&all).expect("removed"), claimed.len() as u64);
        assert_eq!(content.entries(None, 1_000).expect("a page").len(), 100 - claimed.len());
        drop(held);
        return;
    }
    let store = Store::new();
    let test = "a_process_that_may_open_few_files_claims_some_blobs_and_can_still_open_others";
    let child = again(module_path!(), test, store.directory.path(), &[]).output().expect("a child");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}
