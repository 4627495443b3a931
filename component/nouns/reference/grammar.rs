//! The grammar of references, and a scanner for it.
//!
//! It adds nothing to what is written: default registry and default tag are
//! the business of [`super::Reference`].
//!
//! ```text
//! reference        = name [ ":" tag ] [ "@" digest ]
//! name             = [ domain "/" ] path
//! domain           = host [ ":" 1*DIGIT ]
//! host             = domain-name / "[" 1*( HEXDIG / ":" ) "]"
//! domain-name      = domain-component *( "." domain-component )
//! domain-component = alphanumeric [ *( alphanumeric / "-" ) alphanumeric ]
//! path             = path-component *( "/" path-component )       ; at most 255 bytes
//! path-component   = 1*lower *( separator 1*lower )
//! separator        = "." / "_" / "__" / 1*"-"
//! lower            = a-z / DIGIT
//! tag              = word *127( word / "." / "-" )
//! word             = alphanumeric / "_"
//! digest           = algorithm ":" 32*HEXDIG
//! algorithm        = ALPHA *alphanumeric *( ( "-" / "_" / "+" / "." ) ALPHA *alphanumeric )
//! identifier       = 64( DIGIT / a-f )                            ; a digest without its algorithm
//! ```
//!
//! The grammar is ambiguous on paper only. No name and no tag has an `@`, so
//! the first one begins the digest. No tag has a `/`, and a `:` in a name has
//! a `/` after it, so the last `:` begins the tag unless a `/` follows. The
//! part before the first `/` is the domain if it can be one. So every byte is
//! looked at a fixed number of times.

use super::Error;
use crate::nouns::digest::Digest;
use std::fmt;

/// The longest reference that is looked at, in bytes. The longest one that
/// means anything (a host name, a port, a path, a tag and a SHA-512) has 783.
pub const REFERENCE_BYTES_MAX: usize = 1024;

/// The longest path of a name, in bytes.
pub const PATH_BYTES_MAX: usize = 255;

/// The longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 128;

const IDENTIFIER_DIGITS: usize = 64;

/// The parts of a reference as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// As in `ghcr.io` or `[2001:db8::1]:5000`.
    pub domain: Option<&'a str>,
    /// As in `library/alpine`.
    pub path: &'a str,
    /// As in `3.20`.
    pub tag: Option<&'a str>,
    /// The digest of the manifest or index.
    pub digest: Option<Digest>,
}

impl Parts<'_> {
    /// Returns domain and path, as in `ghcr.io/org/app`.
    pub fn name(&self) -> String {
        match self.domain {
            Some(domain) => format!("{domain}/{}", self.path),
            None => self.path.to_owned(),
        }
    }
}

impl fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// Reads a reference exactly as it is written.
pub fn parse_strict(text: &str) -> Result<Parts<'_>, Error> {
    if text.is_empty() {
        return Err(Error::Empty);
    }
    if text.len() > REFERENCE_BYTES_MAX {
        return Err(Error::TooLong);
    }
    parse_bounded(text)
}

/// Reads a reference whose length somebody has checked.
pub(super) fn parse_bounded(text: &str) -> Result<Parts<'_>, Error> {
    let Some(found) = scan(text) else {
        let lower = text.to_lowercase();
        let only_case_is_wrong = lower != text && scan(&lower).is_some();
        return Err(if only_case_is_wrong { Error::Uppercase(text.to_owned()) } else { Error::Format });
    };
    if found.path.len() > PATH_BYTES_MAX {
        return Err(Error::NameTooLong);
    }
    let digest = found.digest.map(str::parse).transpose().map_err(Error::Digest)?;
    Ok(Parts { domain: found.domain, path: found.path, tag: found.tag, digest })
}

/// Reads a name without tag and digest into domain and path.
pub fn split_name(name: &str) -> Result<(Option<&str>, &str), Error> {
    if name.len() > REFERENCE_BYTES_MAX {
        return Err(Error::TooLong);
    }
    let (domain, path) = scan_name(name).ok_or(Error::Format)?;
    if path.len() > PATH_BYTES_MAX { Err(Error::NameTooLong) } else { Ok((domain, path)) }
}

struct Found<'a> {
    domain: Option<&'a str>,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

fn scan(text: &str) -> Option<Found<'_>> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (domain, path) = scan_name(name)?;
    let whole = tag.is_none_or(is_tag) && digest.is_none_or(has_digest_form);
    whole.then_some(Found { domain, path, tag, digest })
}

fn scan_name(name: &str) -> Option<(Option<&str>, &str)> {
    if let Some((domain, path)) = name.split_once('/')
        && is_domain(domain)
        && is_path(path)
    {
        return Some((Some(domain), path));
    }
    is_path(name).then_some((None, name))
}

/// Says whether a text can be the path of a name, as in `library/alpine`.
pub fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_component)
}

fn is_path_component(component: &str) -> bool {
    let mut rest = component.as_bytes();
    loop {
        let letters = rest.iter().take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()).count();
        if letters == 0 {
            return false;
        }
        rest = &rest[letters..];
        let separator = match rest {
            [] => return true,
            [b'_', b'_', ..] => 2,
            [b'_' | b'.', ..] => 1,
            _ => rest.iter().take_while(|byte| **byte == b'-').count(),
        };
        if separator == 0 {
            return false;
        }
        rest = &rest[separator..];
    }
}

/// Says whether a text can be the domain of a name, with or without a port.
pub fn is_domain(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            let is_address = address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            !address.is_empty() && is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    match text.split_once(':') {
        Some((host, port)) => is_domain_name(host) && is_port(port),
        None => is_domain_name(text),
    }
}

fn is_domain_name(text: &str) -> bool {
    text.split('.').all(|component| {
        let inner = component.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && !component.is_empty() && !component.starts_with('-') && !component.ends_with('-')
    })
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Says whether a text can be a tag.
pub fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= TAG_BYTES_MAX
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// What a reference takes for a digest; whether it is one that we can check is
/// for [`Digest`] to say.
fn has_digest_form(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else { return false };
    let is_component = |component: &str| {
        component.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && component.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(is_component)
        && encoded.len() >= 32
        && encoded.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Says whether a text is an identifier: the digits of a SHA-256 and nothing
/// else, as in an image's id.
pub fn is_identifier(text: &str) -> bool {
    text.len() == IDENTIFIER_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
