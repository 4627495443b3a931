//! HTTP/1.1 on a socket, right and wrong: reads requests and writes answers as they are, however broken.
//!
//! It knows no objects and decides nothing. Whoever calls it counts.

use super::ENDLESS_BYTES;
use super::fault::{Framing, How};
use bytes::Bytes;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// So many bytes are written at once, and counted.
const CHUNK_BYTES: usize = 16 << 10;
/// The other end is given this long to read what was sent, before a reset throws away what was not.
const READ_MS: u64 = 50;

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// As in `GET`.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query, without the question mark.
    pub(crate) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The first byte that a `Range` of the form `bytes=<first>-` asks for.
    pub(crate) fn first_byte(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
    }
}

/// Where an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Whole,
    Cut(usize, How),
    Stall(usize),
    Endless,
}

/// What is written.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) framing: Framing,
    pub(super) ending: Ending,
    /// Between two bytes of the head.
    pub(super) drip_head: Option<Duration>,
    /// Between two bytes of the body.
    pub(super) drip_body: Option<Duration>,
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            framing: Framing::Length,
            ending: Ending::Whole,
            drip_head: None,
            drip_body: None,
        }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Said\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.framing {
            Framing::Length => head.push_str(&format!("content-length: {}\r\n", self.body.len())),
            Framing::Lengths(lengths) => {
                for length in lengths(self.body.len()) {
                    head.push_str(&format!("content-length: {length}\r\n"));
                }
            }
            Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
            Framing::Close => head.push_str("connection: close\r\n"),
        }
        head.push_str("\r\n");
        head
    }
}

/// Reads a request, and its body if it has one. None if the other end leaves before. `rest` holds what was read and
/// not used.
pub(super) async fn read(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, rest).await?;
    };
    let head = String::from_utf8(rest.drain(..end).collect()).ok()?;
    let mut lines = head.trim_end().lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let request = Request { method, target, headers };
    let length = request.header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    while rest.len() < length {
        more(stream, rest).await?;
    }
    rest.drain(..length);
    Some(request)
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let count = stream.read_buf(bytes).await.ok()?;
    (count > 0).then_some(())
}

/// Writes an answer, and tells `count` how many bytes of its body the other end's system took. Returns whether the
/// connection may go on.
pub(super) async fn write(
    stream: &mut TcpStream,
    reply: &Reply,
    with_body: bool,
    mut count: impl FnMut(usize),
) -> Option<()> {
    let head = reply.head();
    match reply.drip_head {
        Some(pause) => {
            for byte in head.as_bytes().chunks(1) {
                stream.write_all(byte).await.ok()?;
                tokio::time::sleep(pause).await;
            }
        }
        None => stream.write_all(head.as_bytes()).await.ok()?,
    }
    if !with_body {
        return matches!(reply.framing, Framing::Length | Framing::Chunked).then_some(());
    }
    let chunked = matches!(reply.framing, Framing::Chunked);
    let end = match reply.ending {
        Ending::Whole | Ending::Endless => reply.body.len(),
        Ending::Cut(at, _) | Ending::Stall(at) => at,
    };
    let step = if reply.drip_body.is_some() { 1 } else { CHUNK_BYTES };
    for piece in reply.body[..end].chunks(step) {
        chunk(stream, piece, chunked).await?;
        count(piece.len());
        if let Some(pause) = reply.drip_body {
            tokio::time::sleep(pause).await;
        }
    }
    match reply.ending {
        Ending::Whole => {
            if chunked {
                stream.write_all(b"0\r\n\r\n").await.ok()?;
            }
            matches!(reply.framing, Framing::Length | Framing::Chunked).then_some(())
        }
        Ending::Endless => {
            let piece = [b' '; CHUNK_BYTES];
            let mut sent = 0;
            while sent < ENDLESS_BYTES {
                chunk(stream, &piece, chunked).await?;
                count(piece.len());
                sent += piece.len() as u64;
            }
            None
        }
        Ending::Cut(_, how) => {
            tokio::time::sleep(Duration::from_millis(READ_MS)).await;
            hang_up(stream, how);
            None
        }
        Ending::Stall(_) => {
            wait_for_the_end(stream).await;
            None
        }
    }
}

async fn chunk(stream: &mut TcpStream, piece: &[u8], chunked: bool) -> Option<()> {
    if chunked {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.ok()?;
    }
    stream.write_all(piece).await.ok()?;
    if chunked {
        stream.write_all(b"\r\n").await.ok()?;
    }
    Some(())
}

/// Ends the connection, which the caller drops next.
pub(super) fn hang_up(stream: &TcpStream, how: How) {
    if how == How::Reset {
        stream.set_zero_linger().expect("a socket takes this option");
    }
}

/// Sends nothing until the other end has gone.
pub(super) async fn wait_for_the_end(stream: &mut TcpStream) {
    let mut ignored = Vec::new();
    while more(stream, &mut ignored).await.is_some() {}
}
