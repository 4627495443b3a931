//! What a collection keeps of snapshots, and what it takes: containerd, docs/garbage-collection.md.

use super::*;
use wharf_component::{
    host::Host as _,
    nouns::{
        record::{EXPIRY_LABEL, LeaseRecord, LeasedRecord},
        time,
    },
    verbs::contract::records::Resource,
};

const REFERENCE: &str = "containerd.io/gc.ref.snapshot.overlayfs";
const BACK: &str = "containerd.io/gc.bref.snapshot.overlayfs";

impl World {
    fn lease(&self, id: &str) {
        self.memory.run(records::leases::create(&self.memory, &ME, Some(id), &Labels::new())).unwrap();
    }

    fn held_by(&self, id: &str) -> Vec<String> {
        let resources = self.memory.run(records::leases::list_resources(&self.memory, &ME, id)).unwrap();
        resources.into_iter().map(|resource| resource.id).collect()
    }

    /// The keys that are there after a collection.
    fn left(&self) -> Vec<String> {
        self.collect().unwrap();
        self.snapshots(&[])
    }
}

#[test]
fn what_nothing_holds_goes_with_its_trees() {
    let world = World::new();
    world.prepare("work", None).unwrap();
    world.scribble("work", "text");
    world.commit_snapshot("base", "work", &[]).unwrap();
    world.prepare("a", Some("base")).unwrap();
    world.view("v", Some("base")).unwrap();
    assert_eq!((world.left(), world.trees()), (texts(&[]), (0, 0)));
}

#[test]
fn what_is_kept_keeps_what_it_stands_on() {
    let world = World::new();
    world.prepare("work", None).unwrap();
    world.commit_snapshot("base", "work", &[]).unwrap();
    world.prepare_as(&ME, "a", Some("base"), &[(ROOT, "yes")]).unwrap();
    world.prepare("b", Some("base")).unwrap();
    assert_eq!((world.left(), world.trees()), (texts(&["a", "base"]), (1, 1)));
    world.tree_of("a").unwrap();
}

#[test]
fn a_root_whose_time_is_over_keeps_no_snapshot() {
    let world = World::new();
    let until = time::format(world.memory.now() + 60);
    world.prepare_as(&ME, "a", None, &[(ROOT, "yes"), (EXPIRY_LABEL, &until)]).unwrap();
    assert_eq!(world.left(), texts(&["a"]));
    world.memory.clock().pass(61_000);
    assert_eq!((world.left(), world.trees()), (texts(&[]), (0, 0)));
}

#[test]
fn a_lease_holds_what_is_prepared_and_what_is_committed_in_it() {
    let world = World::new();
    world.lease("l");
    let (memory, none) = (&world.memory, Vec::new());
    let prepare = records::snapshots::prepare(memory, &ME, "a", None, true, &none, Some("l"));
    memory.run(prepare).unwrap();
    assert_eq!((world.held_by("l"), world.left()), (texts(&["a"]), texts(&["a"])));
    memory.run(records::snapshots::commit(memory, &ME, "b", "a", &none, Some("l"))).unwrap();
    assert_eq!((world.held_by("l"), world.left()), (texts(&["b"]), texts(&["b"])));
    let prepare = records::snapshots::prepare(memory, &ME, "c", None, true, &none, Some("other"));
    assert_eq!(code(memory.run(prepare)), ErrorCode::NotFound);
    let commit = async {
        records::snapshots::prepare(memory, &ME, "d", None, true, &none, None).await?;
        records::snapshots::commit(memory, &ME, "e", "d", &none, Some("other")).await
    };
    assert_eq!(code(memory.run(commit)), ErrorCode::NotFound);
    memory.run(records::snapshots::tree(memory, &ME, "d")).unwrap();
    memory.run(records::leases::delete(memory, &ME, "l", true)).unwrap();
    assert_eq!((world.snapshots(&[]), world.trees()), (texts(&[]), (0, 0)));
}

