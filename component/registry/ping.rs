//! Whether a registry accepts the login that the host has for it: its base, as
//! in `/v2/`, asked with it. It follows no redirect, because no registry
//! redirects there, and does not try again: a person waits, and asks again.
//!
//! distribution-spec, “Determining Support”.

use super::{
    challenge,
    endpoint::{self, Endpoint},
    failure::{Failure, Fault, shown},
    request::within,
};
use crate::{
    host::{Grant, Host, HttpError, Method, Request, Response, Visit},
    nouns::{access::Access, problem::ErrorCode, reference::Reference},
};

/// Why an endpoint gave no verdict.
enum Trouble {
    /// No connection, or no TLS: the plain twin may do.
    Unreachable(Failure),
    /// Anything else.
    Other(Failure),
}

/// Asks `registry`, as in `registry.lan:5000`, whether it accepts the login for
/// it. Returns whether it wants one at all.
///
/// Fails with [`ErrorCode::Denied`] if it does not accept it, or there is none.
pub(crate) async fn ping<H: Host>(host: &H, registry: &str, access: &Access) -> Result<bool, Failure> {
    let name = any_of(registry)?;
    let survey = endpoint::survey(&name, access);
    if survey.blocked {
        let why = format!("the configuration of this machine blocks `{registry}`");
        return Err(Failure::new(ErrorCode::Denied, why));
    }
    let endpoints = survey.candidates.into_iter().map(|candidate| candidate.endpoint).filter(|one| !one.mirror);
    let mut why = Vec::new();
    let mut failed = None;
    for endpoint in endpoints {
        // A second place to ask is the first one's fallback, or there is no need for it.
        if failed.is_some() && !endpoint.fallback {
            break;
        }
        match ask(host, &endpoint, access.silence_ms).await {
            Ok(wants_login) => return Ok(wants_login),
            Err(Trouble::Unreachable(mut failure)) => {
                why.append(&mut failure.why);
                failed.get_or_insert(failure);
            }
            Err(Trouble::Other(failure)) => return Err(failure),
        }
    }
    let failure = failed.unwrap_or_else(|| no_registry(registry));
    Err(Failure { why: if why.is_empty() { failure.why } else { why }, ..failure })
}

/// Returns a repository that nobody asks for, of a registry that alone counts.
///
/// Fails with [`ErrorCode::Invalid`] if `registry` is none.
pub(super) fn any_of(registry: &str) -> Result<Reference, Failure> {
    let name = Reference::parse(&format!("{registry}/any")).map_err(|_| no_registry(registry))?;
    // `org/any` is a path in the default registry, and `a.b/org/any` one in `a.b`.
    match name.path() {
        "any" | "library/any" if name.tag().is_none() && name.digest().is_none() => Ok(name),
        _ => Err(no_registry(registry)),
    }
}

fn no_registry(registry: &str) -> Failure {
    let why = format!("`{}` is no registry, as `registry.lan:5000` is", registry.escape_debug());
    Failure::new(ErrorCode::Invalid, why)
}

async fn ask<H: Host>(host: &H, endpoint: &Endpoint, silence_ms: u64) -> Result<bool, Trouble> {
    let Endpoint { registry, origin, .. } = endpoint;
    let answer = get(host, endpoint, None, silence_ms).await?;
    if answer.status != 401 {
        return verdict(endpoint, answer.status).map(|()| false);
    }
    let challenges = answer.headers.iter().filter(|(name, _)| name == "www-authenticate").map(|(_, value)| &**value);
    // No repository is meant, so that only what the registry itself asks for counts.
    let challenge = challenge::choose(challenges, None).map_err(|offered| {
        let offered = shown(&offered.join("`, `"));
        let why = format!("`{registry}` wants a login in a way that wharf does not know: `{offered}`");
        Trouble::Other(Failure::new(ErrorCode::Unsupported, why))
    })?;
    let grant = match host.authorize(origin, None, &challenge, Visit::WithLogin).await {
        Ok(grant) if !grant.anonymous() => grant,
        Ok(_) | Err(ErrorCode::NotFound) => return Err(Trouble::Other(no_login(registry))),
        Err(ErrorCode::Denied) => return Err(Trouble::Other(rejected(registry))),
        Err(ErrorCode::Unavailable) => {
            let why = format!("the token server of `{registry}` does not answer");
            return Err(Trouble::Other(Failure::new(ErrorCode::Unavailable, why)));
        }
        Err(ErrorCode::Unsupported) => {
            let why = format!("the program that keeps the login for `{registry}` failed; see the warning above");
            return Err(Trouble::Other(Failure::new(ErrorCode::Unsupported, why)));
        }
        Err(other) => return Err(Trouble::Other(other.into())),
    };
    match get(host, endpoint, Some(&grant), silence_ms).await?.status {
        401 | 403 => Err(Trouble::Other(rejected(registry))),
        status => verdict(endpoint, status).map(|()| true),
    }
}

async fn get<H: Host>(
    host: &H,
    endpoint: &Endpoint,
    grant: Option<&H::Grant>,
    silence_ms: u64,
) -> Result<Response<H::Stream>, Trouble> {
    let mut headers = vec![("user-agent".to_owned(), super::request::USER_AGENT.to_owned())];
    headers.extend(grant.map(|grant| (super::request::GRANT_HEADER.to_owned(), grant.id())));
    let (origin, path) = (endpoint.origin.clone(), format!("{}/", endpoint.base));
    let request = Request { method: Method::Get, origin, path, headers };
    let sent = within(host, silence_ms, host.send(request)).await.unwrap_or(Err(HttpError::Timeout));
    sent.map_err(|error| {
        let failure = Fault::of_http(&error, &endpoint.origin, endpoint, false).failure;
        match error {
            HttpError::Connect(_) | HttpError::Tls(_) => Trouble::Unreachable(failure),
            _ => Trouble::Other(failure),
        }
    })
}

/// Takes a status for success, or says what else it means.
fn verdict(endpoint: &Endpoint, status: u16) -> Result<(), Trouble> {
    let (registry, said) = (&endpoint.registry, format!("it answered {status} to `GET {}/`", endpoint.base));
    let (code, why) = match status {
        200..=299 => return Ok(()),
        404 => (ErrorCode::NotFound, format!("there is no registry at `{registry}`")),
        403 => (ErrorCode::Denied, format!("`{registry}` refuses to be asked")),
        429 | 500.. => (ErrorCode::Unavailable, format!("`{registry}` is not able to answer now")),
        _ => (ErrorCode::Invalid, format!("`{registry}` does not answer as a registry does")),
    };
    Err(Trouble::Other(Failure { code, why: vec![why, said], fix: None }))
}

fn no_login(registry: &str) -> Failure {
    let why = format!("`{registry}` wants a login, and there is none for it");
    Failure { fix: Some(format!("wharf login {registry}")), ..Failure::new(ErrorCode::Denied, why) }
}

fn rejected(registry: &str) -> Failure {
    let fix = "check the user name and the password; some registries want a token in its place";
    let why = format!("`{registry}` rejected the login, or it named a token server that the login may not be sent to");
    Failure { fix: Some(fix.to_owned()), ..Failure::new(ErrorCode::Denied, why) }
}
