//! How a verb tells what happens while it runs, and how it is stopped.
//!
//! A verb writes to a board without waiting. One loop reads the board and
//! hands what is new to the [`Listener`]; of a blob's progress only the latest
//! is kept, so a slow listener gets less, and nothing piles up. When the
//! listener has gone, the verb's work is dropped.

use super::contract::{Event, Progress};
use crate::{
    host::Host,
    nouns::{descriptor::Descriptor, digest::Digest},
    registry::{Phase, Watch},
};
use futures_util::future::{Either, select};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::{Future, poll_fn},
    pin::pin,
    task::{Poll, Waker},
};

/// How long it may take to notice that nobody listens any more.
const SILENCE_MS_MAX: u64 = 250;
/// How long the end of a verb waits for a listener that takes nothing.
const FAREWELL_MS_MAX: u64 = 2_000;
/// More warnings than this are left out: registries write some of them.
const WARNINGS_MAX: usize = 100;

/// Who hears what happens.
#[expect(async_fn_in_trait, reason = "one thread, and no caller needs a Send bound")]
pub trait Listener {
    /// Takes events, oldest first, and returns whether anybody still listens.
    /// Without events it only answers. It may wait as long as the listener
    /// does; the work goes on meanwhile.
    async fn hear(&self, events: Vec<Event>) -> bool;
}

/// What is to be told.
#[derive(Debug, Default)]
pub(crate) struct Board {
    news: RefCell<News>,
    is_deaf: bool,
}

#[derive(Debug, Default)]
struct News {
    told: VecDeque<Event>,
    progress: BTreeMap<Digest, Progress>,
    warnings: BTreeSet<String>,
    notes: BTreeSet<String>,
    is_over: bool,
    waker: Option<Waker>,
}

impl Board {
    /// A board that nobody reads: it keeps nothing.
    pub(super) fn deaf() -> Self {
        Self { is_deaf: true, ..Self::default() }
    }

    /// Tells something once, in order.
    pub(super) fn tell(&self, event: Event) {
        if self.is_deaf {
            return;
        }
        let mut news = self.news.borrow_mut();
        news.told.push_back(event);
        news.wake();
    }

    /// Tells a sentence, unless it was told before.
    pub(crate) fn warn(&self, text: String) {
        if self.is_deaf {
            return;
        }
        let mut news = self.news.borrow_mut();
        if news.warnings.len() < WARNINGS_MAX && news.warnings.insert(text.clone()) {
            if news.warnings.len() == WARNINGS_MAX {
                news.told.push_back(Event::Warning("there are more warnings than are shown".to_owned()));
            } else {
                news.told.push_back(Event::Warning(text));
            }
            news.wake();
        }
    }

    /// Tells a sentence about nothing that is wrong, unless it was told before.
    pub(super) fn note(&self, text: String) {
        if !self.is_deaf && self.news.borrow_mut().notes.insert(text.clone()) {
            self.tell(Event::Note(text));
        }
    }

    /// Tells where a blob stands; what was said of it before is forgotten.
    fn progress(&self, progress: Progress) {
        if self.is_deaf {
            return;
        }
        let mut news = self.news.borrow_mut();
        news.progress.insert(progress.blob.digest.clone(), progress);
        news.wake();
    }

    /// Returns who may be told about one blob.
    pub(super) fn about(&self, blob: &Descriptor) -> About<'_> {
        About { board: self, blob: Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size) }
    }

    fn take(&self) -> Vec<Event> {
        let mut news = self.news.borrow_mut();
        let progress = std::mem::take(&mut news.progress);
        news.told.drain(..).chain(progress.into_values().map(Event::Progress)).collect()
    }

    fn is_done(&self) -> bool {
        let news = self.news.borrow();
        news.is_over && news.is_empty()
    }

    /// Resolves when there is something to tell, or nothing more will come.
    async fn changed(&self) {
        poll_fn(|context| {
            let mut news = self.news.borrow_mut();
            if news.is_over || !news.is_empty() {
                return Poll::Ready(());
            }
            news.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn close(&self) {
        let mut news = self.news.borrow_mut();
        news.is_over = true;
        news.wake();
    }
}

impl News {
    fn is_empty(&self) -> bool {
        self.told.is_empty() && self.progress.is_empty()
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// See [`Board::about`].
#[derive(Debug)]
pub(super) struct About<'b> {
    board: &'b Board,
    blob: Descriptor,
}

impl Watch for About<'_> {
    fn progress(&self, phase: Phase, received: u64) {
        match phase {
            // Says what an earlier run left; without it, that would count as having come now.
            Phase::Waiting => self.announce(phase, received),
            _ => self.board.progress(Progress { blob: self.blob.clone(), phase, received }),
        }
    }

    fn warning(&self, text: String) {
        self.board.warn(text);
    }
}

impl About<'_> {
    /// Tells where the blob stands, in order with everything else.
    pub(super) fn announce(&self, phase: Phase, received: u64) {
        self.board.tell(Event::Progress(Progress { blob: self.blob.clone(), phase, received }));
    }
}

/// Does the work and tells what happens. Returns none if nobody listens any
/// more; the work has been dropped then.
pub(crate) async fn accompany<H: Host, T>(
    host: &H,
    listener: &impl Listener,
    board: &Board,
    work: impl Future<Output = T>,
) -> Option<T> {
    let speak = async {
        while !board.is_done() {
            if !listener.hear(board.take()).await {
                return;
            }
            select(pin!(board.changed()), pin!(host.sleep(SILENCE_MS_MAX))).await;
        }
    };
    match select(pin!(work), pin!(speak)).await {
        Either::Left((outcome, speak)) => {
            board.close();
            select(speak, pin!(host.sleep(FAREWELL_MS_MAX))).await;
            Some(outcome)
        }
        Either::Right(((), _)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::{digest::Algorithm, media_type};

    #[test]
    fn a_deaf_board_keeps_nothing() {
        let blob = Descriptor::new(media_type::OCI_LAYER, Digest::of(Algorithm::Sha256, b""), 0);
        let tell = |board: &Board| {
            board.tell(Event::Resolved("a".to_owned(), blob.clone()));
            board.warn("b".to_owned());
            board.about(&blob).announce(Phase::Waiting, 0);
            board.about(&blob).progress(Phase::Complete, 0);
            (board.take().len(), board.news.borrow().warnings.len())
        };
        assert_eq!(tell(&Board::default()), (4, 1));
        assert_eq!(tell(&Board::deaf()), (0, 0));
    }
}
