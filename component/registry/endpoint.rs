//! Which endpoints are asked for a reference, and in which order: the choice
//! among what configuration says, and where a registry answers without any. It
//! reads no files, sends nothing, and does not know whether an endpoint is up.
//!
//! A rule's prefix fits what it is about component by component, as in podman's
//! `registries.conf` ([`fit`]; the rewriting and the order are seen through
//! [`verbs::explain`]):
//!
//! | prefix | fits | does not fit |
//! | --- | --- | --- |
//! | `docker.io` | all of docker.io | `docker.io:5000/app` |
//! | `docker.io/library` | `docker.io/library/alpine` | `docker.io/libraryx/alpine` |
//! | `lan:5000/app:v1` | that tag alone | `lan:5000/app:v12` |
//! | `*.example.com` | `a.b.example.com:5000/app` | `example.com/app` |
//! | nothing | everything | |
//!
//! The longest prefix decides alone, among equals the first. Its endpoints are
//! asked in their order; where all of them are mirrors, the registry itself
//! comes last, as in every such configuration. A plain-HTTP endpoint right
//! behind its TLS twin is that one's fallback.
//!
//! [`verbs::explain`]: crate::verbs::explain

use super::location;
use crate::nouns::{
    access::{self, Access, AskedFor, Capabilities, Origin, Rule},
    reference::Reference,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the paths of the API begin with. OCI distribution-spec, “API”.
const BASE: &str = "/v2";
/// The one port of loopback addresses where TLS is expected.
const TLS_PORT: u16 = 443;

/// A place to ask for one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// As people and logins call it, as in `docker.io` or `mirror.lan:5000`.
    pub(crate) registry: String,
    /// Where requests go, and what the grant is bound to.
    pub(crate) origin: Origin,
    /// What the paths of the API begin with, as in `/v2`.
    pub(crate) base: String,
    /// The repository there, as in `library/alpine`; empty if the registry itself
    /// is meant.
    pub(crate) path: String,
    /// What it is used for.
    pub(crate) capabilities: Capabilities,
    /// Which references it is asked for.
    pub(crate) asked_for: AskedFor,
    /// Whether it is not the registry itself.
    pub(crate) mirror: bool,
    /// The value of the query `ns`, which says which registry is meant.
    pub(crate) namespace: Option<String>,
    /// Whether it is tried only after the endpoint before it, which is the same
    /// by TLS, failed to connect or to speak TLS.
    pub(crate) fallback: bool,
}

/// What was chosen for a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Which of the rules decided.
    pub(crate) rule: Option<usize>,
    /// Whether that rule forbids everything. Nothing is to be asked then.
    pub(crate) blocked: bool,
    /// In order of trial. None if it is blocked, or if every endpoint is for
    /// something else.
    pub(crate) endpoints: Vec<Endpoint>,
}

/// An endpoint that a rule lists, and why it is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) endpoint: Endpoint,
    /// None if it is asked.
    pub(crate) skipped: Option<String>,
}

/// What configuration says about a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) rule: Option<usize>,
    pub(crate) blocked: bool,
    /// In order of trial, those that are skipped included.
    pub(crate) candidates: Vec<Candidate>,
}

impl Endpoint {
    /// A place that stands for a registry itself, in so far as it is asked for
    /// nothing else than what is built on its origin.
    pub(super) fn of_registry(registry: &str, origin: Origin) -> Self {
        Endpoint {
            registry: registry.to_owned(),
            origin,
            base: BASE.to_owned(),
            path: String::new(),
            capabilities: Capabilities::ALL,
            asked_for: AskedFor::All,
            mirror: false,
            namespace: None,
            fallback: false,
        }
    }
}

/// Chooses whom to ask for `reference`.
pub(super) fn choose(reference: &Reference, access: &Access) -> Choice {
    pick(survey(reference, access), |candidate| candidate.skipped.is_none())
}

/// Chooses whom to ask about the registry of `reference` itself. Mirrors know
/// nothing of it.
pub(super) fn choose_registry(reference: &Reference, access: &Access) -> Choice {
    let mut choice = pick(survey(reference, access), |candidate| !candidate.endpoint.mirror);
    choice.endpoints.iter_mut().for_each(|endpoint| endpoint.path.clear());
    choice
}

