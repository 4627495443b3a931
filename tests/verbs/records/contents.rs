//! Content: which blobs a namespace has, and their labels.

use super::*;
use wharf_component::nouns::record::CONTENT_PREFIX;
use wharf_sim::memory::Memory;

impl World {
    fn list_contents(&self, caller: &Caller, filters: &[&str], after: Option<&Digest>, limit: u32) -> Vec<Digest> {
        let (filters, after) = (texts(filters), after.map(Digest::as_str));
        let listed = records::contents::list(&self.memory, caller, &filters, after, limit);
        self.memory.run(listed).unwrap().into_iter().map(|content| content.digest).collect()
    }

    fn relabel_content(&self, digest: &Digest, pairs: &[(&str, &str)], fields: &[&str]) -> Result<Content, Problem> {
        let (labels, fields) = (labels(pairs), texts(fields));
        self.memory.run(records::contents::update(&self.memory, &caller(), digest.as_str(), &labels, &fields))
    }

    fn delete_content(&self, caller: &Caller, digest: &Digest) -> Result<(), Problem> {
        self.memory.run(records::contents::delete(&self.memory, caller, digest.as_str()))
    }
}

fn recorded(memory: &Memory) -> usize {
    memory.snapshot().rows.keys().filter(|(_, key)| key.starts_with(CONTENT_PREFIX)).count()
}

#[test]
fn a_namespace_has_what_was_written_in_it_and_what_its_images_need() {
    let (world, built) = world();
    let written = world.write_blob(&caller(), b"bytes", &[("b", "2"), ("a", "1"), ("c", "")]).unwrap();
    assert_eq!((written.size, &written.labels), (5, &labels(&[("a", "1"), ("b", "2")])));
    assert_eq!(world.get_content(&caller(), &written.digest).unwrap(), written);
    let all: Vec<&Digest> = built.layers.iter().chain([&built.manifest, &built.config]).collect();
    for digest in &all {
        let content = world.get_content(&caller(), digest).unwrap();
        assert_eq!((&content.digest, content.labels.len()), (*digest, 0));
        assert_eq!(code(world.get_content(&other(), digest)), ErrorCode::NotFound, "another namespace has nothing");
    }
    assert_eq!(code(world.get_content(&caller(), &digest_of(b"nothing"))), ErrorCode::NotFound);
    let absent = world.memory.run(records::contents::get(&world.memory, &caller(), "sha256:x"));
    assert_eq!(code(absent), ErrorCode::Invalid);
    let mut expected: Vec<Digest> = all.into_iter().cloned().chain([written.digest]).collect();
    expected.sort();
    assert_eq!(world.list_contents(&caller(), &[], None, 100), expected);
    assert_eq!(world.list_contents(&other(), &[], None, 100), []);
}

/// A client asks for one blob after the other, and reading all images for each would take the square of the time.
#[test]
fn what_was_found_among_the_images_is_found_at_once_afterwards() {
    let (world, built) = world();
    assert_eq!(recorded(&world.memory), 0);
    world.get_content(&caller(), &built.manifest).unwrap();
    assert_eq!(recorded(&world.memory), 2, "what the records name");
    world.get_content(&caller(), &built.layers[0]).unwrap();
    assert_eq!(recorded(&world.memory), 4, "and the layers");
    let written = world.memory.records_written();
    for digest in built.layers.iter().chain([&built.config]) {
        world.get_content(&caller(), digest).unwrap();
    }
    assert_eq!(world.memory.records_written(), written);
    // They hold nothing, and go with the blobs.
    world.delete_image(APP, None, true).unwrap();
    assert_eq!((world.counts().0, recorded(&world.memory)), (0, 0));
}

