//! Docker's `config.json` and podman's `auth.json`: what they say about logins. Everything else in them is left unread.
//!
//! | key of an entry | stands for |
//! | --- | --- |
//! | `registry.lan`, `registry.lan:5000` | the registry |
//! | `https://registry.lan/v1/`, `registry.lan/v2` | the registry, in docker's older spelling |
//! | `https://index.docker.io/v1/`, `docker.io` | Docker Hub |
//! | `registry.lan/team/app` | this repository or namespace and what is below it: podman's spelling |
//!
//! It runs no credential helpers, resolves nothing, and changes nothing: that is [`edit`](super::edit).

use super::Origin;
use super::secret::Secret;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The largest document that is read, in bytes.
pub(super) const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// Docker writes padding, other tools leave it out.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The hosts of Docker Hub, for which one login is kept.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The key under which docker keeps the login for Docker Hub, in documents and in helpers.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What a document says about logins.
#[derive(Debug)]
pub(super) struct Logins {
    /// In the order of their keys.
    pub(super) entries: Vec<Entry>,
    /// Programs that keep the logins of single registries, in the order of their keys.
    pub(super) helpers: Vec<Keeper>,
    /// The program that keeps the logins of all other registries.
    pub(super) store: Option<String>,
}

/// One entry of `credHelpers`.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) scope: Scope,
    /// As it is written: the program knows the login by this name.
    pub(super) key: String,
    /// As in `desktop` of `docker-credential-desktop`.
    pub(super) helper: String,
}

/// One entry of `auths`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) scope: Scope,
    /// As it is written.
    pub(super) key: String,
    /// `None` says that a login exists and is kept elsewhere. A broken entry says what is wrong with it; that is an
    /// error when, and only when, the entry is needed.
    pub(super) login: Result<Option<Arc<Secrets>>, String>,
}

/// What a login consists of. At least one of the three is there.
#[derive(Debug)]
pub(super) struct Secrets {
    /// For Basic, and for token requests.
    pub(super) password: Option<Password>,
    /// For token requests by OAuth 2.0: a refresh token.
    pub(super) identity: Option<Secret>,
    /// To be sent to the registry as it is.
    pub(super) registry: Option<Secret>,
}

/// A user name and a password.
#[derive(Debug)]
pub(super) struct Password {
    pub(super) user: String,
    pub(super) password: Secret,
}

/// What an entry is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    host: String,
    /// `None` stands for the scheme's own.
    port: Option<u16>,
    /// As in `team/app`, or empty for all of the registry.
    namespace: String,
}

#[derive(Deserialize)]
struct Json {
    #[serde(default)]
    auths: Option<BTreeMap<String, Option<JsonEntry>>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct JsonEntry {
    auth: Option<Secret>,
    username: Option<Secret>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

impl Logins {
    /// Reads a document. The error says where it breaks and does not repeat what is there.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(format!("it has {} bytes, and {DOCUMENT_BYTES_MAX} is the limit", bytes.len()));
        }
        // Tools leave an empty file behind when the last login has gone.
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { entries: Vec::new(), helpers: Vec::new(), store: None });
        }
        let json: Json = serde_json::from_slice(bytes).map_err(|error| place_of(&error))?;
        let entries = json.auths.unwrap_or_default().into_iter().filter_map(|(key, entry)| {
            let scope = Scope::read(&key)?;
            let login = entry.map_or(Ok(None), Secrets::read).map_err(|why| format!("the entry `{key}`: {why}"));
            Some(Entry { scope, key, login: login.map(|login| login.map(Arc::new)) })
        });
        let helpers = json.helpers.unwrap_or_default().into_iter();
        Ok(Self {
            entries: entries.collect(),
            // An empty name switches the helper off.
            helpers: helpers
                .filter(|(_, helper)| !helper.is_empty())
                .filter_map(|(key, helper)| Some(Keeper { scope: Scope::read(&key)?, key, helper }))
                .collect(),
            store: json.store.filter(|store| !store.is_empty()),
        })
    }
}

/// Says where a document breaks, without repeating what is there.
pub(super) fn place_of(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "an unexpected value" } else { "a syntax error" };
    format!("{what} at line {}, column {}", error.line(), error.column())
}

impl Secrets {
    fn read(entry: JsonEntry) -> Result<Option<Self>, String> {
        let given = |secret: Option<Secret>| secret.filter(|secret| !secret.is_empty());
        let password = match (given(entry.auth), given(entry.username), given(entry.password)) {
            (Some(auth), _, _) => Password::decode(&auth).ok_or("`auth` is not base64 of `user:password`")?,
            (None, Some(user), Some(password)) => Some(Password { user: user.expose().to_owned(), password }),
            (None, ..) => None,
        };
        let (identity, registry) = (given(entry.identitytoken), given(entry.registrytoken));
        let any = password.is_some() || identity.is_some() || registry.is_some();
        Ok(any.then_some(Self { password, identity, registry }))
    }
}

