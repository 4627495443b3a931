//! `wit/layers.wit`, kept by every host that has layers. What a tree has in it is tested beside this, on real files.

use super::subject::{Real, Simulated, Subject, put, sha256};
use super::suite;
use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;
use wharf_component::host::{Extraction as _, Host, Ingest as _};
use wharf_component::nouns::chain::chain_ids;
use wharf_component::nouns::digest::Digest;
use wharf_component::nouns::problem::ErrorCode;

suite! {
    [simulated: Simulated, real: Real];
    a_layer_is_there_after_it_was_unpacked_and_not_before,
    a_layer_is_unpacked_once,
    bytes_that_are_another_layer_are_refused,
    what_is_no_archive_is_refused_and_leaves_nothing,
    what_was_synced_is_there_after_a_restart_and_nothing_else,
    an_ingest_is_followed_and_becomes_a_layer_when_its_blob_is_shown,
    an_extraction_that_is_dropped_leaves_nothing,
    an_ingest_that_was_begun_again_is_extracted_from_its_blob,
    a_stack_is_found_by_its_name,
    a_name_belongs_to_the_first_snapshot_that_has_it,
    another_process_finds_layers_and_snapshots,
    a_snapshot_goes_when_nobody_holds_it_and_nothing_stands_on_it,
    a_layer_goes_when_nobody_holds_it_and_no_snapshot_uses_it,
    layers_and_snapshots_are_listed_in_order_and_in_pages,
    what_is_absent_is_removed_already,
    a_tree_is_checked_and_is_right,
}

/// How archives look on a host.
pub(super) trait Archives: Subject {
    /// The blob of a layer that has one file of this name, and its DiffID.
    fn archive(name: &str) -> (Vec<u8>, Digest);
    /// A blob that is no archive, and the digest of what it unpacks to.
    fn broken() -> (Vec<u8>, Digest);
}

impl Archives for Simulated {
    fn archive(name: &str) -> (Vec<u8>, Digest) {
        (format!("squeezed|{name}").into_bytes(), sha256(name.as_bytes()))
    }

    fn broken() -> (Vec<u8>, Digest) {
        (b"broken archive".to_vec(), sha256(b"broken archive"))
    }
}

fn squeezed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("memory takes it");
    gzip.finish().expect("memory takes it")
}

impl Archives for Real {
    fn archive(name: &str) -> (Vec<u8>, Digest) {
        let file = wharf::demo::image::File { path: name, mode: 0o644, bytes: name.as_bytes() };
        let tar = wharf::demo::image::Layer::new("", &[file]).bytes;
        (squeezed(&tar), sha256(&tar))
    }

    fn broken() -> (Vec<u8>, Digest) {
        let noise = wharf::demo::image::noise(1, 2_048);
        (squeezed(&noise), sha256(&noise))
    }
}

async fn is_here<H: Host>(host: &H, diff_id: &Digest) -> bool {
    match host.layer(diff_id).await {
        Ok(_) => true,
        Err(ErrorCode::NotFound) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// Brings a layer that has one file of this name.
pub(super) async fn layer<S: Archives>(host: &S::Host, name: &str) -> <S::Host as Host>::Layer {
    let (archive, diff_id) = S::archive(name);
    let blob = put(host, &archive).await;
    host.unpack(&blob, &diff_id).await.expect("a layer")
}

fn a_layer_is_there_after_it_was_unpacked_and_not_before<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let (archive, diff_id) = S::archive("file");
    subject.run(async {
        let blob = put(host, &archive).await;
        assert!(!is_here(host, &diff_id).await);
        let layer = host.unpack(&blob, &diff_id).await.expect("a layer");
        assert_eq!(wharf_component::host::Layer::warnings(&layer), [""; 0]);
        assert_eq!(wharf_component::host::Layer::usage(&layer), (4, 2), "of its file, and the root");
        assert!(is_here(host, &diff_id).await && is_here(&other, &diff_id).await);
    });
}

fn a_layer_is_unpacked_once<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let (archive, diff_id) = S::archive("file");
    subject.run(async {
        let blob = put(host, &archive).await;
        let theirs = other.open(&sha256(&archive)).await.expect("the blob");
        let (one, two) = futures::future::join(host.unpack(&blob, &diff_id), other.unpack(&theirs, &diff_id)).await;
        assert!(one.is_ok() && two.is_ok(), "who comes second gets the first one's");
        // Whoever has the layer does not look at the blob: this one is no archive at all.
        let other_blob = put(host, &S::broken().0).await;
        assert!(host.unpack(&other_blob, &diff_id).await.is_ok());
    });
}

fn bytes_that_are_another_layer_are_refused<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    let ((archive, found), (_, wanted)) = (S::archive("file"), S::archive("other"));
    subject.run(async {
        let blob = put(host, &archive).await;
        let refusal = host.unpack(&blob, &wanted).await.err().expect("it is another one");
        assert_eq!(refusal.code, ErrorCode::DigestMismatch(found.clone()));
        assert!(!is_here(host, &wanted).await && !is_here(host, &found).await);
    });
}

