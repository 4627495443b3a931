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
use std::{borrow::Cow, rc::Rc};

/// Puts what an alias stands for in the place of a short name, and says which
/// one. A short name names no registry, as in `fedora` or `foo/bar:1`; an alias
/// is its whole name, and its tag and digest stay. containers-registries.conf(5),
/// “short-name aliasing”.
pub(super) fn expand<'t>(text: &'t str, aliases: &[(String, String)]) -> (Cow<'t, str>, Option<usize>) {
    let name = without_version(text);
    let first = name.split_once('/').map_or("", |(first, _)| first);
    let is_short = !first.contains(['.', ':']) && first != "localhost";
    match aliases.iter().position(|(short, _)| is_short && short == name) {
        Some(at) => (Cow::Owned([&aliases[at].1, &text[name.len()..]].concat()), Some(at)),
        None => (Cow::Borrowed(text), None),
    }
}

/// Cuts off `:tag` and `@digest`.
fn without_version(text: &str) -> &str {
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

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

/// Reads the name of a repository, all of whose tags are meant. `command` is
/// what does that, as in `wharf tags`.
pub(super) fn repository(text: &str, command: &str) -> Result<Reference, Failure> {
    let typed = Reference::parse(text).map_err(no_name)?;
    if typed.tag().is_some() || typed.digest().is_some() {
        let failure = invalid("all tags are wanted, and the reference names one of them");
        return Err(try_this(failure, format!("{command} {}", typed.familiar_name())));
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
    let Some(record) = record else { return documents.ask(which).await };
    let known = &record.target.digest;
    let same = async || match documents.local(&record.target, RECORD).await {
        // A record that is wrong about its target is made anew from what the registry sends.
        Err(Failure { code: ErrorCode::Invalid, .. }) => Ok(None),
        other => other,
    };
    match repository.head(which).await? {
        Some(head) if head.digest == *known => {
            if let Some(held) = same().await? {
                return Ok(held);
            }
        }
        Some(_) => {}
        // Who does not answer HEAD may still say in a few bytes that nothing has changed.
        None => {
            if let Some(held) = same().await? {
                return Ok(documents.ask_unless(which, known).await?.unwrap_or(held));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_stands_for_the_whole_of_a_short_name() {
        let aliases =
            [("fedora", "registry.fedoraproject.org/fedora"), ("foo/bar", "quay.io/foo/baz"), ("a.b/c", "x.y/z")];
        let aliases = aliases.map(|(short, long)| (short.to_owned(), long.to_owned()));
        for (typed, expected, alias) in [
            ("fedora", "registry.fedoraproject.org/fedora", Some(0)),
            ("fedora:40", "registry.fedoraproject.org/fedora:40", Some(0)),
            ("fedora:40@sha256:00", "registry.fedoraproject.org/fedora:40@sha256:00", Some(0)),
            ("fedora@sha256:00", "registry.fedoraproject.org/fedora@sha256:00", Some(0)),
            ("foo/bar:1", "quay.io/foo/baz:1", Some(1)),
            ("foo", "foo", None),
            ("foo/bar/app", "foo/bar/app", None),
            ("fedora/app", "fedora/app", None),
            ("docker.io/library/fedora", "docker.io/library/fedora", None),
            ("localhost/fedora", "localhost/fedora", None),
            ("lan:5000/fedora", "lan:5000/fedora", None),
            ("a.b/c", "a.b/c", None),
            ("", "", None),
        ] {
            assert_eq!(expand(typed, &aliases), (Cow::Borrowed(expected), alias), "{typed}");
        }
    }

    #[test]
    fn the_first_of_two_aliases_counts() {
        let aliases = [("app".to_owned(), "one.lan/app".to_owned()), ("app".to_owned(), "two.lan/app".to_owned())];
        assert_eq!(expand("app", &aliases), (Cow::Borrowed("one.lan/app"), Some(0)));
    }
}
