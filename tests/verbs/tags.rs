//! Pulling every tag of a repository.

use super::{Recipe, World, options};
use crate::memory::registry::Trouble;
use wharf_component::{nouns::problem::ErrorCode, verbs::contract::PullOptions};

fn all_tags() -> PullOptions {
    PullOptions { all_tags: true, ..options() }
}

fn world() -> World {
    let world = World::new();
    for tag in ["1.1", "1.0", "latest"] {
        world.image("library/app", Some(tag), Recipe { layers: &["base", tag], ..Recipe::default() });
    }
    world
}

#[test]
fn every_tag_gets_a_record() {
    let world = world();
    let plans = world.plan("app", &all_tags()).unwrap();
    let pulled = world.pull("app", &all_tags()).unwrap();
    let names: Vec<_> = pulled.iter().map(|pulled| pulled.image.familiar.as_str()).collect();
    assert_eq!(names, ["app:1.0", "app:1.1", "app:latest"]);
    assert_eq!(
        plans.iter().map(|plan| &plan.name).collect::<Vec<_>>(),
        pulled.iter().map(|one| &one.image.name).collect::<Vec<_>>()
    );
    assert!(pulled.iter().all(|pulled| world.record(&pulled.image.name).is_some()));
}

#[test]
fn a_tag_that_fails_is_told_at_the_end_and_the_others_are_there() {
    let world = world();
    world.registry.trouble("/manifests/1.1", Trouble::Status(404));
    let problem = world.pull("app", &all_tags()).unwrap_err();
    assert_eq!(problem.code, ErrorCode::NotFound);
    assert_eq!(problem.why[0], "1 of 3 tags failed");
    assert!(problem.why[1].starts_with("`1.1`: "), "{:?}", problem.why);
    assert_eq!(problem.why[2], "pulled: `1.0`, `latest`");
    let there = ["1.0", "1.1", "latest"].map(|tag| world.record(&format!("docker.io/library/app:{tag}")).is_some());
    assert_eq!(there, [true, false, true]);
}

#[test]
fn a_tag_beside_all_tags_is_refused() {
    let problem = world().pull("app:1.0", &all_tags()).unwrap_err();
    assert_eq!(problem.why, ["all tags are wanted, and the reference names one of them"]);
    assert_eq!(problem.fix.as_deref(), Some("wharf pull --all-tags app"));
}
