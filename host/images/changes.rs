//! The exports that change what is here, and those about what takes space and what holds it, as Rust calls. See
//! `wit/images.wit`.

use super::{
    Access, Caller, Change, Changed, Composed, Edit, Event, Failure, IngestInfo, Lease, Plan, Retention, Usage, Wharf,
    listen,
};
use tokio_util::sync::CancellationToken;

impl Wharf {
    /// See `images.compose`.
    pub async fn compose(&self, caller: &Caller, name: &str, edit: &Edit) -> Result<Composed, Failure> {
        let (caller, name, edit) = (caller.clone(), name.to_owned(), edit.clone());
        self.call(&self.services, "compose", async |accessor, images| {
            images.call_compose(accessor, caller, name, edit).await
        })
        .await
    }

    /// See `images.manifest`.
    pub async fn manifest(&self, caller: &Caller, reference: &str, access: &Access) -> Result<String, Failure> {
        let services = self.services_for(&[reference], access);
        let (caller, reference, access) = (caller.clone(), reference.to_owned(), access.clone());
        self.call(&services, "manifest", async |accessor, images| {
            images.call_manifest(accessor, caller, reference, access).await
        })
        .await
    }

    /// See `images.plan-change`.
    pub async fn plan_change(&self, caller: &Caller, change: &Change) -> Result<Plan, Failure> {
        let (caller, change) = (caller.clone(), change.clone());
        self.call(&self.services, "plan-change", async |accessor, images| {
            images.call_plan_change(accessor, caller, change).await
        })
        .await
    }

    /// See `images.perform`. `tell` and `stop` are as in [`Wharf::pull`]; what is gone by then stays gone.
    pub async fn perform(
        &self,
        caller: &Caller,
        change: &Change,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Changed, Failure> {
        let (caller, change) = (caller.clone(), change.clone());
        self.call(&self.services, "perform", async |accessor, images| {
            let told = images.call_perform(accessor, caller, change).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }

    /// See `images.apply`. `document` is that of a [`Plan`]; `tell` and `stop` are as in [`Wharf::perform`].
    pub async fn apply(
        &self,
        caller: &Caller,
        document: &str,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Changed, Failure> {
        let (caller, document) = (caller.clone(), document.to_owned());
        self.call(&self.services, "apply", async |accessor, images| {
            let told = images.call_apply(accessor, caller, document).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }

    /// See `images.retain-by-default`.
    pub async fn retain_by_default(&self, caller: &Caller, retention: Option<Retention>) -> Result<Retention, Failure> {
        let caller = caller.clone();
        self.call(&self.services, "retain-by-default", async |accessor, images| {
            images.call_retain_by_default(accessor, caller, retention).await
        })
        .await
    }

    /// See `images.disk-usage`.
    pub async fn disk_usage(&self, caller: &Caller) -> Result<Usage, Failure> {
        let caller = caller.clone();
        self.call(&self.services, "disk-usage", async |accessor, images| images.call_disk_usage(accessor, caller).await)
            .await
    }

    /// See `images.leases`.
    pub async fn leases(&self, caller: &Caller) -> Result<Vec<Lease>, Failure> {
        let caller = caller.clone();
        self.call(&self.services, "leases", async |accessor, images| images.call_leases(accessor, caller).await).await
    }

    /// See `images.hold`.
    pub async fn hold(
        &self,
        caller: &Caller,
        id: Option<&str>,
        references: &[String],
        seconds: Option<u64>,
        labels: &[(String, String)],
    ) -> Result<Lease, Failure> {
        let (caller, id) = (caller.clone(), id.map(str::to_owned));
        let (references, labels) = (references.to_vec(), labels.to_vec());
        self.call(&self.services, "hold", async |accessor, images| {
            images.call_hold(accessor, caller, id, references, seconds, labels).await
        })
        .await
    }

    /// See `images.release`.
    pub async fn release(&self, caller: &Caller, ids: &[String]) -> Result<(), Failure> {
        let (caller, ids) = (caller.clone(), ids.to_vec());
        self.call(&self.services, "release", async |accessor, images| images.call_release(accessor, caller, ids).await)
            .await
    }

    /// See `images.ingests`.
    pub async fn ingests(&self, caller: &Caller) -> Result<Vec<IngestInfo>, Failure> {
        let caller = caller.clone();
        self.call(&self.services, "ingests", async |accessor, images| images.call_ingests(accessor, caller).await).await
    }

    /// See `images.discard`.
    pub async fn discard(&self, caller: &Caller, which: &[String]) -> Result<Vec<IngestInfo>, Failure> {
        let (caller, which) = (caller.clone(), which.to_vec());
        self.call(&self.services, "discard", async |accessor, images| {
            images.call_discard(accessor, caller, which).await
        })
        .await
    }

    /// See `images.label`.
    pub async fn label(
        &self,
        caller: &Caller,
        reference: &str,
        labels: &[(String, Option<String>)],
    ) -> Result<Vec<(String, String)>, Failure> {
        let (caller, reference, labels) = (caller.clone(), reference.to_owned(), labels.to_vec());
        self.call(&self.services, "label", async |accessor, images| {
            images.call_label(accessor, caller, reference, labels).await
        })
        .await
    }

    /// See `images.watch`. `tell` gets what has happened as [`Event::Happened`]; `stop` ends the call.
    pub async fn watch(
        &self,
        caller: &Caller,
        since: Option<&str>,
        until: Option<&str>,
        filters: &[String],
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), Failure> {
        let (since, until) = (since.map(str::to_owned), until.map(str::to_owned));
        let (caller, filters) = (caller.clone(), filters.to_vec());
        let endless = self.clone().with_limits(self.limits.endless());
        endless
            .call(&self.services, "watch", async |accessor, images| {
                let told = images.call_watch(accessor, caller, since, until, filters).await?;
                listen(accessor, told, stop, tell).await
            })
            .await
    }
}
