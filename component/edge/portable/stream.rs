//! Bytes on their way through this component. Unlike in wharf's own host they do
//! enter its memory here, one chunk at a time.

use crate::portable::Chunks;
use std::collections::VecDeque;
use wit_bindgen::StreamReader;
use wit_bindgen::rt::async_support::StreamResult;

/// How many bytes are asked for at once: what one read of a socket brings is less.
const READ_BYTES_MAX: usize = 256 << 10;

/// See `Host::Stream`.
pub(super) enum Stream {
    /// The body of a response.
    Body(StreamReader<u8>),
    /// What is in memory already.
    Bytes(VecDeque<u8>),
}

impl Chunks for Stream {
    async fn next(&mut self, most: usize) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => {
                let taken = bytes.len().min(most);
                (taken > 0).then(|| bytes.drain(..taken).collect())
            }
            Self::Body(body) => loop {
                let (result, chunk) = body.read(Vec::with_capacity(most.min(READ_BYTES_MAX))).await;
                match result {
                    _ if !chunk.is_empty() => return Some(chunk),
                    StreamResult::Complete(_) => {}
                    StreamResult::Dropped | StreamResult::Cancelled => return None,
                }
            },
        }
    }
}
