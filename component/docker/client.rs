//! Where an answer goes: a head, and a body after it, whole or piece by piece.

use super::version::Version;
use crate::verbs::save::Piece;
use serde::Serialize;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Status and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// As in 200.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
}

impl Head {
    /// A head of what has this type.
    pub(super) fn new(status: u16, content_type: Option<&str>) -> Self {
        let mut headers = vec![
            ("api-version", Version::LATEST.to_string()),
            ("docker-experimental", "false".to_owned()),
            ("ostype", "linux".to_owned()),
            ("server", concat!("wharf/", env!("CARGO_PKG_VERSION"), " (linux)").to_owned()),
        ];
        headers.extend(content_type.map(|content_type| ("content-type", content_type.to_owned())));
        Self { status, headers }
    }

    /// A head with one more header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Whoever asked. Their answer is begun once.
#[expect(async_fn_in_trait, reason = "one thread, and no caller needs a Send bound")]
pub trait Client {
    /// The host's blob.
    type Blob;
    /// Where the body goes.
    type Body: Body;
    /// Sends the head. The body follows, until it is finished.
    async fn begin(self, head: Head) -> Self::Body;
    /// Sends the head and an archive, whose bytes the host moves.
    async fn send(self, head: Head, pieces: Vec<Piece<Self::Blob>>);
}

/// The body of an answer. One that is dropped before it is finished is broken off: whoever reads it learns that it is
/// not whole.
#[expect(async_fn_in_trait, reason = "one thread, and no caller needs a Send bound")]
pub trait Body {
    /// Sends a piece, and returns whether anybody takes more. Without bytes it only
    /// asks that.
    async fn write(&mut self, bytes: Vec<u8>) -> bool;
    /// Ends the answer, all of which was written.
    async fn finish(self);
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(status: u16, value: &impl Serialize) -> Self {
        let mut body = serde_json::to_vec(value).expect("answers have texts as keys");
        // As Go's encoder ends it.
        body.push(b'\n');
        Self { head: Head::new(status, Some(JSON)), body }
    }

    pub(super) fn text(status: u16, text: &str) -> Self {
        Self { head: Head::new(status, Some(TEXT)), body: text.as_bytes().to_vec() }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { head: Head::new(status, None), body: Vec::new() }
    }
}

/// Sends a whole answer.
pub(super) async fn send<C: Client>(client: C, Answer { head, body }: Answer) {
    let head = head.with("content-length", body.len().to_string());
    let mut sink = client.begin(head).await;
    if body.is_empty() || sink.write(body).await {
        sink.finish().await;
    }
}
