//! The exports that bring images to a registry, as Rust calls. See `wit/images.wit`.

use super::{Caller, Event, Failure, PushOptions, Pushed, Wharf, listen};
use tokio_util::sync::CancellationToken;

impl Wharf {
    /// See `images.push`. `tell` and `stop` are as in [`Wharf::pull`]; what the registry has by then it keeps.
    ///
    /// `origins` are the names by which what refers to the image may be looked for, if it goes with it: these
    /// registries may be asked as well.
    pub async fn push(
        &self,
        caller: &Caller,
        reference: &str,
        origins: &[String],
        options: &PushOptions,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Vec<Pushed>, Failure> {
        let services = self.services_for(&named(reference, origins, options), &options.access);
        let (caller, reference, options) = (caller.clone(), reference.to_owned(), options.clone());
        self.call(&services, "push", async |accessor, images| {
            let told = images.call_push(accessor, caller, reference, options).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }

    /// See `images.copy`. Both registries may be asked; `tell` and `stop` are as in [`Wharf::push`].
    pub async fn copy(
        &self,
        caller: &Caller,
        source: &str,
        destination: &str,
        options: &PushOptions,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Vec<Pushed>, Failure> {
        let services = self.services_for(&[source, destination], &options.access);
        let (caller, options) = (caller.clone(), options.clone());
        let (source, destination) = (source.to_owned(), destination.to_owned());
        self.call(&services, "copy", async |accessor, images| {
            let told = images.call_copy(accessor, caller, source, destination, options).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }

    /// See `images.plan-copy`.
    pub async fn plan_copy(
        &self,
        caller: &Caller,
        source: &str,
        destination: &str,
        options: &PushOptions,
    ) -> Result<Vec<Pushed>, Failure> {
        let services = self.services_for(&[source, destination], &options.access);
        let (caller, options) = (caller.clone(), options.clone());
        let (source, destination) = (source.to_owned(), destination.to_owned());
        self.call(&services, "plan-copy", async |accessor, images| {
            images.call_plan_copy(accessor, caller, source, destination, options).await
        })
        .await
    }

    /// See `images.plan-push`. `origins` are as in [`Wharf::push`].
    pub async fn plan_push(
        &self,
        caller: &Caller,
        reference: &str,
        origins: &[String],
        options: &PushOptions,
    ) -> Result<Vec<Pushed>, Failure> {
        let services = self.services_for(&named(reference, origins, options), &options.access);
        let (caller, reference, options) = (caller.clone(), reference.to_owned(), options.clone());
        self.call(&services, "plan-push", async |accessor, images| {
            images.call_plan_push(accessor, caller, reference, options).await
        })
        .await
    }
}

/// The names whose registries a call is about.
fn named<'a>(reference: &'a str, origins: &'a [String], options: &'a PushOptions) -> Vec<&'a str> {
    let there = options.destination.as_deref().unwrap_or(reference);
    std::iter::once(there).chain(origins.iter().map(String::as_str)).collect()
}
