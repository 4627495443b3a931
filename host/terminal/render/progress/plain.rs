//! Progress for a log: a line when a blob starts and ends, and one with the
//! totals every ten seconds.
//!
//! It moves no cursor and never takes a line back.

use super::{End, Reporter, tally::Tally};
use crate::render::{names, palette::Palette, problem};
use std::io::{self, Write};
use std::time::Duration;
use wharf_vocabulary::vocabulary::Event;

/// The time between two lines with totals.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Writes lines that stay.
#[derive(Debug)]
pub struct Plain<W> {
    out: W,
    palette: Palette,
    tally: Tally,
    /// When the next heartbeat is due.
    due: Duration,
}

impl<W: Write> Plain<W> {
    /// Writes to `out`.
    pub fn new(out: W, palette: Palette) -> Self {
        Self { out, palette, tally: Tally::default(), due: HEARTBEAT }
    }
}

impl<W: Write> Reporter for Plain<W> {
    fn event(&mut self, event: &Event, now: Duration) -> io::Result<()> {
        match event {
            Event::Resolved(_) | Event::Selected(_) | Event::Note(_) => {
                if let Some(line) = self.tally.announcement(event) {
                    writeln!(self.out, "{line}")?;
                }
            }
            Event::Warning(sentence) => write!(self.out, "{}", problem::warning(sentence, self.palette))?,
            Event::Transferred(transfer) => self.tally.sent(transfer),
            Event::Happened(_) => {}
            Event::Progress(progress) => {
                let (blob, before) = self.tally.record(progress, now);
                if before != Some(progress.phase)
                    && let Some(news) = blob.news(now)
                {
                    writeln!(self.out, "{}: {news}", names::short(&progress.blob.digest))?;
                }
            }
        }
        self.tick(now)
    }

    fn tick(&mut self, now: Duration) -> io::Result<()> {
        if now < self.due {
            return Ok(());
        }
        self.due = now + HEARTBEAT;
        if self.tally.sums().blobs == 0 {
            return writeln!(self.out, "waiting for the registry");
        }
        writeln!(self.out, "{}", self.tally.totals(now))
    }

    fn finish(&mut self, end: End, now: Duration) -> io::Result<()> {
        if let Some(summary) = self.tally.summary(end, now) {
            writeln!(self.out, "{summary}")?;
        }
        self.out.flush()
    }
}
