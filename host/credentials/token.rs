//! The token request and its answer. Distribution's token authentication, and its OAuth 2.0 form for identity tokens.
//!
//! The answer is the one document of the wire that the host reads: at most 64 KiB, and of it only the token and how long
//! it lives. It follows no redirects, and asks again only where the server says when.

use super::document::{Password, Secrets};
use super::secret::Secret;
use super::{Error, Origin, Place, Unanswered, Wire};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde::Deserialize;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;
use zeroize::{Zeroize, Zeroizing};

/// The largest answer of a token server that is read, in bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long a token request may take, from the connection to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a token lives if the answer does not say, or says less: clients have always assumed this much.
const LIFETIME_MIN: Duration = Duration::from_secs(60);

/// How long a token is used at most, whatever the answer says.
const LIFETIME_MAX: Duration = Duration::from_secs(60 * 60);

/// The name by which token servers may know this program.
const CLIENT: &str = "wharf";

/// How long the host itself waits, because a token server says so, before it asks once more. Whoever has to wait longer
/// is told.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// How often one wish is asked for because a token server says that it is to be asked later.
const TRIES_MAX: u32 = 3;

/// How many refresh tokens are kept.
const REFRESHES_MAX: usize = 64;

/// What is wished for, from whom.
pub(super) struct Wish<'a> {
    pub(super) registry: &'a Origin,
    /// It has passed the realm rule.
    pub(super) realm: Url,
    pub(super) service: Option<&'a str>,
    /// Sorted, no duplicates.
    pub(super) scopes: &'a [String],
    /// Whose wish it is.
    pub(super) login: Option<(&'a Place, &'a Secrets)>,
}

/// A token that has just arrived.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) authorization: HeaderValue,
    pub(super) lifetime: Duration,
    /// What will bring the next one.
    refresh: Option<Arc<Secret>>,
}

/// How a token is asked for.
#[derive(Clone, Copy)]
enum Manner<'a> {
    /// Distribution's token authentication: GET, with the login as in a basic challenge.
    Get(Option<&'a Password>),
    /// The OAuth 2.0 form with a password. RFC 6749 section 4.3.
    Password(&'a Password),
    /// The OAuth 2.0 form with a refresh token. RFC 6749 section 6.
    Refresh(&'a Secret),
}

/// What token servers gave for the next time: for the realm that gave it and for the login that it was given for.
#[derive(Default)]
pub(super) struct Refreshes {
    known: Mutex<HashMap<RefreshKey, Arc<Secret>>>,
}

type RefreshKey = (String, Option<String>, Place);

impl Refreshes {
    fn get(&self, key: &RefreshKey) -> Option<Arc<Secret>> {
        self.known.lock().expect("nothing panics while it holds the lock").get(key).cloned()
    }

    fn keep(&self, key: RefreshKey, fresh: &Fresh) {
        let Some(refresh) = &fresh.refresh else { return };
        let mut known = self.known.lock().expect("nothing panics while it holds the lock");
        // The realm is the registry's word, so that there may be many. The login makes up for what goes.
        if known.len() >= REFRESHES_MAX && !known.contains_key(&key) {
            known.clear();
        }
        known.insert(key, refresh.clone());
    }

    fn forget(&self, key: &RefreshKey) {
        self.known.lock().expect("nothing panics while it holds the lock").remove(key);
    }
}

impl std::fmt::Debug for Refreshes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Refreshes")
    }
}

/// Times are measured here, from the arrival: `issued_at` is the server's wall clock, which may be wrong in either
/// direction, and a token that has died earlier than thought is refused by the registry and then replaced.
#[derive(Deserialize)]
struct Answer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    refresh_token: Option<Secret>,
    expires_in: Option<serde_json::Value>,
}

/// Asks for a token: with what the server gave for the next time, or else with the login; by GET, which every server
/// knows, and by the form with the password only where the server has no GET.
pub(super) async fn request<W: Wire>(wire: &W, refreshes: &Refreshes, wish: Wish<'_>) -> Result<Fresh, Error> {
    let Some((place, secrets)) = wish.login else {
        return ask(wire, &wish, Manner::Get(None)).await;
    };
    let key = (wish.realm.to_string(), wish.service.map(str::to_owned), place.clone());
    if let Some(refresh) = refreshes.get(&key) {
        match ask(wire, &wish, Manner::Refresh(&refresh)).await {
            // It has ended, or the server has no form after all; the login is still good.
            Err(Error::Rejected { .. } | Error::Unavailable { status: Some(404 | 405), .. }) => refreshes.forget(&key),
            outcome => return outcome.inspect(|fresh| refreshes.keep(key, fresh)),
        }
    }
    let outcome = match (&secrets.identity, &secrets.password) {
        (Some(identity), _) => ask(wire, &wish, Manner::Refresh(identity)).await,
        (None, Some(password)) => match ask(wire, &wish, Manner::Get(Some(password))).await {
            Err(Error::Unavailable { status: Some(404 | 405), .. }) => {
                ask(wire, &wish, Manner::Password(password)).await
            }
            outcome => outcome,
        },
        (None, None) => ask(wire, &wish, Manner::Get(None)).await,
    };
    outcome.inspect(|fresh| refreshes.keep(key, fresh))
}

