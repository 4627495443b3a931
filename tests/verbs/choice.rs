//! `pull`: which platforms are chosen, and what joins the record.

use super::{Ear, Recipe, World, descriptor, everything, options, platforms};
use wharf_component::nouns::{
    media_type::{OCI_INDEX, OCI_MANIFEST},
    problem::{ErrorCode, Problem},
};
use wharf_sim::memory::clock::DAWN;

const ALPINE: &str = "docker.io/library/alpine:3.20";

#[test]
fn no_matching_platform_says_what_there_is() {
    let world = World::new();
    world.alpine();
    let expected = Problem {
        code: ErrorCode::NotFound,
        what: format!("cannot pull `{ALPINE}`"),
        why: vec![
            "no manifest matches linux/riscv64".to_owned(),
            "the index offers linux/amd64, linux/arm64/v8".to_owned(),
        ],
        fix: Some("choose one with `--platform linux/amd64`".to_owned()),
    };
    assert_eq!(world.pull("alpine:3.20", &platforms(&["linux/riscv64"])), Err(expected));
    assert!(world.memory.snapshot().disk.blobs.is_empty());
}

#[test]
fn another_platform_of_the_same_index_joins_the_record() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    world.memory.clock().pass(60_000);
    let pulled = world.pull("alpine:3.20", &platforms(&["linux/arm64"])).unwrap().remove(0);
    let record = world.record(ALPINE).unwrap();
    let mut names: Vec<_> = record.platforms.iter().filter_map(|present| present.platform.clone()).collect();
    names.sort();
    assert_eq!(names, ["linux/amd64", "linux/arm64/v8"]);
    assert_eq!(record.size, record.target.size + built[0].size + built[1].size);
    assert!(record.created < DAWN + 60 && record.updated >= DAWN + 60);
    assert_eq!(pulled.image.id, built[0].config, "the machine's platform stands for the image");
}

#[test]
fn a_platform_whose_blobs_are_gone_does_not_join() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    world.memory.content().remove(&built[0].layers[0]).unwrap();
    world.pull("alpine:3.20", &platforms(&["linux/arm64"])).unwrap();
    let configs: Vec<_> = world.record(ALPINE).unwrap().platforms.into_iter().map(|present| present.config).collect();
    assert_eq!(configs, [built[1].config.clone()]);
}

#[test]
fn a_tag_that_moved_forgets_what_the_new_index_does_not_offer() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64", "linux/arm64"])).unwrap();
    let newer = world.image("library/alpine", None, Recipe { layers: &["newer"], ..Recipe::default() });
    let (index, _) = world.index("library/alpine", Some("3.20"), &[&newer.entry, &built[1].entry]);
    world.pull("alpine:3.20", &options()).unwrap();
    let record = world.record(ALPINE).unwrap();
    let configs: Vec<_> = record.platforms.into_iter().map(|present| present.config).collect();
    assert_eq!((record.target.digest, configs), (index, vec![newer.config, built[1].config.clone()]));
}

#[test]
fn all_platforms_are_all_entries() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &everything()).unwrap();
    let record = world.record(ALPINE).unwrap();
    let configs: Vec<_> = record.platforms.iter().map(|present| &present.config).collect();
    assert_eq!(configs, [&built[1].config, &built[0].config, &built[2].config], "in the order of the index");
    assert_eq!(record.target.digest, index);
    assert_eq!(record.size, record.target.size + built.iter().map(|built| built.size).sum::<u64>());
}

#[test]
fn a_single_image_for_another_machine_is_a_warning_unless_a_platform_was_asked_for() {
    let world = World::new();
    world.image("library/app", Some("1"), Recipe { platform: "linux/s390x", ..Recipe::default() });
    let problem = world.pull("app:1", &platforms(&["linux/amd64"])).unwrap_err();
    assert_eq!(problem.why, ["no manifest matches linux/amd64", "the image is for linux/s390x"]);
    assert_eq!(problem.fix.as_deref(), Some("choose one with `--platform linux/s390x`"));
    assert!(world.memory.snapshot().rows.is_empty());

    let ear = Ear::default();
    let pulled = world.listen("app:1", &options(), &ear).unwrap().remove(0);
    assert_eq!(pulled.image.platforms, ["linux/s390x"]);
    assert_eq!(ear.warnings(), ["the image is for linux/s390x, and this machine runs linux/amd64/v3"]);
}

