//! How a verb that takes a while gets on, told on standard error while it runs.

use super::plain;
use crate::verbs::contract;
use crate::verbs::listen::Listener;
use futures_util::future::{Either, select};
use std::cell::RefCell;
use std::io::stderr;
use std::pin::pin;
use std::time::{Duration, Instant};
use wharf_terminal::cli;
use wharf_terminal::render::palette::Palette;
use wharf_terminal::render::progress::{End, Lines, Plain as PlainLines, Reporter, Silent, TICK};

/// Shows progress on standard error.
pub(super) struct Screen {
    reporter: RefCell<Box<dyn Reporter>>,
    begun: Instant,
}

/// What never comes.
enum Never {}

impl Screen {
    /// As a pull asks for.
    pub(super) fn of(progress: cli::Progress, quiet: bool, palette: Palette) -> Self {
        Self::over(match progress {
            _ if quiet => Box::new(Silent::new(stderr(), palette)),
            cli::Progress::None => Box::new(Silent::new(stderr(), palette)),
            cli::Progress::Json => Box::new(Lines::new(stderr())),
            // A sandbox cannot ask how wide a terminal is, so that lines stay.
            cli::Progress::Auto | cli::Progress::Tty | cli::Progress::Plain => {
                Box::new(PlainLines::new(stderr(), palette))
            }
        })
    }

    pub(super) fn over(reporter: Box<dyn Reporter>) -> Self {
        Self { reporter: RefCell::new(reporter), begun: Instant::now() }
    }

    /// Does the work of a verb, and tells of the time that passes and of the end.
    pub(super) async fn watch<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let outcome = match select(pin!(work), pin!(self.tick())).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((never, _)) => match never {},
        };
        let end = if outcome.is_ok() { End::Done } else { End::Failed };
        self.report(|reporter, now| reporter.finish(end, now));
        outcome
    }

    async fn tick(&self) -> Never {
        loop {
            plain::sleep(u64::try_from(TICK.as_millis()).unwrap_or(u64::MAX)).await;
            self.report(|reporter, now| reporter.tick(now));
        }
    }

    fn report(&self, what: impl FnOnce(&mut dyn Reporter, Duration) -> std::io::Result<()>) {
        // Progress that cannot be shown is no reason to end a call.
        let _ = what(self.reporter.borrow_mut().as_mut(), self.begun.elapsed());
    }
}

impl Listener for Screen {
    async fn hear(&self, events: Vec<contract::Event>) -> bool {
        for event in events {
            self.report(|reporter, now| reporter.event(&event.into(), now));
        }
        true
    }
}
