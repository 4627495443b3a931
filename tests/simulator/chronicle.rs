//! What was asked for and what was acknowledged, and what a store may look like
//! because of that. It looks into no store.
//!
//! The rule about names: a name points to something that its tag pointed to
//! since the last acknowledged pull of it began, or since the first attempt if
//! none was acknowledged. So it never goes back, and never leads elsewhere. A
//! tag that has returned to an earlier target is an exception: a slow pull of
//! what it pointed to in between sees the record that it knows, and replaces it.

use crate::{
    hub::{AUTHORITY, Hub},
    invariants::{Expectation, Expected},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};
use wharf_component::nouns::digest::Digest;

/// The namespace that everybody uses.
pub const NAMESPACE: &str = "default";

/// What was acknowledged about one name.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Fully qualified.
    pub name: String,
    /// When the call began.
    pub since_ms: u64,
    /// What the name pointed to then.
    pub target: Digest,
    /// Which of its manifests are here.
    pub manifests: Vec<Digest>,
    /// Which of those have a tree.
    pub unpacked: Vec<Digest>,
}

/// The history of a run.
#[derive(Debug, Default)]
pub struct Chronicle {
    attempts: RefCell<BTreeMap<String, u64>>,
    acknowledged: RefCell<Vec<Acknowledged>>,
    /// Every blob that was ever harmed.
    harmed: RefCell<BTreeSet<Digest>>,
    /// Of these the ones that no pull has brought again.
    excused: RefCell<BTreeSet<Digest>>,
    unpacked: RefCell<BTreeSet<Digest>>,
}

impl Chronicle {
    /// Notes that a name may be recorded from now on.
    pub fn attempt(&self, name: &str, now_ms: u64) {
        self.attempts.borrow_mut().entry(name.to_owned()).or_insert(now_ms);
    }

    /// Notes what a call has returned about a name.
    pub fn acknowledge(&self, what: Acknowledged) {
        self.unpacked.borrow_mut().extend(what.unpacked.iter().cloned());
        self.acknowledged.borrow_mut().push(what);
    }

    /// Notes that the tree of a manifest was returned.
    pub fn unpacked(&self, manifest: Digest) {
        self.unpacked.borrow_mut().insert(manifest);
    }

    /// The manifests whose trees were returned.
    pub fn trees(&self) -> BTreeSet<Digest> {
        self.unpacked.borrow().clone()
    }

    /// Notes that a blob was harmed.
    pub fn harm(&self, digest: Digest) {
        self.excused.borrow_mut().insert(digest.clone());
        self.harmed.borrow_mut().insert(digest);
    }

    /// Notes that a pull has acknowledged a blob that is whole: from now on it has
    /// to stay so.
    pub fn heal(&self, digest: &Digest) {
        self.excused.borrow_mut().remove(digest);
    }

    /// Notes that everything was brought again: nothing may be wrong any more.
    pub fn heal_all(&self) {
        self.excused.borrow_mut().clear();
    }

    /// The blobs that were harmed and that no pull has brought again.
    pub fn excused(&self) -> BTreeSet<Digest> {
        self.excused.borrow().clone()
    }

    /// Every blob that was ever harmed.
    pub fn harmed(&self) -> BTreeSet<Digest> {
        self.harmed.borrow().clone()
    }

    /// The names that somebody has tried to pull.
    pub fn names(&self) -> Vec<String> {
        self.attempts.borrow().keys().cloned().collect()
    }

    /// What a store may look like now. `wrong` are the blobs that are not whole
    /// there now; of these only those count that were harmed.
    pub fn expectation(&self, hub: &Hub, wrong: &BTreeSet<Digest>) -> Expectation {
        let (acknowledged, harmed) = (self.acknowledged.borrow(), self.harmed.borrow());
        let mut names = BTreeMap::new();
        for (name, first_ms) in &*self.attempts.borrow() {
            let of_name: Vec<_> = acknowledged.iter().filter(|one| one.name == *name).collect();
            let since_ms = of_name.iter().map(|one| one.since_ms).max();
            let targets: BTreeSet<Digest> = match name.split_once('@') {
                Some((_, digest)) => BTreeSet::from([digest.parse().expect("runs pull what there is")]),
                None => {
                    let tag = &name[AUTHORITY.len() + 1..];
                    let since_ms = since_ms.filter(|since| !hub.has_returned(tag, *since)).unwrap_or(*first_ms);
                    hub.since(tag, since_ms).into_iter().collect()
                }
            };
            // Damage takes a platform out of a record, and another target takes all of them.
            let touched = |target: &Digest| {
                hub.version_of(target).is_some_and(|version| version.blobs.iter().any(|blob| harmed.contains(blob)))
            };
            let lasting =
                |one: &&&Acknowledged| targets.len() == 1 && targets.contains(&one.target) && !touched(&one.target);
            // What was acknowledged before another target was counts if the tag has not moved since.
            let unmoved = |one: &&&Acknowledged| match name.split_once('@') {
                Some(_) => true,
                None => hub.since(&name[AUTHORITY.len() + 1..], one.since_ms).len() == 1,
            };
            let recorded =
                of_name.iter().filter(lasting).filter(unmoved).flat_map(|one| one.manifests.clone()).collect();
            let expected =
                Expected { targets, absent: since_ms.is_none(), recorded, unpacked: self.unpacked.borrow().clone() };
            names.insert(name.clone(), expected);
        }
        let harmed = self.excused.borrow().intersection(wrong).cloned().collect();
        Expectation { namespace: NAMESPACE.to_owned(), names, harmed }
    }
}
