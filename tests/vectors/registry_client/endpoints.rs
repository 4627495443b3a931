//! Whom to ask, by TLS or not, in which order: seen from the requests that a
//! host gets that fails all of them.

use super::script::{Reply, Script, run};
use crate::{equal, row};
use serde::Deserialize;
use serde_json::Value;
use wharf_component::host::{HttpError, Origin};
use wharf_component::nouns::access::{Access, AskedFor, Capabilities, Endpoint, Rule};
use wharf_component::registry::location::{self, Target};
use wharf_component::registry::{endpoint, location::LocationError};

/// An endpoint that is the registry itself, or stands for it.
pub(super) fn itself(secure: bool, authority: &str) -> Endpoint {
    Endpoint {
        origin: Origin { secure, authority: authority.to_owned() },
        base: "/v2".to_owned(),
        path: None,
        capabilities: Capabilities::ALL,
        asked_for: AskedFor::All,
        mirror: false,
        names_registry: false,
    }
}

/// Configuration for one registry.
pub(super) fn listing(prefix: &str, endpoints: Vec<Endpoint>) -> Access {
    let rules = vec![Rule { prefix: prefix.to_owned(), blocked: false, endpoints }];
    Access { rules, retries: 0, ..Access::default() }
}

/// Returns the origins that are asked for `path` at `registry` while none of
/// them speaks TLS, with the paths.
fn asked(registry: &str, path: &str, which: &str, access: &Access) -> Result<Vec<(Origin, String)>, String> {
    let host = Script::new([Reply::Broken(HttpError::Tls("no TLS".to_owned()))]);
    let repository = host.repository(registry, path, access)?;
    run(repository.manifest(which)).expect_err("nobody answers");
    Ok(host.requests().into_iter().map(|request| (request.origin, request.path)).collect())
}

fn schemes(registry: &str, access: &Access) -> Result<Vec<&'static str>, String> {
    let asked = asked(registry, "app", "v1", access)?;
    Ok(asked.iter().map(|(origin, _)| if origin.secure { "https" } else { "http" }).collect())
}

fn alone() -> Access {
    Access { retries: 0, ..Access::default() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scheme {
    domain: String,
    scheme: String,
}

pub(super) fn registry_scheme(value: Value) -> Result<(), String> {
    let Scheme { domain, scheme } = row(value)?;
    equal("the schemes", &schemes(&domain, &alone())?, &vec![scheme.as_str()])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultScheme {
    #[serde(rename = "desc")]
    _desc: String,
    host: String,
    expected: String,
}

pub(super) fn default_scheme(value: Value) -> Result<(), String> {
    let DefaultScheme { host, expected, .. } = row(value)?;
    equal("the schemes", &schemes(&host, &alone())?, &vec![expected.as_str()])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SecureIndex {
    addr: String,
    /// The rows here are about addresses that need not be listed.
    #[serde(rename = "insecureRegistries")]
    _insecure: Option<Vec<String>>,
    expected: bool,
}

pub(super) fn secure_index(value: Value) -> Result<(), String> {
    let SecureIndex { addr, expected, .. } = row(value)?;
    equal("the schemes", &schemes(&addr, &alone())?, &vec![if expected { "https" } else { "http" }])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fallback {
    host: String,
    opts: Options,
    expected_scheme: String,
    uses_fallback: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Options {
    #[serde(rename = "DefaultTLS")]
    tls: Option<Value>,
    default_scheme: String,
}

/// What containerd's options stand for here: a TLS configuration with plain
/// HTTP is a registry that is listed as insecure, plain HTTP alone one that is
/// listed as plain, and TLS alone one that is listed by its URL.
pub(super) fn fallback(value: Value) -> Result<(), String> {
    let Fallback { host, opts, expected_scheme, uses_fallback } = row(value)?;
    let access = match (opts.tls.is_some(), opts.default_scheme.as_str()) {
        (true, "http") => listing(&host, vec![itself(true, &host), itself(false, &host)]),
        (true, _) => listing(&host, vec![itself(true, &host)]),
        (false, "http") => Access { plain_http: vec![host.clone()], ..alone() },
        (false, _) => alone(),
    };
    let mut expected = vec![expected_scheme.as_str()];
    if uses_fallback {
        expected.push("http");
    }
    equal("the schemes", &schemes(&host, &access)?, &expected)
}

#[derive(Deserialize)]
struct Canonical {
    scheme: String,
    address: String,
    want: String,
}

/// Whether the address is the same origin as the canonical one. What has no
/// canonical form there is no origin here.
pub(super) fn canonical_address(value: Value) -> Result<(), String> {
    let Canonical { scheme, address, want } = row(value)?;
    let has_port = want.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let is_one = has_port || want != address;
    let origin = |authority: String| Origin { secure: scheme == "https", authority };
    equal("being one origin", &location::same_origin(&origin(address), &origin(want)), &is_one)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefix {
    #[serde(rename = "ref")]
    reference: String,
    prefix: String,
    /// Negative if the prefix does not fit.
    expected: i64,
}

pub(super) fn prefix(value: Value) -> Result<(), String> {
    let Prefix { reference, prefix, expected } = row(value)?;
    equal("what is covered", &endpoint::fit(&prefix, &reference), &usize::try_from(expected).ok())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rewrite {
    input_ref: String,
    prefix: String,
    location: String,
}

/// A reference that cannot be rewritten is not asked for at the location.
pub(super) fn rewrite_fail(value: Value) -> Result<(), String> {
    let Rewrite { input_ref, prefix, location } = row(value)?;
    let (registry, rest) = input_ref.split_once('/').ok_or("the row names no repository")?;
    let (path, which) = rest.split_once(['@', ':']).unwrap_or((rest, "latest"));
    // What no registry can be called is nowhere to ask.
    let elsewhere = if location.is_empty() { "location.invalid" } else { &location };
    let (host, instead) = elsewhere.split_once('/').unwrap_or((elsewhere, ""));
    let endpoint = Endpoint { path: Some(instead.to_owned()), ..itself(true, host) };
    Script::new([]).repository(registry, path, &alone())?;
    let asked = match asked(registry, path, which, &listing(&prefix, vec![endpoint])) {
        Ok(asked) => asked,
        // The rule decides, and leaves nobody to ask.
        Err(_) => return Ok(()),
    };
    let asked: Vec<_> = asked.into_iter().map(|(origin, path)| (origin.authority, path)).collect();
    equal("what is asked", &asked, &vec![(registry.to_owned(), format!("/v2/{path}/manifests/{which}"))])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redirect {
    orig: String,
    dest: String,
}

/// All of them lead from TLS to plain HTTP. What else is wrong with them is
/// checked where addresses are known, in `tests/network/tables.rs`.
pub(super) fn redirect(value: Value) -> Result<(), String> {
    let Redirect { orig, dest } = row(value)?;
    let base = Target { origin: Origin { secure: true, authority: orig }, path: "/v2/".to_owned() };
    equal("where it leads", &location::resolve(&base, &dest), &Err(LocationError::Downgrade))
}
