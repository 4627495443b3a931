//! What a registry has about an image: signatures and other artifacts whose
//! subject it is.

use super::{
    contract::{Access, Referral, Referrer},
    failing::{invalid, problem},
    listen::Board,
    resolve,
};
use crate::{
    host::Host,
    nouns::{
        digest::Digest,
        problem::Problem,
        reference::{DEFAULT_TAG, Reference},
    },
    registry::{Failure, Repository},
};

/// A longer type is none, in bytes. RFC 6838 section 4.2 allows 127 on either
/// side of the slash.
const TYPE_BYTES_MAX: usize = 255;

/// Lists what refers to the image, of one type if one is given. See
/// `images.referrers`.
pub async fn referrers<H: Host>(
    host: &H,
    reference: &str,
    artifact_type: Option<&str>,
    access: &Access,
) -> Result<Referral, Problem> {
    let list = async {
        if artifact_type.is_some_and(|kind| kind.is_empty() || kind.len() > TYPE_BYTES_MAX) {
            return Err(invalid(format!("a type of artifacts has 1 to {TYPE_BYTES_MAX} bytes")));
        }
        let (typed, _) = resolve::expand(reference, &access.aliases);
        let name = resolve::name(&typed, &Board::deaf())?;
        let repository = Repository::open(host, &name, access)?;
        let subject = subject(&repository, &name).await?;
        let listed = repository.without_mirrors().referrers(&subject, artifact_type).await?;
        let notes = listed.tag.map(|tag| {
            format!("`{}` keeps no list of referrers; these are those that the tag `{tag}` names", name.domain())
        });
        let referrers = listed.entries.into_iter().map(|mut entry| Referrer {
            artifact_type: entry.artifact_type.take(),
            annotations: std::mem::take(&mut entry.annotations).into_iter().collect(),
            target: entry,
        });
        let repository = name.familiar_name();
        Ok(Referral { repository, subject, referrers: referrers.collect(), notes: notes.into_iter().collect() })
    };
    list.await.map_err(problem(format!("cannot list what refers to `{}`", reference.escape_debug())))
}

/// Returns the digest that the name has, or that its tag points to now.
async fn subject<H: Host>(repository: &Repository<'_, H>, name: &Reference) -> Result<Digest, Failure> {
    if let Some(digest) = name.digest() {
        return Ok(digest.clone());
    }
    let tag = name.tag().unwrap_or(DEFAULT_TAG);
    match repository.head(tag).await? {
        Some(head) => Ok(head.digest),
        None => Ok(repository.manifest(tag).await?.descriptor.digest),
    }
}
