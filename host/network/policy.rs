//! Which destinations are refused, and why: decided by scheme, name and address, before a socket is opened.
//!
//! It opens no sockets and resolves no names. Through a proxy only the name or the literal address can be judged,
//! because the proxy resolves. What is judged here is every address that is connected to: literal ones by
//! [`Policy::check`], resolved ones by [`Policy::admit`] between the resolver and the socket, so that a name cannot
//! change its address in between.
//!
//! | address | reached |
//! | --- | --- |
//! | link-local, cloud metadata, unspecified, multicast, reserved | never |
//! | loopback | once a person typed a loopback address or `localhost` |
//! | private | once a person typed a private address |
//! | loopback or private, behind a name | by that name, if a person typed it |
//! | public and loopback or private at once, behind a name | by that name, if it is that of a site |
//! | any other | always |
//!
//! Typed is what the caller named as a registry, listed as one without TLS, or configured as a site. Nothing is learnt
//! from the wire: who runs a registry decides what its name resolves to, so a name that turns out to be local opens
//! nothing but itself. A name with public and local addresses is the mark of a public server that wants to be taken for
//! a local one, but a company whose registry is inside and outside looks the same. A name that a person only types may
//! come from anywhere, so it is refused; one that configuration describes is known to whoever wrote that.

use super::{Error, Origin, Site};
use reqwest::Url;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The state of the policy. It only ever opens up, and only by what a person typed.
#[derive(Debug)]
pub(super) struct Policy {
    plain_http: HashSet<String>,
    /// The hosts that configuration describes.
    sites: HashSet<String>,
    proxies: HashSet<String>,
    named: RwLock<HashSet<String>>,
    /// Whether every loopback address may be reached, by whatever name.
    loopback: AtomicBool,
    /// The same for private addresses.
    private: AtomicBool,
}

/// Where an address is, as far as requests are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Loopback,
    /// Nobody's registry: what the address is.
    Never(&'static str),
}

impl Policy {
    /// Takes the authorities that may be spoken to without TLS, the sites, and the hosts of the proxies.
    pub(super) fn new(plain_http: &[String], sites: &[Site], proxies: HashSet<String>) -> Result<Self, Error> {
        let mut plain_http: HashSet<_> = plain_http
            .iter()
            .map(|authority| Origin::new(false, authority).map(|origin| origin.host().to_owned()))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Settings { why: format!("a registry without TLS: {error}") })?;
        let insecure = sites.iter().filter(|site| !site.origin.is_secure());
        plain_http.extend(insecure.map(|site| site.origin.host().to_owned()));
        let policy = Self {
            plain_http,
            sites: sites.iter().map(|site| site.origin.host().to_owned()).collect(),
            proxies,
            named: RwLock::default(),
            loopback: AtomicBool::default(),
            private: AtomicBool::default(),
        };
        policy.plain_http.iter().for_each(|host| policy.open(host));
        sites.iter().for_each(|site| policy.allow(&site.origin));
        Ok(policy)
    }

    /// Notes a registry that the caller asked for.
    pub(super) fn allow(&self, registry: &Origin) {
        self.open(registry.host());
        self.named.write().expect("nothing panics while it holds the lock").insert(registry.host().to_owned());
    }

    /// Opens the zone of a host that a person typed, if the text itself says which zone that is.
    fn open(&self, host: &str) {
        let reach = literal(host).map(reach).or(is_localhost(host).then_some(Reach::Loopback));
        match reach {
            Some(Reach::Loopback) => self.loopback.store(true, Ordering::Release),
            Some(Reach::Private) => self.private.store(true, Ordering::Release),
            Some(Reach::Public | Reach::Never(_)) | None => {}
        }
    }

    fn is_named(&self, host: &str) -> bool {
        self.named.read().expect("nothing panics while it holds the lock").contains(host)
    }

    /// Returns whether `host` may be spoken to without TLS.
    fn is_plain_http(&self, host: &str) -> bool {
        let loopback = literal(host).is_some_and(|address| reach(address) == Reach::Loopback);
        loopback || is_localhost(host) || self.plain_http.contains(host)
    }

    /// Decides what can be decided without resolving the name.
    ///
    /// Fails with [`Error::Denied`].
    pub(super) fn check(&self, destination: &Url) -> Result<(), Error> {
        let origin = Origin::of(destination)?;
        let host = origin.host();
        if !destination.username().is_empty() || destination.password().is_some() {
            return Err(Error::Denied { why: format!("the URL for `{}` carries a login", origin.authority()) });
        }
        if !origin.is_secure() && !self.is_plain_http(host) {
            return Err(Error::Denied { why: format!("`{}` may only be reached by TLS", origin.authority()) });
        }
        // The proxy's own name resolves to wherever the proxy is, so it must not be a way around the addresses.
        if self.proxies.contains(host) && !self.is_named(host) {
            return Err(Error::Denied { why: format!("`{}` is a proxy", origin.authority()) });
        }
        match literal(host) {
            Some(address) => self.judge(host, address),
            None => Ok(()),
        }
    }

    /// Returns those of the addresses of `name` that may be connected to.
    ///
    /// Fails with [`Error::Denied`] if there are some but none of them may, or if some are public and some are local.
    pub(super) fn admit(&self, name: &str, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Error> {
        // The caller of the program chose the proxy, not a registry.
        if self.proxies.contains(name) {
            return Ok(addresses);
        }
        let public = addresses.iter().find(|address| reach(**address) == Reach::Public);
        let local = addresses.iter().find(|address| matches!(reach(**address), Reach::Private | Reach::Loopback));
        if let (Some(public), Some(local)) = (public, local)
            && !self.sites.contains(name)
        {
            let why = format!("`{name}` resolves to {public}, which is public, and to {local}, which is local");
            return Err(Error::Denied { why });
        }
        let mut refusal = None;
        let mut admitted = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.judge(name, address) {
                Ok(()) => admitted.push(address),
                Err(error) => refusal = Some(error),
            }
        }
        match refusal {
            Some(error) if admitted.is_empty() => Err(error),
            _ => Ok(admitted),
        }
    }

    fn judge(&self, host: &str, address: IpAddr) -> Result<(), Error> {
        let reach = reach(address);
        // RFC 6761 section 6.3. It may be spoken to without TLS because it does not leave the machine.
        if is_localhost(host) && reach != Reach::Loopback {
            return Err(Error::Denied { why: format!("`{host}` resolves to {address}, which is not this machine") });
        }
        let (zone, what) = match reach {
            Reach::Public => return Ok(()),
            Reach::Never(what) => return Err(denied(host, address, what)),
            Reach::Private => (&self.private, "a private address, and was not asked for"),
            Reach::Loopback => (&self.loopback, "this machine, and was not asked for"),
        };
        let typed = self.plain_http.contains(host) || self.is_named(host);
        if typed || zone.load(Ordering::Acquire) { Ok(()) } else { Err(denied(host, address, what)) }
    }
}

