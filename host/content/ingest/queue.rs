//! The queues of this process: callers that want the same ingest wait for each other here, so that only the first
//! of them looks again and again whether another process has let go of it.
//!
//! It takes no ingest. Whoever has its turn does, and gives the turn to the next.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Line, OwnedMutexGuard};

use super::Key;

/// The queues of one store. Clones are the same queues. Invariant: a queue is here as long as somebody is in it.
#[derive(Clone, Debug, Default)]
pub(in crate::content) struct Queues(Arc<Mutex<HashMap<Key, Arc<Line<()>>>>>);

impl Queues {
    /// Waits until it is the caller's turn. First come, first served.
    pub(super) async fn turn(&self, key: Key) -> Turn {
        let line = self.lines().entry(key).or_default().clone();
        // Whoever stops waiting leaves the queue too.
        let mut turn = Turn { queues: self.clone(), key, line: Some(line.clone()), guard: None };
        turn.guard = Some(line.lock_owned().await);
        turn
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Arc<Line<()>>>> {
        // Nothing that is done with the map can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first place in a queue. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Turn {
    queues: Queues,
    key: Key,
    /// Taken by drop only.
    line: Option<Arc<Line<()>>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut lines = self.queues.lines();
        self.line = None;
        if let Entry::Occupied(entry) = lines.entry(self.key)
            && Arc::strong_count(entry.get()) == 1
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn one_has_the_turn_and_the_others_follow_in_order() {
        let queues = Queues::default();
        let key = Key::of("sha256:4bcf");
        let first = queues.turn(key).now_or_never().expect("nobody was there");
        let mut second = Box::pin(queues.turn(key));
        let mut third = Box::pin(queues.turn(key));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        assert!(queues.turn(Key::of("another")).now_or_never().is_some(), "another name is another queue");
        drop(first);
        assert!((&mut third).now_or_never().is_none(), "the second was there before");
        let second = second.now_or_never().expect("the first has gone");
        drop(second);
        drop(third.now_or_never().expect("the second has gone"));
        assert!(queues.lines().is_empty());
    }

    #[test]
    fn who_stops_waiting_is_skipped_and_an_empty_queue_goes() {
        let queues = Queues::default();
        let key = Key::of("sha256:4bcf");
        let first = queues.turn(key).now_or_never().expect("nobody was there");
        let mut impatient = Box::pin(queues.turn(key));
        let mut patient = Box::pin(queues.turn(key));
        assert!((&mut impatient).now_or_never().is_none() && (&mut patient).now_or_never().is_none());
        drop(impatient);
        assert_eq!(queues.lines().len(), 1);
        drop(first);
        drop(patient.now_or_never().expect("nobody is before it"));
        assert!(queues.lines().is_empty());
    }
}
