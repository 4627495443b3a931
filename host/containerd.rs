//! containerd's services over gRPC: what a client says becomes a call of the component's `records` or `snapshots`, and what
//! comes of it containerd's answer. Messages are read here and not in the sandbox: the framing is a library's, and no message is a
//! document that an image brings.
//!
//! - `asked`: in which namespace, and under which lease.
//! - `convert`, `status`: words and failures of either side.
//! - `containers`, of which there are none, `content` with `read` and `write`, `diff`, `events`, `images`, `introspection`,
//!   `leases`, `namespaces`, `snapshots`, `streaming`, `transfer`, `version`: the services.
//! - `exchange`, `told`: what happens, between who tells it and who listens, and its words. `follow` is what the records say
//!   has happened.
//! - `listen`: the socket. `mounts`: how a tree is mounted, and which one is mounted so.
//!
//! ```text
//! client ─► listen ─► a service ══ records ══► component/verbs/records   (decides)
//!                        └─► host/content                                (the bytes of what was decided about)
//! ```

mod asked;
mod containers;
mod content;
mod convert;
mod diff;
mod events;
mod exchange;
mod follow;
mod images;
mod introspection;
mod leases;
mod listen;
mod mounts;
mod namespaces;
mod snapshots;
mod status;
mod streaming;
mod told;
mod transfer;
mod version;

pub use listen::Unusable;

use crate::bindings::exports::wharf::images::{records, snapshots as trees};
use crate::content::Content;
use crate::door::Prepare;
use crate::engine::{self, state::State};
use crate::images::{Caller, Failure, Problem, Wharf};
use crate::layers::Layers;
use crate::scheduler::Cause;
use exchange::Exchange;
use futures::stream::Stream;
use std::pin::Pin;
use std::sync::Arc;
use streaming::Streams;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tonic::Status;
use wasmtime::component::Accessor;

/// How many sandboxes work at once. More requests wait.
const SANDBOXES_MAX: u32 = 64;

/// What a server sends one by one.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Who answers, as it says itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The same for as long as it is this server.
    pub uuid: String,
    /// The process.
    pub process: u64,
    /// The namespace of processes that it is in, by its inode.
    pub process_namespace: u64,
}

/// Whoever answers clients of containerd. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    wharf: Wharf,
    content: Content,
    layers: Layers,
    /// In the place of its namespace stands what a request says.
    caller: Caller,
    identity: Arc<Identity>,
    turns: Arc<Semaphore>,
    exchange: Exchange,
    streams: Streams,
    /// Makes what speaks to registries.
    prepare: Prepare,
    /// Whether a namespace has to prove by the bytes that it may have what others have.
    isolated: bool,
    /// Tells who collects. Nobody may listen.
    causes: UnboundedSender<Cause>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Services {
    /// Answers from this store. `prepare` is as in [`Door::new`](crate::door::Door::new). `causes` are for
    /// [`scheduler::run_hearing`](crate::scheduler::run_hearing).
    pub fn new(
        services: engine::Services,
        caller: Caller,
        identity: Identity,
        prepare: Prepare,
        causes: UnboundedSender<Cause>,
    ) -> Result<Self, Failure> {
        let (content, layers) = (services.content.clone(), services.layers.clone());
        let wharf = Wharf::pooled(services, SANDBOXES_MAX)?;
        let turns = Arc::new(Semaphore::new(SANDBOXES_MAX as usize));
        let exchange = Exchange::default();
        let (identity, streams) = (Arc::new(identity), Streams::default());
        Ok(Self {
            wharf,
            content,
            layers,
            caller,
            identity,
            turns,
            exchange,
            streams,
            prepare,
            causes,
            isolated: false,
        })
    }

    /// The same, where a blob of one namespace is shared with another one only if the first says so by its label.
    #[must_use]
    pub fn isolating(self) -> Self {
        Self { isolated: true, ..self }
    }

    /// Asks the component about records, once it is the turn of this request.
    async fn ask<R>(
        &self,
        export: &'static str,
        run: impl AsyncFnOnce(&Accessor<State>, &records::Guest) -> wasmtime::Result<Result<R, Problem>>,
    ) -> Result<R, Failure> {
        let _turn = self.turns.acquire().await.expect("nobody closes the semaphore");
        let answer = self.wharf.records(export, run).await;
        self.caused(export, answer.is_ok());
        answer
    }

    /// The same, about snapshots.
    async fn ask_of_trees<R>(
        &self,
        export: &'static str,
        run: impl AsyncFnOnce(&Accessor<State>, &trees::Guest) -> wasmtime::Result<Result<R, Problem>>,
    ) -> Result<R, Failure> {
        let _turn = self.turns.acquire().await.expect("nobody closes the semaphore");
        let answer = self.wharf.snapshots(export, run).await;
        self.caused(export, answer.is_ok());
        answer
    }

    fn caused(&self, export: &str, is_done: bool) {
        if let Some(cause) = cause(export).filter(|_| is_done) {
            // Whoever does not collect does not listen.
            let _ = self.causes.send(cause);
        }
    }
}

/// What a call of an export means to who collects. containerd, docs/garbage-collection.md: whatever takes a reference away is
/// a deletion, and any other write a mutation.
fn cause(export: &str) -> Option<Cause> {
    match export.split_once('-').map_or(export, |(verb, _)| verb) {
        "delete" | "remove" => Some(Cause::Deletion),
        "create" | "update" | "add" | "apply" | "diff" | "prepare" | "commit" | "wrote" => Some(Cause::Mutation),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_collects_hears_of_what_changes() {
        for (export, expected) in [
            ("delete-image", Some(Cause::Deletion)),
            ("delete-lease", Some(Cause::Deletion)),
            ("remove-snapshot", Some(Cause::Deletion)),
            ("wrote", Some(Cause::Mutation)),
            ("create-image", Some(Cause::Mutation)),
            ("add-resource", Some(Cause::Mutation)),
            ("get-image", None),
            ("list-content", None),
            ("admit-writing", None),
        ] {
            assert_eq!(cause(export), expected, "{export}");
        }
    }
}
