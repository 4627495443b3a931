//! Whether one name behaved like a register: whether there is an order of its writes and reads in which each takes
//! effect between its beginning and its end, and each read returns the last write before it.
//!
//! The order is searched for by adding an operation only when the next one that ends needs it ("just in time", Lowe,
//! “Testing for linearizability”, section 3). A write that failed, or whose process was killed, may have taken
//! effect or not. A read has no effect, so it takes place as soon as its value is there.

use super::history::Moment;
use std::collections::HashSet;

/// How many operations on one name may be under way at once.
const SLOTS: usize = 64;

/// What a register holds. 0 is what it holds in the beginning.
pub(crate) type Value = u32;

/// What one operation did to the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// It returned one of these, and nobody can tell which.
    Read(Vec<Value>),
    /// It wrote one of these.
    Write {
        /// What was there before, if it would not have written otherwise.
        from: Option<Value>,
        values: Vec<Value>,
        /// Whether it took effect for sure.
        is_certain: bool,
    },
}

/// An operation on the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) began: Moment,
    pub(crate) ended: Moment,
    pub(crate) act: Act,
}

/// What may be the case: the value, and which of the operations under way have taken effect.
type Case = (Value, u64);

/// Looks for the order. Returns the first step, by its place in `steps`, that no order explains.
///
/// # Panics
///
/// If more than 64 operations are under way at once.
pub(crate) fn unexplained(steps: &[Step]) -> Option<usize> {
    let mut moments: Vec<(Moment, bool, usize)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        // Of what has the same moment, the beginning comes first: that allows more.
        moments.extend([(step.began, false, at), (step.ended, true, at)]);
    }
    moments.sort_unstable();
    let mut slots: [Option<usize>; SLOTS] = [None; SLOTS];
    let mut cases: HashSet<Case> = HashSet::from([(0, 0)]);
    for (_, is_end, at) in moments {
        if !is_end {
            let slot = slots.iter().position(Option::is_none).expect("few operations are under way at once");
            slots[slot] = Some(at);
            if let Act::Read(values) = &steps[at].act {
                cases = cases.into_iter().map(|case| seen(case, slot, values)).collect();
            }
            continue;
        }
        let slot = slots.iter().position(|held| *held == Some(at)).expect("what ends has begun");
        let mut next = HashSet::new();
        for case in cases {
            lead_to(case, slot, steps, &slots, &mut next);
        }
        slots[slot] = None;
        cases = next;
        if cases.is_empty() {
            return Some(at);
        }
    }
    None
}

/// A read of one of `values` in `slot` has taken place if that is the value.
fn seen((now, done): Case, slot: usize, values: &[Value]) -> Case {
    (now, done | u64::from(values.contains(&now)) << slot)
}

/// Adds every case in which the operation in `slot`, which ends now, is explained, with it taken off.
fn lead_to(from: Case, slot: usize, steps: &[Step], slots: &[Option<usize>; SLOTS], into: &mut HashSet<Case>) {
    let bit = 1 << slot;
    let may_be_absent = matches!(slots[slot].map(|at| &steps[at].act), Some(Act::Write { is_certain: false, .. }));
    let mut visited = HashSet::from([from]);
    let mut pending = vec![from];
    while let Some((now, done)) = pending.pop() {
        if done & bit != 0 {
            into.insert((now, done & !bit));
            continue;
        }
        if may_be_absent {
            into.insert((now, done));
        }
        for (other, at) in slots.iter().enumerate().filter_map(|(other, at)| Some((other, (*at)?))) {
            let Act::Write { from, values, .. } = &steps[at].act else { continue };
            if done & 1 << other != 0 || from.is_some_and(|from| from != now) {
                continue;
            }
            for &value in values {
                let case = slots.iter().enumerate().fold((value, done | 1 << other), |case, (slot, at)| {
                    match at.map(|at| &steps[at].act) {
                        Some(Act::Read(read)) => seen(case, slot, read),
                        _ => case,
                    }
                });
                if visited.insert(case) {
                    pending.push(case);
                }
            }
        }
    }
}