#[test]
fn an_entry_without_a_platform_is_taken_if_no_other_matches() {
    let world = World::new();
    let amd64 = world.image("library/app", None, Recipe { layers: &["amd64"], ..Recipe::default() });
    let arm64 =
        world.image("library/app", None, Recipe { platform: "linux/arm64", layers: &["arm"], ..Recipe::default() });
    let bare = world.image("library/app", None, Recipe { layers: &["bare"], ..Recipe::default() });
    let unmarked = format!("{}}}", bare.entry.split(",\"platform\"").next().expect("an entry"));
    let artifact = unmarked.replace("\"size\"", "\"artifactType\":\"text/spdx\",\"size\"");
    let rows = [
        ("marked", vec![&unmarked, &amd64.entry], Some(&amd64.config)),
        ("fallback", vec![&unmarked, &arm64.entry], Some(&bare.config)),
        ("alone", vec![&artifact], Some(&bare.config)),
        ("artifact", vec![&artifact, &arm64.entry], None),
    ];
    for (tag, entries, expected) in rows {
        let entries: Vec<_> = entries.into_iter().map(String::as_str).collect();
        world.index("library/app", Some(tag), &entries);
        let pulled = world.pull(&format!("app:{tag}"), &options());
        let id = pulled.as_ref().ok().map(|pulled| &pulled[0].image.id);
        assert_eq!(id, expected, "{tag}: {pulled:?}");
    }
}

#[test]
fn an_index_in_an_index_is_read_and_a_deep_one_is_not() {
    let world = World::new();
    let built = world.image("library/app", None, Recipe::default());
    let mut entry = built.entry.clone();
    for depth in 1..=4 {
        let tag = depth.to_string();
        let (digest, size) = world.index("library/app", Some(&tag), &[&entry]);
        entry = descriptor(OCI_INDEX, &digest, size as usize);
        let outcome = world.pull(&format!("app:{tag}"), &options());
        if depth <= 3 {
            assert_eq!(outcome.unwrap()[0].image.id, built.config, "{depth}");
            assert!(world.has(&digest));
        } else {
            assert_eq!(outcome.unwrap_err().why, ["there are indexes in indexes deeper than 3 levels"]);
        }
    }
}

#[test]
fn an_artifact_is_pulled_as_it_is() {
    let world = World::new();
    let config = world.registry.blob(b"{}");
    let layer = world.registry.blob(b"a chart");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","artifactType":"application/vnd.example","config":{},"layers":[{}]}}"#,
        descriptor("application/vnd.oci.empty.v1+json", &config, 2),
        descriptor("text/plain", &layer, 7),
    );
    world.registry.manifest("org/chart", Some("1"), OCI_MANIFEST, &manifest);
    let image = world.pull("org/chart:1", &options()).unwrap().remove(0).image;
    assert_eq!((image.id, image.created, image.platforms), (config, None, Vec::new()));
    assert!(world.has(&layer));
}

#[test]
fn an_index_that_offers_nothing_leaves_no_record() {
    let world = World::new();
    world.index("library/app", Some("1"), &[]);
    let rows = [
        (options(), vec!["no manifest matches linux/amd64/v3", "the index offers no image that has a platform"]),
        (everything(), vec!["the index offers no manifest"]),
    ];
    for (options, why) in rows {
        let problem = world.pull("app:1", &options).unwrap_err();
        assert_eq!((problem.code, problem.why), (ErrorCode::NotFound, why.into_iter().map(str::to_owned).collect()));
        assert!(world.memory.snapshot().rows.is_empty());
    }
}

/// The configs of very old images do not name their system.
#[test]
fn a_config_without_a_system_is_for_the_system_of_the_machine() {
    let rows = [("/amd64", "linux/amd64"), ("/x86_64", "linux/amd64"), ("linux/x86_64", "linux/x86_64")];
    for (written, shown) in rows {
        let world = World::new();
        world.image("library/app", Some("1"), Recipe { platform: written, ..Recipe::default() });
        let ear = Ear::default();
        let pulled = world.listen("app:1", &options(), &ear).unwrap().remove(0);
        assert_eq!(pulled.image.platforms, [shown]);
        assert_eq!(ear.warnings(), [""; 0], "it runs on this machine");
        assert!(world.pull("app:1", &platforms(&["linux/amd64"])).unwrap()[0].up_to_date);
    }
}
