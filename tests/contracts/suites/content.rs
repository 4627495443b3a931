//! `wit/content.wit`, kept by every host.

use super::subject::{Subject, pattern, put, sha256};
use super::suite;
use futures::FutureExt as _;
use std::pin::Pin;
use wharf_component::host::{Blob as _, Claim as _, Host, Ingest as _};
use wharf_component::nouns::digest::{Algorithm, Digest};
use wharf_component::nouns::problem::ErrorCode;

suite! {
    [simulated: Simulated, real: Real, portable: Portable];
    a_blob_is_visible_after_its_commit_and_not_before,
    a_read_is_bounded_by_its_limit_and_by_the_blob,
    an_empty_blob_is_a_blob,
    sha512_is_as_good_as_sha256,
    wrong_bytes_are_refused_and_gone,
    a_commit_of_what_is_there_returns_the_blob,
    an_append_takes_up_to_its_limit_and_gives_the_rest_back,
    the_offset_grows_with_what_arrives,
    an_ingest_says_what_has_arrived_hashes_to,
    a_dropped_ingest_continues_where_it_stopped,
    an_ingest_continues_after_a_restart,
    restart_and_discard_forget_the_bytes,
    two_names_are_two_ingests,
    who_wants_an_ingest_that_is_held_waits,
    who_waits_and_gives_up_is_in_nobodys_way,
    a_held_blob_is_not_removed,
    what_is_absent_is_not_found_and_removed_already,
    another_process_finds_the_blob,
    a_blob_survives_a_restart,
    a_blob_is_hashed_again_and_is_right,
    blobs_are_listed_in_order_and_in_pages,
    a_name_is_any_text_up_to_its_limit,
    a_claim_removes_what_nobody_here_holds,
    ingests_are_listed_in_order_and_in_pages,
    what_is_no_key_is_refused_and_what_is_absent_is_discarded_already,
}

/// Whether a future is not ready when it is asked once.
fn waits<F: Future>(future: Pin<&mut F>) -> bool {
    future.now_or_never().is_none()
}

async fn is_here<H: Host>(host: &H, digest: &Digest) -> bool {
    match host.open(digest).await {
        Ok(_) => true,
        Err(ErrorCode::NotFound) => false,
        Err(other) => panic!("{other:?}"),
    }
}

async fn everything<H: Host>(host: &H, digest: &Digest) -> Vec<u8> {
    let blob = host.open(digest).await.expect("a blob");
    blob.read(0, 4 << 20).await.expect("bytes")
}

async fn append<H: Host>(host: &H, ingest: &H::Ingest, bytes: &[u8]) {
    let appended = ingest.append(host.stream(bytes.to_vec()), u64::MAX).await.expect("space");
    assert_eq!((appended.0, appended.1.is_none()), (bytes.len() as u64, true));
}

fn a_blob_is_visible_after_its_commit_and_not_before<S: Subject>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let digest = sha256(b"seen");
    subject.run(async {
        let ingest = host.ingest(digest.as_str()).await.unwrap();
        append(host, &ingest, b"seen").await;
        assert!(!is_here(host, &digest).await && !is_here(&other, &digest).await);
        assert_eq!(host.blobs(None, 10).await.unwrap(), []);
        let blob = ingest.commit(&digest, 4).await.unwrap();
        assert_eq!((blob.size(), blob.read(0, 4).await.unwrap()), (4, b"seen".to_vec()));
        assert!(is_here(host, &digest).await && is_here(&other, &digest).await);
    });
}

fn a_read_is_bounded_by_its_limit_and_by_the_blob<S: Subject>() {
    let subject = S::new();
    let bytes = pattern(10_000);
    subject.run(async {
        let blob = put(subject.host(), &bytes).await;
        for (offset, length) in [(0, 10_000), (0, 0), (17, 300), (9_990, 50), (10_000, 1), (u64::MAX, 1), (0, 4 << 20)]
        {
            let start = bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
            let end = bytes.len().min(start.saturating_add(length as usize));
            assert_eq!(blob.read(offset, length).await.unwrap(), bytes[start..end], "{length} at {offset}");
        }
        assert_eq!(blob.read(0, (4 << 20) + 1).await, Err(ErrorCode::TooLarge(4 << 20)));
    });
}

fn an_empty_blob_is_a_blob<S: Subject>() {
    let subject = S::new();
    subject.run(async {
        let ingest = subject.host().ingest("empty").await.unwrap();
        let blob = ingest.commit(&sha256(b""), 0).await.unwrap();
        assert_eq!((blob.size(), blob.read(0, 9).await.unwrap()), (0, Vec::new()));
        assert_eq!(subject.host().blobs(None, 9).await.unwrap(), [(sha256(b""), 0)]);
    });
}

