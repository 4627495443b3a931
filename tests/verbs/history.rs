//! `history`: steps, and the layers that they left.

use super::{Recipe, World, caller, layer, options, platforms};
use wharf_component::{
    nouns::problem::ErrorCode,
    verbs::{self, contract::Step},
};

#[test]
fn the_newest_step_is_first_and_empty_layers_have_no_size() {
    let world = World::new();
    let history = r#"[
        {"created":"2024-01-01T00:00:00Z","created_by":"ADD rootfs.tar /"},
        {"created":"2024-01-01T00:00:01Z","created_by":"ENV A=1","empty_layer":true,"comment":"buildkit"},
        {"created_by":"RUN make"}
    ]"#;
    let built = world.image("library/app", Some("1"), Recipe { history, ..Recipe::default() });
    world.pull("app:1", &options()).unwrap();
    let step = |at: Option<usize>, created, created_by: &str, comment: &str| Step {
        layer: at.map(|at| built.layers[at].clone()),
        created,
        created_by: created_by.to_owned(),
        comment: comment.to_owned(),
        size: at.map_or(0, |at| layer(["base", "top"][at]).len() as u64),
    };
    let expected = vec![
        step(Some(1), None, "RUN make", ""),
        step(None, Some(1_704_067_201), "ENV A=1", "buildkit"),
        step(Some(0), Some(1_704_067_200), "ADD rootfs.tar /", ""),
    ];
    assert_eq!(world.memory.run(verbs::history(&world.memory, &caller(), "app:1", None)), Ok(expected.clone()));
    let id = &built.config.encoded()[..8];
    assert_eq!(world.memory.run(verbs::history(&world.memory, &caller(), id, None)), Ok(expected), "by its ID");
}

#[test]
fn a_platform_that_is_not_here_says_which_are() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64", "linux/arm64"])).unwrap();
    let history = |platform| world.memory.run(verbs::history(&world.memory, &caller(), "alpine:3.20", Some(platform)));
    assert_eq!(history("linux/arm64").unwrap()[0].layer.as_ref(), Some(&built[1].layers[0]));
    assert_eq!(history("arm64").unwrap()[0].layer.as_ref(), Some(&built[1].layers[0]));
    let problem = history("linux/s390x").unwrap_err();
    assert_eq!(problem.code, ErrorCode::NotFound);
    let why =
        ["no platform that is here matches `linux/s390x`", "of `alpine:3.20` there is linux/arm64/v8, linux/amd64"];
    assert_eq!(problem.why, why);
    assert_eq!(problem.fix.as_deref(), Some("wharf pull --platform linux/s390x alpine:3.20"));
}

#[test]
fn a_config_that_is_gone_is_named() {
    let world = World::new();
    let built = world.image("library/app", Some("1"), Recipe::default());
    world.pull("app:1", &options()).unwrap();
    world.memory.content().remove(&built.config).unwrap();
    let problem = world.memory.run(verbs::history(&world.memory, &caller(), "app:1", None)).unwrap_err();
    assert_eq!(problem.why, [format!("`{}`, which the image needs, is gone", built.config)]);
    assert_eq!(problem.fix.as_deref(), Some("wharf pull app:1"));
}
