//! How blobs came here: what a pull tells, what it records, and what `inspect`
//! shows of it.

use super::{Ear, Recipe, World, caller, options, platforms};
use serde_json::{Value, json};
use wharf_component::{
    nouns::{digest::Digest, problem::ErrorCode},
    verbs::{
        self,
        contract::{Event, Transfer},
    },
};
use wharf_sim::memory::{clock::DAWN, registry::Trouble, stream::Fault};

const HUB: &str = "https://registry-1.docker.io";

impl World {
    /// The key `Provenance` of an image, by digest.
    fn provenance(&self, reference: &str) -> Value {
        let text = self.memory.run(verbs::inspect(&self.memory, &caller(), reference, None, false, true)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["Provenance"].take()
    }

    /// Who sent a blob, by that.
    fn sender(&self, reference: &str, digest: &Digest) -> Value {
        let provenance = self.provenance(reference);
        let arrivals = provenance.as_array().expect("a list");
        let found: Vec<_> = arrivals.iter().filter(|one| one["digest"] == digest.as_str()).collect();
        assert_eq!(found.len(), 1, "{provenance}");
        found[0]["endpoint"].clone()
    }
}

impl Ear {
    fn transfers(&self) -> Vec<Transfer> {
        let transfer = |event: &Event| match event {
            Event::Transferred(transfer) => Some(transfer.clone()),
            _ => None,
        };
        self.heard.borrow().iter().filter_map(transfer).collect()
    }
}

#[test]
fn a_pull_tells_of_each_blob_once_how_it_came() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    let ear = Ear::default();
    let pulled = world.listen("app:1", &options(), &ear).unwrap().remove(0);
    assert_eq!(ear.transfers(), pulled.transfers);
    let mut digests: Vec<_> = pulled.transfers.iter().map(|transfer| transfer.blob.digest.clone()).collect();
    let mut expected = [vec![built.manifest, built.config], built.layers].concat();
    digests.sort();
    expected.sort();
    assert_eq!(digests, expected);
    for transfer in &pulled.transfers {
        assert_eq!(transfer.endpoint.as_deref(), Some(HUB));
        assert_eq!((transfer.attempts, transfer.resumed_from), (1, 0));
        assert_eq!(transfer.fetched_bytes, transfer.blob.size);
        assert!(transfer.duration_ms >= 20, "a round trip takes that long: {transfer:?}");
    }
    assert_eq!(pulled.fetched_bytes, built.size);
}

#[test]
fn what_was_here_came_from_nobody() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers: &["base"], ..Recipe::default() });
    let built = world.image("library/app", Some("2"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let pulled = world.pull("app:2", &options()).unwrap().remove(0);
    let of = |digest: &Digest| pulled.transfers.iter().find(|one| one.blob.digest == *digest).unwrap();
    let base = of(&built.layers[0]);
    assert_eq!((base.endpoint.as_deref(), base.attempts, base.fetched_bytes), (None, 0, 0));
    assert_eq!(of(&built.layers[1]).endpoint.as_deref(), Some(HUB));
    assert_eq!(world.sender("app:2", &built.layers[0]), Value::Null);
    assert_eq!(world.sender("app:1", &built.layers[0]), HUB);
}

#[test]
fn a_pull_with_nothing_to_do_keeps_what_is_known() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let before = world.provenance("app:1");
    let ear = Ear::default();
    let pulled = world.listen("app:1", &options(), &ear).unwrap().remove(0);
    assert!(pulled.up_to_date);
    assert_eq!((pulled.transfers.len(), ear.transfers().len()), (4, 4));
    assert!(pulled.transfers.iter().all(|transfer| transfer.endpoint.is_none()));
    assert_eq!(world.provenance("app:1"), before);
}

