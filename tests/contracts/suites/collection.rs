//! What a collection needs beside other processes, kept by every host that has locks: claims of blobs and of trees,
//! ingests that are given up, and all namespaces. `wit/content.wit`, `wit/layers.wit` and `wit/metadata.wit`.

use super::layers::{Archives, layer};
use super::subject::{Real, Simulated, Subject, put, sha256};
use super::suite;
use futures::future::{Either, select};
use std::any::Any;
use tempfile::TempDir;
use wharf_component::host::{Claim as _, Host, Ingest as _, Transaction as _, TreeClaim as _};
use wharf_component::nouns::chain::chain_ids;
use wharf_component::nouns::digest::Digest;
use wharf_component::nouns::problem::ErrorCode;
use wharf_sim::memory::Memory;

suite! {
    [simulated: Simulated, real: Real];
    who_opens_a_claimed_blob_waits_and_finds_it_when_it_is_let_go,
    who_opens_a_claimed_blob_waits_and_does_not_find_it_when_it_is_removed,
    who_commits_a_claimed_blob_waits_and_has_it_in_the_end,
    blobs_that_somebody_holds_are_not_claimed,
    a_blob_has_one_claim,
    a_claim_removes_what_is_listed_and_lets_go_of_the_rest,
    a_claim_looks_at_a_thousand,
    who_opens_claimed_trees_waits_and_finds_them_when_they_are_let_go,
    who_opens_claimed_trees_waits_and_does_not_find_them_when_they_are_removed,
    who_stacks_what_is_claimed_waits_and_has_it_in_the_end,
    a_snapshot_is_claimed_with_what_stands_on_it_or_not_at_all,
    a_layer_is_claimed_with_the_snapshots_that_use_it_or_not_at_all,
    trees_that_somebody_holds_are_not_claimed,
    what_is_claimed_has_one_claim_and_is_not_removed_by_others,
    nothing_is_removed_from_under_what_would_stay,
    a_claim_of_trees_removes_what_is_listed_and_lets_go_of_the_rest,
    what_is_mounted_is_told_and_not_claimed,
    an_ingest_is_discarded_when_nobody_holds_it,
    namespaces_are_listed_in_order_and_in_pages,
    namespaces_are_those_of_the_snapshot_and_of_own_writes,
}

/// Whether a call is still under way a while later.
async fn waits<H: Host>(host: &H, call: &mut (impl Future + Unpin)) -> bool {
    matches!(select(call, Box::pin(host.sleep(50))).await, Either::Right(_))
}

/// Brings a stack of layers of these names. Returns their DiffIDs and the names of the snapshots.
async fn stack<S: Archives>(host: &S::Host, names: &[&str]) -> (Vec<Digest>, Vec<Digest>) {
    let diff_ids: Vec<_> = names.iter().map(|name| S::archive(name).1).collect();
    let chain = chain_ids(&diff_ids);
    let mut below = None;
    for (name, chain_id) in names.iter().zip(&chain) {
        let top = layer::<S>(host, name).await;
        below = Some(host.stack(chain_id, below.as_ref(), &top).await.expect("a snapshot"));
    }
    (diff_ids, chain)
}

fn texts(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(Digest::to_string).collect()
}

/// What a claim of these has.
async fn claimed<H: Host>(host: &H, snapshots: &[Digest], layers: &[Digest]) -> (Vec<String>, Vec<Digest>) {
    host.claim_trees(&texts(snapshots), layers).await.unwrap().names()
}

fn who_opens_a_claimed_blob_waits_and_finds_it_when_it_is_let_go<S: Subject>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        drop(put(host, b"wanted").await);
        let digest = sha256(b"wanted");
        let claim = host.claim(std::slice::from_ref(&digest)).await.unwrap();
        let mut opening = Box::pin(rival.open(&digest));
        assert!(waits(host, &mut opening).await);
        drop(claim);
        assert!(opening.await.is_ok());
    });
}

fn who_opens_a_claimed_blob_waits_and_does_not_find_it_when_it_is_removed<S: Subject>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        drop(put(host, b"gone").await);
        let digests = [sha256(b"gone")];
        let claim = host.claim(&digests).await.unwrap();
        let mut opening = Box::pin(rival.open(&digests[0]));
        assert!(waits(host, &mut opening).await);
        assert_eq!(claim.remove(&digests).await, Ok(4));
        assert_eq!(opening.await.err(), Some(ErrorCode::NotFound));
    });
}

