//! docker's `daemon.json`: mirrors of docker.io, registries that need not be verified, proxies. dockerd(8).
//!
//! The many other keys are none of wharf's business. An insecure registry is tried by TLS without verification, and then
//! without TLS, as docker does. A network, as in `10.0.0.0/8`, is compared with registries that are written as
//! addresses: docker resolves names for that, so that whoever answers for the name decides whether TLS is needed.

use super::address::{self, Address};
use super::{Error, Reader, Registry, Statement};
use crate::images::{AskedFor, Capabilities, Endpoint, Origin, Rule};
use crate::network::{Proxies, Site};
use ipnet::IpNet;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What mirrors are of.
const MIRRORED: &str = "docker.io";

/// What the file says.
#[derive(Clone, Debug, Default)]
pub(super) struct Daemon {
    file: PathBuf,
    mirrors: Vec<Address>,
    insecure: Vec<Insecure>,
    pub(super) proxies: Option<Proxies>,
}

#[derive(Clone, Debug)]
enum Insecure {
    /// As in `registry.lan:5000`.
    Registry(String),
    Network(IpNet),
}

impl Daemon {
    /// Reads the file.
    pub(super) fn read(reader: &Reader<'_>, file: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |why: String| Error::Wrong { file: file.to_owned(), place: None, why };
        // docker takes an empty file for an empty object.
        if bytes.trim_ascii().is_empty() {
            return Ok(Self { file: file.to_owned(), ..Self::default() });
        }
        let document: Value = serde_json::from_slice(bytes).map_err(|error| Error::Wrong {
            file: file.to_owned(),
            place: Some((error.line(), error.column())),
            why: "it is not JSON".to_owned(),
        })?;
        let document = document.as_object().ok_or_else(|| wrong("it has to be an object".to_owned()))?;
        let texts = |key: &str| texts(document, key).map_err(wrong);

        let mut read = Self { file: file.to_owned(), ..Self::default() };
        for mirror in texts("registry-mirrors")? {
            let address = Address::url(mirror).map_err(|why| wrong(format!("`registry-mirrors`: {why}")))?;
            if !read.mirrors.contains(&address) {
                read.mirrors.push(address);
            }
        }
        for entry in texts("insecure-registries")? {
            let insecure = match entry.split_once("://") {
                Some(("http" | "https", rest)) => {
                    let said = "an insecure registry has no scheme, so that it is left out";
                    reader.warn(format!("`{}`: {said}", file.display()));
                    rest
                }
                _ => entry,
            };
            read.insecure.push(match insecure.parse() {
                Ok(network) => Insecure::Network(network),
                Err(_) => Insecure::Registry(
                    address::authority(insecure).map_err(|why| wrong(format!("`insecure-registries`: {why}")))?,
                ),
            });
        }
        read.proxies = read_proxies(document).map_err(wrong)?;
        Ok(read)
    }

    /// Returns what it says about a registry.
    pub(super) fn about(&self, registry: &Registry) -> Vec<Statement> {
        let mut statements = Vec::new();
        if registry.name.eq_ignore_ascii_case(MIRRORED) {
            if !self.mirrors.is_empty() {
                statements.push(self.mirroring());
            }
            // docker asks for its certificate whatever is listed.
            return statements;
        }
        if self.is_insecure(&registry.host) {
            let mut statement = self.statement(&registry.name, "insecure-registries");
            statement.add_insecure(endpoint(true, &registry.host, "/v2".to_owned(), false));
            statements.push(statement);
        }
        statements
    }

    fn mirroring(&self) -> Statement {
        let mut statement = self.statement(MIRRORED, "registry-mirrors");
        for mirror in &self.mirrors {
            let base = format!("{}/v2", mirror.path);
            statement.rule.endpoints.push(endpoint(mirror.secure, &mirror.authority, base, true));
            let skip_verify = mirror.secure && self.is_insecure(&mirror.authority);
            if skip_verify || !mirror.secure {
                statement.sites.push(Site { skip_verify, ..Site::new(mirror.origin()) });
            }
        }
        statement
    }

    fn statement(&self, prefix: &str, key: &str) -> Statement {
        Statement {
            rule: Rule { prefix: prefix.to_owned(), blocked: false, endpoints: Vec::new() },
            source: format!("{} (`{key}`)", self.file.display()),
            sites: Vec::new(),
        }
    }

    fn is_insecure(&self, authority: &str) -> bool {
        let port = address::port(authority).map_or(0, |port| port.len() + 1);
        let host = &authority[..authority.len() - port];
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let literal: Option<IpAddr> = host.parse().ok();
        self.insecure.iter().any(|entry| match entry {
            Insecure::Registry(listed) => listed.eq_ignore_ascii_case(authority),
            Insecure::Network(network) => literal.is_some_and(|address| network.contains(&address)),
        })
    }
}

fn endpoint(secure: bool, authority: &str, base: String, mirror: bool) -> Endpoint {
    let reading = Capabilities::RESOLVE | Capabilities::PULL;
    Endpoint {
        origin: Origin { secure, authority: authority.to_owned() },
        base,
        path: None,
        capabilities: if mirror { reading } else { reading | Capabilities::PUSH },
        asked_for: AskedFor::All,
        mirror,
        names_registry: false,
    }
}

fn read_proxies(document: &Map<String, Value>) -> Result<Option<Proxies>, String> {
    let Some(value) = document.get("proxies") else { return Ok(None) };
    let table = value.as_object().ok_or("`proxies` has to be an object")?;
    // The URL of a proxy may hold a password, so no value is repeated.
    let text = |key: &str| match table.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{key}` of `proxies` has to be a text")),
    };
    Ok(Some(Proxies { http: text("http-proxy")?, https: text("https-proxy")?, all: None, except: text("no-proxy")? }))
}

fn texts<'a>(document: &'a Map<String, Value>, key: &str) -> Result<Vec<&'a str>, String> {
    let wrong = || format!("`{key}` has to be a list of texts");
    match document.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(value) => {
            let texts: Option<_> = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
            texts.ok_or_else(wrong)
        }
    }
}
