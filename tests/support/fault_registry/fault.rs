//! The words for what goes wrong: on which object, how often, and how. It does nothing itself; `wire` acts.
//!
//! Texts of headers and bodies are templates: `{registry}` and `{storage}` stand for where the two listen, `{layer}`
//! for the digest of the large layer, `{soon}` and `{past}` for HTTP dates in two seconds and a day ago.

use bytes::Bytes;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Object {
    /// A HEAD request for a manifest or an index.
    Head,
    /// A GET request for an index, by tag or by digest.
    Index,
    /// The same for a manifest.
    Manifest,
    /// The config of the image.
    Config,
    /// The large layer.
    Layer,
    /// The small layer.
    Small,
    /// A blob at the storage host, where the registry redirects to if it is asked to.
    Stored,
    /// A request for a token.
    Token,
    /// A page of tags.
    Tags,
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// The first so many requests that reach it.
    First(u32),
    /// Every request.
    Always,
}

/// One fault. Of several on one object the first one that still strikes does, alone.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) on: Object,
    pub(crate) times: Times,
    /// Done to the right answer, in this order.
    pub(crate) what: Vec<What>,
}

/// A place in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// After so many bytes.
    Byte(usize),
    /// In the middle.
    Middle,
    /// One byte before the end.
    Last,
    /// After all bytes.
    End,
}

impl At {
    pub(super) fn of(self, length: usize) -> usize {
        match self {
            Self::Byte(byte) => byte.min(length),
            Self::Middle => length / 2,
            Self::Last => length.saturating_sub(1),
            Self::End => length,
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// RST.
    Reset,
    /// FIN.
    Close,
}

/// How the length of a body is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// By one `content-length`, which is right.
    Length,
    /// By these `content-length` headers, made of the real length.
    Lengths(fn(usize) -> Vec<String>),
    /// Chunk by chunk.
    Chunked,
    /// Not at all: the connection ends.
    Close,
}

/// What is done to an answer.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// Nothing is sent, and the connection stays open.
    Silence,
    /// The connection ends instead of an answer.
    HangUp(How),
    /// The answer is this one, without headers and body.
    Status(u16),
    /// The header has this value, and no other.
    Set(&'static str, String),
    /// There is one more header.
    Add(&'static str, String),
    /// There is no such header.
    Remove(&'static str),
    /// The body is this.
    Body(Bytes),
    /// The body ends here, and so does its length.
    Truncate(At),
    /// The body has so many more bytes.
    Extend(usize),
    /// One bit of the body is another.
    Flip(At),
    /// The length is told so.
    Framing(Framing),
    /// The body has no end. The server gives up after [`ENDLESS_BYTES`](super::ENDLESS_BYTES).
    Endless,
    /// The request is taken for one without `Range`.
    WholeRange,
    /// The connection ends inside the body.
    Cut(At, How),
    /// Nothing comes after this byte of the body, and the connection stays open.
    Stall(At),
    /// The head comes byte by byte, so many milliseconds apart.
    DripHead(u64),
    /// The body does.
    DripBody(u64),
    /// No token that was given out so far is good any more, and this request is answered with a challenge.
    Revoke,
    /// The same, but this request is still answered.
    RevokeAfter,
}

/// On `on`, the first `count` times.
pub(crate) fn first(count: u32, on: Object, what: impl Into<Vec<What>>) -> Fault {
    Fault { on, times: Times::First(count), what: what.into() }
}

/// On `on`, once.
pub(crate) fn once(on: Object, what: impl Into<Vec<What>>) -> Fault {
    first(1, on, what)
}

/// On `on`, every time.
pub(crate) fn always(on: Object, what: impl Into<Vec<What>>) -> Fault {
    Fault { on, times: Times::Always, what: what.into() }
}

impl From<What> for Vec<What> {
    fn from(what: What) -> Self {
        vec![what]
    }
}

/// A header of an answer.
pub(crate) fn set(name: &'static str, value: impl Into<String>) -> What {
    What::Set(name, value.into())
}

/// A body.
pub(crate) fn body(text: impl Into<Bytes>) -> What {
    What::Body(text.into())
}

/// A redirect.
pub(crate) fn redirect(status: u16, location: &str) -> Vec<What> {
    vec![What::Status(status), set("location", location)]
}
