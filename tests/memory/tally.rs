//! How often each host call was made, by the name that it has in `wit/`. It
//! counts what a component pays for: calls across the boundary.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// The counts of one machine. Cloning it gives the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Rc<RefCell<BTreeMap<&'static str, usize>>>);

impl Tally {
    pub(super) fn note(&self, call: &'static str) {
        *self.0.borrow_mut().entry(call).or_default() += 1;
    }

    pub(super) fn take(&self) -> BTreeMap<&'static str, usize> {
        self.0.take()
    }
}
