//! containerd's `hosts.toml`: where a registry is to be asked, one file a registry.
//!
//! <https://github.com/containerd/containerd/blob/main/docs/hosts.md>. The hosts are asked in the order of the file,
//! then the server; without a server the registry itself, to which the keys at the top apply then. A host of scheme
//! `http` with settings for TLS is asked by TLS first. `proxy` is not supported.
//!
//! Headers and certificates go into a [`Site`], and nowhere else.

use super::address::Address;
use super::certificates::Certificates;
use super::document::{Source, Table, Value};
use super::{Error, Reader, Registry, Statement};
use crate::images::{AskedFor, Capabilities, Endpoint, Origin, Rule};
use crate::network::Site;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::SignedDuration;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file.
pub(super) const FILE: &str = "hosts.toml";
/// What the paths of the API begin with.
const BASE: &str = "/v2";
/// The port at which nobody speaks TLS.
const PLAIN_PORT: &str = "80";

/// What a table says about one host: the top of the file about the server, the others about themselves.
#[derive(Debug, Default)]
struct Host {
    /// None if every capability is meant.
    capabilities: Option<Capabilities>,
    authorities: Vec<PathBuf>,
    pairs: Vec<(PathBuf, Option<PathBuf>)>,
    skip_verify: Option<bool>,
    headers: HeaderMap,
    override_path: bool,
    dial_timeout: Option<Duration>,
}

/// Reads the file in `directory`. Returns none if there is none, or if it is empty. `prefix` is what it is about.
pub(super) fn read(
    reader: &Reader<'_>,
    directory: &Path,
    prefix: &str,
    registry: &Registry,
) -> Result<Option<Statement>, Error> {
    let file = directory.join(FILE);
    let Some(bytes) = reader.optional(&file)?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    let source = Source::new(&file, &bytes)?;
    let document = source.parse()?;

    let mut top = Host::default();
    let (mut server, mut hosts) = (None, Vec::new());
    for (_, value) in Table::whole(source, &document).entries() {
        match value.key {
            "server" => server = Some(read_server(value)?).flatten(),
            "host" => {
                for (_, host) in value.table()?.entries() {
                    hosts.push((read_url(host, host.key)?, read_host(reader, directory, host)?));
                }
            }
            _ => top.read_key(reader, directory, value)?,
        }
    }

    let mut statement = Statement {
        rule: Rule { prefix: prefix.to_owned(), blocked: false, endpoints: Vec::new() },
        source: file.display().to_string(),
        sites: Vec::new(),
    };
    for (address, host) in &hosts {
        host.add(reader, address, true, &mut statement)?;
    }
    match &server {
        Some(address) => top.add(reader, address, false, &mut statement)?,
        // What the component adds is the registry itself; here is only how it is spoken to.
        None => statement.sites.extend(top.site(reader, &registry.address())?),
    }
    Ok(Some(statement))
}

fn read_server(value: Value<'_>) -> Result<Option<Address>, Error> {
    match value.text()? {
        "" => Ok(None),
        text if text.starts_with("http") => read_url(value, text).map(Some),
        text => read_url(value, &format!("https://{text}")).map(Some),
    }
}

fn read_url(value: Value<'_>, text: &str) -> Result<Address, Error> {
    Address::url(text).map_err(|why| value.wrong(why))
}

fn read_host(reader: &Reader<'_>, directory: &Path, value: Value<'_>) -> Result<Host, Error> {
    let mut host = Host::default();
    for (_, value) in value.table()?.entries() {
        host.read_key(reader, directory, value)?;
    }
    Ok(host)
}

impl Host {
    fn read_key(&mut self, reader: &Reader<'_>, directory: &Path, value: Value<'_>) -> Result<(), Error> {
        match value.key {
            "capabilities" => self.capabilities = read_capabilities(value)?,
            "ca" => self.authorities = value.text_or_texts()?.into_iter().map(|file| directory.join(file)).collect(),
            "client" => self.pairs = read_pairs(directory, value)?,
            "skip_verify" => self.skip_verify = Some(value.flag()?),
            "header" => self.headers = read_headers(value)?,
            "override_path" => self.override_path = value.flag()?,
            "dial_timeout" => self.dial_timeout = read_duration(value)?,
            "proxy" => reader.warn(value.told("`proxy` is not supported; proxies are those of the environment")),
            key => reader.warn(value.told(&format!("`{}` is not known, and left out", key.escape_debug()))),
        }
        Ok(())
    }

