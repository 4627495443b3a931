//! What is told while a pull runs, on standard error.
//!
//! Three forms behind one trait: lines that move on a terminal, lines that stay
//! in a log, and JSON. None of them looks at a clock or starts a thread: every
//! call says how much time has passed since the pull began. So the same events
//! at the same times make the same text. Lines that move need a terminal, which
//! a component does not have.

mod checking;
mod lines;
mod plain;
mod tally;
#[cfg(not(target_family = "wasm"))]
mod terminal;

pub use checking::Checking;
pub use lines::Lines;
pub use plain::Plain;
#[cfg(not(target_family = "wasm"))]
pub use terminal::Terminal;

use super::{palette::Palette, problem};
use std::io::{self, Write};
use std::time::Duration;
use wharf_vocabulary::vocabulary::{Event, Phase};

/// How often [`Reporter::tick`] should be called at least.
pub const TICK: Duration = Duration::from_millis(200);

/// Tells how a pull goes. Times are counted from its beginning.
pub trait Reporter {
    /// Takes an event.
    fn event(&mut self, event: &Event, now: Duration) -> io::Result<()>;

    /// Takes the fact that time has passed, see [`TICK`].
    fn tick(&mut self, now: Duration) -> io::Result<()>;

    /// Takes the end. Nothing is told afterwards, and what comes next on
    /// standard error begins on a line of its own.
    fn finish(&mut self, end: End, now: Duration) -> io::Result<()>;
}

/// How a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is here.
    Done,
    /// A problem ended it, and is told next.
    Failed,
    /// The user ended it.
    Interrupted,
}

/// Tells nothing but warnings.
#[derive(Debug)]
pub struct Silent<W> {
    out: W,
    palette: Palette,
}

impl<W: Write> Silent<W> {
    /// Writes to `out`.
    pub const fn new(out: W, palette: Palette) -> Self {
        Self { out, palette }
    }
}

impl<W: Write> Reporter for Silent<W> {
    fn event(&mut self, event: &Event, _now: Duration) -> io::Result<()> {
        match event {
            Event::Warning(sentence) => self.out.write_all(problem::warning(sentence, self.palette).as_bytes()),
            Event::Resolved(_) | Event::Selected(_) | Event::Progress(_) => Ok(()),
            Event::Note(_) | Event::Transferred(_) | Event::Happened(_) => Ok(()),
        }
    }

    fn tick(&mut self, _now: Duration) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _end: End, _now: Duration) -> io::Result<()> {
        self.out.flush()
    }
}

/// Returns the name of a phase, as in `wit/vocabulary.wit`.
const fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting",
        Phase::Downloading => "downloading",
        Phase::Verifying => "verifying",
        Phase::Complete => "complete",
        Phase::Present => "present",
        Phase::Retrying => "retrying",
        Phase::Unpacking => "unpacking",
        Phase::Unpacked => "unpacked",
        Phase::Uploading => "uploading",
        Phase::Uploaded => "uploaded",
        Phase::There => "there",
        Phase::Mounted => "mounted",
    }
}
