//! Where a `Location` or `Link` leads, by RFC 3986 section 5 and wharf's own
//! rule, and how a text is written in an address. It sends nothing, and does not know which addresses the host allows.
//!
//! The rule: `http` and `https` only, never from TLS to plain HTTP, no user
//! name in the URL, a host that is a plain name or an address.

use super::failure::shown;
use crate::{
    host::Origin,
    planted::{Bug, has},
};
use iri_string::{
    percent_encode::PercentEncodedForUri,
    types::{UriAbsoluteStr, UriReferenceStr},
};
use std::{fmt, fmt::Write};

/// A longer URL is not followed.
pub const LOCATION_BYTES_MAX: usize = 8 * 1024;

/// An origin, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where to go.
    pub origin: Origin,
    /// Path and query, as in `/v2/library/alpine/manifests/3.20`.
    pub path: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", scheme(&self.origin), self.origin.authority, self.path)
    }
}

/// Why a URL is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The URL breaks RFC 3986 or is too long.
    #[error("it is not a valid URL")]
    Malformed,
    /// Another scheme than `http` or `https`.
    #[error("it is neither `http` nor `https`")]
    Scheme,
    /// It leads from TLS to plain HTTP.
    #[error("it leads from `https` to `http`")]
    Downgrade,
    /// The URL carries a user name.
    #[error("it carries a user name")]
    User,
    /// The host is neither a name nor an address.
    #[error("its host is neither a name nor an address")]
    Host,
}

/// Resolves `reference`, which the other end wrote, against the URL that it
/// came from. A fragment is dropped. The origin of the result is in its normal
/// form, and is `base`'s own if it is the same.
pub fn resolve(base: &Target, reference: &str) -> Result<Target, LocationError> {
    let reference = escape(reference.trim_matches([' ', '\t'])).ok_or(LocationError::Malformed)?;
    let reference = UriReferenceStr::new(&reference).map_err(|_| LocationError::Malformed)?;
    let base_url = base.to_string();
    let base_url = UriAbsoluteStr::new(&base_url).map_err(|_| LocationError::Malformed)?;
    let resolved = reference.resolve_against(base_url).to_string();
    let resolved = UriReferenceStr::new(&resolved).map_err(|_| LocationError::Malformed)?;

    let secure = match resolved.scheme_str() {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => true,
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => false,
        _ => return Err(LocationError::Scheme),
    };
    if base.origin.secure && !secure && !has(Bug::RedirectDowngrades) {
        return Err(LocationError::Downgrade);
    }
    let authority = resolved.authority_str().ok_or(LocationError::Host)?;
    if authority.contains('@') {
        return Err(LocationError::User);
    }
    let mut path = match resolved.path_str() {
        "" => "/".to_owned(),
        path => path.to_owned(),
    };
    if let Some(query) = resolved.query_str() {
        path.push('?');
        path.push_str(query);
    }
    let mut origin = Origin { secure, authority: normal_authority(authority, secure).ok_or(LocationError::Host)? };
    if same_origin(&origin, &base.origin) {
        origin = base.origin.clone();
    }
    Ok(Target { origin, path })
}

/// Whether two origins are one: scheme, host and port, RFC 6454 section 5.
pub fn same_origin(one: &Origin, other: &Origin) -> bool {
    one.secure == other.secure
        && match (normal_authority(&one.authority, one.secure), normal_authority(&other.authority, other.secure)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        }
}

/// Splits `host`, `host:port`, `[address]` or `[address]:port`, and brings the
/// host to lower case. None if the host or the port is not well-formed.
pub(super) fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let port_at = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|colon| bracket + colon),
        None => authority.find(':'),
    };
    let (host, port) = match port_at {
        Some(colon) => (&authority[..colon], &authority[colon + 1..]),
        None => (authority, ""),
    };
    let port = match port {
        "" => None,
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(port.parse().ok().filter(|&port: &u16| port > 0)?)
        }
        _ => return None,
    };
    let well_formed = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    well_formed.then(|| (host.to_ascii_lowercase(), port))
}