/// Chooses where `reference` is pushed to: to the registry itself, and never to a
/// mirror, which may be anybody's.
pub(super) fn choose_home(reference: &Reference, access: &Access) -> Choice {
    pick(survey(reference, access), |candidate| !candidate.endpoint.mirror && candidate.endpoint.capabilities.push)
}

fn pick(survey: Survey, is_asked: impl Fn(&Candidate) -> bool) -> Choice {
    let Survey { rule, blocked, candidates } = survey;
    let asked = candidates.into_iter().filter(|candidate| !blocked && is_asked(candidate));
    let mut endpoints: Vec<Endpoint> = asked.map(|candidate| candidate.endpoint).collect();
    for at in 0..endpoints.len() {
        // Without its twin it is not the fallback of whoever is before it now.
        endpoints[at].fallback &= at > 0 && is_twin(&endpoints[at - 1], &endpoints[at]);
    }
    Choice { rule, blocked, endpoints }
}

/// Lists whom configuration names for `reference`, also those that are not
/// asked for it.
pub(crate) fn survey(reference: &Reference, access: &Access) -> Survey {
    let Some((at, rule)) = decide(&access.rules, reference) else {
        let candidates = vec![Candidate { endpoint: upstream(reference, access), skipped: None }];
        return Survey { rule: None, blocked: false, candidates };
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    for listed in &rule.endpoints {
        let mut endpoint = build(listed, &rule.prefix, reference, access);
        if let Some(before) = candidates.iter_mut().find(|before| is_same(&before.endpoint, &endpoint)) {
            // Whoever is called the registry and a mirror of it, is the registry.
            before.endpoint.mirror &= endpoint.mirror;
            continue;
        }
        // Behind a twin that is not asked there is nothing to fall back from.
        let twin = candidates.last().filter(|before| before.skipped.is_none());
        endpoint.fallback = twin.is_some_and(|twin| is_twin(&twin.endpoint, &endpoint));
        let skipped = why_skipped(&endpoint, reference);
        candidates.push(Candidate { endpoint, skipped });
    }
    if !rule.endpoints.iter().any(|listed| is_upstream(listed, reference)) {
        candidates.push(Candidate { endpoint: upstream(reference, access), skipped: None });
    }
    Survey { rule: Some(at), blocked: rule.blocked, candidates }
}

/// Returns the rule with the longest prefix that fits.
fn decide<'a>(rules: &'a [Rule], reference: &Reference) -> Option<(usize, &'a Rule)> {
    let name = reference.to_string();
    let fitting = rules.iter().enumerate().filter(|(_, rule)| fit(&rule.prefix, &name).is_some());
    // The first of equals: `max_by_key` alone would return the last.
    fitting.rev().max_by_key(|(_, rule)| rule.prefix.len())
}

/// Returns how many bytes of `reference`, as in
/// `docker.io/library/alpine:3.20`, the prefix of a rule covers, or none if it
/// does not fit. Registries are compared without regard to case.
///
/// As podman's `registries.conf` has it, except that the prefix `lan` does not
/// fit `lan:5000/app`: that is another registry.
pub fn fit(prefix: &str, reference: &str) -> Option<usize> {
    let (registry, rest) = split(reference);
    if prefix.is_empty() {
        return Some(0);
    }
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = &registry[..host_end(registry)];
        let below = |name: &&str| domain.starts_with('.') && ends_with(name, domain);
        return [host, registry].into_iter().find(below).map(str::len);
    }
    let (wanted, below) = split(prefix);
    let fits = registry.eq_ignore_ascii_case(wanted)
        && below.is_none_or(|below| {
            rest.and_then(|rest| rest.strip_prefix(below))
                .is_some_and(|left| left.is_empty() || left.starts_with(['/', ':', '@']))
        });
    fits.then_some(prefix.len())
}

fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once('/').map_or((name, None), |(registry, rest)| (registry, Some(rest)))
}

/// Where the port, or whatever follows the host, begins.
fn host_end(registry: &str) -> usize {
    let address = registry.rfind(']').unwrap_or(0);
    registry[address..].find([':', '@']).map_or(registry.len(), |at| address + at)
}

fn ends_with(name: &str, end: &str) -> bool {
    let (name, end) = (name.as_bytes(), end.as_bytes());
    name.len() > end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end)
}

