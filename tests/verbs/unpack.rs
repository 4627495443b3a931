//! `unpack`: an image that is here becomes a tree.

use super::{Ear, Recipe, World, caller, chain, options, platforms, unpacking};
use wharf_component::{
    nouns::problem::ErrorCode,
    registry::Phase,
    verbs::{
        self,
        contract::{Event, Tree},
    },
};
use wharf_sim::memory::{Call, content::digest_of, tally::counts};

const LAYERS: &[&str] = &["base", "middle", "top"];

fn world() -> World {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers: LAYERS, ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    world
}

#[test]
fn what_is_missing_is_extracted_and_the_rest_is_not() {
    let world = world();
    let record = world.record("docker.io/library/app:1").unwrap();
    world.requests();
    world.memory.calls();
    let (_, chain_ids) = chain(LAYERS);
    let expected = Tree {
        name: "docker.io/library/app:1".to_owned(),
        manifest: record.target.digest.clone(),
        platform: "linux/amd64".to_owned(),
        snapshot: chain_ids.last().cloned(),
        unpacked: 3,
    };
    assert_eq!(world.unpack("app:1", None).unwrap(), expected);
    let calls = world.memory.order();
    assert_eq!((counts(&calls)["layers.unpack"], counts(&calls)["layers.stack"]), (3, 3));
    assert_eq!(calls.last(), Some(&"layers.sync"), "and then it is durable");

    let id = &record.platforms[0].config.encoded()[..12];
    assert_eq!(world.unpack(id, Some("linux/amd64")).unwrap(), Tree { unpacked: 0, ..expected.clone() });
    let calls = world.memory.calls();
    let layers: Vec<_> = calls.iter().filter(|(call, _)| call.starts_with("layers.")).collect();
    assert_eq!(layers, [(&"layers.find", &1), (&"layers.sync", &1)]);

    world.memory.layers().remove(&chain_ids[2]).unwrap();
    assert_eq!(world.unpack("app:1", None).unwrap(), Tree { unpacked: 0, ..expected }, "the layer is there");
    assert_eq!(world.memory.calls()["layers.stack"], 1);
    assert_eq!(world.requests(), [""; 0], "nobody is asked");
    assert_eq!(world.record("docker.io/library/app:1"), Some(record));
}

#[test]
fn the_platform_that_is_asked_for_is_extracted() {
    let world = World::new();
    world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64", "linux/arm64"])).unwrap();
    let tree = world.unpack("alpine:3.20", Some("linux/arm64")).unwrap();
    assert_eq!((tree.platform.as_str(), tree.snapshot), ("linux/arm64/v8", chain(&["arm64"]).1.pop()));
    let tree = world.unpack("alpine:3.20", None).unwrap();
    assert_eq!((tree.platform.as_str(), tree.snapshot), ("linux/amd64", chain(&["amd64"]).1.pop()));
    let problem = world.unpack("alpine:3.20", Some("linux/s390x")).unwrap_err();
    assert_eq!(problem.fix.as_deref(), Some("wharf pull --platform linux/s390x alpine:3.20"));
}

#[test]
fn what_is_not_here_is_to_be_pulled() {
    let world = world();
    let problem = world.unpack("other", None).unwrap_err();
    assert_eq!((problem.code, problem.what.as_str()), (ErrorCode::NotFound, "cannot unpack `other`"));
    assert_eq!(problem.fix.as_deref(), Some("wharf pull other"));
    let base = digest_of(&super::layer("base"));
    world.memory.content().remove(&base).unwrap();
    let problem = world.unpack("app:1", None).unwrap_err();
    assert_eq!((problem.code, problem.why), (ErrorCode::NotFound, vec![format!("the layer `{base}` is gone")]));
    assert_eq!(problem.fix.as_deref(), Some("wharf pull app:1"));
    assert_eq!(world.memory.layers().running(), 0);
}

/// The blob of a layer that is extracted is not needed.
#[test]
fn a_layer_that_is_there_does_without_its_blob() {
    let world = world();
    world.pull("app:1", &unpacking()).unwrap();
    let (_, chain_ids) = chain(LAYERS);
    for name in chain_ids.iter().rev() {
        world.memory.layers().remove(name).unwrap();
    }
    // The lowest layer and its snapshot have one name, so that both are gone.
    for name in ["middle", "top"] {
        world.memory.content().remove(&digest_of(&super::layer(name))).unwrap();
    }
    assert_eq!(world.unpack("app:1", None).unwrap().unpacked, 1);
}

#[test]
fn what_cannot_be_a_tree_is_told() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { platform: "windows/amd64", ..Recipe::default() });
    world.pull("app:1", &unpacking()).unwrap();
    let problem = world.unpack("app:1", None).unwrap_err();
    let why = vec!["it is for windows/amd64, and wharf extracts images for Linux".to_owned()];
    assert_eq!((problem.code, problem.why), (ErrorCode::Unsupported, why));
}

#[test]
fn an_image_without_layers_has_no_snapshot() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { layers: &[], ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    let tree = world.unpack("app:1", None).unwrap();
    assert_eq!((tree.snapshot, tree.unpacked), (None, 0));
}

#[test]
fn a_layer_that_cannot_be_extracted_is_told_with_its_place() {
    let world = world();
    world.memory.interfere(Call::Unpack, |_| Err(ErrorCode::Invalid));
    let problem = world.unpack("app:1", None).unwrap_err();
    assert!(problem.why[0].ends_with("cannot be extracted"), "{:?}", problem.why);
    assert_eq!((problem.code, problem.fix), (ErrorCode::Invalid, None));
    assert_eq!(world.unpack("app:1", None).unwrap().unpacked, 3);
}

#[test]
fn a_listener_hears_of_each_layer_and_stops_the_call_by_leaving() {
    let world = world();
    let unpack = |ear: &Ear| world.memory.run(verbs::unpack(&world.memory, &caller(), "app:1", None, ear));
    let begun = |event: &Event| matches!(event, Event::Progress(progress) if progress.phase == Phase::Unpacking);
    let problem = unpack(&Ear { leave: Some(begun), ..Ear::default() }).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Cancelled);
    assert!(world.memory.layers().visible().snapshots.is_empty());
    let ear = Ear::default();
    unpack(&ear).unwrap();
    for name in LAYERS {
        assert_eq!(ear.phases(&digest_of(&super::layer(name))).last(), Some(&Phase::Unpacked), "{name}");
    }
}
