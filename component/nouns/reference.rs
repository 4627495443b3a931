//! References: the names of images, as people write them and as registries
//! take them.
//!
//! It does not ask a registry whether there is such an image. `grammar` has the
//! grammar and the scanner; this file says how a name is completed.
//!
//! | written | means | why |
//! | --- | --- | --- |
//! | `alpine` | `docker.io/library/alpine` | one component: the default registry and its official images |
//! | `localhost` | `docker.io/library/localhost` | one component never names a registry |
//! | `org/app` | `docker.io/org/app` | `org` is no domain |
//! | `ghcr.io/org/app` | itself | a domain has a `.`, a `:` or an upper-case letter, or is `localhost` |
//! | `index.docker.io/alpine` | `docker.io/library/alpine` | the old name of the same registry |
//!
//! The familiar form undoes this. A digest is kept beside a tag, except by
//! [`Reference::parse_docker`], which lets the digest win.

mod grammar;
mod pattern;

pub use grammar::{
    PATH_BYTES_MAX, Parts, REFERENCE_BYTES_MAX, TAG_BYTES_MAX, is_domain, is_identifier, is_path, is_tag, parse_strict,
    split_name,
};
pub use pattern::Pattern;

use super::digest::{self, Digest};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The registry of names that do not say one.
pub const DEFAULT_DOMAIN: &str = "docker.io";

/// The tag that is meant where neither tag nor digest is written.
pub const DEFAULT_TAG: &str = "latest";

/// The repository of imported images that nobody has named. See [`Reference::dangles`].
pub const IMPORTED: &str = "localhost/imported";
/// The repository of images from archives that name them not.
pub const LOADED: &str = "localhost/loaded";
/// The repository of committed images that nobody has named.
pub const COMMITTED: &str = "localhost/committed";

const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
/// Where it answers.
pub const DEFAULT_REGISTRY_HOST: &str = "registry-1.docker.io";
const OFFICIAL_PREFIX: &str = "library/";

/// Why a text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing is written.
    #[error("a reference has to have a name")]
    Empty,
    /// It does not fit the grammar.
    #[error("not a reference: it has to read `[registry/]name[:tag][@digest]`")]
    Format,
    /// It is longer than [`REFERENCE_BYTES_MAX`].
    #[error("a reference has at most {REFERENCE_BYTES_MAX} bytes")]
    TooLong,
    /// It would be a reference in lower case.
    #[error("the repository name in `{}` has to be lower case", .0.escape_debug())]
    Uppercase(String),
    /// The path is longer than [`PATH_BYTES_MAX`].
    #[error("a repository name has at most {PATH_BYTES_MAX} characters")]
    NameTooLong,
    /// The digits of an image's id are no name.
    #[error("`{0}` is an image id; a repository name cannot be 64 hexadecimal digits")]
    Identifier(String),
    /// The tag breaks its grammar.
    #[error("a tag has 1 to {TAG_BYTES_MAX} letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`")]
    Tag,
    /// What follows the `@` is no digest.
    #[error(transparent)]
    Digest(#[from] digest::Error),
    /// The registry is not written, or not by its present name.
    #[error("the name is not fully qualified; `{0}` is")]
    NotCanonical(String),
    /// A pattern of names breaks its grammar.
    #[error("not a pattern of names")]
    Pattern,
}