#[test]
fn a_removal_takes_a_snapshot_out_of_its_leases() {
    let world = World::new();
    world.lease("l");
    world.prepare("a", None).unwrap();
    let resource = Resource { kind: "snapshots/native".to_owned(), id: "a".to_owned() };
    world.memory.run(records::leases::add_resource(&world.memory, &ME, "l", &resource)).unwrap();
    assert_eq!(world.left(), texts(&["a"]));
    world.take("a").unwrap();
    assert_eq!(world.held_by("l"), texts(&[]));
}

#[test]
fn labels_of_blobs_and_of_snapshots_hold_snapshots() {
    let world = World::new();
    for key in ["a", "b", "c"] {
        world.prepare(key, None).unwrap();
    }
    let blob = world.write_blob(&ME, b"held", &[]).unwrap().digest;
    let (reference, root) = (format!("{REFERENCE}/1"), ROOT);
    world.write_blob(&ME, b"blob", &[(root, "yes"), (&reference, "a")]).unwrap();
    let update = |key: &str, pairs: &[(&str, &str)]| {
        let labels = labels(pairs);
        world.memory.run(records::snapshots::update(&world.memory, &ME, key, &labels, &[])).unwrap();
    };
    update("a", &[(REFERENCE, "b"), ("containerd.io/gc.ref.content.x", blob.as_str())]);
    assert_eq!((world.left(), world.has(&blob)), (texts(&["a", "b"]), true));
    update("a", &[]);
    assert_eq!((world.left(), world.has(&blob)), (texts(&["a"]), false));
}

#[test]
fn what_names_who_needs_it_stays_with_that() {
    let world = World::new();
    for key in ["a", "b", "c"] {
        world.prepare(key, None).unwrap();
    }
    let root = world.write_blob(&ME, b"root", &[(ROOT, "yes")]).unwrap().digest;
    let blob = world.write_blob(&ME, b"blob", &[(BACK, "b")]).unwrap().digest;
    let update = |key: &str, pairs: &[(&str, &str)]| {
        let labels = labels(pairs);
        world.memory.run(records::snapshots::update(&world.memory, &ME, key, &labels, &[])).unwrap();
    };
    update("a", &[("containerd.io/gc.bref.content.x", root.as_str())]);
    update("b", &[(BACK, "a")]);
    update("c", &[(BACK, "nobody")]);
    assert_eq!((world.left(), world.has(&blob)), (texts(&["a", "b"]), true));
    update("a", &[]);
    assert_eq!((world.left(), world.has(&blob)), (texts(&[]), false));
}

#[test]
fn a_snapshot_that_names_an_image_stays_as_long_as_that_does() {
    let (world, _) = world();
    world.prepare_as(&ME, "a", None, &[("containerd.io/gc.bref.image", APP)]).unwrap();
    world.prepare_as(&ME, "b", None, &[("containerd.io/gc.bref.image", "nobody")]).unwrap();
    assert_eq!(world.left(), texts(&["a"]));
    world.delete_image(APP, None, true).unwrap();
    assert_eq!(world.left(), texts(&[]));
}

/// The same key in another namespace is another snapshot.
#[test]
fn what_holds_a_key_holds_it_in_its_namespace() {
    let world = World::new();
    world.prepare("a", None).unwrap();
    world.prepare_as(&other(), "a", None, &[]).unwrap();
    world.write_blob(&ME, b"blob", &[(ROOT, "yes"), (REFERENCE, "a")]).unwrap();
    assert_eq!((world.left(), world.keys_of(&other(), &[])), (texts(&["a"]), texts(&[])));
}

#[test]
fn what_is_mounted_stays_with_what_it_stands_on() {
    let world = World::new();
    world.prepare("work", None).unwrap();
    world.commit_snapshot("base", "work", &[]).unwrap();
    world.prepare("a", Some("base")).unwrap();
    let tree = world.stat("a").unwrap().tree;
    world.memory.layers().mount_top(tree.as_str());
    assert_eq!((world.left(), world.trees()), (texts(&["a", "base"]), (1, 1)));
    world.memory.layers().unmount_top(tree.as_str());
    assert_eq!((world.left(), world.trees()), (texts(&[]), (0, 0)));
}