fn sha512_is_as_good_as_sha256<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, b"both");
            let ingest = host.ingest("of either").await.unwrap();
            append(host, &ingest, b"both").await;
            let blob = ingest.commit(&digest, 4).await.unwrap();
            assert_eq!(blob.verify().await, Ok(()));
            assert_eq!(everything(host, &digest).await, b"both");
        }
    });
}

fn wrong_bytes_are_refused_and_gone<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    let rows: [(&[u8], u64, ErrorCode); 3] = [
        (b"right", 6, ErrorCode::SizeMismatch(5)),
        (b"right and more", 5, ErrorCode::SizeMismatch(14)),
        (b"wrong", 5, ErrorCode::DigestMismatch(sha256(b"wrong"))),
    ];
    subject.run(async {
        for (bytes, size, expected) in rows {
            let ingest = host.ingest("x").await.unwrap();
            append(host, &ingest, bytes).await;
            assert_eq!(ingest.commit(&sha256(b"right"), size).await.err(), Some(expected));
            assert!(!is_here(host, &sha256(b"right")).await && !is_here(host, &sha256(bytes)).await);
            assert_eq!(host.ingest("x").await.unwrap().offset(), 0, "the ingest is gone, whatever the outcome");
        }
    });
}

fn a_commit_of_what_is_there_returns_the_blob<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let first = put(host, b"the same").await;
        let ingest = host.ingest("another name").await.unwrap();
        append(host, &ingest, b"the same").await;
        let second = ingest.commit(&sha256(b"the same"), 8).await.unwrap();
        assert_eq!(first.read(0, 8).await.unwrap(), second.read(0, 8).await.unwrap());
        assert_eq!(host.blobs(None, 9).await.unwrap(), [(sha256(b"the same"), 8)]);
    });
}

fn an_append_takes_up_to_its_limit_and_gives_the_rest_back<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    let bytes = pattern(5_000);
    subject.run(async {
        let ingest = host.ingest("x").await.unwrap();
        let (taken, rest) = ingest.append(host.stream(bytes.clone()), 1_500).await.unwrap();
        assert_eq!((taken, ingest.offset()), (1_500, 1_500));
        let rest = rest.expect("there is more");
        let (taken, _) = ingest.append(rest, u64::MAX).await.unwrap();
        assert_eq!((taken, ingest.offset()), (3_500, 5_000));
        ingest.commit(&sha256(&bytes), 5_000).await.unwrap();
        assert_eq!(everything(host, &sha256(&bytes)).await, bytes);
    });
}

fn the_offset_grows_with_what_arrives<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    let bytes = pattern(256);
    subject.run(async {
        let ingest = host.ingest("x").await.unwrap();
        let mut seen = vec![ingest.offset()];
        for part in [&bytes[..64], &bytes[64..192], &bytes[192..]] {
            append(host, &ingest, part).await;
            seen.push(ingest.offset());
        }
        assert_eq!(seen, [0, 64, 192, 256]);
        ingest.commit(&sha256(&bytes), 256).await.unwrap();
    });
}

fn an_ingest_says_what_has_arrived_hashes_to<S: Subject>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let bytes = pattern(3_000);
    subject.run(async {
        let ingest = host.ingest("nobody knows yet").await.unwrap();
        assert_eq!(ingest.digest().await, Ok(sha256(b"")));
        append(host, &ingest, &bytes[..1_000]).await;
        assert_eq!(ingest.digest().await, Ok(sha256(&bytes[..1_000])));
        drop(ingest);
        let ingest = other.ingest("nobody knows yet").await.unwrap();
        append(&other, &ingest, &bytes[1_000..]).await;
        assert_eq!(ingest.digest().await, Ok(sha256(&bytes)), "with what another process has brought");
        ingest.restart().await.unwrap();
        assert_eq!(ingest.digest().await, Ok(sha256(b"")));
        append(&other, &ingest, &bytes[7..]).await;
        let found = ingest.digest().await.unwrap();
        ingest.commit(&found, 2_993).await.unwrap();
        assert_eq!(everything(host, &sha256(&bytes[7..])).await, bytes[7..]);
    });
}

fn a_dropped_ingest_continues_where_it_stopped<S: Subject>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let bytes = pattern(3_000);
    subject.run(async {
        let ingest = host.ingest("x").await.unwrap();
        append(host, &ingest, &bytes[..1_000]).await;
        drop(ingest);
        let ingest = host.ingest("x").await.unwrap();
        assert_eq!(ingest.offset(), 1_000);
        append(host, &ingest, &bytes[1_000..2_000]).await;
        drop(ingest);
        let ingest = other.ingest("x").await.unwrap();
        assert_eq!(ingest.offset(), 2_000, "also for another process");
        append(&other, &ingest, &bytes[2_000..]).await;
        ingest.commit(&sha256(&bytes), 3_000).await.unwrap();
        assert_eq!(everything(host, &sha256(&bytes)).await, bytes);
    });
}