fn what_is_no_archive_is_refused_and_leaves_nothing<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    let (broken, diff_id) = S::broken();
    subject.run(async {
        let blob = put(host, &broken).await;
        let refusal = host.unpack(&blob, &diff_id).await.err().expect("it is none");
        assert!(refusal.code == ErrorCode::Invalid && !refusal.why.is_empty(), "{refusal:?}");
        assert!(!is_here(host, &diff_id).await);
    });
}

fn what_was_synced_is_there_after_a_restart_and_nothing_else<S: Archives>() {
    let subject = S::new();
    let ((_, synced), (_, unsynced)) = (S::archive("synced"), S::archive("unsynced"));
    let [name] = &chain_ids(std::slice::from_ref(&synced))[..] else { panic!("one layer has one ChainID") };
    subject.run(async {
        let host = subject.host();
        let below = layer::<S>(host, "synced").await;
        host.stack(name, None, &below).await.expect("a snapshot");
        host.sync_layers().await.unwrap();
        layer::<S>(host, "unsynced").await;
        assert!(is_here(host, &unsynced).await);
    });
    let subject = subject.restart();
    subject.run(async {
        let host = subject.host();
        assert!(is_here(host, &synced).await && host.snapshot(name).await.is_ok());
        assert!(!is_here(host, &unsynced).await, "nobody said that its files are on the disk");
        layer::<S>(host, "unsynced").await;
        assert!(is_here(host, &unsynced).await, "and it can be made again");
    });
}

fn an_ingest_is_followed_and_becomes_a_layer_when_its_blob_is_shown<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    let (archive, diff_id) = S::archive("file");
    subject.run(async {
        let digest = sha256(&archive);
        let ingest = host.ingest(digest.as_str()).await.unwrap();
        let extraction = host.follow(&ingest);
        for part in archive.chunks(archive.len() / 3) {
            ingest.append(host.stream(part.to_vec()), u64::MAX).await.unwrap();
            assert!(!is_here(host, &diff_id).await, "it is nobody's before it is whole");
        }
        let blob = ingest.commit(&digest, archive.len() as u64).await.unwrap();
        assert!(!is_here(host, &diff_id).await);
        extraction.finish(&blob, &diff_id).await.expect("a layer");
        assert!(is_here(host, &diff_id).await);
    });
}

fn an_extraction_that_is_dropped_leaves_nothing<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    let (archive, diff_id) = S::archive("file");
    subject.run(async {
        let digest = sha256(&archive);
        let ingest = host.ingest(digest.as_str()).await.unwrap();
        let extraction = host.follow(&ingest);
        ingest.append(host.stream(archive.clone()), u64::MAX).await.unwrap();
        let blob = ingest.commit(&digest, archive.len() as u64).await.unwrap();
        drop(extraction);
        assert!(!is_here(host, &diff_id).await);
        host.unpack(&blob, &diff_id).await.expect("it can be made without");
    });
}

fn an_ingest_that_was_begun_again_is_extracted_from_its_blob<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    let (archive, diff_id) = S::archive("file");
    subject.run(async {
        let digest = sha256(&archive);
        let ingest = host.ingest(digest.as_str()).await.unwrap();
        let extraction = host.follow(&ingest);
        ingest.append(host.stream(b"other bytes".to_vec()), u64::MAX).await.unwrap();
        ingest.restart().await.unwrap();
        ingest.append(host.stream(archive.clone()), u64::MAX).await.unwrap();
        let blob = ingest.commit(&digest, archive.len() as u64).await.unwrap();
        extraction.finish(&blob, &diff_id).await.expect("a layer");
        assert!(is_here(host, &diff_id).await);
    });
}

fn a_stack_is_found_by_its_name<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    let names = ["lower", "middle", "upper"];
    let chain = chain_ids(&names.map(|name| S::archive(name).1));
    subject.run(async {
        let mut below = None;
        for (name, chain_id) in std::iter::zip(names, &chain) {
            assert_eq!(host.snapshot(chain_id).await.err(), Some(ErrorCode::NotFound));
            let top = layer::<S>(host, name).await;
            below = Some(host.stack(chain_id, below.as_ref(), &top).await.expect("a snapshot"));
            assert!(host.snapshot(chain_id).await.is_ok());
        }
        assert!(!is_here(host, &chain[2]).await, "a snapshot is no layer");
    });
}

fn a_name_belongs_to_the_first_snapshot_that_has_it<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let name = sha256(b"a name");
    subject.run(async {
        let (one, two) = (layer::<S>(host, "one").await, layer::<S>(&other, "two").await);
        let first = host.stack(&name, None, &one).await.expect("a snapshot");
        // Returned is the one that exists, whatever it was to be made of.
        other.stack(&name, None, &two).await.expect("the same snapshot");
        drop(first);
        assert!(host.snapshot(&name).await.is_ok());
    });
}

