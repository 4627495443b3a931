//! Answers that repeat a secret of their request: it is taken out before anybody reads them.
//!
//! Some servers write the request into their error pages, and a hostile one can write it into a redirect, by which the
//! client itself would carry it to another host. Headers that hold a secret are dropped. In the body of an answer that
//! is no success it is overwritten with `*`, byte by byte, so that lengths stay true.
//!
//! Bodies of successes are passed on as they are. A server that hides the secret is not stopped: it has it anyway.

use super::{Error, Incoming};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use zeroize::Zeroizing;

/// What is shorter is found in texts that have nothing to do with it.
const SECRET_BYTES_MIN: usize = 6;

/// The secrets of one request, in the forms in which servers repeat them.
pub(super) struct Echo {
    /// Invariant: the longest first, and none is shorter than [`SECRET_BYTES_MIN`].
    forms: Vec<Zeroizing<Vec<u8>>>,
}

impl Echo {
    /// Takes the headers of a request, of which those that are marked as sensitive are secret.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut forms = Vec::new();
        for value in headers.values().filter(|value| value.is_sensitive()) {
            texts(value.as_bytes()).iter().for_each(|text| forms.extend(spellings(text)));
        }
        forms.retain(|form| form.len() >= SECRET_BYTES_MIN);
        // A longer one may begin with a shorter one.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { forms }
    }

    /// Takes the secrets out of an answer.
    pub(super) fn take_out_of(self, mut response: http::Response<Incoming>) -> http::Response<Incoming> {
        if self.forms.is_empty() {
            return response;
        }
        self.clean(response.headers_mut());
        if response.status().is_success() {
            return response;
        }
        response.map(|body| Covered { body, held: BytesMut::new(), ended: None, echo: self }.boxed_unsync())
    }

    /// Drops the headers that hold a secret.
    fn clean(&self, headers: &mut HeaderMap) {
        let holds = |value: &HeaderValue| self.forms.iter().any(|form| find(value.as_bytes(), form, 0).is_some());
        let names: Vec<HeaderName> =
            headers.iter().filter(|(_, value)| holds(value)).map(|(name, _)| name.clone()).collect();
        for name in names {
            tracing::debug!(header = %name, "the answer repeats a secret of its request");
            headers.remove(name);
        }
    }

    /// Overwrites the secret wherever it is.
    fn mask(&self, bytes: &mut [u8]) {
        for form in &self.forms {
            let mut from = 0;
            while let Some(at) = find(bytes, form, from) {
                from = at + form.len();
                bytes[at..from].fill(b'*');
            }
        }
    }

    /// How many bytes at the end of a piece may be the beginning of the secret.
    fn overlap(&self) -> usize {
        self.forms.iter().map(|form| form.len()).max().unwrap_or(1) - 1
    }
}

/// Returns what is secret in the value of a header: the value, what stands behind a scheme as in `Basic dXNlcjpwYXNz`,
/// and of a login also what is in that.
fn texts(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut texts = vec![Zeroizing::new(value.to_vec())];
    let Some(space) = value.iter().position(|byte| *byte == b' ') else { return texts };
    let credentials = &value[space + 1..];
    texts.push(Zeroizing::new(credentials.to_vec()));
    if value[..space].eq_ignore_ascii_case(b"basic")
        && let Ok(pair) = STANDARD.decode(credentials)
    {
        let pair = Zeroizing::new(pair);
        // RFC 7617 section 2: the name of the user has no colon.
        let password = pair.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
        texts.push(Zeroizing::new(pair[password..].to_vec()));
        texts.push(pair);
    }
    texts
}

/// Returns `text` as it is, in JSON, and in a URL.
fn spellings(text: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut spellings = vec![Zeroizing::new(text.to_vec())];
    if let Ok(text) = str::from_utf8(text) {
        let json = Zeroizing::new(serde_json::to_vec(text).expect("text is JSON"));
        let json = Zeroizing::new(json[1..json.len() - 1].to_vec());
        // PHP's own way.
        let solidus = |byte: &u8| if *byte == b'/' { vec![b'\\', b'/'] } else { vec![*byte] };
        spellings.push(Zeroizing::new(json.iter().flat_map(solidus).collect()));
        spellings.push(json);
    }
    let escaped = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => vec![*byte],
        byte => format!("%{byte:02X}").into_bytes(),
    };
    spellings.push(Zeroizing::new(text.iter().flat_map(escaped).collect()));
    spellings
}

fn find(bytes: &[u8], form: &[u8], from: usize) -> Option<usize> {
    bytes[from..].windows(form.len()).position(|window| window == form).map(|at| from + at)
}

/// A body that is read through an [`Echo`].
struct Covered {
    body: Incoming,
    /// What has come and may be a part of the secret.
    held: BytesMut,
    /// What came after the last byte.
    ended: Option<Option<Result<Frame<Bytes>, Error>>>,
    echo: Echo,
}