impl Password {
    /// Decodes `auth`; a login that consists of nothing is none.
    fn decode(auth: &Secret) -> Option<Option<Self>> {
        let bytes = Zeroizing::new(BASE64.decode(auth.expose().trim()).ok()?);
        let (user, password) = str::from_utf8(&bytes).ok()?.split_once(':')?;
        // Docker pads with zero bytes.
        let password = password.trim_matches('\0');
        let nothing = user.is_empty() && password.is_empty();
        Some((!nothing).then(|| Self { user: user.to_owned(), password: Secret::from(password.to_owned()) }))
    }
}

impl Scope {
    /// Reads a key; `None` if it can stand for no registry.
    pub(super) fn read(key: &str) -> Option<Self> {
        let without_scheme = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
        let (authority, path) = match without_scheme.unwrap_or(key).split_once('/') {
            Some((authority, path)) => (authority, path.trim_matches('/')),
            None => (without_scheme.unwrap_or(key), ""),
        };
        let older = without_scheme.is_some() || matches!(path.split('/').next(), Some("v1" | "v2"));
        let (secure, plain) = (Origin::new(true, authority).ok()?, Origin::new(false, authority).ok()?);
        // Where nothing is written, the two differ by their schemes' ports.
        let port = (secure.port() == plain.port()).then(|| secure.port());
        let namespace = if older { String::new() } else { path.to_owned() };
        Some(Self { host: canonical(secure.host()).to_owned(), port, namespace })
    }

    /// Returns the scope of a whole registry.
    pub(super) fn of(registry: &Origin) -> Self {
        let own = if registry.is_secure() { 443 } else { 80 };
        let port = (registry.port() != own).then(|| registry.port());
        Self { host: canonical(registry.host()).to_owned(), port, namespace: String::new() }
    }

    /// Returns the key under which docker keeps the login, as in `registry.lan:5000`.
    pub(super) fn key(&self) -> String {
        if self.is_docker_hub() && self.namespace.is_empty() { DOCKER_HUB_KEY.to_owned() } else { self.to_string() }
    }

    /// Returns whether both are for the same registry and the same part of it.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.is_at(other) && self.namespace == other.namespace
    }

    /// Returns whether both are for the same registry.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        let port = |scope: &Self| scope.port.unwrap_or(443);
        self.host == other.host && port(self) == port(other)
    }

    fn is_docker_hub(&self) -> bool {
        self.host == DOCKER_HUB[0] && matches!(self.port, None | Some(443))
    }

    /// Returns how well it fits a repository of `registry`: the length of the namespace, or `None` if it does not.
    pub(super) fn fits(&self, registry: &Origin, repository: Option<&str>) -> Option<usize> {
        let port = self.port.unwrap_or(if registry.is_secure() { 443 } else { 80 });
        if self.host != canonical(registry.host()) || port != registry.port() {
            return None;
        }
        if self.namespace.is_empty() {
            return Some(0);
        }
        let below = repository?.strip_prefix(self.namespace.as_str())?;
        (below.is_empty() || below.starts_with('/')).then_some(self.namespace.len())
    }
}

/// As in `docker.io` or `registry.lan:5000/team/app`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if let Some(port) = self.port.filter(|_| !self.is_docker_hub()) {
            write!(f, ":{port}")?;
        }
        if self.namespace.is_empty() { Ok(()) } else { write!(f, "/{}", self.namespace) }
    }
}

fn canonical(host: &str) -> &str {
    if DOCKER_HUB.contains(&host) { DOCKER_HUB[0] } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_is_base64_of_user_and_password() {
        for (auth, expected) in [
            ("dXNlcjpwYXNz", Some(Some(("user", "pass")))),
            ("dXNlcjpwYXNzd29yZA==", Some(Some(("user", "password")))),
            ("dXNlcjpwYXNzd29yZA", Some(Some(("user", "password")))),
            ("dXNlcjpwYTpzcw==", Some(Some(("user", "pa:ss")))),
            ("dXNlcjpwYXNzAAA=", Some(Some(("user", "pass")))),
            ("dXNlcjo=", Some(Some(("user", "")))),
            ("Og==", Some(None)),
            ("bad-auth-bad", None),
            ("Zm9vYmFy", None),
            ("/zph", None),
        ] {
            let decoded = Password::decode(&Secret::from(auth.to_owned()));
            let seen = decoded.as_ref().map(|login| login.as_ref().map(|p| (p.user.as_str(), p.password.expose())));
            assert_eq!(seen, expected, "{auth}");
        }
    }

    #[test]
    fn a_broken_document_is_described_by_place_and_not_by_content() {
        for (document, expected) in [
            ("}{", "a syntax error at line 1, column 1"),
            ("{\"auths\": {\"a\": {\"password\": [\"hunter2\"]}}}", "an unexpected value at line 1, column 29"),
            ("{\"auths\":\n\"hunter2\"}", "an unexpected value at line 2, column 9"),
            ("{\"auths\": {\"a\": {\"auth\": \"hunter2", "a syntax error at line 1, column 33"),
        ] {
            assert_eq!(Logins::read(document.as_bytes()).expect_err(document), expected, "{document}");
        }
        let large = vec![b' '; DOCUMENT_BYTES_MAX + 1];
        assert_eq!(Logins::read(&large).expect_err("too large"), "it has 1048577 bytes, and 1048576 is the limit");
    }
}
