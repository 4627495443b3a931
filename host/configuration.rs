//! The configuration that users have already: what containerd, docker and podman are told about registries, as data for
//! the component and the network.
//!
//! It decides nothing about a reference: the component does, by the rules. It opens no file itself ([`Files`]), and
//! knows neither the component's runtime nor sockets; of `wit/` it knows the types of a rule.
//!
//! | file | where, the first place first | what is read |
//! | --- | --- | --- |
//! | `certs.d/<registry>/hosts.toml` | `wharf`, `containers` and `docker` in the user's configuration; `/etc/wharf`, `/etc/containerd`, `/etc/containers`, `/etc/docker` | containerd's format; `_default` is for every registry |
//! | `certs.d/<host>/*.crt`, `*.cert`, `*.key` | the same | authorities and certificates of the client |
//! | `registries.conf`, `registries.conf.d/*.conf` | the user's `containers`, or else `/etc/containers` | podman's format, version 2 |
//! | `daemon.json` | the user's `docker`, or else `/etc/docker` | mirrors of docker.io, insecure registries, proxies |
//!
//! # Which of them decides
//!
//! Each file becomes rules with a prefix, and the longest prefix that fits a reference decides alone: its endpoints are
//! all that is asked. Among equals the first counts, in the order of the table. `_default` has the empty prefix, so that
//! every other rule comes before it. In one format, the first place that has a directory for the registry is the only
//! one; `host_port_` stands for `host:port`. So it is with `registries.conf` and `daemon.json`: a user's own replaces the
//! system's. Drop-ins are read after their file, the system's first, by name; where a user has a `registries.conf` of
//! his own, the system's are left out.
//!
//! What is special about an origin (headers, certificates, no verification) is taken from the first rule that says
//! anything about it; certificates of its directory are added where that says nothing about certificates.
//!
//! # Asked for one registry
//!
//! [`Configuration::about`] returns what concerns one reference. So the directories of other registries are not read,
//! which may hold keys that the user may not read; what they say opens nothing; and what depends on the registry can be
//! said, as `insecure = true` for `*.example.com` or for a network.
//!
//! # What is wrong with a file
//!
//! A file that cannot be understood is an error with line and column. One that the user may not read is left out with a
//! warning, except `registries.conf`, which can forbid. Headers and keys stand in a [`Site`] and nowhere else.

mod address;
mod certificates;
mod daemon;
mod document;
mod error;
mod hosts;
mod places;
mod registries;

pub use error::Error;
pub use places::Places;

use crate::images::{self, Endpoint, Rule};
use crate::network::{Origin, Proxies, Site};
use address::Address;
use certificates::Certificates;
use daemon::Daemon;
use registries::Registries;
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// No file of configuration is larger, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// No directory of configuration has more entries.
pub const ENTRIES_MAX: usize = 1_024;

/// The directory whose `hosts.toml` is for every registry without one.
const EVERY_REGISTRY: &str = "_default";

/// Where files are read.
pub trait Files {
    /// Returns what is in a file, or none if there is no such file. Of a file with more than [`FILE_BYTES_MAX`] bytes,
    /// as many bytes more as it likes.
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Returns the names of what is in a directory, in any order; none if there is no such directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;
}

/// What the files say that are not about a single registry.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// Short names and what they stand for, in order of name.
    pub aliases: Vec<(String, String)>,
    /// Where each alias is said, as in `/etc/containers/registries.conf.d/000-shortnames.conf:7`.
    pub alias_sources: Vec<String>,
    /// The proxies of `daemon.json`, for where the environment names none.
    pub proxies: Option<Proxies>,
    /// The programs that podman has keep logins, in the order in which it asks them; empty if nothing is said.
    pub credential_helpers: Vec<String>,
    /// Sentences for a person.
    pub warnings: Vec<String>,
    certs_d: Vec<PathBuf>,
    registries: Registries,
    daemon: Daemon,
}

/// What concerns one reference.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    /// As the component takes them.
    pub rules: Vec<Rule>,
    /// Where each rule is said, as in `/etc/containerd/certs.d/docker.io/hosts.toml`.
    pub sources: Vec<String>,
    /// What is special about single origins, each of them once.
    pub sites: Vec<Site>,
    /// Sentences for a person.
    pub warnings: Vec<String>,
}

