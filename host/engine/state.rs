//! The data of one store: the services that the imports reach, the table of
//! handles, and the counters.

mod warnings;

pub(crate) use warnings::Warnings;

use super::{Budget, Crossings, Limits, Meter};
use crate::bindings::wharf::images::serving::{Noted, Settings};
use crate::content::Content;
use crate::credentials::Credentials;
use crate::imports::network::Hooks;
use crate::imports::wasi::Wasi;
use crate::layers::Layers;
use crate::metadata::Metadata;
use crate::network::Network;
use std::sync::Arc;
use tokio::sync::RwLock;
use wasmtime::component::{Accessor, HasData, Resource, ResourceTable};

/// The services of a host. Cheap to clone; one set serves every store.
#[derive(Clone, Debug)]
pub struct Services {
    /// Blobs and ingests.
    pub content: Content,
    /// Layers and snapshots.
    pub layers: Layers,
    /// Records.
    pub metadata: Metadata,
    /// Logins and tokens.
    pub credentials: Credentials,
    /// HTTP.
    pub network: Network,
}

/// The data of one store.
pub struct State {
    pub(crate) services: Services,
    pub(crate) table: ResourceTable,
    pub(crate) limits: Meter,
    pub(crate) budget: Budget,
    pub(crate) hooks: Hooks,
    pub(crate) wasi: Wasi,
    pub(crate) crossings: Crossings,
    pub(crate) warnings: Warnings,
    /// Is shared by the commits that are on their way: nobody else has it while there is one.
    pub(crate) commits: Arc<RwLock<()>>,
    /// What is to be answered, in a store that answers a request.
    pub(crate) visit: Option<Visit>,
}

/// A request that is answered.
pub(crate) struct Visit {
    /// How.
    pub(crate) settings: Settings,
    /// Who is told what comes of it.
    pub(crate) note: Box<dyn Fn(Noted) + Send>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("crossings", &self.crossings).finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new(services: Services, limits: &Limits) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles_max);
        let warnings = Warnings::default();
        Self {
            hooks: Hooks::new(&services, &warnings),
            wasi: Wasi::new(limits),
            limits: Meter::new(limits.store_limits()),
            budget: Budget::new(limits),
            crossings: Crossings::default(),
            table,
            services,
            warnings,
            commits: Arc::default(),
            visit: None,
        }
    }

    /// Returns what has crossed the boundary so far.
    pub fn crossings(&self) -> &Crossings {
        &self.crossings
    }
}

/// Says to wasmtime that imports work on [`State`].
#[derive(Debug)]
pub struct HasState;

impl HasData for HasState {
    type Data<'a> = &'a mut State;
}

/// Puts a new handle into the table of the store.
pub(crate) trait Push {
    /// Returns the handle; a full table is a trap.
    fn push<R: Send + 'static>(&self, resource: R) -> wasmtime::Result<Resource<R>>;
}

impl<T: Send + 'static> Push for Accessor<T, HasState> {
    fn push<R: Send + 'static>(&self, resource: R) -> wasmtime::Result<Resource<R>> {
        Ok(self.with(|mut access| access.get().table.push(resource))?)
    }
}
