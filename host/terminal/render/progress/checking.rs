//! Progress of what hashes blobs that are here: a line every few seconds, and
//! nothing else. What came of it is the answer.

use super::{End, Reporter};
use crate::render::size;
use std::io::{self, Write};
use std::time::Duration;
use wharf_vocabulary::vocabulary::{Event, Phase};

/// The time between two lines.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Writes how much has been hashed.
#[derive(Debug)]
pub struct Checking<W> {
    out: W,
    blobs: u64,
    bytes: u64,
    due: Duration,
}

impl<W: Write> Checking<W> {
    /// Writes to `out`.
    pub const fn new(out: W) -> Self {
        Self { out, blobs: 0, bytes: 0, due: HEARTBEAT }
    }
}

impl<W: Write> Reporter for Checking<W> {
    fn event(&mut self, event: &Event, now: Duration) -> io::Result<()> {
        if let Event::Progress(progress) = event
            && progress.phase == Phase::Complete
        {
            self.blobs += 1;
            self.bytes = self.bytes.saturating_add(progress.blob.size);
        }
        self.tick(now)
    }

    fn tick(&mut self, now: Duration) -> io::Result<()> {
        if now < self.due {
            return Ok(());
        }
        self.due = now + HEARTBEAT;
        writeln!(self.out, "{} blobs hashed, {}", self.blobs, size::si(self.bytes))
    }

    fn finish(&mut self, _end: End, _now: Duration) -> io::Result<()> {
        self.out.flush()
    }
}
