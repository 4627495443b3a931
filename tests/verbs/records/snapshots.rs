//! `snapshots`: keys of clients, what they lead to, and what becomes of that. What a tree has in it is text here.

mod collected;
mod layers;
mod lost;

use super::*;
use crate::verbs::{chain, unpacking};
use std::sync::LazyLock;
use wharf_component::{
    nouns::record::{SnapshotKind, SnapshotRecord},
    verbs::contract::snapshots::Snapshot,
};
use wharf_sim::memory::Call;

/// The caller of most of this.
static ME: LazyLock<Caller> = LazyLock::new(caller);
/// A key that no snapshot has.
const NOBODY: &str = "nobody";

impl World {
    fn prepare_as(
        &self,
        caller: &Caller,
        key: &str,
        parent: Option<&str>,
        pairs: &[(&str, &str)],
    ) -> Result<Digest, Problem> {
        self.memory.clock().pass(1);
        let labels = labels(pairs);
        let prepare = records::snapshots::prepare(&self.memory, caller, key, parent, true, &labels, None);
        self.memory.run(prepare)
    }

    fn prepare(&self, key: &str, parent: Option<&str>) -> Result<Digest, Problem> {
        self.prepare_as(&ME, key, parent, &[])
    }

    fn view(&self, key: &str, parent: Option<&str>) -> Result<Digest, Problem> {
        let none = Labels::new();
        let prepare = records::snapshots::prepare(&self.memory, &ME, key, parent, false, &none, None);
        self.memory.run(prepare)
    }

    fn commit_snapshot(&self, name: &str, key: &str, pairs: &[(&str, &str)]) -> Result<(), Problem> {
        self.memory.clock().pass(1);
        let labels = labels(pairs);
        self.memory.run(records::snapshots::commit(&self.memory, &ME, name, key, &labels, None))
    }

    fn take(&self, key: &str) -> Result<(), Problem> {
        self.memory.run(records::snapshots::remove(&self.memory, &ME, key))
    }

    fn stat_as(&self, caller: &Caller, key: &str) -> Result<Snapshot, Problem> {
        self.memory.run(records::snapshots::stat(&self.memory, caller, key))
    }

    fn stat(&self, key: &str) -> Result<Snapshot, Problem> {
        self.stat_as(&ME, key)
    }

    fn tree_of(&self, key: &str) -> Result<Digest, Problem> {
        self.memory.run(records::snapshots::tree(&self.memory, &ME, key))
    }

    fn weigh(&self, key: &str) -> Result<(u64, u64), Problem> {
        self.memory.run(records::snapshots::usage(&self.memory, &ME, key))
    }

    fn keys_of(&self, caller: &Caller, filters: &[&str]) -> Vec<String> {
        let filters = texts(filters);
        let list = records::snapshots::list(&self.memory, caller, &filters, None, 1_000);
        self.memory.run(list).unwrap().into_iter().map(|snapshot| snapshot.name).collect()
    }

    fn snapshots(&self, filters: &[&str]) -> Vec<String> {
        self.keys_of(&ME, filters)
    }

    /// Writes into a snapshot as through a mount.
    fn scribble(&self, key: &str, text: &str) {
        let tree = self.stat(key).unwrap().tree;
        self.memory.layers().write_top(tree.as_str(), text);
    }

    /// Something committed that no layer is.
    fn committed(&self, name: &str, parent: Option<&str>) {
        self.prepare("work", parent).unwrap();
        self.scribble("work", name);
        self.commit_snapshot(name, "work", &[(ROOT, "yes")]).unwrap();
    }

    /// How many tops and snapshots there are.
    fn trees(&self) -> (usize, usize) {
        let trees = self.memory.layers().visible();
        (trees.tops.len(), trees.snapshots.len())
    }
}

/// The label that keeps something.
const ROOT: &str = "containerd.io/gc.root";

#[test]
fn what_is_prepared_is_written_to_and_then_committed_under_another_key() {
    let world = World::new();
    let tree = world.prepare_as(&ME, "a", None, &[("team", "web")]).unwrap();
    assert_eq!(tree, world.tree_of("a").unwrap());
    let active = world.stat("a").unwrap();
    assert_eq!((active.kind, &active.parent, map(&active.labels)["team"]), (SnapshotKind::Active, &None, "web"));
    world.scribble("a", "text");
    assert_eq!(world.weigh("a").unwrap(), (4, 1));
    world.commit_snapshot("b", "a", &[("b", "c")]).unwrap();
    let committed = world.stat("b").unwrap();
    assert_eq!((committed.kind, committed.labels), (SnapshotKind::Committed, labels(&[("b", "c")])));
    assert_eq!(committed.tree, active.tree);
    assert!(committed.created > active.created);
    assert_eq!((code(world.stat("a")), world.weigh("b").unwrap()), (ErrorCode::NotFound, (4, 1)));
    assert_eq!((world.snapshots(&[]), world.trees()), (texts(&["b"]), (0, 1)));
}

