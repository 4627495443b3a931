//! A value that several tasks of one thread share: each changes it, or waits
//! until it sees what it waits for.

use std::{
    cell::RefCell,
    future::poll_fn,
    task::{Poll, Waker},
};

/// A value whose changes wake whoever waits for one.
#[derive(Debug, Default)]
pub(super) struct Watched<T> {
    value: RefCell<T>,
    waiting: RefCell<Vec<Waker>>,
}

impl<T> Watched<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: RefCell::new(value), waiting: RefCell::default() }
    }

    /// Looks at the value. `see` must not look at it by itself.
    pub(super) fn look<R>(&self, see: impl FnOnce(&T) -> R) -> R {
        see(&self.value.borrow())
    }

    /// Changes the value.
    pub(super) fn change<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        let result = act(&mut self.value.borrow_mut());
        self.waiting.take().into_iter().for_each(Waker::wake);
        result
    }

    /// Waits until `see` sees something.
    pub(super) async fn when<R>(&self, mut see: impl FnMut(&T) -> Option<R>) -> R {
        poll_fn(|context| {
            if let Some(seen) = see(&self.value.borrow()) {
                return Poll::Ready(seen);
            }
            let mut waiting = self.waiting.borrow_mut();
            // Whoever is asked often for other reasons waits once.
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, future::join};

    #[test]
    fn who_waits_sees_the_change_that_it_waits_for() {
        let count = Watched::<u32>::default();
        let reaches = |least: u32| count.when(move |&count| (count >= least).then_some(count));
        let mut both = Box::pin(join(reaches(2), reaches(3)));
        for (number, is_over) in [(1, false), (2, false), (3, true)] {
            count.change(|count| *count = number);
            let seen = both.as_mut().now_or_never();
            assert_eq!(seen, is_over.then_some((2, 3)), "at {number}");
            if is_over {
                break;
            }
        }
        assert_eq!(count.look(|&count| count), 3);
    }

    #[test]
    fn who_is_asked_again_and_again_waits_once() {
        let never = Watched::<()>::default();
        let mut waits = Box::pin(never.when(|()| None::<()>));
        for _ in 0..3 {
            assert_eq!(waits.as_mut().now_or_never(), None);
        }
        assert_eq!(never.waiting.borrow().len(), 1);
    }
}