#[test]
fn a_list_comes_in_pages_and_passes_filters() {
    let world = World::new();
    let mut digests: Vec<Digest> = (0..5u8)
        .map(|at| {
            world.write_blob(&caller(), &vec![b'x'; usize::from(at) + 1], &[("at", &at.to_string())]).unwrap().digest
        })
        .collect();
    digests.sort();
    assert_eq!(world.list_contents(&caller(), &[], None, 2), digests[..2]);
    assert_eq!(world.list_contents(&caller(), &[], Some(&digests[1]), 2), digests[2..4]);
    assert_eq!(world.list_contents(&caller(), &[], Some(&digests[3]), 2), digests[4..]);
    assert_eq!(world.list_contents(&caller(), &[], Some(&digests[4]), 2), []);
    assert_eq!(world.list_contents(&caller(), &[], None, 0), []);
    let three = digest_of(b"xxx");
    for filter in ["labels.at==2", "size==3", &format!("digest=={three}")] {
        assert_eq!(world.list_contents(&caller(), &[filter], None, 10), std::slice::from_ref(&three), "{filter}");
        assert_eq!(world.list_contents(&caller(), &[filter], Some(&three), 10), []);
    }
}

#[test]
fn labels_of_a_blob_change_one_by_one_or_together() {
    let (world, built) = world();
    let digest = world.write_blob(&caller(), b"bytes", &[("a", "1")]).unwrap().digest;
    world.memory.clock().pass(5_000);
    let found = world.relabel_content(&digest, &[("b", "2")], &["labels.a", "labels.b"]).unwrap();
    assert_eq!(found.labels, labels(&[("b", "2")]));
    assert!(found.updated > found.created);
    assert_eq!(world.relabel_content(&digest, &[("c", "3")], &["labels"]).unwrap().labels, labels(&[("c", "3")]));
    assert_eq!(world.relabel_content(&digest, &[("d", "4")], &[]).unwrap().labels, labels(&[("d", "4")]));
    // A blob that has no record gets one.
    let layer = &built.layers[0];
    assert_eq!(world.relabel_content(layer, &[("e", "5")], &["labels.e"]).unwrap().labels, labels(&[("e", "5")]));
    assert_eq!(world.get_content(&caller(), layer).unwrap().labels, labels(&[("e", "5")]));
    for field in ["digest", "size", "label"] {
        assert_eq!(code(world.relabel_content(&digest, &[], &[field])), ErrorCode::Invalid);
    }
    assert_eq!(code(world.relabel_content(&digest_of(b"nothing"), &[], &[])), ErrorCode::NotFound);
    assert_eq!(code(world.relabel_content(&digest, &[("", "x")], &["labels"])), ErrorCode::Invalid);
}

#[test]
fn a_blob_leaves_a_namespace_and_stays_where_it_is_needed() {
    let (world, built) = world();
    let digest = world.write_blob(&caller(), b"bytes", &[]).unwrap().digest;
    assert_eq!(code(world.delete_content(&other(), &digest)), ErrorCode::NotFound);
    world.delete_content(&caller(), &digest).unwrap();
    assert_eq!(code(world.get_content(&caller(), &digest)), ErrorCode::NotFound);
    assert!(world.has(&digest), "it waits for a collection");
    assert_eq!(code(world.delete_content(&caller(), &digest)), ErrorCode::NotFound);
    world.relabel_content(&built.config, &[("a", "1")], &[]).unwrap();
    world.delete_content(&caller(), &built.config).unwrap();
    assert_eq!(world.get_content(&caller(), &built.config).unwrap().labels, [], "an image needs it");
    world.collect().unwrap();
    assert_eq!((world.has(&digest), world.has(&built.config)), (false, true));
}

#[test]
fn a_record_whose_blob_is_gone_is_none() {
    let world = World::new();
    let digest = world.write_blob(&caller(), b"bytes", &[]).unwrap().digest;
    world.memory.content().remove(&digest).unwrap();
    assert_eq!(code(world.get_content(&caller(), &digest)), ErrorCode::NotFound);
    assert_eq!(world.list_contents(&caller(), &[], None, 10), []);
    assert_eq!(code(world.delete_content(&caller(), &digest)), ErrorCode::NotFound);
}
