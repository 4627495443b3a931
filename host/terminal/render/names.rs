//! Digests, names and media types in short.
//!
//! It does not validate: what cannot be shortened is shown as it is, escaped.

use super::escape;
use std::borrow::Cow;

/// How many hex digits of a digest are shown.
pub const DIGITS: usize = 12;
/// What stands where there is no name, tag or layer.
pub const NONE: &str = "<none>";

/// Returns the first [`DIGITS`] digits of a digest, as in `4bcff63911fc`.
pub fn short(digest: &str) -> Cow<'_, str> {
    let encoded = digest.split_once(':').map_or(digest, |(_, encoded)| encoded);
    escape::text(encoded.char_indices().nth(DIGITS).map_or(encoded, |(end, _)| &encoded[..end]))
}

/// Splits a familiar name into repository and tag: `alpine:3.20` into `alpine`
/// and `3.20`. A name with a digest and no tag has no tag; a bare digest has no
/// repository either.
pub fn repository_and_tag(familiar: &str) -> (Option<&str>, Option<&str>) {
    let name = match familiar.split_once('@') {
        Some((name, _)) => name,
        None if is_digest(familiar) => return (None, None),
        None => familiar,
    };
    // A colon before the last slash belongs to a port.
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    };
    (Some(repository).filter(|repository| !repository.is_empty()), tag.filter(|tag| !tag.is_empty()))
}

/// Returns whether a text that could also be the tag of a repository called
/// `sha256` is a digest: references are read in the same way.
fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, encoded)| {
        matches!((algorithm, encoded.len()), ("sha256", 64) | ("sha512", 128))
            && encoded.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Returns whether an endpoint, as in `https://registry-1.docker.io`, is the
/// registry of a full name, and not a mirror of it.
pub fn is_registry_of(endpoint: &str, name: &str) -> bool {
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, authority)| authority);
    let registry = name.split_once('/').map_or(name, |(registry, _)| registry);
    let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    authority.eq_ignore_ascii_case(host)
}

/// Returns in a word what a media type stands for, as in `layer`; the media type
/// itself if it is not one of docker's or OCI's.
pub fn kind(media_type: &str) -> Cow<'_, str> {
    Cow::Borrowed(match media_type {
        "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json" => {
            "index"
        }
        "application/vnd.oci.image.manifest.v1+json" | "application/vnd.docker.distribution.manifest.v2+json" => {
            "manifest"
        }
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => "config",
        "application/vnd.oci.empty.v1+json" => "empty",
        other if other.starts_with("application/vnd.oci.image.layer.") => "layer",
        other if other.starts_with("application/vnd.docker.image.rootfs.") => "layer",
        other => return escape::text(other),
    })
}
