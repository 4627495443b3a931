//! `wit/serving.wit`: what the state of the store has of it.

use crate::bindings::wharf::images::serving::{Host, HostWithStore, Settings};
use crate::engine::state::{HasState, State};
use wasmtime::component::Access;
use wasmtime::{Result, format_err};

impl Host for State {}

impl<T: Send + 'static> HostWithStore<T> for HasState {
    fn get(mut store: Access<'_, T, Self>) -> Result<Settings> {
        let settings = store.get().serving.clone();
        settings.ok_or_else(|| format_err!("the component asked how to answer a request in a call that is none"))
    }
}
