//! Rust's standard library asks for more of WASI than wharf grants. What is not
//! linked by then is defined as a trap, name by name and only below `wasi:`, so
//! that a missing import of wharf's own stays an error at load time.

use super::state::State;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceType};
use wasmtime::{Engine, Result, bail};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, IoError};

/// The interfaces that `imports::wasi` links.
const GRANTED: [&str; 9] = [
    "wasi:http/client@0.3",
    "wasi:http/types@0.3",
    "wasi:clocks/monotonic-clock@0.3",
    "wasi:clocks/system-clock@0.3",
    "wasi:clocks/types@0.3",
    "wasi:random/random@0.3",
    "wasi:random/insecure-seed@0.2",
    "wasi:io/error@0.2",
    "wasi:io/streams@0.2",
];

/// Granted as well; these two have functions that `imports::wasi` writes itself.
const GRANTED_PLAIN: [&str; 2] = ["wasi:cli/stderr@0.2", "wasi:cli/environment@0.2"];

/// Defines every import of `component` below `wasi:` that is not granted.
pub(super) fn define_missing_wasi(linker: &mut Linker<State>, engine: &Engine, component: &Component) -> Result<()> {
    for (name, item) in component.component_type().imports(engine) {
        if !name.starts_with("wasi:") || is_granted(name) {
            continue;
        }
        let ComponentItem::ComponentInstance(instance) = item.ty else { bail!("`{name}` is not an interface") };
        let mut linker = linker.instance(name)?;
        for (function, item) in instance.exports(engine) {
            define(&mut linker, name, function, item.ty)?;
        }
    }
    Ok(())
}

/// Whether `name`, as in `wasi:io/error@0.2.6`, is one of the granted ones in
/// any patch version.
pub fn is_granted(name: &str) -> bool {
    GRANTED
        .iter()
        .chain(&GRANTED_PLAIN)
        .any(|granted| name.strip_prefix(granted).is_some_and(|patch| patch.is_empty() || patch.starts_with('.')))
}

fn define(linker: &mut LinkerInstance<'_, State>, interface: &str, function: &str, item: ComponentItem) -> Result<()> {
    match item {
        ComponentItem::ComponentFunc(_) => {
            let what = format!("{interface}#{function}");
            linker.func_new(function, move |_, _, _, _| {
                bail!("the component called `{what}`, which wharf does not grant")
            })
        }
        // The granted interfaces and the others name these types, so they have to be the same ones. What can be
        // done with them traps all the same, unless it is granted.
        ComponentItem::Resource(_) => match function {
            "pollable" => resource::<DynPollable>(linker, function),
            "input-stream" => resource::<DynInputStream>(linker, function),
            "output-stream" => resource::<DynOutputStream>(linker, function),
            "error" => resource::<IoError>(linker, function),
            _ => linker.resource(function, ResourceType::host::<()>(), |_, _| Ok(())),
        },
        _ => Ok(()),
    }
}

fn resource<R: Send + 'static>(linker: &mut LinkerInstance<'_, State>, name: &str) -> Result<()> {
    linker.resource(name, ResourceType::host::<R>(), |mut store, handle| {
        store.data_mut().table.delete(Resource::<R>::new_own(handle))?;
        Ok(())
    })
}