/// Returns the authority in lower case and without the port of its scheme.
fn normal_authority(authority: &str, secure: bool) -> Option<String> {
    let (host, port) = host_and_port(authority)?;
    let default = if secure { 443 } else { 80 };
    Some(match port.filter(|&port| port != default) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

/// Escapes the characters that RFC 3986 does not allow and registries' storage
/// puts into URLs nevertheless, such as `|`, `"` and non-ASCII ones. None if a
/// control character is among them: that is an attack or garbage.
fn escape(reference: &str) -> Option<String> {
    if reference.len() > LOCATION_BYTES_MAX || reference.contains(char::is_control) {
        return None;
    }
    // Brackets have a place in an address only.
    let authority_end = match reference.find("//") {
        Some(at) if at == 0 || reference[..at].ends_with(':') => {
            reference[at + 2..].find(['/', '?', '#']).map_or(reference.len(), |end| at + 2 + end)
        }
        _ => 0,
    };
    let mut escaped = String::with_capacity(reference.len());
    for (at, byte) in reference.bytes().enumerate() {
        let stays = match byte {
            b'[' | b']' => at < authority_end,
            _ => byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte),
        };
        if stays {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    Some(escaped)
}

/// Returns a URL that the other end wrote as it may be shown: fit for a
/// terminal, without the query and the fragment, which may hold a signature
/// that is as good as a password, and without a password.
pub fn without_secrets(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let shown = shown(&url[..end]);
    let Some(begin) = shown.find("//").map(|at| at + 2) else { return shown };
    let host_end = shown[begin..].find('/').map_or(shown.len(), |at| begin + at);
    let Some(user_end) = shown[begin..host_end].rfind('@').map(|at| begin + at) else { return shown };
    // A name that stands alone is usually a token.
    let name = shown[begin..user_end].split_once(':').map_or(String::new(), |(name, _)| format!("{name}:"));
    format!("{}{name}xxxxx{}", &shown[..begin], &shown[user_end..])
}

fn scheme(origin: &Origin) -> &'static str {
    if origin.secure { "https" } else { "http" }
}

/// Writes a text as a value of a query, or as a part of a path: all but the unreserved
/// characters of RFC 3986 section 2.3 is escaped.
pub(super) fn escaped(text: &str) -> String {
    PercentEncodedForUri::unreserve(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_an_address_is_escaped() {
        for (text, expected) in [
            ("sha256:4b", "sha256%3A4b"),
            ("a/b", "a%2Fb"),
            ("é &=?#", "%C3%A9%20%26%3D%3F%23"),
            ("A-z.0_9~", "A-z.0_9~"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }
    use proptest::prelude::*;

    fn target(url: &str) -> Target {
        let (scheme, rest) = url.split_once("://").expect("the test writes whole URLs");
        let slash = rest.find('/').expect("the test writes a path");
        let origin = Origin { secure: scheme == "https", authority: rest[..slash].to_owned() };
        Target { origin, path: rest[slash..].to_owned() }
    }

    #[test]
    fn locations_are_resolved_by_rfc_3986() {
        let base = "https://registry.example:5000/v2/a/b/blobs/sha256:0?x=y";
        for (location, expected) in [
            ("https://cdn.example/data?sig=a%2Fb", "https://cdn.example/data?sig=a%2Fb"),
            ("https://CDN.Example:443/data", "https://cdn.example/data"),
            ("https://cdn.example:/data", "https://cdn.example/data"),
            ("https://cdn.example", "https://cdn.example/"),
            ("https://cdn.example?q", "https://cdn.example/?q"),
            ("HTTPS://cdn.example/data#fragment", "https://cdn.example/data"),
            ("https://[2001:DB8::1]:8443/data", "https://[2001:db8::1]:8443/data"),
            ("//cdn.example/data", "https://cdn.example/data"),
            ("/other?q=1", "https://registry.example:5000/other?q=1"),
            ("other", "https://registry.example:5000/v2/a/b/blobs/other"),
            ("../../c/./d", "https://registry.example:5000/v2/a/c/d"),
            ("../../../../../../c", "https://registry.example:5000/c"),
            ("?q=2", "https://registry.example:5000/v2/a/b/blobs/sha256:0?q=2"),
            (" /spaced ", "https://registry.example:5000/spaced"),
            ("https://cdn.example/a b|c\"?d=[é]", "https://cdn.example/a%20b%7Cc%22?d=%5B%C3%A9%5D"),
            ("https://REGISTRY.example:5000/", "https://registry.example:5000/"),
        ] {
            assert_eq!(resolve(&target(base), location), Ok(target(expected)), "{location}");
        }
    }

    #[test]
    fn plain_http_may_lead_to_plain_http_and_to_tls() {
        let base = target("http://127.0.0.1:5000/v2/");
        assert_eq!(resolve(&base, "http://other.example:80/x"), Ok(target("http://other.example/x")));
        assert_eq!(resolve(&base, "https://other.example/x"), Ok(target("https://other.example/x")));
    }

    #[test]
    fn what_breaks_the_rule_is_refused() {
        let base = target("https://registry.example/v2/");
        let long = format!("/{}", "x".repeat(LOCATION_BYTES_MAX));
        for (location, expected) in [
            ("http://registry.example/v2/", LocationError::Downgrade),
            ("http://169.254.169.254/latest/meta-data/", LocationError::Downgrade),
            ("file:///etc/passwd", LocationError::Scheme),
            ("ftp://cdn.example/", LocationError::Scheme),
            ("javascript:alert(1)", LocationError::Scheme),
            ("https://user:secret@cdn.example/", LocationError::User),
            ("https://registry.example@cdn.example/", LocationError::User),
            ("https:///data", LocationError::Host),
            ("https:data", LocationError::Host),
            ("https://a%2Fb/", LocationError::Host),
            ("https://ünï.example/", LocationError::Host),
            ("https://cdn.example:0/", LocationError::Host),
            ("https://cdn.example:65536/", LocationError::Host),
            ("https://cdn.example:x/", LocationError::Malformed),
            ("https://cdn.example/%zz", LocationError::Malformed),
            ("https://cdn.example\\@evil.example/", LocationError::User),
            ("https://cdn.example/\r\nx: y", LocationError::Malformed),
            ("https://[::1/", LocationError::Malformed),
            (&long, LocationError::Malformed),
        ] {
            assert_eq!(resolve(&base, location), Err(expected), "{location}");
        }
    }

    proptest! {
        /// Whatever a registry writes, what comes out is a place to go, and not a less safe one.
        #[test]
        fn any_location_is_refused_or_safe(text in "(https?:)?(//)?[a-zA-Z0-9:@./?#%\\[\\]é|\\\\ -]{0,40}") {
            let base = target("https://registry.example/v2/");
            if let Ok(found) = resolve(&base, &text) {
                prop_assert!(found.origin.secure);
                prop_assert!(found.path.starts_with('/') && found.path.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(host_and_port(&found.origin.authority).is_some());
                prop_assert_eq!(resolve(&base, &found.to_string()), Ok(found));
            }
        }
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, expected) in [
            ("https://cdn.example/a?sig=secret#part", "https://cdn.example/a"),
            ("/v2/a#secret", "/v2/a"),
            ("https://ann:secret@cdn.example:8443/a@b", "https://ann:xxxxx@cdn.example:8443/a@b"),
            ("//ann:se:cr@et@cdn.example", "//ann:xxxxx@cdn.example"),
            ("https://secret@cdn.example/", "https://xxxxx@cdn.example/"),
            ("https://cdn.example/\u{1b}[31mred", "https://cdn.example/red"),
            ("ann:b@c", "ann:b@c"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(url), expected, "{url}");
        }
    }

    #[test]
    fn origins_are_compared_by_scheme_host_and_port() {
        let origin = |url: &str| target(url).origin;
        for (one, other, expected) in [
            ("https://a/", "https://A:443/", true),
            ("http://a:80/", "http://a/", true),
            ("https://a/", "http://a/", false),
            ("https://a/", "https://a:444/", false),
            ("https://a:80/", "https://a/", false),
            ("https://a/", "https://b.a/", false),
            ("https://[::1]:1/", "https://[::1]:1/", true),
            ("https:// /", "https:// /", false),
        ] {
            assert_eq!(same_origin(&origin(one), &origin(other)), expected, "{one} {other}");
        }
    }
}
