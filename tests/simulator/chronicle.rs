//! What was asked for and what was acknowledged, and what a store may look like
//! because of that. It looks into no store.
//!
//! The rule about names: a name points to something that its tag pointed to
//! since the last acknowledged pull of it began, or since the first attempt if
//! none was acknowledged. So it never goes back, and never leads elsewhere. Two
//! exceptions. A tag that has returned to an earlier target: a slow pull of what
//! it pointed to in between sees the record that it knows, and replaces it. And a
//! name that was removed or given to something else since then, likewise; it may
//! also point to what that has pointed to.
//!
//! A name is there if a pull of it or a tag was acknowledged and every removal
//! that could mean it was over before that began. It is gone if a removal of it was
//! acknowledged and everything that could bring it was over before.

mod leases;
mod spans;

use crate::{
    hub::{AUTHORITY, Hub},
    invariants::{Expectation, Expected},
};
use leases::Leases;
use spans::{Count, Span};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use wharf_component::nouns::digest::Digest;

pub use spans::Deed;

/// The namespace that everybody uses.
pub const NAMESPACE: &str = "default";

/// In the place of a source: a name that is to be an index that is made here.
pub const COMPOSED: &str = "an index that is made here";

/// What was acknowledged about one name.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// What the name pointed to then.
    pub target: Digest,
    /// Which of its manifests are here.
    pub manifests: Vec<Digest>,
    /// Which of those have a tree.
    pub unpacked: Vec<Digest>,
}

/// An attempt to bring a name.
#[derive(Debug)]
pub struct Write {
    span: Span,
    /// When it began, in milliseconds.
    since_ms: u64,
    /// The name that it is to be like; none if it is pulled.
    source: Option<String>,
    done: RefCell<Option<Acknowledged>>,
    /// Whether it is known to have done nothing.
    is_void: Cell<bool>,
}

/// What a removal may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// These names, and names by digest in their repositories.
    Names(Vec<String>),
    /// Any.
    All,
}

/// An attempt to remove names, or platforms of them.
#[derive(Debug)]
pub struct Removal {
    span: Span,
    scope: Scope,
    /// What it has changed, and whether the name is gone, once that is known.
    done: RefCell<Option<BTreeMap<String, bool>>>,
}

impl Removal {
    /// Whether it may have changed a name.
    fn touches(&self, name: &str) -> bool {
        match (&*self.done.borrow(), &self.scope) {
            (Some(done), _) => done.contains_key(name),
            (None, Scope::All) => true,
            (None, Scope::Names(names)) => names.iter().any(|meant| {
                meant == name || name.split_once('@').is_some_and(|(repository, _)| meant.starts_with(repository))
            }),
        }
    }

    fn has_removed(&self, name: &str) -> bool {
        self.done.borrow().as_ref().is_some_and(|done| done.get(name) == Some(&true))
    }
}

/// The history of a run.
#[derive(Debug, Default)]
pub struct Chronicle {
    count: Count,
    writes: RefCell<BTreeMap<String, Vec<Rc<Write>>>>,
    removals: RefCell<Vec<Rc<Removal>>>,
    /// Every blob that was ever harmed.
    harmed: RefCell<BTreeSet<Digest>>,
    /// Of these the ones that no pull has brought again.
    excused: RefCell<BTreeSet<Digest>>,
    /// The manifests whose trees have to be there.
    trees: RefCell<BTreeSet<Digest>>,
    /// Whether trees may have gone although somebody was told of them.
    are_trees_void: Cell<bool>,
    /// The manifests that are recorded now.
    recorded: RefCell<BTreeSet<Digest>>,
    /// When a manifest was recorded for the last time, for those that were.
    left: RefCell<BTreeMap<Digest, u64>>,
    leases: Leases,
    /// The indexes that were made here.
    composed: RefCell<BTreeSet<Digest>>,
    /// Whether names are given to what has none.
    is_rebuilt: Cell<bool>,
    /// The names of which nothing need be here.
    bare: RefCell<BTreeSet<String>>,
}

impl Chronicle {
    /// Notes that a name may be recorded from now on, until what is returned is
    /// dropped: because it is pulled, or is to be what `source` is.
    pub fn write(&self, name: &str, since_ms: u64, source: Option<&str>) -> Deed<Write> {
        let write = self.count.begin(|span| Write {
            span,
            since_ms,
            source: source.map(str::to_owned),
            done: RefCell::default(),
            is_void: Cell::new(false),
        });
        self.writes.borrow_mut().entry(name.to_owned()).or_default().push(write.noted());
        write
    }

    /// Notes that a name is made by somebody who does not hold what it is to point to.
    pub fn may_be_bare(&self, name: &str) {
        self.bare.borrow_mut().insert(name.to_owned());
    }

