//! A clock that moves only when everybody waits for it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    rc::Rc,
    task::Poll,
};

/// The clock: time, and who waits until when.
#[derive(Debug, Default)]
pub(super) struct Clock {
    pub(super) now_ms: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, u64>>,
    next: Cell<u64>,
}

impl Clock {
    pub(super) async fn wait(self: Rc<Self>, ms: u64) {
        let until = self.now_ms.get() + ms;
        let number = self.next.replace(self.next.get() + 1);
        self.waiting.borrow_mut().insert(number, until);
        let timer = Timer { clock: self, number, until };
        poll_fn(|_| if timer.clock.now_ms.get() >= timer.until { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Moves to the next moment that somebody waits for.
    pub(super) fn step(&self) {
        let next = self.waiting.borrow().values().copied().min();
        let next = next.expect("whoever waits, waits for time to pass");
        self.now_ms.set(next.max(self.now_ms.get()));
    }
}

struct Timer {
    clock: Rc<Clock>,
    number: u64,
    until: u64,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clock.waiting.borrow_mut().remove(&self.number);
    }
}
