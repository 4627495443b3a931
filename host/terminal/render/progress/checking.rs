//! Progress of what hashes blobs that are here: a line every few seconds, and
//! nothing else. What came of it is the answer.

use super::{End, Lines, Reporter, Silent};
use crate::cli::Progress;
use crate::render::{palette::Palette, size};
use std::io::{self, Write};
use std::time::Duration;
use wharf_vocabulary::vocabulary::{Event, Phase};

/// The time between two lines.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Returns who tells `how` it goes: lines that move would say no more.
pub fn checker<W: Write + Send + 'static>(how: Progress, out: W, palette: Palette) -> Box<dyn Reporter + Send> {
    match how {
        Progress::None => Box::new(Silent::new(out, palette)),
        Progress::Json => Box::new(Lines::new(out)),
        Progress::Auto | Progress::Tty | Progress::Plain => Box::new(Checking::new(out)),
    }
}

/// Writes how many bytes have been hashed.
#[derive(Debug)]
pub struct Checking<W> {
    out: W,
    all: u64,
    done: u64,
    due: Duration,
}

impl<W: Write> Checking<W> {
    /// Writes to `out`.
    pub const fn new(out: W) -> Self {
        Self { out, all: 0, done: 0, due: HEARTBEAT }
    }
}

impl<W: Write> Reporter for Checking<W> {
    fn event(&mut self, event: &Event, now: Duration) -> io::Result<()> {
        if let Event::Progress(progress) = event {
            match progress.phase {
                Phase::Waiting => self.all = self.all.saturating_add(progress.blob.size),
                Phase::Complete => self.done = self.done.saturating_add(progress.blob.size),
                _ => {}
            }
        }
        self.tick(now)
    }

    fn tick(&mut self, now: Duration) -> io::Result<()> {
        if now < self.due {
            return Ok(());
        }
        self.due = now + HEARTBEAT;
        writeln!(self.out, "{} of {} hashed", size::si(self.done), size::si(self.all))
    }

    fn finish(&mut self, _end: End, _now: Duration) -> io::Result<()> {
        self.out.flush()
    }
}
