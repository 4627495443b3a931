//! podman's `registries.conf`, version 2, and its drop-ins: where registries are, their mirrors, what is blocked, what
//! short names stand for. containers-registries.conf(5), containers-registries.conf.d(5).
//!
//! Of two tables for one prefix the first in a file counts, and the one of a later file replaces it. Short names without
//! an alias are docker.io's, as in docker, whatever `unqualified-search-registries` says.

use super::address::{self, Address};
use super::document::{Source, Table, Value};
use super::{Error, Reader, Registry, Statement};
use crate::images::{AskedFor, Capabilities, Endpoint, Origin, Rule, covers, written};
use std::collections::BTreeMap;
use std::path::Path;

/// What the files say together.
#[derive(Clone, Debug, Default)]
pub(super) struct Registries {
    /// By prefix.
    entries: BTreeMap<String, Entry>,
    /// By short name: what it stands for, if anything, and the file.
    aliases: BTreeMap<String, (Option<String>, String)>,
    search: Option<Search>,
    /// Programs that keep logins, in the order in which they are asked.
    pub(super) helpers: Vec<String>,
}

/// A `[[registry]]`.
#[derive(Clone, Debug)]
struct Entry {
    /// None if references are asked for where they say.
    location: Option<Address>,
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
    source: String,
}

#[derive(Clone, Debug)]
struct Mirror {
    location: Address,
    insecure: bool,
    asked_for: AskedFor,
}

/// Where podman looks for short names.
#[derive(Clone, Debug)]
struct Search {
    registries: Vec<String>,
    source: String,
}

impl Registries {
    /// Reads a file, and puts what it says before what was read so far.
    pub(super) fn read(&mut self, reader: &Reader<'_>, file: &Path, bytes: &[u8]) -> Result<(), Error> {
        let source = Source::new(file, bytes)?;
        let document = source.parse()?;
        let mut entries = BTreeMap::new();
        for (_, value) in Table::whole(source, &document).entries() {
            match value.key {
                "registry" => {
                    for table in value.list()? {
                        let (prefix, entry) = read_entry(reader, table)?;
                        check(&entries, &prefix, &entry, table)?;
                        entries.entry(prefix).or_insert(entry);
                    }
                }
                "aliases" => {
                    for (key, alias) in value.table()?.entries() {
                        let (short, long) = read_alias(source, key.start, alias)?;
                        self.aliases.insert(short, (long, format!("{}:{}", file.display(), alias.line())));
                    }
                }
                "unqualified-search-registries" => self.search = Some(read_search(value)?),
                "credential-helpers" => self.helpers = value.texts()?.into_iter().map(str::to_owned).collect(),
                "short-name-mode" | "additional-layer-store-auth-helper" => {}
                "registries" => check_version(value)?,
                key => reader.warn(value.told(&format!("`{}` is not known, and left out", key.escape_debug()))),
            }
        }
        self.entries.extend(entries);
        Ok(())
    }

    /// Returns what short names stand for, and where each is said.
    pub(super) fn aliases(&self) -> (Vec<(String, String)>, Vec<String>) {
        let kept = self.aliases.iter().filter_map(|(short, (long, source))| Some((short, long.as_ref()?, source)));
        kept.map(|(short, long, source)| ((short.clone(), long.clone()), source.clone())).unzip()
    }

    /// Returns what is worth saying about a reference without a registry, which podman may look for elsewhere.
    pub(super) fn doubt(&self, reference: &str, aliases: &[(String, String)]) -> Option<String> {
        let Search { registries, source } = self.search.as_ref()?;
        let first = registries.first().filter(|first| *first != DEFAULT)?;
        let short = written(reference, aliases).is_none();
        short.then(|| {
            let first = first.escape_debug();
            format!("`{source}` has short names looked up at `{first}` first; here they are docker.io's, as in docker")
        })
    }

    /// Returns what they say about references of a registry.
    pub(super) fn about(&self, registry: &Registry) -> Vec<Statement> {
        let fitting = self.entries.iter().filter(|(prefix, _)| covers(prefix, &registry.name));
        fitting.map(|(prefix, entry)| entry.statement(prefix, registry)).collect()
    }
}

/// Where short names are.
const DEFAULT: &str = "docker.io";

