//! Progress for a program: one JSON object a line, described by
//! `tests/data/progress.schema.json`.
//!
//! It does not compute rates; a reader has times and bytes.

use super::{End, Reporter, tally::Tally, word};
use crate::render::json;
use serde::Serialize;
use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;
use wharf_vocabulary::vocabulary::Event;

/// The least time between two lines about one blob in one phase.
const SPACING: Duration = Duration::from_millis(200);

/// Writes JSON objects.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    tally: Tally,
    /// When the last line about a blob was written, by its digest.
    told: HashMap<String, Duration>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line<'a> {
    Resolved {
        name: &'a str,
        target: json::Descriptor<'a>,
    },
    Selected {
        platform: &'a str,
        manifest: json::Descriptor<'a>,
    },
    Progress {
        blob: json::Descriptor<'a>,
        phase: &'static str,
        received: u64,
    },
    Transferred {
        blob: json::Descriptor<'a>,
        #[serde(flatten)]
        transfer: json::TransferObject<'a>,
    },
    Note {
        message: &'a str,
    },
    Warning {
        message: &'a str,
    },
    Summary {
        end: &'static str,
        blobs: u64,
        complete: u64,
        present: u64,
        unpacked: u64,
        size: u64,
        received: u64,
        fetched: u64,
    },
}

#[derive(Serialize)]
struct Stamped<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    /// Since the pull began.
    elapsed_ms: u64,
}

impl<W: Write> Lines<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, tally: Tally::default(), told: HashMap::new() }
    }

    fn write(&mut self, line: Line<'_>, now: Duration) -> io::Result<()> {
        let elapsed_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.out.write_all(json::line(&Stamped { line, elapsed_ms }).as_bytes())
    }
}

impl<W: Write> Reporter for Lines<W> {
    fn event(&mut self, event: &Event, now: Duration) -> io::Result<()> {
        match event {
            Event::Resolved((name, target)) => self.write(Line::Resolved { name, target: target.into() }, now),
            Event::Selected((platform, manifest)) => {
                self.write(Line::Selected { platform, manifest: manifest.into() }, now)
            }
            Event::Transferred(transfer) => {
                self.write(Line::Transferred { blob: (&transfer.blob).into(), transfer: transfer.into() }, now)
            }
            // `watch` tells of it, and has no progress.
            Event::Happened(_) => Ok(()),
            Event::Note(message) => self.write(Line::Note { message }, now),
            Event::Warning(message) => self.write(Line::Warning { message }, now),
            Event::Progress(report) => {
                let (_, before) = self.tally.record(report, now);
                let told = self.told.get(&report.blob.digest);
                if before == Some(report.phase) && told.is_some_and(|at| now.saturating_sub(*at) < SPACING) {
                    return Ok(());
                }
                self.told.insert(report.blob.digest.clone(), now);
                let (phase, received) = (word(report.phase), report.received);
                self.write(Line::Progress { blob: (&report.blob).into(), phase, received }, now)
            }
        }
    }

    fn tick(&mut self, _now: Duration) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, end: End, now: Duration) -> io::Result<()> {
        let end = match end {
            End::Done => "done",
            End::Failed => "failed",
            End::Interrupted => "interrupted",
        };
        let sums = self.tally.sums();
        let summary = Line::Summary {
            end,
            blobs: sums.blobs,
            complete: sums.complete,
            present: sums.present,
            unpacked: sums.unpacked,
            size: sums.size,
            received: sums.received,
            fetched: sums.fetched,
        };
        self.write(summary, now)?;
        self.out.flush()
    }
}
