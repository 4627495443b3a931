//! `inspect`: docker's shape, and the ways to name an image.

use super::{Recipe, World, caller, options, platforms};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wharf_component::{
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        media_type::OCI_MANIFEST,
        problem::{ErrorCode, Problem},
        record::{ImageRecord, Present},
    },
    verbs,
};

fn inspect(world: &World, reference: &str, manifests: bool) -> Result<Value, Problem> {
    let text = world.memory.run(verbs::inspect(&world.memory, &caller(), reference, None, manifests, false))?;
    Ok(serde_json::from_str(&text).expect("it is JSON"))
}

#[test]
fn an_image_is_shown_as_docker_shows_it() {
    let world = World::new();
    let recipe = Recipe { labels: r#"{"b":"2","a":"1"}"#, history: r#"[{"comment":"by hand"}]"#, ..Recipe::default() };
    let built = world.image("library/app", Some("1"), recipe);
    for reference in ["app:1".to_owned(), format!("app@{}", built.manifest)] {
        world.pull(&reference, &options()).unwrap();
    }
    let found = inspect(&world, "app:1", false).unwrap();
    let manifest = &found["Manifest"];
    let expected = json!({
        "Id": built.config,
        "RepoTags": ["app:1"],
        "RepoDigests": [format!("app@{}", built.manifest)],
        "Comment": "by hand",
        "Created": "2024-01-02T03:04:05.678Z",
        "Author": "a tester",
        "Config": { "Labels": { "a": "1", "b": "2" }, "Env": ["PATH=/bin"] },
        "Architecture": "amd64",
        "Os": "linux",
        "Size": built.size,
        "RootFS": { "Type": "layers", "Layers": built.layers },
        "Metadata": { "LastTagTime": found["Metadata"]["LastTagTime"] },
        "Descriptor": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": built.manifest,
            "size": found["Descriptor"]["size"],
            "platform": { "architecture": "amd64", "os": "linux" },
        },
        "Platforms": ["linux/amd64"],
        "Retention": "both",
        "Manifest": manifest,
        "OCIConfig": found["OCIConfig"],
    });
    assert_eq!(found, expected);
    assert_eq!(manifest["layers"][1]["digest"], json!(built.layers[1]));
    assert_eq!(found["OCIConfig"]["rootfs"]["diff_ids"], found["RootFS"]["Layers"]);
    assert!(found["Metadata"]["LastTagTime"].as_str().is_some_and(|time| time.starts_with("2024-03-01T00:00:")));
    let text = world.memory.run(verbs::inspect(&world.memory, &caller(), "app:1", None, false, false)).unwrap();
    assert!(
        text.starts_with(r#"{"Id":"#) && text.find("\"RepoTags\"") < text.find("\"Config\""),
        "keys are in docker's order"
    );
}

#[test]
fn manifests_say_what_is_here() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    let found = inspect(&world, "alpine:3.20", true).unwrap();
    let offers: Vec<_> = found["Manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|offer| {
            (
                offer["ID"].clone(),
                offer["Available"].clone(),
                offer["Kind"].clone(),
                offer["Descriptor"]["platform"]["architecture"].clone(),
            )
        })
        .collect();
    let row = |at: usize, available: bool, kind, architecture| {
        (json!(built[at].manifest), json!(available), json!(kind), json!(architecture))
    };
    let expected =
        [row(1, false, "image", "arm64"), row(0, true, "image", "amd64"), row(2, false, "attestation", "unknown")];
    assert_eq!(offers, expected);
}

