//! What the labels of blobs keep: containerd, docs/garbage-collection.md.

use super::*;
use crate::verbs::{chain, unpacking};
use wharf_component::nouns::{record::EXPIRY_LABEL, time};
use wharf_sim::memory::Call;

const ROOT: &str = "containerd.io/gc.root";
const REFERENCE: &str = "containerd.io/gc.ref.content";
const BACK: &str = "containerd.io/gc.bref.content";
const TREE_BACK: &str = "containerd.io/gc.bref.snapshot.overlayfs";
const IMAGE_BACK: &str = "containerd.io/gc.bref.image";

impl World {
    fn label_blob(&self, digest: &Digest, key: &str, value: &str) {
        let (labels, fields) = (labels(&[(key, value)]), texts(&[&format!("labels.{key}")]));
        let caller = caller();
        let update = records::contents::update(&self.memory, &caller, digest.as_str(), &labels, &fields);
        self.memory.run(update).unwrap();
    }

    /// Writes blobs without labels.
    fn write_blobs(&self, names: &[&str]) -> Vec<Digest> {
        names.iter().map(|name| self.write_blob(&caller(), name.as_bytes(), &[]).unwrap().digest).collect()
    }

    /// Which of these are here after a collection.
    fn stay(&self, digests: &[Digest]) -> Vec<bool> {
        self.collect().unwrap();
        digests.iter().map(|digest| self.has(digest)).collect()
    }
}

#[test]
fn a_root_keeps_itself_and_what_its_labels_name() {
    let world = World::new();
    let blobs = world.write_blobs(&["a", "b", "c", "d", "e"]);
    world.label_blob(&blobs[0], ROOT, "yes");
    world.label_blob(&blobs[0], &format!("{REFERENCE}.l.0"), blobs[1].as_str());
    world.label_blob(&blobs[1], &format!("{REFERENCE}/x"), blobs[2].as_str());
    world.label_blob(&blobs[3], BACK, blobs[2].as_str());
    assert_eq!(world.stay(&blobs), [true, true, true, true, false]);
    world.label_blob(&blobs[1], &format!("{REFERENCE}/x"), "");
    assert_eq!(world.stay(&blobs), [true, true, false, false, false]);
    world.label_blob(&blobs[0], ROOT, "");
    assert_eq!(world.stay(&blobs), [false; 5]);
    assert_eq!(world.memory.snapshot().rows.keys().filter(|(_, key)| key.starts_with("content/")).count(), 0);
}

#[test]
fn a_root_whose_time_is_over_keeps_nothing() {
    let world = World::new();
    let blobs = world.write_blobs(&["a"]);
    world.label_blob(&blobs[0], ROOT, "yes");
    world.label_blob(&blobs[0], EXPIRY_LABEL, &time::format(world.memory.now() + 60));
    assert_eq!(world.stay(&blobs), [true]);
    world.memory.clock().pass(61_000);
    assert_eq!(world.stay(&blobs), [false]);
}

#[test]
fn a_root_that_is_an_image_keeps_the_whole_image_with_its_tree() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &unpacking()).unwrap();
    let counts = world.counts();
    world.label_blob(&built.manifest, ROOT, "yes");
    world.delete_image(APP, None, true).unwrap();
    assert_eq!(world.counts(), counts);
    world.label_blob(&built.manifest, ROOT, "");
    world.collect().unwrap();
    assert_eq!(world.counts(), (0, 0, 0));
}

#[test]
fn labels_of_a_blob_that_an_image_needs_hold_more() {
    let (world, built) = world();
    let blobs = world.write_blobs(&["a", "b"]);
    world.label_blob(&built.config, &format!("{REFERENCE}.0"), blobs[0].as_str());
    assert_eq!(world.stay(&blobs), [true, false]);
    world.delete_image(APP, None, true).unwrap();
    assert_eq!(world.counts().0, 0);
}

#[test]
fn a_blob_that_names_an_image_stays_as_long_as_that_does() {
    let (world, _) = world();
    let blobs = world.write_blobs(&["a", "b", "c", "d"]);
    world.label_blob(&blobs[0], &format!("{IMAGE_BACK}.0"), APP);
    world.label_blob(&blobs[0], REFERENCE, blobs[1].as_str());
    world.label_blob(&blobs[2], IMAGE_BACK, "docker.io/library/other:1");
    world.label_blob(&blobs[3], IMAGE_BACK, "foo");
    world.create_image(&world.app_as("foo")).unwrap();
    assert_eq!(world.stay(&blobs), [true, true, false, true]);
    world.delete_image(APP, None, true).unwrap();
    assert_eq!(world.stay(&blobs), [false, false, false, true], "`foo` is no reference, and a name all the same");
    world.delete_image("foo", None, true).unwrap();
    assert_eq!(world.counts().0, 0);
}

