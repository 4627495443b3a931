//! How many blobs one call may need. Each is a handle, and a full table of
//! handles is a trap: see [`wharf_sim::memory::content`].

use super::{Built, Ear, Recipe, World, caller, everything, options, platforms};
use wharf_component::{
    nouns::problem::ErrorCode,
    verbs::{
        self,
        contract::{Edit, Form, Member, PullOptions, PushOptions, SaveOptions},
    },
};
use wharf_sim::memory::uploads::Dock;

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
    assert!(problem.fix.is_some_and(|fix| fix.contains("--platform") && fix.contains("by its digest")));
    assert!(world.memory.snapshot().disk.blobs.is_empty());
    world.pull("app:1", &options()).unwrap();
}

/// An index that was made here may need more blobs than a push holds at once; an archive holds all of them.
#[test]
fn more_blobs_than_are_held_are_pushed_and_far_more_are_not_saved() {
    let world = World::new();
    let mut members = Vec::new();
    for (platform, prefix) in [("linux/amd64", "a"), ("linux/arm64", "b")] {
        let name = format!("app@{}", image(&world, platform, prefix, 430).manifest);
        world.pull(&name, &everything()).unwrap();
        members.push(Member { reference: name, ..Member::default() });
    }
    let create = |name: &str, members: &[Member]| {
        let edit = Edit::Create(members.to_vec());
        world.memory.run(async { verbs::compose(&world.memory, &caller(), name, &edit).await })
    };
    create("dock.test/app:1", &members).unwrap();
    let dock = Dock::start(&world.memory, "dock.test");
    let options = PushOptions { referrers: true, concurrent_uploads: 64, ..PushOptions::default() };
    let ear = Ear::default();
    let push = async { verbs::push(&world.memory, &caller(), "dock.test/app:1", &options, &ear).await.unwrap() };
    let pushed = world.memory.run(push);
    assert_eq!((pushed[0].parts.len(), dock.flaws()), (2 * (430 + 2) + 1, Vec::new()));

    let third = format!("app@{}", image(&world, "linux/s390x", "c", 430).manifest);
    world.pull(&third, &everything()).unwrap();
    members.push(Member { reference: third, ..Member::default() });
    let problem = create("dock.test/app:2", &members).unwrap_err();
    assert!(problem.code == ErrorCode::TooLarge(900) && problem.fix.is_some(), "{problem:?}");
    let all: Vec<String> = members.into_iter().map(|member| member.reference).collect();
    let saving = SaveOptions { form: Form::OciArchive, platforms: Vec::new(), complete: None };
    let save = async { verbs::save(&world.memory, &caller(), &all, &saving).await.map(drop) };
    let problem = world.memory.run(save).unwrap_err();
    assert_eq!(problem.code, ErrorCode::TooLarge(900));
    assert!(problem.fix.is_some_and(|fix| fix.contains("fewer images") && fix.contains("--platform")));
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