    /// Notes that an index was made here. Somebody who gives names to what has none may have found it before its own name
    /// was recorded.
    pub fn composed(&self, index: Digest) {
        if self.composed.borrow_mut().insert(index.clone()) && self.is_rebuilt.get() {
            let name = self.recovered(&index);
            drop(self.write(&name, 0, Some(&name)));
        }
    }

    /// The indexes that were made here.
    pub fn all_composed(&self) -> BTreeSet<Digest> {
        self.composed.borrow().clone()
    }

    /// What an image is called whose name is lost. Somebody gives such names.
    pub fn recovered(&self, target: &Digest) -> String {
        self.is_rebuilt.set(true);
        format!("localhost/recovered@{target}")
    }

    /// Notes that names may go until what is returned is dropped.
    pub fn remove(&self, scope: Scope) -> Deed<Removal> {
        let removal = self.count.begin(|span| Removal { span, scope, done: RefCell::default() });
        self.removals.borrow_mut().push(removal.noted());
        removal
    }

    /// Notes what a call has returned about a name.
    pub fn acknowledge(&self, write: &Write, what: Acknowledged) {
        for manifest in &what.unpacked {
            self.unpacked(manifest, write.span.began);
        }
        write.done.replace(Some(what));
    }

    /// Notes that a call has left a name as it was.
    pub fn left_alone(&self, write: &Write) {
        write.is_void.set(true);
    }

    /// Notes which names a removal has changed, and which of those are gone.
    pub fn removed(&self, removal: &Removal, names: BTreeMap<String, bool>) {
        removal.done.replace(Some(names));
    }

    /// A moment, for [`Self::unpacked`].
    pub fn now(&self) -> u64 {
        self.count.next()
    }

    /// Notes that the tree of a manifest was returned by a call that began then. It
    /// stays as long as a record has the manifest.
    pub fn unpacked(&self, manifest: &Digest, began: u64) {
        let has_left = self.left.borrow().get(manifest).is_some_and(|left| *left > began);
        if !has_left && self.recorded.borrow().contains(manifest) {
            self.trees.borrow_mut().insert(manifest.clone());
        }
    }

    /// Notes which manifests are recorded from now on.
    pub fn recorded(&self, manifests: BTreeSet<Digest>) {
        let before = self.recorded.replace(manifests);
        let now = self.count.next();
        for gone in before.difference(&self.recorded.borrow()) {
            self.left.borrow_mut().insert(gone.clone(), now);
            self.trees.borrow_mut().remove(gone);
        }
    }

    /// Notes that somebody wants no trees of a name. Other names of the same image, and
    /// those that get its record, then have them or not.
    pub fn trees_may_go(&self) {
        self.are_trees_void.set(true);
    }

    /// The manifests whose trees have to be there.
    pub fn trees(&self) -> BTreeSet<Digest> {
        if self.are_trees_void.get() { BTreeSet::new() } else { self.trees.borrow().clone() }
    }

    /// What leases hold.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Notes that a blob was harmed.
    pub fn harm(&self, digest: Digest) {
        self.leases.spoil(&digest);
        self.excused.borrow_mut().insert(digest.clone());
        self.harmed.borrow_mut().insert(digest);
    }

    /// Notes that a pull has acknowledged a blob that is whole: from now on it has
    /// to stay so.
    pub fn heal(&self, digest: &Digest) {
        self.excused.borrow_mut().remove(digest);
    }

    /// Notes that everything was brought again of which `is_brought` says so: nothing of that may be wrong any more.
    pub fn heal_all(&self, is_brought: impl Fn(&Digest) -> bool) {
        self.excused.borrow_mut().retain(|digest| !is_brought(digest));
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
        let is_pulled = |(_, writes): &(&String, &Vec<Rc<Write>>)| writes.iter().any(|write| write.source.is_none());
        self.writes.borrow().iter().filter(is_pulled).map(|(name, _)| name.clone()).collect()
    }

    /// The names that somebody has tried to make.
    pub fn made(&self) -> Vec<String> {
        let is_made = |(_, writes): &(&String, &Vec<Rc<Write>>)| writes.iter().any(|write| write.source.is_some());
        self.writes.borrow().iter().filter(is_made).map(|(name, _)| name.clone()).collect()
    }

    /// What a store may look like now. `wrong` are the blobs that are not whole
    /// there now; of these only those count that were harmed.
    pub fn expectation(&self, hub: &Hub, wrong: &BTreeSet<Digest>) -> Expectation {
        let names = self.writes.borrow();
        let names = names.iter().filter_map(|(name, writes)| Some((name.clone(), self.expected(hub, name, writes)?)));
        let harmed = self.excused.borrow().intersection(wrong).cloned().collect();
        Expectation { namespace: NAMESPACE.to_owned(), names: names.collect(), harmed }
    }