impl Entry {
    fn statement(&self, prefix: &str, registry: &Registry) -> Statement {
        let Self { blocked, source, .. } = self;
        let rule = Rule { prefix: prefix.to_owned(), blocked: *blocked, endpoints: Vec::new() };
        let mut statement = Statement { rule, source: source.clone(), sites: Vec::new() };
        for Mirror { location, insecure, asked_for } in &self.mirrors {
            add(&mut statement, place(location, prefix, registry), *insecure, |endpoint| Endpoint {
                capabilities: Capabilities::RESOLVE | Capabilities::PULL,
                asked_for: *asked_for,
                mirror: true,
                ..endpoint
            });
        }
        let (authority, path) = match &self.location {
            Some(location) => place(location, prefix, registry),
            None => (registry.host.clone(), None),
        };
        // The registry itself, unless something is special about it, is added by the component, which knows when it is
        // spoken to without TLS.
        if self.insecure || path.is_some() || !authority.eq_ignore_ascii_case(&registry.host) {
            add(&mut statement, (authority, path), self.insecure, |endpoint| endpoint);
        }
        statement
    }
}

fn add(
    statement: &mut Statement,
    (authority, path): (String, Option<String>),
    insecure: bool,
    shape: impl Fn(Endpoint) -> Endpoint,
) {
    let endpoint = shape(Endpoint {
        origin: Origin { secure: true, authority },
        base: "/v2".to_owned(),
        path,
        capabilities: Capabilities::RESOLVE | Capabilities::PULL | Capabilities::PUSH,
        asked_for: AskedFor::All,
        mirror: false,
        names_registry: false,
    });
    match insecure {
        true => statement.add_insecure(endpoint),
        false => statement.rule.endpoints.push(endpoint),
    }
}

/// Returns the host of a location, and what stands there in the place of the prefix's path; none if that is the same.
fn place(location: &Address, prefix: &str, registry: &Registry) -> (String, Option<String>) {
    let mut authority = location.authority.clone();
    let port = address::port(&registry.name);
    // A domain covers the name of a host, and what follows it stays: podman keeps the port.
    if let (true, Some(port), None, "") = (prefix.starts_with('*'), port, location.port(), location.path.as_str()) {
        authority = format!("{authority}:{port}");
    }
    let covered = prefix.split_once('/').map_or("", |(_, path)| path);
    let covered = covered.split([':', '@']).next().unwrap_or_default();
    let path = location.path.trim_start_matches('/');
    (authority, (path != covered).then(|| path.to_owned()))
}

fn read_entry(reader: &Reader<'_>, table: Value<'_>) -> Result<(String, Entry), Error> {
    let (mut prefix, mut location) = (None, None);
    let (mut insecure, mut blocked, mut digests) = (false, false, false);
    let mut mirrors = Vec::new();
    for (_, value) in table.table()?.entries() {
        match value.key {
            "prefix" => prefix = Some(read_prefix(reader, value)?).filter(|prefix| !prefix.is_empty()),
            "location" => location = read_location(value)?,
            "insecure" => insecure = value.flag()?,
            "blocked" => blocked = value.flag()?,
            "mirror-by-digest-only" => digests = value.flag()?,
            "mirror" => mirrors = value.list()?,
            "pull-from-mirror" => return Err(value.wrong("`pull-from-mirror` belongs into a `[[registry.mirror]]`")),
            _ => unknown(reader, value),
        }
    }
    let prefix = match (prefix, &location) {
        (Some(prefix), Some(_)) => prefix,
        (Some(prefix), None) if prefix.starts_with("*.") => prefix,
        (Some(_), None) => {
            return Err(table.wrong("a `[[registry]]` needs a `location`, unless its prefix begins with `*.`"));
        }
        (None, Some((written, _))) => written.clone(),
        (None, None) => return Err(table.wrong("a `[[registry]]` needs a `location` or a `prefix`")),
    };
    let mirrors = mirrors.into_iter().map(|mirror| read_mirror(reader, mirror, digests)).collect::<Result<_, _>>()?;
    let source = format!("{}:{}", table.source.file.display(), table.line());
    let location = location.map(|(_, address)| address);
    Ok((prefix, Entry { location, insecure, blocked, mirrors, source }))
}

fn read_mirror(reader: &Reader<'_>, table: Value<'_>, digests: bool) -> Result<Mirror, Error> {
    let (mut location, mut insecure, mut asked_for) = (None, false, None);
    for (_, value) in table.table()?.entries() {
        match value.key {
            "location" => location = read_location(value)?,
            "insecure" => insecure = value.flag()?,
            "pull-from-mirror" => {
                asked_for = match value.text()? {
                    "" => None,
                    "all" => Some(AskedFor::All),
                    "digest-only" => Some(AskedFor::Digests),
                    "tag-only" => Some(AskedFor::Tags),
                    _ => return Err(value.wrong("`pull-from-mirror` is `all`, `digest-only` or `tag-only`")),
                };
                if digests && asked_for.is_some() {
                    let why = "`pull-from-mirror` contradicts `mirror-by-digest-only` of the registry";
                    return Err(value.wrong(why));
                }
            }
            _ => unknown(reader, value),
        }
    }
    let (_, location) = location.ok_or_else(|| table.wrong("a `[[registry.mirror]]` needs a `location`"))?;
    let default = if digests { AskedFor::Digests } else { AskedFor::All };
    Ok(Mirror { location, insecure, asked_for: asked_for.unwrap_or(default) })
}

