//! From what a person typed to the document that the name points to now.
//!
//! With a record of the name, one HEAD request tells whether it still points
//! there; then the document is read from the content store. Otherwise it is
//! fetched. It changes nothing.

use super::{
    documents::{Documents, Held, RECORD},
    failing::{fail, invalid, try_this},
    listen::Board,
};
use crate::{
    host::Host,
    nouns::{
        digest::Digest,
        problem::ErrorCode,
        record::ImageRecord,
        reference::{self, Reference},
    },
    registry::{Failure, Repository},
};
use std::rc::Rc;

/// Reads the name of one image. Without a tag it is `latest`; with a tag and a
/// digest the digest alone counts, as in docker, which is worth a warning.
pub(super) fn name(text: &str, board: &Board) -> Result<Reference, Failure> {
    let typed = Reference::parse(text).map_err(no_name)?;
    if let (Some(tag), Some(digest)) = (typed.tag(), typed.digest()) {
        let repository = typed.familiar_name();
        board.warn(format!(
            "the tag `{tag}` is not recorded, because `{text}` has a digest; the image is recorded as `{repository}@{digest}`"
        ));
    }
    Reference::parse_docker(text).map_err(no_name)
}

/// Reads the name of a repository, all of whose tags are meant.
pub(super) fn repository(text: &str) -> Result<Reference, Failure> {
    let typed = Reference::parse(text).map_err(no_name)?;
    if typed.tag().is_some() || typed.digest().is_some() {
        let failure = invalid("all tags are wanted, and the reference names one of them");
        return Err(try_this(failure, format!("wharf pull --all-tags {}", typed.familiar_name())));
    }
    Ok(typed)
}

fn no_name(error: reference::Error) -> Failure {
    let fix = match &error {
        reference::Error::Uppercase(path) => Some(format!("write it in lower case: `{}`", path.to_lowercase())),
        _ => None,
    };
    Failure { fix, ..invalid(error) }
}

/// Returns what the name points to now.
pub(super) async fn target<H: Host>(
    repository: &Repository<'_, H>,
    documents: &Documents<'_, '_, H>,
    name: &Reference,
    record: Option<&ImageRecord>,
) -> Result<Rc<Held<H::Blob>>, Failure> {
    let which = match name.digest() {
        Some(digest) => digest.as_str(),
        None => tag(name),
    };
    if let Some(record) = record
        && let Some(head) = repository.head(which).await?
        && head.digest == record.target.digest
    {
        match documents.local(&record.target, RECORD).await {
            Ok(Some(held)) => return Ok(held),
            // A record that is wrong about its target is made anew from what the registry sends.
            Ok(None) | Err(Failure { code: ErrorCode::Invalid, .. }) => {}
            Err(other) => return Err(other),
        }
    }
    documents.ask(which).await
}

/// Asks again where a tag points to, because somebody else has recorded another
/// target since `target` was found there. Fails with [`ErrorCode::Conflict`] if
/// it has moved: a slow pull must not move a name backwards.
pub(super) async fn confirm<H: Host>(
    repository: &Repository<'_, H>,
    name: &Reference,
    target: &Digest,
) -> Result<(), Failure> {
    let now = match repository.head(tag(name)).await? {
        Some(head) => head.digest,
        None => repository.manifest(tag(name)).await?.descriptor.digest,
    };
    if now == *target {
        return Ok(());
    }
    let why = format!("`{}` was pulled by somebody else meanwhile and points to `{now}`; pull again", name.familiar());
    Err(fail(ErrorCode::Conflict, why))
}

fn tag(name: &Reference) -> &str {
    name.tag().unwrap_or(reference::DEFAULT_TAG)
}