/// Reads the configuration.
///
/// Fails with what is wrong with the first file that cannot be read or understood.
pub fn read(files: &dyn Files, places: &Places) -> Result<Configuration, Error> {
    let reader = Reader::new(files, &[]);
    let mut read = Configuration { certs_d: places.certs_d.clone(), ..Configuration::default() };
    read.registries = read_registries(&reader, &places.registries_conf)?;
    for file in &places.daemon_json {
        if let Some(bytes) = reader.optional(file)? {
            read.daemon = Daemon::read(&reader, file, &bytes)?;
            break;
        }
    }
    (read.aliases, read.alias_sources) = read.registries.aliases();
    read.credential_helpers = read.registries.helpers.clone();
    read.proxies = read.daemon.proxies.clone();
    read.warnings = reader.into_warnings();
    Ok(read)
}

fn read_registries(reader: &Reader<'_>, candidates: &[PathBuf]) -> Result<Registries, Error> {
    let mut read = Registries::default();
    let mut with_drop_ins = candidates;
    for (at, file) in candidates.iter().enumerate() {
        if let Some(bytes) = reader.forbidding(file)? {
            read.read(reader, file, &bytes)?;
            with_drop_ins = &candidates[..=at];
            break;
        }
    }
    for file in with_drop_ins.iter().rev() {
        let mut directory = file.clone().into_os_string();
        directory.push(".d");
        let directory = PathBuf::from(directory);
        let mut names = reader.list_forbidding(&directory)?;
        names.sort_unstable();
        for name in names.iter().filter(|name| Path::new(name).extension() == Some(OsStr::new("conf"))) {
            let file = directory.join(name);
            // It may have been removed since.
            if let Some(bytes) = reader.forbidding(&file)? {
                read.read(reader, &file, &bytes)?;
            }
        }
    }
    Ok(read)
}

impl Configuration {
    /// Returns what concerns `reference`, as a person typed it, as in `alpine:3.20`; or, if it ends behind the slash, as
    /// in `registry.lan:5000/`, a registry. About a text that names no registry nothing is said.
    ///
    /// Fails like [`read`].
    pub fn about(&self, files: &dyn Files, reference: &str) -> Result<Excerpt, Error> {
        let reader = Reader::new(files, &self.certs_d);
        let Some(registry) = Registry::of(images::registry(reference, &self.aliases)) else {
            return Ok(Excerpt::default());
        };
        let mut statements = self.of_directories(&reader, &registry)?;
        statements.extend(self.registries.about(&registry));
        statements.extend(self.daemon.about(&registry));

        let mut excerpt = Excerpt::default();
        for Statement { rule, source, sites } in statements {
            for site in sites {
                if !excerpt.sites.iter().any(|known| known.origin == site.origin) {
                    excerpt.sites.push(site);
                }
            }
            excerpt.rules.push(rule);
            excerpt.sources.push(source);
        }
        self.add_certificates(&reader, &registry, &mut excerpt)?;
        reader.warnings.borrow_mut().extend(self.registries.doubt(reference, &self.aliases));
        excerpt.warnings = reader.into_warnings();
        Ok(excerpt)
    }

    /// Reads `hosts.toml` of the registry, and that of every registry.
    fn of_directories(&self, reader: &Reader<'_>, registry: &Registry) -> Result<Vec<Statement>, Error> {
        let mut statements = Vec::new();
        for (names, prefix) in [(registry.directories(), &*registry.name), (vec![EVERY_REGISTRY.to_owned()], "")] {
            let directories = self.certs_d.iter().flat_map(|place| names.iter().map(|name| place.join(name)));
            for directory in directories {
                if let Some(statement) = hosts::read(reader, &directory, prefix, registry)? {
                    statements.push(statement);
                    break;
                }
            }
        }
        Ok(statements)
    }

    /// Adds the certificates that directories hold for the hosts that may be asked.
    fn add_certificates(&self, reader: &Reader<'_>, registry: &Registry, excerpt: &mut Excerpt) -> Result<(), Error> {
        let listed = excerpt.rules.iter().flat_map(|rule| &rule.endpoints).filter(|endpoint| endpoint.origin.secure);
        let mut hosts: Vec<Registry> = listed.filter_map(|endpoint| Registry::of(&endpoint.origin.authority)).collect();
        hosts.insert(0, registry.clone());
        let mut seen: Vec<Origin> = Vec::new();
        for host in hosts {
            let origin = host.address().origin();
            if seen.contains(&origin) {
                continue;
            }
            if let Some(certificates) = self.certificates(reader, &host)? {
                let known = excerpt.sites.iter().position(|site| site.origin == origin);
                let at = known.unwrap_or_else(|| {
                    excerpt.sites.push(Site::new(origin.clone()));
                    excerpt.sites.len() - 1
                });
                certificates.complete(&mut excerpt.sites[at]);
            }
            seen.push(origin);
        }
        Ok(())
    }

