//! The exports of `wit/records.wit`, for who serves clients of containerd.

use super::{Failure, Problem, Wharf};
use crate::bindings::exports::wharf::images::records::Guest;
use crate::engine::state::State;
use wasmtime::component::Accessor;

impl Wharf {
    /// Runs one of them, which is called `export`.
    pub(crate) async fn records<R>(
        &self,
        export: &'static str,
        run: impl AsyncFnOnce(&Accessor<State>, &Guest) -> wasmtime::Result<Result<R, Problem>>,
    ) -> Result<R, Failure> {
        self.call(&self.services, export, async |accessor, manager| run(accessor, manager.wharf_images_records()).await)
            .await
    }
}