fn an_ingest_continues_after_a_restart<S: Subject>() {
    let subject = S::new();
    let bytes = pattern(2_000);
    subject.run(async {
        let ingest = subject.host().ingest("x").await.unwrap();
        append(subject.host(), &ingest, &bytes[..1_000]).await;
    });
    let subject = subject.restart();
    subject.run(async {
        // A power cut may take bytes of an ingest, which nobody believes before they are hashed, and never adds any.
        let ingest = subject.host().ingest("x").await.unwrap();
        let offset = usize::try_from(ingest.offset()).unwrap();
        assert!(offset <= 1_000, "{offset}");
        append(subject.host(), &ingest, &bytes[offset..]).await;
        ingest.commit(&sha256(&bytes), 2_000).await.unwrap();
    });
}

fn restart_and_discard_forget_the_bytes<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let ingest = host.ingest("x").await.unwrap();
        append(host, &ingest, b"forgotten").await;
        ingest.restart().await.unwrap();
        assert_eq!(ingest.offset(), 0);
        append(host, &ingest, b"again").await;
        ingest.discard().await.unwrap();
        let ingest = host.ingest("x").await.unwrap();
        assert_eq!(ingest.offset(), 0);
        append(host, &ingest, b"at last").await;
        ingest.restart().await.unwrap();
        append(host, &ingest, b"kept").await;
        ingest.commit(&sha256(b"kept"), 4).await.unwrap();
    });
}

fn two_names_are_two_ingests<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let (one, other) = (host.ingest("one").await.unwrap(), host.ingest("other").await.unwrap());
        append(host, &one, b"first").await;
        append(host, &other, b"second one").await;
        assert_eq!((one.offset(), other.offset()), (5, 10));
        other.commit(&sha256(b"second one"), 10).await.unwrap();
        one.commit(&sha256(b"first"), 5).await.unwrap();
    });
}

fn who_wants_an_ingest_that_is_held_waits<S: Subject>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        let held = host.ingest("x").await.unwrap();
        let mut waiting = Box::pin(rival.ingest("x"));
        assert!(waits(waiting.as_mut()));
        append(host, &held, b"some").await;
        assert!(waits(waiting.as_mut()));
        drop(held);
        let ingest = waiting.await.unwrap();
        assert_eq!(ingest.offset(), 4, "who waited goes on where the other one stopped");
    });
}

fn who_waits_and_gives_up_is_in_nobodys_way<S: Subject>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        let held = host.ingest("x").await.unwrap();
        let mut waiting = Box::pin(rival.ingest("x"));
        assert!(waits(waiting.as_mut()));
        drop(waiting);
        drop(held);
        assert_eq!(rival.ingest("x").await.unwrap().offset(), 0);
    });
}

fn a_held_blob_is_not_removed<S: Subject>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    let digest = sha256(b"pinned");
    subject.run(async {
        let committed = put(host, b"pinned").await;
        assert_eq!(rival.remove(&digest).await, Err(ErrorCode::InUse));
        let opened = rival.open(&digest).await.unwrap();
        drop(committed);
        assert_eq!(host.remove(&digest).await, Err(ErrorCode::InUse));
        assert_eq!(opened.read(0, 9).await.unwrap(), b"pinned");
        drop(opened);
        assert_eq!(host.remove(&digest).await, Ok(()));
        assert!(!is_here(&rival, &digest).await);
    });
}

fn what_is_absent_is_not_found_and_removed_already<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        assert_eq!(host.open(&sha256(b"nothing")).await.err(), Some(ErrorCode::NotFound));
        assert_eq!(host.remove(&sha256(b"nothing")).await, Ok(()));
        drop(put(host, b"gone").await);
        assert_eq!(host.remove(&sha256(b"gone")).await, Ok(()));
        assert_eq!(host.remove(&sha256(b"gone")).await, Ok(()));
        drop(put(host, b"gone").await);
        assert!(is_here(host, &sha256(b"gone")).await, "it can come back");
    });
}

fn another_process_finds_the_blob<S: Subject>() {
    let subject = S::new();
    let other = subject.other();
    subject.run(async {
        drop(put(subject.host(), b"shared").await);
        assert_eq!(everything(&other, &sha256(b"shared")).await, b"shared");
        assert_eq!(other.sync().await, Ok(()));
    });
}

fn a_blob_survives_a_restart<S: Subject>() {
    let subject = S::new();
    subject.run(async { drop(put(subject.host(), b"durable").await) });
    let subject = subject.restart();
    subject.run(async {
        assert_eq!(everything(subject.host(), &sha256(b"durable")).await, b"durable");
        // Who held it is gone.
        assert_eq!(subject.host().remove(&sha256(b"durable")).await, Ok(()));
    });
}