    fn certificates(&self, reader: &Reader<'_>, host: &Registry) -> Result<Option<Certificates>, Error> {
        for place in &self.certs_d {
            for name in host.directories() {
                if let Some(certificates) = Certificates::of_directory(reader, &place.join(name))? {
                    return Ok(Some(certificates));
                }
            }
        }
        Ok(None)
    }
}

/// A registry that was asked for.
#[derive(Clone, Debug)]
struct Registry {
    /// As in `docker.io` or `registry.lan:5000`.
    name: String,
    /// Who answers for it, as in `registry-1.docker.io`.
    host: String,
}

impl Registry {
    /// Returns none for a text that is no host with an optional port.
    fn of(name: &str) -> Option<Self> {
        let host = address::authority(name).ok()?;
        Some(Self { name: name.to_owned(), host })
    }

    fn address(&self) -> Address {
        Address { secure: true, authority: self.host.clone(), path: String::new() }
    }

    /// Returns the names of its directories. The second form is for systems where a name has no colon.
    fn directories(&self) -> Vec<String> {
        let host = address::port(&self.name).map(|port| &self.name[..self.name.len() - port.len() - 1]);
        let escaped = address::port(&self.name).zip(host).map(|(port, host)| format!("{host}_{port}_"));
        escaped.into_iter().chain([self.name.clone()]).collect()
    }
}

/// What one file says about a registry.
#[derive(Clone, Debug)]
struct Statement {
    rule: Rule,
    source: String,
    sites: Vec<Site>,
}

impl Statement {
    /// Adds an endpoint that is tried by TLS without verification, and then without TLS.
    fn add_insecure(&mut self, endpoint: Endpoint) {
        for secure in [true, false] {
            let mut endpoint = endpoint.clone();
            endpoint.origin.secure = secure;
            if let Ok(origin) = Origin::new(secure, &endpoint.origin.authority) {
                self.sites.push(Site { skip_verify: secure, ..Site::new(origin) });
            }
            self.rule.endpoints.push(endpoint);
        }
    }
}

/// Reads files up to a limit, and gathers what is worth saying.
struct Reader<'f> {
    files: &'f dyn Files,
    /// Directories of which one warning is enough.
    places: &'f [PathBuf],
    warnings: RefCell<Vec<String>>,
}

impl<'f> Reader<'f> {
    fn new(files: &'f dyn Files, places: &'f [PathBuf]) -> Self {
        Self { files, places, warnings: RefCell::default() }
    }

    /// Returns what is in a file that need not be there. One that may not be read is left out with a warning.
    fn optional(&self, file: &Path) -> Result<Option<Vec<u8>>, Error> {
        self.unless_denied(file, self.forbidding(file))
    }

    /// The same, except that it has to be read if it is there.
    fn forbidding(&self, file: &Path) -> Result<Option<Vec<u8>>, Error> {
        let bytes = self.files.read(file).map_err(|why| Error::Read { file: file.to_owned(), why })?;
        match bytes {
            Some(bytes) if bytes.len() > FILE_BYTES_MAX => Err(Error::Large { file: file.to_owned() }),
            bytes => Ok(bytes),
        }
    }

    /// Returns what is in a file that another one names.
    fn required(&self, file: &Path) -> Result<Vec<u8>, Error> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such file");
        self.forbidding(file)?.ok_or_else(|| Error::Read { file: file.to_owned(), why: missing() })
    }

    /// Returns the names in a directory. One that may not be read is left out with a warning.
    fn list(&self, directory: &Path) -> Result<Vec<OsString>, Error> {
        self.unless_denied(directory, self.list_forbidding(directory))
    }

    /// The same, except that it has to be read if it is there.
    fn list_forbidding(&self, directory: &Path) -> Result<Vec<OsString>, Error> {
        let names = self.files.list(directory).map_err(|why| Error::Read { file: directory.to_owned(), why })?;
        if names.len() > ENTRIES_MAX {
            let why = io::Error::other(format!("it has more than {ENTRIES_MAX} entries"));
            return Err(Error::Read { file: directory.to_owned(), why });
        }
        Ok(names)
    }

    fn unless_denied<T: Default>(&self, file: &Path, read: Result<T, Error>) -> Result<T, Error> {
        match read {
            Err(Error::Read { why, .. }) if why.kind() == io::ErrorKind::PermissionDenied => {
                self.warn(match self.places.iter().find(|place| file.starts_with(place)) {
                    Some(place) => format!("what may not be read in `{}` is left out", place.display()),
                    None => format!("`{}` may not be read, and is left out", file.display()),
                });
                Ok(T::default())
            }
            read => read,
        }
    }

    /// Notes a sentence, once.
    fn warn(&self, sentence: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&sentence) {
            warnings.push(sentence);
        }
    }

    fn into_warnings(self) -> Vec<String> {
        self.warnings.into_inner()
    }
}
