//! What a request of the component may carry, and what it becomes on its way out.
//!
//! It does not decide where a request may go; that is the policy's.

use super::body::{Departing, Progress};
use super::rate::Rate;
use super::{Error, Grants, Origin, Outgoing};
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderValue, Method, Uri};
use hyper::body::Body;
use reqwest::Url;
use std::sync::Arc;

/// The header by which a request names the right that it wants to use.
pub(super) const GRANT: HeaderName = HeaderName::from_static("wharf-grant");

/// The longest URL that is requested, in bytes. Signed URLs of blob stores have about 2 000.
const URL_BYTES_MAX: usize = 16 * 1024;

/// Secrets, which only the host may put into a request, and cookies, which nobody may.
const FORBIDDEN: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

/// What belongs to one connection (RFC 9110 section 7.6.1) or is derived from the URL: the pool writes its own.
pub(super) const CONNECTION_SPECIFIC: [HeaderName; 9] = [
    HOST,
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// A request that keeps the rules.
pub(super) struct Prepared {
    pub(super) destination: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Payload>,
    /// The id of the grant that it uses.
    pub(super) grant: Option<String>,
}

/// The body of a request.
pub(super) enum Payload {
    /// The host's own: all there is.
    Whole(Bytes),
    /// The component's: as it comes.
    Stream(Outgoing),
}

impl Payload {
    /// `rate` is the limit for what the component sends.
    pub(super) fn into_body(self, progress: &Progress, rate: Option<Arc<Rate>>) -> reqwest::Body {
        match self {
            Self::Whole(bytes) => reqwest::Body::from(bytes),
            Self::Stream(body) => reqwest::Body::wrap_stream(Departing::new(body, progress.clone(), rate)),
        }
    }
}

/// Applies the rules to a request of the component.
pub(super) fn prepare(request: http::Request<Outgoing>, grants: &Grants) -> Result<Prepared, Error> {
    let (parts, body) = request.into_parts();
    let (method, mut headers) = (parts.method, parts.headers);
    let destination = destination(&parts.uri)?;
    if method == Method::CONNECT {
        return Err(Error::Denied { why: "tunnels are not for the component to open".to_owned() });
    }
    for name in FORBIDDEN {
        if headers.contains_key(&name) {
            return Err(Error::Denied { why: format!("the header `{name}` is not for the component to set") });
        }
    }
    for name in CONNECTION_SPECIFIC {
        headers.remove(name);
    }
    let grant = take_grant(&mut headers)?;
    if let Some(id) = &grant {
        let origin = Origin::of(&destination)?;
        let authorization = grants.authorization(id, &origin).ok_or_else(|| Error::Denied {
            why: format!("the grant of this request is not for `{}`", origin.authority()),
        })?;
        headers.insert(AUTHORIZATION, authorization);
    }
    // RFC 9110 section 9.3.1: a body has no meaning there, and invites request smuggling.
    let bodiless = matches!(method, Method::GET | Method::HEAD) || body.is_end_stream();
    if bodiless {
        headers.remove(CONTENT_LENGTH);
        // RFC 9110 section 8.6: these methods have one that may be empty, and some servers insist on being told.
        if matches!(method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }
    let body = (!bodiless).then_some(Payload::Stream(body));
    Ok(Prepared { destination, method, headers, body, grant })
}

/// Takes the grant's id out of the headers. An id that is no text is none that was ever given.
fn take_grant(headers: &mut HeaderMap) -> Result<Option<String>, Error> {
    let mut ids = headers.get_all(GRANT).iter();
    let id = match (ids.next(), ids.next()) {
        (None, _) => return Ok(None),
        (Some(id), None) => id.to_str().map(str::to_owned).ok(),
        (Some(_), Some(_)) => None,
    };
    headers.remove(GRANT);
    id.map(Some).ok_or_else(|| Error::Denied { why: format!("the header `{GRANT}` does not name one grant") })
}

/// Reads the destination as the pool will: the URL standard has one spelling for each host, and the policy judges that.
pub(super) fn destination(uri: &Uri) -> Result<Url, Error> {
    let text = uri.to_string();
    if text.len() > URL_BYTES_MAX {
        return Err(Error::Invalid {
            why: format!("the URL has {} bytes, and {URL_BYTES_MAX} is the limit", text.len()),
        });
    }
    let url = Url::parse(&text).map_err(|error| Error::Invalid { why: format!("the URL: {error}") })?;
    if url.host_str().is_none() {
        return Err(Error::Invalid { why: "the URL names no host".to_owned() });
    }
    Ok(url)
}