fn who_commits_a_claimed_blob_waits_and_has_it_in_the_end<S: Subject>() {
    for is_removed in [false, true] {
        let subject = S::new();
        let (host, rival) = (subject.host(), subject.rival());
        let digests = [sha256(b"both")];
        subject.run(async {
            drop(put(host, b"both").await);
            let claim = host.claim(&digests).await.unwrap();
            let ingest = rival.ingest("another name").await.unwrap();
            ingest.append(rival.stream(b"both".to_vec()), u64::MAX).await.unwrap();
            let mut committing = Box::pin(ingest.commit(&digests[0], 4));
            assert!(waits(host, &mut committing).await);
            if is_removed {
                assert_eq!(claim.remove(&digests).await, Ok(4));
            } else {
                drop(claim);
            }
            let blob = committing.await.expect("a blob");
            assert_eq!(host.remove(&digests[0]).await, Err(ErrorCode::InUse));
            drop(blob);
        });
        let subject = subject.restart();
        subject.run(async { assert!(subject.host().open(&digests[0]).await.is_ok(), "removed before: {is_removed}") });
    }
}

fn blobs_that_somebody_holds_are_not_claimed<S: Subject>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        let contents: [&[u8]; 4] = [b"4", b"held", b"2", b"1"];
        for bytes in contents {
            drop(put(host, bytes).await);
        }
        let held = rival.open(&sha256(b"held")).await.unwrap();
        let mut asked: Vec<_> = contents.iter().map(|bytes| sha256(bytes)).collect();
        asked.insert(1, sha256(b"absent"));
        let has = host.claim(&asked).await.unwrap().digests();
        assert_eq!(has, [b"4", b"2", b"1"].map(|bytes| sha256(bytes)), "in the order in which they were asked for");
        drop(held);
        assert_eq!(host.claim(&asked).await.unwrap().digests().len(), 4, "and what was let go is free again");
    });
}

fn a_blob_has_one_claim<S: Subject>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        drop(put(host, b"one").await);
        drop(put(host, b"two").await);
        let (one, two) = (sha256(b"one"), sha256(b"two"));
        let first = host.claim(&[one.clone(), one.clone()]).await.unwrap();
        assert_eq!(first.digests(), std::slice::from_ref(&one), "also if it is asked for twice");
        let second = rival.claim(&[one.clone(), two.clone()]).await.unwrap();
        assert_eq!(second.digests(), std::slice::from_ref(&two));
        assert_eq!(rival.remove(&one).await, Err(ErrorCode::InUse));
        drop(second);
        assert_eq!(rival.remove(&two).await, Ok(()));
        drop(first);
        assert_eq!(rival.remove(&one).await, Ok(()));
    });
}

fn a_claim_removes_what_is_listed_and_lets_go_of_the_rest<S: Subject>() {
    let subject = S::new();
    let rest = [sha256(b"stays"), sha256(b"of nobody's claim")];
    subject.run(async {
        let host = subject.host();
        let contents: [&[u8]; 4] = [b"goes", b"goes too", b"stays", b"of nobody's claim"];
        for bytes in contents {
            drop(put(host, bytes).await);
        }
        let digests = contents.map(sha256);
        let claim = host.claim(&digests[..3]).await.unwrap();
        let listed = [digests[1].clone(), digests[3].clone(), digests[0].clone(), sha256(b"absent")];
        assert_eq!(claim.remove(&listed).await, Ok(12));
        for digest in &digests[..2] {
            assert_eq!(host.open(digest).await.err(), Some(ErrorCode::NotFound));
        }
        assert!(host.open(&rest[0]).await.is_ok() && host.open(&rest[1]).await.is_ok());
    });
    let subject = subject.restart();
    subject.run(async {
        let here: Vec<_> = subject.host().blobs(None, 9).await.unwrap().into_iter().map(|(digest, _)| digest).collect();
        let mut expected = rest.to_vec();
        expected.sort();
        assert_eq!(here, expected, "the removal is durable");
    });
}

fn a_claim_looks_at_a_thousand<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        drop(put(host, b"last").await);
        let mut asked: Vec<_> = (0..1_000).map(|number| sha256(format!("absent {number}").as_bytes())).collect();
        asked.push(sha256(b"last"));
        assert_eq!(host.claim(&asked).await.unwrap().digests(), []);
        assert_eq!(host.claim(&asked[1..]).await.unwrap().digests(), [sha256(b"last")]);
    });
}

