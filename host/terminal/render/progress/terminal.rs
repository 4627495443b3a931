//! Progress on a terminal: a line that moves for each blob on its way, one for
//! the whole, and above them the lines of what is finished.
//!
//! Blobs that wait have no line, so that the lines fit on a screen however many
//! layers an image has. It computes no rates of its own: indicatif only draws.

use super::{End, Reporter, tally::Tally};
use crate::render::{names, palette::Palette, problem};
use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::io;
use std::time::Duration;
use wharf_vocabulary::vocabulary::{Event, Phase, Progress};

/// How often a second the lines are drawn at most.
const REFRESH_HZ: u8 = 15;
/// A blob's line. The message is cut at the edge of the terminal.
const BLOB: &str = "{prefix} [{bar:20}] {wide_msg}";
/// The line of the whole.
const TOTAL: &str = "{wide_msg}";

/// Draws lines that move.
#[derive(Debug)]
pub struct Terminal {
    screen: MultiProgress,
    palette: Palette,
    tally: Tally,
    bars: HashMap<String, ProgressBar>,
    total: Option<ProgressBar>,
}

impl Terminal {
    /// Draws on standard error, whether or not it is a terminal: the caller
    /// has decided.
    pub fn new(palette: Palette) -> Self {
        Self::on(ProgressDrawTarget::term_like_with_hz(Box::new(Term::stderr()), REFRESH_HZ), palette)
    }

    /// Draws on `target`.
    pub fn on(target: ProgressDrawTarget, palette: Palette) -> Self {
        Self {
            screen: MultiProgress::with_draw_target(target),
            palette,
            tally: Tally::default(),
            bars: HashMap::new(),
            total: None,
        }
    }

    /// Returns the handle by which others write between the lines: a log would
    /// otherwise draw over them (see [`MultiProgress::suspend`]).
    pub fn screen(&self) -> MultiProgress {
        self.screen.clone()
    }

    fn progress(&mut self, report: &Progress, now: Duration) -> io::Result<()> {
        let total =
            self.total.get_or_insert_with(|| self.screen.add(ProgressBar::no_length().with_style(style(TOTAL))));
        let (blob, before) = self.tally.record(report, now);
        match blob.phase {
            Phase::Waiting => {}
            Phase::Downloading | Phase::Verifying | Phase::Retrying | Phase::Unpacking | Phase::Uploading => {
                let bar = self.bars.entry(report.blob.digest.clone()).or_insert_with(|| {
                    let bar = ProgressBar::new(blob.size)
                        .with_style(style(BLOB))
                        .with_prefix(names::short(&report.blob.digest).into_owned());
                    self.screen.insert_before(total, bar)
                });
                bar.set_position(blob.received.min(blob.size));
                bar.set_message(blob.state(now));
            }
            Phase::Complete | Phase::Present | Phase::Unpacked | Phase::Uploaded | Phase::There | Phase::Mounted => {
                if let Some(bar) = self.bars.remove(&report.blob.digest) {
                    bar.finish_and_clear();
                    self.screen.remove(&bar);
                }
                if before != Some(blob.phase)
                    && let Some(news) = blob.news(now)
                {
                    self.screen.println(format!("{}: {news}", names::short(&report.blob.digest)))?;
                }
            }
        }
        total.set_message(self.tally.totals(now));
        Ok(())
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constants").progress_chars("=> ")
}

impl Reporter for Terminal {
    fn event(&mut self, event: &Event, now: Duration) -> io::Result<()> {
        match event {
            Event::Resolved(_) | Event::Selected(_) | Event::Note(_) => match self.tally.announcement(event) {
                Some(line) => self.screen.println(line),
                None => Ok(()),
            },
            Event::Warning(sentence) => self.screen.println(problem::warning(sentence, self.palette).trim_end()),
            Event::Progress(report) => self.progress(report, now),
            Event::Transferred(transfer) => {
                self.tally.sent(transfer);
                Ok(())
            }
            Event::Happened(_) => Ok(()),
        }
    }

    fn tick(&mut self, now: Duration) -> io::Result<()> {
        for (digest, bar) in &self.bars {
            if let Some(blob) = self.tally.blob(digest) {
                bar.set_message(blob.state(now));
            }
        }
        if let Some(total) = &self.total {
            total.set_message(self.tally.totals(now));
        }
        Ok(())
    }

    fn finish(&mut self, end: End, now: Duration) -> io::Result<()> {
        for bar in self.bars.drain().map(|(_, bar)| bar).chain(self.total.take()) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
        match self.tally.summary(end, now) {
            Some(summary) => self.screen.println(summary),
            None => Ok(()),
        }
    }
}
