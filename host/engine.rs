//! The engine: loads the component that `build.rs` compiled, links it to the
//! services, and runs one call in one store.
//!
//! A store lives for one call and has its own limits, so that nothing leaks
//! from one request into the next. What the component decides is not known here.

mod config;
mod crossings;
mod deny;
mod embedded;
mod exports;
mod limits;
mod meter;
mod pool;
pub mod state;

pub use crossings::Crossings;
pub use deny::is_granted;
pub(crate) use exports::Exported;
pub use limits::Limits;
pub(crate) use limits::{Budget, Share};
pub(crate) use meter::Meter;
pub use state::Services;

use crate::bindings::Manager;
use exports::Exports;
use state::{HasState, State, Visit};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Component, Instance, InstancePre, Linker};
use wasmtime::{Result, Store};
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};

/// How often a running component has to yield to other work.
const EPOCH: Duration = Duration::from_millis(10);

/// A loaded component. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    instance: InstancePre<State>,
    exports: Arc<Exports>,
    service: Arc<ServicePre<State>>,
    imports: Arc<[String]>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// Loads the component for single calls. A process has one copy of its code, however often this is called.
    pub fn load() -> Result<Self> {
        let (engine, component) = embedded::component()?;
        Self::of(engine, component)
    }

    /// Loads the component for a program that answers many requests, with a place for each of so many stores at once.
    /// What a place had in it is gone when the next store gets it. More stores than that fail to be made: see
    /// [`is_full`].
    pub fn pool(stores: u32) -> Result<Self> {
        let (engine, component) = embedded::load(pool::config(stores))?;
        Self::of(engine, component)
    }

    fn of(engine: wasmtime::Engine, component: Component) -> Result<Self> {
        let linker = link(&engine, &component)?;
        let instance = linker.instantiate_pre(&component)?;
        let exports = Arc::new(Exports::of(&instance)?);
        let service = Arc::new(ServicePre::new(instance.clone())?);
        let imports = component.component_type().imports(&engine).map(|(name, _)| name.to_owned()).collect();
        Ok(Self { engine, instance, exports, service, imports })
    }

    /// Returns the interfaces that the component imports, as in
    /// `wharf:images/content@0.1.0`. Those below `wasi:` that [`is_granted`] does
    /// not know are traps.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Makes a store with an instance in it, for one call of one interface.
    pub(crate) async fn session<E: Exported>(&self, services: &Services, limits: &Limits) -> Result<(Store<State>, E)> {
        let mut store = Store::new(&self.engine, State::new(services.clone(), limits));
        limits.apply(&mut store)?;
        let instance = self.instance.instantiate_async(&mut store).await?;
        let exported = E::load(&self.exports, &mut store, &instance)?;
        Ok((store, exported))
    }

    /// Makes a store with an instance in it that answers one request as `visit` says.
    pub(crate) async fn visit(
        &self,
        services: &Services,
        limits: &Limits,
        visit: Visit,
    ) -> Result<(Store<State>, Service)> {
        let state = State { visit: Some(visit), ..State::new(services.clone(), limits) };
        let mut store = Store::new(&self.engine, state);
        limits.apply(&mut store)?;
        let service = self.service.instantiate_async(&mut store).await?;
        Ok((store, service))
    }
}

/// Whether a store could not be made because all places of a pool are taken.
pub fn is_full(error: &wasmtime::Error) -> bool {
    error.is::<wasmtime::PoolConcurrencyLimitError>()
}

/// Links what wharf grants, and traps in the place of the rest of WASI.
fn link(engine: &wasmtime::Engine, component: &Component) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    Manager::add_to_linker::<_, HasState>(&mut linker, |state| state)?;
    crate::imports::wasi::add_to_linker(&mut linker)?;
    deny::define_missing_wasi(&mut linker, engine, component)?;
    Ok(linker)
}

/// Another component than wharf's own, with the same rights. Cheap to clone.
#[derive(Clone)]
pub struct Stranger {
    instance: InstancePre<State>,
}

impl std::fmt::Debug for Stranger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stranger")
    }
}

impl Stranger {
    /// Loads a component.
    ///
    /// # Safety
    ///
    /// `native` has to be what this version of wasmtime made of a component, with
    /// the configuration of `host/engine/config.rs`.
    pub unsafe fn load(native: &[u8]) -> Result<Self> {
        // SAFETY: the caller promises it.
        unsafe { Self::of(&config::config(), native) }
    }

    /// Loads a component into a pool, as [`Engine::pool`] does.
    ///
    /// # Safety
    ///
    /// As for [`Stranger::load`].
    pub unsafe fn pool(native: &[u8], stores: u32) -> Result<Self> {
        // SAFETY: the caller promises it.
        unsafe { Self::of(&pool::config(stores), native) }
    }

    /// # Safety
    ///
    /// As for [`Stranger::load`].
    unsafe fn of(config: &wasmtime::Config, native: &[u8]) -> Result<Self> {
        let engine = wasmtime::Engine::new(config)?;
        // SAFETY: the caller promises it.
        let component = unsafe { Component::deserialize(&engine, native)? };
        let instance = link(&engine, &component)?.instantiate_pre(&component)?;
        tick(&engine);
        Ok(Self { instance })
    }

    /// Makes a store with an instance in it, with these limits.
    pub async fn instantiate(&self, services: &Services, limits: &Limits) -> Result<(Store<State>, Instance)> {
        let mut store = Store::new(self.instance.engine(), State::new(services.clone(), limits));
        limits.apply(&mut store)?;
        let instance = self.instance.instantiate_async(&mut store).await?;
        Ok((store, instance))
    }
}

/// Makes a store with an instance of another component in it: the same rights,
/// the same limits.
///
/// # Safety
///
/// As for [`Stranger::load`].
pub async unsafe fn instantiate(
    native: &[u8],
    services: &Services,
    limits: &Limits,
) -> Result<(Store<State>, Instance)> {
    // SAFETY: the caller promises it.
    unsafe { Stranger::load(native)? }.instantiate(services, limits).await
}

/// Advances the epoch for as long as the engine lives.
fn tick(engine: &wasmtime::Engine) {
    let engine = engine.weak();
    std::thread::spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(EPOCH);
        }
    });
}