#[test]
fn an_image_is_found_by_every_name_it_has() {
    let world = World::new();
    let (index, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    let other = world.image("library/app", Some("latest"), Recipe::default());
    world.pull("app", &options()).unwrap();
    let amd64 = &built[0];
    let rows = [
        ("alpine:3.20".to_owned(), &amd64.config),
        ("docker.io/library/alpine:3.20".to_owned(), &amd64.config),
        (format!("alpine@{index}"), &amd64.config),
        (format!("alpine:other@{}", amd64.manifest), &amd64.config),
        (amd64.config.to_string(), &amd64.config),
        (amd64.config.encoded().to_owned(), &amd64.config),
        (amd64.config.encoded()[..12].to_owned(), &amd64.config),
        (format!("sha256:{}", &amd64.config.encoded()[..7]), &amd64.config),
        (index.encoded()[..9].to_owned(), &amd64.config),
        ("app".to_owned(), &other.config),
    ];
    for (reference, expected) in rows {
        let found = inspect(&world, &reference, false).unwrap_or_else(|problem| panic!("{reference}: {problem:?}"));
        assert_eq!(found["Id"], json!(expected), "{reference}");
    }
    let expected = Problem {
        code: ErrorCode::NotFound,
        what: "cannot inspect `alpine`".to_owned(),
        why: vec!["no image here is called `docker.io/library/alpine:latest`".to_owned()],
        fix: Some("wharf pull alpine".to_owned()),
    };
    assert_eq!(inspect(&world, "alpine", false), Err(expected));
    for absent in ["abc", "sha256:0000", &"0".repeat(64), "Upper", ""] {
        assert!(inspect(&world, absent, false).is_err(), "{absent}");
    }
}

#[test]
fn the_beginning_of_two_ids_lists_both() {
    let world = World::new();
    // Only the beginnings matter, so the records can point to nothing.
    let digest = |first: &str, last: u8| format!("sha256:{first}{last:060}").parse::<Digest>().unwrap();
    for (name, last) in [("one", 1), ("two", 2)] {
        let manifest = Descriptor::new(OCI_MANIFEST, digest("aaaa", last), 1);
        let record = ImageRecord {
            target: manifest.clone(),
            created: 0,
            updated: 0,
            size: 1,
            labels: BTreeMap::new(),
            platforms: vec![Present {
                manifest,
                config: digest("beef", last),
                platform: None,
                created: None,
                size: 1,
                layers: 0,
                labels: BTreeMap::new(),
            }],
        };
        let key = format!("image/docker.io/library/{name}:1");
        world.memory.write_row("default", "schema", b"1");
        world.memory.write_row("default", &key, &record.encode().unwrap());
    }
    let problem = inspect(&world, "beef", false).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid);
    let expected = [
        "`beef` is the beginning of more than one digest".to_owned(),
        format!("it may be `{}`, which is `one:1`", digest("beef", 1)),
        format!("it may be `{}`, which is `two:1`", digest("beef", 2)),
    ];
    assert_eq!(problem.why, expected);
}

#[test]
fn an_artifact_has_its_type_and_no_config() {
    let world = World::new();
    let config = world.registry.blob(b"{}");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.example","config":{},"layers":[]}}"#,
        super::descriptor("application/vnd.oci.empty.v1+json", &config, 2)
    );
    world.registry.manifest("org/chart", Some("1"), "application/vnd.oci.image.manifest.v1+json", &manifest);
    world.pull("org/chart:1", &options()).unwrap();
    let found = inspect(&world, "org/chart:1", false).unwrap();
    assert_eq!(found["ArtifactType"], "application/vnd.example");
    assert_eq!((found.get("Config"), found.get("RootFS"), &found["OCIConfig"]), (None, None, &json!({})));
}

/// Two tags whose indexes differ may share a platform: its ID names one image.
#[test]
fn an_id_that_several_images_share_is_not_ambiguous() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &options()).unwrap();
    world.pull(&format!("alpine@{}", built[0].manifest), &options()).unwrap();
    let shown =
        world.memory.run(verbs::inspect(&world.memory, &caller(), built[0].config.as_str(), None, false, false));
    let shown: serde_json::Value = serde_json::from_str(&shown.unwrap()).unwrap();
    assert_eq!(shown["Id"], built[0].config.as_str());
}

#[test]
fn an_id_of_another_platform_shows_that_platform() {
    let world = World::new();
    let (_, built) = world.alpine();
    world.pull("alpine:3.20", &platforms(&["linux/amd64", "linux/arm64"])).unwrap();
    for text in [built[1].config.to_string(), built[1].manifest.to_string(), format!("alpine@{}", built[1].manifest)] {
        let shown = world.memory.run(verbs::inspect(&world.memory, &caller(), &text, None, false, false)).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["Id"], built[1].config.as_str(), "{text}");
    }
    let (caller, id) = (caller(), built[1].config.as_str());
    let asked =
        world.memory.run(verbs::inspect(&world.memory, &caller, id, Some("linux/amd64"), false, false)).unwrap();
    let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked["Id"], built[0].config.as_str(), "what is asked for goes first");
}