#[test]
fn a_lease_that_comes_during_a_collection_is_heeded() {
    let world = World::new();
    world.prepare("work", None).unwrap();
    world.commit_snapshot("base", "work", &[]).unwrap();
    world.memory.interfere(Call::Commit, |memory| {
        let lease = LeaseRecord { created: 1, expires: None, labels: BTreeMap::new(), holds: Vec::new() };
        let held = LeasedRecord { kind: "snapshots/overlayfs".to_owned(), id: "base".to_owned() };
        memory.write_row("default", "lease/l", &lease.encode());
        memory.write_row("default", &held.key("l"), &held.encode());
        Ok(())
    });
    assert_eq!((world.left(), world.trees()), (texts(&["base"]), (0, 1)));
}

/// Only a collection asks whether something holds what clients have recorded.
#[test]
fn what_is_recorded_keeps_its_tree_when_an_image_goes() {
    let (world, chains) = pulled();
    world.prepare("a", Some(&chains[1])).unwrap();
    world.delete_image(APP, None, false).unwrap();
    let removal = wharf_component::verbs::contract::Change::Prune(Default::default());
    world.perform(&removal).unwrap();
    assert_eq!((world.tree_of("a").unwrap(), world.trees()), (world.stat("a").unwrap().tree, (1, 2)));
    assert_eq!((world.left(), world.counts()), (texts(&[]), (0, 0, 0)));
}

#[test]
fn a_plan_of_a_collection_tells_what_nothing_holds() {
    let (world, chains) = pulled();
    world.prepare_as(&ME, "a", Some(&chains[1]), &[(ROOT, "yes")]).unwrap();
    world.delete_image(APP, None, false).unwrap();
    assert_eq!((world.left(), world.counts().1), (texts(&["a", &chains[1]]), 2));
    world.take("a").unwrap();
    let usage = world.memory.run(wharf_component::verbs::usage::disk_usage(&world.memory, &ME)).unwrap();
    assert!(usage.unpacked.reclaimable > 0, "{usage:?}");
    world.collect().unwrap();
    assert_eq!(world.counts(), (0, 0, 0));
}

/// A record is there before what is written to, so that one without a record is nobody's.
#[test]
fn what_has_no_record_is_cleaned_up_unless_somebody_holds_it() {
    for is_collected in [false, true] {
        let world = World::new();
        world.prepare_as(&ME, "a", None, &[(ROOT, "yes")]).unwrap();
        world.prepare_as(&other(), "a", None, &[(ROOT, "yes")]).unwrap();
        let clean = || match is_collected {
            true => drop(world.collect().unwrap()),
            false => world.memory.run(records::snapshots::clean(&world.memory, &ME)).unwrap(),
        };
        let held = world.memory.run(world.memory.prepare("sha256:x", true, None)).unwrap();
        clean();
        assert_eq!(world.trees().0, 3);
        drop(held);
        clean();
        assert_eq!(
            (world.trees().0, world.snapshots(&[]), world.keys_of(&other(), &[])),
            (2, texts(&["a"]), texts(&["a"]))
        );
    }
}

#[test]
fn a_namespace_is_empty_once_its_images_are_gone_whatever_others_keep() {
    let (world, built) = super::super::world();
    world.memory.run(records::contents::get(&world.memory, &ME, built.config.as_str())).unwrap();
    let there = Named { ..world.app_as("other:1") };
    world.memory.run(records::images::create(&world.memory, &other(), &there)).unwrap();
    let delete = || world.memory.run(records::namespaces::delete(&world.memory, &ME, "default"));
    assert_eq!(code(delete()), ErrorCode::InUse);
    world.delete_image(APP, None, true).unwrap();
    assert!(world.has(&built.config));
    delete().unwrap();
}

/// What another namespace says of a blob keeps it, and not its record here.
#[test]
fn a_pin_of_another_namespace_keeps_no_record_of_this_one() {
    let world = World::new();
    let digest = world.write_blob(&ME, b"bytes", &[]).unwrap().digest;
    world.write_blob(&other(), b"bytes", &[(ROOT, "yes")]).unwrap();
    world.collect().unwrap();
    assert!(world.has(&digest));
    assert_eq!(code(world.get_content(&ME, &digest)), ErrorCode::NotFound);
    world.get_content(&other(), &digest).unwrap();
}
