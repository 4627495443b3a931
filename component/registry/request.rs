//! One request with all that belongs to it: headers, redirects, a challenge
//! answered. It does not try again after a failure, and does not judge the
//! status of what comes back.

use super::{
    Repository, challenge,
    failure::{Failure, Fault, shown},
    location::{self, Target},
};
use crate::{
    host::{Grant, Host, HttpError, Method, Origin, Request, Response},
    nouns::problem::ErrorCode,
};
use futures_util::future::{Either, select};
use std::{pin::pin, rc::Rc};

/// A registry that has not begun to answer after this time is given up.
const ANSWER_MS_MAX: u64 = 60_000;
/// A document that has not arrived after this time is given up.
const DOCUMENT_MS_MAX: u64 = 120_000;
/// So many origins that have answered are remembered. More are only reached by
/// redirects, and cost patience with their names.
const ORIGINS_MAX: usize = 64;
/// How many redirects one request follows.
const REDIRECTS_MAX: usize = 5;
/// The header by which the host knows a grant.
const GRANT_HEADER: &str = "wharf-grant";
const USER_AGENT: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"));

/// What is asked of the registry.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) target: Target,
    /// Besides those that every request has. Names in lower case.
    pub(super) headers: Vec<(&'static str, String)>,
}

/// What came back, and where from.
#[derive(Debug)]
pub(super) struct Answer<S> {
    method: Method,
    /// Behind all redirects.
    pub(super) target: Target,
    pub(super) response: Response<S>,
}

impl<S> Answer<S> {
    /// Returns the first header of this name.
    pub(super) fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// Returns every header of this name.
    pub(super) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        headers(&self.response, name)
    }

    /// Whether the body was compressed on the way.
    pub(super) fn is_encoded(&self) -> bool {
        self.headers("content-encoding").any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    }

    /// Returns the request's first line without the query, which may hold a
    /// signature that is as good as a password.
    pub(super) fn line(&self) -> String {
        let method = match self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
        };
        format!("{method} {}", self.target.path.split_once('?').map_or(self.target.path.as_str(), |(path, _)| path))
    }
}

fn headers<'a, S>(response: &'a Response<S>, name: &'a str) -> impl Iterator<Item = &'a str> {
    response.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
}