impl Body for Covered {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        loop {
            if let Some(end) = &mut this.ended {
                let rest = this.held.split().freeze();
                return Poll::Ready(if rest.is_empty() { end.take() } else { Some(Ok(Frame::data(rest))) });
            }
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_data() => {
                    this.held.extend_from_slice(&frame.into_data().unwrap_or_default());
                    this.echo.mask(&mut this.held);
                    let sure = this.held.len().saturating_sub(this.echo.overlap());
                    if sure > 0 {
                        return Poll::Ready(Some(Ok(Frame::data(this.held.split_to(sure).freeze()))));
                    }
                }
                end => this.ended = Some(end),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && (self.body.is_end_stream() || matches!(self.ended, Some(None)))
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.len() as u64;
        let hint = self.body.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower() + held);
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper + held);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http::header::{ACCEPT, AUTHORIZATION};
    use http_body_util::StreamBody;

    /// `Basic` of `ann:open sesame"`.
    const BASIC: &str = "Basic YW5uOm9wZW4gc2VzYW1lIg==";

    fn echo(authorization: &str) -> Echo {
        let mut value = HeaderValue::try_from(authorization).expect("a test writes a header");
        value.set_sensitive(true);
        let accept = (ACCEPT, HeaderValue::from_static("application/json"));
        Echo::of(&HeaderMap::from_iter([(AUTHORIZATION, value), accept]))
    }

    fn covered_body(echo: Echo, pieces: Vec<Result<Frame<Bytes>, Error>>) -> Incoming {
        let mut response = http::Response::new(StreamBody::new(stream::iter(pieces)).boxed_unsync());
        *response.status_mut() = http::StatusCode::FORBIDDEN;
        echo.take_out_of(response).into_body()
    }

    async fn covered(authorization: &str, pieces: &[&'static str]) -> String {
        let pieces = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        let body = covered_body(echo(authorization), pieces).collect().await.expect("it ends well");
        String::from_utf8(body.to_bytes().to_vec()).expect("the test writes text")
    }

    #[tokio::test]
    async fn what_was_sent_is_covered_in_every_form_and_nothing_else_is() {
        for (text, expected) in [
            ("denied: Basic YW5uOm9wZW4gc2VzYW1lIg== it was", "denied: ****************************** it was"),
            ("denied: basic YW5uOm9wZW4gc2VzYW1lIg== it was", "denied: basic ************************ it was"),
            ("denied: application/json", "denied: application/json"),
            ("YW5uOm9wZW4gc2VzYW1lIg==YW5uOm9wZW4gc2VzYW1lIg==", "************************************************"),
            ("YW5uOm9wZW4gc2VzYW1lIg%3D%3D", "****************************"),
            ("user ann, open sesame\"", "user ann, ************"),
            ("ann:open sesame\"", "****************"),
            ("{\"a\":\"open sesame\\\"\"}", "{\"a\":\"*************\"}"),
            ("/?a=open%20sesame%22&b", "/?a=****************&b"),
            ("open sesame", "open sesame"),
            ("", ""),
        ] {
            assert_eq!(covered(BASIC, &[text]).await, expected, "{text}");
        }
        assert_eq!(covered("Bearer abcdefgh", &["bearer abcdefgh."]).await, "bearer ********.");
        assert_eq!(covered("Basic YTpi", &["a:b YTpi"]).await, "a:b YTpi", "what is so short is in many texts");
    }

    #[tokio::test]
    async fn a_secret_in_pieces_is_covered_too() {
        let text = "a bearer abcdefgh and abcdefgh";
        for size in 1..text.len() {
            let pieces: Vec<_> =
                (0..text.len()).step_by(size).map(|at| &text[at..(at + size).min(text.len())]).collect();
            assert_eq!(covered("Bearer abcdefgh", &pieces).await, "a bearer ******** and ********", "{size}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_still_says_so() {
        let broken = Error::Upload { why: "gone".to_owned() };
        let pieces = vec![Ok(Frame::data(Bytes::from_static(b"abc"))), Err(broken.clone())];
        let mut body = covered_body(echo("Bearer abcdefgh"), pieces);
        let first = body.frame().await.expect("a frame").expect("it is good").into_data();
        assert_eq!(first.ok(), Some(Bytes::from_static(b"abc")));
        assert_eq!(body.frame().await.expect("a frame").err(), Some(broken));
    }

    #[test]
    fn headers_that_hold_it_are_dropped() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("location", "https://evil.example/?a=YW5uOm9wZW4gc2VzYW1lIg=="),
            ("warning", "299 - \"fine\""),
            ("warning", "299 - \"YW5uOm9wZW4gc2VzYW1lIg==\""),
            ("etag", "\"x\""),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut response = http::Response::new(super::super::empty());
        *response.headers_mut() = headers;
        let headers = echo(BASIC).take_out_of(response).into_parts().0.headers;
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }
}
