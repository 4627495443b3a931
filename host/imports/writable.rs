//! `wharf:images/writable` over the tops of the layer store.

use super::content::Blob;
use super::layers::{Answer, Calls, Snapshot, Stop, blocking};
use super::stream;
use crate::bindings::wharf::images::layers::Refusal;
use crate::bindings::wharf::images::writable::{Host, HostTop, HostTopWithStore, HostWithStore};
use crate::engine::state::{HasState, Push, State};
use crate::layers::view::ArchiveError;
use crate::layers::{Error, apply, top};
use bytes::Bytes;
use std::io::{self, BufWriter, Write};
use std::thread;
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};
use wasmtime::{Result, format_err};
use wharf_vocabulary::types::{self, ErrorCode};

/// How many bytes of an archive are handed on at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that wait between who reads the tree and who takes the archive.
const CHUNKS_MAX: usize = 4;

/// The host's side of `writable.top`.
#[derive(Debug)]
pub struct Top {
    service: top::Top,
}

/// An archive of changes, and why it ended.
type Changes = (StreamReader<u8>, FutureReader<std::result::Result<types::Digest, Refusal>>);

impl Host for State {}
impl HostTop for State {}

impl<T: Send + 'static> HostWithStore<T> for HasState {
    async fn prepare(
        store: &Accessor<T, Self>,
        name: String,
        writable: bool,
        parent: Option<Resource<Snapshot>>,
    ) -> Answer<Resource<Top>, Refusal> {
        let (layers, budget) = store.layers("writable.prepare");
        let parent = store.with(|mut access| {
            let parent = parent.map(|parent| access.get().table.get(&parent).map(|parent| parent.service().clone()));
            parent.transpose()
        })?;
        match blocking(&budget, move || layers.prepare(&name, writable, parent.as_deref())).await? {
            Ok(service) => Ok(Ok(store.push(Top { service })?)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    async fn find(store: &Accessor<T, Self>, name: String) -> Answer<Resource<Top>> {
        let (layers, budget) = store.layers("writable.find");
        match blocking(&budget, move || layers.find_top(&name)).await? {
            Ok(service) => Ok(Ok(store.push(Top { service })?)),
            Err(code) => Ok(Err(code)),
        }
    }

    async fn entries(store: &Accessor<T, Self>, after: Option<String>, limit: u32) -> Answer<Vec<String>> {
        let (layers, budget) = store.layers("writable.entries");
        blocking(&budget, move || layers.tops(after.as_deref(), limit as usize)).await
    }

    fn diff(mut store: Access<'_, T, Self>, of: Resource<Snapshot>) -> Result<Changes> {
        store.get().crossings.note("writable.diff");
        let snapshot = store.get().table.get(&of)?.service().clone();
        let layers = store.get().services.layers.clone();
        changes(store, move |out| layers.diff(&snapshot, out))
    }

    async fn remove(store: &Accessor<T, Self>, name: String) -> Answer<()> {
        let (layers, budget) = store.layers("writable.remove");
        blocking(&budget, move || layers.remove_top(&name)).await
    }
}

impl<T: Send + 'static> HostTopWithStore<T> for HasState {
    fn name(mut store: Access<'_, T, Self>, top: Resource<Top>) -> Result<String> {
        Ok(store.get().table.get(&top)?.service.name().to_owned())
    }

    fn parent(mut store: Access<'_, T, Self>, top: Resource<Top>) -> Result<Option<String>> {
        Ok(store.get().table.get(&top)?.service.parent().map(str::to_owned))
    }

    fn writable(mut store: Access<'_, T, Self>, top: Resource<Top>) -> Result<bool> {
        Ok(store.get().table.get(&top)?.service.writable())
    }

    async fn usage(store: &Accessor<T, Self>, top: Resource<Top>) -> Answer<(u64, u64)> {
        let (_, budget) = store.layers("writable.top.usage");
        let top = service(store, &top)?;
        blocking(&budget, move || top.usage()).await
    }

    async fn shows(store: &Accessor<T, Self>, top: Resource<Top>) -> Answer<Option<types::Digest>, Refusal> {
        let (_, budget) = store.layers("writable.top.shows");
        let top = service(store, &top)?;
        let layer = blocking(&budget, move || top.shows()).await?;
        Ok(layer.map(|layer| layer.map(|layer| layer.to_string())))
    }

    async fn apply(
        store: &Accessor<T, Self>,
        top: Resource<Top>,
        blob: Resource<Blob>,
    ) -> Answer<(types::Digest, u64), Refusal> {
        let (_, budget) = store.layers("writable.top.apply");
        let top = service(store, &top)?;
        let blob = store.with(|mut access| access.get().table.get(&blob).map(|blob| blob.service().clone()))?;
        let stop = Stop::default();
        let stopped = stop.0.clone();
        let written = blocking(&budget, move || {
            let limits = apply::Budget::default();
            match top.adopt_archive(blob.reader(0), &limits, &stopped) {
                // Something is there already, or somebody looks at it: then the files are written.
                Err(Error::InUse | Error::Conflict) => top.apply(blob.reader(0), &limits, &stopped),
                adopted => adopted,
            }
        });
        let written = written.await;
        drop(stop);
        Ok(written?.map(|written| (written.diff_id.to_string(), written.bytes)))
    }

    fn diff(mut store: Access<'_, T, Self>, top: Resource<Top>) -> Result<Changes> {
        store.get().crossings.note("writable.top.diff");
        let top = store.get().table.get(&top)?.service.clone();
        changes(store, move |out| top.diff(out))
    }

    async fn commit(
        store: &Accessor<T, Self>,
        this: Resource<Top>,
        name: String,
    ) -> Answer<Resource<Snapshot>, Refusal> {
        let (_, budget) = store.layers("writable.top.commit");
        let Top { service } = store.with(|mut access| access.get().table.delete(this))?;
        match blocking(&budget, move || service.commit(&name)).await? {
            Ok(snapshot) => Ok(Ok(store.push(Snapshot::from(snapshot))?)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn drop(mut store: Access<'_, T, Self>, top: Resource<Top>) -> Result<()> {
        store.get().table.delete(top)?;
        Ok(())
    }
}

fn service<T: Send + 'static>(store: &Accessor<T, HasState>, top: &Resource<Top>) -> Result<top::Top> {
    Ok(store.with(|mut access| access.get().table.get(top).map(|top| top.service.clone()))?)
}

/// Serves what `write` writes, on a thread of its own.
fn changes<T: Send + 'static>(
    mut store: Access<'_, T, HasState>,
    write: impl FnOnce(&mut dyn Write) -> std::result::Result<top::Changes, ArchiveError> + Send + 'static,
) -> Result<Changes> {
    let share = store.get().budget.stream()?;
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("changes".to_owned()).spawn(move || {
        let mut out = BufWriter::with_capacity(CHUNK_BYTES, Sending(sender));
        let written = write(&mut out).and_then(|changes| {
            out.flush()?;
            Ok(changes.diff_id.to_string())
        });
        // Nobody asks why: then nobody needs to know.
        let _ = ended.send(written.map_err(refusal));
    })?;
    let stream = stream::serve(&mut store, receiver, share)?;
    let end = FutureReader::new(&mut store, async move {
        end.await.map_err(|_| format_err!("the thread that read a tree for an archive has panicked"))
    })?;
    Ok((stream, end))
}

fn refusal(error: ArchiveError) -> Refusal {
    match error {
        ArchiveError::View(error) => error.into(),
        // Who takes the archive has gone away.
        ArchiveError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Refusal { code: ErrorCode::Cancelled, why: "nobody reads the archive any more".to_owned() }
        }
        ArchiveError::Write(error) => Refusal { code: ErrorCode::Other(error.to_string()), why: error.to_string() },
    }
}

/// Hands on what is written.
struct Sending(mpsc::Sender<Bytes>);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(&bytes[..bytes.len().min(CHUNK_BYTES)]);
        let length = chunk.len();
        self.0.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
