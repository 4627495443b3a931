//! Which host calls were made, in order, by the names that they have in `wit/`.
//! It counts what a component pays for: calls across the boundary.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// The calls of one machine. Cloning it gives the same ones.
#[derive(Clone, Debug, Default)]
pub struct Tally(Rc<RefCell<Vec<&'static str>>>);

impl Tally {
    pub(super) fn note(&self, call: &'static str) {
        self.0.borrow_mut().push(call);
    }

    pub(super) fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

/// How often each call was made.
pub fn counts(calls: &[&'static str]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(*call).or_default() += 1;
    }
    counts
}
