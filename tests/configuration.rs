//! The configuration that users have already, read from files in memory: each format, which place wins, what is wrong
//! with a file, and where secrets do not go.

mod certificates;
mod daemon;
mod hosts;
mod places;
mod registries;
mod rewriting;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use wharf::configuration::{self, Configuration, Error, Excerpt, Files, Places};
use wharf::images::{AskedFor, Capabilities, Endpoint};
use wharf::network::Site;

/// Files in memory.
#[derive(Clone, Debug, Default)]
struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Files and directories that may not be read.
    denied: BTreeSet<PathBuf>,
}

impl Memory {
    fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(file, text)| (PathBuf::from(file), text.as_bytes().to_vec()));
        Self { files: files.collect(), denied: BTreeSet::new() }
    }

    fn deny(mut self, file: &str) -> Self {
        self.denied.insert(PathBuf::from(file));
        self
    }

    fn check(&self, file: &Path) -> io::Result<()> {
        let denied = file.ancestors().any(|above| self.denied.contains(above));
        if denied { Err(io::Error::from(io::ErrorKind::PermissionDenied)) } else { Ok(()) }
    }

    /// Reads everything from the usual places of a user.
    fn read(&self) -> Result<Configuration, Error> {
        configuration::read(self, &Places::usual(Some(Path::new("/home/ann")), None))
    }

    fn about(&self, reference: &str) -> Result<Excerpt, Error> {
        self.read()?.about(self, reference)
    }

    /// Says what was wrong.
    fn refusal(&self, reference: &str) -> String {
        match self.about(reference) {
            Err(error) => error.to_string(),
            Ok(excerpt) => panic!("nothing is wrong: {excerpt:?}"),
        }
    }
}

impl Files for Memory {
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        self.check(file)?;
        Ok(self.files.get(file).cloned())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.check(directory)?;
        let inside = self.files.keys().filter(|file| file.parent() == Some(directory));
        Ok(inside.filter_map(|file| Some(file.file_name()?.to_owned())).collect())
    }
}

/// The rules as text: the prefix and the source, and below each its endpoints.
fn rules(excerpt: &Excerpt) -> Vec<String> {
    assert_eq!(excerpt.rules.len(), excerpt.sources.len(), "each rule has its source");
    let mut lines = Vec::new();
    for (rule, source) in excerpt.rules.iter().zip(&excerpt.sources) {
        let blocked = if rule.blocked { " blocked" } else { "" };
        lines.push(format!("{:?}{blocked}: {source}", rule.prefix));
        lines.extend(rule.endpoints.iter().map(endpoint));
    }
    lines
}

/// An endpoint as text: `mirror` or `self`, the URL, the path in the place of the prefix, `rpP` for its capabilities, the
/// references that it is asked for unless all, and `ns`.
fn endpoint(endpoint: &Endpoint) -> String {
    let Endpoint { origin, base, path, capabilities, asked_for, mirror, names_registry } = endpoint;
    let scheme = if origin.secure { "https" } else { "http" };
    let path = path.as_ref().map(|path| format!(" path={path:?}")).unwrap_or_default();
    let letters = [(Capabilities::RESOLVE, "r"), (Capabilities::PULL, "p"), (Capabilities::PUSH, "P")];
    let letters: String =
        letters.iter().filter(|(flag, _)| capabilities.contains(*flag)).map(|(_, letter)| *letter).collect();
    let asked_for = match asked_for {
        AskedFor::All => "",
        AskedFor::Digests => " digests",
        AskedFor::Tags => " tags",
    };
    let who = if *mirror { "mirror" } else { "self" };
    let names = if *names_registry { " ns" } else { "" };
    format!("{who} {scheme}://{}{base}{path} {letters}{asked_for}{names}", origin.authority)
}

/// The sites as text, in order of origin.
fn sites(excerpt: &Excerpt) -> Vec<String> {
    let text = |site: &Site| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', "+");
        let mut line = site.origin.to_string();
        if site.skip_verify {
            line.push_str(" unverified");
        }
        if !site.authorities.is_empty() {
            line.push_str(&format!(" ca={}", text(&site.authorities)));
        }
        if let Some(identity) = &site.identity {
            line.push_str(&format!(" client={}/{}", text(&identity.certificates), text(&identity.key)));
        }
        for (name, value) in &site.headers {
            line.push_str(&format!(" {name}={}", value.to_str().expect("the tests use ASCII")));
        }
        if let Some(time) = site.connect_timeout {
            line.push_str(&format!(" {time:?}"));
        }
        line
    };
    let mut lines: Vec<_> = excerpt.sites.iter().map(text).collect();
    lines.sort();
    lines
}
