//! `wharf:images/layers` over the layer store.
//!
//! Extraction runs on blocking threads. What follows an ingest runs on one of its own from the call on, and stops when
//! its handle is dropped; so does a call that is dropped.

use crate::bindings::wharf::images::layers::{
    Host, HostClaimed, HostClaimedWithStore, HostExtraction, HostExtractionWithStore, HostLayer, HostLayerWithStore,
    HostSnapshot, HostSnapshotWithStore, HostWithStore, Refusal,
};
use crate::content;
use crate::engine::state::{HasState, Push, State};
use crate::engine::{Budget, Share};
use crate::hash::Digest;
use crate::imports::content::{Blob, Ingest, parsed};
use crate::layers::{self, Error, Layers, Unpacked, apply};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;
use wasmtime::component::{Access, Accessor, Resource};
use wasmtime::{Result, format_err};
use wharf_vocabulary::types::{self, ErrorCode};

/// The host's side of `layers.layer`.
#[derive(Debug)]
pub struct Layer {
    service: Arc<layers::Layer>,
}

/// The host's side of `layers.snapshot`.
#[derive(Debug)]
pub struct Snapshot {
    service: Arc<layers::Snapshot>,
}

/// The host's side of `layers.extraction`.
#[derive(Debug)]
pub struct Extraction {
    stop: Stop,
    job: JoinHandle<std::result::Result<Unpacked, Error>>,
    /// Whether what was extracted is what the ingest became.
    outcome: content::Outcome,
    _share: Share,
}

/// The host's side of `layers.claimed`.
#[derive(Debug)]
pub struct Claimed {
    service: layers::Claim,
    /// One of the claims that the store may hold.
    share: Share,
}

/// Stops work on another thread when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Stop(pub(super) Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl From<Error> for ErrorCode {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::NotFound,
            Error::Invalid(_) | Error::Archive(_) | Error::Compression(_) | Error::Entry { .. } | Error::Changed(_) => {
                Self::Invalid
            }
            Error::DigestMismatch { actual, .. } => Self::DigestMismatch(actual.to_string()),
            Error::TooLarge { limit, .. } => Self::TooLarge(limit),
            Error::Conflict => Self::Conflict,
            Error::InUse => Self::InUse,
            Error::NoSpace => Self::NoSpace,
            Error::Unsupported(_) => Self::Unsupported,
            Error::Stopped => Self::Cancelled,
            error @ (Error::Damaged(_) | Error::Io { .. }) => Self::Other(error.to_string()),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { why: error.to_string(), code: error.into() }
    }
}

/// Says that a DiffID is none.
fn no_diff_id() -> Refusal {
    Refusal { code: ErrorCode::Invalid, why: "the DiffID is not written as a digest is".to_owned() }
}

/// A call's answer: a trap, or a result that the guest sees.
pub(super) type Answer<T, E = ErrorCode> = Result<std::result::Result<T, E>>;

/// Runs `work` on a blocking thread, within the store's budget.
pub(super) async fn blocking<T: Send + 'static, E: From<Error>>(
    budget: &Budget,
    work: impl FnOnce() -> std::result::Result<T, Error> + Send + 'static,
) -> Answer<T, E> {
    Ok(budget.blocking(work).await?.map_err(E::from))
}

/// Returns the layer `diff_id`, of `blob` if it is not there.
async fn unpack(layers: Layers, budget: &Budget, blob: Arc<content::Blob>, diff_id: Digest) -> Answer<Layer, Refusal> {
    let stop = Stop::default();
    let stopped = stop.0.clone();
    let layer = blocking(budget, move || match layers.layer(&diff_id) {
        Err(Error::NotFound) => {
            layers::unpack(&layers, blob.reader(0), &apply::Budget::default(), &stopped)?.publish(&diff_id)
        }
        there => there,
    });
    let layer = layer.await;
    drop(stop);
    Ok(layer?.map(Layer::from))
}

impl Snapshot {
    /// Returns the service, for another interface that takes a snapshot.
    pub(super) fn service(&self) -> &Arc<layers::Snapshot> {
        &self.service
    }
}

impl From<layers::Layer> for Layer {
    fn from(layer: layers::Layer) -> Self {
        Self { service: Arc::new(layer) }
    }
}

impl From<layers::Snapshot> for Snapshot {
    fn from(snapshot: layers::Snapshot) -> Self {
        Self { service: Arc::new(snapshot) }
    }
}

impl Host for State {}
impl HostLayer for State {}
impl HostExtraction for State {}
impl HostSnapshot for State {}
impl HostClaimed for State {}

