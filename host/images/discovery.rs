//! The exports about what registries have that nobody named, as Rust calls. See `wit/images.wit`.

use super::{Access, Caller, Failure, Found, Referral, SearchOptions, Wharf};
use wharf_terminal::named;

impl Wharf {
    /// See `images.search`.
    pub async fn search(
        &self,
        caller: &Caller,
        term: &str,
        options: &SearchOptions,
        access: &Access,
    ) -> Result<Found, Failure> {
        let services = self.services_for(&[&named::searched(term)], access);
        let (caller, term, options, access) = (caller.clone(), term.to_owned(), options.clone(), access.clone());
        self.call(&services, "search", async |accessor, images| {
            images.call_search(accessor, caller, term, options, access).await
        })
        .await
    }

    /// See `images.referrers`.
    pub async fn referrers(
        &self,
        caller: &Caller,
        reference: &str,
        artifact_type: Option<&str>,
        access: &Access,
    ) -> Result<Referral, Failure> {
        let services = self.services_for(&[reference], access);
        let (caller, reference, kind) = (caller.clone(), reference.to_owned(), artifact_type.map(str::to_owned));
        let access = access.clone();
        self.call(&services, "referrers", async |accessor, images| {
            images.call_referrers(accessor, caller, reference, kind, access).await
        })
        .await
    }
}