/// Asks once, and again after as long as the server says, if that is not long.
async fn ask<W: Wire>(wire: &W, wish: &Wish<'_>, manner: Manner<'_>) -> Result<Fresh, Error> {
    let server = server(&wish.realm);
    for _ in 1..TRIES_MAX {
        match exchange(wire, &server, wish, manner).await? {
            Ok(fresh) => return Ok(fresh),
            Err((_, Some(wait))) if wait <= RETRY_AFTER_MAX => wire.sleep(wait).await,
            Err((status, wait)) => return Err(refusal(wish, manner, &server, status, wait)),
        }
    }
    exchange(wire, &server, wish, manner).await?.map_err(|(status, wait)| refusal(wish, manner, &server, status, wait))
}

/// Sends one request. The inner error is an answer other than 200, and how long it wants to be left alone.
async fn exchange<W: Wire>(
    wire: &W,
    server: &str,
    wish: &Wish<'_>,
    manner: Manner<'_>,
) -> Result<Result<Fresh, (StatusCode, Option<Duration>)>, Error> {
    let unavailable = |status, why: &str| Error::Unavailable { server: server.to_owned(), status, why: why.to_owned() };
    let asking = async {
        let request = compose(wish, manner).ok_or_else(|| unavailable(None, "the realm makes no valid request"))?;
        let response = wire.send(request).await.map_err(|error| of_wire(server, error))?;
        let status = response.status();
        if status != StatusCode::OK {
            return Ok(Err((status, retry_after(response.headers(), status))));
        }
        let answer = collect(wire, response.into_body()).await.map_err(|why| unavailable(Some(200), &why))?;
        read(&answer).map(Ok).map_err(|why| unavailable(Some(200), why))
    };
    match select(pin!(asking), pin!(wire.sleep(REQUEST_TIMEOUT))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), _)) => Err(unavailable(None, "it did not answer in time")),
    }
}

/// Reads an answer to its end. The error says why it is none.
async fn collect<W: Wire>(wire: &W, mut body: W::Body) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    while let Some(piece) = wire.next(&mut body).await {
        let piece = piece.map_err(|_| "its answer was cut short")?;
        if answer.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
        answer.extend_from_slice(&piece);
    }
    Ok(answer)
}

/// Reads how long a server wants to be left alone. RFC 9110 section 10.2.3; a date is left to whoever tries again.
fn retry_after(headers: &HeaderMap, status: StatusCode) -> Option<Duration> {
    let asked = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let text = headers.get(RETRY_AFTER).filter(|_| asked)?.to_str().ok()?.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    Some(Duration::from_secs(text.parse().ok()?))
}

/// Returns the value of `authorization` for a user name and a password. RFC 7617.
pub(super) fn basic(login: &Password) -> Option<HeaderValue> {
    let pair = Zeroizing::new(format!("{}:{}", login.user, login.password.expose()));
    let value = Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(pair.as_bytes()))));
    sensitive(&value)
}

/// Returns the value of `authorization` for a token, if it has only characters that a header may have. RFC 6750.
pub(super) fn bearer(token: &Secret) -> Option<HeaderValue> {
    let visible = token.expose().bytes().all(|byte| byte.is_ascii_graphic());
    let value = Zeroizing::new(format!("Bearer {}", token.expose()));
    if visible { sensitive(&value) } else { None }
}

/// Returns `value` as a header that is kept out of logs and of HTTP/2's compression tables.
fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn server(realm: &Url) -> String {
    Origin::of(realm).map(|origin| origin.authority()).unwrap_or_default()
}

fn compose(wish: &Wish<'_>, manner: Manner<'_>) -> Option<Request<Bytes>> {
    let request = Request::builder()
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("wharf/", env!("CARGO_PKG_VERSION")));
    let grant: &[(&str, &str)] = match manner {
        Manner::Get(password) => {
            let mut url = wish.realm.clone();
            if wish.service.is_some() || !wish.scopes.is_empty() {
                url.query_pairs_mut()
                    .extend_pairs(wish.service.map(|service| ("service", service)))
                    .extend_pairs(wish.scopes.iter().map(|scope| ("scope", scope)));
            }
            let mut request = request.method(Method::GET).uri(url.as_str());
            if let Some(password) = password {
                request = request.header(AUTHORIZATION, basic(password)?);
            }
            return request.body(Bytes::new()).ok();
        }
        Manner::Password(Password { user, password }) => {
            &[("grant_type", "password"), ("client_id", CLIENT), ("username", user), ("password", password.expose())]
        }
        Manner::Refresh(token) => {
            &[("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", token.expose())]
        }
    };
    let mut form = Url::parse("form:").expect("a constant URL");
    form.query_pairs_mut()
        .extend_pairs(grant)
        .extend_pairs(wish.service.map(|service| ("service", service)))
        .extend_pairs((!wish.scopes.is_empty()).then(|| ("scope", wish.scopes.join(" "))));
    let body = Bytes::copy_from_slice(form.query()?.as_bytes());
    String::from(form).zeroize();
    request
        .method(Method::POST)
        .uri(wish.realm.as_str())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body)
        .ok()
}

