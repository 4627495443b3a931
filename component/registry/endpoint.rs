//! Where a registry answers: its name in references turned into an origin. It
//! does not read mirrors from configuration, and never falls back from TLS to
//! plain HTTP by itself.

use super::location;
use crate::host::Origin;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How registries may be spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Registries that are spoken to without TLS, as in `registry.lan:5000`.
    /// Loopback addresses are, without being listed.
    pub plain_http: Vec<String>,
}

/// One registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// As people and logins call it, as in `docker.io`.
    pub(super) registry: String,
    /// Where requests go, and what the grant is bound to.
    pub(super) origin: Origin,
}

impl Endpoint {
    /// `domain` is the name in references, `host` where that registry answers:
    /// `docker.io` and `registry-1.docker.io`, or the same name twice.
    pub(super) fn new(domain: &str, host: &str, access: &Access) -> Self {
        let plain = is_loopback(host)
            || access
                .plain_http
                .iter()
                .any(|listed| listed.eq_ignore_ascii_case(domain) || listed.eq_ignore_ascii_case(host));
        Endpoint {
            registry: domain.to_owned(),
            origin: Origin { secure: !plain, authority: host.to_ascii_lowercase() },
        }
    }
}

/// Whether `authority` means this machine: `localhost`, 127.0.0.0/8 or `[::1]`,
/// with or without a port. Names below `localhost` may be resolved elsewhere.
fn is_loopback(authority: &str) -> bool {
    let Some((host, _)) = location::host_and_port(authority) else { return false };
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| IpAddr::V6(address).is_loopback());
    }
    host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secure(host: &str, plain_http: &[&str]) -> bool {
        let access = Access { plain_http: plain_http.iter().map(|&host| host.to_owned()).collect() };
        Endpoint::new(host, host, &access).origin.secure
    }

    #[test]
    fn only_loopback_is_plain_without_being_listed() {
        for (host, expected) in [
            ("localhost", false),
            ("localhost:5000", false),
            ("LOCALHOST:5000", false),
            ("foo.svc.localhost:1234", true),
            ("127.0.0.1", false),
            ("127.23.34.52:5000", false),
            ("[::1]", false),
            ("[::1]:5000", false),
            ("127.0.0.1.evil.com", true),
            ("my127.0.0.1registry.io", true),
            ("127.256.0.1", true),
            ("10.2.3.4:5000", true),
            ("[2001:db8::1]:5000", true),
            ("registry.local", true),
            ("notlocalhost", true),
        ] {
            assert_eq!(secure(host, &[]), expected, "{host}");
        }
    }

    #[test]
    fn a_listed_registry_is_plain_and_its_neighbours_are_not() {
        assert!(!secure("registry.lan:5000", &["registry.lan:5000"]));
        assert!(!secure("Registry.lan:5000", &["registry.LAN:5000"]));
        assert!(secure("registry.lan", &["registry.lan:5000"]));
        assert!(secure("registry.lan:5001", &["registry.lan:5000"]));
        assert!(secure("sub.registry.lan:5000", &["registry.lan:5000"]));
    }

    #[test]
    fn docker_io_answers_elsewhere() {
        let endpoint = Endpoint::new("docker.io", "registry-1.docker.io", &Access::default());
        assert_eq!(
            endpoint,
            Endpoint {
                registry: "docker.io".to_owned(),
                origin: Origin { secure: true, authority: "registry-1.docker.io".to_owned() }
            }
        );
    }
}