#[test]
fn a_key_is_taken_once() {
    let world = World::new();
    world.committed("base", None);
    world.prepare("a", Some("base")).unwrap();
    let before = world.trees();
    assert_eq!(code(world.prepare("a", None)), ErrorCode::InUse);
    assert_eq!(code(world.view("base", Some("base"))), ErrorCode::InUse);
    assert_eq!(code(world.commit_snapshot("base", "a", &[])), ErrorCode::InUse);
    assert_eq!(code(world.commit_snapshot("a", "a", &[])), ErrorCode::InUse);
    assert_eq!((world.trees(), world.stat("a").unwrap().kind), (before, SnapshotKind::Active));
}

#[test]
fn nothing_stands_on_what_is_not_committed_or_not_there() {
    let world = World::new();
    world.prepare("a", None).unwrap();
    world.view("v", None).unwrap();
    for (parent, expected) in [("a", ErrorCode::Invalid), ("v", ErrorCode::Invalid), (NOBODY, ErrorCode::NotFound)] {
        assert_eq!(code(world.prepare("b", Some(parent))), expected, "{parent}");
        assert_eq!(code(world.view("b", Some(parent))), expected, "{parent}");
    }
    assert_eq!((world.snapshots(&[]), world.trees().0), (texts(&["a", "v"]), 2));
}

#[test]
fn what_is_no_key_is_refused() {
    let world = World::new();
    for key in [String::new(), "x".repeat(1_100)] {
        assert_eq!(code(world.prepare(&key, None)), ErrorCode::Invalid);
        assert_eq!(code(world.stat(&key)), ErrorCode::Invalid);
        assert_eq!(code(world.take(&key)), ErrorCode::Invalid);
    }
    world.prepare("a", None).unwrap();
    assert_eq!(code(world.commit_snapshot("", "a", &[])), ErrorCode::Invalid);
    world.prepare(&"x".repeat(1_000), None).unwrap();
    assert_eq!(world.trees().0, 2);
}

#[test]
fn what_is_not_there_is_told_so_by_every_call() {
    let world = World::new();
    let (memory, none) = (&world.memory, Vec::new());
    assert_eq!(code(world.stat(NOBODY)), ErrorCode::NotFound);
    assert_eq!(code(world.tree_of(NOBODY)), ErrorCode::NotFound);
    assert_eq!(code(world.commit_snapshot("b", NOBODY, &[])), ErrorCode::NotFound);
    assert_eq!(code(world.take(NOBODY)), ErrorCode::NotFound);
    assert_eq!(code(world.weigh(NOBODY)), ErrorCode::NotFound);
    let update = records::snapshots::update(memory, &ME, NOBODY, &none, &[]);
    assert_eq!(code(memory.run(update)), ErrorCode::NotFound);
}

#[test]
fn a_view_is_mounted_and_never_committed() {
    let world = World::new();
    world.committed("base", None);
    let tree = world.view("v", Some("base")).unwrap();
    assert_eq!((tree, world.weigh("v").unwrap()), (world.tree_of("v").unwrap(), (0, 0)));
    assert_eq!(world.stat("v").unwrap().kind, SnapshotKind::View);
    assert_eq!(code(world.commit_snapshot("b", "v", &[])), ErrorCode::Invalid);
    assert_eq!(code(world.commit_snapshot("b", "base", &[])), ErrorCode::Invalid);
    assert_eq!(code(world.tree_of("base")), ErrorCode::Invalid);
}

#[test]
fn what_something_stands_on_is_not_removed() {
    let world = World::new();
    world.committed("base", None);
    world.committed("middle", Some("base"));
    world.prepare("a", Some("middle")).unwrap();
    for key in ["base", "middle"] {
        assert_eq!(code(world.take(key)), ErrorCode::InUse, "{key}");
    }
    for key in ["a", "middle", "base"] {
        world.take(key).unwrap();
    }
    assert_eq!((world.snapshots(&[]), world.trees()), (texts(&[]), (0, 0)));
}