/// Says what an answer other than 200 means.
fn refusal(wish: &Wish<'_>, manner: Manner<'_>, server: &str, status: StatusCode, wait: Option<Duration>) -> Error {
    let registry = wish.registry.authority();
    let by_form = !matches!(manner, Manner::Get(_));
    // RFC 6749 section 5.2: what is not accepted in a form is a bad request.
    let of_login = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        || (by_form && status == StatusCode::BAD_REQUEST);
    match (of_login, wish.login) {
        (true, Some(_)) => Error::Rejected { server: server.to_owned(), registry, status: status.as_u16() },
        (true, None) => Error::NotFound { registry },
        (false, _) => {
            let why = match wait {
                Some(wait) => format!("it answered {}, and asks to wait {} s", status.as_u16(), wait.as_secs()),
                None => format!("it answered {}", status.as_u16()),
            };
            Error::Unavailable { server: server.to_owned(), status: Some(status.as_u16()), why }
        }
    }
}

fn of_wire(server: &str, error: Unanswered) -> Error {
    match error {
        Unanswered::Denied { why } => Error::Denied { why: format!("the token server `{server}`: {why}") },
        Unanswered::Failed { why } => Error::Unavailable { server: server.to_owned(), status: None, why },
    }
}

fn read(body: &[u8]) -> Result<Fresh, &'static str> {
    // The parser's message would repeat what it found.
    let answer: Answer = serde_json::from_slice(body).map_err(|_| "its answer is not the JSON of a token")?;
    let given = |secret: Option<Secret>| secret.filter(|secret| !secret.is_empty());
    let token = given(answer.token).or(given(answer.access_token)).ok_or("its answer has no token")?;
    let authorization = bearer(&token).ok_or("its token has characters that no token has")?;
    let refresh = given(answer.refresh_token).map(Arc::new);
    Ok(Fresh { authorization, lifetime: lifetime(answer.expires_in.as_ref()), refresh })
}

/// Reads `expires_in`, in seconds. Some servers write it in quotes; what makes no sense is as if it were absent.
fn lifetime(expires_in: Option<&serde_json::Value>) -> Duration {
    let seconds = match expires_in {
        Some(serde_json::Value::Number(number)) => number.as_f64(),
        Some(serde_json::Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds: &f64| !seconds.is_nan()).unwrap_or(0.0);
    Duration::from_secs_f64(seconds.clamp(LIFETIME_MIN.as_secs_f64(), LIFETIME_MAX.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_lifetime_is_sane_whatever_the_answer_says() {
        for (given, expected) in [
            (None, 60),
            (Some(json!(null)), 60),
            (Some(json!(0)), 60),
            (Some(json!(-300)), 60),
            (Some(json!(59)), 60),
            (Some(json!(300)), 300),
            (Some(json!(300.5)), 300),
            (Some(json!("300")), 300),
            (Some(json!("soon")), 60),
            (Some(json!("NaN")), 60),
            (Some(json!("inf")), 3600),
            (Some(json!([300])), 60),
            (Some(json!(u64::MAX)), 3600),
            (Some(json!(1e300)), 3600),
        ] {
            assert_eq!(lifetime(given.as_ref()).as_secs(), expected, "{given:?}");
        }
    }

    #[test]
    fn an_answer_has_its_token_in_either_field() {
        for (answer, expected) in [
            (r#"{"token":"a"}"#, Ok("Bearer a")),
            (r#"{"access_token":"b"}"#, Ok("Bearer b")),
            (r#"{"token":"a","access_token":"b"}"#, Ok("Bearer a")),
            (r#"{"token":"","access_token":"b"}"#, Ok("Bearer b")),
            (r#"{"token":null,"access_token":"b","issued_at":"2999-01-01T00:00:00Z"}"#, Ok("Bearer b")),
            (r#"{"token":""}"#, Err("its answer has no token")),
            (r#"{"expires_in":300}"#, Err("its answer has no token")),
            (r#"{"token":"a\nb"}"#, Err("its token has characters that no token has")),
            (r#"{"token":"a b"}"#, Err("its token has characters that no token has")),
            (r#"{"token":7}"#, Err("its answer is not the JSON of a token")),
            ("<html>", Err("its answer is not the JSON of a token")),
            ("", Err("its answer is not the JSON of a token")),
        ] {
            let header = read(answer.as_bytes()).map(|fresh| fresh.authorization);
            assert!(header.as_ref().map_or(true, HeaderValue::is_sensitive), "{answer}");
            let text = header.as_ref().map(|value| value.to_str().expect("tokens are visible characters"));
            assert_eq!(text, expected.as_ref().map(|text| *text), "{answer}");
        }
    }
}
