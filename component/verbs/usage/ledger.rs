//! What each thing on a disk weighs, and who needs it: the sums of a kind of
//! things, which are blobs, layers or snapshots. It reads nothing.
//!
//! A thing is counted once, whoever needs it, so that the parts are all there is.

use super::super::contract::{Share, Sum};
use crate::nouns::digest::Digest;
use std::collections::HashMap;

/// Things of one kind.
#[derive(Debug)]
pub(super) struct Ledger(HashMap<Digest, Thing>);

/// One thing, and who needs it.
#[derive(Clone, Copy, Debug, Default)]
struct Thing {
    size: u64,
    /// The image that asked last. One that has several names asks several times.
    image: Option<u32>,
    is_several: bool,
    /// Whether another namespace needs it.
    is_others: bool,
    /// Whether a lease does, of whatever namespace.
    is_leased: bool,
    /// Whether somebody uses an image that needs it.
    is_used: bool,
}

/// What a thing counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Unique(u32),
    Shared,
    Others,
    Unneeded,
}

impl Thing {
    fn part(self) -> Part {
        match self.image {
            Some(image) if !self.is_several && !self.is_others => Part::Unique(image),
            Some(_) => Part::Shared,
            None if self.is_others || self.is_leased => Part::Others,
            None => Part::Unneeded,
        }
    }

    fn is_kept(self) -> bool {
        self.is_others || self.is_leased || self.is_used
    }
}

impl Ledger {
    /// What is here, with sizes in bytes.
    pub(super) fn new(here: impl IntoIterator<Item = (Digest, u64)>) -> Self {
        Self(here.into_iter().map(|(digest, size)| (digest, Thing { size, ..Thing::default() })).collect())
    }

    /// Enters what the image with this number needs, and returns what of it is
    /// here, in bytes. Images come one after the other, and none twice.
    pub(super) fn image<'d>(&mut self, at: u32, is_used: bool, needs: impl IntoIterator<Item = &'d Digest>) -> u64 {
        let mut size = 0u64;
        for digest in needs {
            let Some(thing) = self.0.get_mut(digest) else { continue };
            if thing.image == Some(at) {
                continue;
            }
            thing.is_several |= thing.image.is_some();
            thing.image = Some(at);
            thing.is_used |= is_used;
            size = size.saturating_add(thing.size);
        }
        size
    }

    /// Enters what another namespace needs.
    pub(super) fn others<'d>(&mut self, needs: impl IntoIterator<Item = &'d Digest>) {
        for digest in needs {
            if let Some(thing) = self.0.get_mut(digest) {
                thing.is_others = true;
            }
        }
    }

    /// Enters what a lease holds.
    pub(super) fn lease<'d>(&mut self, holds: impl IntoIterator<Item = &'d Digest>) {
        for digest in holds {
            if let Some(thing) = self.0.get_mut(digest) {
                thing.is_leased = true;
            }
        }
    }

    /// Returns the sums, and adds to each image what it alone needs.
    pub(super) fn close(&self, images: &mut [u64]) -> Sum {
        let mut sum = Sum::default();
        for thing in self.0.values() {
            let part = match thing.part() {
                Part::Unique(image) => {
                    add(&mut images[image as usize], thing.size);
                    &mut sum.unique
                }
                Part::Shared => &mut sum.shared,
                Part::Others => &mut sum.others,
                Part::Unneeded => &mut sum.unneeded,
            };
            add(part, thing.size);
            if !thing.is_kept() {
                add(&mut sum.reclaimable, thing.size);
            }
        }
        sum
    }
}

/// What an image takes in all, and what of it goes with it.
pub(super) fn share(all: u64, unique: u64) -> Share {
    Share { shared: all.saturating_sub(unique), unique }
}

/// The sums of two kinds of things.
pub(super) fn together(one: Sum, other: Sum) -> Sum {
    Sum {
        unique: one.unique.saturating_add(other.unique),
        shared: one.shared.saturating_add(other.shared),
        others: one.others.saturating_add(other.others),
        unneeded: one.unneeded.saturating_add(other.unneeded),
        reclaimable: one.reclaimable.saturating_add(other.reclaimable),
    }
}

