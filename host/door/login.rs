//! Logins that come with requests: they are taken out before the component sees
//! anything.

use super::Refusal;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use wharf_credentials::Sent;
use wharf_terminal::requested;

/// Where docker's clients put a login.
const HEADER: &str = "x-registry-auth";

/// Takes the login of a request's headers, if there is one.
pub(super) fn of_headers(headers: &HeaderMap) -> Result<Option<Sent>, Refusal> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let refused = |why| Refusal::new(StatusCode::BAD_REQUEST, format!("invalid X-Registry-Auth header: {why}"));
    Sent::of_header(value.as_bytes()).map_err(refused)
}

/// Takes the login of the body of a request that logs in, and the registry that it is for.
pub(super) fn of_body(body: &Bytes) -> Result<(String, Sent), Refusal> {
    let refused = |why| Refusal::new(StatusCode::BAD_REQUEST, format!("the body is no login: {why}"));
    let sent = Sent::of_body(body).map_err(refused)?;
    Ok((requested::registry(sent.address()).to_owned(), sent))
}
