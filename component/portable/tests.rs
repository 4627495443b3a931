//! The store on real files: what every part of it promises. Two handles on one
//! directory stand for two processes, and what a killed process leaves is made by
//! hand. It tests no runtime of WebAssembly.

mod blobs;
mod commits;
mod ingests;
mod layouts;
mod records;

use super::{Ambient, Chunks, Store};
use crate::{
    host::{Ingest as _, Transaction as _},
    nouns::{
        digest::{Algorithm, Digest},
        record::{IMAGE_PREFIX, ImageRecord},
    },
};
use futures_util::task::noop_waker_ref;
use std::{
    cell::Cell,
    collections::VecDeque,
    fs::{self, File},
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

const NS: &str = "default";

/// Bytes that come in pieces, and perhaps never end.
pub(super) struct Bytes {
    pieces: VecDeque<Vec<u8>>,
    is_stuck: bool,
}

impl Bytes {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { pieces: bytes.chunks(1_000).map(<[u8]>::to_vec).collect(), is_stuck: false }
    }

    /// Comes to no end.
    fn stuck(bytes: &[u8]) -> Self {
        Self { is_stuck: true, ..Self::new(bytes) }
    }

    fn rest(self) -> Vec<u8> {
        self.pieces.into_iter().flatten().collect()
    }
}

impl Chunks for Bytes {
    async fn next(&mut self, most: usize) -> Option<Vec<u8>> {
        let Some(mut piece) = self.pieces.pop_front() else {
            if self.is_stuck {
                std::future::pending::<()>().await;
            }
            return None;
        };
        if piece.len() > most {
            self.pieces.push_front(piece.split_off(most));
        }
        Some(piece)
    }
}

/// Polls a future so often, and returns what it has come to.
pub(super) fn finished<F: Future>(mut future: Pin<&mut F>, polls: usize) -> Option<F::Output> {
    let mut context = Context::from_waker(noop_waker_ref());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// Polls a future until it is ready.
pub(super) fn run<F: Future>(future: F) -> F::Output {
    finished(Box::pin(future).as_mut(), 1_000_000).expect("the future comes to an end")
}

/// Opens a directory as another process would.
pub(super) fn open(path: &Path) -> Store {
    run(Store::open(path, ambient())).expect("a layout")
}

fn ambient() -> Ambient {
    let state = Cell::new(u64::from_le_bytes(
        *tempfile::Builder::new()
            .rand_bytes(8)
            .tempdir()
            .unwrap()
            .path()
            .as_os_str()
            .as_encoded_bytes()
            .last_chunk()
            .unwrap(),
    ));
    let random = move || {
        state.set(state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        state.get() >> 1
    };
    // Whoever sleeps is polled again, and time is made by hand.
    let sleep = |_| {
        let mut had = false;
        let nap = std::future::poll_fn(
            move |_| if std::mem::replace(&mut had, true) { Poll::Ready(()) } else { Poll::Pending },
        );
        Box::pin(nap) as _
    };
    Ambient { sleep: Box::new(sleep), random: Box::new(random) }
}

pub(super) fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    (directory, store)
}

/// Makes a file look as if nobody had written it for so many seconds.
pub(super) fn age(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// Bytes that repeat after 251, so that a piece in the wrong place is noticed.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

fn put(store: &Store, bytes: &[u8]) -> Digest {
    let digest = sha256(bytes);
    let ingest = run(store.ingest::<Bytes>(digest.as_str())).unwrap();
    run(ingest.append(Bytes::new(bytes), u64::MAX)).unwrap();
    run(ingest.commit(&digest, bytes.len() as u64)).unwrap();
    digest
}

/// Every file below a directory, in order.
fn files(root: &Path) -> Vec<String> {
    fn walk(root: &Path, directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}

/// An image of one layer, as documents. Returns the manifest as a descriptor.
fn image(store: &Store, architecture: &str) -> String {
    let layer = put(store, format!("layer of {architecture}").as_bytes());
    let config = format!(
        r#"{{"created":"2024-01-02T03:04:05Z","architecture":"{architecture}","os":"linux","config":{{"Labels":{{"a":"b"}}}},
        "rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
    );
    let config_digest = put(store, config.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{}}},
        "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{}}}]}}"#,
        config.len(),
        format!("layer of {architecture}").len()
    );
    let digest = put(store, manifest.as_bytes());
    format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{}}}"#,
        manifest.len()
    )
}

/// Adds annotations to a descriptor.
fn named(descriptor: &str, annotations: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = annotations.iter().map(|(key, value)| format!(r#""{key}":"{value}""#)).collect();
    format!(r#"{},"annotations":{{{}}}}}"#, descriptor.strip_suffix('}').unwrap(), pairs.join(","))
}

/// Writes `index.json` as another tool would.
fn write_index(directory: &Path, entries: &[String]) {
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    fs::write(directory.join("index.json"), text).unwrap();
}

fn key(name: &str) -> String {
    format!("{IMAGE_PREFIX}{name}")
}

fn record(store: &Store, name: &str) -> Option<Result<ImageRecord, crate::nouns::record::Error>> {
    let transaction = run(store.begin()).unwrap();
    run(transaction.get(NS, &key(name))).unwrap().map(|value| ImageRecord::decode(&value))
}
