//! One request with all that belongs to it: headers, redirects, a challenge
//! answered. It does not try again after a failure, and does not judge the
//! status of what comes back.
//!
//! - `load`: what a request carries, and how long that may take.

mod load;

use super::{
    challenge,
    endpoint::Endpoint,
    failure::{Failure, Fault, shown},
    location::{self, Target},
    range::number,
    server::{SILENCE_MS_MAX, Server},
};
use crate::{
    host::{Challenge, Grant, Host, HttpError, Method, Request, Response, Visit},
    nouns::problem::ErrorCode,
    planted::{Bug, has},
};
use futures_util::future::{Either, select};
use std::{pin::pin, rc::Rc};

pub use load::Bytes;
pub(super) use load::{Load, Part};

/// A document that has not arrived after so many times the silence that a
/// request may have is given up.
const DOCUMENT_SILENCES: u64 = 2;
/// How many redirects one request follows.
const REDIRECTS_MAX: usize = 5;
/// What it takes to list repositories. Distribution's token specification,
/// “Resource Scope”.
const CATALOG_SCOPE: &str = "registry:catalog:*";
/// The header by which the host knows a grant.
pub(super) const GRANT_HEADER: &str = "wharf-grant";
pub(super) const USER_AGENT: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"));

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

    /// Returns the length that the body is declared to have. One that is declared
    /// several times counts once. Fails if it is declared in two ways.
    pub(super) fn length(&self) -> Result<Option<u64>, Fault> {
        let mut lengths = self.headers("content-length").flat_map(|header| header.split(',')).map(str::trim);
        let first = lengths.next();
        if lengths.any(|other| Some(other) != first) && !has(Bug::DeclaredLengthIgnored) {
            let from = &self.target.origin.authority;
            return Err(Fault::last(ErrorCode::Invalid, format!("`{from}` declares two lengths of one body")));
        }
        Ok(first.and_then(number))
    }

    /// Whether the body was compressed on the way.
    pub(super) fn is_encoded(&self) -> bool {
        self.headers("content-encoding").any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    }

    /// Returns the request's first line without the query, which may hold a
    /// signature that is as good as a password.
    pub(super) fn line(&self) -> String {
        let path = self.target.path.split_once('?').map_or(self.target.path.as_str(), |(path, _)| path);
        format!("{} {path}", self.method.name())
    }
}

fn headers<'a, S>(response: &'a Response<S>, name: &'a str) -> impl Iterator<Item = &'a str> {
    response.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
}

