//! How many blobs one call may need. Each is a handle, and a full table of
//! handles is a trap: see [`wharf_sim::memory::content`].

use super::{Built, Recipe, World, everything, options, platforms};
use wharf_component::{nouns::problem::ErrorCode, verbs::contract::PullOptions};

const APP: &str = "docker.io/library/app:1";
/// As many as a manifest may have.
const LAYERS_MAX: usize = 500;

/// Stores an image of `count` layers.
fn image(world: &World, platform: &str, prefix: &str, count: usize) -> Built {
    let names: Vec<String> = (0..count).map(|at| format!("{prefix}{at}")).collect();
    let layers: Vec<&str> = names.iter().map(String::as_str).collect();
    world.image("library/app", None, Recipe { platform, layers: &layers, ..Recipe::default() })
}

/// Stores `app:1`: an index of images, each a platform, a prefix and a count.
fn index(world: &World, images: &[(&str, &str, usize)]) {
    let entries: Vec<_> =
        images.iter().map(|&(platform, prefix, count)| image(world, platform, prefix, count).entry).collect();
    world.index("library/app", Some("1"), &entries.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn an_image_of_the_most_layers_there_can_be_is_pulled() {
    let world = World::new();
    index(&world, &[("linux/amd64", "l", LAYERS_MAX)]);
    let options = PullOptions { concurrent_downloads: 64, ..options() };
    world.pull("app:1", &options).unwrap();
    assert_eq!(world.record(APP).unwrap().platforms[0].layers as usize, LAYERS_MAX);
    assert!(world.pull("app:1", &options).unwrap()[0].up_to_date);
}

#[test]
fn more_platforms_than_there_are_handles_for_are_refused_before_anything_comes() {
    let world = World::new();
    index(&world, &[("linux/amd64", "a", 400), ("linux/arm64", "b", 400), ("linux/s390x", "c", 400)]);
    let problem = world.pull("app:1", &everything()).unwrap_err();
    assert_eq!(problem.code, ErrorCode::TooLarge(640));
    assert_eq!(problem.why, ["more than 640 blobs are needed; choose fewer platforms"]);
    assert!(world.memory.snapshot().disk.blobs.is_empty());
    world.pull("app:1", &options()).unwrap();
}

/// What was pulled before is held too, until the record is written.
#[test]
fn the_platforms_that_are_here_already_count() {
    let world = World::new();
    index(&world, &[("linux/amd64", "a", 400), ("linux/arm64", "b", 400)]);
    world.pull("app:1", &options()).unwrap();
    let record = world.record(APP);
    let problem = world.pull("app:1", &platforms(&["linux/arm64"])).unwrap_err();
    let why = "more than 640 blobs are needed, with the platforms that are here already; choose fewer platforms";
    assert_eq!((problem.code, problem.why), (ErrorCode::TooLarge(640), vec![why.to_owned()]));
    assert_eq!(world.record(APP), record);

    let fix = problem.fix.expect("there is a way");
    let alone = fix.strip_prefix("wharf pull ").expect("it can be typed");
    let pulled = world.pull(alone, &platforms(&["linux/arm64"])).unwrap().remove(0);
    assert_eq!(pulled.image.platforms, ["linux/arm64"]);
}

#[test]
fn a_blob_of_several_platforms_is_held_once() {
    let world = World::new();
    index(&world, &[("linux/amd64", "same", LAYERS_MAX), ("linux/arm64", "same", LAYERS_MAX)]);
    world.pull("app:1", &options()).unwrap();
    world.pull("app:1", &platforms(&["linux/arm64"])).unwrap();
    assert_eq!(world.record(APP).unwrap().platforms.len(), 2);
    assert!(world.pull("app:1", &everything()).unwrap()[0].up_to_date);
}

/// A dry run answers all at once, from a memory that has an end.
#[test]
fn too_many_tags_are_not_planned_at_once() {
    let world = World::new();
    let built = image(&world, "linux/amd64", "l", LAYERS_MAX);
    for at in 0..40 {
        world.registry.tag("library/app", &built.manifest, &format!("t{at}"));
    }
    let all_tags = PullOptions { all_tags: true, ..options() };
    let problem = world.plan("app", &all_tags).unwrap_err();
    assert_eq!(problem.code, ErrorCode::TooLarge(20_000));
    let why = ["too many tags to plan at once; plan them one by one", "they have more than 20000 blobs"];
    assert_eq!(problem.why, why);
    assert_eq!(world.plan("app:t7", &options()).unwrap()[0].blobs.len(), LAYERS_MAX + 2);
}
