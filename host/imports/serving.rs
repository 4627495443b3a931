//! `wit/serving.wit`: what the state of the store has of it.

use crate::bindings::wharf::images::serving::{Host, HostWithStore, Noted, Settings};
use crate::engine::state::{HasState, State};
use wasmtime::component::Access;
use wasmtime::{Result, format_err};

impl Host for State {}

impl<T: Send + 'static> HostWithStore<T> for HasState {
    fn get(mut store: Access<'_, T, Self>) -> Result<Settings> {
        let visit = store.get().visit.as_ref();
        let settings = visit.map(|visit| visit.settings.clone());
        settings.ok_or_else(|| format_err!("the component asked how to answer a request in a call that is none"))
    }

    fn note(mut store: Access<'_, T, Self>, what: Noted) -> Result<()> {
        let visit = store.get().visit.as_ref();
        let visit = visit.ok_or_else(|| format_err!("the component noted a request in a call that is none"))?;
        (visit.note)(what);
        Ok(())
    }
}
