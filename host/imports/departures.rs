//! `content.departure`: parts of blobs on their way out, and how far they are. The
//! bytes go by `stream` and are not looked at here.

use super::stream::{self, Piece};
use crate::bindings::wharf::images::content::{HostDeparture, HostDepartureWithStore};
use crate::content::Blob;
use crate::engine::state::{HasState, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::Result;
use wasmtime::component::{Access, FutureReader, Resource, StreamReader};
use wharf_vocabulary::types::ErrorCode;

/// The host's side of `content.departure`.
#[derive(Debug)]
pub struct Departure {
    taken: Arc<AtomicU64>,
}

/// How far it is, the bytes, and why they ended.
pub(super) type Departing = (Resource<Departure>, StreamReader<u8>, FutureReader<std::result::Result<(), ErrorCode>>);

impl HostDeparture for State {}

impl<T: Send + 'static> HostDepartureWithStore<T> for HasState {
    fn taken(mut store: Access<'_, T, Self>, departure: Resource<Departure>) -> Result<u64> {
        Ok(store.get().table.get(&departure)?.taken.load(Ordering::Relaxed))
    }

    fn drop(mut store: Access<'_, T, Self>, departure: Resource<Departure>) -> Result<()> {
        store.get().table.delete(departure)?;
        Ok(())
    }
}

/// See `content.depart`.
pub(super) fn depart<T: Send + 'static>(
    mut store: Access<'_, T, HasState>,
    blob: Arc<Blob>,
    offset: u64,
    length: u64,
) -> Result<Departing> {
    store.get().crossings.note("content.depart");
    let taken = Arc::<AtomicU64>::default();
    let pieces = vec![Piece::range(blob, offset, length)];
    let (stream, end) = stream::count(&mut store, pieces, None, taken.clone())?;
    Ok((store.get().table.push(Departure { taken })?, stream, end))
}