fn unknown(reader: &Reader<'_>, value: Value<'_>) {
    let what = match value.key {
        "proxy" => "`proxy` is not supported; proxies are those of the environment".to_owned(),
        key => format!("`{}` is not known, and left out", key.escape_debug()),
    };
    reader.warn(value.told(&what));
}

/// Returns a location as it is written, without slashes at its end, and as it is read; none if it is empty.
fn read_location(value: Value<'_>) -> Result<Option<(String, Address)>, Error> {
    let text = value.text()?.trim_end_matches('/');
    if text.is_empty() {
        return Ok(None);
    }
    let address = Address::location(text).map_err(|why| value.wrong(why))?;
    Ok(Some((text.to_owned(), address)))
}

fn read_prefix(reader: &Reader<'_>, value: Value<'_>) -> Result<String, Error> {
    let text = value.text()?.trim_end_matches('/');
    let shown = text.escape_debug();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(value.wrong(format!("`{shown}` begins with a scheme, and a prefix has none")));
    }
    if text.starts_with("*.") && text.contains(['/', '@', ':']) {
        return Err(value.wrong(format!("`{shown}` has to be a domain alone behind its `*`, as in `*.example.com`")));
    }
    if text.trim_start_matches("*.").contains('*') {
        reader.warn(value.told(&format!("`{shown}` fits nothing: a `*` can only be the first label")));
    }
    Ok(text.to_owned())
}

/// Refuses two tables of a file that say different things about one place.
fn check(entries: &BTreeMap<String, Entry>, prefix: &str, entry: &Entry, table: Value<'_>) -> Result<(), Error> {
    let same_place = |(other_prefix, other): &(&String, &Entry)| match (&entry.location, &other.location) {
        (Some(one), Some(other)) => one == other,
        (None, None) => prefix == *other_prefix,
        _ => false,
    };
    for (_, other) in entries.iter().filter(same_place) {
        for (key, one, other) in
            [("insecure", entry.insecure, other.insecure), ("blocked", entry.blocked, other.blocked)]
        {
            if one != other {
                let why = format!("`{key}` contradicts an earlier `[[registry]]` with the same location");
                return Err(table.wrong(why));
            }
        }
    }
    Ok(())
}

/// Reads what a short name stands for; nothing takes an alias of an earlier file away.
fn read_alias(source: Source<'_>, at: usize, value: Value<'_>) -> Result<(String, Option<String>), Error> {
    let (short, long) = (value.key, value.text()?);
    if !is_name(short) || names_registry(short) {
        let why = format!("`{}` is no short name, which has neither registry nor tag", short.escape_debug());
        return Err(source.wrong(at, why));
    }
    if long.is_empty() {
        return Ok((short.to_owned(), None));
    }
    let known = long.split_once('/').is_some_and(|(registry, _)| address::authority(registry).is_ok());
    if !known || !names_registry(long) || !is_name(long.split_once('/').map_or("", |(_, path)| path)) {
        let why = format!("`{}` has to be a registry and a repository, without a tag", long.escape_debug());
        return Err(value.wrong(why));
    }
    Ok((short.to_owned(), Some(long.to_owned())))
}

/// Whether the first part of a name is a registry.
fn names_registry(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

/// Whether a text can be the path of a repository. The component knows exactly.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | '/');
    text.chars().all(plain) && text.split('/').all(|part| !part.is_empty())
}

fn read_search(value: Value<'_>) -> Result<Search, Error> {
    let mut registries = Vec::new();
    for entry in value.list()? {
        let text = entry.text()?.trim_end_matches('/');
        address::authority(text).map_err(|why| entry.wrong(why))?;
        registries.push(text.to_owned());
    }
    Ok(Search { registries, source: format!("{}:{}", value.source.file.display(), value.line()) })
}

/// Refuses the tables of version 1, unless they are empty, as in the files that distributions once brought.
fn check_version(value: Value<'_>) -> Result<(), Error> {
    for (_, part) in value.table()?.entries() {
        for (_, list) in part.table()?.entries() {
            if list.as_list().is_none_or(|list| !list.is_empty()) {
                let why =
                    "this is version 1 of the format; write `[[registry]]` tables, see containers-registries.conf(5)";
                return Err(list.wrong(why));
            }
        }
    }
    Ok(())
}