fn who_opens_claimed_trees_waits_and_finds_them_when_they_are_let_go<S: Archives>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        let (layers, chain) = stack::<S>(host, &["lower", "upper"]).await;
        let claim = host.claim_trees(&texts(&chain), &layers).await.unwrap();
        assert_eq!(claim.names(), (texts(&chain), layers.clone()));
        let (mut finding, mut opening) = (Box::pin(rival.snapshot(&chain[1])), Box::pin(rival.layer(&layers[0])));
        assert!(waits(host, &mut finding).await && waits(host, &mut opening).await);
        drop(claim);
        assert!(finding.await.is_ok() && opening.await.is_ok());
    });
}

fn who_opens_claimed_trees_waits_and_does_not_find_them_when_they_are_removed<S: Archives>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        let (layers, chain) = stack::<S>(host, &["lower", "upper"]).await;
        let claim = host.claim_trees(&texts(&chain), &layers).await.unwrap();
        let (mut finding, mut opening) = (Box::pin(rival.snapshot(&chain[1])), Box::pin(rival.layer(&layers[0])));
        assert!(waits(host, &mut finding).await && waits(host, &mut opening).await);
        assert_eq!(claim.remove(&texts(&chain), &layers).await, Ok(()));
        assert_eq!(finding.await.err(), Some(ErrorCode::NotFound));
        assert_eq!(opening.await.err(), Some(ErrorCode::NotFound));
    });
}

fn who_stacks_what_is_claimed_waits_and_has_it_in_the_end<S: Archives>() {
    for is_removed in [false, true] {
        let subject = S::new();
        let (host, rival) = (subject.host(), subject.rival());
        subject.run(async {
            let (layers, chain) = stack::<S>(host, &["file"]).await;
            let top = rival.layer(&layers[0]).await.unwrap();
            let claim = host.claim_trees(&texts(&chain), &layers).await.unwrap();
            assert_eq!(claim.names(), (texts(&chain), Vec::new()), "somebody holds the layer");
            let mut stacking = Box::pin(rival.stack(&chain[0], None, &top));
            assert!(waits(host, &mut stacking).await);
            if is_removed {
                assert_eq!(claim.remove(&texts(&chain), &[]).await, Ok(()));
            } else {
                drop(claim);
            }
            assert!(stacking.await.is_ok() && host.snapshot(&chain[0]).await.is_ok());
        });
    }
}

fn a_snapshot_is_claimed_with_what_stands_on_it_or_not_at_all<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let (_, chain) = stack::<S>(host, &["lower", "middle", "upper"]).await;
        let absent = sha256(b"no snapshot");
        let rows: [(&[usize], &[usize]); 5] =
            [(&[0], &[]), (&[0, 1], &[]), (&[2], &[2]), (&[0, 2], &[2]), (&[1, 0, 2], &[1, 0, 2])];
        for (asked, expected) in rows {
            let mut asked: Vec<_> = asked.iter().map(|&at| chain[at].clone()).collect();
            asked.insert(0, absent.clone());
            let expected: Vec<_> = expected.iter().map(|&at| chain[at].to_string()).collect();
            assert_eq!(claimed(host, &asked, &[]).await, (expected, Vec::new()), "{asked:?}");
        }
    });
}

fn a_layer_is_claimed_with_the_snapshots_that_use_it_or_not_at_all<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let (layers, chain) = stack::<S>(host, &["lower", "upper"]).await;
        drop(layer::<S>(host, "unused").await);
        let unused = S::archive("unused").1;
        let all = [unused.clone(), layers[1].clone(), layers[0].clone(), sha256(b"no layer")];
        assert_eq!(claimed(host, &[], &all).await, (Vec::new(), vec![unused.clone()]));
        let upper = &chain[1..];
        assert_eq!(claimed(host, upper, &all).await, (texts(upper), vec![unused, layers[1].clone()]));
        assert_eq!(claimed(host, &chain, &all).await, (texts(&chain), all[..3].to_vec()));
        // Another stack that has the lower layer on top of something else.
        let other = sha256(b"another stack");
        let (base, top) = (layer::<S>(host, "base").await, host.layer(&layers[0]).await.unwrap());
        let below = host.stack(&sha256(b"its base"), None, &base).await.expect("a snapshot");
        drop(host.stack(&other, Some(&below), &top).await.expect("a snapshot"));
        drop((base, below, top));
        assert_eq!(claimed(host, &chain, &layers).await, (texts(&chain), vec![layers[1].clone()]));
    });
}

fn trees_that_somebody_holds_are_not_claimed<S: Archives>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        let (layers, chain) = stack::<S>(host, &["lower", "upper"]).await;
        let held = rival.snapshot(&chain[1]).await.unwrap();
        assert_eq!(claimed(host, &chain, &layers).await, (Vec::new(), Vec::new()), "it keeps all that it stands on");
        drop(held);
        let held = rival.layer(&layers[0]).await.unwrap();
        assert_eq!(claimed(host, &chain, &layers).await, (texts(&chain), vec![layers[1].clone()]));
        drop(held);
        assert_eq!(claimed(host, &chain, &layers).await, (texts(&chain), layers));
    });
}

