//! `plan-pull`: the dry run says what the real one does, and changes nothing.

use super::{Ear, Recipe, World, layer, options, platforms};
use wharf_component::verbs::contract::{Event, PlannedBlob};

#[test]
fn a_dry_run_changes_nothing_and_the_real_run_does_what_it_said() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/arm64"])).unwrap();
    let before = world.memory.snapshot();
    let plan = world.plan("alpine:3.20", &options()).unwrap().remove(0);
    assert_eq!(world.memory.snapshot(), before);

    assert_eq!((plan.name.as_str(), &plan.target.digest), ("docker.io/library/alpine:3.20", &index));
    let manifests: Vec<_> =
        plan.manifests.iter().map(|(platform, manifest)| (platform.as_str(), &manifest.digest)).collect();
    assert_eq!(manifests, [("linux/amd64", &built[0].manifest)]);
    let blobs: Vec<_> = plan.blobs.iter().map(|planned| (&planned.blob.digest, planned.present)).collect();
    let expected =
        [(&index, true), (&built[0].manifest, false), (&built[0].config, false), (&built[0].layers[0], false)];
    assert_eq!(blobs, expected);
    assert_eq!((plan.fetch_bytes, plan.up_to_date), (built[0].size, false));

    let pulled = world.pull("alpine:3.20", &options()).unwrap().remove(0);
    assert_eq!(pulled.fetched_bytes, plan.fetch_bytes);
    let plan = world.plan("alpine:3.20", &options()).unwrap().remove(0);
    assert_eq!((plan.fetch_bytes, plan.up_to_date), (0, true));
    assert!(plan.blobs.iter().all(|planned| planned.present && planned.received == planned.blob.size));
}

#[test]
fn what_an_earlier_run_left_is_counted_and_left_alone() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe { layers: &["one", "two"], ..Recipe::default() });
    let half = |event: &Event| matches!(event, Event::Progress(progress) if progress.received > 4_000);
    world.listen("app:1", &options(), &Ear { leave: Some(half), ..Ear::default() }).unwrap_err();
    let before = world.memory.snapshot();
    let plan = world.plan("app:1", &options()).unwrap().remove(0);
    assert_eq!(world.memory.snapshot(), before);
    let total = [layer("one").len(), layer("two").len()].iter().sum::<usize>() as u64;
    let kept: u64 = built.layers.iter().map(|layer| before.disk.ingests[layer.as_str()].len() as u64).sum();
    let layers: Vec<&PlannedBlob> =
        plan.blobs.iter().filter(|planned| built.layers.contains(&planned.blob.digest)).collect();
    assert_eq!(layers.iter().map(|planned| planned.received).sum::<u64>(), kept);
    assert!(kept > 4_000, "{kept} bytes were kept");
    assert_eq!(plan.fetch_bytes, total - kept, "manifest and config are here");
}

#[test]
fn a_platform_that_only_the_config_says_is_unknown_until_it_is_here() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    let platform = |world: &World| world.plan("app:1", &options()).unwrap().remove(0).manifests.remove(0).0;
    assert_eq!(platform(&world), "unknown");
    world.pull("app:1", &options()).unwrap();
    assert_eq!(platform(&world), "linux/amd64");
    world.memory.content().remove(&built.layers[0]).unwrap();
    assert_eq!(world.plan("app:1", &options()).unwrap()[0].fetch_bytes, layer("base").len() as u64);
}
