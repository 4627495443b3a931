//! Exclusive locks in memory: what is locked, and who waits until it is not. A
//! lock ends when whoever has it says so, which a dead process does by being
//! dropped.

use std::{cell::RefCell, collections::BTreeMap, future::poll_fn, task::Poll, task::Waker};

/// What is locked, each with those who wait.
#[derive(Debug)]
pub(super) struct Locks<K>(RefCell<BTreeMap<K, Vec<Waker>>>);

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Ord + Clone> Locks<K> {
    /// Whether somebody has this one.
    pub(super) fn has(&self, key: &K) -> bool {
        self.0.borrow().contains_key(key)
    }

    /// Waits until nobody has this one. Whoever goes on without waiting for
    /// something else can take it.
    pub(super) async fn free(&self, key: &K) {
        poll_fn(|context| match self.0.borrow_mut().get_mut(key) {
            Some(waiting) => {
                waiting.push(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        })
        .await;
    }

    /// Takes one that nobody has.
    pub(super) fn take(&self, key: K) {
        let before = self.0.borrow_mut().insert(key, Vec::new());
        assert!(before.is_none(), "two have one lock");
    }

    /// Lets one go. Whoever waits looks again.
    pub(super) fn release(&self, key: &K) {
        let waiting = self.0.borrow_mut().remove(key).unwrap_or_default();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// What somebody has, in order.
    pub(super) fn taken(&self) -> Vec<K> {
        self.0.borrow().keys().cloned().collect()
    }
}