fn what_is_claimed_has_one_claim_and_is_not_removed_by_others<S: Archives>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        let (layers, chain) = stack::<S>(host, &["file"]).await;
        let twice = [chain[0].clone(), chain[0].clone()];
        let claim = host.claim_trees(&texts(&twice), &layers).await.unwrap();
        assert_eq!(claim.names(), (texts(&chain), layers.clone()));
        assert_eq!(claimed(&rival, &chain, &layers).await, (Vec::new(), Vec::new()));
        assert_eq!(rival.remove_snapshot(chain[0].as_str()).await, Err(ErrorCode::InUse));
        assert_eq!(rival.remove_layer(&layers[0]).await, Err(ErrorCode::InUse));
        drop(claim);
        assert_eq!(rival.remove_snapshot(chain[0].as_str()).await, Ok(()));
    });
}

fn nothing_is_removed_from_under_what_would_stay<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let (layers, chain) = stack::<S>(host, &["lower", "upper"]).await;
        let rows: [(&[Digest], &[Digest]); 3] = [(&chain[..1], &[]), (&[], &layers[1..]), (&chain[1..], &layers)];
        for (snapshots, going) in rows {
            let claim = host.claim_trees(&texts(&chain), &layers).await.unwrap();
            let removed = claim.remove(&texts(snapshots), going).await;
            assert_eq!(removed, Err(ErrorCode::Invalid), "{snapshots:?} {going:?}");
            for (layer, snapshot) in layers.iter().zip(&chain) {
                assert!(host.layer(layer).await.is_ok() && host.snapshot(snapshot).await.is_ok());
            }
        }
    });
}

fn a_claim_of_trees_removes_what_is_listed_and_lets_go_of_the_rest<S: Archives>() {
    let subject = S::new();
    let (layers, chain) = subject.run(async {
        let host = subject.host();
        let (layers, chain) = stack::<S>(host, &["lower", "upper"]).await;
        drop(layer::<S>(host, "stays").await);
        host.sync_layers().await.unwrap();
        let mut asked = layers.clone();
        asked.push(S::archive("stays").1);
        let claim = host.claim_trees(&texts(&chain), &asked).await.unwrap();
        let (snapshots, going) = ([chain[1].clone(), sha256(b"absent")], [layers[1].clone(), sha256(b"absent")]);
        assert_eq!(claim.remove(&texts(&snapshots), &going).await, Ok(()));
        assert_eq!(host.snapshot(&chain[1]).await.err(), Some(ErrorCode::NotFound));
        assert!(host.snapshot(&chain[0]).await.is_ok());
        (layers, chain)
    });
    let subject = subject.restart();
    subject.run(async {
        let host = subject.host();
        assert_eq!(host.snapshot(&chain[1]).await.err(), Some(ErrorCode::NotFound));
        assert_eq!(host.layer(&layers[1]).await.err(), Some(ErrorCode::NotFound));
        assert!(host.snapshot(&chain[0]).await.is_ok() && host.layer(&S::archive("stays").1).await.is_ok());
        stack::<S>(host, &["lower", "upper"]).await;
        assert!(host.snapshot(&chain[1]).await.is_ok(), "it can come back");
    });
}

/// A snapshot of a subject that is mounted until what is returned is dropped.
trait Mounts: Archives {
    fn mount(&self, name: &Digest) -> Box<dyn Any>;
}

struct Pretended(Memory, Digest);

impl Drop for Pretended {
    fn drop(&mut self) {
        self.0.layers().unmount(&self.1);
    }
}

impl Mounts for Simulated {
    fn mount(&self, name: &Digest) -> Box<dyn Any> {
        self.host().layers().mount(name);
        Box::new(Pretended(self.host().clone(), name.clone()))
    }
}