/// The registry itself, where its name says.
fn upstream(reference: &Reference, access: &Access) -> Endpoint {
    let host = reference.registry_host();
    let secure = !is_loopback(host) && !is_listed(&access.plain_http, reference, host);
    Endpoint {
        registry: reference.domain().to_owned(),
        origin: Origin { secure, authority: host.to_ascii_lowercase() },
        base: BASE.to_owned(),
        path: reference.path().to_owned(),
        capabilities: Capabilities::ALL,
        asked_for: AskedFor::All,
        mirror: false,
        namespace: None,
        fallback: false,
    }
}

/// Whether an endpoint of a rule stands for the registry itself. A mirror that
/// lives in the same registry has another path there.
fn is_upstream(listed: &access::Endpoint, reference: &Reference) -> bool {
    !listed.mirror || (is_at_home(listed, reference) && listed.path.is_none())
}

fn is_at_home(listed: &access::Endpoint, reference: &Reference) -> bool {
    listed.origin.authority.eq_ignore_ascii_case(reference.registry_host())
}

fn build(listed: &access::Endpoint, prefix: &str, reference: &Reference, access: &Access) -> Endpoint {
    let at_home = is_at_home(listed, reference);
    let authority = listed.origin.authority.to_ascii_lowercase();
    let plain = match at_home {
        true => is_listed(&access.plain_http, reference, &authority),
        false => access.plain_http.iter().any(|plain| plain.eq_ignore_ascii_case(&authority)),
    };
    Endpoint {
        registry: if at_home { reference.domain().to_owned() } else { authority.clone() },
        origin: Origin { secure: listed.origin.secure && !plain, authority },
        base: listed.base.clone(),
        path: rewrite(listed.path.as_deref(), prefix, reference.path()),
        capabilities: listed.capabilities,
        asked_for: listed.asked_for,
        mirror: listed.mirror,
        // The registry itself knows who it is.
        namespace: (listed.names_registry && !at_home).then(|| reference.domain().to_owned()),
        fallback: false,
    }
}

/// Puts `instead` where the repository has the prefix's path.
fn rewrite(instead: Option<&str>, prefix: &str, repository: &str) -> String {
    let Some(instead) = instead else { return repository.to_owned() };
    let covered = split(prefix).1.unwrap_or_default();
    let covered = covered.split([':', '@']).next().unwrap_or_default();
    let left = repository.strip_prefix(covered).unwrap_or(repository).trim_start_matches('/');
    [instead, left].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn is_same(one: &Endpoint, other: &Endpoint) -> bool {
    one.origin == other.origin
        && one.base == other.base
        && one.path == other.path
        && one.capabilities == other.capabilities
        && one.asked_for == other.asked_for
}

fn is_twin(by_tls: &Endpoint, plain: &Endpoint) -> bool {
    by_tls.origin.secure && !plain.origin.secure && by_tls.origin.authority == plain.origin.authority
}

fn why_skipped(endpoint: &Endpoint, reference: &Reference) -> Option<String> {
    let by_digest = reference.digest().is_some();
    let Capabilities { resolve, pull, .. } = endpoint.capabilities;
    match endpoint.asked_for {
        AskedFor::Digests if !by_digest => return Some("it is asked for digests only".to_owned()),
        AskedFor::Tags if by_digest => return Some("it is asked for tags only".to_owned()),
        _ => {}
    }
    if !pull && (by_digest || !resolve) {
        let used = if resolve { "only to find out what tags point to" } else { "neither to resolve nor to pull" };
        return Some(format!("it is used {used}"));
    }
    let is_name = Reference::parse_canonical(&format!("registry.invalid/{}", endpoint.path))
        .is_ok_and(|name| name.path() == endpoint.path);
    (!is_name).then(|| format!("the repository there would be `{}`, which is no name", endpoint.path.escape_debug()))
}

/// Whether a person said that the registry is to be spoken to without TLS.
fn is_listed(plain_http: &[String], reference: &Reference, authority: &str) -> bool {
    plain_http
        .iter()
        .any(|listed| listed.eq_ignore_ascii_case(reference.domain()) || listed.eq_ignore_ascii_case(authority))
}

/// Whether `authority` means this machine, and not the port of TLS there:
/// `localhost`, 127.0.0.0/8 or `[::1]`. Names below `localhost` may be resolved
/// elsewhere.
fn is_loopback(authority: &str) -> bool {
    let Some((host, port)) = location::host_and_port(authority) else { return false };
    if port == Some(TLS_PORT) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| IpAddr::V6(address).is_loopback());
    }
    host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