impl<T: Send + 'static> HostWithStore<T> for HasState {
    async fn open(store: &Accessor<T, Self>, diff_id: types::Digest) -> Answer<Resource<Layer>> {
        let (layers, budget) = store.layers("layers.open");
        let Ok(diff_id) = diff_id.parse::<Digest>() else { return Ok(Err(ErrorCode::Invalid)) };
        match blocking(&budget, move || layers.layer(&diff_id)).await? {
            Ok(layer) => Ok(Ok(store.push(Layer::from(layer))?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn unpack(
        store: &Accessor<T, Self>,
        blob: Resource<Blob>,
        diff_id: types::Digest,
    ) -> Answer<Resource<Layer>, Refusal> {
        let (layers, budget) = store.layers("layers.unpack");
        let blob =
            store.with(|mut access| Ok::<_, wasmtime::Error>(access.get().table.get(&blob)?.service().clone()))?;
        let Ok(diff_id) = diff_id.parse::<Digest>() else { return Ok(Err(no_diff_id())) };
        match unpack(layers, &budget, blob, diff_id).await? {
            Ok(layer) => Ok(Ok(store.push(layer)?)),
            Err(code) => Ok(Err(code)),
        }
    }

    fn follow(mut store: Access<'_, T, Self>, ingest: Resource<Ingest>) -> Result<Resource<Extraction>> {
        let state = store.get();
        state.crossings.note("layers.follow");
        let share = state.budget.extraction()?;
        let stop = Stop::default();
        let follower = state.table.get(&ingest)?.service().follow(stop.0.clone());
        let follower = follower.map_err(|error| format_err!("an ingest cannot be followed: {error}"))?;
        let (layers, stopped, outcome) = (state.services.layers.clone(), stop.0.clone(), follower.outcome());
        let job =
            tokio::task::spawn_blocking(move || layers::unpack(&layers, follower, &apply::Budget::default(), &stopped));
        Ok(state.table.push(Extraction { stop, job, outcome, _share: share })?)
    }

    async fn stack(
        store: &Accessor<T, Self>,
        name: String,
        parent: Option<Resource<Snapshot>>,
        top: Resource<Layer>,
    ) -> Answer<Resource<Snapshot>, Refusal> {
        let (layers, budget) = store.layers("layers.stack");
        let (parent, top) = store.with(|mut access| {
            let table = &access.get().table;
            let parent = parent.map(|parent| Ok::<_, wasmtime::Error>(table.get(&parent)?.service.clone()));
            Ok::<_, wasmtime::Error>((parent.transpose()?, table.get(&top)?.service.clone()))
        })?;
        match blocking(&budget, move || layers.stack(&name, parent.as_deref(), &top)).await? {
            Ok(snapshot) => Ok(Ok(store.push(Snapshot::from(snapshot))?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn find(store: &Accessor<T, Self>, name: String) -> Answer<Resource<Snapshot>> {
        let (layers, budget) = store.layers("layers.find");
        match blocking(&budget, move || layers.snapshot(&name)).await? {
            Ok(snapshot) => Ok(Ok(store.push(Snapshot::from(snapshot))?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn sync(store: &Accessor<T, Self>) -> Answer<()> {
        let (layers, budget) = store.layers("layers.sync");
        blocking(&budget, move || layers.sync()).await
    }

    async fn entries(store: &Accessor<T, Self>, after: Option<String>, limit: u32) -> Answer<Vec<String>> {
        let (layers, budget) = store.layers("layers.entries");
        blocking(&budget, move || layers.entries(after.as_deref(), limit as usize)).await
    }

    async fn remove(store: &Accessor<T, Self>, name: String) -> Answer<()> {
        let (layers, budget) = store.layers("layers.remove");
        blocking(&budget, move || layers.remove(&name)).await
    }

    async fn layer_entries(
        store: &Accessor<T, Self>,
        after: Option<types::Digest>,
        limit: u32,
    ) -> Answer<Vec<types::Digest>> {
        let (layers, budget) = store.layers("layers.layer-entries");
        let Ok(after) = after.map(|after| after.parse::<Digest>()).transpose() else {
            return Ok(Err(ErrorCode::Invalid));
        };
        let page = blocking(&budget, move || layers.layer_entries(after.as_ref(), limit as usize)).await?;
        Ok(page.map(|page| page.iter().map(Digest::to_string).collect()))
    }

    async fn remove_layer(store: &Accessor<T, Self>, diff_id: types::Digest) -> Answer<()> {
        let (layers, budget) = store.layers("layers.remove-layer");
        let Ok(diff_id) = diff_id.parse::<Digest>() else { return Ok(Err(ErrorCode::Invalid)) };
        blocking(&budget, move || layers.remove_layer(&diff_id)).await
    }

    async fn claim(
        store: &Accessor<T, Self>,
        snapshots: Vec<String>,
        diff_ids: Vec<types::Digest>,
    ) -> Answer<Resource<Claimed>> {
        let (layers, budget) = store.layers("layers.claim");
        let Some(diff_ids) = parsed(&diff_ids) else { return Ok(Err(ErrorCode::Invalid)) };
        let share = budget.claim()?;
        match blocking(&budget, move || layers.claim(&snapshots, &diff_ids)).await? {
            Ok(service) => Ok(Ok(store.push(Claimed { service, share })?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn mounted(store: &Accessor<T, Self>) -> Answer<Vec<String>> {
        let (layers, budget) = store.layers("layers.mounted");
        blocking(&budget, move || layers.mounted()).await
    }

    async fn revoke(store: &Accessor<T, Self>, name: String) -> Answer<()> {
        let (layers, budget) = store.layers("layers.revoke");
        blocking(&budget, move || layers.revoke(&name)).await
    }

    async fn revoke_layer(store: &Accessor<T, Self>, diff_id: types::Digest) -> Answer<()> {
        let (layers, budget) = store.layers("layers.revoke-layer");
        let Ok(diff_id) = diff_id.parse::<Digest>() else { return Ok(Err(ErrorCode::Invalid)) };
        blocking(&budget, move || layers.revoke_layer(&diff_id)).await
    }
}

impl<T: Send + 'static> HostClaimedWithStore<T> for HasState {
    fn names(mut store: Access<'_, T, Self>, claim: Resource<Claimed>) -> Result<(Vec<String>, Vec<types::Digest>)> {
        let service = &store.get().table.get(&claim)?.service;
        Ok((service.snapshots().map(str::to_owned).collect(), service.layers().map(Digest::to_string).collect()))
    }

    async fn remove(
        store: &Accessor<T, Self>,
        this: Resource<Claimed>,
        snapshots: Vec<String>,
        diff_ids: Vec<types::Digest>,
    ) -> Answer<()> {
        let (_, budget) = store.layers("layers.claimed.remove");
        let (Claimed { service, share }, metadata) = store.with(|mut access| {
            let state = access.get();
            Ok::<_, wasmtime::Error>((state.table.delete(this)?, state.services.metadata.clone()))
        })?;
        // What is no digest is not among the layers either.
        let diff_ids: Vec<Digest> = diff_ids.iter().filter_map(|diff_id| diff_id.parse().ok()).collect();
        let work = move || {
            let _share = share;
            metadata.settle()?;
            service.remove(&snapshots, &diff_ids).map_err(ErrorCode::from)
        };
        budget.blocking(work).await
    }

    fn drop(mut store: Access<'_, T, Self>, claim: Resource<Claimed>) -> Result<()> {
        store.get().table.delete(claim)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostExtractionWithStore<T> for HasState {
    async fn finish(
        store: &Accessor<T, Self>,
        this: Resource<Extraction>,
        blob: Resource<Blob>,
        diff_id: types::Digest,
    ) -> Answer<Resource<Layer>, Refusal> {
        let (layers, budget) = store.layers("layers.extraction.finish");
        let (extraction, blob) = store.with(|mut access| {
            let table = &mut access.get().table;
            Ok::<_, wasmtime::Error>((table.delete(this)?, table.get(&blob)?.service().clone()))
        })?;
        let Ok(diff_id) = diff_id.parse::<Digest>() else { return Ok(Err(no_diff_id())) };
        let layer = if extraction.outcome.is(blob.digest()) {
            let Extraction { stop, job, _share, .. } = extraction;
            let unpacked = job.await?;
            drop(stop);
            blocking(&budget, move || unpacked?.publish(&diff_id)).await?.map(Layer::from)
        } else {
            // The ingest began again, or is another one's: nothing of this is believed.
            drop(extraction);
            unpack(layers, &budget, blob, diff_id).await?
        };
        match layer {
            Ok(layer) => Ok(Ok(store.push(layer)?)),
            Err(code) => Ok(Err(code)),
        }
    }

    fn drop(mut store: Access<'_, T, Self>, extraction: Resource<Extraction>) -> Result<()> {
        store.get().table.delete(extraction)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostLayerWithStore<T> for HasState {
    async fn verify(store: &Accessor<T, Self>, layer: Resource<Layer>) -> Answer<(), Refusal> {
        let (_, budget) = store.layers("layers.layer.verify");
        let layer =
            store.with(|mut access| Ok::<_, wasmtime::Error>(access.get().table.get(&layer)?.service.clone()))?;
        let stop = Stop::default();
        let stopped = stop.0.clone();
        blocking(&budget, move || layer.verify(&|| stopped.load(Ordering::Relaxed))).await
    }

    async fn recipe(store: &Accessor<T, Self>, layer: Resource<Layer>) -> Answer<Option<u64>> {
        let (_, budget) = store.layers("layers.layer.recipe");
        let layer =
            store.with(|mut access| Ok::<_, wasmtime::Error>(access.get().table.get(&layer)?.service.clone()))?;
        blocking(&budget, move || layer.recipe()).await
    }

    async fn describe(store: &Accessor<T, Self>, layer: Resource<Layer>, blob: Resource<Blob>) -> Answer<u64, Refusal> {
        let (layers, budget) = store.layers("layers.layer.describe");
        let (layer, blob) = store.with(|mut access| {
            let table = &access.get().table;
            Ok::<_, wasmtime::Error>((table.get(&layer)?.service.clone(), table.get(&blob)?.service().clone()))
        })?;
        let stop = Stop::default();
        let stopped = stop.0.clone();
        blocking(&budget, move || layers.describe(&layer, blob.reader(0), blob.size(), &stopped)).await
    }

    async fn rebuild(store: &Accessor<T, Self>, layer: Resource<Layer>) -> Answer<(), Refusal> {
        let (_, budget) = store.layers("layers.layer.rebuild");
        let layer =
            store.with(|mut access| Ok::<_, wasmtime::Error>(access.get().table.get(&layer)?.service.clone()))?;
        let stop = Stop::default();
        let stopped = stop.0.clone();
        blocking(&budget, move || layer.rebuild(&stopped)).await
    }

    fn diff_id(mut store: Access<'_, T, Self>, layer: Resource<Layer>) -> Result<types::Digest> {
        Ok(store.get().table.get(&layer)?.service.diff_id().to_string())
    }

    fn usage(mut store: Access<'_, T, Self>, layer: Resource<Layer>) -> Result<(u64, u64)> {
        let layer = &store.get().table.get(&layer)?.service;
        Ok((layer.size(), layer.inodes()))
    }

    fn warnings(mut store: Access<'_, T, Self>, layer: Resource<Layer>) -> Result<Vec<String>> {
        Ok(store.get().table.get(&layer)?.service.warnings().to_vec())
    }

    fn drop(mut store: Access<'_, T, Self>, layer: Resource<Layer>) -> Result<()> {
        store.get().table.delete(layer)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostSnapshotWithStore<T> for HasState {
    async fn verify(store: &Accessor<T, Self>, snapshot: Resource<Snapshot>) -> Answer<(), Refusal> {
        let (_, budget) = store.layers("layers.snapshot.verify");
        let snapshot =
            store.with(|mut access| Ok::<_, wasmtime::Error>(access.get().table.get(&snapshot)?.service.clone()))?;
        let stop = Stop::default();
        let stopped = stop.0.clone();
        blocking(&budget, move || snapshot.verify(&|| stopped.load(Ordering::Relaxed))).await
    }

    fn name(mut store: Access<'_, T, Self>, snapshot: Resource<Snapshot>) -> Result<String> {
        Ok(store.get().table.get(&snapshot)?.service.name().to_owned())
    }

    fn parent(mut store: Access<'_, T, Self>, snapshot: Resource<Snapshot>) -> Result<Option<String>> {
        Ok(store.get().table.get(&snapshot)?.service.parent().map(str::to_owned))
    }

    fn layer(mut store: Access<'_, T, Self>, snapshot: Resource<Snapshot>) -> Result<Option<types::Digest>> {
        Ok(store.get().table.get(&snapshot)?.service.layer().map(str::to_owned))
    }

    fn usage(mut store: Access<'_, T, Self>, snapshot: Resource<Snapshot>) -> Result<(u64, u64)> {
        Ok(store.get().table.get(&snapshot)?.service.usage())
    }

    fn drop(mut store: Access<'_, T, Self>, snapshot: Resource<Snapshot>) -> Result<()> {
        store.get().table.delete(snapshot)?;
        Ok(())
    }
}

/// What every call begins with.
pub(super) trait Calls {
    /// Returns the layer store and the budget, and counts the call.
    fn layers(&self, call: &'static str) -> (Layers, Budget);
}

impl<T: Send + 'static> Calls for Accessor<T, HasState> {
    fn layers(&self, call: &'static str) -> (Layers, Budget) {
        self.with(|mut access| {
            let state = access.get();
            state.crossings.note(call);
            (state.services.layers.clone(), state.budget.clone())
        })
    }
}
