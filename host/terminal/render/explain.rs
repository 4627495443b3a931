//! The answer of `wharf explain`: what a pull would ask, in which order, and
//! why.
//!
//! It does not choose; the component did. Which file a rule, an alias or a login
//! comes from was found out by whoever read the files.

use super::{escape, json};
use crate::named;
use serde::Serialize;
use std::fmt::Write;
use wharf_vocabulary::vocabulary::{AskedFor, Candidate, Capabilities, Explanation};

/// Where things come from, as people are told it: mostly a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// One for each rule of the call.
    pub rules: &'a [String],
    /// One for each alias of the call.
    pub aliases: &'a [String],
    /// One for each endpoint of the answer: where its login is kept, if there is
    /// one. Shorter if nobody looked.
    pub logins: &'a [Option<String>],
}

#[derive(Serialize)]
struct ExplanationObject<'a> {
    name: &'a str,
    alias: Option<&'a str>,
    rule: Option<&'a str>,
    blocked: bool,
    endpoints: Vec<EndpointObject<'a>>,
    platforms: &'a [String],
}

#[derive(Serialize)]
struct EndpointObject<'a> {
    url: String,
    secure: bool,
    mirror: bool,
    repository: &'a str,
    capabilities: Vec<&'static str>,
    asked_for: &'static str,
    source: Option<&'a str>,
    login: Option<&'a str>,
    skipped: Option<&'a str>,
}

impl<'a> Sources<'a> {
    fn rule(&self, explanation: &Explanation) -> Option<&'a str> {
        self.rules.get(usize::try_from(explanation.rule?).ok()?).map(String::as_str)
    }

    fn alias(&self, explanation: &Explanation) -> Option<&'a str> {
        self.aliases.get(usize::try_from(explanation.alias?).ok()?).map(String::as_str)
    }

    fn login(&self, endpoint: usize) -> Option<&'a str> {
        self.logins.get(endpoint)?.as_deref()
    }
}

/// Returns the explanation for a person:
///
/// ```text
/// docker.io/library/alpine:latest
///
/// rule: /etc/containerd/certs.d/docker.io/hosts.toml
/// 1. https://mirror.lan/v2/library/alpine
///    a mirror; to resolve and pull; login: none
///    because /etc/containerd/certs.d/docker.io/hosts.toml lists it
/// 2. https://registry-1.docker.io/v2/library/alpine
///    the registry itself; to resolve and pull; login: /root/.docker/config.json
///    because the name says so
///
/// platforms: linux/amd64/v2, linux/amd64, linux/386
/// ```
pub fn text(explanation: &Explanation, sources: &Sources<'_>) -> String {
    let Explanation { name, blocked, endpoints, platforms, .. } = explanation;
    let mut out = format!("{}\n\n", escape::text(name));
    let rule = sources.rule(explanation);
    let mut line = |text: String| writeln!(out, "{text}").expect("a string takes every write");
    if let Some(alias) = sources.alias(explanation) {
        line(format!("alias: {}", escape::text(alias)));
    }
    match rule {
        Some(rule) => line(format!("rule: {}", escape::text(rule))),
        None => line("rule: none; nothing is configured for this name".to_owned()),
    }
    if *blocked {
        line("blocked: the rule forbids it, and nobody is asked".to_owned());
    }
    for (at, endpoint) in endpoints.iter().enumerate() {
        line(format!("{}. {}", at + 1, escape::text(&url(endpoint))));
        line(format!("   {}", about(name, endpoint, sources, at)));
        line(format!("   {}", reason(name, endpoint, rule)));
    }
    if !platforms.is_empty() {
        line(format!("\nplatforms: {}", escape::text(&platforms.join(", "))));
    }
    out
}

/// Returns the explanation as a JSON object.
pub fn json(explanation: &Explanation, sources: &Sources<'_>) -> String {
    let Explanation { name, blocked, endpoints, platforms, .. } = explanation;
    let rule = sources.rule(explanation);
    let objects = endpoints.iter().enumerate().map(|(at, endpoint)| EndpointObject {
        url: url(endpoint),
        secure: endpoint.origin.secure,
        mirror: endpoint.mirror,
        repository: &endpoint.repository,
        capabilities: uses(endpoint.capabilities),
        asked_for: match endpoint.asked_for {
            AskedFor::All => "all",
            AskedFor::Digests => "digests",
            AskedFor::Tags => "tags",
        },
        source: rule.filter(|_| endpoint.mirror || !is_itself(name, endpoint)),
        login: sources.login(at),
        skipped: endpoint.skipped.as_deref(),
    });
    json::pretty(&ExplanationObject {
        name,
        alias: sources.alias(explanation),
        rule,
        blocked: *blocked,
        endpoints: objects.collect(),
        platforms,
    })
}

fn url(endpoint: &Candidate) -> String {
    let scheme = if endpoint.origin.secure { "https" } else { "http" };
    format!("{scheme}://{}{}", endpoint.origin.authority, endpoint.path)
}

/// Whether an endpoint is where the name says, and not what configuration has put in its place.
fn is_itself(name: &str, endpoint: &Candidate) -> bool {
    let registry = named::registry(name, &[]);
    let path = name.strip_prefix(registry).and_then(|rest| rest.strip_prefix('/')?.strip_prefix(&*endpoint.repository));
    endpoint.origin.authority.eq_ignore_ascii_case(named::host(registry))
        && path.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
}

/// What an endpoint is, and what for.
fn about(name: &str, endpoint: &Candidate, sources: &Sources<'_>, at: usize) -> String {
    let who = match endpoint.mirror {
        true => "a mirror",
        false if is_itself(name, endpoint) => "the registry itself",
        false => "in the registry's place",
    };
    let mut parts = vec![who.to_owned()];
    if !endpoint.origin.secure {
        parts.push("without TLS".to_owned());
    }
    // Nobody pushes yet.
    match uses(endpoint.capabilities & (Capabilities::RESOLVE | Capabilities::PULL))[..] {
        [] => parts.push("for nothing that a pull needs".to_owned()),
        ref uses => parts.push(format!("to {}", uses.join(" and "))),
    }
    if at < sources.logins.len() {
        let login = sources.login(at).map_or("none".into(), escape::text);
        parts.push(format!("login: {login}"));
    }
    parts.join("; ")
}

/// Why an endpoint is asked, or is not.
fn reason(name: &str, endpoint: &Candidate, rule: Option<&str>) -> String {
    let listed = match (endpoint.mirror || !is_itself(name, endpoint), rule) {
        (true, Some(rule)) => format!("because {} lists it", escape::text(rule)),
        (true, None) => "because the configuration lists it".to_owned(),
        (false, _) => "because the name says so".to_owned(),
    };
    match &endpoint.skipped {
        Some(skipped) => format!("{listed}, but {}", escape::text(skipped)),
        None => listed,
    }
}

/// What an endpoint may be used for.
fn uses(capabilities: Capabilities) -> Vec<&'static str> {
    [(Capabilities::RESOLVE, "resolve"), (Capabilities::PULL, "pull"), (Capabilities::PUSH, "push")]
        .into_iter()
        .filter_map(|(flag, word)| capabilities.contains(flag).then_some(word))
        .collect()
}