#[test]
fn a_blob_that_names_the_tree_of_an_image_stays_as_long_as_that_does() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &unpacking()).unwrap();
    let (_, snapshots) = chain(&["base", "top"]);
    let blobs = world.write_blobs(&["a", "b"]);
    world.label_blob(&blobs[0], TREE_BACK, snapshots[1].as_str());
    world.label_blob(&blobs[1], TREE_BACK, "nobody");
    assert_eq!(world.stay(&blobs), [true, false]);
    world.delete_image(APP, None, true).unwrap();
    assert_eq!(world.stay(&blobs), [false, false]);
}

#[test]
fn a_lease_keeps_a_snapshot_and_what_it_stands_on() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &unpacking()).unwrap();
    let (_, snapshots) = chain(&["base", "top"]);
    let resource = |id: &Digest| wharf_component::verbs::contract::records::Resource {
        kind: "snapshots/overlayfs".to_owned(),
        id: id.to_string(),
    };
    let work = async {
        records::leases::create(&world.memory, &caller(), Some("l"), &Labels::new()).await?;
        records::leases::add_resource(&world.memory, &caller(), "l", &resource(&snapshots[1])).await
    };
    world.memory.run(work).unwrap();
    world.delete_image(APP, None, true).unwrap();
    assert_eq!(world.counts(), (0, 2, 2));
    world.memory.run(records::leases::delete(&world.memory, &caller(), "l", true)).unwrap();
    assert_eq!(world.counts(), (0, 0, 0));
}

#[test]
fn a_blob_that_goes_leaves_no_record_in_any_namespace() {
    let world = World::new();
    let digest = world.write_blob(&caller(), b"bytes", &[]).unwrap().digest;
    world.write_blob(&other(), b"bytes", &[]).unwrap();
    world.collect().unwrap();
    assert!(!world.has(&digest));
    assert_eq!(world.memory.snapshot().rows.keys().filter(|(_, key)| key.starts_with("content/")).count(), 0);
}

#[test]
fn another_namespace_keeps_what_it_has() {
    let world = World::new();
    let digest = world.write_blob(&caller(), b"bytes", &[]).unwrap().digest;
    world.write_blob(&other(), b"bytes", &[(ROOT, "yes")]).unwrap();
    world.collect().unwrap();
    assert!(world.has(&digest));
}

/// What is labelled between the look at the records and the removal is not removed.
#[test]
fn a_label_that_comes_during_a_collection_is_heeded() {
    let world = World::new();
    let digest = world.write_blobs(&["a"]).remove(0);
    let kept = wharf_component::nouns::record::ContentRecord {
        created: (1, 0),
        updated: (1, 0),
        labels: BTreeMap::from([(ROOT.to_owned(), "yes".to_owned())]),
    };
    let key = format!("content/{digest}");
    world.memory.interfere(Call::Claim, move |memory| {
        memory.write_row("default", &key, &kept.encode());
        Ok(())
    });
    world.collect().unwrap();
    assert!(world.has(&digest));
}

#[test]
fn a_record_of_a_blob_that_cannot_be_read_stops_a_collection_until_it_is_gone() {
    let world = World::new();
    let digest = world.write_blobs(&["a"]).remove(0);
    world.memory.write_row("default", &format!("content/{digest}"), b"\xff");
    assert!(world.collect().is_err());
    world.memory.run(records::contents::delete(&world.memory, &caller(), digest.as_str())).unwrap();
    world.collect().unwrap();
    assert!(!world.has(&digest));
}

#[test]
fn a_name_that_is_no_reference_goes_when_its_time_is_over() {
    let (world, _) = world();
    let until = time::format(world.memory.now() + 60);
    let image = Named { labels: labels(&[(EXPIRY_LABEL, &until)]), ..world.app_as("foo") };
    world.create_image(&image).unwrap();
    world.delete_image(APP, None, true).unwrap();
    assert_eq!((world.counts().0, world.list_images(&[])), (4, texts(&["foo"])));
    world.memory.clock().pass(61_000);
    world.collect().unwrap();
    assert_eq!((world.counts().0, world.list_images(&[]).len()), (0, 0));
    assert_eq!(world.happened().last().unwrap(), "untag foo");
}