/// A complete name of an image: registry and path, and a tag, a digest, both
/// or neither.
///
/// Invariant: every part fits the grammar, and the display form parses back to
/// the same value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a name as people write it, and completes the registry. No tag is
    /// added.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(&complete(text)?)
    }

    /// Reads a name whose registry is written.
    fn read(full: &str) -> Result<Self, Error> {
        let parts = grammar::parse_bounded(full)?;
        // Something like `a_b.c/d`: a registry is meant, and cannot be reached
        // by that name. Taken for a path it would have no registry at all.
        let domain = parts.domain.ok_or(Error::Format)?;
        Ok(Self {
            domain: domain.to_owned(),
            path: parts.path.to_owned(),
            tag: parts.tag.map(str::to_owned),
            digest: parts.digest,
        })
    }

    /// Reads a name as docker's commands do: with a digest the tag is
    /// forgotten, and without both the tag is `latest`.
    pub fn parse_docker(text: &str) -> Result<Self, Error> {
        let mut reference = Self::parse(text)?;
        if reference.digest.is_some() {
            reference.tag = None;
        }
        Ok(reference.with_default_tag())
    }

    /// Reads a name that has to be fully qualified already, as containerd's
    /// records are.
    pub fn parse_canonical(text: &str) -> Result<Self, Error> {
        let full = complete(text)?;
        let reference = Self::read(&full)?;
        if full == text { Ok(reference) } else { Err(Error::NotCanonical(full.into_owned())) }
    }

    /// Returns the registry, as in `docker.io` or `127.0.0.1:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the repository in the registry, as in `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the tag, as in `3.20`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest of the manifest or index.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns registry and repository, as in `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        self.name_parts().concat()
    }

    fn name_parts(&self) -> [&str; 3] {
        [&self.domain, "/", &self.path]
    }

    /// Returns whether nobody has named the image: it has no tag, and its digest stands where wharf puts images that
    /// come without a name. Docker says that such an image dangles.
    pub fn dangles(&self) -> bool {
        self.tag.is_none() && (self.digest.is_none() || [IMPORTED, LOADED, COMMITTED].contains(&self.name().as_str()))
    }

    /// Returns the host that answers for the registry, with its port if one is
    /// written. They differ for `docker.io` only.
    pub fn registry_host(&self) -> &str {
        if self.domain == DEFAULT_DOMAIN { DEFAULT_REGISTRY_HOST } else { &self.domain }
    }

    /// Returns the shortest form that means the same, as in `alpine:3.20`.
    pub fn familiar(&self) -> String {
        self.with_version(self.familiar_parts())
    }

    /// Returns the familiar form without tag and digest, as in `alpine`.
    ///
    /// A few names have no short form, as `docker.io/a.b/c` and names that look
    /// like an image's id: without the registry they would mean something else.
    pub fn familiar_name(&self) -> String {
        self.familiar_parts().concat()
    }

    fn familiar_parts(&self) -> [&str; 3] {
        if self.domain != DEFAULT_DOMAIN {
            return self.name_parts();
        }
        let short = match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(rest) if !rest.contains('/') => rest,
            _ => &self.path,
        };
        let means_the_same = !is_identifier(short) && split_domain(short) == (DEFAULT_DOMAIN, Cow::from(&self.path));
        if means_the_same { ["", "", short] } else { self.name_parts() }
    }

    /// Writes a name with tag and digest, in one allocation: a list has many.
    fn with_version(&self, [domain, slash, path]: [&str; 3]) -> String {
        let (colon, tag) = self.tag().map_or(("", ""), |tag| (":", tag));
        let (at, digest) = self.digest().map_or(("", ""), |digest| ("@", digest.as_str()));
        [domain, slash, path, colon, tag, at, digest].concat()
    }

    /// Returns the name without tag and digest.
    pub fn repository(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// Returns the reference with the tag `latest` if it has neither tag nor
    /// digest.
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// Returns the reference with this tag. A digest stays.
    pub fn with_tag(mut self, tag: &str) -> Result<Self, Error> {
        if !is_tag(tag) {
            return Err(Error::Tag);
        }
        self.tag = Some(tag.to_owned());
        Ok(self)
    }

    /// Returns the reference with this digest. A tag stays.
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }
}