    /// What a name may look like. None if there may be no record of it.
    fn expected(&self, hub: &Hub, name: &str, writes: &[Rc<Write>]) -> Option<Expected> {
        let writes: Vec<&Write> = writes.iter().map(Rc::as_ref).filter(|write| !write.is_void.get()).collect();
        let removals = self.removals.borrow();
        let removals: Vec<&Removal> = removals.iter().map(Rc::as_ref).filter(|removal| removal.touches(name)).collect();
        let is_gone = |removal: &&&Removal| {
            removal.has_removed(name) && writes.iter().all(|write| write.span.is_over_before(&removal.span))
        };
        if removals.iter().any(|removal| is_gone(&removal)) {
            return None;
        }
        let is_settled = |write: &Write| removals.iter().all(|removal| removal.span.is_over_before(&write.span));
        let acknowledged: Vec<&Write> = writes.iter().copied().filter(|write| write.done.borrow().is_some()).collect();
        let absent = !acknowledged.iter().any(|write| is_settled(write));
        // Nobody else has made the name point somewhere since this one.
        let is_alone = |write: &Write| {
            let others = writes.iter().filter(|other| !std::ptr::eq(**other, write));
            others.clone().all(|other| other.source.is_none() || other.span.is_over_before(&write.span))
        };
        let targets = self.targets(hub, name, &writes, |write| is_settled(write) && is_alone(write));
        let harmed = self.harmed.borrow();
        // Damage takes a platform out of a record, and another target takes all of them.
        let touched = |target: &Digest| {
            hub.version_of(target).is_some_and(|version| version.blobs.iter().any(|blob| harmed.contains(blob)))
        };
        let mut recorded = BTreeSet::new();
        for write in acknowledged.iter().filter(|write| write.source.is_none() && is_settled(write) && is_alone(write))
        {
            let done = write.done.borrow();
            let done = done.as_ref().expect("it is acknowledged");
            let lasts = targets.len() == 1 && targets.contains(&done.target) && !touched(&done.target);
            // What was acknowledged before another target was counts if the tag has not moved since.
            let is_unmoved = name.contains('@') || hub.since(tag(name), write.since_ms).len() == 1;
            if lasts && is_unmoved {
                recorded.extend(done.manifests.iter().cloned());
            }
        }
        let bare = self.bare.borrow().contains(name);
        Some(Expected { targets, absent, bare, recorded, unpacked: self.trees() })
    }

    /// What a name may point to.
    fn targets(
        &self,
        hub: &Hub,
        name: &str,
        writes: &[&Write],
        is_undisturbed: impl Fn(&Write) -> bool,
    ) -> BTreeSet<Digest> {
        let is_last = |write: &&&Write| {
            let mut others = writes.iter().filter(|other| !std::ptr::eq(**other, **write));
            write.source.is_some() && others.all(|other| other.span.is_over_before(&write.span))
        };
        if let Some(done) = writes.iter().find(is_last).and_then(|write| write.done.borrow().clone()) {
            return BTreeSet::from([done.target]);
        }
        let pulls: Vec<&&Write> = writes.iter().filter(|write| write.source.is_none()).collect();
        let last = pulls.iter().filter(|write| write.done.borrow().is_some()).max_by_key(|write| write.since_ms);
        let is_undisturbed = last.is_some_and(|last| is_undisturbed(last));
        let mut targets = BTreeSet::new();
        if let Some((_, digest)) = name.split_once('@') {
            targets.insert(digest.parse().expect("runs pull what there is"));
        } else if let Some(first_ms) = pulls.iter().map(|write| write.since_ms).min() {
            let since_ms = last.filter(|last| is_undisturbed && !hub.has_returned(tag(name), last.since_ms));
            targets.extend(hub.since(tag(name), since_ms.map_or(first_ms, |last| last.since_ms)));
        }
        if !is_undisturbed {
            self.add_sources(hub, name, &mut targets, &mut BTreeSet::new());
        }
        targets
    }

    /// Adds what the names have ever pointed to that a name was to be like.
    fn add_sources(&self, hub: &Hub, name: &str, targets: &mut BTreeSet<Digest>, seen: &mut BTreeSet<String>) {
        let writes = self.writes.borrow();
        let sources = writes.get(name).into_iter().flatten().filter_map(|write| write.source.as_ref());
        for source in sources {
            if !seen.insert(source.clone()) {
                continue;
            }
            match source.split_once('@') {
                None if source == COMPOSED => targets.extend(self.composed.borrow().iter().cloned()),
                Some((_, digest)) => drop(targets.insert(digest.parse().expect("runs pull what there is"))),
                None if hub.tags().iter().any(|there| there == tag(source)) => {
                    targets.extend(hub.since(tag(source), 0));
                }
                None => {}
            }
            self.add_sources(hub, source, targets, seen);
        }
    }
}

/// A name without the registry, as in `app:1`.
fn tag(name: &str) -> &str {
    &name[AUTHORITY.len() + 1..]
}