    fn add(
        &self,
        reader: &Reader<'_>,
        address: &Address,
        mirror: bool,
        statement: &mut Statement,
    ) -> Result<(), Error> {
        let twin = Address { secure: true, ..address.clone() };
        let by_tls_first = !address.secure && self.is_about_tls() && address.port() != Some(PLAIN_PORT);
        for address in by_tls_first.then_some(&twin).into_iter().chain([address]) {
            statement.rule.endpoints.push(Endpoint {
                origin: Origin { secure: address.secure, authority: address.authority.clone() },
                base: match self.override_path || address.path.ends_with(BASE) {
                    true => address.path.clone(),
                    false => format!("{}{BASE}", address.path),
                },
                path: None,
                capabilities: self.capabilities.unwrap_or(everything()),
                asked_for: AskedFor::All,
                mirror,
                names_registry: true,
            });
            statement.sites.extend(self.site(reader, address)?);
        }
        Ok(())
    }

    fn is_about_tls(&self) -> bool {
        !self.authorities.is_empty() || !self.pairs.is_empty() || self.skip_verify.is_some()
    }

    /// Returns what is special about an address, if anything is.
    fn site(&self, reader: &Reader<'_>, address: &Address) -> Result<Option<Site>, Error> {
        let special = self.is_about_tls() || !self.headers.is_empty() || self.dial_timeout.is_some();
        if !special && address.secure {
            return Ok(None);
        }
        let mut site = Site::new(address.origin());
        site.headers = self.headers.clone();
        site.connect_timeout = self.dial_timeout;
        if address.secure {
            site.skip_verify = self.skip_verify.unwrap_or_default();
            Certificates::of_files(reader, &self.authorities, &self.pairs)?.complete(&mut site);
        }
        Ok(Some(site))
    }
}

fn everything() -> Capabilities {
    Capabilities::RESOLVE | Capabilities::PULL | Capabilities::PUSH
}

fn read_capabilities(value: Value<'_>) -> Result<Option<Capabilities>, Error> {
    let mut read = None;
    for word in value.list()? {
        let capability = match word.text()?.to_lowercase().as_str() {
            "resolve" => Capabilities::RESOLVE,
            "pull" => Capabilities::PULL,
            "push" => Capabilities::PUSH,
            _ => return Err(word.wrong("a capability is `pull`, `resolve` or `push`")),
        };
        read = Some(read.map_or(capability, |read| read | capability));
    }
    Ok(read)
}

/// A file with certificate and key, a list of such files, or a list of pairs of files.
fn read_pairs(directory: &Path, value: Value<'_>) -> Result<Vec<(PathBuf, Option<PathBuf>)>, Error> {
    let wrong = || value.wrong("`client` has to be a file, a list of files, or a list of pairs of files");
    if let Some(file) = value.as_text() {
        return Ok(vec![(directory.join(file), None)]);
    }
    let pair = |entry: Value<'_>| {
        if let Some(file) = entry.as_text() {
            return Some((directory.join(file), None));
        }
        let texts: Option<Vec<&str>> = entry.as_list()?.into_iter().map(Value::as_text).collect();
        match texts?[..] {
            [certificates, ""] => Some((directory.join(certificates), None)),
            [certificates, key] => Some((directory.join(certificates), Some(directory.join(key)))),
            _ => None,
        }
    };
    value.as_list().ok_or_else(wrong)?.into_iter().map(|entry| pair(entry).ok_or_else(wrong)).collect()
}

fn read_headers(value: Value<'_>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (_, entry) in value.table()?.entries() {
        let name = HeaderName::from_bytes(entry.key.as_bytes())
            .map_err(|_| entry.wrong(format!("`{}` is no name of a header", entry.key.escape_debug())))?;
        for text in entry.text_or_texts()? {
            let text = HeaderValue::from_str(text)
                .map_err(|_| entry.wrong(format!("the value of `{name}` has characters that no header has")))?;
            headers.append(name.clone(), text);
        }
    }
    Ok(headers)
}

fn read_duration(value: Value<'_>) -> Result<Option<Duration>, Error> {
    let text = value.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    let read = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    let time = read.filter(|time| !time.is_zero());
    time.map(Some).ok_or_else(|| value.wrong("`dial_timeout` has to be a time with its unit, as in `10s`"))
}
