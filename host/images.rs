//! The exports of the component as Rust calls, for the CLI and for embedders.
//! Each call gets a store of its own. Nothing is decided here.

mod archives;
mod changes;
mod discovery;
mod records;
mod snapshots;
mod trace;
mod uploads;

pub use crate::bindings::exports::wharf::images::snapshots::{Kind as SnapshotKind, SnapshotRecord};
pub use archives::Archive;
pub use wharf_terminal::named::{address, covers, host, listed, registry, searched, written};
pub use wharf_vocabulary::archives::{
    CommitOptions, Form, ImportOptions, Imported, LoadOptions, Loaded, LoadedImage, SaveOptions, Saved, SavedImage,
};
pub use wharf_vocabulary::changes::{
    Action, Change, Changed, Collecting, Composed, Edit, Garbage, Happening, ImageUsage, IndexEntry, IngestInfo, Lease,
    Member, NameChange, Plan, Pruning, Removal, Retaining, Retention, Share, Sum, Tagging, Usage, Wording,
};
pub use wharf_vocabulary::discovery::{Found, FoundRepository, Referral, Referrer, SearchOptions};
pub use wharf_vocabulary::types::{Descriptor, ErrorCode, Origin};
pub use wharf_vocabulary::uploads::{PushOptions, Pushed, PushedPart, Way};
pub use wharf_vocabulary::vocabulary::{
    Access, Allowance, AskedFor, Caller, Candidate, Capabilities, Endpoint, Event, Explanation, Findings, Flaw,
    FlawKind, Image, Listing, Machine, Phase, PlannedBlob, Problem, Progress, PullOptions, PullPlan, PullPlans, Pulled,
    Rule, Step, Transfer, Tree, Wanted,
};

use crate::bindings::exports::wharf::images::images;
use crate::engine::state::State;
use crate::engine::{Crossings, Engine, Exported, Limits, Services};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, PollSender};
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, FutureConsumer, FutureReader, Lift, Source, StreamConsumer, StreamReader, StreamResult,
};

/// Events that wait for the caller before the component waits too.
const EVENTS_MAX: usize = 64;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The component said no, and why.
    #[error("{}", .0.what)]
    Problem(Problem),
    /// The component broke a rule or a limit, or the host is broken. The store
    /// is gone; the next call gets a new one.
    #[error("the sandbox stopped: {0:#}")]
    Sandbox(wasmtime::Error),
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Sandbox(error)
    }
}

