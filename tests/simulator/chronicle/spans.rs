//! What comes before what: beginnings and ends are counted, because virtual time
//! stands still while much happens.

use std::{cell::Cell, ops::Deref, rc::Rc};

/// Counts beginnings and ends.
#[derive(Debug, Default)]
pub(super) struct Count(Rc<Cell<u64>>);

/// From when to when something may have happened.
#[derive(Debug, Default)]
pub(super) struct Span {
    pub(super) began: u64,
    ended: Rc<Cell<Option<u64>>>,
}

impl Span {
    /// Whether it was over when the other one began.
    pub(super) fn is_over_before(&self, other: &Self) -> bool {
        self.ended.get().is_some_and(|ended| ended < other.began)
    }
}

impl Count {
    /// The next number.
    pub(super) fn next(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }

    /// Begins something that ends when it is dropped.
    pub(super) fn begin<T>(&self, make: impl FnOnce(Span) -> T) -> Deed<T> {
        let ended = Rc::new(Cell::new(None));
        let what = Rc::new(make(Span { began: self.next(), ended: ended.clone() }));
        Deed { what, ended, count: self.0.clone() }
    }
}

/// Something that may happen until this is dropped, also because its process is
/// killed.
#[derive(Debug)]
pub struct Deed<T> {
    what: Rc<T>,
    ended: Rc<Cell<Option<u64>>>,
    count: Rc<Cell<u64>>,
}

impl<T> Deed<T> {
    /// What is kept of it.
    pub(super) fn noted(&self) -> Rc<T> {
        self.what.clone()
    }
}

impl<T> Deref for Deed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.what
    }
}

impl<T> Drop for Deed<T> {
    fn drop(&mut self) {
        self.count.set(self.count.get() + 1);
        self.ended.set(Some(self.count.get()));
    }
}