fn denied(host: &str, address: IpAddr, what: &str) -> Error {
    let why = match literal(host) {
        Some(_) => format!("{address} is {what}"),
        None => format!("`{host}` resolves to {address}, which is {what}"),
    };
    Error::Denied { why }
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost")
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [0, ..] => Reach::Never("an unspecified address"),
        [169, 254, ..] => Reach::Never("a link-local address"),
        // Services that clouds offer to the machines in them, outside the link-local range.
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Reach::Never("a cloud's metadata service"),
        [224..=239, ..] => Reach::Never("a multicast address"),
        [240..=255, ..] => Reach::Never("a reserved address"),
        [127, ..] => Reach::Loopback,
        // RFC 1918, RFC 6598 (behind a carrier's translation) and RFC 6890. The benchmarking range 198.18.0.0/15 is not
        // among them: some tunnels answer every name with an address of it.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [192, 0, 0, _] => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Never("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        // An IPv4 address in IPv6 clothes: mapped and compatible (RFC 4291 section 2.5.5), translated (RFC 6052), 6to4
        // (RFC 3056) and Teredo (RFC 4380, where its bits are inverted).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        [0x2001, 0, _, _, _, _, high, low] => embedded(!high, !low),
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Reach::Never("a cloud's metadata service"),
        [0xfe80..=0xfebf, ..] => Reach::Never("a link-local address"),
        [0xff00..=0xffff, ..] => Reach::Never("a multicast address"),
        // Unique local (RFC 4193), the former site-local, and local translation prefixes (RFC 8215).
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

/// Returns the address that `host` is, if it is one and not a name.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(address: &str) -> &'static str {
        match reach(address.parse().expect("a row has an address")) {
            Reach::Public => "public",
            Reach::Private => "private",
            Reach::Loopback => "loopback",
            Reach::Never(_) => "never",
        }
    }

    #[test]
    fn every_range_has_its_class() {
        for (expected, addresses) in [
            (
                "public",
                "8.8.8.8 1.1.1.1 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 192.0.1.1 198.18.0.5 223.255.255.255",
            ),
            ("public", "2001:4860:4860::8888 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1 2606:4700::1"),
            ("private", "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 192.0.0.8"),
            ("private", "fc00::1 fd12::1 fec0::1 64:ff9b:1::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::1"),
            ("loopback", "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::1"),
            ("loopback", "2001::8000:fffe"),
            ("never", "0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.1 224.0.0.1 255.255.255.255 240.0.0.1"),
            ("never", "100.100.100.200 168.63.129.16 192.0.0.192"),
            ("never", ":: fe80::1 febf::1 ff02::1 fd00:ec2::254 fd20:ce::254 ::ffff:169.254.169.254 2002:a9fe:a9fe::1"),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(class(address), expected, "{address}");
            }
        }
    }
}