/// Is told at the end of each call what crossed the boundary during it.
type Observer = Arc<dyn Fn(&'static str, &Crossings) + Send + Sync>;

/// The image manager. Cheap to clone.
#[derive(Clone)]
pub struct Wharf {
    engine: Engine,
    services: Services,
    limits: Limits,
    observer: Option<Observer>,
}

impl std::fmt::Debug for Wharf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wharf").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Wharf {
    /// Loads the component, to work on these services.
    pub fn new(services: Services) -> Result<Self, Failure> {
        Ok(Self::of(Engine::load()?, services))
    }

    /// The same, for a program that has up to so many calls at once, again and again: their memory is mapped here.
    pub fn pooled(services: Services, calls: u32) -> Result<Self, Failure> {
        Ok(Self::of(Engine::pool(calls)?, services))
    }

    fn of(engine: Engine, services: Services) -> Self {
        Self { engine, services, limits: Limits::default(), observer: None }
    }

    /// The same engine, for other services.
    pub(crate) fn on(&self, services: Services) -> Self {
        Self { services, ..self.clone() }
    }

    /// Replaces the limits of each call.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Has `observer` called at the end of each call, with the name of the
    /// export, as in `pull`.
    #[must_use]
    pub fn with_observer(self, observer: impl Fn(&'static str, &Crossings) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self }
    }

    /// See `images.entries` in `wit/images.wit`.
    pub async fn entries(&self, caller: &Caller, filters: &[String]) -> Result<Listing, Failure> {
        let (caller, filters) = (caller.clone(), filters.to_vec());
        self.call(&self.services, "entries", async |accessor, images| {
            images.call_entries(accessor, caller, filters).await
        })
        .await
    }

    /// See `images.inspect`.
    pub async fn inspect(
        &self,
        caller: &Caller,
        reference: &str,
        platform: Option<&str>,
        manifests: bool,
        provenance: bool,
    ) -> Result<String, Failure> {
        let (caller, reference, platform) = (caller.clone(), reference.to_owned(), platform.map(str::to_owned));
        self.call(&self.services, "inspect", async |accessor, images| {
            images.call_inspect(accessor, caller, reference, platform, manifests, provenance).await
        })
        .await
    }

    /// See `images.history`.
    pub async fn history(
        &self,
        caller: &Caller,
        reference: &str,
        platform: Option<&str>,
    ) -> Result<Vec<Step>, Failure> {
        let (caller, reference, platform) = (caller.clone(), reference.to_owned(), platform.map(str::to_owned));
        self.call(&self.services, "history", async |accessor, images| {
            images.call_history(accessor, caller, reference, platform).await
        })
        .await
    }

    /// See `images.plan-pull`.
    pub async fn plan_pull(
        &self,
        caller: &Caller,
        reference: &str,
        options: &PullOptions,
    ) -> Result<PullPlans, Failure> {
        let services = self.services_for(&[reference], &options.access);
        let (caller, reference, options) = (caller.clone(), reference.to_owned(), options.clone());
        self.call(&services, "plan-pull", async |accessor, images| {
            images.call_plan_pull(accessor, caller, reference, options).await
        })
        .await
    }

    /// See `images.pull`. `tell` gets the events as they come; `stop` ends the
    /// pull and keeps what has arrived.
    pub async fn pull(
        &self,
        caller: &Caller,
        reference: &str,
        options: &PullOptions,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Vec<Pulled>, Failure> {
        let services = self.services_for(&[reference], &options.access);
        let (caller, reference, options) = (caller.clone(), reference.to_owned(), options.clone());
        self.call(&services, "pull", async |accessor, images| {
            let told = images.call_pull(accessor, caller, reference, options).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }

    /// See `images.pull-planned`. `document` is that of a [`PullPlans`]; the registry of its reference may be asked, as
    /// [`Wharf::pull`] asks that of its own. `tell` and `stop` are as there.
    pub async fn pull_planned(
        &self,
        caller: &Caller,
        document: &str,
        access: &Access,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Vec<Pulled>, Failure> {
        let services = match wharf_terminal::filed::pull(document) {
            Some(planned) => self.services_for(&[&planned.reference], access),
            None => self.services_for(&[], access),
        };
        let (caller, document, access) = (caller.clone(), document.to_owned(), access.clone());
        self.call(&services, "pull-planned", async |accessor, images| {
            let told = images.call_pull_planned(accessor, caller, document, access).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }

    /// See `images.unpack`. `tell` and `stop` are as in [`Wharf::pull`].
    pub async fn unpack(
        &self,
        caller: &Caller,
        reference: &str,
        platform: Option<&str>,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Tree, Failure> {
        let (caller, reference, platform) = (caller.clone(), reference.to_owned(), platform.map(str::to_owned));
        self.call(&self.services, "unpack", async |accessor, images| {
            let told = images.call_unpack(accessor, caller, reference, platform).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }

    /// See `images.fsck`. To repair, the registries of the images `names` may be asked, as [`Wharf::pull`] asks that of
    /// its reference. `tell` and `stop` are as there.
    pub async fn fsck(
        &self,
        caller: &Caller,
        references: &[String],
        repair: Option<(&Access, &[String])>,
        rebuild: bool,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Findings, Failure> {
        let services = match repair {
            Some((access, names)) => self.services_for(&names.iter().map(String::as_str).collect::<Vec<_>>(), access),
            None => self.services.clone(),
        };
        let (caller, references, repair) =
            (caller.clone(), references.to_vec(), repair.map(|(access, _)| access.clone()));
        self.call(&services, "fsck", async |accessor, images| {
            let told = images.call_fsck(accessor, caller, references, repair, rebuild).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }

    /// See `images.explain`.
    pub async fn explain(
        &self,
        caller: &Caller,
        reference: &str,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<Explanation, Failure> {
        let (caller, reference, wanted) = (caller.clone(), reference.to_owned(), wanted.clone());
        let access = access.clone();
        self.call(&self.services, "explain", async |accessor, images| {
            images.call_explain(accessor, caller, reference, wanted, access).await
        })
        .await
    }

    /// See `images.check-login`.
    pub async fn check_login(&self, caller: &Caller, registry: &str, access: &Access) -> Result<bool, Failure> {
        // A registry alone would be read as a path in the default one.
        let services = self.services_for(&[&format!("{registry}/")], access);
        let (caller, registry, access) = (caller.clone(), registry.to_owned(), access.clone());
        self.call(&services, "check-login", async |accessor, images| {
            images.call_check_login(accessor, caller, registry, access).await
        })
        .await
    }

    /// See `images.tags`.
    pub async fn tags(&self, caller: &Caller, repository: &str, access: &Access) -> Result<Vec<String>, Failure> {
        let services = self.services_for(&[repository], access);
        let (caller, repository, access) = (caller.clone(), repository.to_owned(), access.clone());
        self.call(&services, "tags", async |accessor, images| {
            images.call_tags(accessor, caller, repository, access).await
        })
        .await
    }

    /// See `images.catalog`.
    pub async fn catalog(&self, caller: &Caller, registry: &str, access: &Access) -> Result<Vec<String>, Failure> {
        // A registry alone would be read as a path in the default one.
        let services = self.services_for(&[&format!("{registry}/")], access);
        let (caller, registry, access) = (caller.clone(), registry.to_owned(), access.clone());
        self.call(&services, "catalog", async |accessor, images| {
            images.call_catalog(accessor, caller, registry, access).await
        })
        .await
    }

    /// Runs one of `images` on these services.
    async fn call<R>(
        &self,
        services: &Services,
        export: &'static str,
        run: impl AsyncFnOnce(&Accessor<State>, &images::Guest) -> wasmtime::Result<Result<R, Problem>>,
    ) -> Result<R, Failure> {
        self.session(services, export, run).await
    }

    /// Runs one function of an interface in a store of its own.
    async fn session<E: Exported, R>(
        &self,
        services: &Services,
        export: &'static str,
        run: impl AsyncFnOnce(&Accessor<State>, &E) -> wasmtime::Result<Result<R, Problem>>,
    ) -> Result<R, Failure> {
        let (mut store, exported) = self.engine.session::<E>(services, &self.limits).await?;
        let answer = store.run_concurrent(async |accessor| run(accessor, &exported).await).await.flatten();
        // A call that was stopped may have left a commit to itself. What has returned changes nothing any more.
        drop(store.data().commits.clone().write_owned().await);
        if let Some(observer) = &self.observer {
            observer(export, store.data().crossings());
        }
        answer?.map_err(Failure::Problem)
    }

    /// Returns the services for a call about `references`: the network may reach
    /// the registry that the person typed, also on this machine or in a private
    /// network, and logins are used for that registry alone. The component's
    /// word would not do: it has read what registries say.
    fn services_for(&self, references: &[&str], access: &Access) -> Services {
        let registries = references.iter().flat_map(|reference| wharf_terminal::named::registries(reference, access));
        let registries: Vec<_> = registries.collect::<BTreeSet<_>>().into_iter().collect();
        for registry in &registries {
            // What is no authority allows nothing, and the component says what is wrong with it.
            let _ = self.services.network.allow(registry);
        }
        let credentials = self.services.credentials.named(&registries);
        Services { credentials, ..self.services.clone() }
    }
}

/// What an export answers that tells how it gets on.
type Told<R> = (StreamReader<Event>, FutureReader<Result<R, Problem>>);

/// Hands the events of a call on until it has a result.
async fn listen<R: Send + Sync + 'static>(
    accessor: &Accessor<State>,
    (events, outcome): Told<R>,
    stop: &CancellationToken,
    tell: &mut (dyn FnMut(Event) + Send),
) -> wasmtime::Result<Result<R, Problem>>
where
    Result<R, Problem>: Lift,
{
    let (event_sender, mut event_receiver) = mpsc::channel(EVENTS_MAX);
    let (sender, receiver) = oneshot::channel();
    accessor.with(|mut access| {
        events.pipe(&mut access, Events { sender: PollSender::new(event_sender) })?;
        outcome.pipe(&mut access, Outcome { sender: Some(sender) })
    })?;
    loop {
        tokio::select! {
            // A closed stream is how the component learns that it should stop.
            () = stop.cancelled() => break drop(event_receiver),
            event = event_receiver.recv() => match event {
                Some(event) => {
                    trace::event(&event);
                    tell(event);
                }
                None => break,
            },
        }
    }
    receiver.await.map_err(|_| wasmtime::Error::msg("the component went away without a result"))
}

/// Takes the events of a call.
struct Events {
    sender: PollSender<Event>,
}

impl StreamConsumer<State> for Events {
    type Item = Event;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<State>,
        mut source: Source<'_, Event>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // One at a time: each needs a place in the channel.
        match self.sender.poll_reserve(cx) {
            // A place that was reserved before says nothing about who is there now, and the component asks by writing
            // nothing.
            Poll::Ready(Ok(())) if self.sender.get_ref().is_none_or(mpsc::Sender::is_closed) => {
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Poll::Ready(Ok(())) => {
                let mut event = None;
                source.read(&mut store, &mut event)?;
                let sent = event.is_none_or(|event| self.sender.send_item(event).is_ok());
                Poll::Ready(Ok(if sent { StreamResult::Completed } else { StreamResult::Dropped }))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Takes the result of a call, or of a stream.
struct Outcome<R, E = Problem> {
    sender: Option<oneshot::Sender<Result<R, E>>>,
}

impl<R: Send + 'static, E: Send + 'static> FutureConsumer<State> for Outcome<R, E>
where
    Result<R, E>: Lift,
{
    type Item = Result<R, E>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<State>,
        mut source: Source<'_, Self::Item>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut outcome = None;
        source.read(store, &mut outcome)?;
        if let (Some(outcome), Some(sender)) = (outcome, self.sender.take()) {
            // A caller that went away does not want it.
            let _ = sender.send(outcome);
        }
        Poll::Ready(Ok(()))
    }
}