/// Writes the registry before a name that leaves it out. What is complete is
/// not copied: a list reads many names.
fn complete(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.len() > REFERENCE_BYTES_MAX {
        return Err(Error::TooLong);
    }
    if is_identifier(text) {
        return Err(Error::Identifier(text.to_owned()));
    }
    let (domain, remainder) = split_domain(text);
    let path = remainder.split(':').next().unwrap_or_default();
    let is_lower = |letter: char| match letter.is_ascii() {
        true => !letter.is_ascii_uppercase(),
        false => letter.to_lowercase().eq([letter]),
    };
    if !path.chars().all(is_lower) {
        return Err(Error::Uppercase(path.to_owned()));
    }
    let is_complete = text.strip_prefix(domain).and_then(|rest| rest.strip_prefix('/')) == Some(&*remainder);
    Ok(if is_complete { Cow::Borrowed(text) } else { Cow::Owned([domain, "/", &remainder].concat()) })
}

/// Splits what people write into the domain and the rest, and completes both.
fn split_domain(text: &str) -> (&str, Cow<'_, str>) {
    let official = |path: &str| Cow::Owned([OFFICIAL_PREFIX, path].concat());
    let Some((first, rest)) = text.split_once('/') else {
        return (DEFAULT_DOMAIN, official(text));
    };
    let (domain, path) = if first == LEGACY_DEFAULT_DOMAIN {
        (DEFAULT_DOMAIN, rest)
    } else if first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first {
        (first, rest)
    } else {
        (DEFAULT_DOMAIN, text)
    };
    let path = if domain == DEFAULT_DOMAIN && !path.contains('/') { official(path) } else { Cow::Borrowed(path) };
    (domain, path)
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl From<&Reference> for String {
    fn from(reference: &Reference) -> Self {
        reference.with_version(reference.name_parts())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(self))
    }
}

/// What people point at an image with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Any {
    /// A digest with its algorithm.
    Digest(Digest),
    /// The 64 digits of a SHA-256 without the algorithm.
    Identifier(Digest),
    /// A name.
    Reference(Reference),
}

impl fmt::Display for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) | Self::Identifier(digest) => digest.fmt(f),
            Self::Reference(reference) => reference.fmt(f),
        }
    }
}

/// Reads an identifier, a digest or a name: the first of them that fits.
pub fn parse_any(text: &str) -> Result<Any, Error> {
    if is_identifier(text) {
        let digest = format!("sha256:{text}").parse()?;
        return Ok(Any::Identifier(digest));
    }
    match text.parse() {
        Ok(digest) => Ok(Any::Digest(digest)),
        Err(_) => Reference::parse(text).map(Any::Reference),
    }
}