struct Mounted(TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

impl Mounts for Real {
    fn mount(&self, name: &Digest) -> Box<dyn Any> {
        let at = tempfile::tempdir().expect("a temporary directory");
        let directory = std::fs::File::open(at.path()).expect("the directory");
        let layers = self.layers();
        let snapshot = layers.snapshot(name.as_str()).expect("the snapshot");
        layers.mount(&snapshot, std::os::fd::AsFd::as_fd(&directory)).expect("a mount");
        Box::new(Mounted(at))
    }
}

fn what_is_mounted_is_told_and_not_claimed<S: Mounts>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let (layers, chain) = stack::<S>(host, &["lower", "middle", "upper"]).await;
        assert_eq!(host.mounted().await, Ok(Vec::new()));
        let mount = subject.mount(&chain[1]);
        assert_eq!(host.mounted().await, Ok(texts(&chain[1..2])));
        assert_eq!(claimed(host, &chain, &layers).await, (texts(&chain[2..]), layers[2..].to_vec()));
        let again = subject.mount(&chain[1]);
        drop(mount);
        assert_eq!(host.mounted().await.map(|names| names.len()), Ok(1), "in two places is told once");
        drop(again);
        assert_eq!(host.mounted().await, Ok(Vec::new()));
        assert_eq!(claimed(host, &chain, &layers).await, (texts(&chain), layers));
    });
}

fn an_ingest_is_discarded_when_nobody_holds_it<S: Subject>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        for name in ["given up", "stays"] {
            let ingest = host.ingest(name).await.unwrap();
            ingest.append(host.stream(b"some bytes".to_vec()), u64::MAX).await.unwrap();
        }
        let held = host.ingest("stays").await.unwrap();
        let mut told: Vec<_> = rival.ingests(None, 9).await.unwrap();
        told.sort_by(|one, other| one.name.cmp(&other.name));
        let facts: Vec<_> = told.iter().map(|one| (one.name.as_deref(), one.size, one.held)).collect();
        assert_eq!(facts, [(Some("given up"), 10, false), (Some("stays"), 10, true)]);
        assert_eq!(rival.discard(&told[1].key).await, Err(ErrorCode::InUse));
        assert_eq!(rival.discard(&told[0].key).await, Ok(()));
        assert_eq!(rival.discard(&told[0].key).await, Ok(()), "what is absent is discarded already");
        assert_eq!(rival.ingests(None, 9).await.unwrap().len(), 1);
        assert_eq!(host.ingest("given up").await.unwrap().offset(), 0);
        assert_eq!(held.offset(), 10);
        drop(held);
        assert_eq!(rival.discard(&told[1].key).await, Ok(()));
        assert_eq!(host.ingest("stays").await.unwrap().offset(), 0);
    });
}

async fn write<H: Host>(host: &H, namespaces: &[&str]) {
    let transaction = host.begin().await.unwrap();
    for namespace in namespaces {
        transaction.put(namespace, "a key", b"a value".to_vec());
        transaction.put(namespace, "another key", b"a value".to_vec());
    }
    transaction.commit().await.unwrap();
}

fn namespaces_are_listed_in_order_and_in_pages<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let names = ["", "A", "a", "ab", "b", "é"];
        write(host, &["b", "é", "a", "", "ab", "A"]).await;
        let transaction = host.begin().await.unwrap();
        for limit in [1, 2, 6, u32::MAX] {
            let mut seen: Vec<String> = Vec::new();
            loop {
                let page = transaction.namespaces(seen.last().map(String::as_str), limit).await.unwrap();
                if page.is_empty() {
                    break;
                }
                assert!(page.len() <= limit as usize);
                seen.extend(page);
            }
            assert_eq!(seen, names, "{limit} at once");
        }
        assert_eq!(transaction.namespaces(Some("aa"), 9).await.unwrap(), ["ab", "b", "é"], "it need not be there");
        assert_eq!(transaction.namespaces(None, 0).await.unwrap(), [""; 0]);
    });
}

fn namespaces_are_those_of_the_snapshot_and_of_own_writes<S: Subject>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    subject.run(async {
        write(host, &["a", "c"]).await;
        let transaction = host.begin().await.unwrap();
        assert_eq!(transaction.namespaces(None, 9).await.unwrap(), ["a", "c"]);
        write(&other, &["d"]).await;
        transaction.put("b", "a key", Vec::new());
        transaction.delete("a", "a key");
        assert_eq!(transaction.namespaces(None, 9).await.unwrap(), ["a", "b", "c"], "of one a record is left");
        transaction.delete("a", "another key");
        assert_eq!(transaction.namespaces(None, 9).await.unwrap(), ["b", "c"]);
        assert_eq!(transaction.namespaces(None, 1).await.unwrap(), ["b"]);
        assert_eq!(transaction.namespaces(Some("b"), 1).await.unwrap(), ["c"]);
        assert_eq!(transaction.commit().await, Ok(()), "what this returned is not compared");
        assert_eq!(other.begin().await.unwrap().namespaces(None, 9).await.unwrap(), ["b", "c", "d"]);
    });
}
