//! `pull`: what it costs at the boundary. A call is cheap and not free, and the
//! usual pull is one that finds everything as it was.

use super::{Recipe, World, options, platforms};
use std::collections::BTreeMap;

/// Five layers, a config, a manifest; and for the second row an index.
#[test]
fn a_pull_that_has_nothing_to_do_opens_each_blob_once_and_reads_each_document_once() {
    let layers = &["1", "2", "3", "4", "5"];
    for (is_index, blobs, documents) in [(false, 7, 2), (true, 8, 3)] {
        let world = World::new();
        let built = world.image("library/app", (!is_index).then_some("1"), Recipe { layers, ..Recipe::default() });
        if is_index {
            world.index("library/app", Some("1"), &[&built.entry]);
        }
        world.pull("app:1", &options()).unwrap();
        world.memory.calls();
        assert!(world.pull("app:1", &options()).unwrap()[0].up_to_date);
        let expected = BTreeMap::from([
            ("metadata.begin", 1),
            ("metadata.transaction.get", 2),
            ("client.send", 1),
            ("content.open", blobs),
            ("content.blob.size", blobs),
            ("content.blob.read", documents),
            // Whoever brought a blob again may have died before its name was durable.
            ("content.sync", 1),
        ]);
        assert_eq!(world.memory.calls(), expected, "index: {is_index}");
    }
}

/// Each sync waits for the disk, and in a transaction it gives others time to
/// be faster.
#[test]
fn one_sync_covers_what_came_and_what_stays() {
    let world = World::new();
    world.alpine();
    for platform in ["linux/arm64", "linux/amd64"] {
        world.memory.calls();
        world.pull("alpine:3.20", &platforms(&[platform])).unwrap();
        let calls = world.memory.calls();
        assert_eq!((calls["content.sync"], calls["metadata.transaction.commit"]), (1, 1), "{platform}");
    }
    assert_eq!(world.record("docker.io/library/alpine:3.20").unwrap().platforms.len(), 2);
}
