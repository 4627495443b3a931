//! The exports of `wit/records.wit` and `wit/snapshots.wit`, for who serves clients of containerd.

use super::{Failure, Problem, Wharf};
use crate::bindings::exports::wharf::images::{records, snapshots};
use crate::engine::state::State;
use wasmtime::component::Accessor;

impl Wharf {
    /// Runs one of `records`, which is called `export`.
    pub(crate) async fn records<R>(
        &self,
        export: &'static str,
        run: impl AsyncFnOnce(&Accessor<State>, &records::Guest) -> wasmtime::Result<Result<R, Problem>>,
    ) -> Result<R, Failure> {
        self.session(&self.services, export, run).await
    }

    /// Runs one of `snapshots`.
    pub(crate) async fn snapshots<R>(
        &self,
        export: &'static str,
        run: impl AsyncFnOnce(&Accessor<State>, &snapshots::Guest) -> wasmtime::Result<Result<R, Problem>>,
    ) -> Result<R, Failure> {
        self.session(&self.services, export, run).await
    }
}