fn add(sum: &mut u64, size: u64) {
    *sum = sum.saturating_add(size);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::digest::Algorithm;
    use proptest::{collection::vec, prelude::*};
    use std::collections::BTreeSet;

    fn digest(at: usize) -> Digest {
        Digest::of(Algorithm::Sha256, &at.to_le_bytes())
    }

    /// What is here, and who needs what, by number. Numbers beyond what is here are
    /// needed and gone.
    #[derive(Clone, Debug)]
    struct Machine {
        sizes: Vec<u64>,
        images: Vec<(bool, Vec<usize>)>,
        others: Vec<usize>,
        leases: Vec<usize>,
    }

    impl Machine {
        /// The sums, and of each image all that it takes and its own share.
        fn counted(&self) -> (Sum, Vec<(u64, u64)>) {
            let mut ledger = Ledger::new(self.sizes.iter().enumerate().map(|(at, size)| (digest(at), *size)));
            let named = |numbers: &[usize]| numbers.iter().map(|at| digest(*at)).collect::<Vec<_>>();
            let all: Vec<u64> = (0u32..)
                .zip(&self.images)
                .map(|(at, (is_used, needs))| ledger.image(at, *is_used, &named(needs)))
                .collect();
            ledger.others(&named(&self.others));
            ledger.lease(&named(&self.leases));
            let mut unique = vec![0; all.len()];
            let sum = ledger.close(&mut unique);
            (sum, all.into_iter().zip(unique).collect())
        }

        fn weigh(&self, chosen: impl Fn(usize) -> bool) -> u64 {
            self.sizes.iter().enumerate().filter(|(at, _)| chosen(*at)).map(|(_, size)| size).sum()
        }
    }

    fn machine() -> impl Strategy<Value = Machine> {
        let some = || vec(0usize..30, 0..8);
        (vec(0u64..1 << 40, 0..25), vec((any::<bool>(), vec(0usize..30, 0..12)), 0..6), some(), some())
            .prop_map(|(sizes, images, others, leases)| Machine { sizes, images, others, leases })
    }

    proptest! {
        #[test]
        fn the_parts_are_all_there_is(machine in machine()) {
            let (sum, images) = machine.counted();
            prop_assert_eq!(sum.unique + sum.shared + sum.others + sum.unneeded, machine.weigh(|_| true));
            prop_assert_eq!(sum.unique, images.iter().map(|(_, unique)| unique).sum::<u64>());
            let needs = |image: usize, at| machine.images[image].1.contains(&at);
            let users = |at| (0..images.len()).filter(|image| needs(*image, at)).count();
            let is_others = |at: &usize| machine.others.contains(at);
            for (image, (all, unique)) in images.iter().enumerate() {
                prop_assert_eq!(*all, machine.weigh(|at| needs(image, at)));
                let share = share(*all, *unique);
                prop_assert_eq!(share.shared + share.unique, *all);
                let alone = |at: usize| needs(image, at) && users(at) == 1 && !is_others(&at);
                prop_assert_eq!(share.unique, machine.weigh(alone));
            }
            let is_kept = |at| is_others(&at) || machine.leases.contains(&at);
            prop_assert_eq!(sum.others, machine.weigh(|at| users(at) == 0 && is_kept(at)));
            prop_assert_eq!(sum.unneeded, machine.weigh(|at| users(at) == 0 && !is_kept(at)));
            let used: BTreeSet<usize> =
                machine.images.iter().filter(|(is_used, _)| *is_used).flat_map(|(_, needs)| needs.clone()).collect();
            prop_assert_eq!(sum.reclaimable, machine.weigh(|at| !is_kept(at) && !used.contains(&at)));
        }
    }

    #[test]
    fn two_kinds_add_up() {
        let one = Sum { unique: 1, shared: 2, others: 3, unneeded: 4, reclaimable: 5 };
        let other = Sum { unique: u64::MAX, shared: 20, others: 30, unneeded: 40, reclaimable: 50 };
        let expected = Sum { unique: u64::MAX, shared: 22, others: 33, unneeded: 44, reclaimable: 55 };
        assert_eq!(together(one, other), expected);
    }
}
