//! What clients may hold of a door, and for how long.

use std::time::Duration;

/// The limits of a door. Whoever waits within them costs a place and nothing else.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How many clients are connected at once. More of them wait until they are accepted.
    pub connections: usize,
    /// How many requests are answered at once, but for those of followers. More of them wait.
    pub requests: usize,
    /// How many followers there are at once: clients whose answer has no end, as of `/events`. More are refused, because
    /// waiting for one that leaves would be waiting without end.
    pub followers: usize,
    /// How long a client may take for the handshake of TLS.
    pub handshake: Duration,
    /// How long a client may take to send the head of a request, from its first byte on.
    pub head: Duration,
    /// How long a client may stay without asking for anything.
    pub idle: Duration,
    /// How long a client may send nothing of a body that is waited for, or take nothing of an answer. A single byte is
    /// enough to begin anew: who is slow is not cut off, who stands still is.
    pub silence: Duration,
    /// The largest head of a request, in bytes, at least 8 192.
    pub head_bytes: usize,
    /// How many headers a request may have.
    pub headers: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 4_096,
            requests: 128,
            followers: 256,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            silence: Duration::from_secs(120),
            head_bytes: 64 << 10,
            headers: 100,
        }
    }
}

impl Bounds {
    /// How many sandboxes there are at once, at most.
    pub(super) fn stores(&self) -> u32 {
        u32::try_from(self.requests.saturating_add(self.followers)).unwrap_or(u32::MAX)
    }
}
