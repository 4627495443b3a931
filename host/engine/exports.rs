//! The interfaces of the component, as calls load them. wasmtime compares the types of every function that is loaded, which
//! was a tenth of a small request while each call loaded all interfaces.

use super::state::State;
use crate::bindings::exports::wharf::images::{images, records, snapshots};
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Result, Store};

/// Where the functions of each interface are in the component.
pub(crate) struct Exports {
    images: images::GuestIndices,
    records: records::GuestIndices,
    snapshots: snapshots::GuestIndices,
}

impl Exports {
    /// Fails if the component lacks one of them.
    pub(super) fn of(instance: &InstancePre<State>) -> Result<Self> {
        Ok(Self {
            images: images::GuestIndices::new(instance)?,
            records: records::GuestIndices::new(instance)?,
            snapshots: snapshots::GuestIndices::new(instance)?,
        })
    }
}

/// The functions of one interface, in one instance.
pub(crate) trait Exported: Sized {
    /// Fails if a function has other types than the contract says.
    fn load(exports: &Exports, store: &mut Store<State>, instance: &Instance) -> Result<Self>;
}

impl Exported for images::Guest {
    fn load(exports: &Exports, store: &mut Store<State>, instance: &Instance) -> Result<Self> {
        exports.images.load(store, instance)
    }
}

impl Exported for records::Guest {
    fn load(exports: &Exports, store: &mut Store<State>, instance: &Instance) -> Result<Self> {
        exports.records.load(store, instance)
    }
}

impl Exported for snapshots::Guest {
    fn load(exports: &Exports, store: &mut Store<State>, instance: &Instance) -> Result<Self> {
        exports.snapshots.load(store, instance)
    }
}