#[test]
fn what_is_mounted_is_not_removed() {
    let world = World::new();
    world.prepare("a", None).unwrap();
    let tree = world.stat("a").unwrap().tree;
    world.memory.layers().mount_top(tree.as_str());
    assert_eq!(code(world.take("a")), ErrorCode::InUse);
    assert_eq!(world.tree_of("a").unwrap(), tree);
    world.memory.layers().unmount_top(tree.as_str());
    world.take("a").unwrap();
    assert_eq!((code(world.take("a")), world.trees()), (ErrorCode::NotFound, (0, 0)));
}

#[test]
fn snapshots_are_listed_by_what_they_are() {
    let world = World::new();
    world.committed("base", None);
    world.prepare_as(&ME, "a", Some("base"), &[("team", "web")]).unwrap();
    world.view("v", Some("base")).unwrap();
    let rows: [(&[&str], &[&str]); 8] = [
        (&[], &["a", "base", "v"]),
        (&["kind==view"], &["v"]),
        (&["kind==committed"], &["base"]),
        (&["parent==base"], &["a", "v"]),
        (&["parent==base,kind==active"], &["a"]),
        (&["name==a", "name==base"], &["a", "base"]),
        (&["labels.team==web"], &["a"]),
        (&["other"], &[]),
    ];
    for (filters, expected) in rows {
        assert_eq!(world.snapshots(filters), expected, "{filters:?}");
    }
    let list = |after, limit| {
        let list = records::snapshots::list(&world.memory, &ME, &[], after, limit);
        world.memory.run(list).unwrap().into_iter().map(|snapshot| snapshot.name).collect::<Vec<_>>()
    };
    assert_eq!(
        (list(None, 2), list(Some("base"), 2), list(Some("v"), 2)),
        (texts(&["a", "base"]), texts(&["v"]), vec![])
    );
    let filters = texts(&["("]);
    let list = records::snapshots::list(&world.memory, &ME, &filters, None, 1);
    assert_eq!(code(world.memory.run(list)), ErrorCode::Invalid);
}

#[test]
fn pages_of_what_has_a_record_and_what_has_none_are_in_one_order() {
    let (world, chains) = pulled();
    let mut expected = chains.clone();
    for key in ["a", "sha256:0", "z"] {
        world.prepare(key, None).unwrap();
        expected.push(key.to_owned());
    }
    expected.sort();
    for limit in 1..=6 {
        let (mut all, mut last): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let list = records::snapshots::list(&world.memory, &ME, &[], last.as_deref(), limit);
            let page = world.memory.run(list).unwrap();
            let Some(end) = page.last() else { break };
            last = Some(end.name.clone());
            all.extend(page.into_iter().map(|snapshot| snapshot.name));
        }
        assert_eq!(all, expected, "{limit} a page");
    }
}

#[test]
fn labels_of_a_snapshot_change_and_nothing_else_of_it() {
    let world = World::new();
    world.prepare_as(&ME, "a", None, &[("a", "1"), ("b", "2")]).unwrap();
    let before = world.stat("a").unwrap();
    let update = |pairs: &[(&str, &str)], fields: &[&str]| {
        world.memory.clock().pass(1);
        let (labels, fields) = (labels(pairs), texts(fields));
        world.memory.run(records::snapshots::update(&world.memory, &ME, "a", &labels, &fields))
    };
    let one = update(&[("a", "other")], &["labels.a", "labels.b"]).unwrap();
    assert_eq!(one.labels, labels(&[("a", "other")]));
    assert!(one.updated > before.updated && one.created == before.created);
    assert_eq!(update(&[("c", "3")], &[]).unwrap().labels, labels(&[("c", "3")]));
    assert_eq!(update(&[("d", "4")], &["labels"]).unwrap().labels, labels(&[("d", "4")]));
    for field in ["kind", "parent", "name", "created"] {
        assert_eq!(code(update(&[], &[field])), ErrorCode::Invalid, "{field}");
    }
    assert_eq!(code(update(&[("", "x")], &["labels"])), ErrorCode::Invalid);
}