fn another_process_finds_layers_and_snapshots<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let (_, diff_id) = S::archive("file");
    let chain = chain_ids(std::slice::from_ref(&diff_id));
    subject.run(async {
        let top = layer::<S>(host, "file").await;
        host.stack(&chain[0], None, &top).await.expect("a snapshot");
        assert!(is_here(&other, &diff_id).await && other.snapshot(&chain[0]).await.is_ok());
        assert_eq!(other.sync_layers().await, Ok(()));
    });
}

fn a_snapshot_goes_when_nobody_holds_it_and_nothing_stands_on_it<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let chain = chain_ids(&["lower", "upper"].map(|name| S::archive(name).1));
    let [lower, upper] = &chain[..] else { panic!("two layers have two ChainIDs") };
    subject.run(async {
        let bottom = layer::<S>(host, "lower").await;
        let below = host.stack(lower, None, &bottom).await.expect("a snapshot");
        drop(bottom);
        assert_eq!(other.remove_snapshot(lower.as_str()).await, Err(ErrorCode::InUse), "somebody holds it");
        let top = layer::<S>(host, "upper").await;
        let above = host.stack(upper, Some(&below), &top).await.expect("a snapshot");
        drop((below, top));
        assert_eq!(other.remove_snapshot(lower.as_str()).await, Err(ErrorCode::InUse), "something stands on it");
        assert_eq!(other.remove_snapshot(upper.as_str()).await, Err(ErrorCode::InUse), "somebody holds it");
        drop(above);
        assert_eq!(other.remove_snapshot(upper.as_str()).await, Ok(()));
        assert_eq!(host.snapshot(upper).await.err(), Some(ErrorCode::NotFound));
        assert!(host.snapshot(lower).await.is_ok());
        assert_eq!(other.remove_snapshot(lower.as_str()).await, Ok(()));
        assert_eq!(host.snapshots(None, 9).await, Ok(Vec::new()));
    });
}

fn a_layer_goes_when_nobody_holds_it_and_no_snapshot_uses_it<S: Archives>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    let (_, diff_id) = S::archive("file");
    subject.run(async {
        let top = layer::<S>(host, "file").await;
        assert_eq!(other.remove_layer(&diff_id).await, Err(ErrorCode::InUse), "somebody holds it");
        drop(host.stack(&sha256(b"a name"), None, &top).await.expect("a snapshot"));
        drop(top);
        assert_eq!(other.remove_layer(&diff_id).await, Err(ErrorCode::InUse), "a snapshot uses it");
        assert!(is_here(host, &diff_id).await);
        assert_eq!(other.remove_snapshot(sha256(b"a name").as_str()).await, Ok(()));
        assert_eq!(other.remove_layer(&diff_id).await, Ok(()));
        assert!(!is_here(host, &diff_id).await);
        layer::<S>(host, "file").await;
        assert!(is_here(host, &diff_id).await, "it can come back");
    });
}

fn layers_and_snapshots_are_listed_in_order_and_in_pages<S: Archives>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let (mut layers, mut snapshots) = (Vec::new(), Vec::new());
        for number in 0..7 {
            let name = format!("file-{number}");
            let top = layer::<S>(host, &name).await;
            let named = sha256(format!("the snapshot of {name}").as_bytes());
            host.stack(&named, None, &top).await.expect("a snapshot");
            layers.push(S::archive(&name).1);
            snapshots.push(named.as_str().to_owned());
        }
        layers.sort();
        snapshots.sort();
        let (mut seen_layers, mut seen_snapshots): (Vec<Digest>, Vec<String>) = Default::default();
        loop {
            let page = host.layers(seen_layers.last(), 3).await.unwrap();
            let names = host.snapshots(seen_snapshots.last().map(String::as_str), 3).await.unwrap();
            assert!(page.len() <= 3 && names.len() <= 3);
            if page.is_empty() && names.is_empty() {
                break;
            }
            seen_layers.extend(page);
            seen_snapshots.extend(names);
        }
        assert_eq!((seen_layers, seen_snapshots), (layers, snapshots));
    });
}

fn what_is_absent_is_removed_already<S: Archives>() {
    let subject = S::new();
    subject.run(async {
        assert_eq!(subject.host().remove_layer(&sha256(b"nothing")).await, Ok(()));
        assert_eq!(subject.host().remove_snapshot(sha256(b"nothing").as_str()).await, Ok(()));
    });
}

fn a_tree_is_checked_and_is_right<S: Archives>() {
    use wharf_component::host::{Layer as _, Snapshot as _};
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let top = layer::<S>(host, "file").await;
        assert_eq!(top.verify().await, Ok(()));
        let stacked = host.stack(&sha256(b"a name"), None, &top).await.expect("a snapshot");
        assert_eq!(stacked.verify().await, Ok(()));
    });
}
