//! The layer store, as the component's code reaches it when it runs natively. What follows an ingest has a thread of
//! its own; everything else blocks the caller's.

use super::{Blob, code, native, refusal, told};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use wharf::layers::apply::Budget;
use wharf::layers::{self, Error, Layers, Unpacked};
use wharf_component::host::{self, Made, Result};
use wharf_component::nouns::digest::Digest;

/// See `layers.layer`.
#[derive(Debug)]
pub(crate) struct Layer(pub(super) layers::Layer);

impl host::Layer for Layer {
    fn usage(&self) -> (u64, u64) {
        (self.0.size(), self.0.inodes())
    }

    fn warnings(&self) -> Vec<String> {
        self.0.warnings().to_vec()
    }

    async fn verify(&self) -> Made<()> {
        self.0.verify(&|| false).map_err(refusal)
    }

    async fn recipe(&self) -> Result<Option<u64>> {
        self.0.recipe().map_err(code)
    }

    async fn rebuild(&self) -> Made<()> {
        self.0.rebuild(&AtomicBool::new(false)).map_err(refusal)
    }
}

/// See `layers.snapshot`.
#[derive(Debug)]
pub(crate) struct Snapshot(pub(super) layers::Snapshot);

impl host::Snapshot for Snapshot {
    fn parent(&self) -> Option<String> {
        self.0.parent().map(str::to_owned)
    }

    fn layer(&self) -> Option<Digest> {
        self.0.layer().and_then(|layer| layer.parse().ok())
    }

    fn usage(&self) -> (u64, u64) {
        self.0.usage()
    }

    async fn verify(&self) -> Made<()> {
        self.0.verify(&|| false).map_err(refusal)
    }
}

/// See `layers.claimed`.
#[derive(Debug)]
pub(crate) struct TreeClaim(pub(super) layers::Claim);

impl host::TreeClaim for TreeClaim {
    fn names(&self) -> (Vec<String>, Vec<Digest>) {
        (self.0.snapshots().map(str::to_owned).collect(), self.0.layers().map(told).collect())
    }

    async fn remove(self, snapshots: &[String], layers: &[Digest]) -> Result<()> {
        let layers: Vec<_> = layers.iter().map(native).collect();
        self.0.remove(snapshots, &layers).map_err(code)
    }
}

/// See `layers.extraction`.
#[derive(Debug)]
pub(crate) struct Extraction {
    layers: Layers,
    stop: Arc<AtomicBool>,
    outcome: wharf::content::Outcome,
    thread: Option<JoinHandle<std::result::Result<Unpacked, Error>>>,
}

impl Extraction {
    pub(super) fn begin(layers: &Layers, ingest: &wharf::content::Ingest) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let follower = ingest.follow(stop.clone()).expect("the ingest is there");
        let (outcome, theirs, stopped) = (follower.outcome(), layers.clone(), stop.clone());
        let thread = spawn(move || layers::unpack(&theirs, follower, &Budget::default(), &stopped));
        Self { layers: layers.clone(), stop, outcome, thread: Some(thread) }
    }
}

impl host::Extraction for Extraction {
    type Blob = Blob;
    type Layer = Layer;

    async fn finish(mut self, blob: &Blob, diff_id: &Digest) -> Made<Layer> {
        if !self.outcome.is(blob.0.digest()) {
            return unpack(&self.layers, blob, diff_id);
        }
        let thread = self.thread.take().expect("it is taken here alone");
        let unpacked = thread.join().expect("extracting does not panic");
        unpacked.and_then(|unpacked| unpacked.publish(&native(diff_id))).map(Layer).map_err(refusal)
    }
}

impl Drop for Extraction {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Writes the recipe of a layer.
pub(super) fn describe(layers: &Layers, layer: &Layer, blob: &Blob) -> Made<u64> {
    let never = AtomicBool::new(false);
    layers.describe(&layer.0, blob.0.reader(0), blob.0.size(), &never).map_err(refusal)
}

/// Extracts a blob from its beginning.
pub(super) fn unpack(layers: &Layers, blob: &Blob, diff_id: &Digest) -> Made<Layer> {
    let expected = native(diff_id);
    let layer = match layers.layer(&expected) {
        Err(Error::NotFound) => layers::unpack(layers, blob.0.reader(0), &Budget::default(), &AtomicBool::new(false))
            .and_then(|unpacked| unpacked.publish(&expected)),
        there => there,
    };
    layer.map(Layer).map_err(refusal)
}
