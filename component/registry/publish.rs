//! Manifests and indexes left at a registry, by tag or by digest, byte for byte. It
//! does not know what they need: whoever publishes one has brought that there. One
//! that has a subject is listed as its referrer afterwards, by the registry or else by
//! this end: see [`referrers`](super::referrers).
//!
//! OCI distribution-spec 1.1, “Pushing Manifests” and “Pushing Manifests with Subject”.

use super::{
    Failure, Repository,
    failure::Fault,
    refusal::Subject,
    request::{Answer, Load},
    rounds::Need,
    server::Server,
};
use crate::{
    host::{Host, Method},
    nouns::{descriptor::Descriptor, digest::Digest, manifest::Document, media_type, problem::ErrorCode},
};

/// What came of publishing a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Whether the registry had it under this name before.
    pub was_there: bool,
    /// The tag under which it is listed as a referrer of its subject, where the registry
    /// keeps no such lists.
    pub tag: Option<String>,
}

impl<H: Host> Repository<'_, H> {
    /// Asks whether a tag or a digest points to exactly this manifest there.
    pub async fn has_manifest(&self, which: &str, what: &Descriptor) -> Result<bool, Failure> {
        let attempts_max = self.common.attempts_max;
        self.persist(Need::Push, attempts_max, async |server| server.has_manifest(which, what).await).await
    }

    /// Leaves a manifest or an index at the registry, under a tag or its digest, unless
    /// it is there. `document` is what the bytes say.
    pub async fn publish(
        &self,
        which: &str,
        what: &Descriptor,
        bytes: &[u8],
        document: &Document,
    ) -> Result<Published, Failure> {
        let (was_there, is_listed) = self.leave(which, what, bytes).await?;
        let mut published = Published { was_there, tag: None };
        if let Some(subject) = document.subject()
            && !is_listed
        {
            // Who broke off an earlier push may have left it without a list.
            published.tag = self.list_referrer(&subject.digest, what, document, was_there).await?;
        }
        Ok(published)
    }

    /// Leaves it there. Returns whether it was there before, and whether the registry says
    /// now that it lists it.
    pub(super) async fn leave(&self, which: &str, what: &Descriptor, bytes: &[u8]) -> Result<(bool, bool), Failure> {
        let mut was_there = true;
        self.persist(Need::Push, self.common.attempts_max, async |server| {
            // What failed before may have been the answer alone.
            if server.has_manifest(which, what).await? {
                return Ok((was_there, false));
            }
            was_there = false;
            let is_listed = server.publish(which, what, bytes).await?;
            Ok((was_there, is_listed))
        })
        .await
    }
}

impl<H: Host> Server<'_, H> {
    async fn has_manifest(&self, which: &str, what: &Descriptor) -> Result<bool, Fault> {
        let accept = vec![("accept", media_type::ACCEPT.join(", "))];
        let answer = self.exchange(&self.ask(Method::Head, &format!("manifests/{which}"), accept)).await?;
        match answer.response.status {
            200 => Ok(said(&answer).is_some_and(|said| said == what.digest)),
            // Some registries do not know HEAD, or cannot tell what is not there from what may not be seen.
            404 | 405 | 501 => Ok(false),
            _ => Err(self.refusal(answer, Subject::Publish(which)).await),
        }
    }

    async fn publish(&self, which: &str, what: &Descriptor, bytes: &[u8]) -> Result<bool, Fault> {
        let headers = vec![("content-type", what.media_type.clone())];
        let ask = self.ask(Method::Put, &format!("manifests/{which}"), headers);
        let answer = self.exchange_with(&ask, &Load::Document(bytes)).await?;
        if !matches!(answer.response.status, 200..=204) {
            return Err(self.refusal(answer, Subject::Publish(which)).await);
        }
        let is_listed = answer.header("oci-subject").is_some();
        match said(&answer) {
            Some(said) if said == what.digest || said.algorithm() != what.digest.algorithm() => Ok(is_listed),
            Some(said) => {
                let from = &answer.target.origin.authority;
                let why = format!("`{from}` made `{said}` of the manifest, and it is `{}`", what.digest);
                Err(Fault::last(ErrorCode::DigestMismatch(said), why))
            }
            // A registry that does not say what it has is asked for what it should have.
            None if self.has_manifest_by_digest(what).await? => Ok(is_listed),
            None => {
                let from = &answer.target.origin.authority;
                let why = format!("`{from}` took the manifest, and has no `{}` now", what.digest);
                Err(Fault::last(ErrorCode::Invalid, why))
            }
        }
    }

    async fn has_manifest_by_digest(&self, what: &Descriptor) -> Result<bool, Fault> {
        let accept = vec![("accept", media_type::ACCEPT.join(", "))];
        let ask = self.ask(Method::Head, &format!("manifests/{}", what.digest), accept);
        let answer = self.exchange(&ask).await?;
        match answer.response.status {
            200 => Ok(said(&answer).is_none_or(|said| said == what.digest)),
            404 => Ok(false),
            // It cannot be told.
            405 | 501 => Ok(true),
            _ => Err(self.refusal(answer, Subject::Publish(what.digest.as_str())).await),
        }
    }
}

/// Returns the digest that the registry says.
fn said<S>(answer: &Answer<S>) -> Option<Digest> {
    answer.header("docker-content-digest")?.parse().ok()
}

#[cfg(test)]
mod stories;