impl<H: Host> Repository<'_, H> {
    /// Makes a request for `rest` of this repository, as in `tags/list`.
    pub(super) fn ask(&self, method: Method, rest: &str, headers: Vec<(&'static str, String)>) -> Ask {
        let target = Target { origin: self.endpoint.origin.clone(), path: format!("/v2/{}/{rest}", self.path) };
        Ask { method, target, headers }
    }

    /// Sends a request. If the registry challenges it, it is sent again with a
    /// grant: the one that the repository has meanwhile, or a new one. A
    /// registry that refuses a new grant has its answer returned.
    pub(super) async fn exchange(&self, ask: &Ask) -> Result<Answer<H::Stream>, Fault> {
        let mut grant = self.grant.borrow().clone();
        let mut renewed = false;
        loop {
            let answer = self.follow(ask, grant.as_deref()).await?;
            if answer.response.status != 401 || answer.target.origin != self.endpoint.origin || renewed {
                return Ok(answer);
            }
            let _renewal = self.renewal.lock().await;
            let held = self.grant.borrow().clone();
            let is_news = match (&held, &grant) {
                (Some(held), Some(used)) => !Rc::ptr_eq(held, used),
                (held, _) => held.is_some(),
            };
            if is_news {
                grant = held;
            } else {
                grant = Some(self.authorize(&answer.response).await?);
                self.grant.replace(grant.clone());
                renewed = true;
            }
        }
    }

    /// Answers the challenge of a 401 response.
    async fn authorize(&self, response: &Response<H::Stream>) -> Result<Rc<H::Grant>, Fault> {
        let registry = &self.endpoint.registry;
        let challenge = challenge::choose(headers(response, "www-authenticate"), &self.path).map_err(|offered| {
            let offered = match &offered[..] {
                [] => "no way to log in".to_owned(),
                offered => format!("only `{}`", shown(&offered.join("`, `"))),
            };
            Fault::last(
                ErrorCode::Denied,
                format!("`{registry}` wants a login and offers {offered}; wharf knows `bearer` and `basic`"),
            )
        })?;
        let error = match self.host.authorize(&self.endpoint.origin, &challenge).await {
            Ok(grant) => return Ok(Rc::new(grant)),
            Err(error) => error,
        };
        let (code, why, fix) = match error {
            ErrorCode::NotFound => {
                (ErrorCode::Denied, format!("`{registry}` wants a login, and there is none for it"), Some(self.login()))
            }
            ErrorCode::Denied => (
                ErrorCode::Denied,
                format!(
                    "`{registry}` rejected the login, or it named a token server that the login may not be sent to"
                ),
                Some(self.login()),
            ),
            // The host has told which file, or which parameter, and what is wrong with it.
            ErrorCode::Invalid => (
                ErrorCode::Invalid,
                format!(
                    "the logins of this machine, or the challenge of `{registry}`, cannot be read; see the warning above"
                ),
                None,
            ),
            ErrorCode::Unsupported => (
                ErrorCode::Unsupported,
                format!("the login for `{registry}` is kept by a credential helper, which wharf does not ask yet"),
                Some(format!("`podman login {registry}` stores a login that wharf can read")),
            ),
            ErrorCode::Unavailable => {
                let why = format!("the token server of `{registry}` does not answer");
                return Err(Fault::passing(ErrorCode::Unavailable, why));
            }
            other => return Err(other.into()),
        };
        Err(Failure { code, why: vec![why], fix }.into())
    }

    /// Sends a request and follows redirects by the rule of [`location`]. The
    /// grant goes to the registry's own origin only.
    async fn follow(&self, ask: &Ask, grant: Option<&H::Grant>) -> Result<Answer<H::Stream>, Fault> {
        let mut target = ask.target.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut headers = vec![
                ("user-agent".to_owned(), USER_AGENT.to_owned()),
                ("accept-encoding".to_owned(), "identity".to_owned()),
            ];
            headers.extend(ask.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            if location::same_origin(&target.origin, &self.endpoint.origin) {
                // The host compares with the origin that the grant was made for.
                target.origin = self.endpoint.origin.clone();
                headers.extend(grant.map(|grant| (GRANT_HEADER.to_owned(), grant.id())));
            }
            let request =
                Request { method: ask.method, origin: target.origin.clone(), path: target.path.clone(), headers };
            let response = within(self.host, ANSWER_MS_MAX, self.host.send(request))
                .await
                .unwrap_or(Err(HttpError::Timeout))
                .map_err(|error| self.fault(&error, &target.origin))?;
            self.note_answer(&target.origin);
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(Answer { method: ask.method, target, response });
            }
            let from = &target.origin.authority;
            let Some(location) = only_location(&response) else {
                return Err(Fault::last(ErrorCode::Invalid, format!("`{from}` redirects, but does not say where to")));
            };
            target = location::resolve(&target, location).map_err(|error| {
                let shown = shown(location.split_once('?').map_or(location, |(path, _)| path));
                Fault::last(
                    ErrorCode::Invalid,
                    format!("`{from}` redirects to `{shown}`, which is not followed: {error}"),
                )
            })?;
        }
        Err(Fault::last(
            ErrorCode::Invalid,
            format!("`{}` redirects more than {REDIRECTS_MAX} times", self.endpoint.origin.authority),
        ))
    }

    fn note_answer(&self, origin: &Origin) {
        let mut answered = self.answered.borrow_mut();
        if answered.len() < ORIGINS_MAX && !answered.contains(origin) {
            answered.push(origin.clone());
        }
    }

    /// Says what it means that no whole response came from `origin`.
    pub(super) fn fault(&self, error: &HttpError, origin: &Origin) -> Fault {
        Fault::of_http(error, origin, &self.endpoint, self.answered.borrow().contains(origin))
    }

    /// Reads the body of an answer as a document that has arrived whole.
    pub(super) async fn document(&self, answer: Answer<H::Stream>, limit: u64) -> Result<Vec<u8>, Fault> {
        let Answer { target, response, .. } = answer;
        let read = async {
            let bytes = self.host.collect(response.body, limit).await.map_err(|code| match code {
                ErrorCode::TooLarge(limit) => Fault::last(
                    ErrorCode::TooLarge(limit),
                    format!("the document of `{}` is larger than the limit of {limit} bytes", target.origin.authority),
                ),
                other => other.into(),
            })?;
            response.end.await.map_err(|error| self.fault(&error, &target.origin))?;
            Ok(bytes)
        };
        within(self.host, DOCUMENT_MS_MAX, read)
            .await
            .unwrap_or_else(|| Err(self.fault(&HttpError::Timeout, &target.origin)))
    }
}

/// Returns the `Location` if there is exactly one: with two, who follows
/// depends on who reads.
fn only_location<S>(response: &Response<S>) -> Option<&str> {
    let mut locations = headers(response, "location");
    locations.next().filter(|_| locations.next().is_none())
}

/// Awaits `work`, but not longer than `ms`.
pub(super) async fn within<T>(host: &impl Host, ms: u64, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(host.sleep(ms))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

#[cfg(test)]
mod stories;