#[test]
fn another_platform_of_the_same_name_keeps_what_is_known_of_the_first() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    let before = world.provenance("alpine:3.20");
    world.pull("alpine:3.20", &platforms(&["linux/arm64"])).unwrap();
    let after = world.provenance("alpine:3.20");
    for arrival in before.as_array().unwrap() {
        assert!(after.as_array().unwrap().contains(arrival), "{arrival} is not in {after}");
    }
    assert_eq!(after.as_array().unwrap().len(), 1 + 3 + 3);
    for digest in [&index, &built[0].layers[0], &built[1].layers[0]] {
        assert_eq!(world.sender("alpine:3.20", digest), HUB);
    }
}

#[test]
fn what_left_the_image_leaves_the_record() {
    let world = World::new();
    let old = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let new = world.image("library/app", Some("1"), Recipe { layers: &["other"], ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    let provenance = world.provenance("app:1").to_string();
    assert!(provenance.contains(new.layers[0].as_str()) && !provenance.contains(old.layers[0].as_str()));
}

#[test]
fn a_resumed_blob_says_where_it_went_on() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["base"], ..Recipe::default() });
    let layer = &built.layers[0];
    world.registry.trouble(layer.as_str(), Trouble::Body(Fault::Cut(4_000)));
    let pulled = world.pull("app:1", &options()).unwrap().remove(0);
    let transfer = pulled.transfers.iter().find(|one| one.blob.digest == *layer).unwrap();
    assert_eq!((transfer.attempts, transfer.resumed_from, transfer.fetched_bytes), (2, 0, 10_000));

    // Across calls: an earlier one was stopped.
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["base"], ..Recipe::default() });
    let ear = Ear {
        leave: Some(|event| matches!(event, Event::Progress(progress) if (4_000..10_000).contains(&progress.received))),
        ..Ear::default()
    };
    assert_eq!(world.listen("app:1", &options(), &ear).unwrap_err().code, ErrorCode::Cancelled);
    let pulled = world.pull("app:1", &options()).unwrap().remove(0);
    let transfer = pulled.transfers.iter().find(|one| one.blob.digest == built.layers[0]).unwrap();
    assert!((4_000..10_000).contains(&transfer.resumed_from), "{transfer:?}");
    assert_eq!(transfer.resumed_from + transfer.fetched_bytes, 10_000);
}

#[test]
fn inspect_shows_each_blob_with_its_times_and_bytes() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &[], ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    let provenance = world.provenance("app:1");
    let manifest = provenance.as_array().unwrap().iter().find(|one| one["digest"] == built.manifest.as_str());
    let mut manifest = manifest.expect("the manifest came too").clone();
    assert!(manifest["durationMs"].take().as_u64().is_some_and(|ms| ms >= 20));
    let size = world.registry.size(&built.manifest);
    let expected = json!({
        "digest": built.manifest.as_str(), "size": size, "endpoint": HUB, "attempts": 1, "resumedFrom": 0,
        "fetchedBytes": size, "durationMs": null, "pulledAt": "2024-03-01T00:00:00Z",
    });
    assert_eq!(manifest, expected, "virtual time begins at {DAWN}");
}

#[test]
fn without_a_record_of_it_inspect_shows_nothing_and_damage_is_told() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    let plain = world.memory.run(verbs::inspect(&world.memory, &caller(), "app:1", None, false, false)).unwrap();
    assert!(!plain.contains("Provenance"));

    let key = "provenance/docker.io/library/app:1";
    world.memory.write_row("default", key, b"\xff");
    let damaged = world.memory.run(verbs::inspect(&world.memory, &caller(), "app:1", None, false, true)).unwrap_err();
    assert_eq!(damaged.code, ErrorCode::Invalid);
    assert_eq!(damaged.why[0], "how the blobs came here cannot be read");
    // It says nothing about the image, and the next record of it is a new one.
    world.image("library/app", Some("1"), Recipe { layers: &["other"], ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    assert_eq!(world.provenance("app:1").as_array().unwrap().len(), 3);
}
