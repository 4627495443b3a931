//! Who dies in the middle: what is found then, and how it ends.

use super::*;

fn broken() -> ErrorCode {
    ErrorCode::Other("input/output error".to_owned())
}

impl World {
    /// A record whose tree was never made, as of somebody who died.
    fn promise(&self, key: &str, kind: SnapshotKind) {
        let (tree, now) = (digest_of(key.as_bytes()), (1, 0));
        let labels = BTreeMap::from([(ROOT.to_owned(), "yes".to_owned())]);
        let record = SnapshotRecord { kind, parent: None, tree, labels, created: now, updated: now };
        self.memory.write_row("default", &format!("snapshot/{key}"), &record.encode());
        self.memory.write_row("default", "schema", b"1");
    }
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let world = World::new();
    for call in [Call::Prepare, Call::Prepared] {
        world.memory.interfere(call, |_| Err(broken()));
        assert_eq!(code(world.prepare("a", None)), broken(), "{call:?}");
        assert_eq!((world.snapshots(&[]), world.trees()), (texts(&[]), (0, 0)), "{call:?}");
    }
    world.prepare("a", None).unwrap();
}

#[test]
fn a_record_without_a_tree_says_so_until_it_is_removed() {
    let world = World::new();
    for kind in [SnapshotKind::Active, SnapshotKind::View, SnapshotKind::Committed] {
        world.promise("a", kind);
        assert_eq!((world.stat("a").unwrap().kind, world.snapshots(&[])), (kind, texts(&["a"])));
        if kind == SnapshotKind::Committed {
            assert_eq!(code(world.prepare("b", Some("a"))), ErrorCode::NotFound);
        } else {
            assert_eq!(code(world.tree_of("a")), ErrorCode::NotFound);
        }
        assert_eq!(code(world.weigh("a")), ErrorCode::NotFound);
        if kind == SnapshotKind::Active {
            assert_eq!(code(world.commit_snapshot("b", "a", &[])), ErrorCode::NotFound);
        }
        world.take("a").unwrap();
        assert_eq!(world.snapshots(&[]), texts(&[]));
    }
}

#[test]
fn a_commit_that_ends_in_the_middle_is_finished_under_any_name() {
    for call in [Call::Frozen, Call::Commit] {
        let world = World::new();
        world.prepare("a", None).unwrap();
        world.scribble("a", "text");
        world.memory.interfere(call, |_| Err(broken()));
        assert_eq!(code(world.commit_snapshot("b", "a", &[])), broken());
        assert_eq!((world.stat("a").unwrap().kind, world.trees()), (SnapshotKind::Active, (0, 1)));
        let problem = world.tree_of("a").unwrap_err();
        assert_eq!(problem.code, ErrorCode::InUse);
        assert!(problem.why[0].contains("commit it again"), "{:?}", problem.why);
        world.commit_snapshot("c", "a", &[]).unwrap();
        assert_eq!((world.snapshots(&[]), world.weigh("c").unwrap()), (texts(&["c"]), (4, 1)));
    }
}

#[test]
fn a_commit_that_ended_in_the_middle_is_removed() {
    let world = World::new();
    world.prepare("a", None).unwrap();
    world.scribble("a", "text");
    world.memory.interfere(Call::Frozen, |_| Err(broken()));
    assert!(world.commit_snapshot("b", "a", &[]).is_err());
    world.take("a").unwrap();
    assert_eq!((world.snapshots(&[]), world.trees()), (texts(&[]), (0, 0)));
}

#[test]
fn what_was_prepared_is_there_after_a_restart_and_what_was_committed_too() {
    let world = World::new();
    world.committed("base", None);
    world.prepare("a", Some("base")).unwrap();
    let tree = world.tree_of("a").unwrap();
    let world = World { memory: world.memory.restart(), ..World::new() };
    assert_eq!((world.tree_of("a").unwrap(), world.weigh("base").unwrap()), (tree, (4, 1)));
}

#[test]
fn a_record_that_cannot_be_read_hides_nothing_but_itself_and_stops_removals() {
    let world = World::new();
    world.prepare("a", None).unwrap();
    world.memory.write_row("default", "snapshot/b", b"\xff");
    assert_eq!(world.snapshots(&[]), texts(&["a"]));
    assert_eq!(code(world.stat("b")), ErrorCode::Invalid);
    assert!(world.collect().is_err());
    assert_eq!(code(world.memory.run(records::snapshots::clean(&world.memory, &ME))), ErrorCode::Invalid);
    assert_eq!(world.trees(), (1, 0));
}
