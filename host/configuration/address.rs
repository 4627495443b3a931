//! Addresses as configuration files write them: `https://mirror.lan:5000/v2`, `mirror.lan/proxy`, `registry.lan:5000`.
//!
//! An address that does not say exactly one thing is refused; nothing is repaired. An error never repeats what could be
//! a password.

use crate::images;
use crate::network::Origin;

/// A server, and a path on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) secure: bool,
    /// As in `mirror.lan:5000`. Of docker.io it is the host that answers for it.
    pub(super) authority: String,
    /// Empty, or as in `/proxy/docker`: without a slash at the end.
    pub(super) path: String,
}

impl Address {
    /// Reads a URL of scheme `http` or `https`.
    pub(super) fn url(text: &str) -> Result<Self, String> {
        let shown = shown(text);
        let (secure, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(format!("{shown} begins with neither `https://` nor `http://`")),
            None => return Err(format!("{shown} has no scheme, as in `https://mirror.example.com`")),
        };
        Self::after_scheme(secure, rest, &shown)
    }

    /// Reads a host with an optional port and an optional path, as in `mirror.lan:5000/proxy`.
    pub(super) fn location(text: &str) -> Result<Self, String> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err(format!("{} begins with a scheme, and a location has none", shown(text)));
        }
        Self::after_scheme(true, text, &shown(text))
    }

    fn after_scheme(secure: bool, text: &str, shown: &str) -> Result<Self, String> {
        if text.contains('@') {
            return Err("an address carries no login; `wharf login` keeps those".to_owned());
        }
        if text.contains(['?', '#']) {
            return Err(format!("{shown} has a query or a fragment"));
        }
        let (authority, path) = text.find('/').map_or((text, ""), |at| text.split_at(at));
        let authority = read_authority(secure, authority).ok_or_else(|| format!("{shown} names no host"))?;
        let mut clean = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let odd =
                |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
            if part.contains(odd) || part == "." || part == ".." {
                return Err(format!("{shown} has a path that is none"));
            }
            clean.push('/');
            clean.push_str(part);
        }
        Ok(Self { secure, authority, path: clean })
    }

    /// Returns the port, if one is written.
    pub(super) fn port(&self) -> Option<&str> {
        port(&self.authority)
    }

    /// Returns its scheme, host and port.
    pub(super) fn origin(&self) -> Origin {
        Origin::new(self.secure, &self.authority).expect("it was one when it was read")
    }
}

/// Reads a host with an optional port. Returns it in lower case, with an address of IPv6 in brackets.
pub(super) fn authority(text: &str) -> Result<String, String> {
    if text.contains('@') {
        return Err("a host with a port carries no login".to_owned());
    }
    read_authority(true, text).ok_or_else(|| format!("{} is not a host with an optional port", shown(text)))
}

fn read_authority(secure: bool, text: &str) -> Option<String> {
    // docker takes an address of IPv6 without brackets.
    let bracketed = text.parse::<std::net::Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    let text = images::host(bracketed.as_deref().unwrap_or(text));
    let origin = Origin::new(secure, text).ok()?;
    let host = origin.host();
    let labels = host.split('.').all(|label| !label.starts_with('-') && !label.ends_with('-'));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if !labels || !host.contains(|c: char| c.is_ascii_alphanumeric() || c == ':') || !host.chars().all(plain) {
        return None;
    }
    match port(text) {
        Some("") => None,
        Some(port) => Some(format!("{host}:{port}")),
        None => Some(host.to_owned()),
    }
}

/// Returns the port, if one is written.
pub(super) fn port(authority: &str) -> Option<&str> {
    let address = authority.rfind(']').unwrap_or(0);
    authority[address..].split_once(':').map(|(_, port)| port)
}

/// Returns the text in backticks, unless it may hold a password.
fn shown(text: &str) -> String {
    if text.contains('@') { "the address".to_owned() } else { format!("`{}`", text.escape_debug()) }
}