#[test]
fn namespaces_have_keys_of_their_own() {
    let world = World::new();
    world.committed("base", None);
    world.prepare("a", Some("base")).unwrap();
    assert_eq!((world.keys_of(&other(), &[]), code(world.stat_as(&other(), "a"))), (texts(&[]), ErrorCode::NotFound));
    assert_eq!(code(world.prepare_as(&other(), "b", Some("base"), &[])), ErrorCode::NotFound);
    world.prepare_as(&other(), "a", None, &[]).unwrap();
    // Nor does it help to know what the host calls a tree.
    let tree = world.stat("base").unwrap().tree;
    assert_eq!(code(world.prepare_as(&other(), "b", Some(tree.as_str()), &[])), ErrorCode::NotFound);
    assert_eq!(code(world.stat_as(&other(), tree.as_str())), ErrorCode::NotFound);
    assert_ne!(world.stat("a").unwrap().tree, world.stat_as(&other(), "a").unwrap().tree);
    let full = records::namespaces::delete(&world.memory, &ME, "other");
    assert_eq!(world.memory.run(full).unwrap_err().why, ["there is something in it: snapshots"]);
}

/// A machine with an image and its tree, and its ChainIDs.
fn pulled() -> (World, Vec<String>) {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &unpacking()).unwrap();
    let (_, chains) = chain(&["base", "top"]);
    (world, chains.iter().map(Digest::to_string).collect())
}

#[test]
fn what_wharf_has_stacked_is_there_under_its_chain_id() {
    let (world, chains) = pulled();
    let mut sorted = chains.clone();
    sorted.sort();
    assert_eq!((world.snapshots(&[]), world.keys_of(&other(), &[])), (sorted, texts(&[])));
    let top = world.stat(&chains[1]).unwrap();
    assert_eq!((top.kind, &top.parent), (SnapshotKind::Committed, &Some(chains[0].clone())));
    assert!(world.weigh(&chains[1]).unwrap().0 > 0);
    assert_eq!(code(world.tree_of(&chains[1])), ErrorCode::Invalid);
    assert_eq!(code(world.prepare(&chains[1], None)), ErrorCode::InUse);
    // Who can name it may have it.
    world.prepare_as(&other(), "a", Some(&chains[1]), &[]).unwrap();
    assert_eq!(world.keys_of(&other(), &[]), ["a", &chains[1]]);
    let labels = labels(&[("x", "y")]);
    let update = records::snapshots::update(&world.memory, &ME, &chains[0], &labels, &[]);
    assert_eq!(world.memory.run(update).unwrap().labels, labels);
    assert_eq!(world.stat(&chains[0]).unwrap().labels, labels);
    world.take(&chains[0]).unwrap();
    assert_eq!(world.stat(&chains[0]).unwrap().labels, Labels::new());
}

/// containerd, docs/remote-snapshotter.md.
#[test]
fn nothing_has_to_be_unpacked_that_is_there() {
    let (world, chains) = pulled();
    let target =
        |key: &str, chain: &str| world.prepare_as(&other(), key, None, &[("containerd.io/snapshot.ref", chain)]);
    assert_eq!(code(target("a", &chains[0])), ErrorCode::InUse);
    assert_eq!(world.keys_of(&other(), &[]), [chains[0].as_str()]);
    target("a", digest_of(b"other").as_str()).unwrap();
    assert_eq!(world.keys_of(&other(), &[]), ["a", &chains[0]]);
}

/// A client that asks in what is no namespace could reach what another one calls its own: names of ingests are made of it.
#[test]
fn what_is_no_namespace_is_refused_by_every_call() {
    let world = World::new();
    let (memory, none) = (&world.memory, Vec::new());
    let _held = world.begin_ingest("y/z");
    let caller = Caller { namespace: "default/y".to_owned(), ..caller() };
    let space = wharf_component::verbs::contract::records::Space::default();
    let work = async {
        let mut codes = vec![code(records::writings::abort(memory, &caller, "z").await)];
        codes.push(code(records::writings::get(memory, &caller, "z").await));
        codes.push(code(records::contents::get(memory, &caller, digest_of(b"x").as_str()).await));
        codes.push(code(records::contents::delete(memory, &caller, digest_of(b"x").as_str()).await));
        codes.push(code(records::images::get(memory, &caller, "x").await));
        codes.push(code(records::namespaces::get(memory, &caller, "default").await));
        codes.push(code(records::namespaces::create(memory, &caller, &space).await));
        codes.push(code(records::leases::list(memory, &caller, &[]).await));
        codes.push(code(records::snapshots::stat(memory, &caller, "x").await));
        codes.push(code(records::snapshots::prepare(memory, &caller, "x", None, true, &none, None).await));
        codes.push(code(records::snapshots::clean(memory, &caller).await));
        codes
    };
    assert_eq!(world.memory.run(work), vec![ErrorCode::Invalid; 11]);
}
