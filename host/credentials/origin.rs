//! An origin: scheme, host and port of RFC 6454, in one spelling, so that two origins are the same exactly if they are
//! equal.
//!
//! It does not resolve names and has no opinion about where requests may go.

use std::fmt;
use url::Url;

/// The longest authority that is read, in bytes: a name of 253, brackets and a port.
const AUTHORITY_BYTES_MAX: usize = 264;

/// Why something is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no authority, or a URL without one.
    #[error("{why}")]
    Invalid {
        /// Which rule it breaks.
        why: String,
    },
    /// It is a URL of another scheme than `http` and `https`.
    #[error("`{scheme}` is not a scheme for requests")]
    Scheme {
        /// As in `ftp`.
        scheme: String,
    },
}

/// Scheme, host and port of an HTTP server.
///
/// Invariant: the host is as the URL standard writes it: in lower case, names in ASCII, IPv4 in dotted decimal however
/// it was spelled, IPv6 in brackets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads `authority`, as in `registry-1.docker.io`, `127.0.0.1:5000` or `[::1]:5000`.
    ///
    /// Fails with [`Error::Invalid`] if it is anything but a host with an optional port.
    pub fn new(secure: bool, authority: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid { why: format!("`{}` is not a host with a port", authority.escape_debug()) };
        if authority.len() > AUTHORITY_BYTES_MAX {
            return Err(Error::Invalid { why: format!("an authority has more than {AUTHORITY_BYTES_MAX} bytes") });
        }
        if authority.contains('@') {
            return Err(Error::Invalid { why: "a host with a port carries no login".to_owned() });
        }
        // The parser of URLs drops tabs and line ends and takes a backslash for a slash.
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '\\' | '?' | '#');
        if authority.is_empty() || authority.contains(odd) {
            return Err(invalid());
        }
        let scheme = if secure { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://{authority}")).map_err(|_| invalid())?;
        Self::of(&url).map_err(|_| invalid())
    }

    /// Returns the origin of an `http` or `https` URL.
    ///
    /// Fails with [`Error::Scheme`] for any other scheme, and with [`Error::Invalid`] without a host.
    pub fn of(url: &Url) -> Result<Self, Error> {
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(Error::Scheme { scheme: other.to_owned() }),
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Error::Invalid { why: "the URL names no host".to_owned() });
        };
        Ok(Self { secure, host: host.to_owned(), port })
    }

    /// Returns whether it is reached by TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the host, as in `registry-1.docker.io`, `127.0.0.1` or `[::1]`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, also where it is the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns host and port, without a port that the scheme implies.
    pub fn authority(&self) -> String {
        if self.port == self.default_port() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    fn default_port(&self) -> u16 {
        if self.secure { 443 } else { 80 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_one_spelling() {
        for (secure, given, expected) in [
            (true, "registry-1.docker.io", "https://registry-1.docker.io"),
            (true, "Registry.Example:443", "https://registry.example"),
            (true, "registry.example:80", "https://registry.example:80"),
            (false, "registry.example:80", "http://registry.example"),
            (false, "127.0.0.1:5000", "http://127.0.0.1:5000"),
            (false, "0x7f.1:5000", "http://127.0.0.1:5000"),
            (false, "2130706433", "http://127.0.0.1"),
            (true, "[0:0::1]:5000", "https://[::1]:5000"),
            (true, "bücher.example", "https://xn--bcher-kva.example"),
        ] {
            let origin = Origin::new(secure, given).map(|origin| origin.to_string());
            assert_eq!(origin, Ok(expected.to_owned()), "{given}");
        }
    }

    #[test]
    fn what_is_more_than_an_authority_is_refused() {
        for given in [
            "",
            "a/b",
            "a\\b",
            "user@a",
            "user:pass@a",
            "a?b",
            "a#b",
            "a b",
            "a\tb",
            "a:99999",
            "[fe80::1%eth0]",
            ":80",
        ] {
            match Origin::new(true, given) {
                Err(Error::Invalid { why }) => assert!(!why.contains("pass"), "{given:?}: {why}"),
                other => panic!("{given:?}: {other:?}"),
            }
        }
        assert!(matches!(Origin::new(true, &"a".repeat(300)), Err(Error::Invalid { .. })));
    }
}