/// Completes references and puts the most telling first: name, tag and digest,
/// then name and tag, name and digest, name, digest, and at last what is no
/// reference. Equals are in order of their text.
pub fn sort(texts: &[impl AsRef<str>]) -> Vec<String> {
    let mut ranked: Vec<(u8, String)> = texts
        .iter()
        .map(|text| match parse_any(text.as_ref()) {
            Ok(Any::Reference(reference)) => (
                match (&reference.tag, &reference.digest) {
                    (Some(_), Some(_)) => 0,
                    (Some(_), None) => 1,
                    (None, Some(_)) => 2,
                    (None, None) => 3,
                },
                reference.to_string(),
            ),
            Ok(digest) => (4, digest.to_string()),
            Err(_) => (5, text.as_ref().to_owned()),
        })
        .collect();
    ranked.sort();
    ranked.into_iter().map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_registry_host_differs_from_the_domain_for_docker_only() {
        let rows = [
            ("alpine", "registry-1.docker.io"),
            ("index.docker.io/org/app", "registry-1.docker.io"),
            ("ghcr.io/org/app", "ghcr.io"),
            ("[2001:db8::1]:5000/app", "[2001:db8::1]:5000"),
        ];
        for (text, host) in rows {
            assert_eq!(Reference::parse(text).unwrap().registry_host(), host, "{text}");
        }
    }

    #[test]
    fn tags_and_digests_are_exchanged_one_by_one() {
        let digest: Digest = DIGEST.parse().unwrap();
        let both = Reference::parse("app").unwrap().with_default_tag().with_digest(digest.clone());
        assert_eq!(both.to_string(), format!("docker.io/library/app:latest@{DIGEST}"));
        assert_eq!(both.familiar(), format!("app:latest@{DIGEST}"));
        assert_eq!(both.clone().with_tag("v1").unwrap().to_string(), format!("docker.io/library/app:v1@{DIGEST}"));
        assert_eq!(both.clone().with_default_tag(), both);
        assert_eq!(both.repository(), Reference::parse("app").unwrap());
        for tag in ["", ".a", "-a", "a/b", "a:b", "é", &"a".repeat(129)] {
            assert_eq!(both.clone().with_tag(tag), Err(Error::Tag), "{tag}");
        }
        assert_eq!(both.with_tag(&"a".repeat(128)).unwrap().digest(), Some(&digest));
    }

    /// distribution/reference takes `a_b.c` for the beginning of a path and
    /// answers with a reference that has no registry.
    #[test]
    fn a_domain_that_cannot_be_one_is_refused() {
        for text in ["a_b.c/d", "a..b/c", "-a.b/c", "host:port/app", "/app", "./app", "a_b:5000/app"] {
            assert_eq!(Reference::parse(text), Err(Error::Format), "{text}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let message = |text: &str| Reference::parse(text).unwrap_err().to_string();
        assert_eq!(message("Alpine"), "the repository name in `library/Alpine` has to be lower case");
        assert_eq!(message("\u{1b}[1mA"), "the repository name in `library/\\u{1b}[1mA` has to be lower case");
        assert_eq!(
            message("app@sha256:e3b0c44298fc1c149afbf4c8996fb924"),
            "a sha256 digest has 64 hexadecimal digits, not 32"
        );
        assert_eq!(message(&"a".repeat(300)), "a repository name has at most 255 characters");
        assert_eq!(message(&"a".repeat(1025)), "a reference has at most 1024 bytes");
        assert_eq!(
            Reference::parse_canonical("alpine").unwrap_err().to_string(),
            "the name is not fully qualified; `docker.io/library/alpine` is"
        );
    }

    proptest! {
        #[test]
        fn what_is_taken_as_written_is_written_back(text in "\\PC{0,60}|[a-zA-Z0-9:/.@_\\[\\]-]{0,40}") {
            if let Ok(parts) = parse_strict(&text) {
                prop_assert_eq!(parts.to_string(), &text[..]);
            }
            if let Ok((domain, path)) = split_name(&text) {
                prop_assert_eq!(domain.map(|domain| format!("{domain}/")).unwrap_or_default() + path, &text[..]);
            }
            if let Ok(any) = parse_any(&text) {
                prop_assert_eq!(&parse_any(&any.to_string()).unwrap().to_string(), &any.to_string());
            }
        }

        #[test]
        fn a_pattern_of_plain_letters_fits_itself(text in "[a-z0-9]{1,8}(/[a-z0-9]{1,8})?(:[a-z0-9]{1,8})?") {
            let reference = Reference::parse(&text).unwrap();
            prop_assert!(Pattern::parse(&reference.familiar()).unwrap().matches(&reference));
            prop_assert!(Pattern::parse(&reference.familiar_name()).unwrap().matches(&reference));
        }

        #[test]
        fn both_forms_of_a_reference_parse_back(
            text in "(([a-zA-Z0-9]{1,4}[.]?){1,3}(:[0-9]{1,5})?/|library/|docker.io/)?\
                     [a-z0-9]{1,3}([._/-][a-z0-9]{1,3}){0,3}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,9})?(@sha256:[0-9a-f]{64})?"
        ) {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
                prop_assert_eq!(&Reference::parse_canonical(&reference.to_string()).unwrap(), &reference);
                prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
                prop_assert_eq!(parse_strict(&reference.to_string()).unwrap().to_string(), reference.to_string());
            }
        }
    }
}