impl<H: Host> Server<'_, H> {
    /// Makes a request for `rest` of this repository, as in `tags/list`, or of the
    /// registry itself, as in `_catalog`.
    pub(super) fn ask(&self, method: Method, rest: &str, headers: Vec<(&'static str, String)>) -> Ask {
        let Endpoint { origin, base, path, namespace, .. } = &self.endpoint;
        let mut path = if path.is_empty() { format!("{base}/{rest}") } else { format!("{base}/{path}/{rest}") };
        if let Some(namespace) = namespace {
            // The name of a registry has no characters that a query has to escape, but for brackets of addresses.
            let namespace = namespace.replace('[', "%5B").replace(']', "%5D");
            path = format!("{path}{}ns={namespace}", if rest.contains('?') { '&' } else { '?' });
        }
        Ask { method, target: Target { origin: origin.clone(), path }, headers }
    }

    /// Sends a request. If the registry challenges it, it is sent again with a
    /// grant: the one that there is meanwhile, or a new one. A registry that
    /// refuses a new grant may want another one, once: for more, or, where a login
    /// was refused, for what everybody may read. Otherwise its answer is returned.
    pub(super) async fn exchange(&self, ask: &Ask) -> Result<Answer<H::Stream>, Fault> {
        self.exchange_with(ask, &Load::Nothing).await
    }

    /// The same with a body, which is sent anew with each request.
    pub(super) async fn exchange_with(&self, ask: &Ask, load: &Load<'_, '_, H>) -> Result<Answer<H::Stream>, Fault> {
        let mut grant = self.grant.borrow().clone();
        let (mut is_renewed, mut is_widened, mut is_trial) = (false, false, false);
        loop {
            let answer = self.follow(ask, load, grant.as_deref()).await?;
            let at_home = answer.target.origin == self.endpoint.origin;
            if !at_home || !matches!(answer.response.status, 401 | 403) {
                if is_trial && answer.response.status < 400 {
                    self.is_anonymous.set(true);
                    self.grant.replace(grant.clone());
                }
                self.welcome(&answer.response, grant.as_deref());
                return Ok(answer);
            }
            if is_trial {
                // What was refused is the login's matter, and the login may be good for something else.
                self.needs_login.set(true);
                return Ok(answer);
            }
            let _renewal = self.renewal.lock().await;
            let held = self.grant.borrow().clone();
            let is_news = match (&held, &grant) {
                (Some(held), Some(used)) => !Rc::ptr_eq(held, used),
                (held, _) => held.is_some(),
            };
            if is_news && answer.response.status == 401 {
                grant = held;
                continue;
            }
            // Some registries refuse HEAD alone, and do not say what would help: GET finds out.
            let is_mute = ask.method == Method::Head && answer.header("www-authenticate").is_none();
            let (challenge, visit) = match self.wider(&answer.response, grant.as_deref()).filter(|_| !is_widened) {
                _ if answer.response.status == 401 && grant.is_some() && has(Bug::StaleGrantKept) => {
                    return Ok(answer);
                }
                Some(wider) => {
                    is_widened = true;
                    (wider, self.visit())
                }
                None if answer.response.status == 401 && !is_renewed && !is_mute => {
                    (self.choose(&answer.response)?, self.visit())
                }
                None if self.may_do_without_login(grant.as_deref()) => {
                    is_trial = true;
                    let answered = self.challenge.borrow().clone();
                    (answered.expect("a grant answers a challenge"), Visit::Anonymous)
                }
                None => return Ok(answer),
            };
            is_renewed = true;
            grant = match self.authorize(challenge, visit).await {
                Ok(granted) => Some(granted),
                Err(_) if is_trial => {
                    self.needs_login.set(true);
                    return Ok(answer);
                }
                Err(fault) => return Err(fault),
            };
            if !is_trial {
                self.grant.replace(grant.clone());
            }
        }
    }

    /// Notes that a request got further than its rights: if it went without the
    /// login that was refused, a person should know that.
    fn welcome(&self, response: &Response<H::Stream>, grant: Option<&H::Grant>) {
        if self.is_anonymous.get() && grant.is_some_and(Grant::anonymous) && response.status < 400 {
            let registry = &self.endpoint.registry;
            self.common.say_once(format!(
                "`{registry}` refused the login for it; `{}` is public and is read without one \
                 (`wharf login {registry}` renews the login, `wharf logout {registry}` forgets it)",
                self.common.name
            ));
        }
    }

    /// How long something may take for which a server may be silent so often.
    fn patience_ms(&self, silences: u64) -> u64 {
        let silence_ms = if has(Bug::SilenceUnbounded) { SILENCE_MS_MAX } else { self.common.silence_ms };
        silence_ms.saturating_mul(silences)
    }

    fn visit(&self) -> Visit {
        if self.is_anonymous.get() { Visit::Anonymous } else { Visit::WithLogin }
    }

    /// Returns what to answer if a grant was good, and not for enough.
    fn wider(&self, response: &Response<H::Stream>, grant: Option<&H::Grant>) -> Option<Challenge> {
        grant?;
        challenge::wider(headers(response, "www-authenticate"), self.challenge.borrow().as_ref()?)
    }

    /// Returns the repository, unless the registry itself is meant.
    fn repository(&self) -> Option<&str> {
        Some(self.endpoint.path.as_str()).filter(|path| !path.is_empty())
    }

    /// Chooses what to answer of a 401 response.
    fn choose(&self, response: &Response<H::Stream>) -> Result<Challenge, Fault> {
        let scope = match self.repository() {
            Some(path) => format!("repository:{path}:pull"),
            None => CATALOG_SCOPE.to_owned(),
        };
        let chosen = challenge::choose(headers(response, "www-authenticate"), Some(&scope));
        chosen.map(|chosen| challenge::with(chosen, &self.common.rights)).map_err(|offered| {
            let registry = &self.endpoint.registry;
            let offered = match &offered[..] {
                [] => "no way to log in".to_owned(),
                offered => format!("only `{}`", shown(&offered.join("`, `"))),
            };
            Fault::last(
                ErrorCode::Denied,
                format!("`{registry}` wants a login and offers {offered}; wharf knows `bearer` and `basic`"),
            )
        })
    }

    /// Whether what was refused to a login may be public.
    fn may_do_without_login(&self, grant: Option<&H::Grant>) -> bool {
        let is_bearer = matches!(*self.challenge.borrow(), Some(Challenge::Bearer { .. }));
        is_bearer
            && !self.common.is_push()
            && !has(Bug::LoginInsisted)
            && !self.is_anonymous.get()
            && !self.needs_login.get()
            && grant.is_some_and(|grant| !grant.anonymous())
    }

    /// Has the host answer a challenge.
    async fn authorize(&self, challenge: Challenge, visit: Visit) -> Result<Rc<H::Grant>, Fault> {
        let registry = &self.endpoint.registry;
        self.challenge.replace(Some(challenge.clone()));
        let path = self.repository();
        let granted = self.host().authorize(&self.endpoint.origin, path, &challenge, visit).await;
        let error = match granted {
            Ok(grant) => return Ok(Rc::new(grant)),
            // What is public needs no login, not even the right one.
            Err(ErrorCode::Denied)
                if visit == Visit::WithLogin
                    && !self.common.is_push()
                    && !has(Bug::LoginInsisted)
                    && matches!(challenge, Challenge::Bearer { .. }) =>
            {
                let granted = self.host().authorize(&self.endpoint.origin, path, &challenge, Visit::Anonymous).await;
                if let Ok(grant) = granted {
                    self.is_anonymous.set(true);
                    return Ok(Rc::new(grant));
                }
                ErrorCode::Denied
            }
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
                format!("the program that keeps the login for `{registry}` failed; see the warning above"),
                Some(format!("check `credsStore` and `credHelpers` in `config.json`, or `wharf login {registry}`")),
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
    pub(super) async fn follow(
        &self,
        ask: &Ask,
        load: &Load<'_, '_, H>,
        grant: Option<&H::Grant>,
    ) -> Result<Answer<H::Stream>, Fault> {
        let mut target = ask.target.clone();
        let redirects_max = if has(Bug::RedirectsUnbounded) { usize::MAX - 1 } else { REDIRECTS_MAX };
        // Who was sent away may be sent back to any path, so the grant does not come back.
        let mut at_home = true;
        for _ in 0..=redirects_max {
            let mut headers = vec![
                ("user-agent".to_owned(), USER_AGENT.to_owned()),
                ("accept-encoding".to_owned(), "identity".to_owned()),
            ];
            headers.extend(ask.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            if ask.method.tells_length() {
                headers.push(("content-length".to_owned(), load.length().to_string()));
            }
            at_home &= location::same_origin(&target.origin, &self.endpoint.origin);
            if has(Bug::GrantOffOrigin) && grant.is_some() {
                headers.extend(grant.map(|grant| (GRANT_HEADER.to_owned(), grant.id())));
            } else if at_home {
                // The host compares with the origin that the grant was made for.
                target.origin = self.endpoint.origin.clone();
                headers.extend(grant.map(|grant| (GRANT_HEADER.to_owned(), grant.id())));
            }
            let request =
                Request { method: ask.method, origin: target.origin.clone(), path: target.path.clone(), headers };
            let response = self.send(request, load, &target.origin).await?;
            self.common.note_answer(&target.origin);
            if target.origin == self.endpoint.origin {
                self.has_tls.set(target.origin.secure);
                self.pass_on(&response.headers);
            }
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(Answer { method: ask.method, target, response });
            }
            let from = &target.origin.authority;
            // RFC 9110 section 15.4: the others turn into a GET on many servers.
            if ask.method.tells_length() && !matches!(response.status, 307 | 308) {
                let why = format!("`{from}` redirects an upload with the status {}", response.status);
                return Err(Fault::last(ErrorCode::Invalid, why));
            }
            let Some(location) = only_location(&response) else {
                return Err(Fault::last(ErrorCode::Invalid, format!("`{from}` redirects, but does not say where to")));
            };
            target = location::resolve(&target, location).map_err(|error| {
                let shown = location::without_secrets(location);
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

    /// Reads the body of an answer as a document that has arrived whole.
    pub(super) async fn document(&self, answer: Answer<H::Stream>, limit: u64) -> Result<Vec<u8>, Fault> {
        let declared = answer.length()?.filter(|_| !answer.is_encoded() && !has(Bug::DeclaredLengthIgnored));
        let Answer { target, response, .. } = answer;
        let read = async {
            let limit = if has(Bug::DocumentsUnbounded) { 16 * limit } else { limit };
            let bytes = self.host().collect(response.body, limit).await.map_err(|code| match code {
                ErrorCode::TooLarge(limit) => Fault::last(
                    ErrorCode::TooLarge(limit),
                    format!("the document of `{}` is larger than the limit of {limit} bytes", target.origin.authority),
                ),
                other => other.into(),
            })?;
            response.end.await.map_err(|error| self.fault(&error, &target.origin))?;
            let came = bytes.len() as u64;
            if let Some(declared) = declared.filter(|&declared| declared != came) {
                let from = &target.origin.authority;
                let why = format!("`{from}` declares a document of {declared} bytes, and sent {came}");
                return Err(Fault::passing(ErrorCode::Unavailable, why));
            }
            Ok(bytes)
        };
        within(self.host(), self.patience_ms(DOCUMENT_SILENCES), read)
            .await
            .unwrap_or_else(|| Err(self.fault(&HttpError::Timeout, &target.origin)))
    }
}

/// Returns the `Location` if there is exactly one: with two, who follows
/// depends on who reads.
pub(super) fn only_location<S>(response: &Response<S>) -> Option<&str> {
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