fn a_blob_is_hashed_again_and_is_right<S: Subject>() {
    let subject = S::new();
    subject.run(async {
        for length in [0, 1, 70_000] {
            assert_eq!(put(subject.host(), &pattern(length)).await.verify().await, Ok(()));
        }
    });
}

fn blobs_are_listed_in_order_and_in_pages<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let mut expected = Vec::new();
        for content in 0..20_u8 {
            let bytes = vec![content; usize::from(content)];
            drop(put(host, &bytes).await);
            expected.push((sha256(&bytes), bytes.len() as u64));
        }
        expected.sort();
        for limit in [1, 7, 20, u32::MAX] {
            let mut seen: Vec<(Digest, u64)> = Vec::new();
            loop {
                let page = host.blobs(seen.last().map(|(last, _)| last), limit).await.unwrap();
                if page.is_empty() {
                    break;
                }
                assert!(page.len() <= limit as usize);
                seen.extend(page);
            }
            assert_eq!(seen, expected, "{limit} at once");
        }
        assert_eq!(host.blobs(None, 0).await.unwrap(), []);
        let absent = sha256(b"in between");
        let later = expected.iter().filter(|(digest, _)| *digest > absent).cloned().collect::<Vec<_>>();
        assert_eq!(host.blobs(Some(&absent), 100).await.unwrap(), later, "`after` need not be there");
    });
}

fn a_name_is_any_text_up_to_its_limit<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let (just, long) = ("n".repeat(4_096), "n".repeat(4_097));
        for name in ["../../etc", "/", ".", "", "a b\n\0é", &just] {
            let ingest = host.ingest(name).await.unwrap();
            append(host, &ingest, name.as_bytes()).await;
            drop(ingest);
        }
        for name in ["../../etc", "/", ".", "", "a b\n\0é", &just] {
            let ingest = host.ingest(name).await.unwrap();
            assert_eq!(ingest.offset(), name.len() as u64, "{name:.9}");
            ingest.commit(&sha256(name.as_bytes()), name.len() as u64).await.unwrap();
        }
        assert_eq!(host.ingest(&long).await.err(), Some(ErrorCode::Invalid));
    });
}

fn a_claim_removes_what_nobody_here_holds<S: Subject>() {
    let subject = S::new();
    let (host, rival) = (subject.host(), subject.rival());
    subject.run(async {
        for bytes in [&b"goes"[..], b"stays"] {
            drop(put(host, bytes).await);
        }
        let held = put(host, b"held").await;
        let digests = [&b"stays"[..], b"held", b"absent", b"goes"].map(sha256);
        let claim = rival.claim(&digests).await.unwrap();
        assert_eq!(claim.digests(), [&b"stays"[..], b"goes"].map(sha256));
        assert_eq!(claim.remove(&digests[1..]).await, Ok(4));
        assert!(is_here(host, &digests[0]).await && !is_here(host, &digests[3]).await);
        assert_eq!(held.read(0, 9).await.unwrap(), b"held");
    });
}

fn ingests_are_listed_in_order_and_in_pages<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        assert_eq!(host.ingests(None, 9).await, Ok(Vec::new()));
        for length in 1..8 {
            let ingest = host.ingest(&format!("ingest {length}")).await.unwrap();
            append(host, &ingest, &pattern(length)).await;
        }
        let all = host.ingests(None, u32::MAX).await.unwrap();
        let mut sizes: Vec<_> = all.iter().map(|one| one.size).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 2, 3, 4, 5, 6, 7]);
        assert!(all.is_sorted_by(|one, other| one.key < other.key) && all.iter().all(|one| one.age_s < 600));
        for one in all.iter().filter(|one| one.name.is_some()) {
            assert_eq!(one.name, Some(format!("ingest {}", one.size)), "a name is not always known");
        }
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = host.ingests(seen.last().map(String::as_str), 3).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 3);
            seen.extend(page.into_iter().map(|one| one.key));
        }
        assert_eq!(seen, all.into_iter().map(|one| one.key).collect::<Vec<_>>());
        assert_eq!(host.ingests(None, 0).await, Ok(Vec::new()));
    });
}

fn what_is_no_key_is_refused_and_what_is_absent_is_discarded_already<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        for key in ["", "..", "ingest 1", sha256(b"x").as_str(), &"g".repeat(64), &"A".repeat(64)] {
            assert_eq!(host.discard(key).await, Err(ErrorCode::Invalid), "{key}");
        }
        assert_eq!(host.discard(&"a".repeat(64)).await, Ok(()));
    });
}
