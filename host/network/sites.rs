//! What requests to single origins carry besides their own headers, and how long a connection to them may take.
//!
//! The match is exact: scheme, host and port. What a redirect leads to is another request, and gets what its own origin
//! has. How TLS is spoken to them is the pools' matter.

use super::request::CONNECTION_SPECIFIC;
use super::{CONNECT_TIMEOUT, Error, Origin, Site};
use http::header::{CONTENT_LENGTH, HeaderMap, PROXY_AUTHORIZATION, USER_AGENT};
use std::collections::HashMap;
use std::time::Duration;

/// The configured origins.
#[derive(Default)]
pub(super) struct Sites(HashMap<Origin, Entry>);

struct Entry {
    headers: HeaderMap,
    connect_timeout: Duration,
}

/// Headers are secrets.
impl std::fmt::Debug for Sites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Sites {
    pub(super) fn new(sites: &[Site]) -> Self {
        let entry = |site: &Site| {
            let mut headers = site.headers.clone();
            // Kept out of logs and of HTTP/2's compression tables.
            headers.values_mut().for_each(|value| value.set_sensitive(true));
            let connect_timeout = site.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
            (site.origin.clone(), Entry { headers, connect_timeout })
        };
        Self(sites.iter().map(entry).collect())
    }

    /// Returns how long a connection to `origin` may take.
    pub(super) fn connect_timeout(&self, origin: &Origin) -> Duration {
        self.0.get(origin).map_or(CONNECT_TIMEOUT, |entry| entry.connect_timeout)
    }

    /// Adds what requests to `origin` carry. What the request carries itself stays, so that a grant comes before a
    /// configured `authorization`; only `user-agent` is replaced.
    ///
    /// Fails with [`Error::Settings`] if a header is not one to configure.
    pub(super) fn complete(&self, origin: &Origin, headers: &mut HeaderMap) -> Result<(), Error> {
        let Some(entry) = self.0.get(origin) else { return Ok(()) };
        for name in entry.headers.keys() {
            if CONNECTION_SPECIFIC.contains(name) || [CONTENT_LENGTH, PROXY_AUTHORIZATION].contains(name) {
                let why = format!("the settings for `{origin}`: the header `{name}` is not one that can be set");
                return Err(Error::Settings { why });
            }
            if name != USER_AGENT && headers.contains_key(name) {
                continue;
            }
            headers.remove(name);
            for value in entry.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    #[test]
    fn a_grant_comes_before_a_configured_authorization() {
        let origin = Origin::new(true, "registry.example").expect("an authority");
        let mut site = Site::new(origin.clone());
        site.headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic configured"));
        let sites = Sites::new(&[site]);
        for (own, expected) in [(None, "Basic configured"), (Some("Bearer granted"), "Bearer granted")] {
            let own = own.map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
            let mut headers: HeaderMap = own.into_iter().collect();
            sites.complete(&origin, &mut headers).expect("the header is one to configure");
            assert_eq!(headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(), [expected]);
            assert_eq!(headers[AUTHORIZATION].is_sensitive(), expected == "Basic configured");
        }
        for elsewhere in [
            Origin::new(false, "registry.example:443"),
            Origin::new(true, "registry.example:444"),
            Origin::new(true, "a.registry.example"),
        ] {
            let mut headers = HeaderMap::new();
            sites.complete(&elsewhere.expect("an authority"), &mut headers).expect("nothing is configured");
            assert!(headers.is_empty());
        }
    }
}
